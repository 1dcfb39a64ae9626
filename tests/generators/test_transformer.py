"""Weights as tokens, and the transformer over them."""

from itertools import accumulate

import pytest
import torch
from methods import TINY
from refused import refused

from novelweights.generators.parts.transformer import (
    SCALAR_FEATURES,
    TokenTransformer,
    attention,
    scalar_features,
    tokens_of_neurons,
    tokens_of_parameters,
)
from novelweights.networks.mlp import MNIST_MLP
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry, transform

# two hidden layers: the second's incoming weights are the first's outgoing ones
DEEP = WeightLayout((("a", (4, 5)), ("b", (2, 4)), ("c", (3, 2)), ("d", (3,))))
DEEP_SYMMETRY = NeuronSymmetry({"a": ("h", None), "b": ("g", "h"), "c": (None, "g"), "d": (None,)})
NONE = NeuronSymmetry({name: (None,) * len(shape) for name, shape in TINY.layout.shapes})


def some(layout):
    return torch.randn(3, layout.size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("chunk", [0, 1, 7, 1000])
def test_every_weight_is_in_one_token(chunk):
    for layout, symmetry in ((TINY.layout, TINY.symmetry), (DEEP, DEEP_SYMMETRY)):
        for cut in (
            tokens_of_parameters(layout, chunk),
            tokens_of_neurons(layout, symmetry, chunk),
        ):
            weights = some(layout)
            tokens = cut.split(weights)
            assert tuple(token.shape[1] for token in tokens) == cut.sizes
            assert chunk == 0 or max(cut.sizes) <= chunk
            joined = torch.cat(tokens, dim=1)
            assert torch.equal(joined.sort(dim=1).values, weights.sort(dim=1).values)
            assert torch.equal(cut.join(joined), weights)


def test_tokens_of_parameters_never_mix_two():
    layout = MNIST_MLP.layout
    stops = {where.stop for where in layout.slices.values()}
    for chunk in (0, 7, 1000, 10**6):
        assert stops <= set(accumulate(tokens_of_parameters(layout, chunk).sizes))
    assert len(tokens_of_parameters(layout).sizes) == len(layout.shapes)


def test_a_neuron_is_its_incoming_weights_its_bias_and_its_outgoing_weights():
    weights = some(TINY.layout)
    state = TINY.layout.unflatten(weights)
    tokens = tokens_of_neurons(TINY.layout, TINY.symmetry, 0).split(weights)
    assert len(tokens) == 5  # 4 hidden neurons, and the bias of the last layer
    for i, token in enumerate(tokens[:-1]):
        parts = state["hidden.weight"][:, i], state["hidden.bias"][:, i : i + 1]
        assert torch.equal(token, torch.cat([*parts, state["out.weight"][:, :, i]], dim=1))
    assert torch.equal(tokens[-1], state["out.bias"])


def test_a_weight_between_two_hidden_layers_belongs_to_the_neuron_it_enters():
    state = DEEP.unflatten(some(DEEP))
    tokens = tokens_of_neurons(DEEP, DEEP_SYMMETRY, 0).split(some(DEEP))
    assert [token.shape[1] for token in tokens] == [5, 5, 5, 5, 7, 7, 3]
    assert torch.equal(tokens[5], torch.cat([state["b"][:, 1], state["c"][:, :, 1]], dim=1))


def test_reordered_neurons_are_reordered_tokens():
    weights, order = some(TINY.layout), [2, 0, 3, 1]
    orders = {"h": torch.tensor([order]).expand(3, 4)}
    cut = tokens_of_neurons(TINY.layout, TINY.symmetry, 0)
    before = cut.split(weights)
    after = cut.split(transform(weights, TINY.layout, TINY.symmetry, orders))
    for new, old in enumerate(order):
        assert torch.equal(after[new], before[old])
    assert torch.equal(after[-1], before[-1])


def test_neurons_have_to_be_known():
    for symmetry in (None, NONE):
        with refused("unsuited"):
            tokens_of_neurons(TINY.layout, symmetry, 0)


def model_of(inputs, outputs, **changes):
    """A small transformer and some tokens."""
    torch.manual_seed(0)
    model = TokenTransformer(inputs, outputs, **{"width": 16, "layers": 1, "heads": 2, **changes})
    return model, [torch.randn(5, size) for size in inputs]


def test_a_zero_initialized_output_is_zero_and_another_is_not():
    for zero in (True, False):
        model, tokens = model_of([4, 6, SCALAR_FEATURES], [4, 6], layers=2, zero_init_output=zero)
        assert model(tokens).shape == (5, 10)
        assert bool((model(tokens) == 0).all()) is zero


def test_every_output_sees_every_token():
    model, tokens = model_of([4, 4, 3], [4, 4])
    tokens = [token.requires_grad_() for token in tokens]
    for column in (0, 7):
        grads = torch.autograd.grad(model(tokens)[0, column], tokens)
        assert all(float(grad[0].abs().max()) > 0 for grad in grads)


def test_positions_are_learned_and_begin_at_zero():
    model, tokens = model_of([4, 3], [4])
    assert (model.positions == 0).all()
    before = model(tokens)
    before.square().sum().backward()
    assert model.positions.grad is not None
    assert (model.positions.grad.abs().amax(dim=1) > 0).all()
    torch.nn.init.normal_(model.positions)
    assert not torch.allclose(model(tokens), before, atol=1e-3)


def test_checkpoints_of_a_batch_do_not_see_each_other():
    model, tokens = model_of([4, 3], [4], layers=2, heads=4)
    alone = torch.cat([model([t[i : i + 1] for t in tokens]) for i in range(5)])
    # float32 sums of 16 to 64 terms of size 1, in another order
    assert torch.allclose(model(tokens), alone, atol=1e-5)


def test_dropout_acts_in_training_only():
    model, tokens = model_of([4, 3], [4], dropout=0.5)
    assert not torch.equal(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="3 heads do not divide width 16"):
        model_of([4], [4], heads=3)


def test_scalars_are_sines_cosines_and_themselves():
    features = scalar_features(torch.tensor([0.0, 3.0]), 14.0)
    assert features.shape == (2, SCALAR_FEATURES)
    assert features[0].tolist() == [0.0] * 128 + [1.0] * 128 + [0.0]
    assert features[1, 0].item() == pytest.approx(torch.tensor(3.0).sin().item())
    assert features[1, 127].item() == pytest.approx(
        torch.tensor(3.0 * 2**14, dtype=torch.float64).sin().item(), abs=1e-2
    )
    assert features[1, -1] == 3
    # neighboring timesteps are told apart
    steps = scalar_features(torch.arange(1000.0), 20.0)
    assert torch.pdist(steps[:, :-1]).min() > 0.1


def test_attention_by_hand_is_the_library_s():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 7, 16).bfloat16().requires_grad_()
    by_hand = attention(q, k, v, 0.0)
    library = torch.nn.functional.scaled_dot_product_attention(q.double(), k.double(), v.double())
    assert by_hand.dtype == torch.bfloat16
    # bfloat16 keeps 8 bits: scores up to 5 and values up to 3 are off by 2^-8 of themselves
    assert torch.allclose(by_hand.double(), library, atol=0.05)
    q, k, v = (x.float() for x in (q, k, v))
    assert torch.allclose(attention(q, k, v, 0.0).double(), library, atol=1e-5)

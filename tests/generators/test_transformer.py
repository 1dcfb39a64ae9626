from itertools import pairwise

import pytest
import torch

from novelweights.generators.hyperdiffusion import HyperDiffusion
from novelweights.generators.parts.transformer import (
    SCALAR_FEATURES,
    TokenTransformer,
    attention,
    parameter_count,
    scalar_features,
    token_sizes,
)
from novelweights.networks.mlp import MNIST_MLP
from novelweights.weights.layout import WeightLayout

FIELD_SIZES = (27, 128, 128, 128, 1)
FIELD = WeightLayout(
    tuple(
        entry
        for i, (fan_in, fan_out) in enumerate(pairwise(FIELD_SIZES))
        for entry in (
            (f"layers.{i}.weight", (fan_out, fan_in)),
            (f"layers.{i}.bias", (fan_out,)),
        )
    )
)
"""HyperDiffusion's occupancy network, 36,737 weights."""


def hyperdiffusion_size(**settings):
    with torch.device("meta"):
        return parameter_count(HyperDiffusion(**settings).network(FIELD))


def test_hyperdiffusion_has_the_published_size():
    assert FIELD.size == 36_737
    assert (
        hyperdiffusion_size() == 1_407_225_600
    )  # Source: paper, Table 1 (1.4B), code of the method


@pytest.mark.parametrize(
    ("settings", "billions"),
    [
        ({"width": 3600, "heads": 20}, 2.13),
        ({"width": 2160, "heads": 12}, 0.83),
        ({"layers": 18}, 2.00),
        ({"layers": 8}, 1.01),
    ],
)
def test_hyperdiffusions_variants_have_theirs(settings, billions):
    # Source: paper, Table 1, with the widths recovered from the counts
    assert round(hyperdiffusion_size(**settings) / 1e9, 2) == billions


@pytest.mark.parametrize("chunk", [0, 1, 7, 1000, 10**6])
def test_tokens_cover_the_weights_and_never_mix_parameters(chunk):
    layout = MNIST_MLP.layout
    sizes = torch.tensor(token_sizes(layout, chunk))
    assert sizes.sum() == layout.size
    assert chunk == 0 or sizes.max() <= chunk
    ends = set(sizes.cumsum(0).tolist())
    assert {where.stop for where in layout.slices.values()} <= ends
    if chunk == 0:
        assert len(sizes) == len(layout.shapes)


def test_a_zero_initialized_output_is_zero_and_another_is_not():
    tokens = [torch.randn(3, size) for size in (4, 6, SCALAR_FEATURES)]
    for zero in (True, False):
        torch.manual_seed(0)
        model = TokenTransformer(
            [4, 6, SCALAR_FEATURES], [4, 6], width=16, layers=2, heads=2, zero_init_output=zero
        )
        output = model(tokens)
        assert output.shape == (3, 10)
        assert bool((output == 0).all()) is zero


def test_every_output_sees_every_token():
    torch.manual_seed(0)
    model = TokenTransformer([4, 4, 3], [4, 4], width=16, layers=1, heads=2).eval()
    tokens = [torch.randn(1, size, requires_grad=True) for size in (4, 4, 3)]
    for column in (0, 7):
        grads = torch.autograd.grad(model(tokens)[0, column], tokens)
        assert all(float(grad.abs().max()) > 0 for grad in grads)


def test_positions_are_learned_and_begin_at_zero():
    torch.manual_seed(0)
    model = TokenTransformer([4, 3], [4], width=16, layers=1, heads=2).eval()
    assert (model.positions == 0).all()
    tokens = [torch.randn(2, 4), torch.randn(2, 3)]
    before = model(tokens)
    before.square().sum().backward()
    assert model.positions.grad is not None
    assert (model.positions.grad.abs().amax(dim=1) > 0).all()
    torch.nn.init.normal_(model.positions)
    assert not torch.allclose(model(tokens), before, atol=1e-3)


def test_checkpoints_of_a_batch_do_not_see_each_other():
    torch.manual_seed(0)
    model = TokenTransformer([4, 3], [4], width=16, layers=2, heads=4).eval()
    tokens = [torch.randn(5, 4), torch.randn(5, 3)]
    alone = torch.cat([model([t[i : i + 1] for t in tokens]) for i in range(5)])
    assert torch.allclose(model(tokens), alone, atol=1e-6)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    model = TokenTransformer([4, 3], [4], width=16, layers=1, heads=2, dropout=0.5)
    tokens = [torch.randn(5, 4), torch.randn(5, 3)]
    assert not torch.equal(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="3 heads do not divide width 16"):
        TokenTransformer([4], [4], width=16, layers=1, heads=3)


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
    assert torch.allclose(by_hand.double(), library, atol=0.02)
    q, k, v = (x.float() for x in (q, k, v))
    assert torch.allclose(attention(q, k, v, 0.0).double(), library, atol=1e-5)

"""Tokens: every weight in one token, and back; tokens of neurons move as neurons do."""

import pytest
import torch

from novelweights.errors import InputError
from novelweights.generators.parts.tokens import tokens_of_neurons, tokens_of_parameters
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry, transform

NETWORK = OneHiddenMLP(5, 4, 3)
# two hidden layers: the second's incoming weights are the first's outgoing ones
DEEP = WeightLayout((("a", (4, 5)), ("b", (2, 4)), ("c", (3, 2)), ("d", (3,))))
DEEP_SYMMETRY = NeuronSymmetry({"a": ("h", None), "b": ("g", "h"), "c": (None, "g"), "d": (None,)})


def some(layout):
    return torch.randn(3, layout.size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("chunk", [0, 1, 7, 1000])
@pytest.mark.parametrize("neurons", [False, True])
@pytest.mark.parametrize(
    ("layout", "symmetry"), [(NETWORK.layout, NETWORK.symmetry), (DEEP, DEEP_SYMMETRY)]
)
def test_every_weight_is_in_one_token(chunk, neurons, layout, symmetry):
    cut = tokens_of_parameters(layout, chunk)
    if neurons:
        cut = tokens_of_neurons(layout, symmetry, chunk)
    weights = some(layout)
    tokens = cut.split(weights)
    assert tuple(token.shape[1] for token in tokens) == cut.sizes
    assert chunk == 0 or max(cut.sizes) <= chunk
    joined = torch.cat(tokens, dim=1)
    assert torch.equal(joined.sort(dim=1).values, weights.sort(dim=1).values)
    assert torch.equal(cut.join(joined), weights)


def test_a_neuron_is_its_incoming_weights_its_bias_and_its_outgoing_weights():
    weights = some(NETWORK.layout)
    state = NETWORK.layout.unflatten(weights)
    tokens = tokens_of_neurons(NETWORK.layout, NETWORK.symmetry, 0).split(weights)
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
    weights = some(NETWORK.layout)
    order = torch.tensor([[2, 0, 3, 1]]).expand(3, 4)
    moved = transform(weights, NETWORK.layout, NETWORK.symmetry, {"h": order})
    cut = tokens_of_neurons(NETWORK.layout, NETWORK.symmetry, 0)
    before, after = cut.split(weights), cut.split(moved)
    for new, old in enumerate([2, 0, 3, 1]):
        assert torch.equal(after[new], before[old])
    assert torch.equal(after[-1], before[-1])


def test_neurons_have_to_be_known():
    with pytest.raises(InputError, match="choose tokens of parameters"):
        tokens_of_neurons(NETWORK.layout, None, 0)
    none = NeuronSymmetry({n: (None,) * len(s) for n, s in NETWORK.layout.shapes})
    with pytest.raises(InputError, match="choose tokens of parameters"):
        tokens_of_neurons(NETWORK.layout, none, 0)

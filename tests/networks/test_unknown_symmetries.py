"""Where derivation stops, what moves is not known: said of those parameters, and never "none"."""

import json

import pytest
import torch
from commands import done
from families_by_hand import BY_NAME, table_of
from planted import prepared
from refused import noted
from torch import nn

from novelweights.auditing.prepare import NO_MOVES
from novelweights.networks.module_network import module_network
from novelweights.networks.symmetry_of import layout_of, symmetry_of
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.symmetry import NeuronSymmetry

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))


class HalfUnknown(nn.Module):
    """A layer that is followed, and one whose outputs pass a function without a rule."""

    input_shape = (4,)

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 5), nn.Linear(5, 6), nn.Linear(4, 2)

    def forward(self, x):
        x = torch.tanh(self.second(torch.relu(self.first(x))))
        return self.last(torch.fft.rfft(x).abs())


class Unknown(nn.Module):
    input_shape = (4,)

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 5)

    def forward(self, x):
        return torch.fft.fft(self.first(x)).real


class Memory(nn.Module):
    input_shape = (4,)

    def __init__(self):
        super().__init__()
        self.cell, self.last = nn.GRUCell(4, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.last(self.cell(x))


def test_parameters_behind_a_function_without_a_rule_are_named_with_it():
    table = symmetry_of(HalfUnknown(), X)
    assert table.sizes(layout_of(HalfUnknown())) == {"first": 5}
    assert set(table.unknown) == {"second.weight", "second.bias", "last.weight"}
    assert all("fft_rfft" in why for why in table.unknown.values())
    assert "second.weight" in table.describe_unknown()
    assert NeuronSymmetry.from_json(json.loads(json.dumps(table.to_json()))) == table
    assert set(table.only(["second.bias", "first.bias"]).unknown) == {"second.bias"}


UNKNOWN = {
    "transformer, grouped queries",
    "Llama with tied embedding",
    "ResNeXt, three groups of two channels",
    "MobileNet, a filter per channel",
    "group normalization, four groups of two",
}
"""Families where neurons may move inside blocks as well, which tables do not hold."""


@pytest.mark.parametrize("name", BY_NAME)
def test_nothing_is_unknown_of_what_is_followed_to_the_end(name):
    assert bool(table_of(name).unknown) == (name in UNKNOWN)


def population(module, n=4):
    layout = layout_of(module)
    records = Records.of([f"run{i}" for i in range(n)], split="train")
    weights = torch.randn(n, layout.size, generator=torch.Generator().manual_seed(n))
    return Population(weights, layout, records, PopulationInfo())


@pytest.mark.parametrize("kind", [HalfUnknown, Unknown])
def test_an_audit_says_so(kind):
    table, checkpoints = symmetry_of(kind(), X), population(kind())
    result = prepared(checkpoints, checkpoints, symmetry=table)
    assert "not known" in result.distance.symmetry
    assert "none" not in result.distance.symmetry
    assert noted(result.warnings, "unknown-symmetry", "fft")


def test_none_is_said_only_where_all_is_known():
    table, checkpoints = symmetry_of(nn.Linear(4, 2), X), population(nn.Linear(4, 2))
    result = prepared(checkpoints, checkpoints, symmetry=table)
    assert result.distance.symmetry == NO_MOVES
    assert not noted(result.warnings, "unknown-symmetry")


def test_the_command_says_so():
    told = done("symmetry", "test_unknown_symmetries:Unknown")
    assert "not known: first.weight, first.bias" in told
    assert "no neurons" not in told


def test_of_a_network_that_is_refused_nothing_is_known():
    network = module_network(Memory(), layout_of(Memory()), X)
    assert set(network.symmetry.unknown) == {name for name, _ in network.layout.shapes}
    assert not network.symmetry.sizes(network.layout)

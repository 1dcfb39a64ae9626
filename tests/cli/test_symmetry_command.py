"""A network of one's own, or a table, as the symmetry of an audit."""

import json
from pathlib import Path

import pytest
import torch
from commands import run
from torch import nn

from novelweights.networks.declared import network_at
from novelweights.networks.mlp import DeepMLP
from novelweights.weights.symmetry import NeuronSymmetry, random_transform

NETWORKS = """
from torch import nn

def small():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))

def normalized():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2)
    )

class NeedsArguments(nn.Module):
    def __init__(self, width):
        super().__init__()

class Memory(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTM(4, 3)

    def forward(self, x):
        return self.cell(x)[0]

number = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with networks of one's own and state dicts of one of them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_networks.py").write_text(NETWORKS)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    for role, n in (("train", 12), ("generated", 4)):
        (tmp_path / role).mkdir()
        for i in range(n):
            state = {k: torch.randn(v.shape) for k, v in module.state_dict().items()}
            torch.save({f"block{k}": v for k, v in state.items()}, tmp_path / role / f"{i}.pt")
    return tmp_path


def renamed(folder):
    """The state dicts with the names that the network gives them."""
    for path in folder.glob("*/*.pt"):
        state = torch.load(path, weights_only=True)
        torch.save({k.removeprefix("block"): v for k, v in state.items()}, path)
    return folder


def test_a_network_of_ones_own_is_told_and_written(folder):
    result = run("symmetry", "own_networks:small", "--input-shape", "4", "-o", "table.json")
    assert result.exit_code == 0, result.output
    assert "0: 6 may be reordered, signs too" in result.output
    assert "2: 5 may be reordered\n" in result.output
    table = NeuronSymmetry.from_json(json.loads((folder / "table.json").read_text()))
    assert table.axes["2.weight"] == ("2", "0")


def audited(*options):
    result = run(
        *("audit", "--train", "train", "--generated", "generated", "--task", "none"),
        *("-o", "run", "--overwrite", *options),
    )
    return result, json.loads(Path("run/audit.json").read_text()) if result.exit_code == 0 else None


@pytest.mark.integration
def test_an_audit_takes_the_network_or_the_table(folder):
    renamed(folder)
    own = ("--network", "own_networks:small", "--input-shape", "4")
    result, told = audited(*own)
    assert result.exit_code == 0, result.output
    assert told["distance"]["symmetry"] == "permutations and sign flips of 6 and 5 neurons"
    assert not told["distance"]["is_exact"]
    run("symmetry", "own_networks:small", "--input-shape", "4", "-o", "table.json")
    result, again = audited("--symmetry", "table.json")
    assert result.exit_code == 0, result.output
    assert again["distance"] == told["distance"]


@pytest.mark.integration
def test_a_table_that_moves_running_statistics_is_taken_for_checkpoints_without(folder):
    for path in folder.glob("*/*.pt"):
        module = network_at("own_networks:normalized")
        nn.init.normal_(module[1].weight)
        torch.save(module.state_dict(), path)
    own = ("--network", "own_networks:normalized", "--input-shape", "1x4x4")
    run("symmetry", own[1], *own[2:], "-o", "table.json")
    table = json.loads((folder / "table.json").read_text())
    assert table["axes"]["1.running_mean"] == ["0"]
    result, told = audited("--symmetry", "table.json", *own)
    assert result.exit_code == 0, result.output
    assert "sign flips of the 6 hidden neurons" in told["distance"]["symmetry"]
    table["axes"]["1.running_mean"] = [None]  # stays behind when the filters move
    table["flips"] = {}
    (folder / "table.json").write_text(json.dumps(table))
    result, _ = audited("--symmetry", "table.json", *own)
    assert result.exit_code == 2
    assert "0 (0.weight" in result.output.replace("\n", " ")


def test_what_does_not_fit_is_refused_with_its_name(folder):
    run("symmetry", "own_networks:small", "--input-shape", "4", "-o", "table.json")
    own = ("--network", "own_networks:small", "--input-shape", "4")
    for options, words in (
        (own, "block0.weight is 6x4 in the checkpoints and missing in the network"),
        (("--symmetry", "table.json"), "block0.weight, block0.bias, block2.weight and 3 more not"),
        (("--symmetry", "nothing.json"), "expected auto, none or a symmetry file"),
        (("--symmetry", "own_networks.py"), "expected a symmetry table"),
        (own[:2], "expected the shape of one example, the network has no input_shape"),
        (own[2:], "(--network) beside --data and --input-shape"),
    ):
        result, _ = audited(*options)
        assert result.exit_code == 2, result.output
        assert words in result.output.replace("\n", " ")


def test_a_table_that_changes_the_function_is_refused_with_its_layers(folder):
    renamed(folder)
    run("symmetry", "own_networks:small", "--input-shape", "4", "-o", "table.json")
    table = json.loads((folder / "table.json").read_text())
    table["sign_groups"] = ["0", "2"]  # a ReLU is not odd
    (folder / "table.json").write_text(json.dumps(table))
    own = ("--network", "own_networks:small", "--input-shape", "4")
    result, _ = audited("--symmetry", "table.json", *own)
    assert result.exit_code == 2
    assert "2 (2.weight, 2.bias, 4.weight)" in result.output.replace("\n", " ")
    table["axes"]["2.weight"] = [None, "2"]
    (folder / "table.json").write_text(json.dumps(table))
    result, _ = audited("--symmetry", "table.json", *own)
    assert result.exit_code == 2
    assert "does not fit the checkpoints" in result.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("network", "shape", "words"),
    [
        ("own_networks", "4", "expected a network as my_module:MyNetwork"),
        ("no_such_module:Net", "4", "no_such_module"),
        ("own_networks:Missing", "4", "Missing"),
        ("own_networks:NeedsArguments", "4", "without arguments"),
        ("own_networks:number", "4", "without arguments"),
        ("own_networks:small", "4x", "expected the shape of one example"),
        ("own_networks:small", "0", "expected the shape of one example"),
        ("own_networks:small", "5", "expected a network that runs on the example"),
        ("own_networks:Memory", "4", "cell"),
    ],
)
def test_networks_that_cannot_be_used_are_refused(folder, network, shape, words):
    result = run("symmetry", network, "--input-shape", shape)
    assert result.exit_code == 2
    assert words in result.output.replace("\n", " ")
    assert "Traceback" not in result.output


@pytest.mark.integration
def test_a_chain_of_state_dicts_is_aligned_without_being_told(folder, rng):
    network = DeepMLP(4, (6, 5), 2)
    train = torch.randn(30, network.layout.size, generator=rng)
    moved = random_transform(train[:6], network.layout, network.symmetry, rng=rng)
    for role, rows in (("train", train), ("generated", moved)):
        for path in (folder / role).glob("*.pt"):
            path.unlink()
        for i, state in enumerate(rows):
            torch.save(network.layout.unflatten(state), folder / role / f"{i}.pt")
    result, told = audited()
    assert result.exit_code == 0, result.output
    assert told["distance"]["symmetry"] == "permutations of 6 and 5 neurons"
    verdicts = (folder / "run/checkpoints.csv").read_text().splitlines()[1:]
    assert sum("replica" in line for line in verdicts) >= 5, verdicts

"""A network of one's own, or a table, as the symmetry of an audit."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from attention_families import Transformer, TwoNames
from commands import done, fails
from torch import nn

from novelweights.networks.declared import network_at
from novelweights.networks.mlp import DeepMLP
from novelweights.networks.symmetry_of import layout_of, symmetry_of
from novelweights.weights.rescaled import random_rescaling
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
    result = done("symmetry", "own_networks:small", "--input-shape", "4", "-o", "table.json")
    assert "0: 6 may be reordered, signs too" in result
    assert "2: 5 may be reordered\n" in result
    table = NeuronSymmetry.from_json(json.loads((folder / "table.json").read_text()))
    assert table.axes["2.weight"] == ("2", "0")


OWN = ("--network", "own_networks:small", "--input-shape", "4")
AUDIT = ("audit", "--train", "train", "--generated", "generated", "--task", "none", "-o", "run")


def audited(*options):
    done(*AUDIT, "--overwrite", *options)
    return json.loads(Path("run/audit.json").read_text())


@pytest.mark.integration
def test_an_audit_takes_the_network_or_the_table(folder):
    renamed(folder)
    told = audited(*OWN)
    assert told["distance"]["symmetry"] == "permutations and sign flips of 6 and 5 neurons"
    assert not told["distance"]["is_exact"]
    done("symmetry", *OWN[1:], "-o", "table.json")
    assert audited("--symmetry", "table.json")["distance"] == told["distance"]


@pytest.mark.integration
def test_a_table_that_moves_running_statistics_is_taken_for_checkpoints_without(folder):
    for path in folder.glob("*/*.pt"):
        module = network_at("own_networks:normalized")
        nn.init.normal_(module[1].weight)
        torch.save(module.state_dict(), path)
    own = ("--network", "own_networks:normalized", "--input-shape", "1x4x4")
    done("symmetry", *own[1:], "-o", "table.json")
    table = json.loads((folder / "table.json").read_text())
    assert table["axes"]["1.running_mean"] == ["0"]
    told = audited("--symmetry", "table.json", *own)
    assert "sign flips of the 6 hidden neurons" in told["distance"]["symmetry"]
    table["axes"]["1.running_mean"] = [None]  # stays behind when the filters move
    table["flips"] = {}
    (folder / "table.json").write_text(json.dumps(table))
    again = (*AUDIT, "--overwrite", "--symmetry", "table.json", *own)
    fails(*again, code="wrong-symmetry", named="0 (0.weight")


def test_what_does_not_fit_is_refused_with_its_name(folder):
    done("symmetry", *OWN[1:], "-o", "table.json")
    for options, code, named in (
        (OWN, "other-network", "block0.weight is 6x4"),
        (("--symmetry", "table.json"), "wrong-symmetry", "block0.weight, block0.bias"),
        (("--symmetry", "nothing.json"), "not-found", "nothing.json"),
        (("--symmetry", "own_networks.py"), "damaged", "own_networks.py"),
        (OWN[:2], "wrong-option", "--input-shape"),
        (OWN[2:], "wrong-option", "--network"),
    ):
        fails(*AUDIT, *options, code=code, named=named)


def test_a_table_that_changes_the_function_is_refused_with_its_layers(folder):
    renamed(folder)
    done("symmetry", *OWN[1:], "-o", "table.json")
    table = json.loads((folder / "table.json").read_text())
    table["sign_groups"] = ["0", "2"]  # a ReLU is not odd
    (folder / "table.json").write_text(json.dumps(table))
    words = (*AUDIT, "--symmetry", "table.json", *OWN)
    fails(*words, code="wrong-symmetry", named="2 (2.weight, 2.bias, 4.weight)")
    table["axes"]["2.weight"] = [None, "2"]
    (folder / "table.json").write_text(json.dumps(table))
    fails(*words, code="wrong-symmetry", named="2.bias")


@pytest.mark.parametrize(
    ("network", "shape", "code", "named"),
    [
        ("own_networks", "4", "unknown-name", "'own_networks'"),
        ("no_such_module:Net", "4", "network-failed", "no_such_module"),
        ("own_networks:Missing", "4", "network-failed", "Missing"),
        ("own_networks:NeedsArguments", "4", "network-failed", "width"),
        ("own_networks:number", "4", "network-failed", "int"),
        ("own_networks:small", "4x", "wrong-option", "'4x'"),
        ("own_networks:small", "0", "wrong-option", "'0'"),
        ("own_networks:small", "5", "network-failed", "2x5"),
        ("own_networks:Memory", "4", "not-traceable", "cell"),
    ],
)
def test_networks_that_cannot_be_used_are_refused(folder, network, shape, code, named):
    fails("symmetry", network, "--input-shape", shape, code=code, named=named)


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
    alone = audited()
    assert alone["distance"]["symmetry"].startswith("permutations of 6 and 5 neurons; not known of")
    assert "unknown-symmetry" in [note["code"] for note in alone["warnings"]]
    verdicts = (folder / "run/checkpoints.csv").read_text().splitlines()[1:]
    assert sum("replica" in line for line in verdicts) >= 5, verdicts


@pytest.mark.integration
@pytest.mark.usefixtures("quick", "few_controls")
def test_turned_copies_of_a_transformer_are_replicas_of_the_right_runs(folder, rng):
    module = Transformer(2)
    table, layout = symmetry_of(module, torch.randn(2, 20)), layout_of(module)

    def save(role, weights):
        shutil.rmtree(folder / role, ignore_errors=True)
        (folder / role).mkdir()
        for i, state in enumerate(weights):
            torch.save(layout.unflatten(state), folder / role / f"{role}{i:02d}.pt")

    train, heldout = (torch.randn(n, layout.size, generator=rng) for n in (10, 20))
    moved = random_transform(train[[6, 2]], layout, table, rng=rng)
    for role, weights in (
        ("train", train),
        ("heldout", heldout),
        ("generated", random_rescaling(moved, layout, table, rng=rng)),
    ):
        save(role, weights)
    network = ("--network", "attention_families:Transformer")
    done(*AUDIT, "--heldout", "heldout", *network)
    rows = pd.read_csv("run/checkpoints.csv")
    assert rows["verdict"].tolist() == ["replica"] * 2
    assert rows["canonical_run"].tolist() == ["train06", "train02"]


@pytest.mark.integration
@pytest.mark.usefixtures("quick", "few_controls")
@pytest.mark.parametrize("without", [None, "again.*", "inside.*"])
def test_a_module_of_two_names_is_read_and_counted_once(folder, without):
    for role, n in (("train", 8), ("generated", 4)):
        shutil.rmtree(folder / role)
        (folder / role).mkdir()
        for i in range(n):
            torch.save(TwoNames().state_dict(), folder / role / f"{role}{i}.pt")
    network = ("--network", "attention_families:TwoNames", "--input-shape", "6")
    done(*AUDIT, *network, *([] if without is None else ["--exclude", without]))
    result = json.loads(Path("run/audit.json").read_text())
    assert result["about"]["weights"] == layout_of(TwoNames()).size


def test_what_is_left_out_and_no_longer_equal_is_refused(folder):
    for i, path in enumerate(sorted((folder / "train").glob("*.pt"))):
        state = TwoNames().state_dict()
        if i == 4:
            state["again.bias"] = state["again.bias"] + 1
        torch.save(state, path)
    words = ("audit", "--train", "train", "--generated", "train", "-o", "run")
    fails(*words, "--exclude", "again.*", code="other-network", named="again.bias")

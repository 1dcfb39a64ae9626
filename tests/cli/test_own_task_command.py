"""A task of one's own judges an audit: a network with labelled examples, or an object."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import done, fails, run
from torch import nn

from novelweights.errors import InputError

OWN = """
import torch
from torch import nn
from novelweights.tasks.task import Measure

def small():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))

class Norms:
    name = "norms"
    quality = Measure("norm", "", True)
    novelty = Measure("difference of norms", "", True)

    def behave(self, population):
        return population.weights.norm(dim=1, keepdim=True)

    def score(self, behavior):
        return behavior[:, 0]

    def novelty_against(self, behavior, reference, *, exclude=None):
        apart = (behavior - reference.T).abs()
        return (apart if exclude is None else apart.masked_fill(exclude, torch.inf)).amin(dim=1)

"""
NETWORK = ("--network", "own_audit_task:small")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """State dicts of 20 tiny networks, saved by a wrapper, 4 generated ones, and examples."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_audit_task.py").write_text(OWN)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    x, trained = torch.randn(120, 4), []
    for role, n in (("train", 20), ("generated", 4)):
        (tmp_path / role).mkdir()
        for i in range(n):
            state = {k: torch.randn(v.shape) for k, v in module.state_dict().items()}
            if trained:  # runs that learned the same
                state = {k: trained[0][k] + 0.1 * v for k, v in state.items()}
            state = trained[i] if role == "generated" else state
            trained.append(state)
            torch.save({f"model.{k}": v for k, v in state.items()}, f"{role}/{i:02d}.pt")
    module.load_state_dict(trained[0])
    np.savez("test.npz", x=x.numpy(), y=module(x).argmax(dim=1).numpy())
    return tmp_path


AUDIT = ("audit", "--train", "train", "--generated", "generated", "-o", "run", "--overwrite")


@pytest.fixture
def asked(monkeypatch) -> dict:
    """What the command asks of the audit, which does not run."""
    found = {}

    def stop(inputs, origins, *, command, progress):
        found.update(vars(inputs), command=command)
        raise InputError("stopped", "unsuited")

    monkeypatch.setattr("novelweights.api.audited", stop)
    return found


def test_own_network_and_examples_judge_behavior(folder):
    said = done(*AUDIT, *NETWORK, "--data", "test.npz", "--symmetry", "none")
    told = json.loads(Path("run/audit.json").read_text())
    assert "120 examples of 4" in said
    assert "behavior: " not in said
    assert told["about"]["task"] == "own_audit_task:small on test.npz"
    assert told["quality"]["name"] == "accuracy"
    with (folder / "run/checkpoints.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["quality"]) == 100  # the network that the classes come from
    manifest = json.loads((folder / "run/manifest.json").read_text())
    assert "--network own_audit_task:small --data test.npz" in manifest["command"]


def test_without_a_task_the_audit_says_what_it_cannot_say(folder, asked):
    assert "behavior: " in done(*AUDIT, code=2)
    assert asked["task"] is None


def test_own_network_tells_the_symmetry_of_logits_too(folder, asked):
    options = (*NETWORK, "--input-shape", "4", "--data", "test.npz")
    run(*AUDIT, *options)
    found = asked["symmetry"]
    assert found.sizes(asked["task"].network.layout) == {"0": 6}
    assert found.sign_groups == {"0"}
    assert len(found.continuous.shifts) == 2
    assert " ".join(options) in asked["command"]
    run(*AUDIT, *options, "--task", "own_audit_task:Norms")
    assert asked["task"].name == "norms"
    assert asked["symmetry"] == found


def test_a_task_object_judges_behavior(folder, asked):
    run(*AUDIT, "--task", "own_audit_task:Norms")
    assert asked["task"].name == "norms"
    assert "--task own_audit_task:Norms" in asked["command"]


def test_what_does_not_go_together_is_refused_in_one_line(folder):
    np.savez("classes.npz", x=np.zeros((2, 4)), y=np.array([0, 3]))
    np.savez("long.npz", x=np.zeros((2, 5)), y=np.array([0, 1]))
    data = ("--data", "test.npz")
    for options, code, named in (
        (data, "wrong-option", "--network"),
        (("--task", "own_audit_task:Norms", *data), "wrong-option", "--network"),
        (NETWORK, "wrong-option", "--input-shape"),
        (("--input-shape", "4"), "wrong-option", "--network"),
        ((*NETWORK, *data, "--input-shape", "5"), "wrong-shape", "test.npz"),
        ((*NETWORK, "--data", "none.npz"), "not-found", "none.npz"),
        ((*NETWORK, "--data", "classes.npz"), "wrong-content", "classes.npz"),
        ((*NETWORK, "--data", "long.npz"), "network-failed", "5"),
        (("--task", "own_audit_task:Missing"), "network-failed", "Missing"),
        (("--network", "own_audit_task:Norms", *data), "wrong-type", "Norms"),
    ):
        fails(*AUDIT, *options, code=code, named=named)

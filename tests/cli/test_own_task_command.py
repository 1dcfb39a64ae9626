"""A task of one's own judges an audit: a network with labelled examples, or an object."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner, Result

from novelweights.cli.main import app
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
    x, trained = torch.randn(30, 4), []
    for role, n in (("train", 20), ("generated", 4)):
        (tmp_path / role).mkdir()
        for i in range(n):
            state = {k: torch.randn(v.shape) for k, v in module.state_dict().items()}
            state = trained[i] if role == "generated" else state
            trained.append(state)
            torch.save({f"model.{k}": v for k, v in state.items()}, f"{role}/{i:02d}.pt")
    module.load_state_dict(trained[0])
    np.savez("test.npz", x=x.numpy(), y=module(x).argmax(dim=1).numpy())
    return tmp_path


def audited(*options) -> Result:
    words = ("audit", "--train", "train", "--generated", "generated", "-o", "run", "--overwrite")
    return CliRunner().invoke(app, [*words, *options])


@pytest.fixture
def asked(monkeypatch) -> dict:
    """What the command asks of the audit, which does not run."""
    found = {}

    def stop(inputs, origins, *, command, progress):
        found.update(vars(inputs), command=command)
        raise InputError("stopped")

    monkeypatch.setattr("novelweights.api.audited", stop)
    return found


def test_own_network_and_examples_judge_behavior(folder):
    result = audited(*NETWORK, "--data", "test.npz", "--symmetry", "none")
    assert result.exit_code == 0, result.output
    told = json.loads(Path("run/audit.json").read_text())
    assert "30 examples of 4, numbers as given, not normalized" in result.output
    assert "behavior: not judged" not in result.output
    assert told["about"]["task"] == "own_audit_task:small on test.npz"
    assert told["quality"]["name"] == "accuracy"
    with (folder / "run/checkpoints.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["quality"]) == 100  # the network that the classes come from
    manifest = json.loads((folder / "run/manifest.json").read_text())
    assert "--network own_audit_task:small --data test.npz" in manifest["command"]


def test_without_a_task_the_audit_says_what_it_cannot_say(folder, asked):
    result = audited()
    assert "behavior: not judged" in result.output
    assert "nothing is called novel" in result.output
    assert asked["task"] is None


def test_own_network_tells_the_symmetry_of_logits_too(folder, asked):
    options = (*NETWORK, "--input-shape", "4", "--data", "test.npz")
    audited(*options)
    found = asked["symmetry"]
    assert found.sizes(asked["task"].network.layout) == {"0": 6}
    assert found.sign_groups == {"0"}
    assert len(found.continuous.shifts) == 2
    assert " ".join(options) in asked["command"]
    audited(*options, "--task", "own_audit_task:Norms")
    assert asked["task"].name == "norms"
    assert asked["symmetry"] == found


def test_a_task_object_judges_behavior(folder, asked):
    audited("--task", "own_audit_task:Norms")
    assert asked["task"].name == "norms"
    assert "--task own_audit_task:Norms" in asked["command"]


def test_what_does_not_go_together_is_refused_in_one_line(folder):
    np.savez("classes.npz", x=np.zeros((2, 4)), y=np.array([0, 3]))
    np.savez("long.npz", x=np.zeros((2, 5)), y=np.array([0, 1]))
    data = ("--data", "test.npz")
    for options, words in (
        (data, "(--network) beside --data"),
        (("--task", "own_audit_task:Norms", *data), "(--network) beside --data"),
        (NETWORK, "the network has no input_shape; add --input-shape"),
        (("--input-shape", "4"), "expected the network"),
        ((*NETWORK, *data, "--input-shape", "5"), "expected examples of 5 (--input-shape), got 4"),
        ((*NETWORK, "--data", "none.npz"), "there is none"),
        ((*NETWORK, "--data", "classes.npz"), "expected classes 0 to 2"),
        ((*NETWORK, "--data", "long.npz"), "is the shape of an example right?"),
        (("--task", "own_audit_task:Missing"), "expected a task or what makes one"),
        (("--network", "own_audit_task:Norms", *data), "expected a torch.nn.Module"),
    ):
        result = audited(*options)
        assert result.exit_code == 2, result.output
        assert words in result.output.replace("\n", " "), (options, result.output)
        assert "Traceback" not in result.output

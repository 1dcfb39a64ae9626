"""The network of the README, with batch normalization, audited from ordinary files."""

import csv
import json
import re
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import done, fails
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from novelweights.data.images import load_data

pytestmark = pytest.mark.integration

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
[CODE] = re.findall(r"^```python\n# my_module.py\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
N, STEPS, BATCH = {"train": 10, "heldout": 20, "generated": 5}, 120, 64
AUDIT = ("audit", "--train", "train", "--heldout", "heldout", "--symmetry", "none", "--overwrite")
NETWORK = ("--network", "my_module:MyNetwork", "--data", "test.npz")


def trained(make: type[nn.Module], n: int) -> list[dict[str, torch.Tensor]]:
    """State dicts of n independent runs, trained together, each normalized by its own batches."""
    torch.manual_seed(0)
    networks = [make() for _ in range(n)]
    weights, buffers = stack_module_state(networks)
    statistics = {name: value for name, value in buffers.items() if "running" in name}
    data, base = load_data("digits"), networks[0]
    x = data.train_x.reshape(-1, 1, 8, 8)
    optimizer = torch.optim.Adam(list(weights.values()), lr=0.01)

    def loss(one: dict, own: dict, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(functional_call(base, {**one, **own}, images), labels)

    for _ in range(STEPS):
        rows = torch.randint(len(x), (n, BATCH))
        optimizer.zero_grad()
        vmap(loss)(weights, statistics, x[rows], data.train_y[rows]).sum().backward()
        optimizer.step()
    count = torch.tensor(STEPS)
    counts = {f"norm{i}.num_batches_tracked": count for i in (1, 2)}
    whole = {**{name: value.detach() for name, value in weights.items()}, **statistics}
    return [{**{name: v[i].clone() for name, v in whole.items()}, **counts} for i in range(n)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks as torch.save({"model": ...}) keeps them; three generated ones are copies."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "my_module.py").write_text(CODE)
    sys.path.insert(0, str(folder))
    try:
        networks = trained(import_module("my_module").MyNetwork, sum(N.values()))
    finally:
        sys.path.remove(str(folder))
    networks[-3:] = networks[:3]
    data, done_so_far = load_data("digits"), 0
    for role, n in N.items():
        (folder / role).mkdir()
        for i, state in enumerate(networks[done_so_far : done_so_far + n]):
            torch.save({"model": state, "epoch": 20}, folder / role / f"{role}{i:02d}.pt")
        done_so_far += n
    (folder / "without").mkdir()
    for file in (folder / "generated").iterdir():
        kept = {k: v for k, v in torch.load(file)["model"].items() if "running" not in k}
        torch.save({"model": kept}, folder / "without" / file.name)
    x, y = data.test_x[:300].reshape(-1, 1, 8, 8).numpy(), data.test_y[:300].numpy()
    np.savez(folder / "test.npz", x=x, y=y)
    return folder


@pytest.fixture(autouse=True)
def _there(folder: Path, monkeypatch: pytest.MonkeyPatch, quick: None, few_controls: None) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def audited(*words: str, generated: str = "generated") -> tuple[dict, str]:
    """What audit.json holds, and what the command printed."""
    said = done(*AUDIT, "--generated", generated, *NETWORK, "-o", "run", *words)
    return json.loads(Path("run/audit.json").read_text()), said


def accuracies(folder: Path, roles: list[str]) -> list[np.ndarray]:
    """By torch itself, in evaluation mode."""
    network, found = import_module("my_module").MyNetwork().eval(), []
    data = np.load(folder / "test.npz")
    for role in roles:
        right = []
        for file in sorted((folder / role).iterdir()):
            network.load_state_dict(torch.load(file)["model"])
            with torch.no_grad():
                predicted = network(torch.from_numpy(data["x"])).argmax(dim=1).numpy()
            right.append(100 * (predicted == data["y"]).mean())
        found.append(np.array(right))
    return found


def codes(told: dict) -> set[str]:
    return {warning["code"] for warning in told["warnings"]}


def test_each_network_runs_with_the_statistics_in_its_file(folder: Path) -> None:
    told, _ = audited()
    expected = dict(zip(N, accuracies(folder, list(N)), strict=True))
    assert np.median(expected["train"]) > 85
    for role, key in (("train", "training"), ("heldout", "heldout"), ("generated", "generated")):
        np.testing.assert_allclose(told[key]["quality"], expected[role], atol=1e-6)
    assert told["about"]["weights"] == sum(
        v.numel() for k, v in torch.load("train/train00.pt")["model"].items() if "num" not in k
    )
    assert not codes(told) & {"failed-training", "missing-statistics", "no-task"}
    with Path("run/checkpoints.csv").open() as file:
        verdicts = [row["verdict"] for row in csv.DictReader(file)]
    assert verdicts[-3:] == ["replica"] * 3
    assert "replica" not in verdicts[:-3]


def test_statistics_that_generated_files_lack_are_recomputed_for_all(folder: Path) -> None:
    words = [*AUDIT, "--generated", "without", *NETWORK, "-o", "run"]
    fails(*words, code="other-network", named="--recalibrate-statistics")
    told, said = audited("--recalibrate-statistics", generated="without")
    assert {"missing-statistics", "recomputed-statistics"} <= codes(told)
    assert said.count("warning: ") == 2
    assert np.median(told["training"]["quality"]) > 85
    assert np.median(told["generated"]["quality"]) > 85
    again, _ = audited("--recalibrate-statistics")
    assert again["generated"]["quality"] == told["generated"]["quality"]
    assert "missing-statistics" not in codes(again)


def test_statistics_of_another_network_are_not_accepted_in_silence(folder: Path) -> None:
    told, said = audited("--shared", "train/train07.pt", generated="without")
    assert {"failed-training", "missing-statistics"} <= codes(told)
    assert "failed-training" in said
    assert told["generated"]["quality"] is None
    assert told["verdict"]["counts"]["broken"] == 0


def test_everything_may_be_included(folder: Path) -> None:
    told, _ = audited("--include", "*")
    [expected] = accuracies(folder, ["generated"])
    np.testing.assert_allclose(told["generated"]["quality"], expected, atol=1e-6)


def test_import_keeps_statistics(folder: Path) -> None:
    done("import", "auto", "train", "-o", "population", "--split", "train")
    layout = Path("population/layout.csv").read_text()
    assert "norm1.running_mean" in layout
    assert "norm2.running_var" in layout
    assert "num_batches_tracked" not in layout

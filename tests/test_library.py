"""The audit as a function: every form of checkpoints, planted truths, generators of one's own."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from folders import write_states
from planted import runs
from refused import refused
from torch import Tensor, nn

import novelweights as nw
from novelweights import api
from novelweights.auditing import stages
from novelweights.auditing.judge import statistics
from novelweights.auditing.prepare import AuditInputs
from novelweights.data.images import ImageData
from novelweights.files import read_json
from novelweights.generators import hyperdiffusion
from novelweights.generators.baselines import AddNoise
from novelweights.inputs import symmetry_of, target_of, task_of
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.tasks.classification import Classification
from novelweights.weights.perturb import average_rows
from novelweights.weights.symmetry import random_transform
from novelweights.weights.writer import save_population

NETWORK = OneHiddenMLP(5, 4, 3, "tanh")
N_TRAIN, N_HELDOUT, N_MADE = 24, 22, 8


def drawn(n: int, seed: int) -> Tensor:
    """Random networks, as if trained independently."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, NETWORK.layout.size, generator=rng)


TRAIN, HELDOUT = drawn(N_TRAIN, 0), drawn(N_HELDOUT, 1)


def states(weights: Tensor) -> list[dict[str, Tensor]]:
    return [NETWORK.layout.unflatten(row) for row in weights]


def loaded(weights: Tensor) -> list[nn.Module]:
    modules = []
    for state in states(weights):
        modules.append(NETWORK.module())
        modules[-1].load_state_dict(state)
    return modules


def copies(n: int) -> Tensor:
    """Training networks with their neurons in another order."""
    rng = torch.Generator().manual_seed(2)
    return random_transform(TRAIN[:n], NETWORK.layout, NETWORK.symmetry, rng=rng)


def judge() -> Classification:
    """Labels are those of one network, so that accuracies differ."""
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(100))
    y = NETWORK.forward(drawn(1, 101), x)[0].argmax(dim=1)
    return Classification("random", NETWORK, ImageData("random", "drawn", "none", x, y, x, y, (5,)))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bootstrap intervals of fewer draws, no controls, and no pages: they are tested there."""
    monkeypatch.setattr(stages, "measured_controls", lambda *given: {})
    monkeypatch.setattr(statistics, "DRAWS", 50)
    monkeypatch.setattr(api, "build_report", lambda folder: None)


def test_copies_are_replicas_and_are_written_as_they_were_measured(tmp_path: Path) -> None:
    heard: list[str] = []
    audited = nw.audit(
        states(TRAIN),
        copies(N_MADE),
        heldout={f"seed {i}": state for i, state in enumerate(states(HELDOUT))},
        symmetry=NETWORK.symmetry,
        task=judge(),
        progress=lambda stage, done, total: heard.append(stage),
    )
    assert audited.verdict is nw.Verdict.REPLICA
    assert audited.sentence
    assert repr(audited) == f"Audited(replica: {audited.sentence})"
    assert "<b>replica</b>" in audited._repr_html_()
    assert "controls" in heard

    page = audited.write(tmp_path / "run")
    assert page == tmp_path / "run" / "report.html"
    assert read_json(tmp_path / "run" / "audit.json") == json.loads(json.dumps(audited.to_json()))
    table = pd.read_csv(tmp_path / "run" / "checkpoints.csv", keep_default_na=False)
    ours = audited.to_dataframe()
    assert list(table) == list(ours)
    assert len(ours) == N_MADE
    assert set(ours["verdict"]) == {"replica"}
    assert list(table["nearest_run"]) == [f"train-{i:05d}" for i in range(N_MADE)]
    manifest = read_json(tmp_path / "run" / "manifest.json")
    assert manifest["inputs"]["heldout"]["path"] == "in memory"
    assert manifest["inputs"]["train"]["rows"] == N_TRAIN
    assert manifest["seconds"]["generated against training"] > 0
    with refused("exists", tmp_path / "run"):
        audited.write(tmp_path / "run")
    audited.write(tmp_path / "run", overwrite=True, page=False)
    assert not (tmp_path / "run" / "report.html").exists()
    assert read_json(tmp_path / "run" / "audit.json") == json.loads(json.dumps(audited.to_json()))


def test_averages_are_interpolations(rng: torch.Generator) -> None:
    made = average_rows(TRAIN, N_MADE, of=2, rng=rng)
    audited = nw.audit(TRAIN, made, heldout=HELDOUT)
    assert audited.verdict is nw.Verdict.INTERPOLATION
    assert audited.result.distance.name == "L2"


def test_fresh_networks_are_neither(tmp_path: Path) -> None:
    audited = nw.audit(
        runs(NETWORK, TRAIN, "train"),
        runs(NETWORK, drawn(N_MADE, 3), "generated"),
        heldout=runs(NETWORK, HELDOUT, "heldout"),
        task=judge(),
    )
    assert audited.verdict not in (nw.Verdict.REPLICA, nw.Verdict.INTERPOLATION)
    origins = list(audited.to_dataframe()["verdict"])
    assert origins.count("novel") + origins.count("undecided") >= N_MADE - 2


def test_state_dicts_and_files_give_the_same_numbers(tmp_path: Path) -> None:
    parts = {"train": TRAIN, "generated": copies(N_MADE), "heldout": HELDOUT}
    for role, weights in parts.items():
        write_states(tmp_path / role, NETWORK.layout, weights, f"{role}-{{i:05d}}.pt")
    names = {
        role: {f"{role}-{i:05d}": state for i, state in enumerate(states(weights))}
        for role, weights in parts.items()
    }
    read = nw.audit(tmp_path / "train", str(tmp_path / "generated"), heldout=tmp_path / "heldout")
    held = nw.audit(names["train"], names["generated"], heldout=names["heldout"])
    assert "permutations" in held.result.distance.symmetry
    numbers, theirs = held.to_json(), read.to_json()
    for role in ("training", "generated", "heldout"):  # where they were read is told
        assert numbers["about"][role].pop("recipe") != theirs["about"][role].pop("recipe")
    assert numbers == theirs
    assert read.origins["train"]["path"] == str(tmp_path / "train")
    assert {k: v["sha256"] for k, v in held.origins.items()} == {
        k: v["sha256"] for k, v in read.origins.items()
    }


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(states, id="state dicts"),
        pytest.param(loaded, id="networks"),
        pytest.param(lambda w: iter(states(w)), id="iterator"),
        pytest.param(lambda w: tuple(loaded(w)), id="tuple of networks"),
        pytest.param(lambda w: dict(enumerate(states(w))), id="mapping"),
        pytest.param(lambda w: runs(NETWORK, w, "train"), id="population"),
        pytest.param(
            lambda w: [{k: v.double().numpy() for k, v in s.items()} for s in states(w)],
            id="arrays of float64",
        ),
    ],
)
def test_every_form_holds_the_same_checkpoints(form: Callable[[Tensor], object]) -> None:
    found = nw.load(form(TRAIN))
    assert found.layout == NETWORK.layout
    assert torch.equal(found.weights, TRAIN)
    assert set(found.records.split) == {"train"}
    assert len(set(found.records.run)) == N_TRAIN


@pytest.mark.parametrize("layout", [NETWORK.layout, NETWORK.module(), states(TRAIN)[0]])
@pytest.mark.parametrize(
    "matrix", [TRAIN, TRAIN.numpy(), TRAIN.double(), TRAIN.clone().requires_grad_()]
)
def test_matrix_has_the_layout_that_is_meant(layout: object, matrix: object) -> None:
    found = nw.load(matrix, layout=layout)
    assert found.layout == NETWORK.layout
    assert torch.equal(found.weights, TRAIN.detach())


def test_matrix_without_a_layout_is_one_parameter() -> None:
    assert nw.load(np.zeros((3, 7))).layout.shapes == (("weights", (7,)),)


def test_runs_have_steps_in_their_order() -> None:
    found = nw.load(TRAIN[:5], runs=["a", "b", "a", "a", "b"])
    assert list(found.records.run) == ["a", "b", "a", "a", "b"]
    assert list(found.records.step) == [0, 0, 1, 2, 1]
    with refused("other-rows", "train", 5, 1):
        nw.load(TRAIN[:5], runs=["a"])


def test_layout_chooses_and_orders_parameters() -> None:
    layout = nw.WeightLayout((("out.bias", (3,)), ("hidden.bias", (4,))))
    found = nw.load(states(TRAIN), layout=layout)
    assert found.layout == layout
    where = NETWORK.layout.slices
    parts = [TRAIN[:, where["out.bias"]], TRAIN[:, where["hidden.bias"]]]
    assert torch.equal(found.weights, torch.cat(parts, dim=1))
    assert found.info.symmetry is None  # of parts nothing is known


def test_running_statistics_are_kept_and_counts_of_batches_are_not() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    state = {name: value.float() for name, value in module.state_dict().items()}  # the count too
    found = nw.load([module, state])
    names = ["0.weight", "0.bias", *(f"1.{n}" for n in ("weight", "bias"))]
    assert [name for name, _ in found.layout.learned.shapes] == names
    assert found.layout == nw.load([module], layout=module).layout
    part = nw.WeightLayout(tuple(found.layout.shapes[:2]))
    assert nw.load([module], layout=part).layout == part


def test_population_of_several_splits_gives_each_role_its_rows(tmp_path: Path) -> None:
    records = nw.Records.of([f"run-{i}" for i in range(5)], split="train")
    records.split[3:] = "heldout"
    both = nw.Population(TRAIN[:5], NETWORK.layout, records)
    save_population(both, tmp_path / "zoo")
    for given in (both, tmp_path / "zoo"):
        assert torch.equal(nw.load(given, role="train").weights, TRAIN[:3])
        assert torch.equal(nw.load(given, role="heldout").weights, TRAIN[3:5])
    assert len(nw.load(tmp_path / "zoo")) == 5


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        ({"train": TRAIN[0]}, "wrong-shape", ["train", "torch.float32"]),
        ({"generated": TRAIN.int()}, "wrong-shape", ["generated", "torch.int32"]),
        ({"train": []}, "too-few", ["train"]),
        ({"generated": [1, 2]}, "wrong-type", ["generated", "sample-00000", "int"]),
        ({"heldout": states(TRAIN)[0]}, "wrong-type", ["heldout"]),
        ({"train": nn.Sequential(nn.ReLU())}, "wrong-type", ["train"]),
        ({"generated": TRAIN[:, 1:]}, "wrong-shape", ["generated", 39, 38]),
        (
            {"generated": [*states(TRAIN), {"other": TRAIN}]},
            "other-network",
            ["generated", "1 of 25", "sample-00024", "hidden.weight"],
        ),
        ({"generated": [{"count": TRAIN.int()}]}, "wrong-type", ["generated", "sample-00000"]),
        ({"generated": [{"a": TRAIN}]}, "other-network", ["train", "generated"]),
        ({"train": "nowhere"}, "not-found", ["nowhere"]),
        ({"task": "digit"}, "unknown-name", ["'digit'"]),
        ({"layout": {"a": 1}}, "wrong-type", ["layout"]),
        ({"symmetry": NETWORK.module()}, "wrong-option", ["network"]),
        ({"symmetry": "mlp-64-10-10-relu"}, "other-network", ["hidden.weight"]),
        ({"symmetry": "table.json"}, "not-found", ["table.json"]),
        ({"reconstructions": TRAIN[1:]}, "other-rows", ["reconstructions", 24]),
    ],
)
def test_what_does_not_fit_is_named_by_its_role(words: dict, code: str, named: list) -> None:
    given = {"train": states(TRAIN), "generated": copies(2), **words}
    with refused(code, *named):
        nw.audit(**given)


def test_task_may_be_named_by_the_population_and_must_be_one() -> None:
    trained = runs(NETWORK, TRAIN, "train")
    assert task_of("auto", trained) is None
    assert task_of(None, trained) is None
    named = replace(trained, info=replace(trained.info, task="digits"))
    assert task_of("auto", named).name == "digits"
    assert task_of("none", named) is None
    with refused("wrong-type", "OneHiddenMLP", "quality"):
        task_of(NETWORK, trained)


def test_symmetry_is_derived_from_a_network() -> None:
    trained = nw.load(TRAIN, layout=NETWORK.layout)
    example = torch.zeros(2, 5)
    target = target_of({"network": NETWORK.module(), "example": example}, print)
    table = symmetry_of("auto", trained, None, target)
    assert table is not None
    assert list(table.sizes(NETWORK.layout).values()) == [4]
    assert table.sign_groups
    assert symmetry_of("none", trained, None, target) is None
    assert symmetry_of(NETWORK.symmetry, trained, None, None) == NETWORK.symmetry


class Resampler:
    """The least that a generator must have: it returns training checkpoints."""

    def fit(self, training: nw.Population, *, rng: torch.Generator) -> None:
        self.weights = training.weights

    def sample(self, n: int, *, rng: torch.Generator) -> Tensor:
        return self.weights[torch.randint(len(self.weights), (n,), generator=rng)]


def test_class_with_fit_and_sample_is_evaluated() -> None:
    train = nw.load(states(TRAIN))
    audited = nw.evaluate(Resampler, train, heldout=HELDOUT, samples=6)
    assert audited.verdict is nw.Verdict.REPLICA
    assert set(audited.origins) == {"train", "generated", "heldout"}
    assert len(audited.to_dataframe()) == 6


class _Stopped(Exception):
    """Raised in place of an audit, with what would be audited."""


@pytest.fixture
def given_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AuditInputs]:
    """What an evaluation would audit."""

    def stop(given: AuditInputs, inputs: dict, **words: object) -> None:
        raise _Stopped(given)

    def evaluate(*given: object, **words: object) -> AuditInputs:
        with pytest.raises(_Stopped) as stopped:
            nw.evaluate(*given, **words)
        return stopped.value.args[0]

    monkeypatch.setattr(api, "audited", stop)
    return evaluate


def test_methods_are_evaluated_by_name_and_by_their_settings(given_of) -> None:
    given = given_of("noise", TRAIN, samples=5)
    assert given.generated.info.recipe == "AddNoise"
    given = given_of(AddNoise(std=0.0), TRAIN, heldout=HELDOUT, samples=5)
    known = {tuple(row) for row in TRAIN.tolist()}
    assert {tuple(row) for row in given.generated.weights.tolist()} <= known
    assert len(given.heldout) == N_HELDOUT


def test_codec_of_a_generator_stands_in_for_its_checkpoints(given_of) -> None:
    class Rounding(Resampler):
        def as_reference(self, population: nw.Population) -> nw.Population:
            return population.with_weights(population.weights.round(), split="train")

    given = given_of(Rounding(), TRAIN, heldout=HELDOUT, samples=5)
    assert torch.equal(given.reconstructions.weights, TRAIN.round())
    assert torch.equal(given.heldout_reconstructions.weights, HELDOUT.round())
    assert given_of(Resampler(), TRAIN, samples=5).reconstructions is None


def test_samples_of_a_generator_with_a_loss_carry_its_generalization_gap(given_of) -> None:
    settings = hyperdiffusion.SCALES["smoke"]
    train, heldout = (nw.load(weights) for weights in (TRAIN, HELDOUT))
    given = given_of(settings, train, heldout=heldout, samples=2)
    made_by = given.generated.info.provenance
    assert made_by.method == "HyperDiffusion"
    assert made_by.values_in_training == TRAIN.numel()
    assert made_by.gap.n_heldout == N_HELDOUT


class Unseeded:
    def fit(self, training):
        return self


class Mute:
    def fit(self, training, rng):
        return self


class Diverged(Resampler):
    def sample(self, n, rng):
        return torch.full((n, TRAIN.shape[1]), float("nan"))


class NeedsWidth(Resampler):
    def __init__(self, width):
        self.width = width


@pytest.mark.parametrize(
    ("generator", "code", "named"),
    [
        (object(), "wrong-plugin", ["fit", "object"]),
        (Unseeded(), "wrong-plugin", ["fit", "Unseeded", "rng"]),
        (Mute(), "wrong-plugin", ["sample", "Mute"]),
        (Diverged(), "not-finite", ["Diverged"]),
        (NeedsWidth, "wrong-plugin", ["NeedsWidth"]),
        ("noize", "unknown-name", ["'noise'"]),
        ("g-pt", "wrong-option", ["start", "g-pt"]),
    ],
)
def test_what_a_generator_lacks_is_named(generator: object, code: str, named: list) -> None:
    with refused(code, *named):
        nw.evaluate(generator, TRAIN, samples=3)


def test_public_names_are_imported_when_used_and_listed_for_readers() -> None:
    for name in nw.__all__:
        assert getattr(nw, name) is not None
    assert set(nw.__all__) <= set(dir(nw))
    with pytest.raises(AttributeError, match="no attribute 'audits'"):
        nw.audits  # noqa: B018
    tree = ast.parse(Path(nw.__file__).read_text(encoding="utf-8"))
    [typed] = [node for node in tree.body if isinstance(node, ast.If)]
    names = {
        alias.asname or alias.name
        for node in typed.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert names | {"__version__"} == set(nw.__all__)


def test_import_of_the_package_imports_nothing_heavy() -> None:
    code = (
        "import os, sys, novelweights; "
        "print('torch' in sys.modules, 'numpy' in sys.modules, os.environ['GOMP_SPINCOUNT'])"
    )
    source = Path(nw.__file__).parents[1]
    made = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.split() == ["False", "False", "20000"]

"""Each fault is planted in real checkpoints, and a clean zoo must be left in peace."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from refused import refused
from safetensors.torch import save_file

from novelweights.auditing.lint.checks import lint, lint_folder
from novelweights.auditing.lint.rows import Severity
from novelweights.data.images import load_data
from novelweights.networks.mlp import DIGITS_MLP
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.store import open_population
from novelweights.weights.symmetry import AxisPart, NeuronSymmetry, random_transform
from novelweights.weights.writer import save_population
from novelweights.zoos import find_zoo
from novelweights.zoos.building import build
from novelweights.zoos.training import Recipe, train_trajectories


def test_held_out_runs_as_near_as_training_runs_are_no_leak(fresh, rng):
    apart = torch.cdist(fresh[:16], fresh[:16]).fill_diagonal_(torch.inf).amin(1).median()
    away = torch.nn.functional.normalize(torch.randn(2, 760, generator=rng), dim=1)
    met = torch.stack([fresh[0] + 0.2 * apart * away[0], fresh[2] + 0.17 * apart * away[1]])
    moved = random_transform(met, DIGITS_MLP.layout, DIGITS_MLP.symmetry, rng=rng)
    fresh[1], fresh[-1] = moved
    assert "leaked-heldout" not in {found.code for found in lint(with_heldout(fresh, 8))}


@pytest.fixture(scope="module")
def trained():
    """24 real runs at four late epochs: (runs, epochs, d)."""
    data, recipe = load_data("digits"), Recipe(epochs=10, batch_size=64)
    per_epoch = recipe.steps(len(data.train_y)) // recipe.epochs
    steps = torch.tensor([[per_epoch * epoch for epoch in (7, 8, 9, 10)]] * 24)
    return train_trajectories(DIGITS_MLP, data, recipe, range(24), steps).weights


@pytest.fixture
def fresh(trained):
    return trained[:, -1].clone()


def population(weights, *, runs=None, step: int | list[int] = 0, symmetry=True, scores=None):
    runs = [f"run-{i}" for i in range(len(weights))] if runs is None else runs
    records = Records.of(runs, split="train", step=step, scores=scores)
    info = PopulationInfo("test", symmetry=DIGITS_MLP.symmetry if symmetry else None)
    return Population(weights, DIGITS_MLP.layout, records, info)


def with_heldout(weights, n_heldout, runs=None):
    whole = population(weights, runs=runs)
    split = np.array(["train"] * len(weights), dtype=object)
    split[-n_heldout:] = "heldout"
    return replace(whole, records=replace(whole.records, split=split))


def about(findings, code, *named):
    """The one finding of this code that names these."""
    [found] = [f for f in findings if f.code == code and all(str(n) in f.what for n in named)]
    return found


def only(findings, code, *named):
    """The one finding, and no other."""
    assert len(findings) == 1
    return about(findings, code, *named)


def test_a_clean_zoo_is_left_in_peace(trained, fresh):
    assert lint(population(fresh)) == ()
    assert lint(with_heldout(fresh, 8)) == ()
    runs = [f"run-{i}" for i in range(24) for _ in range(4)]
    whole = population(trained.flatten(0, 1), runs=runs, step=[7, 8, 9, 10] * 24)
    assert lint(whole) == ()
    assert lint(population(fresh[:0])) == ()


def test_nan_and_infinite_weights_are_errors(fresh):
    fresh[3, 5], fresh[7, 0] = float("nan"), float("inf")
    found = only(lint(population(fresh)), "not-finite-weights", 2)
    assert found.examples == ("row 3 (run run-3)", "row 7 (run run-7)")


def test_all_zero_and_constant_checkpoints_are_errors(fresh):
    fresh[2], fresh[4], fresh[5] = 0, 0.5, 0
    findings = lint(population(fresh))
    assert about(findings, "constant-weights", "zero").examples == (
        "row 2 (run run-2)",
        "row 5 (run run-5)",
    )
    assert about(findings, "constant-weights", "one").count == 1
    assert about(findings, "equal-runs").count == 1  # the two zeros are equal, too


def test_constant_layers_and_dead_units_are_warnings(fresh):
    where = DIGITS_MLP.layout.slices
    fresh[1, where["hidden.weight"]] = 0.25
    incoming = torch.arange(760)[where["hidden.weight"]].reshape(10, 64)
    outgoing = torch.arange(760)[where["out.weight"]].reshape(10, 10)
    fresh[6, incoming[3]] = 0
    fresh[6, outgoing[:, 4]] = 0
    fresh[8, outgoing[:, 3]] = 0
    fresh[8, incoming[3]] = 0  # counted once
    findings = lint(population(fresh))
    assert about(findings, "constant-parameter", "hidden.weight", 1).severity == "warning"
    dead = about(findings, "dead-units", 3)
    assert dead.examples == ("row 6 (run run-6): 2", "row 8 (run run-8): 1")
    assert "2 checkpoints" in dead.what
    only(lint(population(fresh[10:], symmetry=False)), "unknown-dead-units")


@pytest.mark.integration
def test_dead_units_of_deep_networks_are_told_by_their_layer(rng):
    layout = WeightLayout((("a", (3, 4)), ("b", (2, 4)), ("c", (6, 5)), ("d", (2, 6))))
    beside = {1: (AxisPart("ga", 3), AxisPart("gb", 2))}  # a and b side by side
    table = NeuronSymmetry(
        {"a": ("ga", None), "b": ("gb", None), "c": ("gc", None), "d": (None, "gc")},
        joined={"c": beside},
    )
    weights = torch.randn(30, layout.size, generator=rng)
    state = {name: value.clone() for name, value in layout.unflatten(weights).items()}
    state["c"][4, :, 1] = 0  # nobody reads the second of a
    state["c"][5, :, 3] = 0  # nor here the first of b
    state["c"][6, 2] = 0
    dead = torch.cat([state[name].flatten(1) for name, _ in layout.shapes], dim=1)
    records = Records.of([f"run-{i}" for i in range(30)], split="train")
    info = PopulationInfo("test", symmetry=table)
    findings = lint(Population(dead, layout, records, info))
    for group, row in (("ga", 4), ("gb", 5), ("gc", 6)):
        assert about(findings, "dead-units", group).examples == (f"row {row} (run run-{row}): 1",)


def test_equal_checkpoints_of_different_runs_are_an_error(fresh):
    fresh[5] = fresh[6] = fresh[0]
    fresh[9] = fresh[8]
    found = only(lint(population(fresh)), "equal-runs", 2, 5)
    assert found.examples[0] == "row 0 (run run-0) = row 5 (run run-5) = row 6 (run run-6)"


def test_equal_steps_of_one_run_are_a_note(fresh):
    fresh[1] = fresh[0]
    runs = ["a", "a", *(f"run-{i}" for i in range(22))]
    only(lint(population(fresh, runs=runs)), "equal-steps", 1)


def test_a_shared_initialization_is_no_copy(trained):
    weights = torch.cat([trained[:, 0], trained[:, -1]])
    weights[:24] = weights[0]
    runs = [f"run-{i % 24}" for i in range(48)]
    whole = population(weights, runs=runs, step=[0] * 24 + [90] * 24)
    only(lint(whole), "shared-start", 1)


def test_nearly_equal_checkpoints_are_a_warning(fresh, rng):
    fresh[4] = fresh[3] + 1e-3 * torch.randn(760, generator=rng)
    fresh[9] = fresh[10].half().float()
    found = only(lint(population(fresh)), "near-duplicates", 2)
    assert found.examples == (
        "row 3 (run run-3) ~ row 4 (run run-4)",
        "row 9 (run run-9) ~ row 10 (run run-10)",
    )


def test_steps_of_one_run_under_many_names_are_a_chain(trained):
    weights = torch.cat([trained[:, -1], trained[5, :-1]])
    found = only(lint(population(weights)), "chained-runs", 4, 1)
    assert found.examples == ("row 5 (run run-5) to row 26 (run run-26) (4)",)


def test_one_run_is_not_identifiable(trained):
    told = population(trained[0], runs=["a"] * 4, step=[7, 8, 9, 10])
    found = only(lint(told), "single-run")
    assert found.remedy
    # the same under names that say nothing
    data, recipe = load_data("digits"), Recipe(epochs=10, batch_size=64, learning_rate=0.01)
    last = recipe.steps(len(data.train_y))
    steps = torch.arange(last - 49, last + 1).reshape(1, -1)
    chain = train_trajectories(DIGITS_MLP, data, recipe, [0], steps).weights[0]
    about(lint(population(chain)), "single-run")
    about(lint(population(chain[:1].repeat(3, 1))), "single-run")


def test_reordered_copies_are_found(fresh, rng):
    moved = random_transform(fresh[:2], DIGITS_MLP.layout, DIGITS_MLP.symmetry, rng=rng)
    whole = population(torch.cat([fresh, moved]))
    found = only(lint(whole), "reordered-copies", 2)
    assert found.examples[1] == "row 1 (run run-1) = row 25 (run run-25)"


def test_leakage_into_held_out_is_an_error_in_any_order_of_neurons(trained, fresh, rng):
    fresh[-1] = fresh[3]
    fresh[-2] = fresh[4] + 1e-3 * torch.randn(760, generator=rng)
    fresh[-3:-2] = random_transform(fresh[5:6], DIGITS_MLP.layout, DIGITS_MLP.symmetry, rng=rng)
    fresh[-4] = trained[6, -2]  # another step of a training run
    found = only(lint(with_heldout(fresh, 8)), "leaked-heldout", 4)
    assert found.examples[-1] == "row 23 (run run-23) = row 3 (run run-3)"
    # also if nothing held out is fresh
    fresh[-8:] = fresh[:8]
    assert about(lint(with_heldout(fresh, 8)), "leaked-heldout").count == 8


@pytest.fixture(scope="module")
def steps_zoo(tmp_path_factory):
    """A small zoo of trajectories: 6 training runs, 6 held out, 4 initializations of others."""
    asked = {"runs": 6, "heldout_runs": 6, "checkpoints": 4, "start_runs": 4}
    folder = tmp_path_factory.mktemp("steps") / "zoo"
    return build(find_zoo("digits-mlp-steps"), folder, **asked)


def test_a_clean_trajectory_zoo_is_left_in_peace(steps_zoo):
    whole = open_population(steps_zoo).load()
    assert set(whole.records.split) == {"train", "heldout", "start"}
    assert lint_folder(steps_zoo).findings == ()
    # by themselves they are checkpoints like any
    assert lint(whole.select(np.flatnonzero(whole.records.split == "start"))) == ()


@pytest.mark.parametrize(
    ("held", "trained", "is_leak"),
    [
        ("last", "last", True),
        ("last", "middle", True),
        ("middle", "middle", True),
        ("middle", "first", True),
        ("first", "first", False),  # runs may share an initialization
    ],
)
def test_a_leak_between_trajectories_is_found(steps_zoo, held, trained, is_leak):
    whole = open_population(steps_zoo).load()
    at = {"first": 0, "middle": 2, "last": 3}
    weights = whole.weights.clone()
    weights[4 * 6 + at[held]] = weights[4 + at[trained]]
    errors = [
        found for found in lint(replace(whole, weights=weights)) if found.severity is Severity.ERROR
    ]
    assert len(errors) == is_leak
    for found in errors:
        assert found.code == "leaked-heldout"
        assert found.examples == (
            f"row {24 + at[held]} (run heldout-00000) = row {4 + at[trained]} (run train-00001)",
        )


def test_the_last_checkpoint_of_a_held_out_run_may_not_be_near_a_training_run(steps_zoo, rng):
    whole = open_population(steps_zoo).load()
    for near in (
        whole.weights[7:8] + 1e-3 * torch.randn(1, 760, generator=rng),
        random_transform(whole.weights[7:8], DIGITS_MLP.layout, DIGITS_MLP.symmetry, rng=rng),
    ):
        weights = whole.weights.clone()
        weights[27] = near[0]
        found = about(lint(replace(whole, weights=weights)), "leaked-heldout", 1)
        assert found.examples == ("row 27 (run heldout-00000) = row 7 (run train-00001)",)


def test_a_run_on_both_sides_is_an_error(fresh):
    runs = [f"run-{i % 23}" for i in range(24)]
    found = only(lint(with_heldout(fresh, 4, runs=runs)), "shared-runs", 1)
    assert found.examples == ("run run-0",)


def test_another_recipe_shows_in_norm_and_score(fresh):
    accuracy = np.linspace(94.0, 96.0, 24)
    accuracy[11] = 40.0
    fresh[7] *= 4
    findings = lint(population(fresh, scores={"test_accuracy": accuracy.tolist()}))
    assert about(findings, "outlying-norm").examples[0].startswith("row 7 (run run-7): ")
    assert about(findings, "outlying-score", "test_accuracy").examples == (
        "row 11 (run run-11): 40",
    )
    equal = {"test_accuracy": [95.0] * 23 + [float("nan")]}
    assert not lint(population(fresh[8:16], scores={"s": [1.0] * 8}))
    about(lint(population(fresh, scores=equal)), "outlying-norm")


class Hostile:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("hostile-was-here"),))


@pytest.fixture
def broken(tmp_path, fresh, rng, monkeypatch):
    """A folder with everything wrong."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "broken"
    folder.mkdir()

    def save(name, weights, kind=torch.float32):
        state = DIGITS_MLP.layout.unflatten(weights)
        torch.save({k: v.clone().to(kind) for k, v in state.items()}, folder / name)

    for i in range(12):
        save(f"run-{i:02}.pt", fresh[i])
    save("copy.pt", fresh[0])
    save("half.pt", fresh[12], torch.float16)
    save("double.pth", fresh[13], torch.float64)
    save("nan.pt", torch.full((760,), float("nan")))
    save("zero.pt", torch.zeros(760))
    save("large.pt", 5 * fresh[14])
    save_file({"hidden.weight": torch.ones(3, 3)}, folder / "other.safetensors")
    (folder / "hostile.pt").write_bytes(pickle.dumps({"w": Hostile()}, protocol=2))
    torch.save({"weights": Hostile()}, folder / "hostile-zip.pt")
    (folder / "cut.pt").write_bytes((folder / "run-00.pt").read_bytes()[:1000])
    (folder / "list.pt").write_bytes(b"not a checkpoint")
    (folder / "empty.safetensors").write_bytes(b"")
    (folder / "model.h5").write_bytes(b"")
    (folder / "README.md").write_text("mine")
    return folder


def test_every_finding_of_a_broken_folder_is_reported(broken, tmp_path):
    found = lint_folder(broken)
    errors = [f for f in found.findings if f.severity is Severity.ERROR]
    assert list(found.findings[: len(errors)]) == errors  # errors first
    assert about(errors, "unsafe-files").examples == ("hostile-zip.pt", "hostile.pt")
    damaged = about(errors, "damaged-files")
    assert [text.split(" ")[0] for text in damaged.examples] == [
        "cut.pt",
        "empty.safetensors",
        "list.pt",
    ]
    foreign = about(errors, "other-files")
    assert foreign.examples[0].startswith("other.safetensors (hidden.weight is 3x3, in the others")
    assert about(errors, "not-finite-weights").examples == ("nan.pt",)
    assert about(errors, "constant-weights").examples == ("zero.pt",)
    assert about(errors, "equal-runs").examples == ("copy.pt = run-00.pt",)
    assert about(found.findings, "rounded-files", "float16").examples == ("half.pt",)
    assert about(found.findings, "double-precision").examples == ("double.pth",)
    assert about(found.findings, "outlying-norm").examples[0].startswith("large.pt")
    assert about(found.findings, "passed-over").examples == ("model.h5",)
    assert found.counts() == {"error": 6, "warning": 2, "note": 2}
    assert (found.n, found.n_runs, found.n_weights) == (18, 18, 760)
    assert not (tmp_path / "hostile-was-here").exists()
    text = "\n".join(found.lines())
    assert text.count("->") == sum(bool(f.remedy) for f in found.findings)


def test_a_folder_of_nothing_readable_is_still_told(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"nothing")
    found = lint_folder(tmp_path)
    assert found.n == 0
    only(found.findings, "damaged-files", 1)


def test_heldout_in_a_folder_of_its_own(fresh, tmp_path):
    train, held = tmp_path / "train", tmp_path / "held"
    save_population(population(fresh[:16]), train)
    held.mkdir()
    for i in range(16, 24):
        state = DIGITS_MLP.layout.unflatten(fresh[i])
        save_file({k: v.clone() for k, v in state.items()}, held / f"{i}.safetensors")
    assert lint_folder(train, heldout=held).findings == ()
    state = DIGITS_MLP.layout.unflatten(fresh[2])
    save_file({k: v.clone() for k, v in state.items()}, held / "16.safetensors")
    leaked = only(lint_folder(train, heldout=held).findings, "leaked-heldout")
    assert leaked.examples == ("16.safetensors = row 2 (run run-2)",)
    (held / "17.safetensors").write_bytes(b"")
    about(lint_folder(train, heldout=held).findings, "damaged-files", 1)
    for file in held.iterdir():
        save_file({"w": torch.arange(5.0)}, file)
    about(lint_folder(train, heldout=held).findings, "other-heldout")


def test_every_damaged_file_of_a_population_folder_is_named(fresh, tmp_path):
    folder = tmp_path / "p"
    save_population(population(fresh), folder)
    [shard] = folder.glob("*.safetensors")
    content = bytearray(shard.read_bytes())
    content[4000] ^= 1
    shard.write_bytes(content)
    (folder / "records.csv").write_text((folder / "records.csv").read_text() + "\n")
    damaged = about(lint_folder(folder).findings, "damaged-files", 2)
    assert {text.split(" ")[0] for text in damaged.examples} == {"records.csv", shard.name}
    shard.write_bytes(content[:-8])
    assert lint_folder(folder).n == 0  # not readable at all, and told
    shard.unlink()
    assert (
        f"{shard.name} (missing)" in about(lint_folder(folder).findings, "damaged-files").examples
    )


def test_what_is_no_folder_of_checkpoints_is_refused(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "empty").mkdir()
    for name, code in (
        ("missing", "not-found"),
        ("file", "not-recognized"),
        ("empty", "not-recognized"),
    ):
        with refused(code, tmp_path / name):
            lint_folder(tmp_path / name)

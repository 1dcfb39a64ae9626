"""Held-out runs given to `fit`: found or named, logged, never learned from, told by `sample`."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import done, fails, run
from folders import write_states

from novelweights import pipeline
from novelweights.auditing.measure.generalization_gap import gap_quantities
from novelweights.readers import read_checkpoints
from novelweights.weights.provenance import GeneralizationGap

SMOKE = ("--scale", "smoke", "--steps", 5, "--width", 16)


@pytest.fixture(scope="module")
def zoos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One zoo with held-out runs (both), one without (bare), one of them alone (fresh)."""
    folder = tmp_path_factory.mktemp("zoos")
    for name, runs, heldout in (("both", 8, 6), ("bare", 8, 0)):
        words = ("--runs", runs, "--heldout-runs", heldout, "-o", folder / name)
        done("zoo", "build", "digits-mlp", *words)
    fresh = read_checkpoints(folder / "both", split="heldout")
    write_states(folder / "fresh", fresh.layout, fresh.weights, "{i}.pt")
    return folder


def fit(zoo: Path, model: Path, *words: object, method: str = "hyperdiffusion") -> dict:
    scale = SMOKE if method == "hyperdiffusion" else ()
    done("fit", method, "--population", zoo, "-o", model, *scale, *words)
    return json.loads((model / "generator.json").read_text())


def test_held_out_runs_are_found_or_named_and_change_nothing_but_the_log(
    zoos: Path, tmp_path: Path
) -> None:
    found = fit(zoos / "both", tmp_path / "found")
    named = fit(zoos / "bare", tmp_path / "named", "--heldout", zoos / "fresh")
    without = fit(zoos / "bare", tmp_path / "without")
    assert found["gap"] == named["gap"]
    assert (found["gap"]["n_train"], found["gap"]["n_heldout"]) == (8, 6)
    assert without["gap"] is None
    models = [tmp_path / name for name in ("found", "named", "without")]
    assert len({(model / "denoiser.safetensors").read_bytes() for model in models}) == 1
    assert [(model / "gap.csv").exists() for model in models] == [True, True, False]
    assert found["training"]["rows"] == 8


def test_samples_carry_the_gap_to_an_audit(zoos: Path, tmp_path: Path) -> None:
    described = fit(zoos / "both", tmp_path / "m")
    done("sample", tmp_path / "m", "-n", 3, "-o", tmp_path / "s")
    samples = read_checkpoints(tmp_path / "s")
    made_by = samples.info.provenance
    assert made_by.method == "hyperdiffusion"
    assert made_by.values_in_training == 8 * samples.layout.size
    assert len(made_by.gap.history) == 5 * 4
    assert replace(made_by.gap, history=()) == GeneralizationGap.from_json(described["gap"])
    keys = [quantity.key for quantity in gap_quantities(made_by)]
    assert keys == [
        "generalization_gap_5",
        "generalization_gap_20",
        "generalization_gap_50",
        "generalization_gap_80",
        "parameters_over_values",
    ]


def test_baselines_have_no_gap_and_say_so(zoos: Path, tmp_path: Path) -> None:
    assert fit(zoos / "both", tmp_path / "m", method="noise")["gap"] is None
    done("sample", tmp_path / "m", "-n", 3, "-o", tmp_path / "s")
    made_by = read_checkpoints(tmp_path / "s").info.provenance
    assert made_by.gap is None
    assert gap_quantities(made_by) == []


def test_held_out_runs_that_do_not_fit_end_in_one_line(zoos: Path, tmp_path: Path) -> None:
    shutil.copytree(zoos / "fresh", tmp_path / "nan")
    state = torch.load(tmp_path / "nan" / "0.pt", weights_only=True)
    next(iter(state.values()))[0] = float("nan")
    torch.save(state, tmp_path / "nan" / "0.pt")
    (tmp_path / "other").mkdir()
    torch.save({"other.weight": torch.zeros(2, 2)}, tmp_path / "other" / "0.pt")
    for name, code, named in (
        ("nan", "not-finite", "row 0"),
        ("other", "other-network", "hidden.weight"),
        ("missing", "not-found", "missing"),
    ):
        words = ("fit", "hyperdiffusion", "--population", zoos / "bare", *SMOKE)
        words = (*words, "--heldout", tmp_path / name, "-o", tmp_path / "m")
        fails(*words, code=code, named=named)
    assert not (tmp_path / "m").exists()


def test_help_says_that_nothing_is_learned_from_held_out_runs() -> None:
    text = " ".join(run("fit", "hyperdiffusion", "--help").stdout.split())
    assert "--heldout" in text
    assert "never learns from them" in text


def test_the_demos_samples_tell_of_their_generator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enough(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "audited", enough)
    with pytest.raises(KeyboardInterrupt):
        pipeline.demo(tmp_path / "d", runs=8, heldout_runs=6, samples=3, scale="smoke")
    gap = read_checkpoints(tmp_path / "d" / "samples").info.provenance.gap
    assert gap is not None
    assert (gap.n_train, gap.n_heldout) == (8, 6)
    assert len(gap.history) == 80

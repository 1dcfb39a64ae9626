"""G.pt by its commands: flags, starts and what damaged or wrong input gets as answer."""

import json
from pathlib import Path

import pytest
from commands import run
from safetensors.torch import load_file, save_file
from typer.testing import Result

from novelweights.readers import read_checkpoints
from novelweights.weights.writer import save_population

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """zoo: 4 training, 3 held-out runs of 3 checkpoints, 5 starts; model: g-pt fitted to it."""
    folder = tmp_path_factory.mktemp("g-pt")
    words = ("--runs", 4, "--heldout-runs", 3, "--checkpoints", 3, "--start-runs", 5)
    assert run("zoo", "build", "digits-mlp-steps", "-o", folder / "zoo", *words).exit_code == 0
    fitted = fit(folder, "model")
    assert fitted.exit_code == 0, fitted.output
    return folder


def fit(folder: Path, name: str, *words: object) -> Result:
    scale = ("--scale", "smoke", "--steps", 3, "--width", 16)
    return run("fit", "g-pt", "--population", folder / "zoo", "-o", folder / name, *scale, *words)


def test_every_setting_is_a_flag_also_one_that_is_on(folder):
    assert fit(folder, "bare", "--no-permute").exit_code == 0
    settings = json.loads((folder / "bare" / "generator.json").read_text())["settings"]
    assert settings["permute"] is False
    assert json.loads((folder / "model" / "generator.json").read_text())["settings"]["permute"]


@pytest.mark.parametrize("words", [("--prompt", "nan"), ("--gradient-clip", "inf")])
def test_a_setting_that_is_no_number_is_refused_before_training(folder, words):
    result = fit(folder, "never", *words)
    assert result.exit_code == 2
    assert "expected a number" in result.output
    assert not (folder / "never").exists()


def test_the_gap_of_a_conditional_generator_is_logged(folder):
    gap = json.loads((folder / "model" / "generator.json").read_text())["gap"]
    assert (gap["n_train"], gap["n_heldout"]) == (4, 3)


def test_samples_tell_their_starts(folder):
    result = run(
        *("sample", folder / "model", "--start", folder / "zoo"),
        *("-n", 7, "-o", folder / "samples"),
    )
    assert result.exit_code == 0, result.output
    assert "begin from 5 checkpoints only" in result.output
    made = read_checkpoints(folder / "samples")
    assert made.records.scores["start_row"].tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert made.info.settings["start"]["checkpoints"] == 5
    assert made.info.provenance.method == "g-pt"


def test_training_checkpoints_are_no_starts(folder):
    train = read_checkpoints(folder / "zoo", split="train")
    save_population(train, folder / "train")
    result = run(
        *("sample", folder / "model", "--start", folder / "train"), *("-o", folder / "copies")
    )
    assert result.exit_code == 2
    assert "got training checkpoints" in result.output
    assert not (folder / "copies").exists()


def test_a_model_without_its_numbers_is_refused(folder, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for file in (folder / "model").iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    save_file(load_file(model / "denoiser.safetensors"), model / "denoiser.safetensors")
    result = run("sample", model, "--start", folder / "zoo", "-o", tmp_path / "samples")
    assert result.exit_code == 2
    assert "cannot be read" in result.output
    assert "fit it again" in result.output

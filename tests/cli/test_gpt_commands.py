"""G.pt by its commands: flags, starts and what damaged or wrong input gets as answer."""

import json
from pathlib import Path

import pytest
from commands import done, fails
from safetensors.torch import load_file, save_file

from novelweights.readers import read_checkpoints
from novelweights.weights.writer import save_population

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """zoo: 4 training, 3 held-out runs of 3 checkpoints, 5 starts; model: g-pt fitted to it."""
    folder = tmp_path_factory.mktemp("g-pt")
    words = ("--runs", 4, "--heldout-runs", 3, "--checkpoints", 3, "--start-runs", 5)
    done("zoo", "build", "digits-mlp-steps", "-o", folder / "zoo", *words)
    done(*fit(folder, "model"))
    return folder


def fit(folder: Path, name: str, *words: object) -> tuple[object, ...]:
    scale = ("--scale", "smoke", "--steps", 3, "--width", 16)
    return ("fit", "g-pt", "--population", folder / "zoo", "-o", folder / name, *scale, *words)


def test_every_setting_is_a_flag_also_one_that_is_on(folder):
    done(*fit(folder, "bare", "--no-permute"))
    settings = json.loads((folder / "bare" / "generator.json").read_text())["settings"]
    assert settings["permute"] is False
    assert json.loads((folder / "model" / "generator.json").read_text())["settings"]["permute"]


def test_a_variant_changes_the_settings_of_the_scale_and_flags_change_it(folder):
    done(*fit(folder, "wider", "--variant", "wider", "--width", 15))
    settings = json.loads((folder / "wider" / "generator.json").read_text())["settings"]
    assert (settings["width"], settings["heads"]) == (15, 3)  # smoke: 32 and 2
    fails(*fit(folder, "never", "--variant", "wide"), code="unknown-name", named="wider")


@pytest.mark.parametrize("words", [("--prompt", "nan"), ("--gradient-clip", "inf")])
def test_a_setting_that_is_no_number_is_refused_before_training(folder, words):
    fails(*fit(folder, "never", *words), code="wrong-option", named=words[1])
    assert not (folder / "never").exists()


def test_the_gap_of_a_conditional_generator_is_logged(folder):
    gap = json.loads((folder / "model" / "generator.json").read_text())["gap"]
    assert (gap["n_train"], gap["n_heldout"]) == (4, 3)


def test_samples_tell_their_starts(folder):
    sample = ("sample", folder / "model", "--start", folder / "zoo", "-n", 7)
    assert "from 5 checkpoints" in done(*sample, "-o", folder / "samples")
    made = read_checkpoints(folder / "samples")
    assert made.records.scores["start_row"].tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert made.info.settings["start"]["checkpoints"] == 5
    assert made.info.provenance.method == "g-pt"


def test_training_checkpoints_are_no_starts(folder):
    train = read_checkpoints(folder / "zoo", split="train")
    save_population(train, folder / "train")
    sample = ("sample", folder / "model", "--start", folder / "train", "-o", folder / "copies")
    fails(*sample, code="wrong-records", named=folder / "train")
    assert not (folder / "copies").exists()


def test_a_model_without_its_numbers_is_refused(folder, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for file in (folder / "model").iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    save_file(load_file(model / "denoiser.safetensors"), model / "denoiser.safetensors")
    sample = ("sample", model, "--start", folder / "zoo", "-o", tmp_path / "samples")
    fails(*sample, code="damaged", named=model)

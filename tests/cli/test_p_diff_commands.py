"""P-diff by the commands, from a population folder to samples."""

import json
from pathlib import Path

import pytest
import torch
from commands import done, fails
from safetensors.torch import save_file

from novelweights.readers import read_checkpoints


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """A folder of state dicts that hold two BatchNorms of a network."""
    folder, rng = tmp_path / "checkpoints", torch.Generator().manual_seed(0)
    folder.mkdir()
    for step in range(20):
        names = [f"bn{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")]
        state = {name: 1 + 0.1 * torch.randn(16, generator=rng) for name in names}
        save_file(state, folder / f"{step:03d}.safetensors")
    return folder


def test_fit_and_sample_with_flags_of_its_own(checkpoints: Path, tmp_path: Path) -> None:
    words = ("--scale", "smoke", "--autoencoder-steps", 4, "--batch-statistics", "frozen")
    done("fit", "p-diff", "--population", checkpoints, "-o", tmp_path / "model", *words)
    described = json.loads((tmp_path / "model" / "generator.json").read_text())
    assert described["method"] == "p-diff"
    assert described["settings"]["autoencoder_steps"] == 4
    assert described["settings"]["batch_statistics"] == "frozen"
    done("sample", tmp_path / "model", "-n", 5, "-o", tmp_path / "samples")
    samples, training = (read_checkpoints(tmp_path / "samples"), read_checkpoints(checkpoints))
    assert samples.layout == training.layout
    assert samples.weights.shape == (5, 64)
    assert (samples.weights - 1).abs().max() < 2


def test_a_wrong_setting_is_one_line(checkpoints: Path, tmp_path: Path) -> None:
    words = ("fit", "p-diff", "--population", checkpoints, "-o", tmp_path / "model")
    words = (*words, "--scale", "smoke", "--batch-statistics", "thawed")
    fails(*words, code="wrong-option", named="'thawed'")


def test_what_the_codec_gives_back_is_written_as_checkpoints(
    checkpoints: Path, tmp_path: Path
) -> None:
    model, output = tmp_path / "model", tmp_path / "back"
    done("fit", "p-diff", "--population", checkpoints, "-o", model, "--scale", "smoke")
    words = ("reconstruct", model, "--population", checkpoints, "-o", output)
    told = done(*words)
    back, train = read_checkpoints(output), read_checkpoints(checkpoints)
    assert list(back.records.step) == list(train.records.step)
    assert set(back.records.split) == {"reconstruction"}
    away = (train.weights - train.weights.mean(dim=0)).norm(dim=1).median()
    assert f"{away:.3g}" in told
    lost = (back.weights - train.weights).norm(dim=1).median()
    assert f"{lost:.3g}" in told
    fails(*words, code="exists", named=output)
    done(*words, "--overwrite")
    fails(*words, "--write", tmp_path / "more", code="wrong-option", named="--write")

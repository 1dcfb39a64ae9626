"""P-diff by the commands, from a population folder to samples."""

import json
from pathlib import Path

import pytest
import torch
from commands import run
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
    fitted = run("fit", "p-diff", "--population", checkpoints, "-o", tmp_path / "model", *words)
    assert fitted.exit_code == 0, fitted.output
    described = json.loads((tmp_path / "model" / "generator.json").read_text())
    assert described["method"] == "p-diff"
    assert described["settings"]["autoencoder_steps"] == 4
    assert described["settings"]["batch_statistics"] == "frozen"
    sampled = run("sample", tmp_path / "model", "-n", 5, "-o", tmp_path / "samples")
    assert sampled.exit_code == 0, sampled.output
    samples, training = (read_checkpoints(tmp_path / "samples"), read_checkpoints(checkpoints))
    assert samples.layout == training.layout
    assert samples.weights.shape == (5, 64)
    assert (samples.weights - 1).abs().max() < 2


def test_a_wrong_setting_is_one_line(checkpoints: Path, tmp_path: Path) -> None:
    words = ("--scale", "smoke", "--batch-statistics", "thawed")
    result = run("fit", "p-diff", "--population", checkpoints, "-o", tmp_path / "model", *words)
    assert result.exit_code == 2
    assert "'thawed'" in result.stderr
    assert "[E006 wrong-option]" in result.stderr
    assert "Traceback" not in result.output


def test_what_the_codec_gives_back_is_written_as_checkpoints(
    checkpoints: Path, tmp_path: Path
) -> None:
    model, output = tmp_path / "model", tmp_path / "back"
    fitted = run("fit", "p-diff", "--population", checkpoints, "-o", model, "--scale", "smoke")
    assert fitted.exit_code == 0, fitted.output
    words = ("reconstruct", model, "--population", checkpoints, "-o", output)
    told = run(*words)
    assert told.exit_code == 0, told.output
    back, train = read_checkpoints(output), read_checkpoints(checkpoints)
    assert list(back.records.step) == list(train.records.step)
    assert set(back.records.split) == {"reconstruction"}
    away = (train.weights - train.weights.mean(dim=0)).norm(dim=1).median()
    assert f"to the mean of training {away:.3g} before" in told.stdout
    lost = (back.weights - train.weights).norm(dim=1).median()
    assert f"to their reconstruction {lost:.3g}, " in told.stdout
    assert run(*words).exit_code == 2  # it is there
    assert run(*words, "--overwrite").exit_code == 0
    refused = run(*words, "--write", tmp_path / "more")
    assert refused.exit_code == 2
    assert "leave --write out" in refused.stderr

"""Names that trainers and tuners give, in their folders."""

import json
from pathlib import Path

import numpy as np
import torch
from written import a_state

from novelweights.readers import open_source
from novelweights.readers.source import Source
from novelweights.readers.tolerant import examine


def save(path: Path, i: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": a_state(i)}, path)


def rows(source: Source) -> list[tuple[str, int]]:
    return list(zip(map(str, source.records.run), map(int, source.records.step), strict=True))


def test_a_file_that_equals_a_numbered_one_is_that_one(tmp_path: Path) -> None:
    for run in range(2):
        for step, name in ((31, "epoch=9-step=31"), (62, "epoch=19-step=62-v1"), (62, "last")):
            save(tmp_path / f"version_{run}" / "checkpoints" / f"{name}.ckpt", 100 * run + step)
        save(tmp_path / f"version_{run}" / "checkpoints" / "best.ckpt", 100 * run + 31)
    source = open_source(tmp_path)
    assert rows(source) == [(f"version_{run}", step) for run in (0, 1) for step in (62, 31)]
    told = "; ".join(source.description())
    assert "version_0/checkpoints/best is version_0/checkpoints/epoch=9-step=31" in told
    examined = examine(tmp_path).population
    assert examined is not None
    assert len(examined) == 4
    assert len(source.load()) == 4


def test_a_last_one_of_its_own_is_a_step_and_a_best_one_is_left_out(tmp_path: Path) -> None:
    for name, i in (("epoch_10", 0), ("epoch_20", 1), ("last", 2), ("model_best", 3)):
        save(tmp_path / "run0" / f"{name}.pt", i)
    source = open_source(tmp_path)
    assert rows(source) == [("run0", 10), ("run0", 20), ("run0", 21)]
    assert "run0/model_best" in "; ".join(source.description())


def test_trials_of_a_tuner_have_runs_steps_and_scores(tmp_path: Path) -> None:
    for run in range(3):
        trial = tmp_path / f"NN_tune_{run:05d}_seed={run}_2022-01-01"
        for epoch in (0, 25, 50):
            save(trial / f"checkpoint_{epoch:06d}" / "checkpoints", 100 * run + epoch)
        lines = [{"training_iteration": e, "test_acc": 0.5 + e / 125, "lr": 1} for e in (0, 50)]
        (trial / "result.json").write_text("\n".join(map(json.dumps, lines)) + "\n")
        (trial / "params.json").write_text("{}")
    source = open_source(tmp_path)
    assert [step for _, step in rows(source)] == [0, 25, 50] * 3
    assert len(set(source.records.run)) == 3
    expected = np.array([50, np.nan, 90] * 3)
    assert np.allclose(source.records.scores["test_accuracy"], expected, equal_nan=True)
    (trial / "result.json").write_text("no json")
    source = open_source(tmp_path)
    assert source.records.scores == {}
    assert "result.json" in "; ".join(source.description())

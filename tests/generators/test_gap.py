"""The generalization gap: which runs are watched, intervals, and what a model folder keeps."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from methods import Interrupted, fit, fitted, known, same, smoke

from novelweights.generators.baselines import AddNoise
from novelweights.generators.fitting import fit_to_folder
from novelweights.generators.parts.gap import (
    MAX_RUNS,
    GapWatch,
    HasLoss,
    gap_level,
    watched_timesteps,
)
from novelweights.weights.population import Records


def rows_of(path):
    with path.open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def test_the_log_has_20_looks_of_four_levels_and_no_rows_of_other_checkpoints(tmp_path):
    looks = [math.ceil(1.5 * k) for k in range(1, 21)]
    with pytest.raises(Interrupted):
        fit(
            "hyperdiffusion",
            folder=tmp_path,
            watch=known("hyperdiffusion", 9),
            stop=15,
            steps=30,
            timesteps=100,
        )
    rows = rows_of(tmp_path / "gap.csv")
    assert list(rows[0]) == [
        *("step", "timestep", "loss_train", "loss_heldout", "n_train", "n_heldout")
    ]
    assert [row["timestep"] for row in rows[:4]] == [5, 20, 50, 80]
    assert [row["step"] for row in rows[::4]] == looks[:10]
    other = known("hyperdiffusion", 8)
    fit("hyperdiffusion", folder=tmp_path, watch=other, steps=30, timesteps=100)
    assert [row["step"] for row in rows_of(tmp_path / "gap.csv")[::4]] == looks[9:]


def test_evenly_spaced_runs_are_watched_whole(make_population):
    many = make_population(200)
    many = replace(
        many,
        records=Records.of(
            [f"run-{i // 2}" for i in range(200)], split="train", step=[i % 2 for i in range(200)]
        ),
    )
    watch = GapWatch.of(
        many, make_population(3, seed=1), timesteps=500, losses=lambda *_: torch.zeros(1, 4)
    )
    assert len(watch.training) == 2 * MAX_RUNS
    assert len(set(watch.training.records.run)) == MAX_RUNS
    assert watch.training.records.run[-1] == "run-99"
    assert len(watch.heldout) == 3
    assert watch.timesteps == (25, 100, 250, 400)
    assert watched_timesteps(1000) == (50, 200, 500, 800)
    assert watched_timesteps(1) == (0,)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    rng, repetitions = np.random.default_rng(0), 300
    held = np.zeros(2)
    mean = math.exp(0.125)
    for i in range(repetitions):
        train, heldout = 0.3 * rng.lognormal(0, 0.5, 40), rng.lognormal(0, 0.5, 40)
        level = gap_level(5, train, heldout, seed=i)
        held += (
            level.difference[1] <= 0.7 * mean <= level.difference[2],
            level.ratio[1] <= 1 / 0.3 <= level.ratio[2],
        )
    # 93% of 300 are held with a standard error of 1.5%
    assert (held / repetitions > 0.89).all()
    assert (held / repetitions < 0.98).all()


def test_one_run_has_no_interval_and_losses_without_a_ratio_are_no_level():
    alone = gap_level(5, np.array([1.0]), np.array([2.0, 4.0]))
    assert alone.difference == (2.0, None, None)
    assert alone.ratio == (3.0, None, None)
    for losses in ([0.0, 0.0], [1.0, np.inf], [np.nan, 1.0], [-1.0, -2.0]):
        assert gap_level(5, np.array(losses), np.ones(2)) is None
        assert gap_level(5, np.ones(2), np.array(losses)) is None


def test_a_folder_keeps_the_log_and_the_gap(tmp_path):
    training, heldout = known("hyperdiffusion"), known("hyperdiffusion", 9)
    settings = smoke("hyperdiffusion")

    def gap_of(name, method="hyperdiffusion", settings=settings, **more):
        made = fit_to_folder(tmp_path / name, method, settings, training, **more)
        described = json.loads((tmp_path / name / "generator.json").read_text())
        assert described["values_in_training"] == training.weights.numel()
        assert (tmp_path / name / "gap.csv").exists() is (described["gap"] is not None)
        return made, described["gap"]

    watched, gap = gap_of("watched", heldout=heldout)
    assert (len(gap["levels"]), gap["n_heldout"]) == (4, 5)
    assert len(rows_of(tmp_path / "watched" / "gap.csv")) == 80
    partial = tmp_path / "resumed.partial"  # begun with held-out runs, ended without
    partial.mkdir()
    (partial / "gap.csv").write_text("step,timestep\n")
    resumed, gap = gap_of("resumed", resume=True)
    assert gap is None
    assert same(watched, resumed)
    assert gap_of("empty", heldout=heldout.select([]))[1] is None
    assert gap_of("baseline", "noise", AddNoise(), heldout=heldout)[1] is None


def test_only_a_generator_with_a_loss_has_a_gap():
    assert isinstance(fitted("hyperdiffusion"), HasLoss)
    assert not isinstance(fitted("noise"), HasLoss)

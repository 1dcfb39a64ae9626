"""The watch on a fit: it must see memorization, change nothing, and survive interruption."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from novelweights.errors import InputError
from novelweights.generators import make_generator
from novelweights.generators.baselines import AddNoise
from novelweights.generators.hyperdiffusion import HyperDiffusion
from novelweights.generators.parts.gap import (
    MAX_RUNS,
    GapWatch,
    HasLoss,
    final_gap,
    gap_level,
    watched_timesteps,
)
from novelweights.generators.parts.training import Workspace
from novelweights.pipeline import fit_to_folder
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, Records

QUICK = HyperDiffusion(
    width=16,
    layers=1,
    heads=4,
    timesteps=100,
    weight_scale=0.0,
    steps=30,
    batch_size=16,
    learning_rate=2e-3,
    sampling_steps=10,
)
VARIANTS = [
    {},
    {"ema_decay": 0.9, "dropout": 0.1, "noise": 0.01},
]


class Interrupted(Exception):
    """Power cut."""


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def rows_of(path):
    with path.open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize("changes", VARIANTS)
def test_a_watched_fit_ends_with_the_same_bits(make_population, tmp_path, changes):
    training, settings = make_population(6), replace(QUICK, **changes)
    plain = settings.fit(training, rng=seeded(1))
    torch.manual_seed(3)
    before = torch.get_rng_state()
    workspace = Workspace(tmp_path, watch=make_population(5, seed=9, split="heldout"))
    watched = settings.fit(training, rng=seeded(1), workspace=workspace)
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in plain.network.state_dict().items():
        assert torch.equal(value, watched.network.state_dict()[name]), name
    assert not watched.network.training
    rows = rows_of(tmp_path / "gap.csv")
    assert list(rows[0]) == [
        *("step", "timestep", "loss_train", "loss_heldout", "n_train", "n_heldout")
    ]
    assert [row["step"] for row in rows[::4]] == [math.ceil(1.5 * k) for k in range(1, 21)]
    assert [row["timestep"] for row in rows[:4]] == [5, 20, 50, 80]
    assert {(row["n_train"], row["n_heldout"]) for row in rows} == {(6, 5)}


@pytest.mark.parametrize("changes", VARIANTS)
@pytest.mark.parametrize("stops", [[7], [3, 15, 29]])
def test_the_log_of_an_interrupted_fit_is_that_of_a_whole_one(
    make_population, tmp_path, changes, stops
):
    training, settings = make_population(6), replace(QUICK, **changes)
    heldout = make_population(5, seed=9)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    settings.fit(training, rng=seeded(1), workspace=Workspace(whole, watch=heldout))

    def fit_until(stop):
        def progress(step, of, loss):
            if step == stop:
                raise Interrupted

        workspace = Workspace(cut, progress, 0.0, watch=heldout)
        settings.fit(training, rng=seeded(1), workspace=workspace)

    for stop in stops:
        with pytest.raises(Interrupted):
            fit_until(stop)
    fit_until(None)
    assert (cut / "gap.csv").read_bytes() == (whole / "gap.csv").read_bytes()
    fit_until(None)  # nothing left to do
    assert (cut / "gap.csv").read_bytes() == (whole / "gap.csv").read_bytes()


def test_rows_of_other_held_out_checkpoints_are_not_mixed(make_population, tmp_path):
    training = make_population(6)

    def progress(step, of, loss):
        if step == 15:
            raise Interrupted

    with pytest.raises(Interrupted):
        QUICK.fit(
            training,
            rng=seeded(1),
            workspace=Workspace(tmp_path, progress, 0.0, watch=make_population(5, seed=9)),
        )
    other = Workspace(tmp_path, watch=make_population(5, seed=8))
    resumed = QUICK.fit(training, rng=seeded(1), workspace=other)
    assert min(row["step"] for row in rows_of(tmp_path / "gap.csv")) == 15
    plain = QUICK.fit(training, rng=seeded(1))
    assert torch.equal(
        plain.sample(2, rng=seeded(2)).weights, resumed.sample(2, rng=seeded(2)).weights
    )


def test_memorization_opens_the_gap_and_the_log_ends_at_the_final_one(make_population, tmp_path):
    training, heldout = make_population(8), make_population(8, seed=9, split="heldout")
    settings = replace(QUICK, width=64, layers=2, steps=400)
    fitted = settings.fit(training, rng=seeded(1), workspace=Workspace(tmp_path, watch=heldout))
    gap = final_gap(fitted, training, heldout)
    rows = rows_of(tmp_path / "gap.csv")
    assert len(rows) == 80
    for level, last in zip(gap.levels, rows[-4:], strict=True):
        assert level.timestep == last["timestep"]
        assert level.loss_train == pytest.approx(last["loss_train"], rel=1e-5)
        assert level.loss_heldout == pytest.approx(last["loss_heldout"], rel=1e-5)
        assert level.ratio[0] > level.ratio[1] > 2
        assert level.difference[1] > 0
    early = replace(settings, steps=1, learning_rate=0.0).fit(training, rng=seeded(1))
    for level in final_gap(early, training, heldout).levels:
        assert level.ratio[0] == pytest.approx(1, abs=0.2)  # nothing is learned yet: no gap


def test_noise_is_shared_in_pairs_whatever_the_size_of_the_population(make_population):
    fitted = QUICK.fit(make_population(6), rng=seeded(1))
    one = make_population(1).select([0] * 5)
    many = replace(one, records=make_population(5).records)  # five runs with the same weights
    losses = fitted.loss(many, timesteps=(20, 60), rng=seeded(3))
    for n in (1, 3):
        fewer = fitted.loss(many.select(slice(n)), timesteps=(20, 60), rng=seeded(3))
        assert torch.allclose(fewer, losses[:n], rtol=1e-5)
    assert len(set(losses[:, 0].tolist())) == 5  # but every row has noise of its own


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
    rng, repetitions = np.random.default_rng(0), 400
    held = np.zeros(2)
    mean = math.exp(0.125)
    for i in range(repetitions):
        train, heldout = 0.3 * rng.lognormal(0, 0.5, 40), rng.lognormal(0, 0.5, 40)
        level = gap_level(5, train, heldout, seed=i)
        for j, (limits, truth) in enumerate(
            ((level.difference[1:], 0.7 * mean), (level.ratio[1:], 1 / 0.3))
        ):
            held[j] += limits[0] <= truth <= limits[1]
    assert (held / repetitions > 0.9).all()
    assert (held / repetitions < 0.98).all()


def test_one_run_has_no_interval_and_losses_without_a_ratio_are_no_level():
    alone = gap_level(5, np.array([1.0]), np.array([2.0, 4.0]))
    assert alone.difference == (2.0, None, None)
    assert alone.ratio == (3.0, None, None)
    for losses in ([0.0, 0.0], [1.0, np.inf], [np.nan, 1.0]):
        assert gap_level(5, np.array(losses), np.ones(2)) is None
        assert gap_level(5, np.ones(2), np.array(losses)) is None


def test_held_out_checkpoints_that_do_not_fit_are_refused_before_training(
    make_population, tmp_path
):
    training, heldout = make_population(4), make_population(3, seed=1)

    def refuses(population, match):
        with pytest.raises(InputError, match=match):
            QUICK.fit(training, rng=seeded(1), workspace=Workspace(tmp_path, watch=population))
        assert not list(tmp_path.iterdir())

    broken = heldout.weights.clone()
    broken[1, 2] = float("nan")
    refuses(replace(heldout, weights=broken), "held-out checkpoints: NaN or infinite")
    layout = WeightLayout((("other", (2, 2)),))
    records = Records.of(["a"], split="heldout")
    refuses(Population(torch.zeros(1, 4), layout, records), "hold different networks")


def test_a_folder_keeps_the_log_and_the_gap(make_population, tmp_path):
    training, heldout = make_population(6), make_population(5, seed=9)
    fit_to_folder(tmp_path / "m", "hyperdiffusion", QUICK, training, heldout=heldout)
    described = json.loads((tmp_path / "m" / "generator.json").read_text())
    assert len(described["gap"]["levels"]) == 4
    assert described["gap"]["n_heldout"] == 5
    assert described["values_in_training"] == 6 * 39
    assert len(rows_of(tmp_path / "m" / "gap.csv")) == 80
    unwatched = (tmp_path / "none", tmp_path / "empty", tmp_path / "baseline")
    fit_to_folder(unwatched[0], "hyperdiffusion", QUICK, training)
    fit_to_folder(unwatched[1], "hyperdiffusion", QUICK, training, heldout=heldout.select([]))
    fit_to_folder(unwatched[2], "noise", AddNoise(), training, heldout=heldout)
    for folder in unwatched:
        assert json.loads((folder / "generator.json").read_text())["gap"] is None
        assert not (folder / "gap.csv").exists()
    partial = tmp_path / "resumed.partial"  # begun with held-out runs, ended without
    partial.mkdir()
    (partial / "gap.csv").write_text("step,timestep\n")
    fit_to_folder(tmp_path / "resumed", "hyperdiffusion", QUICK, training, resume=True)
    assert not (tmp_path / "resumed" / "gap.csv").exists()
    weights = [(tmp_path / name / "denoiser.safetensors").read_bytes() for name in ("m", "none")]
    assert weights[0] == weights[1]


def test_only_a_generator_with_a_loss_has_a_gap(make_population):
    training = make_population(4)
    assert isinstance(QUICK.fit(training, rng=seeded(1)), HasLoss)
    assert not isinstance(make_generator("noise").fit(training, rng=seeded(1)), HasLoss)

"""What a lossy codec costs, and that what it blurs accuses nobody."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import audit
from refused import noted, refused
from tiny import NETWORK, drawn, named, task

from novelweights.auditing.judge.recognition import other_recipe
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.measure.originals import costs_of_codec
from novelweights.auditing.result import Quantity
from novelweights.tasks.task import Measure
from novelweights.weights.provenance import Provenance

pytestmark = pytest.mark.usefixtures("quick")

JUDGE = task()
GOOD = drawn(1, 101)
"""The network that gives the labels."""


def trained(n, seed):
    """Networks that work: near the one that gives the labels, each in its own place."""
    return GOOD + 0.1 * drawn(n, seed)


TRAIN, HELDOUT = named(trained(24, 1), "train"), named(trained(24, 2), "heldout")


def ruined(population):
    """Through a codec that gives other networks back, which do not work."""
    return population.with_weights(-population.weights, split="reconstruction")


def audited(samples, through=ruined, **options):
    return audit(
        TRAIN,
        named(samples, "generated"),
        **{"heldout": HELDOUT, "task": JUDGE, "n_controls": 0, **options},
        reconstructions=through(TRAIN),
        heldout_reconstructions=through(options.get("heldout", HELDOUT)),
    )


@pytest.fixture(scope="module")
def result():
    """Samples as the codec gives fresh runs back."""
    return audited(-trained(24, 3))


def test_quality_before_the_codec_stands_beside_that_after_it(result):
    before, after = (
        result.quantity(f"mean_quality_{whose}") for whose in ("originals", "training")
    )
    assert before.value == pytest.approx(float(JUDGE.score(JUDGE.behave(TRAIN)).mean()), rel=1e-6)
    assert before.lower < before.value < before.upper
    assert before.value > after.value + 10
    difference = result.quantity("quality_difference_originals")
    made = result.quantity("mean_quality_generated")
    assert difference.value == pytest.approx(made.value - before.value)
    assert difference.unit == "points"
    assert difference.n == 48
    assert result.about["through_codec"] is True


def test_samples_that_work_only_like_ruined_runs_are_not_called_novel(result):
    verdicts = judge(result)
    assert verdicts.counts()["novel"] == 0
    assert any("work worse than before it" in one.reason for one in verdicts.checkpoints)
    assert any("training before the codec" in text for text in verdicts.population.would_decide)
    assert any("through the codec, " in text for text in verdicts.population.reasons)
    assert noted(result.warnings, "codec-costs")


def test_without_a_task_only_the_distance_is_told():
    told = audited(-trained(6, 3), task=None)
    keys = {quantity.key for quantity in told.quantities}
    assert "median_distance_generated_originals" in keys
    assert not keys & {"mean_quality_originals", "quality_difference_originals"}
    assert not any("codec" in note.code for note in told.warnings)


def test_without_a_codec_nothing_of_it_is_told():
    plain = audit(TRAIN, named(trained(6, 3), "generated"), heldout=HELDOUT, task=JUDGE)
    assert "through_codec" not in plain.about
    assert not any("originals" in quantity.key for quantity in plain.quantities)


@pytest.mark.parametrize(
    ("higher", "unit", "margin", "before", "after", "warns"),
    [
        (True, "%", 1.0, (90.0, 91.0), (80.0, 85.0), True),
        (True, "%", 1.0, (90.0, 91.0), (80.0, 89.5), False),
        (True, "%", 1.0, (90.0, 91.0), (92.0, 95.0), False),
        (False, "", 0.05, (0.1, 0.2), (0.3, 0.4), True),
        (False, "", 0.15, (0.1, 0.2), (0.3, 0.4), False),
        (False, "", 0.0, (0.1, 0.2), (0.15, 0.4), False),
    ],
)
def test_a_codec_that_surely_costs_quality_is_warned_of(higher, unit, margin, before, after, warns):
    numbers = [
        Quantity(f"mean_quality_{whose}", "", sum(limits) / 2, 9, "", *limits)
        for whose, limits in (("originals", before), ("training", after))
    ]
    measure = Measure("accuracy", unit, higher)
    assert bool(costs_of_codec(numbers, measure, margin)) is warns
    assert costs_of_codec(numbers, None, margin) == []
    assert costs_of_codec(numbers[:1], measure, margin) == []


def test_held_out_runs_are_not_called_leaked_because_a_codec_blurs():
    apart = named(drawn(24, 11), "train"), named(drawn(24, 12), "heldout")

    def blurred(population):
        weights = population.weights.clone()
        weights[-4:] = GOOD + 1e-4 * weights[-4:]
        return population.with_weights(weights, split="reconstruction")

    result = audit(
        apart[0],
        named(drawn(4, 3), "generated"),
        heldout=apart[1],
        n_controls=0,
        reconstructions=blurred(apart[0]),
        heldout_reconstructions=blurred(apart[1]),
    )
    assert result.heldout is not None
    assert (result.heldout.distance[-4:] < 0.01).all()


def test_a_training_run_given_as_held_out_is_named_whatever_the_codec_gives_back():
    weights = HELDOUT.weights.clone()
    weights[7] = TRAIN.weights[11]
    leaky = replace(HELDOUT, weights=weights)

    def apart(population):
        seed = 5 if population is TRAIN else 6
        return population.with_weights(drawn(len(population), seed), split="reconstruction")

    with refused("leak", "heldout-007 = train-011"):
        audited(drawn(4, 3), through=apart, heldout=leaky)


def test_a_held_out_run_given_as_a_sample_is_named_though_the_codec_changes_held_out_runs():
    samples = drawn(4, 3)
    samples[2] = HELDOUT.weights[5]
    with refused("leak", "1 generated", "heldout-005"):
        audited(samples)


# --- beside the originals ----------------------------------------------------------------------


def test_distances_to_training_weights_stand_beside_those_of_runs(result):
    """Without a symmetry the declared distance is L2."""
    made, fresh, among_runs = (
        result.quantity(f"median_distance_{whose}_originals")
        for whose in ("generated", "heldout", "training")
    )
    samples = torch.cdist(-trained(24, 3), TRAIN.weights).min(dim=1).values
    among = torch.cdist(TRAIN.weights, TRAIN.weights).fill_diagonal_(torch.inf).min(dim=1).values
    held = torch.cdist(HELDOUT.weights, TRAIN.weights).min(dim=1).values
    for quantity, values in ((made, samples), (fresh, held), (among_runs, among)):
        assert quantity.value == pytest.approx(float(np.median(values)), rel=1e-4)
        assert quantity.n == 24
        assert quantity.lower <= quantity.value <= quantity.upper
    assert made.lower > 5 * fresh.upper  # the codec moves them far away
    assert "before the codec" in fresh.definition
    assert "own run excluded" in among_runs.definition


def test_of_one_sample_nothing_has_an_interval():
    told = audited(-trained(1, 3))
    for key in ("median_distance_generated_originals", "quality_difference_originals"):
        quantity = told.quantity(key)
        assert quantity.value is not None
        assert (quantity.lower, quantity.upper, quantity.level) == (None, None, None)
    assert told.quantity("mean_quality_originals").lower is not None


# --- of which recipe held-out runs are ---------------------------------------------------------


def overfitted(population):
    """Through a codec that knows the training checkpoints by heart and spoils all others."""
    weights = population.weights
    if population is not TRAIN:
        weights = -weights
    return population.with_weights(weights, split="reconstruction")


def test_what_a_codec_spoils_is_no_other_recipe():
    told = audited(-trained(24, 3), through=overfitted)
    assert not {note.code for note in told.warnings} & {"other-recipe", "failed-heldout"}
    means = [f"{found.quality.mean():.4g}%" for found in (told.heldout, told.training)]
    assert noted(told.warnings, "codec-differs", "worse", *means)
    assert told.quantity("recipe_p_value").value > 0.001
    assert told.quantity("recipe_p_value").n == 48
    assert "before the codec" in told.quantity("recipe_p_value").definition
    assert not any("same recipe" in text for text in judge(told).population.would_decide)
    after = (told.training.quality, told.heldout.quality, told.quality)
    assert noted(other_recipe(TRAIN, HELDOUT, *after), "other-recipe", "quality")


def test_another_recipe_is_seen_though_the_codec_gives_all_back_alike():
    longer = replace(HELDOUT, weights=1.1 * HELDOUT.weights)

    def alike(population):
        weights = GOOD + 0.1 * drawn(24, 5 if population is TRAIN else 6)
        return population.with_weights(weights, split="reconstruction")

    told = audited(trained(4, 3), through=alike, heldout=longer)
    assert noted(told.warnings, "other-recipe", "norm")
    assert told.quantity("recipe_p_value").value < 0.001
    assert any("same recipe" in text for text in judge(told).population.would_decide)


def test_held_out_runs_that_fail_after_the_codec_alone_are_no_failed_trainings():
    def some_spoiled(population):
        weights = GOOD + 1e-3 * drawn(len(population), 5 if population is TRAIN else 6)
        if population is not TRAIN:
            weights[:2] = -weights[:2]
        return population.with_weights(weights, split="reconstruction")

    told = audited(trained(4, 3), through=some_spoiled)
    assert noted(told.warnings, "failed-after-codec", "2 held-out runs", "0 before")
    assert not noted(told.warnings, "failed-heldout")


# --- samples of a generator with a codec -------------------------------------------------------


@pytest.mark.parametrize("made_by", [Provenance(has_codec=True), Provenance("noise"), None])
def test_samples_of_a_generator_with_a_codec_ask_for_a_reference(made_by):
    samples = named(trained(4, 3), "generated")
    samples = replace(samples, info=replace(samples.info, provenance=made_by))
    bare = audit(TRAIN, samples, heldout=HELDOUT, n_controls=0)
    asks = noted(bare.warnings, "missing-reconstructions", "--heldout-reconstructions")
    assert bool(asks) is (bool(made_by and made_by.has_codec))
    given = audit(
        TRAIN,
        samples,
        heldout=HELDOUT,
        n_controls=0,
        reconstructions=ruined(TRAIN),
        heldout_reconstructions=ruined(HELDOUT),
    )
    assert not noted(given.warnings, "missing-reconstructions")


def test_who_shares_an_initialization_is_asked_of_the_checkpoints_themselves():
    apart = named(drawn(24, 11), "train"), named(drawn(24, 12), "heldout")

    def narrow(population):
        return population.with_weights(GOOD + 0.01 * population.weights, split="reconstruction")

    told = [
        audit(
            apart[0],
            named(drawn(4, 3), "generated"),
            heldout=apart[1],
            symmetry=NETWORK.symmetry,
            n_controls=0,
            reconstructions=through[0],
            heldout_reconstructions=through[1],
        ).about["shared_initialization"]
        for through in ((None, None), tuple(map(narrow, apart)))
    ]
    assert told[0] == told[1]
    assert told[1] is not True

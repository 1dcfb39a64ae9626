"""What a lossy codec costs, and that what it blurs accuses nobody."""

from dataclasses import replace

import pytest
from tiny import NETWORK, drawn, named, quick, task  # noqa: F401

from novelweights.audit.audit import audit
from novelweights.audit.originals import costs_of_codec
from novelweights.audit.result import Quantity
from novelweights.audit.verdict import judge
from novelweights.errors import InputError
from novelweights.tasks.task import Measure

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
        reference=through(TRAIN),
        heldout_reference=through(options.get("heldout", HELDOUT)),
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
    [warning] = [text for text in result.warnings if "codec costs quality" in text]
    assert "before it" in warning


def test_without_a_task_only_the_distance_is_told():
    told = audited(-trained(6, 3), task=None)
    keys = {quantity.key for quantity in told.quantities}
    assert "median_distance_generated_originals" in keys
    assert not keys & {"mean_quality_originals", "quality_difference_originals"}
    assert not any("codec" in text for text in told.warnings)


def test_without_a_codec_nothing_of_it_is_told():
    plain = audit(TRAIN, named(trained(6, 3), "generated"), heldout=HELDOUT, task=JUDGE)
    assert "through_codec" not in plain.about
    assert not any("originals" in quantity.key for quantity in plain.quantities)


@pytest.mark.parametrize(
    ("higher", "unit", "before", "after", "warns"),
    [
        (True, "%", (90.0, 91.0), (80.0, 85.0), True),
        (True, "%", (90.0, 91.0), (80.0, 89.5), False),
        (True, "%", (90.0, 91.0), (92.0, 95.0), False),
        (False, "", (0.1, 0.2), (0.3, 0.4), True),
        (False, "", (0.1, 0.2), (0.15, 0.4), False),
    ],
)
def test_a_codec_that_surely_costs_quality_is_warned_of(higher, unit, before, after, warns):
    numbers = [
        Quantity(f"mean_quality_{whose}", "", sum(limits) / 2, 9, "", *limits)
        for whose, limits in (("originals", before), ("training", after))
    ]
    measure = Measure("accuracy", unit, higher)
    assert bool(costs_of_codec(numbers, measure, 1.0)) is warns
    assert costs_of_codec(numbers, None, 1.0) == []
    assert costs_of_codec(numbers[:1], measure, 1.0) == []


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
        reference=blurred(apart[0]),
        heldout_reference=blurred(apart[1]),
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

    with pytest.raises(InputError, match="heldout-007 = train-011"):
        audited(drawn(4, 3), through=apart, heldout=leaky)


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
            reference=through[0],
            heldout_reference=through[1],
        ).about["shared_initialization"]
        for through in ((None, None), tuple(map(narrow, apart)))
    ]
    assert told[0] == told[1]
    assert told[1] is not True

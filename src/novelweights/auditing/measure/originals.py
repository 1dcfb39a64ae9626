"""The training checkpoints themselves, where reconstructions by a lossy codec stand in for them.

A codec that ruins networks ruins training checkpoints and samples alike, so that they compare well
with each other: what the codec costs is seen only beside the originals. Source: ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from novelweights.auditing.judge.checkpoint_verdict import working
from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.judge.recognition import other_recipe
from novelweights.auditing.judge.statistics import mean, median, nearer_probability
from novelweights.auditing.measure.estimates import estimate
from novelweights.auditing.prepare import Prepared
from novelweights.auditing.result import Quantity
from novelweights.errors import Note, count
from novelweights.metrics.alignment import Alignment
from novelweights.metrics.neighbors import nearest
from novelweights.tasks.task import Measure, Task
from novelweights.weights.population import Population


@dataclass(frozen=True, eq=False)
class HeldoutOriginals:
    """Held-out runs before the codec against the training checkpoints before it."""

    population: Population
    distance: Float[np.ndarray, " h"]
    """Declared distance to the nearest training checkpoint."""
    rows: Int[np.ndarray, " h"]
    """That checkpoint."""
    quality: Float[np.ndarray, " h"] | None
    """None without a task."""


@dataclass(frozen=True, eq=False)
class Originals:
    """Training checkpoints and held-out runs before a lossy codec."""

    train: Population
    """All training checkpoints, one per run."""
    quality: Float[np.ndarray, " n"] | None
    """Of these; None without a task."""
    measured: Int[np.ndarray, " m"]
    """Rows of those whose own neighbors were sought."""
    distance: Float[np.ndarray, " m"]
    """Declared distance of these to the nearest of the others."""
    heldout: HeldoutOriginals | None

    @property
    def distances(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Of held-out runs to training and among training runs; None without held-out runs."""
        return None if self.heldout is None else (self.heldout.distance, self.distance)

    @classmethod
    def of(cls, prepared: Prepared, measured: Int[np.ndarray, " m"]) -> "Originals | None":
        """Those of an audit; None where no reconstructions stand in."""
        train, heldout, held = prepared.originals, prepared.heldout_originals, None
        if train is None:
            return None
        if heldout is not None:
            near = nearest(heldout.learned, train.learned, alignment=prepared.alignment)
            scores = _scores(heldout, prepared.task)
            held = HeldoutOriginals(heldout, near.distances[:, 0], near.rows[:, 0], scores)
        some = train.select(measured).learned
        own = measured[:, None] == np.arange(len(train))
        among = nearest(some, train.learned, exclude=own, alignment=prepared.alignment)
        return cls(train, _scores(train, prepared.task), measured, among.distances[:, 0], held)


def recipe_warnings(
    originals: Originals,
    trained: Float[np.ndarray, " m"] | None,
    held: Float[np.ndarray, " h"] | None,
    quality: Measure | None,
) -> list[Note]:
    """Whether held-out runs are of another recipe before the codec, or differ only after it.

    Args:
        trained: Quality of the measured training checkpoints after it; None: not known.
        held: The same of the held-out runs.
    """
    heldout = originals.heldout
    if heldout is None:
        return []
    theirs = heldout.quality
    ours = None if originals.quality is None else originals.quality[originals.measured]
    train = originals.train.select(originals.measured)
    notes = other_recipe(train, heldout.population, ours, theirs, quality)
    if quality is None or ours is None or theirs is None or trained is None or held is None:
        return notes
    return (
        notes
        + _given_back_otherwise((ours, theirs), (trained, held), quality)
        + _failed_after(theirs, held, quality)
    )


def _scores(population: Population, task: Task | None) -> Float[np.ndarray, " n"] | None:
    return None if task is None else task.score(task.behave(population)).numpy()


def _given_back_otherwise(
    before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], quality: Measure
) -> list[Note]:
    """That training and held-out runs work alike before the codec and differently after it."""
    (_, p_before), (_, p_after) = (nearer_probability(*pair) for pair in (before, after))
    if not p_after < DEFAULT_CRITERIA.recipe_p_value <= p_before:
        return []
    (trained_before, held_before), (trained, held) = (
        [f"{float(mean(values)):.4g}{quality.unit}" for values in pair] for pair in (before, after)
    )
    is_worse = (mean(after[1]) < mean(after[0])) == quality.higher_is_better
    text = (
        f"The codec gives held-out runs back {'worse' if is_worse else 'better'} than training "
        f"runs: mean {quality.name} {held} and {trained} after it, {held_before} and "
        f"{trained_before} before. Samples are compared with both as it gives them back."
    )
    return [Note("codec-differs", text)]


def _failed_after(before: np.ndarray, after: np.ndarray, quality: Measure) -> list[Note]:
    """That more held-out runs work far worse than the others than did before the codec."""
    n_before, n = (len(values) - len(working(values, quality)) for values in (before, after))
    if n <= n_before:
        return []
    text = (
        f"{count(n, 'held-out run')} work far worse than the others after the codec, {n_before} "
        "before it: they do not count for what works."
    )
    return [Note("failed-after-codec", text)]


def beside_originals(
    generated: Population,
    originals: Originals,
    alignment: Alignment | None,
    *,
    made: Float[np.ndarray, " n"] | None,
    quality: Measure | None,
    rng: np.random.Generator,
) -> tuple[Quantity, ...]:
    """Distances to the training checkpoints themselves and, with a task, how well these work."""
    theirs, numbers = originals.quality, ()
    if quality is not None and made is not None and theirs is not None:
        numbers = _qualities(made, theirs, quality, rng)
    near = nearest(generated.learned, originals.train.learned, alignment=alignment)
    return (*_distances(near.distances[:, 0], originals, rng), *numbers)


def _distances(
    made: Float[np.ndarray, " n"], originals: Originals, rng: np.random.Generator
) -> list[Quantity]:
    """Medians to training weights: of samples, and of the runs that tell what is near."""
    groups = [("generated", "generated", "generated checkpoints", made)]
    if originals.heldout is not None:
        held = originals.heldout.distance
        groups.append(("heldout", "held-out", "held-out runs before the codec", held))
    whose = "training checkpoints before the codec"
    groups.append(("training", "training", whose, originals.distance))
    return [
        estimate(median, distances, rng=rng, least=2).quantity(
            f"median_distance_{key}_originals",
            f"Median distance, {name} to training weights",
            f"Median declared distance of {of} to the nearest training checkpoint itself"
            f"{', own run excluded' if key == 'training' else ''}; all other distances are to its "
            "reconstruction by the codec. Weight units; bootstrap by run.",
        )
        for key, name, of, distances in groups
    ]


def _qualities(
    made: Float[np.ndarray, " n"],
    theirs: Float[np.ndarray, " t"],
    quality: Measure,
    rng: np.random.Generator,
) -> tuple[Quantity, Quantity]:
    """How well training checkpoints work before the codec, and samples beside them."""
    name = quality.name
    works = estimate(mean, theirs, rng=rng, least=2).quantity(
        "mean_quality_originals",
        f"Mean {name}, training before the codec",
        f"Mean {name} of the training checkpoints themselves on the test examples; what is said of "
        "training checkpoints elsewhere is of their reconstructions by the codec.",
        unit=quality.unit,
    )
    difference = estimate(
        lambda one, other: mean(one) - mean(other), made, theirs, rng=rng, least=2
    ).quantity(
        "quality_difference_originals",
        f"{name.capitalize()}, generated less training before the codec",
        f"Difference of mean {name}, generated less the training checkpoints themselves, not their "
        "reconstructions by the codec.",
        unit=quality.unit_of_difference,
    )
    return works, difference


def costs_of_codec(
    numbers: Iterable[Quantity], quality: Measure | None, margin: float
) -> list[Note]:
    """A warning where networks surely work worse after the codec than before it, else nothing.

    Args:
        margin: A loss up to this, in the unit of quality, is none.
    """
    known = {q.key: q for q in numbers}
    before, after = known.get("mean_quality_originals"), known.get("mean_quality_training")
    if quality is None or before is None or after is None:
        return []
    better, worse = (before, after) if quality.higher_is_better else (after, before)
    if better.lower is None or worse.upper is None:
        return []
    if better.lower - worse.upper <= margin:
        return []
    unit = quality.unit
    means = f"mean {quality.name} {before.value:.4g}{unit} before it, {after.value:.4g}{unit} after"
    text = (
        f"The generator's codec costs quality (training checkpoints: {means}). Samples are "
        "compared with training and held-out checkpoints after it: to work means here to work like "
        "these."
    )
    return [Note("codec-costs", text)]

"""The words of a verdict and the thresholds behind them.

The defaults follow the trials on real zoos (DESIGN section 5); the paper states no threshold, so
every one here is ours, and a report prints them all.
"""

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

import numpy as np
from jaxtyping import Float

from novelweights.tasks.task import Measure


class Verdict(StrEnum):
    """Where a checkpoint comes from, as far as these measures can tell."""

    REPLICA = "replica"
    INTERPOLATION = "interpolation"
    BROKEN = "broken"
    NOVEL = "novel"
    UNDECIDED = "undecided"


EQUAL, NEARLY_EQUAL = "equal", "nearly equal"
"""Kinds of replicas that need no statistics."""

NOT_FINITE = "not finite: NaN or infinite weights"
"""Why a checkpoint is broken that nothing else can be asked of."""
MEANING = {
    Verdict.REPLICA: "equal to one training checkpoint, or near it or its direction as no held-out "
    "run is",
    Verdict.INTERPOLATION: "a mixture of several training checkpoints",
    Verdict.BROKEN: "works worse than every held-out run",
    Verdict.NOVEL: "indistinguishable from a held-out run by these measures",
    Verdict.UNDECIDED: "the measures disagree, some are missing, or there is too little data",
}


def _threshold(default: Any, meaning: str) -> Any:
    """A field of `Criteria` with what it decides, as reports print it."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Criteria:
    """Thresholds of the verdict. Source: ours, from trials on real zoos of digit classifiers."""

    min_heldout_runs: int = _threshold(20, "Fewer held-out runs than this: undecided.")
    gross_copy: float = _threshold(
        0.5,
        "Nearest distance at most this share of the median held-out distance, and below all of "
        "them: a gross copy. The same of a layer; where held-out runs come as near in it, at most "
        "this share of the least of their distances.",
    )
    exact_copy: float = _threshold(
        0.01,
        "Equal to a training checkpoint, also to a step that is not a run's last: distance at most "
        "this share of the median held-out distance.",
    )
    rescaled_ratio: float = _threshold(
        0.5,
        "In canonical form, a gross copy is one run's if its nearest distance is at most this "
        "share of the next.",
    )
    dominant_weight: float = _threshold(
        0.4,
        "One source: the largest weight in the mixture of training checkpoints is at least "
        "this ...",
    )
    runner_up: float = _threshold(1 / 3, "... and the second at most this share of the largest.")
    large_effect: float = _threshold(
        0.5,
        "A mixture: what training checkpoints together leave of it is at most this share of what "
        "they leave of the median held-out run of the same norm, and below all of them.",
    )
    two_sided: float = _threshold(
        0.01, "A measure is like a held-out run's if its p-value is above this on both sides."
    )
    quality_margin: float = _threshold(
        2.0,
        "Worse than the worst held-out quality by more than this, in percentage points: broken.",
    )
    trained_share: float = _threshold(
        0.5,
        "Networks with less than this share of the median held-out quality (where less is better, "
        "more than it over this) count as untrained: broken.",
    )
    working_p_value: float = _threshold(
        0.01,
        "Behavior is judged if the median training network is beyond chance (naming the most "
        "frequent class) with a p-value of at most this, and if its accuracy is not below what its "
        "records say with such a p-value ...",
    )
    recorded_share: float = _threshold(
        0.5, "... or keeps at least this share of what they say beyond chance."
    )
    max_share: float = _threshold(
        0.05,
        "Population novel: the upper limits of the shares by distance, direction (plain and "
        "recentred), mixture and layers are at most this.",
    )
    distance_ratio: tuple[float, float] = _threshold(
        (0.9, 1.1),
        "Population novel: the interval of the median distance, generated over held-out, lies "
        "inside this range.",
    )
    mean_quality_margin: float = _threshold(
        1.0,
        "Population novel: the interval of the difference of mean quality lies within plus or "
        "minus this, in percentage points.",
    )
    relative_margin: float = _threshold(
        0.1,
        "Both margins where quality is not in percent: this share of the median held-out quality.",
    )
    novel_share: float = _threshold(
        0.5,
        "Population novel: the lower limit of the share of checkpoints that are novel is above "
        "this.",
    )
    recipe_p_value: float = _threshold(
        0.001,
        "Population novel: the p-value of held-out against training distances is not below this.",
    )
    broken_share: float = _threshold(
        0.5, "Population broken: the lower limit of the broken share is above this."
    )
    min_runs: int = _threshold(3, "Fewer independent training runs than this: not identifiable.")
    control_share: float = _threshold(
        0.9, "A control passes if at least this share of it is judged rightly ..."
    )
    control_p_value: float = _threshold(
        0.001,
        "... and held-out runs pass unless chance alone would accuse so many with less than this "
        "p-value.",
    )

    def margin_of_one(self, quality: Measure, null: Float[np.ndarray, " n"]) -> float:
        """By how much one may be worse than the worst held-out run, in quality's unit."""
        return self.quality_margin if quality.unit == "%" else self._relative(null)

    def margin_of_mean(
        self, quality: Measure | None, null: Float[np.ndarray, " n"] | None
    ) -> float:
        """By how much means may differ that count as equal, in quality's unit; 0 without it."""
        if quality is None or null is None:
            return 0.0
        return self.mean_quality_margin if quality.unit == "%" else self._relative(null)

    def _relative(self, null: Float[np.ndarray, " n"]) -> float:
        return self.relative_margin * abs(float(np.median(null)))


DEFAULT_CRITERIA = Criteria()
MEANING_OF_THRESHOLDS = {one.name: str(one.metadata["meaning"]) for one in fields(Criteria)}


@dataclass(frozen=True)
class CheckpointVerdict:
    """The verdict on one generated checkpoint, with its reasons."""

    origin: Verdict
    works: bool | None
    """Quality not below what held-out runs reach, less the margin; None without a task."""
    reason: str
    kind: str = ""
    """Of a replica: equal, nearly equal, or partial copy (some layers are its own); of an
    interpolation: average or mosaic; of an undecided one with copied layers: partial copy; else
    empty."""


@dataclass(frozen=True)
class ControlVerdict:
    """What an audit says of checkpoints whose origin is known."""

    key: str
    label: str
    n: int
    right: int
    """How many were judged rightly."""
    expected: tuple[str, ...]
    """The verdicts that are right."""
    counts: dict[str, int]
    """Checkpoints per verdict."""
    passed: bool
    can_veto: bool
    """If it did not pass, the audit withholds its verdict; else it is a blind spot."""
    noise: float | None
    """Of copies with noise: its length over the median distance of held-out runs to training."""
    distance: float
    """Median distance to training over that of held-out runs."""
    note: str


@dataclass(frozen=True)
class PopulationVerdict:
    """The verdict on the generator's samples together."""

    origin: Verdict
    sentence: str
    """One sentence with its number and interval."""
    reasons: tuple[str, ...]
    would_decide: tuple[str, ...]
    """What is missing for a firmer verdict."""
    n_equal: int = 0
    """Samples that are equal to training checkpoints: certain, whatever else is known."""
    n_nearly_equal: int = 0
    """Samples within a hundredth of the usual distance of a training checkpoint."""
    is_only_certain: bool = False
    """Whether nothing beyond these is shown."""


@dataclass(frozen=True)
class Verdicts:
    """All verdicts of one audit and the thresholds they used."""

    population: PopulationVerdict
    checkpoints: tuple[CheckpointVerdict, ...]
    criteria: Criteria
    controls: tuple[ControlVerdict, ...] = ()
    n_not_finite: int = 0
    """Generated checkpoints that hold no numbers: broken, and not among `checkpoints`."""

    @property
    def largest_noise_seen(self) -> float | None:
        """Copies with up to this noise are found, by the controls; None if none is."""
        seen = None
        for control in sorted(
            (c for c in self.controls if c.noise is not None), key=lambda c: c.noise or 0.0
        ):
            if not control.passed:
                break
            seen = control.noise
        return seen

    @property
    def shown(self) -> set[Verdict]:
        """What is shown of the samples: the verdict on all, and replica where single ones are."""
        certain = self.population.n_equal + self.population.n_nearly_equal
        return {self.population.origin} | ({Verdict.REPLICA} if certain else set())

    def counts(self) -> dict[str, int]:
        """How many generated checkpoints got each verdict."""
        origins = [checkpoint.origin for checkpoint in self.checkpoints]
        origins += [Verdict.BROKEN] * self.n_not_finite
        return {str(kind): origins.count(kind) for kind in Verdict}

    def to_json(self) -> dict[str, Any]:
        """Plain data for `audit.json`."""
        return {
            "population": asdict(self.population),
            "counts": self.counts(),
            "criteria": asdict(self.criteria),
            "controls": [asdict(control) for control in self.controls],
            "largest_noise_seen": self.largest_noise_seen,
        }

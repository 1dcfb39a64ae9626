"""The findings of the paper, as claims that are asked of an audit: one table, in our words.

Where the paper judges by eye, what is measured is ours; what decides is always ours: intervals that
an audit reports are compared with the limits here.

Of a generator that learned from steps of one run (p-diff) the paper reports the opposite of what it
finds elsewhere: samples farther than the steps are from each other, and better than these. It
explains both by averaging within a narrow range; each part of that is a claim of its own. Source:
paper, section 3.3 and appendix D.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from novelweights.auditing.measure.estimates import AS_IT_IS
from novelweights.report.tables import percent

NEARLY_ALL = 0.9
"""The paper says "every" of the samples it shows and "almost every" of more (appendix B.1): this
share."""
HARDLY_LESS = 0.9
"""A ratio whose interval lies above this and reaches 1 is no difference worth the name."""
MARGIN = 1.0
"""Differences of mean quality, in percentage points, that do not matter."""
RELATIVE_MARGIN = 0.1
"""The same where quality is not in percent: this share of training checkpoints' median."""
LEFT_OPEN = 0.5
"""A baseline explains a gain over training checkpoints if it comes nearer to the samples than this
share of the gain."""
MIN_CHECKPOINTS = 8
"""Fewer than this of a kind that is compared: not shown; intervals of so few are too narrow."""
SIMILARITY_MARGIN = 0.05
"""Differences of the median maximum similarity that do not matter."""
HARDLY_VISIBLE = 0.25
"""Weights that differ by at most this, in standard deviations of a network's weights, are nearly
identical in a heatmap: a twentieth of the range of its colors."""
NARROW = 0.5
"""Distances below this share of those among networks trained from scratch are much smaller."""

NOT_MEASURED = "this audit did not measure it; run the audit again"
"""What stands in place of numbers that an older audit lacks."""
RATIO_RULE = (
    "Holds if the ratio's whole interval lies below 1; does not if it reaches 1 and lies above "
    f"{HARDLY_LESS:g}."
)
NORM_RULE = (
    f"{RATIO_RULE} The ratio at equal norm must hold as well, since smaller networks lie nearer to "
    "all without being copies."
)
TRAINING, HELDOUT, SCRATCH = "training checkpoint", "held-out run", "network from scratch"
NOISED, NOISED_RUN, NULL = "noised checkpoint", "noised run", "null"
"""Kinds that samples are compared with; the last: held-out runs, else training checkpoints."""


class Outcome(StrEnum):
    """What an audit says of a finding."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "not shown"


@dataclass(frozen=True)
class Claim:
    """One finding of the paper: how it is asked of any audit.

    `measured` and `rule` are templates: a key of a quantity stands for its value, with `.interval`
    for value and interval; `findings.py` knows the other words.
    """

    claim: str
    source: str
    measured: str
    rule: str
    keys: tuple[str, ...]
    """Quantities whose intervals decide."""
    decide: "Callable[[Sequence[Limits], Margins], Outcome]"
    """By these intervals, and differences that do not matter."""
    beside: str = ""
    """What samples are compared with; too few of it show nothing."""
    is_of_behavior: bool = False
    also: tuple[str, str] = ("", "")
    """A further quantity, and what is said of it where it is known."""
    unmeasured: str = NOT_MEASURED
    """What is said where an interval is missing."""
    of_distance: "Claim | None" = None
    """The same for behavior that is compared by a distance."""


class Limits(NamedTuple):
    """An interval."""

    lower: float
    upper: float

    def below(self, limit: float) -> Outcome:
        """Whether all of it lies below a limit; not, if it lies above."""
        if self.upper < limit:
            return Outcome.HOLDS
        return Outcome.FAILS if self.lower > limit else Outcome.OPEN

    def above(self, limit: float) -> Outcome:
        """Whether all of it lies above a limit; not, if it lies below."""
        return Limits(-self.upper, -self.lower).below(-limit)


class Margins(NamedTuple):
    """Differences that do not matter; nan, inside which nothing lies, where units are others."""

    quality: float
    left_open: float
    """Of quality, at most a part of the gain over training checkpoints."""
    novelty: float


def _less(limits: Sequence[Limits], _margins: Margins) -> Outcome:
    """Whether a ratio is below 1."""
    [(lower, upper)] = limits
    if upper < 1:
        return Outcome.HOLDS
    return Outcome.FAILS if lower > HARDLY_LESS else Outcome.OPEN


def _all_less(limits: Sequence[Limits], margins: Margins) -> Outcome:
    """Whether several ratios are all below 1; not, if any is not."""
    found = [_less([one], margins) for one in limits]
    if Outcome.FAILS in found:
        return Outcome.FAILS
    return Outcome.HOLDS if set(found) == {Outcome.HOLDS} else Outcome.OPEN


def _no_gain(limits: Sequence[Limits], margins: Margins) -> Outcome:
    [(lower, upper)] = limits
    if lower > 0:
        return Outcome.FAILS
    return Outcome.HOLDS if upper <= margins.quality else Outcome.OPEN


def _no_loss(limits: Sequence[Limits], margins: Margins) -> Outcome:
    [(lower, upper)] = limits
    if lower >= -margins.quality:
        return Outcome.HOLDS
    return Outcome.FAILS if upper < -margins.quality else Outcome.OPEN


def _within(limits: Sequence[Limits], margins: Margins) -> Outcome:
    """Whether all differences lie within their margins; not, if one lies outside."""
    pairs = list(zip(limits, (margins.left_open, margins.novelty), strict=True))
    if any(one.lower > margin or one.upper < -margin for one, margin in pairs):
        return Outcome.FAILS
    is_inside = all(-margin <= one.lower and one.upper <= margin for one, margin in pairs)
    return Outcome.HOLDS if is_inside else Outcome.OPEN


IDENTICAL = Claim(
    "For nearly every generated checkpoint some training checkpoint is nearly identical.",
    "figures 2, 11 and 12",
    "share within {radius} of the median distance of {null}: {gross_copy_share.interval} "
    "(n = {n_generated})",
    "The paper judges by eye; nearly identical is here at most {radius} of the median distance of "
    "{null}, a strict radius. Holds if the share's whole interval lies above "
    f"{100 * NEARLY_ALL:g}%, does not if below.",
    ("gross_copy_share",),
    lambda limits, _: limits[0].above(NEARLY_ALL),
    NULL,
)
NEARER = Claim(
    "Generated checkpoints are nearer to training checkpoints than these are to one another.",
    "figure 4; not p-diff",
    "median distance {median_distance_generated} against {median_distance_training}: ratio "
    "{distance_ratio_training.interval}; at equal norm, over {null}, "
    "{distance_ratio_equal_norm.interval}; a sample is nearer with chance "
    "{nearer_probability_training} (n = {n_generated} and {n_training})",
    NORM_RULE,
    ("distance_ratio_training", "distance_ratio_equal_norm"),
    _all_less,
    TRAINING,
)
NEARER_THAN_HELDOUT = Claim(
    "Generated checkpoints are nearer to training checkpoints than new runs of the recipe are.",
    "figure 4, as concluded there; held-out runs are ours",
    "median distance {median_distance_generated} against {median_distance_heldout}: ratio "
    "{distance_ratio.interval}; at equal norm "
    "{distance_ratio_equal_norm.interval}; a sample is nearer with chance {nearer_probability} "
    "(n = {n_generated} and {n_heldout})",
    NORM_RULE,
    ("distance_ratio", "distance_ratio_equal_norm"),
    _all_less,
    HELDOUT,
)
SHAPED_ALIKE = Claim(
    "Shapes of generated checkpoints are nearer to that of a training checkpoint than those of "
    "training checkpoints are to one another.",
    "figure 5d",
    "median {novelty} {median_novelty_generated} against {median_novelty_training} among training "
    "checkpoints: ratio {novelty_ratio.interval} (n = {n_generated} and {n_training})",
    RATIO_RULE,
    ("novelty_ratio",),
    _less,
    TRAINING,
    is_of_behavior=True,
)
ALIKE = Claim(
    "Predictions overlap more with the nearest training checkpoint than those of training "
    "checkpoints do with their nearest.",
    "figure 5, table 2",
    "overlap {prediction_overlap_generated} against {prediction_overlap_training}: share predicted "
    "differently, ratio {disagreement_ratio.interval} (n = {n_generated} and {n_training})",
    RATIO_RULE,
    ("disagreement_ratio",),
    _less,
    TRAINING,
    is_of_behavior=True,
    of_distance=SHAPED_ALIKE,
)
NO_GAIN = Claim(
    "The generator does not outperform noise added to training checkpoints, at equal novelty.",
    "figure 6; not p-diff",
    "mean {quality} {advantage_over_noise.interval} over {noised} with noise that are as novel "
    "(n = {n_generated} and {n_noise}; {noise_note})",
    "Does not hold if the gain's whole interval lies above 0; holds if it does not and excludes a "
    "gain above {margin}.",
    ("advantage_over_noise",),
    _no_gain,
    NOISED_RUN,
    is_of_behavior=True,
)
WORKS = Claim(
    "Generated checkpoints work about as well as training checkpoints.",
    "figure 6, table 1 (G.pt)",
    "mean {quality} {mean_quality_generated} against {mean_quality_training}: difference "
    "{quality_difference_training.interval} (n = {n_generated} and {n_training})",
    "Holds if the interval excludes a loss of more than {margin}, does not if all of it is such a "
    "loss.",
    ("quality_difference_training",),
    _no_loss,
    TRAINING,
    is_of_behavior=True,
)
WORKS_BEFORE_CODEC = replace(
    WORKS,
    measured="mean {quality} {mean_quality_generated} against {mean_quality_originals} before the "
    "codec: difference {quality_difference_originals.interval} (n = {n_generated} and "
    "{mean_quality_originals.n})",
    keys=("quality_difference_originals",),
)
"""The same where reconstructions stand in: a codec that ruins both proves nothing."""
OF_ONE_RUN = (
    Claim(
        "Weights of generated checkpoints are nearly identical to those of training checkpoints.",
        "figures 2 and 11",
        "difference per weight {weight_difference_generated.interval} standard deviations of a "
        "network's weights (n = {weight_difference_generated.n})",
        "The paper judges heatmaps by eye; nearly identical is here a root mean square difference "
        f"from the nearest of at most {HARDLY_VISIBLE:g} standard deviations. Holds if the whole "
        "interval lies below, does not if above.",
        ("weight_difference_generated",),
        lambda limits, _: limits[0].below(HARDLY_VISIBLE),
        also=(
            "weight_difference_from_scratch",
            "; of networks from scratch {weight_difference_from_scratch}",
        ),
    ),
    Claim(
        "Training checkpoints are nearer to one another than generated ones are to them.",
        "figure 4: p-diff only",
        "median distance {median_distance_generated} generated, {median_distance_training} "
        "training: ratio {distance_ratio_training.interval} (n = {n_generated} samples)",
        "Holds if the ratio's whole interval lies above 1, does not if below. Expected of "
        "consecutive steps; it is no sign of novelty.",
        ("distance_ratio_training",),
        lambda limits, _: limits[0].above(1.0),
    ),
    NEARER_THAN_HELDOUT,
    Claim(
        "Generated checkpoints and their nearest training checkpoints predict nearly alike.",
        "figure 5, table 2 (p-diff: 93.5%)",
        "overlap {prediction_overlap_generated.interval} (n = {n_generated}); training "
        "{prediction_overlap_training}",
        f"Holds if the whole interval lies above {percent(NEARLY_ALL)}, does not if below.",
        ("prediction_overlap_generated",),
        lambda limits, _: limits[0].above(NEARLY_ALL),
        is_of_behavior=True,
        also=("prediction_overlap_heldout", ", held-out {prediction_overlap_heldout}"),
    ),
    replace(ALIKE, beside=""),
    Claim(
        "The generator outperforms noise added to training checkpoints, at equal novelty.",
        "figure 6d: p-diff only",
        NO_GAIN.measured.replace("{noised}", "training checkpoints"),
        "Holds if the gain's whole interval lies above 0, does not if below.",
        ("advantage_over_noise",),
        lambda limits, _: limits[0].above(0.0),
        NOISED,
        is_of_behavior=True,
    ),
    Claim(
        "Generated checkpoints work better than training checkpoints.",
        "figure 6d: p-diff only",
        "mean {quality} {mean_quality_generated} generated, {mean_quality_training} training: "
        "difference {quality_difference_training.interval} (n = {n_generated} samples)",
        f"Holds if the difference's whole interval lies above 0, does not if below; {AS_IT_IS}.",
        ("quality_difference_training",),
        lambda limits, _: limits[0].above(0.0),
        is_of_behavior=True,
    ),
    Claim(
        "Generated weights concentrate around the mean of the training weights.",
        "figures 7, 16 and 17",
        "median distance to the mean {center_generated} generated, {center_training} training: "
        "ratio {center_ratio_generated.interval} (n = {center_ratio_generated.n} samples; "
        "{baseline_ratios}); standard deviation per parameter over training {spread_generated}",
        f"By distance to the mean of the training checkpoints. {RATIO_RULE}",
        ("center_ratio_generated",),
        _less,
    ),
    *(
        Claim(
            f"Accuracy and maximum similarity match those of {baseline}.",
            "figure 8",
            f"mean {{quality}} differs by {{quality_difference_{key}.interval}}, median "
            f"{{novelty}} by {{novelty_difference_{key}.interval}} (n = {{n_generated}} samples)",
            "The paper judges by eye. Holds if both whole intervals lie within {left_open} (at "
            f"most {LEFT_OPEN:g} of the gain over training checkpoints) and {SIMILARITY_MARGIN:g}; "
            "does not if one lies outside.",
            (f"quality_difference_{key}", f"novelty_difference_{key}"),
            _within,
            is_of_behavior=True,
        )
        for key, baseline in (
            ("average_16", "averages of 16 training checkpoints"),
            ("gaussian", "Gaussian draws, fitted per parameter"),
        )
    ),
    Claim(
        "Training and generated checkpoints occupy a narrow range beside networks trained from "
        "scratch.",
        "table 4, figure 15",
        "mean distance {pairs_training} among training checkpoints, {pairs_training_generated} of "
        "generated to training, {pairs_from_scratch} among networks from scratch: shares "
        "{narrow_training.interval} and {narrow_generated.interval}",
        f"Holds if both shares' whole intervals lie below {NARROW:g}, does not if one lies above.",
        ("narrow_training", "narrow_generated"),
        lambda limits, _: Limits(*map(max, zip(*limits, strict=True))).below(NARROW),
        SCRATCH,
        unmeasured="too few networks trained from scratch were given",
    ),
)

"""Which of an audit's general numbers hold where training checkpoints are steps of one run, and
what is said of them there.

Such steps are no independent evidence: what treats them as fresh runs is left out unless held-out
runs stand there, and numbers of theirs alone have no interval. Source: ours.
"""

from collections.abc import Iterable
from dataclasses import replace

from novelweights.auditing.measure.estimates import AS_IT_IS, FIXED
from novelweights.auditing.result import Quantity

NEVER = ("smallest_detectable_share",)
"""No share of copies can be detected."""
OF_FRESH = (
    "nearer_p_value",
    "gross_copy_share",
    "copied_share",
    "aligned_share",
    "mixed_share",
    "mosaic_share",
    "repeated_share",
)
"""Tests and shares that count fresh runs as independent: with held-out runs only."""
OF_TRAINING = (
    "median_distance_training",
    "mean_quality_training",
    "median_novelty_training",
    "prediction_overlap_training",
    "mean_distance_training",
)
"""Of training checkpoints alone: no interval."""
BESIDE_TRAINING = (
    "distance_ratio_training",
    "nearer_probability_training",
    "disagreement_ratio",
    "quality_difference_training",
)
"""Of generated beside training checkpoints, of which the generated ones are drawn again."""
BESIDE_FRESH = ("distance_ratio", "quality_difference")
"""Of generated checkpoints beside held-out runs, both drawn again; without these, beside training
checkpoints, which are not."""
LABELS = {
    "gross_copy_share": "Within half the median distance of fresh runs",
    "copied_share": "Nearer to the training run than fresh runs",
    "aligned_share": "More aligned with the training run than fresh runs",
}
"""What identifies no copies is not called so."""
LABELS_WITHOUT_HELDOUT = {
    "distance_ratio": "Median distance, generated over training, one left out",
    "nearer_probability": "Chance that a sample is nearer than a training checkpoint, one left out",
}
WORDS = {
    "Median over training runs": "Median over training checkpoints",
    "of the training runs, drawn": "of the training checkpoints, drawn",
    "each against the other runs,": "each against the others,",
    " of another run": " other than itself",
    "over all training runs": "over all training checkpoints",
}
WITHOUT_HELDOUT = {
    "training runs, own run excluded": "training checkpoints, each against the others",
    "1: as far as fresh runs.": "1: as far as these; how far fresh runs lie is not known. Each "
    "sample is compared with all training checkpoints but one, drawn at random.",
    "(Mann-Whitney U / mn;": "(each sample against all training checkpoints but one, drawn at "
    "random; Mann-Whitney U / mn;",
    "less training runs.": "less training checkpoints.",
}
"""What training checkpoints are compared with, in words; the second where no held-out runs are."""


def of_one_run(
    quantities: Iterable[Quantity], *, n_generated: int, n_heldout: int
) -> list[Quantity]:
    """The numbers that hold there, with words, n and intervals that are true of them.

    Args:
        quantities: As they are of many runs; bootstraps have drawn no training checkpoints again.
        n_generated: Generated checkpoints.
        n_heldout: Held-out runs; 0: there are none.
    """
    without = NEVER if n_heldout else NEVER + OF_FRESH
    return [
        _said(quantity, n_generated, n_heldout)
        for quantity in quantities
        if quantity.key not in without
    ]


def without_limits(quantity: Quantity) -> Quantity:
    """The number without an interval."""
    return replace(quantity, lower=None, upper=None, level=None)


def _said(quantity: Quantity, n_generated: int, n_heldout: int) -> Quantity:
    """One number, in the words of one run."""
    key, drawn, n = quantity.key, "samples", quantity.n
    if key in BESIDE_TRAINING or (n_heldout == 0 and key in (*BESIDE_FRESH, "nearer_probability")):
        n = n_generated
    elif key in BESIDE_FRESH:
        drawn, n = "samples and held-out runs", min(n_generated, n_heldout)
    elif key.endswith("_heldout"):
        drawn = "held-out runs"
    words = WORDS | {
        "Bootstrap by run.": f"Bootstrap over {drawn}; {AS_IT_IS}.",
        "; bootstrap by run.": f"; bootstrap over {drawn}.",
    }
    label = LABELS.get(key, quantity.label)
    if n_heldout == 0:
        words |= WITHOUT_HELDOUT if key != "nearer_probability_training" else {}
        label = LABELS_WITHOUT_HELDOUT.get(key, label.replace(" less fresh", " less training, 90%"))
    if key in OF_TRAINING:
        words["; bootstrap by run."] = "."
    definition = quantity.definition
    for many, one in words.items():
        definition = definition.replace(many, one)
    if key in OF_TRAINING:
        quantity, definition = without_limits(quantity), f"{definition} {FIXED}"
    return replace(quantity, label=label, definition=definition, n=n)

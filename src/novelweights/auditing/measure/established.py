"""Established measures as numbers of a report: beside ours, never part of the verdict."""

from novelweights.auditing.measure.estimates import share_of
from novelweights.auditing.result import SHARE, Quantity
from novelweights.metrics.established import EstablishedMeasures

GROUP = "established"


def established_quantities(measures: EstablishedMeasures) -> list[Quantity]:
    """Shares flagged by each measure, C_T and the DCR share, with their definitions."""
    n = len(measures.ratio)
    texts = {
        "ratio_rule": (
            "Copies by d1/d2 < 1/3",
            "Share whose nearest training checkpoint is at less than a third of the distance of "
            "the second nearest (Yoon et al. 2023). Misses copies with noise, copies of "
            "checkpoints with a near twin, and averages.",
        ),
        "calibrated_l2": (
            "Copies by calibrated L2",
            "Share whose distance to the nearest is below half the mean distance to the 50 nearest "
            "(Carlini et al. 2023).",
        ),
        "not_authentic": (
            "Not authentic",
            "Share nearer to their nearest training checkpoint than that is to all others in "
            "training (Alaa et al. 2022, correct form). About 17% of honest new draws are.",
        ),
    }
    numbers = []
    for key, flagged in measures.flags().items():
        label, definition = texts[key]
        definition = f"{definition} Plain L2, nothing aligned."
        numbers.append(share_of(key, label, int(flagged.sum()), n, definition, GROUP))
    test = measures.data_copying
    for key, label, value, definition in (
        (
            "data_copying_published",
            "C_T as published",
            test.published,
            "Data-copying test (Meehan et al. 2020): mean over 3 cells of the rank statistic of "
            "generated against held-out distances; below -3 is read as copying. Its spread without "
            "copying is about 0.58, not 1, so it is conservative.",
        ),
        (
            "data_copying_corrected",
            "C_T with unit variance",
            test.corrected,
            "The same, divided by the root of the sum of squared cell weights: a standard normal "
            "without copying.",
        ),
    ):
        missing = f" Not available: {test.missing}." if test.missing else ""
        numbers.append(Quantity(key, label, value, n, definition + missing, group=GROUP))
    if measures.closer is not None:
        note = f" {measures.closer.note}" if measures.closer.note else ""
        numbers += [
            Quantity(
                key="closer_share",
                label="Closer to training than to held-out (DCR share)",
                value=measures.closer.share,
                n=n,
                definition="Share strictly closer to a training checkpoint than to a held-out one; "
                f"one half without copying, if both are equally many.{note}",
                unit=SHARE,
                group=GROUP,
            ),
            Quantity(
                key="closer_share_equal",
                label="The same at equal sizes",
                value=measures.closer.equal_sizes,
                n=n,
                definition="The larger of training and held-out subsampled to the smaller.",
                unit=SHARE,
                group=GROUP,
            ),
        ]
    return numbers

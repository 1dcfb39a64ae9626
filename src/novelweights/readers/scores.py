"""Scores as other people write them, in our units."""

from collections.abc import Sequence

import numpy as np


def as_percent(accuracies: Sequence[float]) -> tuple[np.ndarray, str] | None:
    """Accuracies of a population in percent, and the unit they came in, for people.

    They are shares where none is above 1; None where they can be neither.
    """
    values = np.asarray(accuracies, dtype=np.float64)
    known = values[~np.isnan(values)]
    if len(known) and not (known.min() >= 0 and known.max() <= 100):
        return None
    if len(known) and known.max() > 1:
        return values, "in percent"
    return 100 * values, "from 0 to 1"

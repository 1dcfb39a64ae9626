"""The numbers of an audit of one run, in the order in which its page tells them."""

from collections.abc import Iterable
from typing import NamedTuple

from novelweights.auditing.one_run.distances import DISTANCES
from novelweights.auditing.result import Quantity
from novelweights.report.tables import QuantityRow, quantity_rows

BEHAVIOR = ("mean_quality", "median_novelty", "quality_", "novelty_", "noise_")
"""How the keys of numbers of behavior begin."""


class OneRunTables(NamedTuple):
    """Three tables."""

    distances: list[QuantityRow]
    """How far apart checkpoints lie, and how alike their weights look."""
    center: list[QuantityRow]
    """Where they lie beside the mean of the run."""
    behavior: list[QuantityRow]
    """What they do beside the baselines; empty without a task."""


def one_run_tables(quantities: Iterable[Quantity]) -> OneRunTables:
    """Those of the group "one run", each number in one table."""
    found = OneRunTables([], [], [])
    for row in quantity_rows(quantities):
        if row.key in DISTANCES or row.key.startswith("weight_difference"):
            found.distances.append(row)
        elif row.key.startswith(BEHAVIOR):
            found.behavior.append(row)
        else:
            found.center.append(row)
    return found

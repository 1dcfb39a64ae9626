"""Figure 17: how fifty weights of P-diff's training and generated checkpoints are distributed.

Source: paper, figure 17.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from novelweights.reproduce.distribution_exhibits import (
    distribution_nodes,
    distribution_picture,
    distribution_table,
)
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

TITLE = "Distributions of fifty weights of P-diff's training and generated checkpoints"


def needs(plan: Plan) -> list[Node]:
    """The run it stands on."""
    return distribution_nodes(plan)


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per checkpoint."""
    return distribution_table(runs, plan, TITLE, 50)


def picture(table: Table) -> Figure:
    """Kernel densities, ten in a row."""
    return distribution_picture(table, is_smooth=True, per_row=10)


def claims(table: Table) -> Sequence[ClaimRow]:
    """None: the paper prints no number."""
    return []

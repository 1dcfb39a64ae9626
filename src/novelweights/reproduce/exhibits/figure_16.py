"""Figure 16: the distributions of figure 7 without smoothing.

Source: paper, figure 16.
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

TITLE = "Distributions of five weights of P-diff's training and generated checkpoints"


def needs(plan: Plan) -> list[Node]:
    """The run it stands on."""
    return distribution_nodes(plan)


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per checkpoint."""
    return distribution_table(runs, plan, TITLE, 5)


def picture(table: Table) -> Figure:
    """Histograms."""
    return distribution_picture(table, is_smooth=False)


def claims(table: Table) -> Sequence[ClaimRow]:
    """None: the paper prints no number."""
    return []

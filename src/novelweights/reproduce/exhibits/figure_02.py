"""Figure 2: weights of three samples drawn at random above their nearest training checkpoints.

Source: paper, figure 2.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from novelweights.reproduce.heatmap_exhibits import heatmap_nodes, heatmap_picture, heatmap_table
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

TITLE = "Weights of three samples above their three nearest training checkpoints"


def needs(plan: Plan) -> list[Node]:
    """The runs it stands on."""
    return heatmap_nodes(plan)


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per checkpoint: its distance to the sample, and 64 weights."""
    return heatmap_table(runs, plan, TITLE, "random", slice(3))


def picture(table: Table) -> Figure:
    """One column per method."""
    return heatmap_picture(table)


def claims(table: Table) -> Sequence[ClaimRow]:
    """None: the paper prints no number."""
    return []

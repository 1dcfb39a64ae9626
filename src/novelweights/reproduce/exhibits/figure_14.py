"""Figure 14: what samples at percentiles of distance do, beside their nearest training checkpoints.

Source: paper, figure 14.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow
from novelweights.reproduce.output_exhibits import output_nodes, output_picture, output_table
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.showing import PERCENTILES
from novelweights.reproduce.table import Table

TITLE = "Outputs of samples along the order of distance beside those of their nearest"
LABELS = [f"percentile {percent}" for percent in PERCENTILES]


def needs(plan: Plan) -> list[Node]:
    """The runs it stands on."""
    return output_nodes(plan)


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per checkpoint: what it does, as a picture, its distance, how alike both are."""
    return output_table(runs, plan, TITLE, "percentiles", slice(None), LABELS)


def picture(table: Table) -> Figure:
    """Two columns per method."""
    return output_picture(table)


def claims(table: Table) -> Sequence[ClaimRow]:
    """None: the paper prints no number."""
    return []

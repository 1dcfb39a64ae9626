"""Figure 5: what three samples drawn at random do, beside their nearest training checkpoints.

Source: paper, figure 5.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow
from novelweights.reproduce.output_exhibits import output_nodes, output_picture, output_table
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

TITLE = "Outputs of three samples beside those of their nearest training checkpoints"


def needs(plan: Plan) -> list[Node]:
    """The runs it stands on."""
    return output_nodes(plan)


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per checkpoint: what it does, as a picture, its distance, how alike both are."""
    return output_table(runs, plan, TITLE, "random", slice(3))


def picture(table: Table) -> Figure:
    """Two columns per method."""
    return output_picture(table)


def claims(table: Table) -> Sequence[ClaimRow]:
    """None: the paper prints no number."""
    return []

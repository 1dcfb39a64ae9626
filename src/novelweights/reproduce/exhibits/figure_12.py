"""Figure 12: weights of samples above their nearest training checkpoints, from near to far.

Samples at percentiles of their distance to the nearest training checkpoint. Source: paper,
figure 12.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from novelweights.reproduce.heatmap_exhibits import heatmap_nodes, heatmap_picture, heatmap_table
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.showing import PERCENTILES
from novelweights.reproduce.table import Table

TITLE = "Weights of samples at percentiles of distance above their nearest training checkpoints"


def needs(plan: Plan) -> list[Node]:
    """The runs it stands on."""
    return heatmap_nodes(plan)


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per checkpoint: its distance to the sample, and 64 weights."""
    labels = [f"percentile {percentile}" for percentile in PERCENTILES]
    return heatmap_table(runs, plan, TITLE, "percentiles", slice(None), labels)


def picture(table: Table) -> Figure:
    """One column per method."""
    return heatmap_picture(table)


def claims(table: Table) -> Sequence[ClaimRow]:
    """None: the paper prints no number."""
    return []

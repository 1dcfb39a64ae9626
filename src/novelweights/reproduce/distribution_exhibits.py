"""How single weights of P-diff's training and generated checkpoints are distributed.

They are drawn at random among the first parameter that P-diff generates, the same in all exhibits;
what its audit keeps of them is enough. Source: paper, figures 7, 16 and 17.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from novelweights.report.one_run_figures import draw_entries
from novelweights.report.tables import number, percent
from novelweights.reproduce.drawing import captioned
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.reading import about, audit_at
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

METHOD = "p-diff"
KINDS = ("training", "generated")
NAME = "weight "
"""What the name of a weight's column begins with."""


def distribution_nodes(plan: Plan) -> list[Node]:
    """The run that distributions stand on."""
    return [plan.of(METHOD).audit]


def distribution_table(runs: Runs, plan: Plan, title: str, n: int) -> Table:
    """One row per checkpoint: its kind, and the values of the first n weights that were drawn."""
    audit = audit_at(runs, plan.of(METHOD).audit)
    entries = audit.plot_data["entry_parameters"][:n]
    order = np.argsort(entries)
    values = {kind: audit.plot_data[f"entry_{kind}"][:, order] for kind in KINDS}
    parts = [
        pd.DataFrame(of, columns=[f"{NAME}{entry}" for entry in entries[order]]).assign(kind=kind)
        for kind, of in values.items()
    ]
    told = about(audit) | {"parameter": audit.result.about.get("first_parameter", "")}
    told |= concentration(values["training"], values["generated"])
    whole = audit.result.quantity("center_ratio_generated")
    told["center_ratio"] = [whole.value, whole.lower, whole.upper]
    return Table(title, pd.concat(parts, ignore_index=True), told, _notes(told, len(entries)))


def concentration(training: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """How much nearer to the mean of the training values those of generated checkpoints lie.

    Returns:
        Of each weight the mean absolute deviation from the training mean, of generated over that
        of training checkpoints: the median over weights, and the share of weights below 1.
    """
    center = training.mean(axis=0, dtype=np.float64)
    theirs, ours = (np.abs(values - center).mean(axis=0) for values in (training, generated))
    ratio = ours / np.maximum(theirs, 1e-300)
    return {"deviation_ratio": float(np.median(ratio)), "nearer_share": float((ratio < 1).mean())}


def _notes(told: Mapping[str, Any], n: int) -> tuple[str, ...]:
    """What a reader must know."""
    whole, lower, upper = told["center_ratio"]
    return (
        "The paper prints no number for how much generated values concentrate around the mean of "
        "the training values, so there is no outcome. Ours: the mean absolute deviation from that "
        f"mean is, in the median over these {n} weights, {number(told['deviation_ratio'])} times "
        "that of training checkpoints, and smaller than it in "
        f"{percent(told['nearer_share'])} of them. Over all weights the median L2 distance to the "
        f"mean of the training checkpoints is {number(whole)} times that of training checkpoints "
        f"(95%: {number(lower)} to {number(upper)}; bootstrap over samples).",
    )


def distribution_picture(table: Table, *, is_smooth: bool, per_row: int = 5) -> Figure:
    """A panel per weight, with the mean of the training values."""
    names = [column for column in table.rows.columns if column.startswith(NAME)]
    training, generated = (
        np.stack([table.values(name, kind=kind) for name in names], axis=1) for kind in KINDS
    )
    entries = np.array([int(name.removeprefix(NAME)) for name in names])
    figure, _ = draw_entries(entries, training, generated, is_smooth=is_smooth, per_row=per_row)
    for ax, center in zip(figure.axes, training.mean(axis=0), strict=False):
        ax.axvline(center, color="#333333", linewidth=0.9, linestyle=":")
    told, height = table.about, "density (own height each)" if is_smooth else "% of checkpoints"
    figure.supylabel(height, fontsize=8.5)
    return captioned(
        figure,
        f"Values of weights of {told['parameter']} (index above each), n = {len(training)} "
        f"training and {len(generated)} generated; dotted: mean of training. Mean absolute "
        f"deviation from it, generated over training: median {number(told['deviation_ratio'])}, "
        f"below 1 in {percent(told['nearer_share'])} of the {len(names)} weights (the paper prints "
        "no number).",
    )

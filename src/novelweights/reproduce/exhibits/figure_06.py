"""Figure 6: how good checkpoints are against how new, beside training checkpoints with noise.

Noise of the paper's two amplitudes, and of one at which noise is as new as the samples: where both
are equally new, the better one has the better trade-off. The upper row shows everything, the lower
comes close to what works. Source: paper, section 3.2, figure 6 and appendix C.2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from novelweights.report.style import BLUE, RED, TEAL, window
from novelweights.reproduce.drawing import TITLES, panels
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow, more_than
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.reading import about, audit_at
from novelweights.reproduce.reported import NOISE
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table
from novelweights.reproduce.trading_off import MATCHED, noise_at, read_trade_off

TITLE = "Quality against novelty, beside noise on training checkpoints"
LOOKS = {
    "training": ("training", BLUE, "o"),
    "heldout": ("held-out", TEAL, "P"),
    noise_at(0): ("noise, the paper's lower amplitude", "#B8860B", "v"),
    noise_at(1): ("noise, the paper's higher amplitude", "#8C8C8C", "D"),
    MATCHED: ("noise, as new as the samples", "#444444", "s"),
    "generated": ("generated", RED, "X"),
}
"""Label, color and marker of each kind, the last drawn on top."""
CORE = ("training", "generated", MATCHED)
"""What the lower row shows whole."""
NOTES = (
    "Novelty of Hyper-Representations is against all reconstructions, of all epochs, as in the "
    "paper; of the others against the checkpoints that the paper compares with.",
    "The paper prints no number of this figure, only which of samples and noise does better, so no "
    "outcome is told by the rule; about.METHOD.difference is the mean quality of samples less that "
    "of noise as new as they are, with its 95% interval.",
    "Below the upper panels: how many checkpoints, and the standard deviations of the noise in "
    "weight units: the paper's two, and the one as new as the samples.",
    "The amplitude at which noise is as new as the samples is found as an audit finds it, but from "
    "the samples shown, and of Hyper-Representations against the reconstructions of all epochs.",
    "The paper's amplitudes were chosen for its own zoos, whose weights have other spreads.",
)


def needs(plan: Plan) -> list[Node]:
    """The runs it stands on."""
    return [node for runs in plan.methods.values() for node in (runs.trade_off, runs.audit)]


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per checkpoint: its quality and its novelty."""
    rows, told = [], {}
    for method, of in plan.methods.items():
        found = read_trade_off(runs.at(of.trade_off))
        points = found.pop("points")
        for kind, columns in points.items():
            std = found["noise_std"].get(kind)
            rows.append(pd.DataFrame({"method": method, "kind": kind, "noise_std": std, **columns}))
        samples, noise = points["generated"]["quality"], points.get(MATCHED, {}).get("quality")
        difference = None
        if noise is not None:
            difference = asdict(more_than(np.array(samples), np.array(noise), method, "trade-off"))
        paper = {noise_at(i): level.text for i, level in enumerate(NOISE[method])}
        told[method] = {
            **about(audit_at(runs, of.audit)),
            **found,
            "noise_in_the_paper": paper,
            "difference": difference,
        }
    return Table(TITLE, pd.concat(rows, ignore_index=True), told, NOTES)


def picture(table: Table) -> Figure:
    """Scatter plots, one column per method."""
    methods = list(table.about)
    figure, axes = panels([TITLES[method] for method in methods], 2, height=2.7)
    for column, method in enumerate(methods):
        told = table.about[method]
        points = {kind: _points(table, method, kind) for kind in LOOKS}
        core = np.concatenate([points[kind] for kind in CORE])
        for ax, within in zip(
            (row[column] for row in axes),
            (np.concatenate(list(points.values())), core),
            strict=True,
        ):
            for kind, (_, color, marker) in LOOKS.items():
                style = {"s": 14, "marker": marker, "color": color, "alpha": 0.6, "linewidths": 0}
                ax.scatter(*points[kind].T, **style)
            ax.set(xlim=window(within[:, 0]), ylim=window(within[:, 1]))
        axes[1][column].set_xlabel(_with_direction(told["novelty"], "newer"), fontsize=8)
        if column == 0 or told["quality"] != table.about[methods[column - 1]]["quality"]:
            for row in axes:
                row[column].set_ylabel(_with_direction(told["quality"], "better"), fontsize=8)
        n = [len(points[kind]) for kind in ("training", "heldout", "generated")]
        stds = ", ".join(f"{std:.3g}" if std is not None else "none" for std in _stds(told))
        axes[0][column].set_xlabel(
            "{} training, {} held-out, others {}\nnoise of \u03c3 = {}".format(*n, stds), fontsize=7
        )
    handles = [
        Line2D([], [], label=label, color=color, marker=marker, linestyle="")
        for label, color, marker in LOOKS.values()
    ]
    figure.legend(handles=handles, ncols=3, loc="outside upper center", fontsize=8)
    return figure


def claims(table: Table) -> Sequence[ClaimRow]:
    """None: the paper prints no number to hold ours against."""
    return []


def _points(table: Table, method: str, kind: str) -> np.ndarray:
    """(n, 2) novelty and quality."""
    columns = [table.values(c, method=method, kind=kind) for c in ("novelty", "quality")]
    return np.stack(columns, axis=1)


def _stds(told: Mapping[str, Any]) -> list[float | None]:
    """Amplitudes of the noise: the paper's two, and the one as new as the samples."""
    return [told["noise_std"].get(kind) for kind in (noise_at(0), noise_at(1), MATCHED)]


def _with_direction(measure: Mapping[str, Any], word: str) -> str:
    """A measure with its unit and where is more of it."""
    unit = f" ({measure['unit']})" if measure["unit"] else ""
    arrow = f"{word} \u2192" if measure["higher"] else f"\u2190 {word}"
    return f"{measure['name']}{unit}\n{arrow}"

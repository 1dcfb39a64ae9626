"""Table 1: do changes of the generators that are known to help against memorization help here?

Held-out runs, and distances at equal norm, are ours. Of Hyper-Representations every fit has
reconstructions of its own, so distances of its samples are held against those among these.
HyperDiffusion is not part of it yet (issue 25). Source: paper, section 4.1 and table 1.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from novelweights.reproduce.comparing import AS_IN_THE_PAPER
from novelweights.reproduce.drawing import TITLES, drawn_table
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow, Effect, of_means
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.reported import (
    VARIANTS,
    VARIANTS_TRAINING,
    PaperEffect,
    little_changed,
    still_nearer,
)
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table
from novelweights.reproduce.variants import DEFAULT, read_ratings

TITLE = "Changes of the generators: accuracy and distance to the nearest training checkpoint"
GROUPS = {
    "training epochs": ("third-of-epochs", "half-of-epochs"),
    "model size": ("wider", "deeper", "narrower", "shallower"),
    "regularization": ("dropout-10", "dropout-20", "noise"),
}
LABELS = {
    "third-of-epochs": "33.3%",
    "half-of-epochs": "50.0%",
    "wider": "+ dim & head",
    "deeper": "+ layer",
    "narrower": "\u2013 dim & head",
    "shallower": "\u2013 layer",
    "dropout-10": "+ 10% dropout",
    "dropout-20": "+ 20% dropout",
    "noise": "+ Gaussian noise",
}
"""As the paper writes them."""
NONE = "\u2013"
KINDS = {"training": "training", "heldout": "held-out", "generated": "default gen."}


def needs(plan: Plan) -> list[Node]:
    """The runs it stands on."""
    return [node for method in VARIANTS for node in plan.variants_of(method).values()]


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per checkpoint: its accuracy in percent, and its distances in weight units."""
    parts, told = [], {}
    for method in VARIANTS:
        sizes, n = {}, {}
        for variant, node in plan.variants_of(method).items():
            rows, found = read_ratings(runs.at(node))
            sizes[variant] = found["parameters"]
            if variant == DEFAULT:
                told[method] = {"parameters": sizes}
                n = rows["kind"].value_counts().to_dict()
            else:
                rows = rows[rows["kind"] != "heldout"]
            parts.append(rows.assign(method=method, variant=variant))
        told[method]["n"] = n
    return Table(TITLE, pd.concat(parts, ignore_index=True), told)


def picture(table: Table) -> Figure:
    """The table, with the paper's numbers in brackets."""
    rows = [["baseline"]]
    for kind, label in KINDS.items():
        rows.append([label, *_row(table, DEFAULT, kind)])
    for group, variants in GROUPS.items():
        rows.append([group])
        rows += [[LABELS[variant], *_row(table, variant, "generated")] for variant in variants]
    header, groups, notes = ["\n"], [("", 1)], list[str]()
    for method in VARIANTS:
        n = table.about[method]["n"]
        header += ["#params\n", "accuracy, %\n", "L2\n", "L2 at\nequal norm"]
        groups.append((TITLES[method], 4))
        notes.append(
            f"{TITLES[method]}: n = {n['generated']} samples of each fit, {n['training']} training "
            f"and {n.get('heldout', 0)} held-out runs."
        )
    notes += [
        "Means; (in brackets): as the paper prints. One fit of each with one seed: how much fits "
        "differ is not known. All fits of a method have the same number of steps, except 33.3% and "
        "50.0%. The default is fitted for minutes, so it is not that of the other exhibits.",
        "L2: to the nearest training checkpoint; of G.pt over reordered hidden neurons, of "
        "Hyper-Representations among reconstructions, while its accuracy of training and held-out "
        "runs is that of the networks themselves. At equal norm: all checkpoints scaled to the "
        "median norm of held-out runs.",
    ]
    return drawn_table(header, rows, groups=groups, notes=notes)


def claims(table: Table) -> Sequence[ClaimRow]:
    """Samples of the changed generators stay near, and move less than the gap to training."""
    found = list[ClaimRow]()
    for method in VARIANTS:
        for group, variants in GROUPS.items():
            found.append(
                _claim(
                    table,
                    method,
                    variants,
                    f"with other {group} samples are still nearer to training checkpoints than "
                    "these are to one another, on average over the changes",
                    still_nearer(method, variants),
                    partial(_nearer, table, method, variants),
                )
            )
        found.append(
            _claim(
                table,
                method,
                tuple(LABELS),
                "changes of the generator change the distance of samples less than samples are "
                "nearer than training checkpoints, on average over the changes",
                little_changed(method),
                partial(_little_changed, table, method),
            )
        )
    return found


def _row(table: Table, variant: str, kind: str) -> list[str]:
    """The cells of one row, of every method."""
    cells, is_fit = list[str](), kind == "generated"
    for method, papers in VARIANTS.items():
        printed = {"training": VARIANTS_TRAINING[method], "generated": papers[variant]}.get(kind)
        size = table.about[method]["parameters"][variant] / 1e6
        where = {"method": method, "variant": variant, "kind": kind}
        quality, distance, scaled = (
            _mean(table.values(column, **where), digits)
            for column, digits in (
                ("quality", 1),
                (AS_IN_THE_PAPER.get(method, "plain"), 2),
                ("equal norm", 2),
            )
        )
        cells += [
            _beside(f"{size:.2f}M", printed and printed.parameters) if is_fit else NONE,
            _beside(quality, printed and printed.quality),
            _beside(distance, printed and printed.distance),
            scaled,
        ]
    return cells


def _mean(values: Float[np.ndarray, " n"], digits: int) -> str:
    return f"{values.mean():.{digits}f}" if len(values) else NONE


def _beside(ours: str, printed: str | None) -> str:
    return f"{ours} ({printed})" if printed else ours


def _claim(
    table: Table,
    method: str,
    variants: Sequence[str],
    claim: str,
    paper: PaperEffect,
    effect: Callable[[str], Effect],
) -> ClaimRow:
    training = table.values("quality", method=method, variant=DEFAULT, kind="training")
    samples = np.concatenate(
        [
            table.values("quality", method=method, variant=variant, kind="generated")
            for variant in variants
        ]
    )
    return ClaimRow(
        claim=claim,
        method=method,
        exhibit="table 1",
        unit="share of the mean distance of training checkpoints",
        paper=paper,
        effect=effect(AS_IN_THE_PAPER.get(method, "plain")),
        also=(("at equal norm", effect("equal norm")),),
        quality={
            "measure": "Mean accuracy",
            "generated": float(samples.mean()),
            "training": float(training.mean()),
        },
    )


def _nearer(table: Table, method: str, variants: Sequence[str], measure: str) -> Effect:
    """1 - distance of samples / of training checkpoints of the same fit; mean over variants."""

    def statistic(*means: Any) -> Any:
        return 1 - np.mean([a / b for a, b in zip(means[::2], means[1::2], strict=True)], axis=0)

    return of_means(statistic, _distances(table, method, variants, measure), method, measure)


def _little_changed(table: Table, method: str, measure: str) -> Effect:
    """Distance of training checkpoints - of samples - mean absolute change by a variant, over the
    first; all by the default but for the changes.
    """

    def statistic(default: Any, training: Any, *others: Any) -> Any:
        change = np.mean([np.abs(other - default) for other in others[::2]], axis=0)
        return (training - default - change) / training

    fits = (DEFAULT, *LABELS)
    return of_means(statistic, _distances(table, method, fits, measure), method, measure)


def _distances(
    table: Table, method: str, variants: Sequence[str], measure: str
) -> list[np.ndarray]:
    """Of each fit those of samples, then those of training checkpoints."""
    return [
        table.values(measure, method=method, variant=variant, kind=kind)
        for variant in variants
        for kind in ("generated", "training")
    ]

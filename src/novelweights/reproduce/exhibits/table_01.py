"""Table 1: do changes of the generators that are known to help against memorization help here?

Held-out runs, and distances at equal norm, are ours. HyperDiffusion is not part of it yet (issue
25). Source: paper, section 4.1 and table 1.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from novelweights.reproduce.comparing import AS_IN_THE_PAPER
from novelweights.reproduce.drawing import TITLES, drawn_table
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow, Effect, less_than
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.reported import (
    VARIANTS,
    VARIANTS_TRAINING,
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
                rows = rows[rows["kind"] == "generated"]
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
    notes.append(
        "Means; (in brackets): as the paper prints. All fits of a method have the same number of "
        "steps, but for the first two rows. L2: of Hyper-Representations to the nearest "
        "reconstruction, of G.pt over reordered hidden neurons."
    )
    return drawn_table(header, rows, groups=groups, notes=notes)


def claims(table: Table) -> Sequence[ClaimRow]:
    """Samples of the changed generators stay nearer to training checkpoints than these are."""
    return [
        _claim(table, method, group, variants)
        for method in VARIANTS
        for group, variants in GROUPS.items()
    ]


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


def _claim(table: Table, method: str, group: str, variants: Sequence[str]) -> ClaimRow:
    """The claim for the variants of one group, whose samples count together."""

    def nearer(measure: str) -> Effect:
        samples = np.concatenate(
            [
                table.values(measure, method=method, variant=variant, kind="generated")
                for variant in variants
            ]
        )
        training = table.values(measure, method=method, variant=DEFAULT, kind="training")
        return less_than(samples, training, method, group, measure)

    return ClaimRow(
        claim=f"with other {group} too, samples are nearer to training checkpoints than these are "
        "to one another",
        method=method,
        exhibit="table 1",
        unit="1 - mean distance of samples / of training checkpoints",
        paper=still_nearer(method, variants),
        effect=nearer(AS_IN_THE_PAPER.get(method, "plain")),
        also=(("at equal norm", nearer("equal norm")),),
    )

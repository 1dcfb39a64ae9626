"""Table 3: how networks are trained from scratch beside P-diff's, here and in the paper.

Source: paper, appendix D.1 and table 3.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from novelweights.report.tables import number
from novelweights.reproduce.drawing import drawn_table
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.reading import about, audit_at
from novelweights.reproduce.reported import FROM_SCRATCH_RECIPE, REPORTED
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table

TITLE = "Recipe of the networks trained from scratch"
METHOD = "p-diff"
AUGMENTATIONS = {
    "crop": "RandomResizedCrop & flip",
    "crop and RandAugment": "RandomResizedCrop & flip & RandAug (9, 0.5)",
}
FIXED = {
    "optimizer": "AdamW",
    "optimizer momentum": "0.9, 0.999",
    "learning rate schedule": "cosine decay",
}
"""What no setting changes. Source: `zoos/resnet_training.py`."""


def needs(plan: Plan) -> list[Node]:
    """The run it stands on."""
    return [plan.of(METHOD).audit]


def numbers(runs: Runs, plan: Plan) -> Table:
    """One row per setting: the paper's and ours, as text."""
    audit = audit_at(runs, plan.of(METHOD).audit)
    told, found = about(audit), audit.result.from_scratch
    scratch = audit.result.about["from_scratch"]
    ours = recipe_of(scratch["settings"], str(told["network"]), int(scratch["n"]))
    paper = dict(FROM_SCRATCH_RECIPE)
    for name, kind, quality in (
        ("accuracy of these networks", "from_scratch", None if found is None else found.quality),
        ("accuracy of P-diff's training checkpoints", "training", audit.result.training.quality),
    ):
        paper[name] = REPORTED[METHOD].numbers[f"mean_quality_{kind}"].text
        ours[name] = "\u2013" if quality is None else _spread(quality)
    rows = [{"setting": name, "paper": text, "ours": ours[name]} for name, text in paper.items()]
    notes = (
        "Accuracies: mean \u00b1 standard deviation over checkpoints. The paper tuned the recipe "
        "so that the two match about; that is no finding and has no outcome.",
    )
    return Table(TITLE, pd.DataFrame(rows), told, notes)


def recipe_of(settings: Mapping[str, Any], network: str, n: int) -> dict[str, str]:
    """A zoo's settings in the words of the paper's table.

    Args:
        settings: Of the networks trained from scratch, as an audit tells them.
        network: Of the audit, with the parameters that it looks at.
        n: How many networks.
    """
    training = settings["training"]
    return {
        **FIXED,
        "learning rate": _power(training["learning_rate"]),
        "weight decay": _power(training["weight_decay"]),
        "batch size": str(training["batch_size"]),
        "training epochs": str(training["epochs"]),
        "augmentation": AUGMENTATIONS[training["augmentation"]],
        "networks": str(n),
        "network": network.partition(":")[0],
        "data": str(settings["data"]["name"]),
    }


def picture(table: Table) -> Figure:
    """The table."""
    columns = ["setting", "paper", "ours"]
    rows = zip(*(table.values(column) for column in columns), strict=True)
    return drawn_table(columns, [list(map(str, row)) for row in rows], notes=table.notes)


def claims(table: Table) -> Sequence[ClaimRow]:
    """None: a recipe is no finding."""
    return []


def _power(value: float) -> str:
    """5e-4 as the paper writes it."""
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}" if 0 < value < 0.01 else f"{value:g}"


def _spread(quality: np.ndarray) -> str:
    return f"{quality.mean():.1f}% \u00b1 {number(float(quality.std()), 2)}%, n = {len(quality)}"

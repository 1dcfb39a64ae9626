"""The page of a reconstruction run: what a codec does to checkpoints, from its JSON alone.

Figures 3 and 9 of the paper, drawn of these checkpoints, and the numbers. Nothing is computed
beyond what is drawn. Equal files give equal bytes.
"""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.result import Quantity
from novelweights.files import write_text
from novelweights.report import tables
from novelweights.report.html import inline, template, write_figures
from novelweights.report.style import STYLE, VERDICT_COLORS, Drawing, finish
from novelweights.report.tables import MISSING
from novelweights.studies.reconstruction.figures import draw_accuracy, draw_invariance
from novelweights.studies.reconstruction.run import (
    ANSWERS,
    EFFECTS,
    KINDS,
    OWN,
    SPLIT_NAMES,
    ReconstructionRun,
    read_reconstruction,
    word,
)

HEADLINES = dict(
    zip(
        ANSWERS,
        (
            "The codec sees that reordered neurons are the same network",
            "The codec does not see that reordered neurons are the same network",
            "The codec gives different networks back alike",
            "Whether the codec is invariant to the order of neurons stays open",
        ),
        strict=True,
    )
)
ENDINGS = dict(
    zip(
        EFFECTS,
        (
            ", and what it gives back is less accurate",
            ", and what it gives back is more accurate",
            "",
        ),
        strict=True,
    )
)
TONES = (Verdict.NOVEL, Verdict.REPLICA, Verdict.BROKEN, Verdict.UNDECIDED)
COLORS = {answer: VERDICT_COLORS[tone] for answer, tone in zip(ANSWERS, TONES, strict=True)}
MEASURES = ("accuracy_difference", "error_similarity", "prediction_overlap")
OWN_NUMBERS = (
    "accuracy_original",
    "accuracy_reconstruction",
    "accuracy_change",
    "error_similarity_reconstruction",
    "prediction_overlap_reconstruction",
    "relative_squared_error",
    "distance_reconstruction",
    "distance_between_originals",
    "kept_permuted",
    "kept_sign_flipped",
)
"""Numbers of the first table, by name."""


def build_reconstruction_report(folder: Path) -> Path:
    """Write `report.html` and `figures/` into a reconstruction folder, from its JSON alone.

    Returns:
        The path of the page.

    Raises:
        InputError: The file is missing or damaged.
    """
    run = read_reconstruction(folder)
    with mpl.rc_context(STYLE):
        drawings = {
            "accuracy": finish(*draw_accuracy(run)),
            "invariance": finish(*draw_invariance(run)),
        }
    write_figures(folder / "figures", drawings, drawings)
    path = folder / "report.html"
    write_text(path, render(run, drawings))
    return path


def render(run: ReconstructionRun, drawings: Mapping[str, Drawing]) -> str:
    """The page as text."""
    answer = run.answers["permuted"]
    training = [q for key, q in run.quantities.items() if not key.endswith("_heldout")]
    return template("page.html.jinja", Path(__file__).parent).render(
        run=run,
        head_title=f"Reconstruction: {run.about.get('method', 'a generator')}",
        headline=HEADLINES[answer] + ENDINGS[run.effect],
        badge=answer,
        kind=answer.replace(" ", "-"),
        verdict_colors={name.replace(" ", "-"): color for name, color in COLORS.items()},
        figures={name: inline(name, drawing) for name, drawing in drawings.items()},
        splits=[SPLIT_NAMES[split] for split in run.splits],
        counts={split: len(run.values(split, OWN)["accuracy"]) for split in run.splits},
        groups=run.groups,
        is_of_fit=run.about.get("is_of_fit"),
        own_rows=_own_rows(run),
        pair_rows=_pair_rows(run),
        paper_places=" and ".join(dict.fromkeys(place for _, place in run.paper.values())),
        has_flips="sign_flipped" in run.answers,
        definitions=tables.quantity_rows(training),
        about=tables.plain_rows({k: v for k, v in run.about.items() if k != "command"}),
    )


def _own_rows(run: ReconstructionRun) -> list[list[str]]:
    """Label, then value, interval and n of each split: originals beside their reconstructions."""
    rows = []
    for name in OWN_NUMBERS:
        found = [run.quantity(name, split) for split in run.splits]
        if found[0] is not None:
            rows.append([found[0].label, *(cell for each in found for cell in _cells(each))])
    return rows


def _pair_rows(run: ReconstructionRun) -> list[list[str]]:
    """Split, kind and n of pairs, then each measure with its interval and the paper's number."""
    rows = []
    for split in run.splits:
        is_training = split == "training"
        for kind in KINDS:
            found = {m: run.quantity(f"{m}_{word(kind)}", split) for m in MEASURES}
            first = found[MEASURES[0]]
            if first is None:
                continue
            cells = [SPLIT_NAMES[split], kind, f"{first.n:,}"]
            for measure, quantity in found.items():
                value, interval, _ = _cells(quantity)
                cells.append(value if interval == MISSING else f"{value} {interval}")
                if measure != MEASURES[-1]:
                    key = f"{measure}_{word(kind)}"
                    cells.append(run.paper[key][0] if key in run.paper and is_training else "")
            rows.append(cells)
    return rows


def _cells(quantity: Quantity | None) -> list[str]:
    if quantity is None:
        return [MISSING] * 3
    [row] = tables.quantity_rows([quantity])
    return [row.value, row.interval.replace(" at 95%", ""), row.n]

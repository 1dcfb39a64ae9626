"""The page of a reconstruction run: what a codec does to checkpoints, from its JSON alone.

Figures 3 and 9 of the paper, drawn of these checkpoints, and the numbers. Nothing is computed
beyond what is drawn. Equal files give equal bytes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.result import Quantity
from novelweights.report.style import BLUE, PANEL, RED, TEAL, window
from novelweights.report.tables import MISSING, number, quantity_rows
from novelweights.studies.reconstruction.pairs import (
    BETWEEN,
    HELDOUT,
    TRAINING,
    TRANSFORMED,
    Kind,
    Reconstructed,
    change,
    pairs_of,
)
from novelweights.studies.reconstruction.summary import Answer, Criteria, Effect
from novelweights.studies.study import Summary, read_study, read_summary, write_page

HEADLINES = {
    Answer.INVARIANT: "The codec sees that reordered neurons are the same network",
    Answer.VARIES: "The codec does not see that reordered neurons are the same network",
    Answer.SAME: "The codec gives different networks back alike",
    Answer.OPEN: "Whether the codec is invariant to the order of neurons stays open",
}
ENDINGS = {
    Effect.LOWERS: ", and what it gives back is less accurate",
    Effect.RAISES: ", and what it gives back is more accurate",
    Effect.OPEN: "",
}
TONES = {
    Answer.INVARIANT: Verdict.NOVEL,
    Answer.VARIES: Verdict.REPLICA,
    Answer.SAME: Verdict.BROKEN,
    Answer.OPEN: Verdict.UNDECIDED,
}
SPLIT_NAMES = {TRAINING: "training", HELDOUT: "held-out"}
SPLIT_COLORS = {TRAINING: BLUE, HELDOUT: TEAL}
KINDS = (*TRANSFORMED, *BETWEEN)
"""In the order of the figure."""
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
BINS = 25
GOLDEN = (5**0.5 - 1) / 2  # its multiples spread evenly


class ReconstructionRun(NamedTuple):
    """What `reconstruction.json` holds."""

    pairs: Reconstructed
    summary: Summary
    about: Mapping[str, Any]
    groups: Mapping[str, list[str]]
    """Groups of neurons that were reordered, and flipped."""
    paper: Mapping[str, tuple[str, str]]
    """What the paper prints, by key of the quantity: the number as text, and its place."""
    paper_setting: str

    @property
    def splits(self) -> list[str]:
        """training, and heldout if there are any."""
        return [split for split in SPLIT_NAMES if (Kind.RECONSTRUCTION, split) in self.pairs]

    def quantity(self, name: str, split: str) -> Quantity | None:
        """The number of that name of a split."""
        return self.summary.quantities.get(f"{name}_{split}" if split == HELDOUT else name)


def build_reconstruction_report(folder: Path) -> Path:
    """Write `report.html` and `figures/` into a reconstruction folder, from its JSON alone.

    Returns:
        The path of the page.

    Raises:
        InputError: The file is missing or damaged.
    """
    run = read_reconstruction(folder)
    answers, effect = run.summary.answers["answers"], run.summary.answers["effect"]
    answer = answers["permuted"]
    training = [q for key, q in run.summary.quantities.items() if not key.endswith("_heldout")]
    return write_page(
        folder,
        "reconstruction",
        lambda: {"accuracy": draw_accuracy(run), "invariance": draw_invariance(run)},
        summary=run.summary,
        about=run.about,
        answer=answer,
        tones=TONES,
        headline=HEADLINES[answer] + ENDINGS[effect],
        answers=answers,
        splits=[SPLIT_NAMES[split] for split in run.splits],
        counts={split: len(run.pairs[Kind.RECONSTRUCTION, split]) for split in run.splits},
        groups=run.groups,
        own_rows=_own_rows(run),
        pair_rows=_pair_rows(run),
        paper_setting=run.paper_setting if run.paper else None,
        paper_places=" and ".join(dict.fromkeys(place for _, place in run.paper.values())),
        definitions=quantity_rows(training),
    )


def read_reconstruction(folder: Path) -> ReconstructionRun:
    """The contents of `reconstruction.json`.

    Raises:
        InputError: It is missing or damaged.
    """

    def parse(data: Mapping[str, Any]) -> ReconstructionRun:
        summary, paper = data["summary"], data["paper"] or {"setting": "", "numbers": {}}
        answers = {str(kind): Answer(answer) for kind, answer in summary["answers"].items()}
        pairs = pairs_of(data["rows"])
        if not {(Kind.RECONSTRUCTION, TRAINING), (Kind.PERMUTED, TRAINING)} <= set(pairs):
            raise ValueError("no rows of reconstructed training runs")
        if "permuted" not in answers:
            raise ValueError(f"answers {answers}")
        about = dict(data["about"])
        return ReconstructionRun(
            pairs,
            read_summary(
                summary, Criteria, {"answers": answers, "effect": Effect(summary["effect"])}
            ),
            about,
            {what: list(about.get(f"{what}_groups", [])) for what in ("reordered", "flipped")},
            {
                str(key): (str(one["text"]), str(one["source"]))
                for key, one in paper["numbers"].items()
            },
            str(paper["setting"]),
        )

    return read_study(folder, "reconstruction", parse)


def _own_rows(run: ReconstructionRun) -> list[list[str]]:
    """Label, then value, interval and n of each split: originals beside their reconstructions."""
    rows = []
    for name in OWN_NUMBERS:
        of_splits = [run.quantity(name, split) for split in run.splits]
        if of_splits[0] is not None:
            cells = [cell for quantity in of_splits for cell in _cells(quantity)]
            rows.append([of_splits[0].label, *cells])
    return rows


def _pair_rows(run: ReconstructionRun) -> list[list[str]]:
    """Split, kind and n of pairs, then each measure with its interval and the paper's number."""
    rows = []
    for split in run.splits:
        for kind in KINDS:
            keys = [f"{measure}_{kind.word}" for measure in MEASURES]
            quantities = {key: run.quantity(key, split) for key in keys}
            first = quantities[keys[0]]
            if first is None:
                continue
            cells = [SPLIT_NAMES[split], kind, f"{first.n:,}"]
            for key, quantity in quantities.items():
                value, interval, _ = _cells(quantity)
                cells.append(value if interval == MISSING else f"{value} {interval}")
                if key != keys[-1]:
                    printed = run.paper.get(key) if split == TRAINING else None
                    cells.append(printed[0] if printed else "")
            rows.append(cells)
    return rows


def _cells(quantity: Quantity | None) -> list[str]:
    if quantity is None:
        return [MISSING] * 3
    [row] = quantity_rows([quantity])
    return [row.value, row.interval.replace(" at 95%", ""), row.n]


def draw_accuracy(run: ReconstructionRun) -> tuple[Figure, str]:
    """Accuracies of originals and of their reconstructions. Source: paper, figure 3.

    Returns:
        The figure, a panel for each split, and its text alternative.
    """
    figure = Figure(figsize=(PANEL * len(run.splits), 3.6))
    axes = figure.subplots(1, len(run.splits), squeeze=False, sharey=True)[0]
    own = {split: run.pairs[Kind.RECONSTRUCTION, split] for split in run.splits}
    every = [pairs[name] for pairs in own.values() for name in ("accuracy", "other_accuracy")]
    edges = np.linspace(*window(np.concatenate(every), pad=0.02), BINS + 1)
    labels = []
    for ax, (split, pairs) in zip(axes, own.items(), strict=True):
        for values, color, name in (
            (pairs["accuracy"].to_numpy(), SPLIT_COLORS[split], f"{SPLIT_NAMES[split]} runs"),
            (pairs["other_accuracy"].to_numpy(), RED, "their reconstructions"),
        ):
            share = 100 * np.histogram(values, edges)[0] / len(values)
            mean = float(values.mean())
            label = f"{name}, n = {len(values):,}, mean {mean:.1f}%"
            ax.stairs(share, edges, fill=True, color=color, alpha=0.6, label=label)
            ax.axvline(mean, color=color, linewidth=1.1, linestyle=(0, (4, 2)))
            labels.append(label)
        ax.set_xlabel("accuracy (%)")
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.02), borderaxespad=0)
    axes[0].set(ylabel="% of networks", ylim=(0, None))  # of both panels
    return figure, f"Histograms of accuracy: {'; '.join(labels)}."


def draw_invariance(run: ReconstructionRun) -> tuple[Figure, str]:
    """How much pairs differ that an invariant codec would give back alike. Source: paper, figure 9.

    Returns:
        The figure, a panel for accuracy and one for errors, and its text alternative.
    """
    figure = Figure(figsize=(2 * PANEL, 4.0))
    left, right = figure.subplots(1, 2)
    kinds, means = [kind for kind in KINDS if (kind, TRAINING) in run.pairs], []
    apart = 0.19 if len(run.splits) > 1 else 0.0
    for ax, measure, ideal in ((left, "accuracy_difference", 0), (right, "error_similarity", 1)):
        for shift, split in zip((-apart, apart), run.splits, strict=False):
            for x, kind in enumerate(kinds):
                pairs = run.pairs.get((kind, split))
                if pairs is not None:
                    is_change = measure == "accuracy_difference"
                    values = np.abs(change(pairs)) if is_change else pairs[measure].to_numpy()
                    _strip(ax, x + shift, values, SPLIT_COLORS[split])
                quantity = run.quantity(f"{measure}_{kind.word}", split)
                if quantity is not None and quantity.value is not None:
                    _mean_bar(ax, x + shift, quantity.value, quantity)
                    if split == TRAINING:
                        means.append(f"{kind} {measure.replace('_', ' ')} {number(quantity.value)}")
        ax.axhline(ideal, color="#222222", linewidth=1, linestyle=(0, (4, 2)), zorder=1)
        ax.set_xticks(range(len(kinds)), [kind.replace(" ", "\n") for kind in kinds])
        ax.set_xlim(-0.6, len(kinds) - 0.4)
        ax.tick_params(axis="x", length=0)
        ax.grid(axis="y", color="#E6E6E6", linewidth=0.6)
        ax.set_axisbelow(True)
    left.set_ylabel("accuracy difference (percentage points)")
    right.set_ylabel("error similarity")
    right.set_ylim(-0.02, 1.04)
    handles = [
        Line2D([], [], color=SPLIT_COLORS[s], marker=".", linestyle="", label=f"pair, {name} runs")
        for s, name in SPLIT_NAMES.items()
        if s in run.splits
    ]
    handles += [
        Line2D([], [], color="#222222", marker="_", markersize=9, label="mean with interval"),
        Line2D([], [], color="#222222", linestyle=(0, (4, 2)), label="an invariant codec"),
    ]
    figure.legend(handles=handles, ncols=len(handles), loc="outside upper left")
    return figure, f"Pairs of networks, training runs, means: {'; '.join(means)}."


def _strip(ax: Axes, x: float, values: Float[np.ndarray, " n"], color: str) -> None:
    """One dot per pair, spread evenly to the sides."""
    aside = ((np.arange(len(values)) * GOLDEN) % 1 - 0.5) * 0.26
    ax.scatter(x + aside, values, s=10, color=color, alpha=0.5, linewidths=0, zorder=2)


def _mean_bar(ax: Axes, x: float, value: float, quantity: Quantity) -> None:
    """The mean as a dash, its interval as a line."""
    ax.plot([x - 0.13, x + 0.13], [value, value], color="#222222", linewidth=2, zorder=4)
    if quantity.lower is not None and quantity.upper is not None:
        ax.vlines(x, quantity.lower, quantity.upper, color="#222222", linewidth=1.2, zorder=4)

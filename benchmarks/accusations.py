"""`python -m benchmarks.accusations`: how often an audit accuses honest networks of copying.

Per family of networks (`benchmarks/honest_families.py`), and for runs with initializations of their
own and with a shared one: training runs, held-out runs, further runs of the same recipe, and
networks of other recipes (untrained, stopped early, other learning rates, shrunk, ...), all judged
by one audit. None is made from a training run, so no one should be called a replica or an
interpolation: of the same recipe at most as many as the tests accuse by chance, of other recipes at
most 5% in all.

With `--work` an interrupted study goes on where it was: networks and judged cells are kept there.
"""

import argparse
import collections
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.honest_families import (
    FAMILIES,
    OTHERS,
    TRAINED_ON,
    USUAL,
    Recipe,
    digits,
    trained,
)
from novelweights.auditing.judge.checkpoint_verdict import judge_checkpoints
from novelweights.auditing.judge.criteria import CheckpointVerdict
from novelweights.auditing.judge.statistics import clopper_pearson
from novelweights.auditing.measures import ACCUSING
from novelweights.auditing.prepare import AuditInputs
from novelweights.auditing.stages import audit
from novelweights.data.image_data import ImageData
from novelweights.files import read_json, write_json, write_text
from novelweights.networks.module_network import module_network
from novelweights.networks.symmetry_of import layout_of, symmetry_of
from novelweights.tasks.classification import Classification
from novelweights.weights.population import Population, PopulationInfo, Records

ORIGINS = ("replica", "interpolation")
"""Verdicts that accuse."""
STARTS = ("own", "shared")
SAME = "same"
MOST = 0.05
"""Of networks of other recipes may be accused, over all cells."""


@dataclass(frozen=True)
class Sizes:
    """How many networks of each kind, for each of the two starts."""

    training: int = 80
    heldout: int = 100
    fresh: int = 250
    other: int = 20


@dataclass(frozen=True)
class Cell:
    """What became of the networks of one recipe."""

    family: str
    shared_start: bool
    recipe: str
    n: int
    accused: int
    novel: int
    reasons: dict[str, int]
    """Of those accused."""


def main() -> None:
    """Judge what is asked for, tell each cell, and write all as JSON and as a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", action="append", choices=FAMILIES, help="all, if none is named")
    parser.add_argument("--start", choices=STARTS, help="both, if none is named")
    parser.add_argument("--fresh", type=int, default=Sizes.fresh)
    parser.add_argument("--other", type=int, default=Sizes.other)
    parser.add_argument("--work", type=Path, help="a folder of networks and cells that are known")
    parser.add_argument("-o", "--output", type=Path, help="a folder for the results")
    given = parser.parse_args()
    sizes, cells = Sizes(fresh=given.fresh, other=given.other), []
    for family in given.family or FAMILIES:
        for start in [given.start] if given.start else STARTS:
            cells += _known_or_judged(family, start, sizes, given.work)
    text = render(cells, sizes)
    print(text)
    if given.output:
        given.output.mkdir(parents=True, exist_ok=True)
        study = {"sizes": asdict(sizes), "cells": [asdict(cell) for cell in cells]}
        write_json(given.output / "accusations.json", study)
        write_text(given.output / "accusations.md", text)


def _known_or_judged(family: str, start: str, sizes: Sizes, work: Path | None) -> list[Cell]:
    """The cells of one audit, from the folder if it was made before."""
    name = f"{family}-{start}-{sizes.fresh}-{sizes.other}.json".replace(" ", "_")
    path = None if work is None else work / name
    if path is not None and path.exists():
        return [Cell(**cell) for cell in read_json(path)["cells"]]
    cells = []
    for cell in judged(family, sizes, shared_start=start == "shared", work=work):
        cells.append(cell)
        print(f"{family}, {start} start, {cell.recipe}: {cell.accused} of {cell.n}", flush=True)
    if path is not None:
        write_json(path, {"cells": [asdict(cell) for cell in cells]})
    return cells


def judged(
    family: str,
    sizes: Sizes,
    *,
    shared_start: bool,
    recipes: Sequence[str] = tuple(OTHERS),
    work: Path | None = None,
) -> Iterator[Cell]:
    """One audit of a family: a cell per recipe, that of the training runs first.

    Args:
        recipes: The other ones.
        work: Where trained networks are kept and taken from.
    """
    module = FAMILIES[family]().eval()
    layout, [x, classes] = layout_of(module), digits()
    parts = (x[:TRAINED_ON], classes[:TRAINED_ON], x[TRAINED_ON:], classes[TRAINED_ON:])
    data = ImageData("digits", "scikit-learn", "none", *parts, tuple(x.shape[1:]))
    task = Classification(family, module_network(module, layout, x), data)
    symmetry = symmetry_of(module, x[:2], logits=True)
    info = PopulationInfo(family, {}, family, symmetry, None)

    def some(label: str, recipe: Recipe, n: int, seed: int, split: str) -> Population:
        place = f"{family}-{'shared' if shared_start else 'own'}-{label}-{n}.safetensors"
        path = None if work is None else work / place.replace(" ", "_")
        if path is not None and path.exists():
            states = load_file(path)
        else:
            states = trained(family, recipe, n, seed=seed, shared_start=shared_start)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                save_file({name: value.contiguous() for name, value in states.items()}, path)
        flat = [states[name].reshape(n, -1) for name, _ in layout.shapes]
        names = [f"{split}-{label}-{i:03d}" for i in range(n)]
        records = Records.of(names, split=split, step=recipe.steps)
        return Population(torch.cat(flat, dim=1), layout, records, info)

    train = some("train", USUAL, sizes.training, 1, "train")
    heldout = some("heldout", USUAL, sizes.heldout, 1001, "heldout")
    kinds = {SAME: some(SAME, USUAL, sizes.fresh, 2001, "generated")}
    for i, label in enumerate(recipes):
        kinds[label] = some(label, OTHERS[label], sizes.other, 3001 + 1000 * i, "generated")
    weights = torch.cat([population.weights for population in kinds.values()])
    labels = [label for label, population in kinds.items() for _ in range(len(population))]
    records = Records.join([population.records for population in kinds.values()])
    generated = Population(weights, layout, records, info)
    inputs = AuditInputs(
        train=train, generated=generated, heldout=heldout, task=task, symmetry=symmetry
    )
    for label, verdicts in _by_label(inputs, labels).items():
        accused = [verdict for verdict in verdicts if str(verdict.origin) in ORIGINS]
        yield Cell(
            family,
            shared_start,
            label,
            len(verdicts),
            len(accused),
            sum(str(verdict.origin) == "novel" for verdict in verdicts),
            dict(collections.Counter(_words(verdict) for verdict in accused).most_common(3)),
        )


def _by_label(inputs: AuditInputs, labels: list[str]) -> dict[str, list[CheckpointVerdict]]:
    result = audit(inputs, n_controls=0)
    if result.heldout is None:
        raise ValueError("held-out runs were given")
    verdicts = judge_checkpoints(
        result.generated, result.p_values, result.heldout, result.training_names, result.quality
    )
    by_label: dict[str, list[CheckpointVerdict]] = {}
    for label, verdict in zip(labels, verdicts, strict=True):
        by_label.setdefault(label, []).append(verdict)
    return by_label


def _words(verdict: CheckpointVerdict) -> str:
    """What it was called, and by which rule: the reason up to its numbers and names."""
    kind = f" ({verdict.kind})" if verdict.kind else ""
    rule = re.split(r" is \d|;|:|\d", verdict.reason)[0].strip(" ,")
    return f"{verdict.origin}{kind}, {rule}"


def render(cells: Sequence[Cell], sizes: Sizes) -> str:
    """The study as a page of Markdown; equal results give equal text."""
    nominal = len(ACCUSING) / (sizes.heldout + 1)
    same = [cell for cell in cells if cell.recipe == SAME]
    others = [cell for cell in cells if cell.recipe != SAME]
    met = sum(_share(of)[1] <= nominal for of in _by_family(same).values())
    share, *limits = _share(others)
    lines = [
        "# Accusations: honest networks judged by the audit",
        "",
        f"Per family of networks and per start (initializations of their own, or one that all runs "
        f"share) one audit of {sizes.training} training and {sizes.heldout} held-out runs judges "
        f"{sizes.fresh} further runs of the same recipe and {sizes.other} networks of each of "
        f"{len(OTHERS)} other recipes, all on 8x8 digits. None is made from a training run, so "
        "none should be called a replica or an interpolation.",
        "",
        f"- Same recipe: at most the nominal rate of {nominal:.1%} ({len(ACCUSING)} tests, "
        f"{sizes.heldout} held-out runs) in {met} of {len(_by_family(same))} families.",
        f"- Other recipes: {_words_of(share, limits)} of {sum(c.n for c in others):,} accused, "
        f"expected at most {MOST:.0%}: {'met' if share <= MOST else '**missed**'}.",
        "",
        "| family | same recipe, accused (95% interval) | n | novel |",
        "|---|---|---|---|",
    ]
    for family, some in _by_family(same).items():
        share, *limits = _share(some)
        n, novel = (sum(getattr(cell, name) for cell in some) for name in ("n", "novel"))
        lines.append(f"| {family} | {_words_of(share, limits)} | {n} | {novel / n:.1%} |")
    starts = list(dict.fromkeys((c.family, c.shared_start) for c in others))
    titles = [f"{family}, {STARTS[is_shared]}" for family, is_shared in starts]
    lines += [
        "",
        f"| accused of {sizes.other} | {' | '.join(titles)} |",
        "|---" * (len(starts) + 1) + "|",
    ]
    for recipe in OTHERS:
        of = {(c.family, c.shared_start): c for c in others if c.recipe == recipe}
        lines.append(f"| {recipe} | {' | '.join(str(of[start].accused) for start in starts)} |")
    if missing := [family for family in FAMILIES if family not in _by_family(cells)]:
        lines += ["", f"Not judged yet: {', '.join(missing)}."]
    accused = [cell for cell in cells if cell.reasons]
    if accused:
        lines += ["", "By which rules:", ""]
    for cell in accused:
        reasons = "; ".join(f"{n} {words}" for words, n in cell.reasons.items())
        lines.append(f"- {cell.family}, {STARTS[cell.shared_start]}, {cell.recipe}: {reasons}")
    return "\n".join([*lines, "", "Made by `python -m benchmarks.accusations`.", ""])


def _by_family(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    return {
        family: [cell for cell in cells if cell.family == family]
        for family in dict.fromkeys(cell.family for cell in cells)
    }


def _share(cells: Sequence[Cell]) -> tuple[float, float, float]:
    """Accused of some cells together, with a 95% interval."""
    accused, n = sum(cell.accused for cell in cells), sum(cell.n for cell in cells)
    return accused / n, *clopper_pearson(accused, n)


def _words_of(share: float, limits: Sequence[float]) -> str:
    return f"{share:.1%} ({limits[0]:.1%} to {limits[1]:.1%})"


if __name__ == "__main__":
    main()

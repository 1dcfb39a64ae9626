"""`python -m benchmarks.accusations`: how often an audit accuses honest networks of copying.

Per family of networks (`benchmarks/honest_families.py`), and for runs with initializations of their
own and with a shared one: training runs, held-out runs, further runs of the same recipe, and
networks of other recipes (untrained, stopped early, other learning rates, shrunk, ...), all judged
by one audit. None is made from a training run, so no one should be called a replica or an
interpolation: of the same recipe at most as many as the tests accuse by chance, of other recipes at
most 5% in all.
"""

import argparse
import collections
import json
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
    shape_of,
    trained,
)
from novelweights.auditing.judge.checkpoint_verdict import judge_checkpoints
from novelweights.auditing.judge.criteria import CheckpointVerdict
from novelweights.auditing.judge.statistics import clopper_pearson
from novelweights.auditing.measures import ACCUSING
from novelweights.auditing.prepare import AuditInputs
from novelweights.auditing.stages import audit
from novelweights.data.image_data import ImageData
from novelweights.networks.module_network import module_network
from novelweights.networks.symmetry_of import layout_of, symmetry_of
from novelweights.tasks.classification import Classification
from novelweights.weights.population import Population, PopulationInfo, Records

ORIGINS = ("replica", "interpolation")
"""Verdicts that accuse."""
MOST = 0.05
"""Of networks of other recipes may be accused, over all cells."""


@dataclass(frozen=True)
class Sizes:
    """How many networks of each kind."""

    training: int = 80
    heldout: int = 100
    fresh: int = 500
    other: int = 40


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
    """Print, and write as JSON, how many of each cell are accused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", action="append", choices=FAMILIES, help="all, if none is named")
    parser.add_argument("--start", choices=("own", "shared"), help="both, if none is named")
    parser.add_argument("--fresh", type=int, default=Sizes.fresh)
    parser.add_argument("--other", type=int, default=Sizes.other)
    parser.add_argument("--work", type=Path, help="keeps trained networks for another time")
    parser.add_argument("-o", "--output", type=Path, help="a JSON file")
    given = parser.parse_args()
    sizes = Sizes(fresh=given.fresh, other=given.other)
    cells = []
    for family in given.family or FAMILIES:
        for start in [given.start] if given.start else ("own", "shared"):
            for cell in judged(family, sizes, shared_start=start == "shared", work=given.work):
                cells.append(cell)
                _print(cell)
    _summarize(cells, sizes)
    if given.output:
        given.output.write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")


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
    layout, [example, classes] = layout_of(module), digits(shape_of(module))
    x, shape = example.flatten(1), tuple(example.shape[1:])
    parts = (x[:TRAINED_ON], classes[:TRAINED_ON], x[TRAINED_ON:], classes[TRAINED_ON:])
    data = ImageData("digits", "scikit-learn", "none", *parts, shape)
    task = Classification(family, module_network(module, layout, example), data)
    symmetry = symmetry_of(module, example[:2], logits=True)
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
    kinds = {"same": some("same", USUAL, sizes.fresh, 2001, "generated")}
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
    """The rule that accused, without its numbers."""
    words = "".join(c for c in verdict.reason if not c.isdigit())
    return f"{verdict.origin} {verdict.kind}: {words[:60]}"


def _print(cell: Cell) -> None:
    start = "shared" if cell.shared_start else "own"
    reasons = f"  {cell.reasons}" if cell.reasons else ""
    print(
        f"{cell.family}, {start} start, {cell.recipe}: {cell.accused} of {cell.n} accused, "
        f"{cell.novel} novel{reasons}",
        flush=True,
    )


def _summarize(cells: list[Cell], sizes: Sizes) -> None:
    nominal = len(ACCUSING) / (sizes.heldout + 1)
    same = [cell for cell in cells if cell.recipe == "same"]
    for cell in same:
        low, high = clopper_pearson(cell.accused, cell.n)
        print(
            f"{cell.family}, {'shared' if cell.shared_start else 'own'} start, same recipe: "
            f"{cell.accused / cell.n:.1%} [{low:.1%}, {high:.1%}] of {cell.n} accused; nominal at "
            f"most {nominal:.1%}: {'met' if low <= nominal else 'MISSED'}"
        )
    others = [cell for cell in cells if cell.recipe != "same"]
    n, accused = sum(cell.n for cell in others), sum(cell.accused for cell in others)
    if n:
        low, high = clopper_pearson(accused, n)
        print(
            f"other recipes: {accused / n:.1%} [{low:.1%}, {high:.1%}] of {n} accused, expected "
            f"at most {MOST:.0%}: {'met' if accused <= MOST * n else 'MISSED'}"
        )


if __name__ == "__main__":
    main()

"""HyperDiffusion's populations: occupancy fields, each fitted to one shape.

The first field is fitted from a random initialization; its weights are what all others begin from,
held-out ones too, which are fitted to shapes of another split. A field that does not describe its
shape is left out and named. Source: HyperDiffusion, released code.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError
from novelweights.files import replacing, require_new
from novelweights.networks.neural_field import OccupancyField
from novelweights.seeding import numpy_rng_for, rng_for, seed_for
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.repaired_meshes import repair_method
from novelweights.shapes.shape_points import occupancy_points
from novelweights.shapes.shape_sets import Shapes, load_shapes
from novelweights.weights.population import PopulationInfo, Records
from novelweights.weights.writer import PopulationWriter
from novelweights.zoos.field_fitting import FieldRecipe, FittedFields, fit_fields
from novelweights.zoos.network_builds import Steps, telling_damage, versions, working_folder
from novelweights.zoos.planned_runs import PlannedRun, planned_runs

AT_ONCE = 24
"""Fields that are fitted together; what is lost when a build is killed."""
JUDGED_POINTS = 20_000
"""Points in the bounding box of a shape, of which the overlap of a field with it is had."""
COUNTED = {"train": "runs", "heldout": "heldout_runs"}
"""What the fields of each split are counted as."""
LEAST_OVERLAP = 0.5
"""A field below it does not describe its shape. Ours."""


@dataclass(frozen=True)
class NeuralFields:
    """A zoo of fields, of each the end of its fit."""

    name: str
    network: OccupancyField
    shapes: str
    """Set of shapes, a key of `SHAPE_SETS`."""
    recipe: FieldRecipe
    task_name: str
    """The task that judges the checkpoints."""
    description: str
    runs: int = 2749
    """Training fields if not said otherwise. Source: HyperDiffusion."""
    heldout_runs: int = 202
    """Held-out fields if not said otherwise: as many as its validation shapes."""
    n_near: int = 100_000
    """Points near the surface that a field is fitted to."""
    n_uniform: int = 100_000
    """Points anywhere in the cube."""


def build(
    zoo: NeuralFields,
    folder: Path,
    counts: Mapping[str, int],
    *,
    seed: int,
    resume: bool,
    overwrite: bool,
    progress: Callable[[int, int], None] | None,
) -> Path:
    """Fit a zoo's fields into a population folder.

    Scores are iou (overlap of the field, above logit 0, with its shape, by points of the shape's
    bounding box), fit_loss (mean cross entropy per point in the last epoch, nats) and what is known
    of the shape. Unfinished state lies in `folder` + ".network.partial". Fields that do not
    describe their shape (`LEAST_OVERLAP`) are named in population.json, under left_out. Of shapes
    of files it tells under shapes which are used, in the order of the runs, and why others cannot
    be, and counts both; then there are fewer runs than asked for, if fewer can be used.

    Args:
        zoo: What to fit.
        folder: The population folder to write.
        counts: runs and heldout_runs.
        seed: Root of all seeds, of drawn shapes too.
        resume: Go on with an unfinished build.
        overwrite: Replace a finished folder.
        progress: Called with (epochs done, of all fields together).

    Raises:
        InputError: The shapes have to be fetched first or are fewer than asked for, the folder
            does not allow it, or no training field describes its shape.
    """
    require_new(folder, kind="population.json", overwrite=overwrite)
    shapes = {
        split: load_shapes(zoo.shapes, counts[name], split, seed=seed)
        for split, name in COUNTED.items()
        if counts[name]
    }
    counts = {**counts, **{COUNTED[split]: len(of) for split, of in shapes.items()}}
    planned = planned_runs(
        seed, runs=counts["runs"], heldout_runs=counts["heldout_runs"], start_runs=0
    )
    identity = f"{asdict(zoo)} {seed}"
    steps = Steps(progress, len(planned) * zoo.recipe.epochs)
    with working_folder(folder, resume=resume) as work:
        start = zoo.network.initial(rng_for(seed, "initialization"))
        blocks = []
        bounds = [0, *range(1, len(planned), AT_ONCE), len(planned)]  # the first by itself
        for first, end in pairwise(bounds):
            block = _block(zoo, planned[first:end], shapes, start, work, identity, steps)
            start = start if blocks else block.weights[0]
            blocks.append(block)
        return _write(zoo, folder, planned, shapes, blocks, counts, seed, resume, overwrite)


@dataclass(frozen=True, eq=False)
class _Block:
    """Some fields after their fit."""

    weights: Tensor
    overlap: list[float]
    loss: list[float]
    epochs: list[int]


def _block(
    zoo: NeuralFields,
    runs: list[PlannedRun],
    shapes: Mapping[str, Shapes],
    start: Float[Tensor, " d"],
    work: Path,
    identity: str,
    steps: Steps,
) -> _Block:
    """Some fields; fitted, or read if they had been."""
    path = work / f"{runs[0].name}.pt"
    known = f"{identity} {[_named(run, shapes) for run in runs]}"
    if path.exists():
        with telling_damage(path, "fields of an unfinished build", remove=work):
            state = torch.load(path, weights_only=True)
            if state["identity"] == known:
                steps.tell(len(runs) * zoo.recipe.epochs)
                return _Block(**state["fields"])
        raise InputError(
            f"{path}: the unfinished build was begun with other settings; give the same to go on, "
            f"or delete {work} to begin anew"
        )
    meshes = [shapes[run.split].mesh(_row(run)) for run in runs]
    drawn = [
        occupancy_points(
            mesh,
            partial(shapes[run.split].is_inside, _row(run)),
            seed_for(run.seed, "points"),
            n_near=zoo.n_near,
            n_uniform=zoo.n_uniform,
        )
        for run, mesh in zip(runs, meshes, strict=True)
    ]
    fitted = fit_fields(
        zoo.network,
        start.expand(len(runs), -1),
        torch.stack([some.points for some in drawn]),
        torch.stack([some.is_inside for some in drawn]),
        [run.seed for run in runs],
        zoo.recipe,
        tell=steps.tell,
    )
    fields = {
        "weights": fitted.weights,
        "overlap": _overlaps(zoo.network, fitted, runs, meshes, shapes),
        "loss": fitted.loss,
        "epochs": fitted.epochs,
    }
    with replacing(path) as temporary:
        torch.save({"identity": known, "fields": fields}, temporary)
    return _Block(**fields)


def _named(run: PlannedRun, shapes: Mapping[str, Shapes]) -> str:
    """A run with its shape, if that has a name."""
    row, names = _row(run), shapes[run.split].names
    return f"{run.name} {names[row]}" if names else run.name


def _row(run: PlannedRun) -> int:
    """The shape of a run among those of its split."""
    return int(run.name.rsplit("-", 1)[1])


def _overlaps(
    network: OccupancyField,
    fitted: FittedFields,
    runs: list[PlannedRun],
    meshes: list[Mesh],
    shapes: Mapping[str, Shapes],
) -> list[float]:
    """Intersection over union of each field and its shape; 0 where the fit diverged."""
    found = []
    for weights, run, mesh in zip(fitted.weights, runs, meshes, strict=True):
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        rng = numpy_rng_for(run.seed, "overlap")
        points = (low + rng.random((JUDGED_POINTS, 3)) * (high - low)).astype(np.float32)
        inside = shapes[run.split].is_inside(_row(run), points)
        with torch.no_grad():
            claimed = (network.forward(weights[None], torch.from_numpy(points))[0] > 0).numpy()
        either = int((inside | claimed).sum())
        found.append(int((inside & claimed).sum()) / max(either, 1))
    return found


def _of_files(shapes: Mapping[str, Shapes]) -> dict[str, Any]:
    """Which shapes of files are used and which are not; nothing of procedural ones."""
    told = {
        split: {
            "n": len(of),
            "n_left_out": len(of.left_out),
            "left_out": dict(of.left_out),
            "names": list(of.names),
        }
        for split, of in shapes.items()
        if of.names
    }
    return {"repaired_by": repair_method(), **told} if told else {}


def _write(
    zoo: NeuralFields,
    folder: Path,
    planned: list[PlannedRun],
    shapes: Mapping[str, Shapes],
    blocks: list[_Block],
    counts: Mapping[str, int],
    seed: int,
    resume: bool,
    overwrite: bool,
) -> Path:
    """The population of the fields that describe their shapes."""
    overlap = [value for block in blocks for value in block.overlap]
    kept = [i for i, value in enumerate(overlap) if value >= LEAST_OVERLAP]
    if not any(planned[i].split == "train" for i in kept):
        raise InputError(
            f"{zoo.name}: expected fields that overlap with their shapes by {LEAST_OVERLAP} or "
            f"more, got none among {counts['runs']} training fields; fit them longer, or wider ones"
        )
    settings: dict[str, Any] = {
        "network": asdict(zoo.network),
        "fitting": asdict(zoo.recipe),
        "shapes": {
            "name": zoo.shapes,
            "n_near": zoo.n_near,
            "n_uniform": zoo.n_uniform,
            **_of_files(shapes),
        },
        "left_out": {
            planned[i].name: round(value, 4) for i, value in enumerate(overlap) if i not in kept
        },
        "seed": seed,
        **counts,
        "versions": versions(),
    }
    info = PopulationInfo(
        recipe=zoo.name,
        settings=settings,
        architecture=zoo.network.name,
        symmetry=zoo.network.symmetry,
        task=zoo.task_name,
    )
    weights = torch.cat([block.weights for block in blocks])
    loss = [value for block in blocks for value in block.loss]
    epochs = [value for block in blocks for value in block.epochs]
    with PopulationWriter(
        folder, zoo.network.layout, info, len(kept), resume=resume, overwrite=overwrite
    ) as writer:
        rows = kept[writer.rows_done :]
        for split, of in shapes.items():
            some = [i for i in rows if planned[i].split == split]
            if not some:
                continue
            scores = {"iou": [overlap[i] for i in some], "fit_loss": [loss[i] for i in some]}
            for name, column in of.records.items():
                scores[name] = [column[_row(planned[i])] for i in some]
            records = Records.of(
                [planned[i].name for i in some],
                split=split,
                step=[epochs[i] * zoo.recipe.steps_per_epoch for i in some],
                scores=scores,
            )
            writer.append(weights[some], records)
        return writer.finish()

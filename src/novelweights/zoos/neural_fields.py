"""HyperDiffusion's populations: occupancy fields, each fitted to one shape.

The first field is fitted from a random initialization; its weights are what all others begin from,
held-out ones too, which are fitted to shapes of another split. A field that does not describe its
shape is left out and named. Source: HyperDiffusion, released code.
"""

from collections.abc import Mapping
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
from novelweights.networks.neural_field import OccupancyField
from novelweights.seeding import numpy_rng_for, rng_for, seed_for
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.repaired_meshes import repair_method
from novelweights.shapes.shape_points import occupancy_points
from novelweights.shapes.shape_sets import Shapes, load_shapes
from novelweights.weights.population import Records
from novelweights.zoos.builds import Build, PlannedRun, keep_state, kept_state, require_ends
from novelweights.zoos.field_fitting import FieldRecipe, FittedFields, fit_fields

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

    def data_for(self, counts: Mapping[str, int]) -> None:
        """Nothing yet: shapes are drawn or read when the build begins.

        Raises:
            InputError: These counts cannot be.
        """
        require_ends(self, counts)

    def build(self, how: Build) -> Path:
        """Fit the fields into a population folder.

        Scores are iou (overlap of the field, above logit 0, with its shape, by points of the
        shape's bounding box), fit_loss (mean cross entropy per point in the last epoch, nats) and
        what is known of the shape. Fields that do not describe their shape (`LEAST_OVERLAP`) are
        named in population.json, under left_out. Of shapes of files it tells under shapes which are
        used, in the order of the runs, and why others cannot be, and counts both; then there are
        fewer runs than asked for, if fewer can be used. Progress is in epochs of all fields.

        Raises:
            InputError: As `zoos.building.build`; or the shapes are fewer than asked for, or no
                training field describes its shape.
        """
        self.data_for(how.counts)
        shapes = {
            split: load_shapes(self.shapes, how.counts[name], split, seed=how.seed)
            for split, name in COUNTED.items()
            if how.counts[name]
        }
        n_shapes = {COUNTED[split]: len(of) for split, of in shapes.items()}
        how.counts = {**how.counts, **n_shapes}
        runs, identity = how.runs, f"{asdict(self)} {how.seed}"
        how.work = len(runs) * self.recipe.epochs
        with how.working_folder() as work:
            start = self.network.initial(rng_for(how.seed, "initialization"))
            blocks = []
            bounds = [0, *range(1, len(runs), AT_ONCE), len(runs)]  # the first by itself
            for first, end in pairwise(bounds):
                some = runs[first:end]
                block = _block(
                    self, some, shapes, start, work / f"{some[0].name}.pt", identity, how
                )
                start = start if blocks else block.weights[0]
                blocks.append(block)
            return _write(self, shapes, blocks, how)


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
    path: Path,
    identity: str,
    how: Build,
) -> _Block:
    """Some fields; fitted, or read if they had been."""
    identity += f" {[_named(run, shapes) for run in runs]}"
    block = kept_state(
        path,
        identity,
        "fields of an unfinished build",
        lambda state: _Block(**state["fields"]),
        remove=path.parent,
    )
    if block is not None:
        how.tell(len(runs) * zoo.recipe.epochs)
        return block
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
        tell=how.tell,
    )
    overlaps = _overlaps(zoo.network, fitted, runs, meshes, shapes)
    block = _Block(fitted.weights, overlaps, fitted.loss, fitted.epochs)
    keep_state(path, identity, fields=vars(block))
    return block


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
    overlaps = []
    for weights, run, mesh in zip(fitted.weights, runs, meshes, strict=True):
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        rng = numpy_rng_for(run.seed, "overlap")
        points = (low + rng.random((JUDGED_POINTS, 3)) * (high - low)).astype(np.float32)
        inside = shapes[run.split].is_inside(_row(run), points)
        with torch.no_grad():
            claimed = (network.forward(weights[None], torch.from_numpy(points))[0] > 0).numpy()
        either = int((inside | claimed).sum())
        overlaps.append(int((inside & claimed).sum()) / max(either, 1))
    return overlaps


def _of_files(shapes: Mapping[str, Shapes]) -> dict[str, Any]:
    """Which shapes of files are used and which are not; nothing of procedural ones."""
    described = {
        split: {
            "n": len(of),
            "n_left_out": len(of.left_out),
            "left_out": dict(of.left_out),
            "names": list(of.names),
        }
        for split, of in shapes.items()
        if of.names
    }
    return {"repaired_by": repair_method(), **described} if described else {}


def _write(
    zoo: NeuralFields, shapes: Mapping[str, Shapes], blocks: list[_Block], how: Build
) -> Path:
    """The population of the fields that describe their shapes."""
    runs = how.runs
    overlap = [value for block in blocks for value in block.overlap]
    kept = [i for i, value in enumerate(overlap) if value >= LEAST_OVERLAP]
    if not any(runs[i].split == "train" for i in kept):
        raise InputError(
            f"{zoo.name}: expected fields that overlap with their shapes by {LEAST_OVERLAP} or "
            f"more, got none among {how.counts['runs']} training fields; fit them longer, or wider "
            "ones",
            "too-few",
        )
    sampled = {"name": zoo.shapes, "n_near": zoo.n_near, "n_uniform": zoo.n_uniform}
    left_out = {i: value for i, value in enumerate(overlap) if i not in kept}
    settings: dict[str, Any] = {
        "fitting": asdict(zoo.recipe),
        "shapes": {**sampled, **_of_files(shapes)},
        "left_out": {runs[i].name: round(value, 4) for i, value in left_out.items()},
    }
    weights = torch.cat([block.weights for block in blocks])
    loss = [value for block in blocks for value in block.loss]
    epochs = [value for block in blocks for value in block.epochs]
    with how.writer(zoo, zoo.network, settings, len(kept)) as writer:
        rows = kept[writer.rows_done :]
        for split, of in shapes.items():
            some = [i for i in rows if runs[i].split == split]
            if not some:
                continue
            scores = {"iou": [overlap[i] for i in some], "fit_loss": [loss[i] for i in some]}
            for name, column in of.records.items():
                scores[name] = [column[_row(runs[i])] for i in some]
            records = Records.of(
                [runs[i].name for i in some],
                split=split,
                step=[epochs[i] * zoo.recipe.steps_per_epoch for i in some],
                scores=scores,
            )
            writer.append(weights[some], records)
        return writer.finish()

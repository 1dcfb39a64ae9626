"""Two habits of the paper's released evaluation of shapes, and what each does to Chamfer distances.

It evaluates fields on a sheared grid: of a point's number, the indices along y and x are had by
division without rounding down, so that they carry fractions of those after them (up to one spacing
along x and y), while the surface is placed as if they did not. And it compares clouds of generated
fields' surfaces with clouds of the meshes that training fields were fitted to, not of those
fields' own surfaces. The package does neither; both are made anew here.

`python -m benchmarks.released_shapes --population FOLDER` takes the training fields of a folder
that `novelweights zoo build airplanes-field` wrote; without, the first 8 of them are fitted anew.
All draws are seeded: results are the same again.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from novelweights.errors import InputError
from novelweights.metrics.point_clouds import chamfer, normalized, paired_chamfer
from novelweights.networks.neural_field import OccupancyField
from novelweights.readers import read_checkpoints
from novelweights.seeding import numpy_rng_for
from novelweights.shapes.mesh import Mesh, sample_surface
from novelweights.shapes.shape_sets import load_shapes
from novelweights.tasks.field_volume import GridLogits
from novelweights.tasks.shapes import POINTS
from novelweights.tasks.surfaces import RESOLUTION, surface
from novelweights.zoos import find_zoo
from novelweights.zoos.building import build

FIELDS, DRAWS = 8, 8


def main(
    population: Path | None = None, fields: int | None = None, resolution: int = RESOLUTION
) -> None:
    """Print the effect of both habits on Chamfer distances.

    Args:
        population: Folder with training fields; None: fit some.
        fields: At most so many, the first; None: all (`FIELDS` if they are fitted).
        resolution: Points of the grid per axis.

    Raises:
        InputError: Fewer than two fields, or with a surface, or fields not fitted to shapes.
    """
    if fields is not None and fields < 2:
        raise InputError(f"expected 2 or more fields, got {fields}: ask for more")
    with tempfile.TemporaryDirectory() as scratch:
        folder = population
        if folder is None:
            folder = Path(scratch) / "fields"
            build(find_zoo("airplanes-field"), folder, runs=fields or FIELDS, heldout_runs=0)
        shapes = _Shapes.of(folder, fields, resolution)
    print(
        f"released shapes: {shapes.network.name}, {len(shapes.true)} training fields, "
        f"{resolution}^3 points, clouds of {POINTS} points; median (least to greatest) of the "
        "fields' Chamfer distances"
    )
    if shapes.without:
        print(f"  left out, without a surface: {', '.join(shapes.without)}")
    _grids(shapes)
    _references(shapes)


@dataclass(frozen=True, eq=False)
class _Shapes:
    """Surfaces of fields on both grids, and the meshes that they were fitted to."""

    network: OccupancyField
    true: list[Mesh]
    sheared: list[Mesh]
    fitted_to: list[Mesh]
    without: list[str]
    """Runs whose fields have no surface."""

    @classmethod
    def of(cls, folder: Path, most: int | None, resolution: int) -> "_Shapes":
        training = read_checkpoints(folder, split="train")
        settings = training.info.settings
        if not {"network", "shapes", "seed"} <= set(settings):
            raise InputError(
                f"{folder}: expected fields fitted to shapes, got {training.info.recipe}; build "
                "them by `novelweights zoo build airplanes-field`"
            )
        network = OccupancyField(**settings["network"])
        runs = training.records.run[:most].tolist()
        rows = [int(run.rsplit("-", 1)[1]) for run in runs]
        known = load_shapes(
            settings["shapes"]["name"], max(rows) + 1, "train", seed=settings["seed"]
        )
        found = cls(network, [], [], [], [])
        for run, row, weights in zip(runs, rows, training.weights[:most], strict=True):
            true = surface(network, weights, resolution)
            sheared = surface(Sheared(network), weights, resolution)
            if true.is_empty or sheared.is_empty:
                found.without.append(run)
                continue
            found.true.append(true)
            found.sheared.append(sheared)
            found.fitted_to.append(known.mesh(row))
        if len(found.true) < 2:
            raise InputError(
                f"{folder}: expected two or more training fields with a surface, got "
                f"{len(found.true)}; take more of them, or fit them longer"
            )
        return found


@dataclass(frozen=True)
class Sheared:
    """A field as the released evaluation sees it through its grid."""

    network: OccupancyField

    def on_grid(self, weights: Tensor, axis: Tensor) -> GridLogits:
        """Logits of what the released code takes for the points with these indices."""

        def logits(indices: Tensor) -> Tensor:
            with torch.inference_mode():
                places = (
                    sheared(indices, len(axis)) / (len(axis) - 1) * (axis[-1] - axis[0]) + axis[0]
                )
                return self.network.forward(weights[None], places)[0]

        return logits


def sheared(indices: Tensor, resolution: int) -> Tensor:
    """Where the released grid has the points of these indices (m, 3), in spacings.

    In float32, as there, so that what large numbers lose is lost here too.
    """
    i, j, k = indices.unbind(1)
    number = (i * resolution + j) * resolution + k
    by_rows = number / resolution
    return torch.stack([by_rows / resolution % resolution, by_rows % resolution, k], dim=1)


def _grids(shapes: _Shapes) -> None:
    """Both grids' clouds against one of the true grid, the same random numbers for both."""
    first = _clouds(shapes.true, 0)
    anew, other = (
        np.mean([paired_chamfer(first, _clouds(m, 1 + draw)) for draw in range(DRAWS)], axis=0)
        for m in (shapes.true, shapes.sheared)
    )
    print(
        f"  to a cloud of the same field on the true grid, means of {DRAWS} draws\n"
        f"    from the true grid, drawn anew    {_told(anew)}\n"
        f"    from the sheared grid             {_told(other)}\n"
        f"    more than drawn anew              {_told(other - anew)}"
    )


def _references(shapes: _Shapes) -> None:
    """Fields' clouds against training clouds of both kinds, drawn by other random numbers."""
    n = len(shapes.true)
    queries, is_own = _clouds(shapes.true, 0), np.eye(n, dtype=bool)
    for kind, meshes in (("fields'", shapes.true), ("meshes'", shapes.fitted_to)):
        distances = chamfer(queries, _clouds(meshes, 1))
        hits = int((distances.argmin(axis=1) == np.arange(n)).sum())
        print(
            f"  to the nearest of training {kind} clouds, the own one for {hits} of {n}\n"
            f"    own among them                    {_told(distances.min(axis=1))}\n"
            f"    own left out                      "
            f"{_told(np.where(is_own, np.inf, distances).min(axis=1))}"
        )


def _clouds(meshes: list[Mesh], draw: int) -> np.ndarray:
    """Normalized clouds, each by random numbers of its own."""
    return normalized(
        np.stack(
            [
                sample_surface(mesh, POINTS, numpy_rng_for(draw, "released shapes", i))
                for i, mesh in enumerate(meshes)
            ]
        )
    )


def _told(values: np.ndarray) -> str:
    return f"{np.median(values):.6f} ({values.min():.6f} to {values.max():.6f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Effects of the released evaluation of shapes.")
    parser.add_argument("--population", type=Path)
    parser.add_argument("--fields", type=int)
    parser.add_argument("--resolution", type=int, default=RESOLUTION)
    main(**vars(parser.parse_args()))

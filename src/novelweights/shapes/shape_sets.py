"""Sets of shapes by name: what occupancy fields are fitted to, and what they are judged by.

`airplanes` are drawn; `real-airplanes` and `flightgear-airplanes` are fetched, see
`shapes/real_airplanes.py`; `shapenet-airplanes` are the user's files, see `shapes/shapenet.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32

from novelweights.data.fetch import cache_dir
from novelweights.errors import InputError, unknown_name
from novelweights.shapes.airplanes import airplane_mesh, draw
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.mesh_faults import CROSSING, INSIDE_OUT, NON_MANIFOLD, OPEN, TURNED
from novelweights.shapes.mesh_sets import usable
from novelweights.shapes.real_airplanes import SETS, airplanes_of
from novelweights.shapes.repaired_meshes import MeshFile
from novelweights.shapes.shape_points import inside_of_airplane, inside_of_mesh
from novelweights.shapes.shapenet import (
    CATEGORY,
    LISTS,
    PROBLEMATIC,
    PUBLISHED,
    mesh_files,
    read_split,
)

SPLITS = {"train": "train", "heldout": "validation", "test": "test"}
"""Which shapes training fields, held-out fields and the judging clouds are of: never the same."""
SHAPENET = "shapenet-airplanes"
MENDED = (OPEN, NON_MANIFOLD, TURNED, INSIDE_OUT, CROSSING)
"""Faults that a mesh may have had and be used."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """Some shapes of a set, placed in the cube [-0.5, 0.5]^3."""

    records: Mapping[str, list[float]]
    """What is known of each, column by column: for procedural shapes their parameters, for meshes
    of files whether they had each of the faults `MENDED` (1 or 0)."""
    mesh: Callable[[int], Mesh]
    """The surface of one."""
    is_inside: Callable[[int, Float32[np.ndarray, "m 3"]], Bool[np.ndarray, " m"]]
    """Which points lie inside of one."""
    names: Sequence[str] = ()
    """Of shapes of files, in order; procedural ones have none."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why shapes of files cannot be used, by name."""

    def __len__(self) -> int:
        return len(next(iter(self.records.values())))


def _airplanes(n: int, split: str, seed: int) -> Shapes:
    drawn = draw(n, seed=seed, split=split)
    classes = sorted(set(drawn.classes))
    numbered = {"class": [float(classes.index(name)) for name in drawn.classes]}
    return Shapes(
        records={**numbered, **drawn.records},
        mesh=lambda row: airplane_mesh(drawn.parameters[row]),
        is_inside=lambda row, points: inside_of_airplane(drawn.parameters[row])(points),
    )


def _fetched(name: str) -> Callable[[int, str, int], Shapes]:
    return lambda n, split, seed: _of_files(airplanes_of(name)[split], n, f"{name}, {split}")


def _shapenet(n: int, split: str, seed: int) -> Shapes:
    folder = cache_dir() / SHAPENET
    if not folder.is_dir():
        raise InputError(
            f"{SHAPENET}: expected in {folder} ShapeNet's folder {CATEGORY} and HyperDiffusion's "
            f"{', '.join(LISTS.values())} and {PROBLEMATIC}; this set cannot be fetched here, put "
            "its files or a link to their folder there yourself, or use airplanes, which are drawn"
        )
    files = mesh_files(folder, read_split(folder, sizes=PUBLISHED)[split])
    found = {shape: MeshFile(path) for shape, path in files.items()}
    return _of_files(found, n, f"{SHAPENET}, {split}")


def _of_files(files: Mapping[str, MeshFile], n: int, source: str) -> Shapes:
    found = usable(files, n, source=source)
    return Shapes(
        records={fault: [float(fault in of) for of in found.faults] for fault in MENDED},
        mesh=found.mesh,
        is_inside=lambda row, points: inside_of_mesh(found.mesh(row))(points),
        names=list(found.files),
        left_out=found.left_out,
    )


_SETS: dict[str, Callable[[int, str, int], Shapes]] = {
    "airplanes": _airplanes,
    **{name: _fetched(name) for name in SETS},
    SHAPENET: _shapenet,
}
SHAPE_SETS = tuple(_SETS)


def load_shapes(name: str, n: int, role: str, *, seed: int) -> Shapes:
    """Shapes of a set.

    Args:
        name: One of `SHAPE_SETS`. airplanes: the procedural family, drawn from the seed. Others
            are meshes of files, in an order of their own: the first time they are mended, which
            takes seconds for each.
        n: How many. Of files the first that can be used; fewer come out if fewer can be.
        role: A key of `SPLITS`.
        seed: Of the draw, where shapes are drawn.

    Raises:
        InputError: An unknown set, files that are not there, no shape is asked for or more than
            the part of the set has, or none of them can be used.
    """
    if name not in _SETS:
        raise unknown_name("set of shapes", name, _SETS)
    return _SETS[name](n, SPLITS[role], seed)

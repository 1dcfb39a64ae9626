"""Sets of shapes by name: what occupancy fields are fitted to, and what they are judged by.

`airplanes` are drawn; `real-airplanes` and `flightgear-airplanes` are fetched, see
`shapes/real_airplanes.py`; `shapenet-airplanes` are the user's files, see `shapes/shapenet.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32

from novelweights.data.cache import cache_dir
from novelweights.errors import InputError, look_up
from novelweights.shapes.airplanes import airplane_mesh, draw
from novelweights.shapes.mesh import Mesh, placed
from novelweights.shapes.real_airplanes import SETS, airplanes_of
from novelweights.shapes.repaired_meshes import MeshFile, inside, repair_method, repaired_mesh
from novelweights.shapes.shape_points import inside_airplane
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


@dataclass(frozen=True, eq=False)
class Shapes:
    """Some shapes of a set, placed in the cube [-0.5, 0.5]^3."""

    records: Mapping[str, list[float]]
    """What is known of each, column by column: the parameters of procedural shapes, of meshes of
    files nothing."""
    mesh: Callable[[int], Mesh]
    """The surface of one."""
    is_inside: Callable[[int, Float32[np.ndarray, "m 3"]], Bool[np.ndarray, " m"]]
    """Which points lie inside of one."""
    names: Sequence[str] = ()
    """Of shapes of files, in order; procedural ones have none."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why shapes of files cannot be used, by name."""

    def __len__(self) -> int:
        return len(self.names or next(iter(self.records.values())))


def _airplanes(n: int, split: str, seed: int) -> Shapes:
    drawn = draw(n, seed=seed, split=split)
    classes = sorted(set(drawn.classes))
    numbered = {"class": [float(classes.index(name)) for name in drawn.classes]}
    return Shapes(
        records={**numbered, **drawn.records},
        mesh=lambda row: airplane_mesh(drawn.parameters[row]),
        is_inside=lambda row, points: inside_airplane(drawn.parameters[row], points),
    )


def _fetched(name: str) -> Callable[[int, str, int], Shapes]:
    return lambda n, split, seed: of_files(airplanes_of(name)[split], n, f"{name}, {split}")


def _shapenet(n: int, split: str, seed: int) -> Shapes:
    folder = cache_dir() / SHAPENET
    if not folder.is_dir():
        raise InputError(
            f"{SHAPENET}: expected in {folder} ShapeNet's folder {CATEGORY} and HyperDiffusion's "
            f"{', '.join(LISTS.values())} and {PROBLEMATIC}; this set cannot be fetched here, put "
            "its files or a link to their folder there yourself, or use airplanes, which are drawn",
            "no-data",
        )
    files = mesh_files(folder, read_split(folder, sizes=PUBLISHED)[split])
    return of_files(
        {shape: MeshFile(path) for shape, path in files.items()}, n, f"{SHAPENET}, {split}"
    )


def of_files(files: Mapping[str, MeshFile], n: int, source: str) -> Shapes:
    """The first `n` meshes of files that can be used, or all of them if they are fewer.

    Each is read and repaired, or known from the cache. One that is missing, damaged, too large,
    empty, flat or not finite, or that no repair closes, is left out, and why.

    Raises:
        InputError: None is asked for, or more than there are, none can be used, or the extra
            `meshes` is not installed.
    """
    if not 1 <= n <= len(files):
        raise InputError(
            f"{source}: expected 1 to {len(files)} shapes, got {n}: ask for others", "too-few"
        )
    repair_method()  # if it lacks, that is no shape's fault
    used: dict[str, MeshFile] = {}
    left_out: dict[str, str] = {}
    for name, file in files.items():
        if len(used) == n:
            break
        try:
            repaired_mesh(file)
            used[name] = file
        except InputError as error:
            left_out[name] = str(error).replace(f"{file.path.parent}/", "")
    if not used:
        first = next(iter(left_out.values()))
        raise InputError(
            f"{source}: expected meshes that can be used, got {len(left_out)} that cannot, the "
            f"first because: {first}",
            "wrong-mesh",
        )
    names = list(used)

    def mesh(row: int) -> Mesh:
        return placed(repaired_mesh(used[names[row]]))

    return Shapes({}, mesh, lambda row, points: inside(mesh(row), points), names, left_out)


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
            are meshes of files, in an order of their own: the first time they are repaired, which
            takes seconds for each.
        n: How many. Of files the first that can be used; fewer come out if fewer can be.
        role: A key of `SPLITS`.
        seed: Of the draw, where shapes are drawn.

    Raises:
        InputError: An unknown set, files that are not there, no shape is asked for or more than
            the part of the set has, or none of them can be used.
    """
    return look_up("set of shapes", name, _SETS)(n, SPLITS[role], seed)

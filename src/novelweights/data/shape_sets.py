"""Sets of shapes by name: what occupancy fields are fitted to, and what they are judged by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from novelweights.data.airplanes import airplane_mesh, draw
from novelweights.data.mesh import Mesh
from novelweights.data.shape_points import inside_of_airplane
from novelweights.errors import unknown_name

SPLITS = {"train": "train", "heldout": "validation", "test": "test"}
"""Which shapes training fields, held-out fields and the judging clouds are of: never the same."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """Some shapes of a set, placed in the cube [-0.5, 0.5]^3."""

    records: Mapping[str, list[float]]
    """What is known of each, column by column: for procedural shapes their parameters."""
    mesh: Callable[[int], Mesh]
    """The surface of one."""
    is_inside: Callable[[int, Float32[np.ndarray, "m 3"]], Bool[np.ndarray, " m"]]
    """Which points lie inside of one."""

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


_SETS: dict[str, Callable[[int, str, int], Shapes]] = {"airplanes": _airplanes}
SHAPE_SETS = tuple(_SETS)


def load_shapes(name: str, n: int, role: str, *, seed: int) -> Shapes:
    """Shapes of a set.

    Args:
        name: One of `SHAPE_SETS`. airplanes: the procedural family, drawn from the seed.
        n: How many.
        role: A key of `SPLITS`.
        seed: Of the draw, where shapes are drawn.

    Raises:
        InputError: An unknown set, or no shape is asked for.
    """
    if name not in _SETS:
        raise unknown_name("set of shapes", name, _SETS)
    return _SETS[name](n, SPLITS[role], seed)

"""Arrays of invented shapes, as an audit of fields leaves them, for the tests of the report."""

from collections.abc import Sequence

import numpy as np

CUBE_FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ],
    np.uint16,
)  # fmt: skip
"""Outward, of corners counted in binary (x, y, z)."""

Invented = tuple[np.ndarray, np.ndarray]
NOTHING: Invented = (np.zeros((0, 3), np.uint16), np.zeros((0, 3), np.uint16))


def box(*halves: float) -> Invented:
    """A box around the middle, in steps of the cube, and its faces."""
    corners = np.array(np.unravel_index(np.arange(8), (2, 2, 2))).T * 2 - 1
    steps = (corners * np.array(halves) + 0.5) * 65_535
    return np.rint(steps).astype(np.uint16), CUBE_FACES


def shape_arrays(
    pairs: Sequence[tuple[Invented, Invented]] | None = None, *, n: int = 200
) -> dict[str, np.ndarray]:
    """Shapes of 3 + 9 random checkpoints and 5 percentiles, of `n` generated ones.

    Args:
        pairs: All 17; None: boxes, of which the second generated one has no surface.
        n: Generated checkpoints.
    """
    if pairs is None:
        pairs = [(box(0.4, 0.1 + 0.01 * i, 0.05), box(0.4, 0.2, 0.05)) for i in range(17)]
        pairs[1] = (NOTHING, pairs[1][1])
    meshes = [mesh for pair in pairs for mesh in pair]
    chamfer = [0.01 if len(a[1]) and len(b[1]) else np.nan for a, b in pairs]
    rng = np.random.default_rng(0)
    return {
        "shape_vertices": np.concatenate([v for v, _ in meshes]),
        "shape_faces": np.concatenate([f for _, f in meshes]),
        "shape_sizes": np.array([[(len(v), len(f)) for v, f in pair] for pair in pairs]),
        "shape_resolutions": np.full((17, 2), 96),
        "shape_rows": rng.permutation(n)[:17],
        "shape_groups": np.repeat(np.arange(3), (3, 9, 5)),
        "shape_percentiles": np.array([0, 25, 50, 75, 100]),
        "shape_chamfer": np.array(chamfer),
        "shape_level": np.array(1.386),
        "shape_judged_at": np.array(356),
    }

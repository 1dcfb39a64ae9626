"""Points with a known inside or outside, for fitting an occupancy field to a shape.

As HyperDiffusion draws them: half of them near the surface, half anywhere in the cube.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from novelweights.errors import InputError
from novelweights.seeding import numpy_rng_for
from novelweights.shapes.airplane_shape import signed_distance
from novelweights.shapes.mesh import Mesh, sample_surface

N_NEAR = 100_000  # HyperDiffusion
N_UNIFORM = 100_000  # HyperDiffusion
NEAR_STD = 0.01  # per axis, in sides of the cube; HyperDiffusion

IsInside = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class OccupancyPoints:
    """Points in the cube's coordinates, those near the surface first, and whether each is inside.

    A few points near the surface may lie outside of the cube.
    """

    points: Float32[Tensor, "n 3"]
    is_inside: Bool[Tensor, " n"]
    n_near: int


def inside_airplane(
    parameters: Float64[Tensor, " k"], points: Float32[np.ndarray, "n 3"]
) -> Bool[np.ndarray, " n"]:
    """Which points lie inside of a procedural airplane: exact, by its signed distance."""
    return (signed_distance(parameters[None], torch.from_numpy(points))[0] < 0).numpy()


def occupancy_points(
    mesh: Mesh,
    is_inside: IsInside,
    seed: int,
    *,
    n_near: int = N_NEAR,
    n_uniform: int = N_UNIFORM,
) -> OccupancyPoints:
    """Points near the surface of `mesh` and anywhere in the cube, judged by `is_inside`.

    Args:
        mesh: Placed in the cube [-0.5, 0.5]^3.
        is_inside: Float32 points (n, 3) to booleans (n,).
        seed: Points of one seed are the same in every process.
        n_near: Points of the surface, drawn by area, plus N(0, `NEAR_STD`) per axis.
        n_uniform: Points uniform in the cube.

    Raises:
        InputError: A negative number of points or none; a mesh without area or outside of the
            cube; or none of the points near its surface is inside, or all are.
    """
    if min(n_near, n_uniform) < 0 or n_near + n_uniform == 0:
        raise InputError(
            f"expected numbers of points of at least 0, and not both 0, got {n_near} near the "
            f"surface and {n_uniform} in the cube: ask for more",
            "too-few",
        )
    rng = numpy_rng_for(seed, "occupancy points")
    surface = sample_surface(mesh, n_near, rng)
    largest = np.abs(mesh.vertices[np.unique(mesh.faces)]).max()
    if largest > 0.5:
        raise InputError(
            f"expected a mesh in the cube [-0.5, 0.5]^3, got a coordinate of size {largest:.6g}: "
            "place it there first",
            "wrong-mesh",
        )
    near = surface + rng.normal(scale=NEAR_STD, size=(n_near, 3))
    points = np.concatenate([near, rng.random((n_uniform, 3)) - 0.5]).astype(np.float32)
    occupied = is_inside(points)
    if n_near and occupied[:n_near].all() | ~occupied[:n_near].any():
        which = "all" if occupied[0] else "none"
        raise InputError(
            f"expected some of the {n_near} points near the surface to be inside, got {which}: are "
            "the faces turned inside out, or is the shape thinner than can be seen?",
            "wrong-mesh",
        )
    return OccupancyPoints(torch.from_numpy(points), torch.from_numpy(occupied), n_near)

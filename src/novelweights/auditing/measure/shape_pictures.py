"""Surfaces of generated fields and of their nearest training checkpoints, for a page to draw.

Source: paper, figures 5d and 13d (random checkpoints) and 14d (by distance). Bounded in size: a
mesh has at most `MAX_FACES` faces, and its coordinates are 16-bit steps of the cube.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, UInt16
from torch import Tensor

from novelweights.auditing.result import AuditResult
from novelweights.metrics.point_clouds import paired_chamfer
from novelweights.tasks.shapes import FieldShapes
from novelweights.tasks.surfaces import surface
from novelweights.weights.population import Population

SHAPE_GROUPS = ("random", "further", "percentile")
"""Why a checkpoint is drawn, in the order of `shape_groups`."""
N_FURTHER = 9
"""Random checkpoints beside those of the other pictures. Source: paper, figure 13."""
PERCENTILES = (0, 25, 50, 75, 100)
"""Of the distance to the nearest training checkpoint. Ours: the paper names the 100th alone."""
PICTURE_RESOLUTION = 96
"""Grid points per axis of a drawn surface; thin wings hold together, files stay small. Ours."""
MAX_FACES = 16_000
"""A surface that has more is drawn on a grid of three quarters of the points per axis."""
STEPS = 65_535
"""Steps of a coordinate along the cube."""


def shape_pictures(
    result: AuditResult,
    task: FieldShapes,
    train: Population,
    generated: Population,
    order: Int[np.ndarray, " m"],
    n_random: int,
) -> dict[str, np.ndarray]:
    """Arrays for `plot_data.npz`, one entry per drawn pair.

    Args:
        task: Draws the surfaces at its level, and measures Chamfer distances at its resolution.
        order: All generated rows, in random order.
        n_random: How many of them other pictures show too; `N_FURTHER` more are drawn.

    Returns:
        `shape_vertices`: of all meshes, one after the other, (v, 3), in steps of `STEPS` from -0.5.
        `shape_faces`: (f, 3), rows of their own mesh.
        `shape_sizes`: (s, 2, 2) per pair, generated then nearest: vertices, faces; 0: no surface.
        `shape_resolutions`: (s, 2) grid points per axis.
        `shape_rows`, `shape_groups`: (s,) generated rows, places in `SHAPE_GROUPS`.
        `shape_percentiles`: (q,) of the last group.
        `shape_chamfer`: (s,) squared, of normalized clouds; NaN where one has no surface.
        `shape_level`: () logit on the surface. `shape_judged_at`: () the task's resolution.
    """
    n_further = min(N_FURTHER, max(len(order) - n_random, 0))
    random, further = np.sort(order[:n_random]), np.sort(order[n_random : n_random + n_further])
    by_distance = np.argsort(result.generated.distance, kind="stable")
    places = np.rint(np.array(PERCENTILES) / 100 * (len(by_distance) - 1)).astype(int)
    rows = np.concatenate([random, further, by_distance[places]])
    groups = np.repeat(np.arange(3), [len(random), len(further), len(places)])
    layout = task.network.layout
    sides = [
        (generated.in_order_of(layout), rows),
        (train.in_order_of(layout), result.generated.neighbor_rows[rows, 0]),
    ]
    meshes = [_meshes(task, population.weights, chosen) for population, chosen in sides]
    pairs = list(zip(*meshes, strict=True))
    drawn = [mesh for pair in pairs for mesh in pair]
    return {
        "shape_vertices": np.concatenate([vertices for vertices, _, _ in drawn]),
        "shape_faces": np.concatenate([faces for _, faces, _ in drawn]),
        "shape_sizes": np.array([[(len(v), len(f)) for v, f, _ in pair] for pair in pairs]),
        "shape_resolutions": np.array([[points for _, _, points in pair] for pair in pairs]),
        "shape_rows": rows,
        "shape_groups": groups,
        "shape_percentiles": np.array(PERCENTILES),
        "shape_chamfer": _chamfer(task, sides),
        "shape_level": np.array(task.level, np.float64),
        "shape_judged_at": np.array(task.resolution),
    }


Drawn = tuple[UInt16[np.ndarray, "v 3"], UInt16[np.ndarray, "f 3"], int]
"""Vertices, faces, and grid points per axis."""


def _meshes(task: FieldShapes, weights: Tensor, rows: Int[np.ndarray, " s"]) -> list[Drawn]:
    """The surface of each row; of equal rows made once."""
    made = {int(row): _mesh(task, weights[int(row)]) for row in np.unique(rows)}
    return [made[int(row)] for row in rows]


def _mesh(task: FieldShapes, weights: Tensor) -> Drawn:
    points = PICTURE_RESOLUTION
    mesh = surface(task.network, weights, points, task.level)
    while len(mesh.faces) > MAX_FACES:
        points = points * 3 // 4
        mesh = surface(task.network, weights, points, task.level)
    steps = np.rint((mesh.vertices + 0.5) * STEPS).astype(np.uint16)
    return steps, mesh.faces.astype(np.uint16), points


def _chamfer(
    task: FieldShapes, sides: Sequence[tuple[Population, Int[np.ndarray, " s"]]]
) -> Float[np.ndarray, " s"]:
    """Of each pair, as the task compares shapes; NaN where one has no surface."""
    clouds = []
    for population, rows in sides:
        unique, where = np.unique(rows, return_inverse=True)
        clouds.append(task.behave(population.select(unique))[torch.from_numpy(where)])
    seen = task.has_surface(clouds[0]) & task.has_surface(clouds[1])
    distances = np.full(len(seen), np.nan)
    distances[seen.numpy()] = paired_chamfer(clouds[0][seen], clouds[1][seen])
    return distances

"""Surfaces of neural fields at the published resolution, coarse to fine against the whole grid.

Fields of 128-128-128 neurons (`python -m benchmarks.surfaces --quick`: 64-64-64) are fitted to
unions of a fuselage, swept wings, a tail and a fin; the wings are down to two spacings of the grid
thick. Both ways make the mesh at 356 points per axis and level 1.386. The floor is what must be
evaluated to know the surface: the corners of the cells that it enters.
"""

import sys

import numpy as np
import torch
import trimesh
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn import functional as F

from benchmarks.timing import take_turns
from novelweights.networks.neural_field import OccupancyField
from novelweights.shapes.mesh import Mesh
from novelweights.tasks.field_volume import GridLogits
from novelweights.tasks.surfaces import RESOLUTION, dense_surface, surface

SHAPES = ((0.42, 0.5, 0.012), (0.3, 0.9, 0.006))
"""Half span, tangent of the sweep, thickness of the wings at the root (sides of the cube)."""
STEPS, POINTS = 400, 2048


def main(width: int = 128) -> None:
    """Print seconds of both ways, their ratio, evaluated points and how far the meshes differ."""
    field = OccupancyField(width)
    rng = torch.Generator().manual_seed(0)
    weights, loss = _fitted(field, rng)
    print(
        f"surfaces: {field.name}, {RESOLUTION}^3 points, {len(SHAPES)} fields fitted to a loss of "
        f"{loss:.3f}, one run each, {torch.get_num_threads()} threads"
    )
    for row in weights:
        counting = _Counting(field)
        (fast, mesh), (slow, expected) = take_turns(
            lambda f=counting, w=row: surface(f, w),
            lambda w=row: dense_surface(field, w),
            repeats=1,
        )
        if _bodies(mesh) != _bodies(expected) or _apart(mesh, expected) > 1e-3 / RESOLUTION:
            raise ValueError(f"the meshes differ by {_apart(mesh, expected)}")
        print(
            f"  dense {slow:.1f} s, coarse to fine {fast:.2f} s: {slow / fast:.1f} times faster; "
            f"evaluated {counting.points / RESOLUTION**3:.2%} of the points, floor "
            f"{_floor(expected) / RESOLUTION**3:.2%}; {len(mesh.vertices)} and "
            f"{len(expected.vertices)} vertices, at most {_apart(mesh, expected):.1g} apart, "
            f"{_bodies(mesh)} bodies"
        )


def _bodies(mesh: Mesh) -> int:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).body_count


class _Counting:
    def __init__(self, field: OccupancyField) -> None:
        self.field, self.points = field, 0

    def on_grid(self, weights: Tensor, axis: Tensor) -> GridLogits:
        logits = self.field.on_grid(weights, axis)

        def counted(indices: Tensor) -> Tensor:
            self.points += len(indices)
            return logits(indices)

        return counted


def _airplane(points: Tensor, half_span: float, sweep: float, thickness: float) -> Tensor:
    """Positive inside; about a distance."""
    x, y, z = points.unbind(-1)
    y = y.abs()

    def wing(nose: float, chord: float, span: float, thick: float) -> Tensor:
        narrow = 1 - 0.5 * y / span
        along = chord * narrow / 2 - (x - nose + sweep * y).abs()
        return torch.minimum(torch.minimum(along, span - y), thick * narrow / 2 - z.abs())

    body = torch.minimum(0.05 * (1 - (2.2 * x) ** 4) - (y**2 + z**2).sqrt(), 0.45 - x.abs())
    fin = torch.minimum(0.05 - 0.5 * z - (x + 0.38 + 0.4 * z).abs(), 0.15 - (2 * z - 0.15).abs())
    fin = torch.minimum(fin, thickness / 2 - y)
    wings = wing(0.06, 0.18, half_span, thickness), wing(-0.36, 0.1, 0.16, thickness)
    return torch.stack([body, fin, *wings]).amax(dim=0)


def _fitted(field: OccupancyField, rng: torch.Generator) -> tuple[Tensor, float]:
    start = field.initial(rng)
    weights = start.repeat(len(SHAPES), 1).requires_grad_()
    uniform = torch.rand(1_000_000, 3, generator=rng) - 0.5
    near = []
    for shape in SHAPES:
        near.append(uniform[_airplane(uniform, *shape).abs() < 0.005])
    optimizer = torch.optim.Adam([weights], lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    loss = torch.zeros(())
    for _ in range(STEPS):
        points = []
        for some in near:
            close = some[torch.randint(len(some), (POINTS // 2,), generator=rng)]
            close = close + 0.01 * torch.randn(close.shape, generator=rng)
            far = uniform[torch.randint(len(uniform), (POINTS // 2,), generator=rng)]
            points.append(torch.cat([close, far]))
        inside = [_airplane(p, *shape) > 0 for p, shape in zip(points, SHAPES, strict=True)]
        logits = field.forward(weights, torch.stack(points))
        loss = F.binary_cross_entropy_with_logits(logits, torch.stack(inside).float())
        optimizer.zero_grad()
        (loss * logits.numel()).backward()
        optimizer.step()
        schedule.step()
    return weights.detach(), loss.item()


def _apart(one: Mesh, other: Mesh) -> float:
    """The largest distance from a vertex of one mesh to the nearest of the other."""
    there, _ = KDTree(one.vertices).query(other.vertices)
    back, _ = KDTree(other.vertices).query(one.vertices)
    return float(max(there.max(), back.max()))


def _floor(mesh: Mesh) -> int:
    """Corners of the grid cells that hold a face."""
    centers = (mesh.triangles.mean(axis=1) + 0.5) * (RESOLUTION - 1)
    corners = np.floor(centers).astype(np.int64)[:, None] + np.indices((2, 2, 2)).reshape(3, 8).T
    return len(np.unique(np.ravel_multi_index(tuple(corners.reshape(-1, 3).T), (RESOLUTION,) * 3)))


if __name__ == "__main__":
    main(64 if "--quick" in sys.argv else 128)

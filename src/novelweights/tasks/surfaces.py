"""The surface of a field, where its logit crosses a level, as a triangle mesh.

Marching cubes (scikit-image, Lewiner's) on a regular grid of 356 points per axis over
[-0.5, 0.5]^3, spacing 1/355, at level 1.386, a probability of 0.8. Source: HyperDiffusion, released
code. Its grid is sheared by up to one spacing, because indices are divided without rounding down;
ours is not.

`dense_surface` evaluates all 45 million points. `surface` evaluates every fourth along each axis,
then only where the surface may be, and gives the same mesh.
"""

import numpy as np
import torch
from jaxtyping import Float
from skimage.measure import marching_cubes
from torch import Tensor

from novelweights.shapes.mesh import Mesh
from novelweights.tasks.field_volume import STRIDE, CoarseField, Field, FieldVolume, GridLogits

RESOLUTION = 356
"""Points per axis. Source: HyperDiffusion, test metrics (256 for validation)."""
LEVEL = 1.386
"""Source: HyperDiffusion, test metrics (0 for validation)."""
SMALL = 8 * STRIDE
"""Up to here all points are evaluated: every fourth of so few says little about a shape. Ours."""


def surface(
    field: Field,
    weights: Float[Tensor, " d"],
    resolution: int = RESOLUTION,
    level: float = LEVEL,
) -> Mesh:
    """The surface of one checkpoint's field, from coarse to fine.

    A block between evaluated points is divided if they lie on both sides of the level, or if one
    is so near to it that the field would reach the level inside the block, were it a half steeper
    (`MARGIN`) than at the steepest step in the block and around it. Then all corners of every cell
    that the surface enters are evaluated, however far that leads. So the mesh is that of
    `dense_surface` unless the field has closed pieces or holes that fit between evaluated points
    and are steeper than that; what no evaluated point hints at is not found.

    Args:
        field: The network.
        weights: One weight vector.
        resolution: Points per axis, at least 2.
        level: The logit on the surface; inside is above it.

    Returns:
        Vertices in coordinates of the cube, faces oriented outward. Where the inside reaches the
        border of the cube the surface is open. Without a surface the mesh is empty.

    Raises:
        InputError: A logit is not finite.
        ValueError: Fewer than 2 points per axis.
    """
    if resolution <= SMALL:
        return dense_surface(field, weights, resolution, level)
    logits, level = _on_grid(field, weights, resolution), _rounded(level)
    coarse = CoarseField(logits, resolution, level)
    suspects = coarse.suspects()
    if not len(suspects):
        return _no_surface()
    low = np.maximum(suspects.min(axis=0) - STRIDE, 0)
    high = np.minimum(suspects.max(axis=0) + 2 * STRIDE + 1, resolution)
    boxes = [(low, high), (np.zeros(3, np.int64), np.full(3, resolution))]
    for low, high in boxes:  # the whole cube only if the surface leads out of the first
        volume = coarse.box(tuple(low.tolist()), tuple(high.tolist()))
        blocks, size = suspects - low, STRIDE
        while size > 1:
            blocks, size = volume.divide(blocks, size), size // 2
        if volume.close():
            return _mesh(volume)
    raise AssertionError("the whole cube has no border that a surface could lead out of")


def dense_surface(
    field: Field,
    weights: Float[Tensor, " d"],
    resolution: int = RESOLUTION,
    level: float = LEVEL,
) -> Mesh:
    """The surface with every point of the grid evaluated: slow, and what `surface` must equal.

    Arguments, result and errors are those of `surface`.
    """
    logits = _on_grid(field, weights, resolution)
    ends = (resolution, resolution, resolution)
    volume = FieldVolume(logits, resolution, _rounded(level), (0, 0, 0), ends)
    for i in range(resolution):
        volume.evaluate(np.arange(i * resolution**2, (i + 1) * resolution**2))
    return _mesh(volume)


def _on_grid(field: Field, weights: Tensor, resolution: int) -> GridLogits:
    if resolution < 2:
        raise ValueError(f"a grid has at least 2 points per axis, got {resolution}")
    axis = torch.linspace(-0.5, 0.5, resolution, dtype=torch.float64)
    return field.on_grid(weights, axis.to(weights.dtype))


def _rounded(level: float) -> float:
    """To single precision, as the logits: else equal values could lie on different sides here and
    in marching cubes."""
    return float(np.float32(level))


def _mesh(volume: FieldVolume) -> Mesh:
    """Marching cubes on the part of a volume that the surface is in."""
    differs = volume.inside != volume.inside[0, 0, 0]
    if not differs.any():
        return _no_surface()
    crop, start = [], []
    for others in ((1, 2), (0, 2), (0, 1)):
        where = np.flatnonzero(differs.any(axis=others))
        start.append(max(where[0] - 1, 0))
        crop.append(slice(start[-1], where[-1] + 2))
    part = tuple(crop)
    supposed = np.where(volume.inside[part], volume.level + 1, volume.level - 1)
    values = np.where(volume.known[part], volume.values[part], supposed.astype(np.float32))
    vertices, faces, _, _ = marching_cubes(values, volume.level, gradient_direction="ascent")
    places = vertices.astype(np.float64) + (volume.low + np.array(start))
    return Mesh(places / (volume.resolution - 1) - 0.5, faces.astype(np.int64))


def _no_surface() -> Mesh:
    return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))

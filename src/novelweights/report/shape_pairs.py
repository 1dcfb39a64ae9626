"""Generated shapes with their nearest training shapes, as the arrays of a run folder hold them."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt16

from novelweights.auditing.measure.shape_pictures import SHAPE_GROUPS, STEPS

SHAPE_ARRAYS = {
    "shape_vertices": ("sv", 3),
    "shape_faces": ("sf", 3),
    "shape_sizes": ("ss", 2, 2),
    "shape_resolutions": ("ss", 2),
    "shape_rows": ("ss",),
    "shape_groups": ("ss",),
    "shape_percentiles": ("sq",),
    "shape_chamfer": ("ss",),
    "shape_level": (),
    "shape_judged_at": (),
}
"""Names and axes of the arrays; meanings in `audit/shape_pictures.py`."""
FLOAT_SHAPE_ARRAYS = ("shape_chamfer", "shape_level")


@dataclass(frozen=True, eq=False)
class StoredShape:
    """One surface; without faces there is none."""

    steps: UInt16[np.ndarray, "v 3"]
    """Coordinates in steps along the cube, from -0.5 to 0.5."""
    faces: UInt16[np.ndarray, "f 3"]
    resolution: int
    """Grid points per axis that it was made on."""

    @property
    def vertices(self) -> Float64[np.ndarray, "v 3"]:
        """In sides of the cube."""
        return self.steps / STEPS - 0.5

    @property
    def is_empty(self) -> bool:
        """There is no surface."""
        return not len(self.faces)

    @property
    def data(self) -> tuple[str, str]:
        """Steps and faces as base64 of little-endian 16-bit numbers; without a surface empty."""
        if self.is_empty:
            return "", ""
        steps, faces = (
            b64encode(a.astype("<u2").tobytes()).decode() for a in (self.steps, self.faces)
        )
        return steps, faces


@dataclass(frozen=True, eq=False)
class ShapePair:
    """A generated checkpoint and the training checkpoint whose weights are nearest to its."""

    row: int
    """Of the generated checkpoints."""
    percentile: int | None
    """Of its distance, if it was chosen by that."""
    generated: StoredShape
    nearest: StoredShape
    chamfer: float
    """Squared, of normalized clouds; NaN where one has no surface."""


def shape_pairs(plot_data: Mapping[str, np.ndarray]) -> dict[str, list[ShapePair]]:
    """Pairs by group; empty where a run folder has no shapes.

    Raises:
        ValueError: The arrays do not fit each other.
    """
    if "shape_sizes" not in plot_data:
        return {}
    sizes, groups = plot_data["shape_sizes"], plot_data["shape_groups"]
    vertices, faces = plot_data["shape_vertices"], plot_data["shape_faces"]
    ends = sizes.reshape(-1, 2).cumsum(axis=0)
    totals = tuple(ends[-1].tolist()) if len(ends) else (0, 0)
    if sizes.min(initial=0) < 0 or totals != (len(vertices), len(faces)):
        raise ValueError("shape_sizes do not add up to shape_vertices and shape_faces")
    for name in ("shape_vertices", "shape_faces"):
        if plot_data[name].dtype != np.uint16:
            raise ValueError(f"{name} holds {plot_data[name].dtype}")
    if groups.size and not 0 <= groups.min() <= groups.max() < len(SHAPE_GROUPS):
        raise ValueError(f"shape_groups beyond the {len(SHAPE_GROUPS)} groups")
    percentiles = plot_data["shape_percentiles"].tolist()
    if (groups == SHAPE_GROUPS.index("percentile")).sum() != len(percentiles):
        raise ValueError("shape_percentiles are not one for each shape that was chosen by them")
    meshes = []
    for end, size, points in zip(
        ends, sizes.reshape(-1, 2), plot_data["shape_resolutions"].ravel().tolist(), strict=True
    ):
        (v1, f1), (v0, f0) = end, end - size
        if f1 > f0 and faces[f0:f1].max() >= v1 - v0:
            raise ValueError("shape_faces name vertices beyond those of their shape")
        meshes.append(StoredShape(vertices[v0:v1], faces[f0:f1], points))
    by_kind: dict[str, list[ShapePair]] = {group: [] for group in SHAPE_GROUPS}
    for i, group in enumerate(groups.tolist()):
        name = SHAPE_GROUPS[group]
        pair = ShapePair(
            row=int(plot_data["shape_rows"][i]),
            percentile=percentiles[len(by_kind[name])] if name == "percentile" else None,
            generated=meshes[2 * i],
            nearest=meshes[2 * i + 1],
            chamfer=float(plot_data["shape_chamfer"][i]),
        )
        by_kind[name].append(pair)
    if len(groups) and not by_kind["random"]:
        raise ValueError("shape_groups hold no random checkpoint")
    return {group: pairs for group, pairs in by_kind.items() if pairs}

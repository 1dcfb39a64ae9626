"""ShapeNet's folder with HyperDiffusion's lists at a small scale: boxes, some of them spoiled."""

from pathlib import Path

import numpy as np
import pytest

from novelweights.shapes import repaired_meshes, shape_sets

WHOLE, LONG, OPEN, PROBLEMATIC, MISSING, NAN, HELDOUT, *TEST = (f"{i:032x}" for i in range(9))
SIZES = {"train": 5, "validation": 1, "test": 2}
"""Shapes listed in each part that are not problematic."""
LISTED = {
    "train": (PROBLEMATIC, MISSING, LONG, NAN, OPEN, WHOLE),
    "val": (HELDOUT,),
    "test": TEST,
}
HALF = {WHOLE: (3, 2, 1), LONG: (4, 1, 1), OPEN: (2, 2, 1)}
"""Half the sides; of others (1, 2, 3)."""
SIDES = ((1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4))


def box_obj(half: tuple[float, float, float], *, fin: bool = False) -> str:
    """A box as OBJ, closed unless it has a fin: one triangle at an edge, open at two sides."""
    corners = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    corners += [(1.2, 1.2, 1)] * fin
    rows = (np.array(corners) * half).tolist()
    vertices = "".join("v " + " ".join(map(str, row)) + "\n" for row in rows)
    faces = "".join(f"f {a} {b} {c}\nf {a} {c} {d}\n" for a, b, c, d in SIDES)
    return vertices + faces + "f 7 8 9\n" * fin


def put_shapenet(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `cache` the cache folder, with the set in it, and repair quick; its folder."""
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(cache))
    monkeypatch.setattr(shape_sets, "PUBLISHED", SIZES)
    monkeypatch.setattr(repaired_meshes, "RESOLUTION", 1000)
    folder = cache / "shapenet-airplanes"
    for part, ids in LISTED.items():
        for shape in set(ids) - {MISSING}:
            models = folder / "02691156" / shape / "models"
            models.mkdir(parents=True)
            half = (np.nan, 1, 1) if shape == NAN else HALF.get(shape, (1, 2, 3))
            text = box_obj(half, fin=shape == OPEN)
            (models / "model_normalized.obj").write_text(text)
        (folder / f"{part}_split.lst").write_text("".join(f"{shape}.obj\n" for shape in ids))
    (folder / "plane_problematic_shapes.txt").write_text(f"{PROBLEMATIC}\n")
    return folder

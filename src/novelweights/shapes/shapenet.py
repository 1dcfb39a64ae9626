"""ShapeNet's airplanes from the user's own folder, in HyperDiffusion's split.

No package carries ShapeNet, so nothing here fetches it. Meshes lie as ShapeNet publishes them
(`02691156/<id>/models/model_normalized.obj`) or flat (`<id>.obj`, as after a repair); the lists are
those of HyperDiffusion's repository. Shapes on the list of problematic ones are used in no part.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from novelweights.errors import InputError, first_few

CATEGORY = "02691156"
LISTS = {"train": "train_split.lst", "validation": "val_split.lst", "test": "test_split.lst"}
PROBLEMATIC = "plane_problematic_shapes.txt"
PUBLISHED = {"train": 2749, "validation": 202, "test": 606}
"""Shapes in each part without the 488 problematic ones. Source: HyperDiffusion's released lists."""
ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
MAX_LIST_BYTES = 10_000_000


def read_split(
    folder: Path, *, sizes: Mapping[str, int] | None = PUBLISHED
) -> dict[str, tuple[str, ...]]:
    """The ids of each part (train, validation, test), in the order of the lists.

    Args:
        folder: Where the lists lie, themselves or in its subfolder 02691156.
        sizes: How many shapes each part has to have; None: any number.

    Raises:
        InputError: A list is missing or empty, an entry is no id, an id stands twice or in two
            parts, or the sizes are others; all faults of the lists at once.
    """
    lists = {part: _entries(folder, file) for part, file in LISTS.items()}
    problematic = set(_entries(folder, PROBLEMATIC))
    faults = []
    seen: dict[str, str] = {}
    for part, ids in lists.items():
        for shape in ids:
            if shape in seen:
                faults.append(f"{shape} is in {seen[shape]} and again in {part}")
            seen[shape] = part
    split = {
        part: tuple(shape for shape in ids if shape not in problematic)
        for part, ids in lists.items()
    }
    for part, size in (sizes or {}).items():
        if len(split[part]) != size:
            faults.append(f"{len(split[part])} shapes to use in {part}, expected {size}")
    if faults:
        raise InputError(
            f"{folder}: expected the lists of HyperDiffusion, got {first_few(faults, '; ')}; put "
            "them there again, as published",
            "wrong-content",
        )
    return split


def mesh_files(folder: Path, ids: Sequence[str]) -> dict[str, Path]:
    """The file of each shape, by id; one that is missing has the path where it should lie.

    Args:
        folder: ShapeNet's folder or one of flat files, with or without its subfolder 02691156.
        ids: As `read_split` gives them.

    Raises:
        InputError: Not one of them is there.
    """
    forms = [f"{CATEGORY}/{{}}/models/model_normalized.obj", f"{CATEGORY}/{{}}.obj"]
    forms += ["{}/models/model_normalized.obj", "{}.obj"]
    files = {}
    for shape in ids:
        places = [folder / form.format(shape) for form in forms]
        files[shape] = next((place for place in places if place.is_file()), places[0])
    if ids and not any(path.is_file() for path in files.values()):
        raise InputError(
            f"{folder}: expected meshes such as {forms[0].format(ids[0])} or "
            f"{forms[3].format(ids[0])}, found none of {len(ids)}; get ShapeNet from its owners, "
            "or use the procedural airplanes, which need no files",
            "no-data",
        )
    return files


def _entries(folder: Path, file: str) -> list[str]:
    """The ids on one list, without the suffix .obj that HyperDiffusion's lists carry."""
    places = [folder / file, folder / CATEGORY / file, folder.parent / file]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise InputError(
            f"{folder}: expected {file} there or in its folder {CATEGORY}, found none; take it "
            "from HyperDiffusion's repository",
            "no-data",
        )
    if path.stat().st_size > MAX_LIST_BYTES:
        raise InputError(
            f"{path}: expected a list of ids, got more than {MAX_LIST_BYTES} bytes", "too-large"
        )
    lines = path.read_text(encoding="utf-8", errors="replace").split()
    ids = [line.removesuffix(".obj") for line in lines]
    if wrong := [shape for shape in ids if not ID.fullmatch(shape)]:
        raise InputError(
            f"{path}: expected one id a line, got {first_few(list(map(repr, wrong)))}; put the "
            "list there again, as published",
            "wrong-content",
        )
    if not ids and file != PROBLEMATIC:
        raise InputError(f"{path}: expected ids, got none; put the list there again", "too-few")
    return ids

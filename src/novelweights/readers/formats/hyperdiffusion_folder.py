"""The folder of occupancy networks that HyperDiffusion was trained on: an entry per shape.

An entry is a `.pth` file or a folder with `checkpoints/model_final.pth` (else
`model_current.pth`). Lists beside them say which shapes are trained on: train_split.lst,
val_split.lst and test_split.lst, with names such as ID.obj, and *_problematic_shapes.txt with the
identifiers that are left out. They are looked for in the folder and in the one above it.

Source: the released files and code of HyperDiffusion (Erkoç et al., 2023).
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from novelweights.errors import InputError, first_few
from novelweights.readers.formats.state_dicts import source_of_units
from novelweights.readers.source import Reading, Source
from novelweights.readers.units import Unit, listed
from novelweights.weights.population import Records

MODELS = ("model_final.pth", "model_current.pth")
"""Files of an entry's folder `checkpoints`, the better one first."""
LISTS = {"train": "train", "val": "heldout", "test": "heldout"}
"""Our split of those on each list."""
PROBLEMATIC = "*_problematic_shapes.txt"
SHAPE = re.compile(r"[0-9a-f]{20,32}", re.ASCII)
"""An identifier of ShapeNet."""
LOOKED_AT = 100
"""Entries of a folder that are looked at to recognize it."""


@dataclass(frozen=True)
class HyperDiffusionFolder:
    """Reads folders of HyperDiffusion's occupancy networks."""

    summary: str = "HyperDiffusion's folder of occupancy networks, with or without split lists"

    def recognizes(self, path: Path) -> bool:
        """Whether one of the first entries holds `checkpoints/model_final.pth`, or is a `.pth`
        file named after a shape of ShapeNet with a split list nearby."""
        try:
            entries = list(islice(path.iterdir(), LOOKED_AT))
            if any(_model_in(entry) is not None for entry in entries):
                return True
            named = any(p.suffix == ".pth" and SHAPE.fullmatch(_fields(p)[0]) for p in entries)
            return named and any(_places(path, f"{part}_split.lst") for part in LISTS)
        except OSError:
            return False

    def open(self, path: Path, reading: Reading) -> Source:
        """The networks of all shapes by name, the shape's identifier as run.

        Shapes on the train list are "train", on the others "heldout", on none "unknown"; those
        called problematic are left out, as HyperDiffusion does.

        Raises:
            InputError: An entry has no network, a list is empty or contradicts another, or the
                first network cannot be read.
        """
        splits, problematic, lists = _lists(path)
        files, foreign = _entries(path)
        shapes = _shapes(files, splits.keys() | problematic)
        taken = [name for name in files if shapes[name] not in problematic]
        if not taken:
            raise InputError(
                f"{path}: expected networks (.pth files, or folders with checkpoints/{MODELS[0]}), "
                f"found {'only problematic ones' if files else 'none'}; give the folder that "
                "holds them",
                "not-found",
            )
        units = [Unit(name, (_model_in(files[name]) or files[name],)) for name in taken]
        runs = [shapes[name] for name in taken]
        records = Records(
            run=np.array(runs, dtype=object),
            split=np.array([splits.get(run, "unknown") for run in runs], dtype=object),
            step=np.zeros(len(runs), dtype=np.int64),
        )
        notes = _split_notes(lists, records)
        if n := len(files) - len(taken):
            notes.append(f"{n:,} are left out as problematic shapes, as HyperDiffusion does")
        if foreign:
            notes.append(f"left out, as these are no networks: {first_few(foreign)}")
        note = "each shape is a run of its own"
        source = source_of_units(path, units, reading, records, note, format_name="hyperdiffusion")
        info = replace(source.info, recipe=f"HyperDiffusion folder of {len(taken):,} networks")
        return replace(source, info=info, notes=tuple(notes))


def _model_in(entry: Path) -> Path | None:
    """The network in a folder of one, if there is one."""
    models = (entry / "checkpoints" / name for name in MODELS)
    return next((model for model in models if model.is_file()), None)


def _entries(path: Path) -> tuple[dict[str, Path], list[str]]:
    """Files and folders that are networks, by name, and the names of files that are not."""
    if not path.is_dir():
        raise InputError(
            f"{path}: expected a folder of HyperDiffusion's networks, got a file; give the folder",
            "wrong-type",
        )
    known = {f"{part}_split.lst" for part in LISTS}
    networks: dict[str, Path] = {}
    empty, foreign = [], []
    for entry in (p for p in listed(path) if not p.name.startswith(".")):
        if entry.is_dir() and _model_in(entry) is None:
            empty.append(entry.name)
        elif entry.is_dir() or entry.suffix == ".pth":
            other = networks.setdefault(_name(entry), entry)
            if other is not entry:
                raise InputError(
                    f"{path}: expected one network of a name, {other.name} and {entry.name} have "
                    "one; remove one of them",
                    "other-rows",
                )
        elif entry.name not in known and not entry.match(PROBLEMATIC):
            foreign.append(entry.name)
    if empty:
        raise InputError(
            f"{path}: expected checkpoints/{MODELS[0]} or {MODELS[1]} in every folder, "
            f"{len(empty)} have none, first {empty[0]}; copy them again or remove them",
            "not-found",
        )
    return networks, foreign


def _name(entry: Path) -> str:
    return entry.name.removesuffix(".pth")


def _fields(entry: Path) -> tuple[str, str]:
    """What may be the identifier in an entry's name: its field [1], and fields [1]_[2]."""
    name = _name(entry)
    fields = name.split("_")
    return (fields[1], "_".join(fields[1:3])) if len(fields) > 1 else (name, name)


def _shape(entry: Path, known: Collection[str]) -> str:
    """The identifier of an entry's shape; that of moving shapes has two fields."""
    short, long = _fields(entry)
    return long if short not in known and long in known else short


def _shapes(files: Mapping[str, Path], known: Collection[str]) -> dict[str, str]:
    """The shape of each entry; its whole name, where several would have a word as identifier."""
    shapes = {name: _shape(file, known) for name, file in files.items()}
    n_entries = Counter(shapes.values())

    def is_identifier(shape: str) -> bool:
        return shape in known or SHAPE.fullmatch(shape.partition("_")[0]) is not None

    return {
        name: shape if n_entries[shape] == 1 or is_identifier(shape) else name
        for name, shape in shapes.items()
    }


def _places(path: Path, pattern: str) -> list[Path]:
    """Files of a name in the folder, else in the one above it."""
    for folder in (path, path.absolute().parent):
        if files := sorted(p for p in folder.glob(pattern) if p.is_file()):
            return files
    return []


def _lists(path: Path) -> tuple[dict[str, str], set[str], list[str]]:
    """Our split of each shape on a list, the problematic shapes, and the split lists there are."""
    split: dict[str, str] = {}
    lists = []
    for part, ours in LISTS.items():
        for file in _places(path, f"{part}_split.lst"):
            lists.append(file.name)
            names = _names(file)
            twice = [name for name in names if split.get(name, ours) != ours]
            if twice:
                raise InputError(
                    f"{file}: expected shapes of one split, {twice[0]} is on the train list, too; "
                    "get the lists again",
                    "wrong-records",
                )
            split |= dict.fromkeys(names, ours)
    return split, {name for file in _places(path, PROBLEMATIC) for name in _names(file)}, lists


def _names(file: Path) -> list[str]:
    """The first word of each line, without an ending."""
    try:
        with file.open(encoding="utf-8") as lines:
            names = [words[0].split(".")[0] for line in lines if (words := line.split())]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file}: expected a list of shapes, a name a line, could not read it ({error}); get "
            "the list again",
            "damaged",
        ) from error
    if not names:
        raise InputError(
            f"{file}: expected a list of shapes, a name a line, it is empty; get the list again "
            "or remove it",
            "damaged",
        )
    return names


def _split_notes(lists: list[str], records: Records) -> list[str]:
    """What the lists said of splits."""
    if not lists:
        return [
            "splits are unknown: there is no train_split.lst, val_split.lst or test_split.lst in "
            "the folder or the one above it"
        ]
    counts = Counter(map(str, records.split))
    notes = [
        f"splits by {', '.join(lists)}: {counts['train']:,} train, {counts['heldout']:,} held out "
        "(validation and test)"
    ]
    if n := counts["unknown"]:
        first = records.run[np.flatnonzero(records.split == "unknown")[0]]
        notes.append(f"{n:,} are on no list and have split unknown, first {first}")
    return notes

"""Wrong folders: links, names, indices, tables, population folders and the published formats."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import torch
from safetensors.torch import save_file
from wrong_inputs import MATRIX, Make, Reading, Wrong, npy, state

from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, Records
from novelweights.weights.writer import save_population

SHAPE = "2a04e3eab45ca15dd86060f189eb133"


def sound(root: Path, *names: str) -> Path:
    """A folder of sound checkpoints."""
    folder = root / "c"
    folder.mkdir()
    for i, name in enumerate(names):
        save_file(state(i), folder / name)
    return folder


def changed(change: Callable[[Path], Any], named: str = "", **reading: Any) -> Make:
    """A folder of two checkpoints, a and b, with one change."""

    def make(root: Path) -> Wrong:
        folder = sound(root, "a.safetensors", "b.safetensors")
        change(folder)
        return Wrong(folder, Reading(**reading), named)

    return make


def alone(change: Callable[[Path], Any], named: str = "") -> Make:
    """A folder with nothing else."""

    def make(root: Path) -> Wrong:
        (root / "c").mkdir()
        change(root / "c")
        return Wrong(root / "c", named=named)

    return make


def path(name: str, change: Callable[[Path], Any] = lambda _: None, named: str = "") -> Make:
    """A path that is no folder."""

    def make(root: Path) -> Wrong:
        change(root / name)
        return Wrong(root / name, named=named)

    return make


def table(text: str | bytes) -> Make:
    content = text if isinstance(text, bytes) else text.encode()
    return changed(lambda folder: (folder / "records.csv").write_bytes(content), "records.csv")


def index(content: Any, *, name: str = "model.safetensors.index.json") -> Make:
    """Two sound shards, of w and of b, with an index."""

    def make(root: Path) -> Wrong:
        folder = root / "c"
        folder.mkdir()
        for key, value in state().items():
            save_file({key: value}, folder / f"{key}.safetensors")
        save_file(state(), folder / "both.safetensors")
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / name).write_bytes(text)
        return Wrong(folder, named="index.json" if b"both" not in text else "c")

    return make


def shards(**of: Any) -> dict[str, Any]:
    return {"weight_map": of}


def population(change: Callable[[Path], Any], named: str = "population.json") -> Make:
    def make(root: Path) -> Wrong:
        layout = WeightLayout((("w", (3, 4)),))
        records = Records.of([f"r{i}" for i in range(5)], split="train")
        shared = {"rest": torch.ones(2)}
        written = Population(torch.ones(5, 12), layout, records, shared=shared)
        save_population(written, root / "c")
        change(root / "c")
        return Wrong(root / "c", named=named)

    return make


def says(**changes: Any) -> Callable[[Path], None]:
    """Changes what `population.json` says."""

    def change(folder: Path) -> None:
        file = folder / "population.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def overwritten(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content)


def shard(file: str = "weights-00001-of-00001.safetensors", **changes: Any) -> list[dict]:
    return [{"file": file, "rows": 5, "sha256": "0" * 64} | changes]


def zoo(change: Callable[[Path], Any], named: str = "runs.json") -> Make:
    """A zoo of G.pt's with one run of two checkpoints."""

    def make(root: Path) -> Wrong:
        folder = root / "c" / "0"
        folder.mkdir(parents=True)
        keys = ["0/ep000_it00000.pt", "0/ep001_it00009.pt"]
        environment = lmdb.open(str(folder), map_size=1 << 20)
        with environment.begin(write=True) as transaction:
            for key in keys:
                transaction.put(key.encode(), np.ones(6000, "<f4").tobytes())
        environment.close()
        text = json.dumps({"checkpoints": {key: {"avg_test_loss": 1.0} for key in keys}})
        (folder / "runs.json").write_text(text)
        change(folder)
        return Wrong(root / "c", named=named)

    return make


def cut(folder: Path) -> None:
    content = (folder / "data.mdb").read_bytes()
    (folder / "data.mdb").write_bytes(content[: len(content) // 2])


def deep(folder: Path) -> None:
    for _ in range(40):
        folder = folder / "below"
    folder.mkdir(parents=True)
    save_file(state(), folder / "a.safetensors")


def nan(folder: Path, value: float) -> None:
    save_file(state() | {"b": torch.full((3,), value)}, folder / "b.safetensors")


def saved(name: str, content: Any = None) -> Callable[[Path], None]:
    return lambda folder: torch.save(state() if content is None else content, folder / name)


DATASET = {"trainset": 3, "SimCLRDataset": 1}
PATHS: dict[str, Make] = {
    "nothing of that name": path("nowhere"),
    "a file of text": path("notes.txt", lambda file: file.write_text("x")),
    "a pipe": path("pipe", os.mkfifo),
    "a pipe that is named like a checkpoint": path("pipe.pt", os.mkfifo),
    "a device": path("device.pt", lambda file: file.symlink_to("/dev/zero")),
    "a link to itself": path("circle", lambda file: file.symlink_to(file)),
    "a dead link": path("dead.pt", lambda file: file.symlink_to(file / "x")),
    "a path below a file": path("a.txt/c", lambda file: file.parent.write_text("x")),
    "a name that is too long": path("n" * 300),
    "a name with a zero": path("a\0b", named="b"),
    "a name of two lines": path("two\nlines", named="lines"),
    "an empty folder": alone(lambda _: None),
    "a folder of texts": alone(lambda folder: (folder / "notes.txt").write_text("x")),
    "a folder that is named like a checkpoint": alone(lambda f: (f / "a.pt").mkdir()),
    "folders too deep": alone(deep),
    "a link to nowhere among checkpoints": changed(
        lambda folder: (folder / "x.pt").symlink_to(folder / "nowhere"), "x.pt"
    ),
    "a link to itself among checkpoints": changed(
        lambda folder: (folder / "x.pt").symlink_to(folder / "x.pt"), "x.pt"
    ),
    "a pipe among checkpoints": changed(lambda folder: os.mkfifo(folder / "x.pt"), "x.pt"),
    "a device among checkpoints": changed(
        lambda folder: (folder / "x.pt").symlink_to("/dev/zero"), "x.pt"
    ),
    "a file under two names": changed(
        lambda folder: os.link(folder / "a.safetensors", folder / "x.safetensors"), "x.safetensors"
    ),
    "a checkpoint and a link to it": changed(
        lambda folder: (folder / "x.safetensors").symlink_to("a.safetensors"), "x.safetensors"
    ),
    "a name that is no UTF-8": changed(
        lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/a\xff.pt")).write_bytes(b"x"), "c"
    ),
    "a checkpoint with a name of two lines": changed(
        lambda folder: (folder / "a.safetensors").rename(folder / "two\nlines.safetensors"), "c"
    ),
    "a checkpoint whose name moves the cursor": changed(
        lambda folder: (folder / "a.safetensors").rename(folder / "\x1b[2J.safetensors"), "c"
    ),
    "steps in some names alone": changed(
        lambda folder: (folder / "a.safetensors").rename(folder / "run_step3.safetensors"), "b"
    ),
    "no parameter that is chosen": changed(lambda _: None, include=("none*",)),
    "another rest of the network": changed(lambda _: None, "b", include=("w",)),
    "a rest of the network that is missing": changed(
        lambda _: None, "nowhere.pt", shared=Path("nowhere.pt")
    ),
    "a pattern that names do not fit": changed(lambda _: None, "'x{run}'", pattern="x{run}"),
    "a pattern without fields": changed(lambda _: None, "'run'", pattern="run"),
    "a pattern and a table": changed(
        lambda _: None, "--pattern", pattern="{run}", records=Path("x.csv")
    ),
    "weights in memory beyond the limit": changed(lambda _: None, max_bytes=150),
}
"""What is wrong with a path or the files in a folder."""
FILES_BESIDE: dict[str, Make] = {
    "an index that leads elsewhere": index(shards(w="../w.safetensors")),
    "an index that leads to an absolute path": index(shards(w="/etc/passwd")),
    "an index of a missing shard": index(shards(w="gone.safetensors")),
    "an index that is no JSON": index(b"{weight_map"),
    "an index nested deeply": index(b"[" * 100_000),
    "an index with a long number": index(b'{"weight_map": ' + b"9" * 5000 + b"}"),
    "an index that is a list": index([1]),
    "an index of nothing": index(shards()),
    "an index of lists": index(shards(w=["w.safetensors"])),
    "an index of numbers": index(shards(w=3)),
    "a parameter in two shards": index(shards(w="w.safetensors", b="both.safetensors")),
    "a table without files": table("run,step\na,1\n"),
    "a table that is empty": table(""),
    "a table without a checkpoint": table("file,run\na,1\n"),
    "a table with a checkpoint twice": table("file,run\na,1\na,2\nb,1\n"),
    "a table of steps that are none": table("file,run,step\na,1,x\nb,1,2\n"),
    "a table of negative steps": table("file,run,step\na,1,-4\nb,1,2\n"),
    "a table of huge steps": table(f"file,run,step\na,1,{'9' * 40}\nb,1,2\n"),
    "a table that is no UTF-8": table(b"file,run\n\xff\xfe,1\n"),
    "a table with a cell too many": table("file,run\na,1,2\nb,2\n"),
    "a table with an open quote": table('file,run\n"a,1\nb,2\n'),
    "a table of runs without a name": table("file,run\na,\nb,2\n"),
}
"""Indices of shards, and tables of runs."""
FOLDERS: dict[str, Make] = {
    "a population without its shard": population(
        lambda folder: (folder / "weights-00001-of-00001.safetensors").unlink(), "weights-00001"
    ),
    "a population that was edited": population(
        overwritten("records.csv", b"row,run,step,split\n"), "records.csv"
    ),
    "a population cut short": population(
        overwritten("weights-00001-of-00001.safetensors", b"\x38"), "weights-00001"
    ),
    "a population of another version": population(says(schema_version=99), "c"),
    "a population that leads elsewhere": population(
        says(shards=shard("../../etc/passwd")), "passwd"
    ),
    "a population of another checksum": population(says(shards=shard()), "weights-00001"),
    "a population of negative rows": population(says(shards=shard(rows=-1)), "c"),
    "a population of 10^15 rows": population(says(shards=shard(rows=10**15)), "weights-00001"),
    "a population without shards": population(says(shards=[]), "c"),
    "a population whose shards are a text": population(says(shards="abc"), "c"),
    "a population without checksums": population(says(sha256=3), "c"),
    "a population whose symmetry is none": population(says(symmetry=[[1]]), "c"),
    "a population described by a list": population(overwritten("population.json", b"[1]"), "c"),
    "a population described by no JSON": population(overwritten("population.json", b"{")),
    "a population described deeply": population(overwritten("population.json", b"[" * 100_000)),
    "a population with a damaged rest": population(
        overwritten("shared.safetensors", b"x"), "shared.safetensors"
    ),
    "an unfinished build": alone(lambda folder: (folder / "progress.json").write_text("{}")),
    "a layout of negative lengths": lambda root: layout(root, "w,-3x-4\n"),
    "a layout of no numbers": lambda root: layout(root, "w,threexfour\n"),
    "a layout of one name twice": lambda root: layout(root, "w,6\nw,6\n"),
    "a layout of huge numbers": lambda root: layout(root, f"w,{'9' * 5000}\n"),
    "a layout without a heading": lambda root: layout(root, "w,3x4\n", heading=""),
    "a layout that is a pipe": lambda root: layout(root, None),
    "an environment cut short": zoo(cut, "data.mdb"),
    "an environment that is none": zoo(overwritten("data.mdb", b"x" * 9000), "data.mdb"),
    "runs that are no JSON": zoo(overwritten("runs.json", b"{")),
    "runs nested deeply": zoo(overwritten("runs.json", b"[" * 100_000)),
    "runs without checkpoints": zoo(overwritten("runs.json", b'{"checkpoints": {}}')),
    "runs with other keys": zoo(overwritten("runs.json", b'{"checkpoints": {"a\\n": {}}}')),
    "a zoo without its runs": zoo(lambda folder: (folder / "runs.json").rename(folder / "x"), "c"),
    "a dataset of another content": alone(saved("dataset.pt", DATASET), "dataset.pt"),
    "an accuracy that cannot be": alone(saved("0001_acc101.0000_seed0001_x.pth"), "acc101"),
    "a pipe among P-diff's": alone(
        lambda folder: (
            saved("0002_acc0.5000_seed0001_x.pth")(folder),
            os.mkfifo(folder / "0001_acc0.5000_seed0001_x.pth"),
        ),
        "0001_acc",
    ),
    "a pipe among HyperDiffusion's": alone(
        lambda folder: (
            saved(f"occ_{SHAPE}.pth")(folder),
            os.mkfifo(folder / f"occ_{SHAPE}_x.pth"),
            (folder / "train_split.lst").write_text(f"{SHAPE}.obj\n"),
        ),
        "_x.pth",
    ),
    "a split list of other bytes": alone(
        lambda folder: (
            saved(f"occ_{SHAPE}.pth")(folder),
            (folder / "train_split.lst").write_bytes(b"\xff\xfe"),
        ),
        "train_split.lst",
    ),
    "NaN": lambda root: imported(root, float("nan")),
    "infinite weights": lambda root: imported(root, float("inf")),
    "a parameter of half precision that overflowed": lambda root: imported(root, -float("inf")),
}
"""Folders in formats of their own, and weights that only an import refuses."""


def layout(root: Path, rows: str | None, heading: str = "parameter,shape\n") -> Wrong:
    """A sound matrix with a layout; None makes a pipe of it."""
    (root / "m.npy").write_bytes(npy(MATRIX))
    if rows is None:
        os.mkfifo(root / "layout.csv")
    else:
        (root / "layout.csv").write_text(heading + rows)
    return Wrong(root / "m.npy", named="layout.csv")


def imported(root: Path, value: float) -> Wrong:
    folder = sound(root, "a.safetensors", "b.safetensors")
    nan(folder, value)
    return Wrong(folder, named="b", is_read=True)

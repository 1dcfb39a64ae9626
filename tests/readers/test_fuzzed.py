import json
import random
import signal
import zlib
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import pytest
import torch
from fuzzed import damaged, files_below
from safetensors.torch import save_file
from test_g_pt_zoo import write as write_g_pt
from test_hyper_representations_dataset import dataset, save
from test_hyperdiffusion_folder import listed
from test_hyperdiffusion_folder import write as write_hyperdiffusion
from test_p_diff_folder import trained
from test_p_diff_folder import write as write_p_diff
from test_units import write_shards
from written import NETWORK, a_state

from novelweights.errors import InputError
from novelweights.readers import read_checkpoints
from novelweights.readers.source import Reading
from novelweights.weights.population import Population, Records
from novelweights.weights.writer import save_population

SECONDS = 20
LIMIT = 64 << 20
"""Bytes that inputs may announce."""
Write = Callable[[Path], Any]
LAYOUT = "parameter,shape\nhidden.weight,3x4\nhidden.bias,3\nout.weight,2x3\nout.bias,2\n"


def safetensors(folder: Path) -> None:
    for i in range(2):
        save_file(a_state(i), folder / f"run{i}.safetensors")


def torch_files(folder: Path, *, zipped: bool = True) -> None:
    for i in range(2):
        content = {"model": a_state(i), "epoch": i, "note": ["text", None]}
        file = folder / f"run{i}.pt"
        torch.save(content, file, _use_new_zipfile_serialization=zipped)


def matrix(folder: Path, suffix: str) -> None:
    rows = np.random.default_rng(0).normal(size=(5, 23)).astype(np.float32)
    if suffix == ".npy":
        np.save(folder / "m.npy", rows)
    else:
        np.savez_compressed(folder / "m.npz", weights=rows)
    (folder / "layout.csv").write_text(LAYOUT)


def population(folder: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    records = Records.of(
        [f"run{i}" for i in range(6)], split="train", step=3, scores={"loss": [0.5] * 6}
    )
    weights = torch.randn(6, 23, generator=rng)
    shared = {"rest": torch.ones(4)}
    layout = NETWORK.layout
    written = Population(weights, layout, records, shared=shared)
    folder.rmdir()
    save_population(written, folder)


def tables(folder: Path) -> None:
    safetensors(folder)
    text = "file,run,step,split,loss\nrun0,a,1,train,0.5\nrun1.safetensors,b,2,heldout,1e-3\n"
    (folder / "records.csv").write_text(text)


def g_pt(folder: Path) -> None:
    write_g_pt(folder, "0", "1_2", size=30, sizes=(20, 10))
    for file in folder.rglob("lock.mdb"):
        file.unlink()
    for file in folder.rglob("data.mdb"):  # what lies behind is never looked at
        file.write_bytes(file.read_bytes().rstrip(b"\0").ljust(4096 * 8, b"\0"))


def hyperdiffusion(folder: Path) -> None:
    folder.rmdir()
    write_hyperdiffusion(folder)
    listed(folder, train=[0, 1, 2], val=[3], test=[4])
    (folder / "plane_problematic_shapes.txt").write_text("x\n")


def p_diff(folder: Path) -> None:
    write_p_diff(folder, trained(1), trained(2), trained(1, seed=41))


def saved(folder: Path, name: str, content: Callable[[dict], Any]) -> None:
    """Files without the usual endings, and what else lies in them."""
    for i in range(2):
        torch.save(content(a_state(i)), folder / name.format(i))


def settings(folder: Path) -> None:
    objects = Namespace(lr=0.1, out=PosixPath("/x"))
    saved(folder, "run{}.th", lambda s: {"state_dict": s, "args": objects, "best": torch.ones(())})


def averages(folder: Path) -> None:
    saved(folder, "run{}", lambda s: {"model": s, "ema": s | {}, "optimizer": [{"x": (1, s)}]})


def many(folder: Path, *, listed: bool) -> None:
    states = [{"state_dict": a_state(i), "acc": 0.5} for i in range(3)]
    made = {f"epoch_{i}": state for i, state in enumerate(states)}
    torch.save({"nets": states if listed else made, "n": 3}, folder / "models.pt")


def arrays(folder: Path, *, flat: bool) -> None:
    for i in range(2):
        state = {name: value.numpy() for name, value in a_state(i).items()}
        if flat:
            vector = np.concatenate([value.ravel() for value in state.values()])
            np.save(folder / f"run{i}.npy", vector)
        else:
            np.savez(folder / f"run{i}.npz", **state)
    (folder / "layout.csv").write_text(LAYOUT)


def trials(folder: Path) -> None:
    for run in range(2):
        trial = folder / f"trial_{run:05d}_seed={run}"
        for step in (0, 25):
            (trial / f"checkpoint_{step:06d}").mkdir(parents=True)
            torch.save(a_state(run + step), trial / f"checkpoint_{step:06d}" / "checkpoints")
        lines = [json.dumps({"training_iteration": n, "test_acc": 0.5}) for n in (0, 25)]
        (trial / "result.json").write_text("\n".join(lines))


def last_and_best(folder: Path) -> None:
    for name, i in (("epoch_1", 0), ("epoch_2-v1", 1), ("last", 1), ("best", 0)):
        torch.save(a_state(i), folder / f"{name}.pt")


def parts(folder: Path) -> None:
    rows = torch.ones(3, 4)
    named = {"pdata": rows, "train_layer": ["out.bias", "extra"], "performance": [90.0, 91, 92]}
    torch.save(named | {"model": a_state() | {"extra": torch.ones(2)}}, folder / "data.pt")


FORMATS: dict[str, tuple[Write, str, int]] = {
    "safetensors": (safetensors, "", 1500),
    "torch zip": (torch_files, "", 1500),
    "torch stream": (lambda folder: torch_files(folder, zipped=False), "", 1500),
    "npy": (lambda folder: matrix(folder, ".npy"), "m.npy", 1200),
    "npz": (lambda folder: matrix(folder, ".npz"), "m.npz", 1200),
    "shards": (write_shards, "", 1000),
    "population": (population, "", 1200),
    "tables": (tables, "", 1000),
    "g-pt": (g_pt, "", 1500),
    "dataset.pt": (lambda folder: save(dataset(), folder / "dataset.pt"), "", 600),
    "hyperdiffusion": (hyperdiffusion, "", 600),
    "p-diff": (p_diff, "", 400),
    "settings": (settings, "", 800),
    "averages": (averages, "", 800),
    "list": (lambda folder: many(folder, listed=True), "", 800),
    "dict": (lambda folder: many(folder, listed=False), "", 800),
    "npz of networks": (lambda folder: arrays(folder, flat=False), "", 800),
    "flat vectors": (lambda folder: arrays(folder, flat=True), "", 800),
    "trials": (trials, "", 800),
    "last and best": (last_and_best, "", 600),
    "parts": (parts, "", 800),
}
"""How the files of a format are written, what is read of the folder, and how many slow cases."""
QUICK = 20


def read(path: Path, **options: Any) -> str:
    """How an attempt ended: "read", or the message of the error that a user can repair."""
    try:
        made = read_checkpoints(path, reading=Reading(max_bytes=LIMIT, **options))
    except InputError as error:
        return str(error)
    assert made.weights.shape == (len(made.records), made.layout.size)
    assert made.weights.dtype == torch.float32
    return "read"


def fuzz(root: Path, kind: str, n: int) -> int:
    """Damages a file of a sound folder, reads it and repairs it, n times; how many were read."""
    write, below, _ = FORMATS[kind]
    folder = root / "c"
    folder.mkdir()
    write(folder)
    files = files_below(folder)
    assert read(folder / below) == "read"
    chance = random.Random(zlib.crc32(kind.encode()))
    n_read = 0
    for _ in range(n):
        path, other = chance.choice(list(files)), chance.choice(list(files))
        path.write_bytes(damaged(files[path], files[other], chance))
        signal.alarm(SECONDS)
        said = read(folder / below)
        signal.alarm(0)
        assert said.isprintable()
        assert said == "read" or str(folder) in said, said
        n_read += said == "read"
        path.write_bytes(files[path])
    assert read(folder / below) == "read"
    assert files_below(folder) == files
    return n_read


@pytest.fixture(autouse=True)
def _alarm() -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"over {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_few_damages_are_refused_or_read_over(tmp_path: Path, kind: str) -> None:
    assert fuzz(tmp_path, kind, QUICK) < QUICK


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_no_damage_raises_anything_else(tmp_path: Path, kind: str) -> None:
    n = FORMATS[kind][2]
    assert fuzz(tmp_path, kind, n) < n


NAMES = ["run0", "seed3_step0400", "a-checkpoint-7", "x.last", "epoch=1-step=20", "1", "{}"]
ENDS = ["", "_9", "_é", " final", "9" * 30, "\\"]
PARTS = ["{run}", "{step}", "{split}", "{loss}", "{}", "*", "{1}", "{run", "}", "(", "\\", "[", "_"]


@pytest.mark.parametrize("n", [20, pytest.param(300, marks=pytest.mark.slow)])
def test_patterns_and_names_of_any_kind_are_refused_or_read(tmp_path: Path, n: int) -> None:
    chance = random.Random(1)
    for i in range(n):
        folder = tmp_path / str(i)
        folder.mkdir()
        for name in chance.sample(NAMES, 3):
            save_file(a_state(0), folder / f"{name}{chance.choice(ENDS)}.safetensors")
        pattern = "".join(chance.choices(PARTS, k=chance.randint(1, 5)))
        signal.alarm(SECONDS)
        assert read(folder, pattern=pattern if chance.random() < 0.7 else None).isprintable()
        signal.alarm(0)

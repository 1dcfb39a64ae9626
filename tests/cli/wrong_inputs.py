"""A table of wrong inputs: what somebody could give where checkpoints are expected.

Each entry writes its files into an empty folder and returns how they are to be read. Entries of
other kinds are in `wrong_pickles.py` and `wrong_folders.py`.
"""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save, save_file

from novelweights.readers.source import Reading

PLAIN = Reading()


@dataclass(frozen=True)
class Wrong:
    """How an input is to be read."""

    path: Path
    reading: Reading = PLAIN
    named: str = ""
    """What the message must name; else the last part of the path."""
    is_read: bool = False
    """Whether it can be read, and only an import refuses it."""


Make = Callable[[Path], Wrong]
CANARY = "canary"
"""A file that hostile inputs try to make beside the folder of checkpoints."""


def state(i: int = 0) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(i)
    return {"w": torch.randn(3, 4, generator=rng), "b": torch.randn(3, generator=rng)}


def beside_others(name: str, write: Callable[[Path], Any]) -> Make:
    """A folder of two sound checkpoints and one that is written so."""

    def make(root: Path) -> Wrong:
        folder = root / "c"
        folder.mkdir()
        for i in (1, 2):
            save_file(state(i), folder / f"good{i}.safetensors")
        write(folder / name)
        return Wrong(folder, named=name)

    return make


def of_bytes(name: str, content: bytes) -> Make:
    return beside_others(name, lambda path: path.write_bytes(content))


def of_torch(content: Callable[[], Any], **options: Any) -> Make:
    def write(path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about kinds of tensors that are new
            torch.save(content(), path, **options)

    return beside_others("wrong.pt", write)


def torch_bytes(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tensors(header: Any, data: bytes = b"") -> bytes:
    """A safetensors file of any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def array(header: str, data: bytes = b"") -> bytes:
    """A .npy file of any header."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def described(shape: str, descr: str = "'<f4'", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def matrix(name: str, content: bytes, layout: str | None = "w,3x4\n") -> Make:
    """A file of a matrix with a layout of twelve columns beside it."""

    def make(root: Path) -> Wrong:
        (root / name).write_bytes(content)
        if layout is not None:
            (root / "layout.csv").write_text("parameter,shape\n" + layout)
        return Wrong(root / name)

    return make


def old_tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    return file.getvalue()


def bomb(size: int = 1 << 28) -> bytes:
    """An array of zeros that takes a thousandth of its size."""
    header = array(described(f"({size // 48}, 12)"))
    return zipped({"w.npy": header + bytes(size // 48 * 48)}, zipfile.ZIP_DEFLATED)


SOUND = torch_bytes(state())
COMPRESSED = zipped(unzipped(SOUND) | {"archive/data/0": bytes(1 << 26)}, zipfile.ZIP_DEFLATED)
MATRIX = np.ones((5, 12), np.float32)
TOO_LARGE = Reading(max_bytes=1 << 20)


def read_with(make: Make, reading: Reading) -> Make:
    return lambda root: Wrong(**(vars(make(root)) | {"reading": reading}))


FILES: dict[str, Make] = {
    "an empty .pt": of_bytes("bad.pt", b""),
    "an empty .safetensors": of_bytes("bad.safetensors", b""),
    "a .pt cut short": of_bytes("bad.pt", SOUND[:700]),
    "a .pt of one byte": of_bytes("bad.pt", b"P"),
    "a .safetensors cut short": of_bytes("bad.safetensors", save(state())[:-5]),
    "a .safetensors cut in its header": of_bytes("bad.safetensors", save(state())[:40]),
    "an older .pt cut short": of_bytes(
        "bad.pt", torch_bytes(state(), _use_new_zipfile_serialization=False)[:-9]
    ),
    "HDF5": of_bytes("bad.pt", b"\x89HDF\r\n\x1a\n" + bytes(99)),
    "GGUF": of_bytes("bad.bin", b"GGUF\x03\x00\x00\x00" + bytes(99)),
    "gzip": of_bytes("bad.pt", gzip.compress(SOUND)),
    "bzip2": of_bytes("bad.pt", bz2.compress(SOUND)),
    "xz": of_bytes("bad.pth", lzma.compress(SOUND)),
    "a web page": of_bytes("bad.safetensors", b"<!DOCTYPE html><html>Not found</html>"),
    "a Git LFS pointer": of_bytes(
        "bad.bin", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    ),
    "ONNX": of_bytes("bad.pt", b"\x08\x08\x12\x07pytorch\x1a\x032.0" + bytes(99)),
    "a text": of_bytes("bad.ckpt", b"these are no weights\n" * 9),
    "noise": of_bytes("bad.pth", bytes(range(255, 0, -1)) * 40),
    "the tar format of before 2017": of_bytes("bad.pt", old_tar()),
    "a zip archive of texts": of_bytes("bad.pt", zipped({"readme.txt": b"hello"})),
    "a .pt that is compressed": of_bytes("bad.pt", COMPRESSED),
    "a zip archive with names that lead elsewhere": of_bytes(
        "bad.pt", zipped({f"../../{CANARY}": b"x", "/etc/canary": b"x"})
    ),
    "TorchScript": of_bytes(
        "bad.pt", zipped(unzipped(SOUND) | {"archive/code/__torch__.py": b"boom()"})
    ),
    "a header of 2^60 bytes": of_bytes("bad.safetensors", (1 << 60).to_bytes(8, "little") + b"{}"),
    "offsets that overlap": of_bytes(
        "bad.safetensors", tensors({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12))
    ),
    "offsets beyond the file": of_bytes(
        "bad.safetensors", tensors({"a": entry([2], 0, 1 << 40)}, bytes(8))
    ),
    "an unknown dtype": of_bytes(
        "bad.safetensors", tensors({"a": entry([2], 0, 8, "F99")}, bytes(8))
    ),
    "a negative shape": of_bytes("bad.safetensors", tensors({"a": entry([-2], 0, 8)}, bytes(8))),
    "a shape whose size overflows": of_bytes(
        "bad.safetensors", tensors({"a": entry([1 << 40, 1 << 40], 0, 8)}, bytes(8))
    ),
    "a safetensors header that is no JSON": of_bytes("bad.safetensors", tensors(b"{'a': 1}")),
    "a safetensors header that is a list": of_bytes("bad.safetensors", tensors([1, 2])),
    "a safetensors header nested deeply": of_bytes(
        "bad.safetensors", tensors(b'{"a":' + b"[" * 100_000)
    ),
    "another shape": of_torch(lambda: state() | {"w": torch.ones(4, 4)}),
    "a parameter less": of_torch(lambda: {"w": torch.ones(3, 4)}),
    "a parameter more": of_torch(lambda: state() | {"extra": torch.ones(2)}),
    "integers alone": of_torch(lambda: {"w": torch.ones(3, 4, dtype=torch.int32)}),
    "complex weights": of_torch(lambda: state() | {"w": torch.ones(3, 4, dtype=torch.complex64)}),
    "a quantized tensor": of_torch(
        lambda: state() | {"w": torch.quantize_per_tensor(torch.ones(3, 4), 0.1, 0, torch.qint8)}
    ),
    "a sparse tensor": of_torch(lambda: state() | {"w": torch.eye(3, 4).to_sparse()}),
    "a tensor without values": of_torch(lambda: {"w": torch.ones(3, 4, device="meta")}),
    "a nested tensor": of_torch(lambda: {"w": torch.nested.nested_tensor([torch.ones(2)])}),
    "a storage": of_torch(lambda: {"w": torch.ones(2).untyped_storage()}),
    "a whole network": of_torch(lambda: torch.nn.Linear(4, 3)),
    "a list of numbers": of_torch(lambda: [1, 2, 3]),
    "a dict of texts": of_torch(lambda: {"w": "text"}),
    "an empty dict": of_torch(dict),
    "running statistics alone": of_torch(lambda: {"bn.running_mean": torch.ones(3)}),
    "two networks, one as usual as the other": of_torch(lambda: {"G": state(), "G_ema": state(1)}),
    "many networks beside single ones": of_torch(lambda: [state(), state(1)]),
    "weights of eight bits": of_torch(
        lambda: state() | {"w": torch.arange(12, dtype=torch.int8).reshape(3, 4)}
    ),
    "an average beside networks": of_torch(lambda: {"ema": state()}),
    "a tensor of 10^12 numbers, one in the file": of_torch(
        lambda: {"w": torch.ones(1).expand(10**6, 10**6)}
    ),
    "a .npy of objects": matrix("bad.npy", npy(np.array([{}, None], object))),
    "a .npy of texts": matrix("bad.npy", npy(np.array([["a", "b"]]))),
    "a .npy of records": matrix("bad.npy", npy(np.zeros(3, "f4,f4"))),
    "a .npy of integers": matrix("bad.npy", npy(np.ones((5, 12), int))),
    "a .npy of complex numbers": matrix("bad.npy", npy(np.ones((5, 12), np.complex64))),
    "a .npy of three axes": matrix("bad.npy", npy(np.ones((2, 2, 12)))),
    "a .npy of no rows": matrix("bad.npy", npy(np.ones((0, 12)))),
    "a .npy of one axis": matrix("bad.npy", npy(np.ones(12, np.float32))),
    "a .npy cut short": matrix("bad.npy", npy(MATRIX)[:-4]),
    "a .npy of 10^12 rows": matrix("bad.npy", array(described("(1000000000000, 12)"))),
    "a .npy of negative shape": matrix("bad.npy", array(described("(-5, 12)"), bytes(240))),
    "a .npy whose header is an expression": matrix(
        "bad.npy", array("__import__('pathlib').Path('canary').touch()\n")
    ),
    "a .npy whose header is nested deeply": matrix("bad.npy", array("(" * 9000)),
    "a .npy whose header is longer than any": matrix("bad.npy", array(" " * 60_000)),
    "a .npy of no layout": matrix("bad.npy", npy(MATRIX), None),
    "a .npy of another layout": matrix("bad.npy", npy(MATRIX), "w,3x5\n"),
    "a .npz that is large once unpacked": read_with(matrix("bad.npz", bomb()), TOO_LARGE),
    "a .npz of objects": matrix("bad.npz", zipped({"w.npy": npy(np.array([{}], object))})),
    "a .npz of texts under names that lead elsewhere": matrix(
        "bad.npz", zipped({"a.npy": npy(MATRIX), f"../../{CANARY}.npy": npy(np.array(["text"]))})
    ),
    "a .npz that announces more than it holds": matrix(
        "bad.npz", zipped({"w.npy": array(described("(1000000000, 12)"))})
    ),
    "a .npz cut short": matrix("bad.npz", zipped({"w.npy": npy(MATRIX)})[:-30]),
}
"""Files of one kind or another."""

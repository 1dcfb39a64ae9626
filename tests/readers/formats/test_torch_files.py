import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from refused import refused
from torch import Tensor, nn

from novelweights.errors import InputError
from novelweights.readers.formats.torch_files import TorchFiles
from novelweights.readers.pickle.values import Stub

MEGABYTE = 1 << 20
read = TorchFiles().read


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def lightning_checkpoint() -> dict[str, Any]:
    """What a trainer saves: a state dict, the optimizer's state, numbers and texts."""
    net = network()
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.randn(4, 1, 4, 4)).sum().backward()
    optimizer.step()
    return {
        "epoch": 3,
        "global_step": 100,
        "pytorch-lightning_version": "2.0",
        "state_dict": net.state_dict(),
        "loops": {"fit": {"best": float("inf"), "names": ("a", None)}},
        "callbacks": {"best": torch.tensor(0.5)},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [],
    }


def views() -> dict[str, Tensor]:
    whole = torch.arange(24.0).reshape(4, 6)
    return {
        "whole": whole,
        "transposed": whole.T,
        "strided": whole[1::2, ::3],
        "row": whole[2],
        "expanded": torch.arange(3.0).expand(4, 3),
        "channels last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    }


DTYPES = "float16 float32 float64 bfloat16 int8 int16 int32 int64 uint8 bool complex64 complex128"
SAVED: dict[str, Callable[[], Any]] = {
    "state dict": lambda: network().state_dict(),
    "parameters": lambda: dict(network().named_parameters()),
    "parameter with attributes": lambda: with_attribute(nn.Parameter(torch.randn(3))),
    "tensor with attributes": lambda: with_attribute(torch.randn(3)),
    "checkpoint": lightning_checkpoint,
    "views": views,
    "list": lambda: [torch.ones(2), (torch.zeros(1), {"a": torch.tensor(True)})],
    "tensor alone": lambda: torch.randn(3, 2),
    "zero axes": lambda: {"a": torch.tensor(1.5), "b": torch.tensor(7)},
    "empty": lambda: {"a": torch.empty(0), "b": torch.empty(3, 0, 2), "c": torch.ones(1)},
    "dtypes": lambda: {
        name: (torch.randn(5) * 3).to(getattr(torch, name)) for name in DTYPES.split()
    },
    "plain values": lambda: {"a": 1, "b": [None, True, "text", 2.5], "size": torch.Size([1, 2])},
    "many names": lambda: {f"layer.{i}": torch.full((2,), float(i)) for i in range(300)},
    "gradients": lambda: {"a": torch.ones(2, requires_grad=True)},
}


def with_attribute(tensor: Tensor) -> dict[str, Tensor]:
    tensor.note = "a text"  # pyright: ignore[reportAttributeAccessIssue]
    return {"a": tensor}


def same(found: Any, expected: Any) -> bool:
    """Equal in every value, and every tensor in its type and shape."""
    if isinstance(expected, Tensor):
        return (
            found.dtype == expected.dtype
            and found.shape == expected.shape
            and not found.requires_grad
            and torch.equal(found, expected.detach())
        )
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[k], expected[k]) for k in expected)
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    return type(found) is type(expected) and found == expected


@pytest.mark.parametrize("zipped", [True, False])
def test_everything_is_what_torch_reads(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "a.pt"
    for kind, make in SAVED.items():
        torch.save(make(), path, _use_new_zipfile_serialization=zipped)
        assert same(read(path), torch.load(path, weights_only=True)), kind
    value = lightning_checkpoint()
    for protocol in (2, 3, 4, 5):
        torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
        assert same(read(path), value)


def test_types_without_a_storage_of_their_own_are_read(tmp_path: Path) -> None:
    value = {n: torch.arange(4).to(getattr(torch, n)) for n in ("uint16", "uint32", "uint64")}
    torch.save(value, tmp_path / "a.pt")
    found = read(tmp_path / "a.pt")
    assert all(
        found[n].dtype == t.dtype and found[n].tolist() == [0, 1, 2, 3] for n, t in value.items()
    )


def test_shared_numbers_stay_shared_and_strides_are_kept(tmp_path: Path) -> None:
    torch.save(views(), tmp_path / "a.pt")
    found = read(tmp_path / "a.pt")
    found["row"][0] = -7
    assert found["whole"][2, 0] == found["transposed"][0, 2] == -7
    assert found["expanded"].stride() == (0, 1)
    assert found["channels last"].is_contiguous(memory_format=torch.channels_last)


def test_device_that_tensors_were_on_does_not_matter(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "a.pt").read_bytes()
    moved = content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    assert moved != content
    (tmp_path / "a.pt").write_bytes(moved)
    assert read(tmp_path / "a.pt")["a"].device.type == "cpu"


def test_pickle_of_plain_values_and_arrays_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"w": np.arange(3.0), "n": 1}))
    found = read(tmp_path / "a.pkl")
    np.testing.assert_array_equal(found["w"], np.arange(3.0))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"n": 1}) + b"more")
    with refused("damaged"):
        read(tmp_path / "a.pkl")


def state(seed: int, **more: Tensor) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {"w": torch.randn(3, 4, generator=rng), "b": torch.randn(3, generator=rng), **more}


def test_files_of_one_population_share_a_plan_and_no_container(tmp_path: Path) -> None:
    files = TorchFiles(MEGABYTE)
    sizes = [None, None, torch.ones(2), None]
    read = []
    for i, extra in enumerate(sizes):
        value = {"model": state(i, **({} if extra is None else {"x": extra})), "log": [i // 9]}
        torch.save(value, tmp_path / f"{i}.pt")
        read.append(files.read(tmp_path / f"{i}.pt"))
        assert same(read[-1], value)
        read[-1]["model"]["new"] = 1
        read[-1]["log"].append(5)
        read[-1]["model"]["w"].zero_()


def rewritten(path: Path, change: Callable[[dict[str, bytes]], Any], **how: Any) -> Path:
    """The archive with other entries."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w", **how) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def saved(folder: Path, value: Any = None, *, zipped: bool = True) -> Path:
    path = folder / "a.pt"
    torch.save(state(0) if value is None else value, path, _use_new_zipfile_serialization=zipped)
    return path


def test_archive_written_by_something_else_is_read(tmp_path: Path) -> None:
    path = rewritten(saved(tmp_path), lambda _: None)  # its storages begin anywhere
    assert same(read(path), state(0))
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"a comment"
    assert same(read(path), state(0))


def test_other_order_of_bytes_is_turned(tmp_path: Path) -> None:
    value = {name: (torch.randn(5) * 3).to(getattr(torch, name)) for name in DTYPES.split()}
    other = "big" if sys.byteorder == "little" else "little"

    def turn(entries: dict[str, bytes]) -> None:
        entries["a/byteorder"] = other.encode()
        for i, tensor in enumerate(value.values()):
            half = 2 if tensor.is_complex() else 1
            word = np.frombuffer(entries[f"a/data/{i}"], f"u{tensor.itemsize // half}")
            entries[f"a/data/{i}"] = word.byteswap().tobytes()

    path = rewritten(saved(tmp_path, value), turn)
    for _ in range(2):
        assert same(read(path), value)
    with refused("damaged"):
        read(rewritten(path, lambda e: e.update({"a/byteorder": b"mixed"})))


def without(name: str) -> Callable[[dict[str, bytes]], Any]:
    return lambda entries: entries.pop(name)


ARCHIVES: dict[str, tuple[Callable[[dict[str, bytes]], Any], str, str]] = {
    "no pickle": (without("a/data.pkl"), "not-recognized", "0 data.pkl"),
    "two pickles": (lambda e: e.update({"b/data.pkl": b"N."}), "not-recognized", "2 data.pkl"),
    "no storage": (without("a/data/1"), "damaged", "data/1"),
    "short storage": (lambda e: e.update({"a/data/1": b"1234"}), "damaged", "12"),
    "constants": (lambda e: e.update({"a/constants.pkl": b"N."}), "unsafe", "TorchScript"),
    "code": (lambda e: e.update({"a/code/x.py": b""}), "unsafe", "TorchScript"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archive_of_another_kind_is_refused(tmp_path: Path, kind: str) -> None:
    change, code, named = ARCHIVES[kind]
    with refused(code, named):
        read(rewritten(saved(tmp_path), change))


def test_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = rewritten(saved(tmp_path), lambda _: None, compression=zipfile.ZIP_DEFLATED)
    with refused("unsuited", "a/data.pkl"):
        read(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_a_name_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/data.pkl", b"N.")
    with refused("unsafe"):
        read(path)


def directory(content: bytes) -> int:
    """Where the directory of an archive begins."""
    return content.index(b"PK\x01\x02")


@pytest.mark.parametrize(
    ("place", "value", "code"),
    [
        (8, 1, "unsuited"),
        (20, 5, "damaged"),
        (42, 64, "damaged"),
        (42, 1 << 31, "damaged"),
        (0, 0, "damaged"),
    ],
    ids=["encrypted", "two sizes", "elsewhere", "outside", "no signature"],
)
def test_directory_that_says_something_else_is_refused(
    tmp_path: Path, place: int, value: int, code: str
) -> None:
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    struct.pack_into("<H" if place == 8 else "<L", content, directory(content) + place, value)
    path.write_bytes(content)
    with refused(code):
        read(path)


def test_entries_that_overlap_or_reach_beyond_the_file_are_refused(tmp_path: Path) -> None:
    content = saved(tmp_path, {"a": torch.ones(9)}).read_bytes()
    at = content.index(b"a/data/0", directory(content)) - 46
    for size in (1 << 30, 3000):
        changed = bytearray(content)
        struct.pack_into("<2L", changed, at + 20, size, size)
        (tmp_path / "a.pt").write_bytes(changed)
        with refused("damaged"):
            read(tmp_path / "a.pt")


def test_file_or_tensors_larger_than_allowed_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {"a": torch.ones(1).expand(1000, 1000)})
    assert read(path)["a"].stride() == (0, 0)
    with refused("too-large", "1,048,576"):
        TorchFiles(MEGABYTE).read(path)
    with refused("too-large", "1,000"):
        TorchFiles(1000).read(path)
    shared = {"a": torch.ones(1000)}
    path = saved(tmp_path, {i: shared["a"] for i in range(400)})
    with refused("too-large", "1,600,000"):
        TorchFiles(MEGABYTE).read(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "named"),
    [
        (
            lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            [".dequantize()", "layer.weight"],
        ),
        (lambda: torch.eye(2).to_sparse(), [".to_dense()", "layer.weight"]),
        (lambda: torch.eye(2).to_sparse_csr(), [".to_dense()", "layer.weight"]),
        (
            lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(1)]),
            [".unbind()", "layer.weight"],
        ),
        (lambda: torch.ones(2, device="meta"), ["meta", "layer.weight"]),
        (
            lambda: torch.ones(2, dtype=torch.complex64).conj(),
            [".resolve_conj()", "layer.weight"],
        ),
        (lambda: torch.ones(2).untyped_storage(), []),
    ],
)
def test_tensors_of_special_kinds_are_refused_by_name(
    tmp_path: Path, make: Callable[[], Any], named: list[str]
) -> None:
    path = saved(tmp_path, {"ok": torch.ones(1), "layer.weight": make()})
    with refused("wrong-type", *named):
        read(path)


def test_whole_network_is_refused_or_becomes_stubs(tmp_path: Path) -> None:
    for zipped in (True, False):
        path = saved(tmp_path, nn.Linear(2, 3), zipped=zipped)
        with refused("unsafe", "torch.nn", "torch.save"):
            read(path)
        found = TorchFiles(stubs=True).read(path)
        assert isinstance(found, Stub)
        assert str(found.name) == "torch.nn.modules.linear.Linear"
        assert found.state["_parameters"]["weight"].shape == (3, 2)


class _Touches:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.canary,))


@pytest.mark.parametrize("zipped", [True, False])
def test_hostile_files_are_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    canary = tmp_path / "canary"
    for value in (
        _Touches(canary),
        {"w": torch.ones(1), "x": _Touches(canary)},
        OrderedDict(w=[(_Touches(canary),)]),
    ):
        with refused("unsafe", "model.state_dict"):
            read(saved(tmp_path, value, zipped=zipped))
    assert not canary.exists()


STORAGE = (
    b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage%sX\x01\x00\x00\x000"
)
TENSOR = STORAGE % b"ctorch\nFloatStorage\n" + b"X\x03\x00\x00\x00cpuK\x0ctQ%s\x89Ntq\x00R."
HOSTILE = {
    "memory without content": b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\x5e\xd0\xb2\x00\x85R.",
    "storage of another class": (STORAGE % b"cos\nsystem\n") + b"X\x03\x00\x00\x00cpuK\x0ctQ0N.",
    "storage of text": STORAGE % b"N" + b"X\x03\x00\x00\x00cpuK\x0ctQ0N.",
    "another identifier": b"\x80\x02X\x01\x00\x00\x00aQ.",
    "huge storage": TENSOR.replace(b"K\x0ctQ", b"\x8a\x07\x00\x00\x00\x00\x00\x00\x10tQ")
    % b"K\x00K\x01\x85K\x01\x85",
    "negative storage": TENSOR.replace(b"K\x0ctQ", b"J\xff\xff\xff\xfftQ") % b"K\x00)) ",
    "offset beyond": TENSOR % b"K\x0cK\x01\x85K\x01\x85",
    "negative offset": TENSOR % b"J\xff\xff\xff\xffK\x01\x85K\x01\x85",
    "shape beyond": TENSOR % b"K\x00K\x0d\x85K\x01\x85",
    "negative shape": TENSOR % b"K\x00J\xff\xff\xff\xff\x85K\x01\x85",
    "stride beyond": TENSOR % b"K\x00K\x02\x85K\x0c\x85",
    "negative stride": TENSOR % b"K\x0bK\x02\x85J\xff\xff\xff\xff\x85",
    "strides missing": TENSOR % b"K\x00K\x02\x85)",
    "truth as a shape": TENSOR % b"K\x00\x88\x85K\x01\x85",
    "large and empty": TENSOR
    % (b"K\x00" + b"(K\x00" + b"J\xff\xff\xff\x7f" * 9 + b"t(" + b"K\x01" * 10 + b"t"),
    "step of one beyond all": TENSOR
    % b"K\x00K\x01\x85\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00\x85",
    "many axes": TENSOR % (b"K\x00" + (b"(" + b"K\x01" * 99 + b"t") * 2),
    "expanded": TENSOR % b"K\x00(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft(K\x00K\x00t",
    "storage by itself": b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x0ctQ.",
    "reference to itself": b"\x80\x02ctorch._utils\n_rebuild_parameter\n]q\x00h\x00a(h\x00\x89NtR.",
    "listed function in itself": b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\nq\x00"
    b"(h\x00ctorch\nTensor\n)NtR.",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_pickles_that_describe_no_tensor_are_refused(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path)
    rewritten(path, lambda entries: entries.update({"a/data.pkl": HOSTILE[kind]}))
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.code in ("damaged", "unsafe", "wrong-type", "too-large")


def test_truth_values_that_are_none_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {"a": torch.tensor([True, False])})
    with refused("damaged"):
        read(rewritten(path, lambda entries: entries.update({"a/data/0": b"\x01\x02"})))


def test_deep_values_and_values_in_themselves_are_made_again(tmp_path: Path) -> None:
    deep, cyclic = b"\x80\x02]" + b"\x85" * 10_000 + b".", b"\x80\x02]q\x00h\x00\x85a."
    path = rewritten(saved(tmp_path), lambda entries: entries.update({"a/data.pkl": deep}))
    assert isinstance(read(path), tuple)
    path = rewritten(saved(tmp_path), lambda entries: entries.update({"a/data.pkl": cyclic}))
    found = read(path)
    assert found[0][0] is found

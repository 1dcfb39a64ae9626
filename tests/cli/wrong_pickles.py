"""Hostile pickles: each would make a file, or take memory, if anything in it were run."""

import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from wrong_inputs import CANARY, SOUND, Make, Wrong, beside_others, unzipped, zipped


class Calls:
    """Calls something with arguments when it is unpickled."""

    def __init__(self, function: Callable, *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple:
        return self.reduced


def short(text: str) -> bytes:
    """The instruction that pushes a text."""
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


def of_pickle(content: Callable[[Path], bytes]) -> Make:
    """A checkpoint whose pickle is this one; it is told where the canary would be."""

    def make(root: Path) -> Wrong:
        inside = unzipped(SOUND) | {"archive/data.pkl": content(root / CANARY)}
        return beside_others("bad.pt", lambda path: path.write_bytes(zipped(inside)))(root)

    return make


def bare(content: Callable[[Path], bytes]) -> Make:
    """The same as a file of pickle.dump."""

    def make(root: Path) -> Wrong:
        return beside_others("bad.pth", lambda path: path.write_bytes(content(root / CANARY)))(root)

    return make


def dumped(value: Callable[[Path], Any], protocol: int = 2) -> Callable[[Path], bytes]:
    return lambda canary: pickle.dumps(value(canary), protocol)


def touch(canary: Path) -> str:
    return f"touch {canary}"


def within(canary: Path) -> bytes:
    """A tensor whose bytes are a file that is loaded by another unpickler."""
    inner = io.BytesIO()
    torch.save(Calls(os.system, touch(canary)), inner)
    return pickle.dumps(Calls(torch.storage._load_from_bytes, inner.getvalue()), 2)


HOSTILE: dict[str, Callable[[Path], bytes]] = {
    "os.system": dumped(lambda canary: {"w": Calls(os.system, touch(canary))}),
    "eval": dumped(lambda canary: {"w": Calls(eval, f"open({str(canary)!r}, 'w')")}),
    "exec in a list": dumped(lambda canary: [[Calls(exec, f"open({str(canary)!r}, 'w')")]]),
    "a method of a path": dumped(lambda canary: OrderedDict(w=Calls(Path.touch, canary))),
    "protocol 0": dumped(lambda canary: Calls(os.system, touch(canary)), 0),
    "protocol 5": dumped(lambda canary: Calls(os.system, touch(canary)), 5),
    "INST": lambda canary: b"(S'" + touch(canary).encode() + b"'\nios\nsystem\n.",
    "OBJ": lambda canary: b"\x80\x02(cos\nsystem\n" + short(touch(canary)) + b"o.",
    "NEWOBJ": lambda canary: b"\x80\x02cos\nsystem\n" + short(touch(canary)) + b"\x85\x81.",
    "NEWOBJ_EX": lambda canary: b"\x80\x04cos\nsystem\n" + short(touch(canary)) + b"\x85}\x92.",
    "a name from the stack": lambda canary: (
        b"\x80\x04" + short("os") + short("system") + b"\x93" + short(touch(canary)) + b"\x85R."
    ),
    "a name of an allowed module": lambda canary: (
        b"\x80\x02ctorch\nsave\n" + b"N" + short(str(canary)) + b"\x86R."
    ),
    "a dotted name below an allowed module": lambda canary: (
        b"\x80\x04"
        + short("torch")
        + short("serialization.os.system")
        + b"\x93"
        + short(touch(canary))
        + b"\x85R."
    ),
    "a state that is set": dumped(
        lambda canary: Calls(OrderedDict, state={"x": Calls(os.system, touch(canary))})
    ),
    "an unpickler within": within,
    "a storage that is a call": lambda canary: (
        b"\x80\x02("
        + short("storage")
        + b"cos\nsystem\n"
        + short(touch(canary))
        + b"R"
        + short("0")
        + short("cpu")
        + b"K\x01tQ."
    ),
    "memory without content": lambda _: (
        b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\0\x5e\xd0\xb2\0\x85R."
    ),
    "the same value doubled": lambda _: b"\x80\x02]q\0" + b"h\0h\0\x86q\0" * 60 + b".",
    "many marks": lambda _: b"\x80\x02" + b"(" * 2_000 + b".",
    "a long text that is not there": lambda _: b"\x80\x04\x8d" + (1 << 60).to_bytes(8, "little"),
}
"""Pickles by what is hostile in them."""
PICKLES: dict[str, Make] = {
    **{f"{name} in a .pt": of_pickle(content) for name, content in HOSTILE.items()},
    **{f"{name} in a pickle": bare(content) for name, content in HOSTILE.items()},
}

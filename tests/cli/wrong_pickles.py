"""Hostile pickles: each would make a file, or take memory, if anything in it were run."""

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from hostile_pickles import INERT, Reduced, hostile
from wrong_inputs import CANARY, SOUND, Make, Wrong, beside_others, unzipped, zipped


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


def within(canary: Path) -> bytes:
    """A tensor whose bytes are a file that is loaded by another unpickler."""
    inner = io.BytesIO()
    torch.save(Reduced(os.system, (f"touch {canary}",)), inner)
    return pickle.dumps(Reduced(torch.storage._load_from_bytes, (inner.getvalue(),)), 2)


HOSTILE: dict[str, Callable[[Path], bytes]] = {
    **{name: lambda canary, name=name: hostile(canary)[name] for name in hostile(Path())},
    **{name: lambda _, content=content: content for name, content in INERT.items()},
    "a name of an allowed module": lambda canary: (
        b"\x80\x02ctorch\nsave\n" + b"N" + short(str(canary)) + b"\x86R."
    ),
    "a dotted name below an allowed module": lambda canary: (
        b"\x80\x04"
        + short("torch")
        + short("serialization.os.system")
        + b"\x93"
        + short(f"touch {canary}")
        + b"\x85R."
    ),
    "an unpickler within": within,
    "a storage that is a call": lambda canary: (
        b"\x80\x02("
        + short("storage")
        + b"cos\nsystem\n"
        + short(f"touch {canary}")
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

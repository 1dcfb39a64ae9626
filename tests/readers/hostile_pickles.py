"""Hostile pickles: each would make a file, or import something, if anything in it were run."""

import os
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from true_formats import cifar_pickle, some_images, text

CIFAR = cifar_pickle(some_images(3, 32), np.arange(3))
"""As Python 2 wrote it: an array of bytes among plain values."""


class Own:
    def __init__(self) -> None:
        self.sizes, self.name = [1, 2], "own"


class Reduced:
    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple:
        return self.reduced


def hostile(canary: Path) -> dict[str, bytes]:
    """Pickles that touch the canary when they are unpickled."""
    touch = Reduced(Path.touch, (canary,))
    code = f"open({str(canary)!r}, 'w').close()"
    path = text(str(canary).encode())
    opens = b"cposix\nopen\n(" + path + b"K\x41tR"  # O_CREAT | O_WRONLY
    return {
        **{f"protocol {n}": pickle.dumps({"w": [1, {"v": touch}]}, n) for n in range(6)},
        "os.system": pickle.dumps(Reduced(os.system, (f"touch {canary}",))),
        "eval": pickle.dumps(Reduced(eval, (code,))),
        "exec": pickle.dumps(Reduced(exec, (code,))),
        "exec of Python 2": b"\x80\x02c__builtin__\nexec\n(" + text(code.encode()) + b"tR.",
        "subprocess": pickle.dumps(Reduced(subprocess.check_call, (["touch", str(canary)],))),
        "in a listed call": pickle.dumps(OrderedDict(a=touch)),
        "setstate": pickle.dumps(Reduced(Own, (), {"a": touch})),
        "INST": b"(" + path + b"K\x41iposix\nopen\n.",
        "OBJ": b"(cpathlib\nPath\n" + path + b"o0cos\nsystem\n(" + text(f"touch {canary}".encode())
        + b"tR.",
        "in a batch": CIFAR[:-2] + text(b"x") + opens + b"u.",
        "before a batch": CIFAR[:2] + opens + b"0" + CIFAR[2:],
    }  # fmt: skip


INERT = {
    "as a key": b"}cpathlib\nPath\n(tRK\x01s.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",
    "STACK_GLOBAL with a path": b"\x80\x04\x8c\x05numpy\x8c\x09os.system\x93\x8c\x01x\x85R.",
    "EXT": b"\x80\x02\x82\x01)R.",
    "NEWOBJ": b"\x80\x02cpathlib\nPath\n)\x81.",
    "NEWOBJ_EX": b"\x80\x04\x8c\x07pathlib\x8c\x04Path\x93)}\x92.",
    "result called": b"\x80\x02ccollections\nOrderedDict\n)R)R.",
    "text called": b"\x80\x02X\x02\x00\x00\x00os)R.",
    "mentioned only": b"cos\nsystem\n0N.",
    "type called": b"\x80\x02cnumpy\nndarray\nK\x01\x85\x81.",
    "class of a class": b"\x80\x02cbuiltins\ntype\n(U\x01x)}tR.",
    "listed function by another path": b"\x80\x02c_codecs\ndecode\n)R.",
    "another class of arrays": CIFAR.replace(b"ndarray\n", b"memmap\n"),
    "another function of arrays": CIFAR.replace(b"array\n_reconstruct", b"array\nfromfile"),
}
"""Pickles that name or call what is not listed, in every way there is."""

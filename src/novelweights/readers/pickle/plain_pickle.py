"""Pickles read as plain values: their instructions are interpreted, nothing they name is run.

Unpickling imports and calls whatever a file names. Here a name is only a name; what a call of it
would have made is computed by functions of ours, for the few names that files of weights need
(`plain_calls.py`), and everything else is refused or, on request, kept as an inert stub. Work and
memory follow the size of the pickle, however it is made, and no value is ever walked recursively.
"""

import pickletools
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from typing import Any

from novelweights.errors import InputError
from novelweights.readers.pickle.calls import CALLS
from novelweights.readers.pickle.machine import Machine
from novelweights.readers.pickle.plain_values import Refused, shown

MAX_BYTES = 4 << 30
BYTES_PER_INSTRUCTION = 256
"""What one instruction makes at most, so that their number bounds the memory of their values."""
WORK_PER_BYTE = 4
"""Values that calls may look at, per byte of the pickle: one that is kept can be used again."""
SMALLEST_WORK = 1 << 16
DAMAGE = (ValueError, IndexError, KeyError, TypeError, OverflowError, AttributeError, struct.error)
"""What reading a damaged pickle runs into: an empty stack, another kind of value, no such bytes."""


@dataclass(frozen=True, eq=False)
class Unpickled:
    """What a pickle says."""

    value: Any
    unknown: tuple[str, ...]
    """Names in it that are not listed, each once: what it would have imported. Only with stubs."""


def read_plain_pickle(
    content: bytes | BytesIO,
    source: str,
    *,
    persistent: Callable[[Any], Any] | None = None,
    names: Mapping[str, Any] = CALLS,
    stubs: bool = False,
    max_bytes: int = MAX_BYTES,
) -> Unpickled:
    """The value that a pickle describes, of any protocol; nothing of it is imported or called.

    Args:
        content: The pickle, or a stream that stands at it, and behind it afterwards.
        source: Begins every message.
        persistent: Makes the values that lie outside the pickle, from their identifiers; raises
            `Refused` or ValueError for those it does not know.
        names: What a name (module.name) stands for: a value, or a function of ours that a call
            of it runs; it checks what it is given and takes no longer than that is long.
        stubs: Whether unlisted names are accepted, as inert `Name`s and `Stub`s.
        max_bytes: About the most that the values may take.

    Returns:
        None, bool, int, float, complex, str, bytes (for bytearray too), list, tuple, dict, set,
        frozenset, arrays, what `persistent` and `names` give, and `Name` and `Stub`. Values that
        the pickle shares are the same objects; it may be nested in any depth and in itself.

    Raises:
        InputError: It is damaged, names something that is not listed, has keys that are no plain
            values, or makes more of itself than is allowed.
    """
    stream = BytesIO(content) if isinstance(content, bytes) else content
    start = stream.tell()
    size = stream.seek(0, SEEK_END) - start
    stream.seek(start)
    machine = Machine(persistent, names, stubs, SMALLEST_WORK + WORK_PER_BYTE * size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in text, which an error says better
            return Unpickled(_run(machine, stream, max_bytes), tuple(machine.unknown))
    except Refused as refusal:
        raise InputError(f"{source}: {refusal}") from refusal
    except DAMAGE as error:
        raise InputError(
            f"{source}: expected a pickle of plain values, it is damaged, truncated or none "
            f"({shown(error)}); get the file again"
        ) from error


def _run(machine: Machine, stream: BytesIO, max_bytes: int) -> Any:
    left = max_bytes // BYTES_PER_INSTRUCTION
    for instruction, argument, _ in pickletools.genops(stream):
        left -= 1
        if left < 0:
            raise Refused(
                f"expected a pickle of at most {max_bytes // BYTES_PER_INSTRUCTION:,} "
                "instructions, got more; save fewer values in one file, or allow more bytes"
            )
        if instruction.name == "STOP":
            return machine.stack.pop()
        INSTRUCTIONS[instruction.name](machine, argument)
    raise ValueError("it has no end")


_Instruction = Callable[[Machine, Any], None]
INSTRUCTIONS: dict[str, _Instruction] = {
    **dict.fromkeys(["PROTO", "FRAME"], Machine.skip),
    **dict.fromkeys(
        ["INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"], Machine.push
    ),
    **dict.fromkeys(["FLOAT", "BINFLOAT", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"], Machine.push),
    **dict.fromkeys(["UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"], Machine.push),
    **dict.fromkeys(["STRING", "BINSTRING", "SHORT_BINSTRING"], Machine.push_old_text),
    "BYTEARRAY8": lambda m, content: m.push(bytes(content)),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_SET": lambda m, _: m.push(set()),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE1": lambda m, _: m.push(tuple(m.last(1))),
    "TUPLE2": lambda m, _: m.push(tuple(m.last(2))),
    "TUPLE3": lambda m, _: m.push(tuple(m.last(3))),
    "TUPLE": lambda m, _: m.push(tuple(m.marked())),
    "LIST": lambda m, _: m.push(m.marked()),
    "FROZENSET": lambda m, _: m.push(frozenset(m.keys(m.marked()))),
    "MARK": Machine.mark,
    "POP": Machine.pop,
    "POP_MARK": lambda m, _: m.marked().clear(),
    "DUP": lambda m, _: m.push(m.stack[-1]),
    **dict.fromkeys(["PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"], Machine.keep),
    **dict.fromkeys(["GET", "BINGET", "LONG_BINGET"], lambda m, place: m.push(m.memo[place])),
    "GLOBAL": lambda m, named: m.name(*named.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.name(*m.last(2)),
    **dict.fromkeys(["EXT1", "EXT2", "EXT4"], lambda m, code: m.name("extension", str(code))),
    **dict.fromkeys(["REDUCE", "NEWOBJ"], lambda m, _: m.call(*m.last(2))),
    "NEWOBJ_EX": Machine.call_with_names,
    **dict.fromkeys(["INST", "OBJ"], Machine.call_marked),
    "BUILD": Machine.build,
    "APPEND": lambda m, _: m.append(m.last(1)),
    "APPENDS": lambda m, _: m.append(m.marked()),
    "ADDITEMS": lambda m, _: m.add(m.marked()),
    "SETITEM": lambda m, _: m.set(m.last(2)),
    "SETITEMS": lambda m, _: m.set(m.marked()),
    "DICT": lambda m, _: m.push(dict(m.pairs(m.marked()))),
    "PERSID": Machine.outside,
    "BINPERSID": lambda m, _: m.outside(*m.last(1)),
}
"""What the instructions do; those for buffers outside the pickle are missing."""

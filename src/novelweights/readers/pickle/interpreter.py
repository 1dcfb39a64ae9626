"""Pickles read as plain values: their instructions are interpreted, nothing they name is run.

Unpickling imports and calls whatever a file names. Here a name is only a name; what a call of it
would have made is computed by functions of ours, for the few names that files of weights need
(`values.CALLS`), and everything else is refused or, on request, kept as an inert stub. Work and
memory follow the size of the pickle, however it is made, and no value is ever walked recursively.
"""

import pickletools
import struct
import warnings
from collections.abc import Callable, Iterable, Mapping
from io import SEEK_END, BytesIO
from typing import Any

import numpy as np

from novelweights.errors import InputError
from novelweights.readers.pickle.values import (
    CALLS,
    MENTIONED,
    Name,
    Stub,
    as_key,
    is_odd_key,
    needs_code,
    set_array,
    shown,
)

BYTES_PER_INSTRUCTION = 256
"""What one instruction makes at most, so that their number bounds the memory of their values."""
WORK_PER_BYTE = 4
"""Values that calls may look at, per byte of the pickle: one that is kept can be used again."""
SMALLEST_WORK = 1 << 16
MAX_ODD_KEYS = 5_000
"""Keys, in all of a pickle, that could be chosen so that their hashes are equal."""
MAX_NAME_LENGTH = 1000
SIZED = (str, bytes, tuple, list, dict, set, frozenset)
DAMAGE = (ValueError, IndexError, KeyError, TypeError, OverflowError, AttributeError, struct.error)
"""What reading a damaged pickle runs into: an empty stack, another kind of value, no such bytes."""


def read_pickle(
    content: bytes | BytesIO,
    *,
    persistent: Callable[[Any], Any] | None = None,
    names: Mapping[str, Any] = CALLS,
    stubs: bool = False,
    max_bytes: int = 4 << 30,
) -> Any:
    """The value that a pickle describes, of any protocol; nothing of it is imported or called.

    Args:
        content: The pickle, or a stream that stands at it, and behind it afterwards.
        persistent: Makes the values that lie outside the pickle, from their identifiers; raises
            InputError or ValueError for those it does not know.
        names: What a name (module.name) stands for: a value, or a function of ours that a call
            of it runs; it checks what it is given and takes no longer than that is long.
        stubs: Whether unlisted names are accepted, as inert `Name`s and `Stub`s.
        max_bytes: About the most that the values may take.

    Returns:
        None, bool, int, float, complex, str, bytes (for bytearray too), list, tuple, dict, set,
        frozenset, arrays, what `persistent` and `names` give, and `Name` and `Stub`. Text of
        Python 2 is str where it is UTF-8, else bytes. Values that the pickle shares are the same
        objects; it may be nested in any depth and in itself.

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
            return _run(machine, stream, max_bytes)
    except DAMAGE as error:
        raise InputError(
            "expected a pickle of plain values, it is damaged, truncated or none "
            f"({shown(error)}); get the file again",
            "damaged",
        ) from error


def _run(machine: "Machine", stream: BytesIO, max_bytes: int) -> Any:
    left = max_bytes // BYTES_PER_INSTRUCTION
    for instruction, argument, _ in pickletools.genops(stream):
        left -= 1
        if left < 0:
            raise InputError(
                f"expected a pickle of at most {max_bytes // BYTES_PER_INSTRUCTION:,} "
                "instructions, got more; save fewer values in one file, or allow more bytes",
                "too-large",
            )
        if instruction.name == "STOP":
            return machine.stack.pop()
        INSTRUCTIONS[instruction.name](machine, argument)
    raise ValueError("it has no end")


class Machine:
    """The stack and the memo that the instructions of a pickle work on.

    Values come from the file, so every operation takes whatever it finds there: what does not fit
    raises one of `DAMAGE`. None costs more than its values are long.
    """

    def __init__(
        self,
        persistent: Callable[[Any], Any] | None,
        names: Mapping[str, Any],
        stubs: bool,
        work: int,
    ) -> None:
        self.persistent, self.names, self.stubs, self.work = persistent, names, stubs, work
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks under the marks
        self.memo: dict[Any, Any] = {}
        self.odd_keys = 0

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def push_old_text(self, argument: str) -> None:
        """Text or bytes of Python 2."""
        content = argument.encode("latin-1")
        try:
            self.push(content.decode())
        except UnicodeDecodeError:
            self.push(content)

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def marked(self) -> list[Any]:
        """The values above the last mark, which go, with the mark, off the stack."""
        values, self.stack = self.stack, self.below.pop()
        return values

    def pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.marked()

    def last(self, n: int) -> list[Any]:
        """The last n values, which go off the stack."""
        start = len(self.stack) - n
        if start < 0:
            raise IndexError("an instruction without its values")
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def keep(self, place: int | None) -> None:
        self.memo[len(self.memo) if place is None else place] = self.stack[-1]

    def name(self, module: Any, name: Any) -> None:
        """Pushes what a name stands for."""
        if type(module) is not str or type(name) is not str:
            raise TypeError("a name that is no text")
        if len(module) + len(name) > MAX_NAME_LENGTH:
            raise ValueError("a name that is too long")
        mentioned = Name(module, name)
        known = self.names.get(str(mentioned))
        if known is None and not self.stubs:
            raise needs_code(f"it names {shown(mentioned)}")
        is_value = known not in (None, MENTIONED) and not callable(known)
        self.push(known if is_value else mentioned)

    def call(self, called: Any, arguments: Any) -> None:
        """Pushes what a call makes, by a function of ours, or a stub of it."""
        if type(called) is not Name or type(arguments) is not tuple:
            raise needs_code("it calls something that has no name")
        self.charge(arguments)
        ours = self.names.get(str(called))
        if not callable(ours):
            if not self.stubs:
                raise needs_code(f"it calls {shown(called)}")
            self.push(Stub(called, arguments))
            return
        try:
            self.push(ours(*arguments))
        except InputError as error:
            near = self.stack[-1] if self.stack else None  # in a dict: the key of the value
            where = f" (at {shown(near)})" if type(near) is str else ""
            raise InputError(f"{error}{where}", error.code) from error

    def charge(self, values: tuple[Any, ...]) -> None:
        """Counts what a call looks at."""
        self.work -= len(values) + sum(len(v) for v in values if isinstance(v, SIZED))
        if self.work < 0:
            raise InputError(
                "expected values of about the size of the file, its pickle makes far more by using "
                "the same ones again and again: refused; save the values themselves",
                "too-large",
            )

    def call_with_names(self, _: Any) -> None:
        called, arguments, by_name = self.last(3)
        if type(by_name) is not dict or type(arguments) is not tuple:
            raise TypeError("a call without arguments")
        self.call(called, (*arguments, by_name) if by_name else arguments)

    def call_marked(self, named: str | None) -> None:
        """INST, whose argument is the name, or OBJ, where it is the first of the values."""
        values = self.marked()
        if named is not None:
            self.name(*named.split(" ", 1))
            values = [self.stack.pop(), *values]
        self.call(values[0], tuple(values[1:]))

    def build(self, _: Any) -> None:
        """Sets a state; that of a dict (the versions of a state dict's modules) is left out."""
        made, state = self.last(2)
        if type(made) is Stub:
            made.state = state
        elif type(made) is np.ndarray:
            self.charge(state)
            set_array(made, state)
        elif type(made) is not dict:
            raise TypeError("a state for a value that has none")
        self.push(made)

    def append(self, values: list[Any]) -> None:
        made = self.stack[-1]
        if type(made) not in (list, Stub):
            raise TypeError("items for a value that has none")
        (made.items if type(made) is Stub else made).extend(values)

    def add(self, values: list[Any]) -> None:
        made = self.stack[-1]
        if type(made) is not set:
            self.append(values)
        else:
            made.update(self.keys(values))

    def set(self, values: list[Any]) -> None:
        made = self.stack[-1]
        if type(made) is Stub:
            made.items.extend(zip(values[::2], values[1::2], strict=True))
        elif type(made) is dict:
            made.update(self.pairs(values))
        else:
            raise TypeError("entries for a value that has none")

    def pairs(self, values: list[Any]) -> Iterable[tuple[Any, Any]]:
        return zip(self.keys(values[::2]), values[1::2], strict=True)

    def keys(self, values: Iterable[Any]) -> Iterable[Any]:
        """The values, as long as they can be hashed without surprises."""
        for value in values:
            self.odd_keys += is_odd_key(value)
            if self.odd_keys > MAX_ODD_KEYS:
                raise InputError(
                    f"expected keys that are text, got over {MAX_ODD_KEYS:,} tuples or long "
                    "integers: refused; save a state dict alone",
                    "too-large",
                )
            yield as_key(value)

    def outside(self, identifier: Any) -> None:
        if self.persistent is None:
            raise InputError(
                "expected a pickle by itself, it refers to values outside it: refused; save the "
                "values themselves",
                "unsafe",
            )
        self.push(self.persistent(identifier))


_Instruction = Callable[[Machine, Any], None]
INSTRUCTIONS: dict[str, _Instruction] = {
    **dict.fromkeys(["PROTO", "FRAME"], lambda m, _: None),  # nothing depends on them
    **dict.fromkeys(["INT", "BININT", "BININT1", "BININT2"], Machine.push),
    **dict.fromkeys(["LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"], Machine.push),
    **dict.fromkeys(["SHORT_BINBYTES", "BINBYTES", "BINBYTES8"], Machine.push),
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

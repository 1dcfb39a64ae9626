"""Pickles that hold nothing but plain values and arrays of bytes, read without unpickling them.

The Python versions of CIFAR-10 and CIFAR-100 come so, from Python 2; files that Python 3 wrote
again (protocols 3 and 4) are read as well. Unpickling calls whatever a file names; here its
instructions are only read, by a table of those that such a file needs. Of names it may mention
three, numpy's `_reconstruct`, `ndarray` and `dtype`, and even they are not called: the array is
made from the bytes once everything about it is known to be right.
"""

import pickletools
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from novelweights.errors import InputError

NAMES = {
    "numpy.core.multiarray _reconstruct": "array",
    "numpy._core.multiarray _reconstruct": "array",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
}
"""What a file may mention, as module and name, and what it stands for here."""
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
INTEGERS = {"BININT", "BININT1", "BININT2", "LONG1"}
OLD_TEXT = {"SHORT_BINSTRING", "BINSTRING"}  # of Python 2, which is bytes
TEXT = {"BINUNICODE", "SHORT_BINUNICODE"}  # of Python 3, taken as bytes too
BYTES = {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8"}
UNIMPORTANT = {"PROTO", "FRAME"}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class _Name:
    stands_for: str


@dataclass
class _Made:
    """What calling a name would have made, as the arguments and the state that it would get."""

    of: str
    arguments: tuple
    state: tuple | None = None


_MARK = object()


class _Refused(Exception):
    """The reason why a file is not read."""


def read_array_pickle(content: bytes, source: str) -> dict[bytes, Any]:
    """The dict in a pickle, its arrays of bytes as numpy's; `source` names it in errors.

    Raises:
        InputError: It is damaged, or asks for anything else; nothing of it was called.
    """
    try:
        value = _value(content)
        if not isinstance(value, dict):
            raise _Refused("it does not hold a dict")
        return {k: _array(v) if isinstance(v, _Made) else v for k, v in value.items()}
    except (ValueError, IndexError, KeyError, TypeError) as error:
        # what reading a damaged one runs into: bytes that are no instruction, an empty stack
        raise InputError(
            f"{source}: expected a pickle, it is damaged or none ({error}); put it there again"
        ) from error
    except _Refused as error:
        raise InputError(
            f"{source}: expected a pickle of plain values and uint8 arrays, refused because "
            f"{error}; nothing of it was run. Use the binary version if there is one"
        ) from error


def _value(content: bytes) -> Any:
    """What the instructions of a pickle put together."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for instruction, argument, _ in pickletools.genops(content):
        name = instruction.name
        if name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in EMPTY:
            stack.append(EMPTY[name]())
        elif name in INTEGERS or name in BYTES:
            stack.append(argument)
        elif name in OLD_TEXT or name in TEXT:
            stack.append(str(argument).encode("utf-8" if name in TEXT else "latin-1"))
        elif name == "GLOBAL":
            stack.append(_named(str(argument)))
        elif name == "STACK_GLOBAL":
            stack[-2:] = [_named(b" ".join(stack[-2:]).decode())]
        elif name in TUPLES:
            stack[-TUPLES[name] :] = [tuple(stack[-TUPLES[name] :])]
        elif name == "TUPLE":
            stack.append(tuple(_since_mark(stack)))
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in ("APPEND", "APPENDS"):
            values = [stack.pop()] if name == "APPEND" else _since_mark(stack)
            _top(stack, list).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = [stack.pop(-2), stack.pop()] if name == "SETITEM" else _since_mark(stack)
            _top(stack, dict).update(_pairs(values))
        elif name == "REDUCE":
            arguments = stack.pop()
            called = stack.pop()
            if not isinstance(called, _Name) or not isinstance(arguments, tuple):
                raise _Refused("it calls something without a name")
            stack.append(_Made(called.stands_for, arguments))
        elif name == "BUILD":
            state = stack.pop()
            _top(stack, _Made).state = state
        elif name == "STOP":
            return stack.pop()
        elif name not in UNIMPORTANT:
            raise _Refused(f"it has the instruction {name}")
    raise ValueError("it has no end")


def _named(name: str) -> _Name:
    """What a module and a name in it stand for."""
    if name not in NAMES:
        raise _Refused(f"it names {name.replace(' ', '.')[:100]!r}")
    return _Name(NAMES[name])


def _array(made: _Made) -> UInt8[np.ndarray, "..."]:
    """The array that numpy would make of what `_reconstruct` and its state were given."""
    if made.of != "array" or not isinstance(made.state, tuple) or len(made.state) != 5:
        raise _Refused("it has a value that is no array")
    _, shape, dtype, fortran, content = made.state
    if not isinstance(dtype, _Made) or dtype.of != "dtype" or dtype.arguments[:1] != (b"u1",):
        raise _Refused("it has an array of another type")
    if not isinstance(fortran, bool) or not isinstance(content, bytes):
        raise _Refused("it has an array without bytes")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise _Refused("it has an array without a shape")
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


def _since_mark(stack: list[Any]) -> list[Any]:
    """The values above the last mark, which go, with the mark, off the stack."""
    values: list[Any] = []
    while (value := stack.pop()) is not _MARK:
        values.append(value)
    return values[::-1]


def _pairs(values: list[Any]) -> list[tuple[bytes, Any]]:
    keys = values[::2]
    if not all(isinstance(key, bytes) for key in keys):
        raise _Refused("it has a key that is not text")
    return list(zip(keys, values[1::2], strict=True))


def _top(stack: list[Any], kind: type) -> Any:
    if not isinstance(stack[-1], kind):
        raise _Refused(f"it changes a {type(stack[-1]).__name__.strip('_')}")
    return stack[-1]

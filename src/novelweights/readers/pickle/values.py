"""What a pickle consists of when none of it is run: names, what calls of them make, and keys.

A call makes a value by a function of ours, for the few names that plain values and arrays are made
by. Each such function checks whatever it is given, takes no longer than that is long and makes
nothing larger; none asks numpy for an object type. Hashing and comparing keys is the one thing that
values of somebody's could make slow (or, nested deep, crash), so keys are short and flat.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from novelweights.errors import InputError

ATOMS = frozenset({str, int, bytes, float, bool, type(None)})
MAX_KEY_LENGTH = 10_000
"""Characters or bytes: longer ones would be compared again and again."""
MAX_KEY_PARTS = 16
MAX_KEY_BITS = 256
MAX_ODD_KEYS = 200
"""Of one call: keys that could be chosen so that their hashes are equal."""
MAX_AXES = 32
DTYPES = frozenset(
    ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
)
ENCODINGS = ("latin1", "latin-1", "utf-8", "utf8", "ascii")
BUILTINS = ("builtins", "__builtin__")
"""In Python 3 and 2."""
NUMPY = ("numpy.core", "numpy._core")


@dataclass(frozen=True, slots=True)
class Name:
    """Something that a pickle names and that was not imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True, repr=False)
class Stub:
    """What calling a name would have made: what it was given, as plain values."""

    name: Name
    arguments: tuple[Any, ...]
    state: Any = None
    """What its `__setstate__` or its attributes would have got."""
    items: list[Any] = field(default_factory=list)
    """What was appended to it, and (key, value) of what was set in it."""

    def __repr__(self) -> str:
        return f"Stub({self.name})"


INERT = (Name, Stub)
"""Keys like any others: of short texts, and equal to nothing else."""


def needs_code(why: str) -> InputError:
    """The refusal of a pickle that only code could read."""
    return InputError(
        f"needs code to be read: {why}, and a pickle can run anything: refused, nothing of it was "
        "run. Save plain values alone, a state dict by torch.save(model.state_dict(), path)",
        "unsafe",
    )


def shown(value: object) -> str:
    """Text of somebody's that fits into one line of a message."""
    return "".join(c if c.isprintable() else "?" for c in str(value)[:120])


def is_odd_key(key: Any) -> bool:
    """Whether keys of this kind can be chosen so that all their hashes are equal."""
    return type(key) is tuple or (type(key) is int and key.bit_length() > 60)


def as_key(value: Any) -> Any:
    """The value itself, if it may be a key of a dict or an item of a set.

    Raises:
        TypeError: It may not.
    """
    parts = value if type(value) is tuple else (value,)
    if len(parts) > MAX_KEY_PARTS:
        raise TypeError("a key of too many parts")
    for part in parts:
        if type(part) in INERT:
            continue
        if type(part) not in ATOMS:
            raise TypeError(f"a key that is no plain value but a {type(part).__name__}")
        if type(part) in (str, bytes) and len(part) > MAX_KEY_LENGTH:
            raise TypeError("a key that is too long")
        if type(part) is int and part.bit_length() > MAX_KEY_BITS:
            raise TypeError("a key that is too large a number")
    return value


def small_integers(value: Any, *, axes: int = MAX_AXES) -> tuple[int, ...]:
    """A shape or strides: a few integers that are not negative.

    Raises:
        ValueError: It is none.
    """
    if type(value) not in (tuple, list) or len(value) > axes:
        raise ValueError("a shape that is none")
    if not all(type(n) is int and 0 <= n < 2**62 for n in value):
        raise ValueError("a shape or strides of something else than numbers from 0")
    return tuple(value)


def dtype_of(value: Any) -> np.dtype:
    """The numpy type that a pickle describes.

    Raises:
        InputError: It is not one of numbers.
    """
    code, order = None, "<"
    if type(value) is Stub and str(value.name) == "numpy.dtype":
        code = value.arguments[0]
        if type(value.state) is tuple:
            order = value.state[1]
    if type(code) is not str or code not in DTYPES or order not in ("<", ">", "|", "="):
        raise InputError(
            "expected arrays of numbers, got one of objects, text or a type of its own; save "
            "numbers alone",
            "wrong-type",
        )
    return np.dtype(f"{'<' if order == '|' else order}{code}")


def set_array(array: np.ndarray, state: Any) -> None:
    """Fills an array with what a pickle says of it, once that is known to be right.

    Raises:
        InputError: It is an array of something else than numbers.
        ValueError: Its bytes do not fill its shape.
    """
    shape, described, fortran, content = state[-4:]
    dtype, axes, raw = dtype_of(described), small_integers(shape), _raw(content)
    if type(fortran) is not bool or math.prod(axes) * dtype.itemsize != len(raw):
        raise ValueError("an array of another size than its bytes")
    fill: Callable[[tuple[Any, ...]], None] = array.__setstate__
    fill((1, axes, dtype, fortran, raw))


def _raw(content: Any) -> bytes:
    """The bytes of an array, which Python 2 wrote as text."""
    raw = content.encode() if type(content) is str else content
    if type(raw) is not bytes:
        raise ValueError("an array without bytes")
    return raw


def _array_of_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    array = np.empty(0, np.uint8)
    set_array(array, (shape, dtype, order == "F", content))
    return array


def _scalar(dtype: Any, content: Any) -> Any:
    return np.frombuffer(_raw(content), dtype_of(dtype)).reshape(()).item()


def _dict_of(*arguments: Any) -> dict[Any, Any]:
    """OrderedDict() or OrderedDict(pairs), Counter(dict), defaultdict(factory[, dict])."""
    content = arguments[-1] if arguments else ()
    if type(content) is dict:
        return dict(content)
    pairs = list(_listed(content))
    return dict(zip(_keys(key for key, _ in pairs), (value for _, value in pairs), strict=True))


def _default_dict(factory: Any = None, content: Any = ()) -> dict[Any, Any]:
    if type(factory) not in (Name, type(None)):
        raise TypeError("a factory without a name")
    return _dict_of(content)


def _set(value: Any = ()) -> set[Any]:
    return set(_keys(_listed(value)))


def _listed(value: Any) -> Iterable[Any]:
    if type(value) not in (list, tuple, set, frozenset):
        raise TypeError("items that are no list")
    return value


def _keys(values: Iterable[Any]) -> list[Any]:
    keys = [as_key(value) for value in values]
    if sum(map(is_odd_key, keys)) > MAX_ODD_KEYS:
        raise ValueError("many tuples or long integers as keys")
    return keys


def _encoded(text: Any = "", encoding: Any = "utf-8") -> bytes:
    """bytes() and bytearray(), of text or of bytes; never of a number, which is a length."""
    if type(text) is bytes:
        return text
    if type(text) is not str or encoding not in ENCODINGS:
        raise needs_code("it asks for memory without saying what is in it")
    return text.encode(encoding)


def _complex(real: Any, imaginary: Any) -> complex:
    if {type(real), type(imaginary)} - {int, float}:
        raise TypeError("a complex number of something else")
    return complex(real, imaginary)


def _reconstructed(kind: Any, _: Any, content: Any) -> Stub:
    """An instance, as the protocols 0 and 1 make one."""
    if type(kind) is not Name:
        raise TypeError("an instance of something without a name")
    return Stub(kind, () if content is None else (content,))


MENTIONED = object()
"""Stands for a name that may be mentioned, but not called."""
CALLS: Mapping[str, Any] = {
    "collections.OrderedDict": _dict_of,
    "collections.Counter": _dict_of,
    "collections.defaultdict": _default_dict,
    "_codecs.encode": _encoded,
    "numpy.dtype": lambda *arguments: Stub(Name("numpy", "dtype"), arguments),  # its order follows
    "numpy.ndarray": MENTIONED,
    **{f"{m}.{n}": MENTIONED for m in BUILTINS for n in ("list", "dict", "int", "object")},
    **{f"{m}.{n}": _encoded for m in BUILTINS for n in ("bytes", "bytearray")},
    **{f"{m}.set": _set for m in BUILTINS},
    **{f"{m}.frozenset": lambda value=(): frozenset(_set(value)) for m in BUILTINS},
    **{f"{m}.complex": _complex for m in BUILTINS},
    **{f"{m}._reconstructor": _reconstructed for m in ("copyreg", "copy_reg")},
    **{f"{m}.multiarray._reconstruct": lambda *_: np.empty(0, np.uint8) for m in NUMPY},
    **{f"{m}.multiarray.scalar": _scalar for m in NUMPY},
    **{f"{m}.numeric._frombuffer": _array_of_buffer for m in NUMPY},
}
"""What names stand for: a function of ours that a call runs, `MENTIONED`, or a value."""

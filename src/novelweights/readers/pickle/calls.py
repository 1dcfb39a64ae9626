"""What calls in a pickle would have made, of the few things that plain values are made by.

Each function gets what the call was given, whatever that is, and checks it; it takes no longer
than its arguments are long and makes nothing larger. None of it asks numpy for an object type.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from novelweights.readers.pickle.plain_values import (
    NEEDS_CODE,
    Name,
    Refused,
    Stub,
    as_key,
    is_odd_key,
)

DTYPES = frozenset(
    ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
)
MAX_AXES = 32
MAX_ODD_KEYS = 200
"""Of one call."""
ENCODINGS = ("latin1", "latin-1", "utf-8", "utf8", "ascii")


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


def _listed(value: Any = ()) -> Iterable[Any]:
    if type(value) not in (list, tuple, set, frozenset):
        raise TypeError("items that are no list")
    return value


def _keys(values: Iterable[Any]) -> list[Any]:
    keys = [as_key(value) for value in values]
    if sum(map(is_odd_key, keys)) > MAX_ODD_KEYS:
        raise ValueError("many tuples or long integers as keys")
    return keys


def _set(value: Any = ()) -> set[Any]:
    return set(_keys(_listed(value)))


def _encoded(text: Any = "", encoding: Any = "utf-8") -> bytes:
    """bytes() and bytearray(), of text or of bytes; never of a number, which is a length."""
    if type(text) is bytes:
        return text
    if type(text) is not str or encoding not in ENCODINGS:
        raise Refused(NEEDS_CODE.format("it asks for memory without saying what is in it"))
    return text.encode(encoding)


def _complex(real: Any, imaginary: Any) -> complex:
    if {type(real), type(imaginary)} - {int, float}:
        raise TypeError("a complex number of something else")
    return complex(real, imaginary)


def _dtype(*arguments: Any) -> Stub:
    """A stub, as its byte order comes later."""
    return Stub(Name("numpy", "dtype"), arguments)


def dtype_of(value: Any) -> np.dtype:
    """The numpy type that a pickle describes.

    Raises:
        Refused: It is not one of numbers.
    """
    code, order = None, "<"
    if type(value) is Stub and str(value.name) == "numpy.dtype":
        code = value.arguments[0]
        if type(value.state) is tuple:
            order = value.state[1]
    if type(code) is not str or code not in DTYPES or order not in ("<", ">", "|", "="):
        raise Refused(
            "expected arrays of numbers, got one of objects, text or a type of its own; save "
            "numbers alone"
        )
    return np.dtype(f"{'<' if order == '|' else order}{code}")


def _raw(content: Any) -> bytes:
    """The bytes of an array, which Python 2 wrote as text."""
    raw = content.encode() if type(content) is str else content
    if type(raw) is not bytes:
        raise ValueError("an array without bytes")
    return raw


def _scalar(dtype: Any, content: Any) -> Any:
    return np.frombuffer(_raw(content), dtype_of(dtype)).reshape(()).item()


def _empty_array(*_: Any) -> np.ndarray:
    """What a state will fill."""
    return np.empty(0, np.uint8)


def set_array(array: np.ndarray, state: Any) -> None:
    """Fills an array with what a pickle says of it, once that is known to be right.

    Raises:
        Refused: It is an array of something else than numbers.
        ValueError: Its bytes do not fill its shape.
    """
    shape, dtype, fortran, content = state[-4:]
    known = dtype_of(dtype)
    axes, raw = small_integers(shape), _raw(content)
    if type(fortran) is not bool or math.prod(axes) * known.itemsize != len(raw):
        raise ValueError("an array of another size than its bytes")
    fill: Callable[[tuple[Any, ...]], None] = array.__setstate__
    fill((1, axes, known, fortran, raw))


def _array_of_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    array = _empty_array()
    set_array(array, (shape, dtype, order == "F", content))
    return array


def _python_2(module: str) -> tuple[str, ...]:
    return {"builtins": ("builtins", "__builtin__"), "copyreg": ("copyreg", "copy_reg")}[module]


def _numpy(module: str) -> tuple[str, str]:
    return f"numpy.core.{module}", f"numpy._core.{module}"


def _reconstructed(kind: Any, _: Any, content: Any) -> Stub:
    """An instance, as the protocols 0 and 1 make one."""
    if type(kind) is not Name:
        raise TypeError("an instance of something without a name")
    return Stub(kind, () if content is None else (content,))


CALLS: dict[str, Callable[..., Any] | Name] = {
    "collections.OrderedDict": _dict_of,
    "collections.Counter": _dict_of,
    "collections.defaultdict": _default_dict,
    "_codecs.encode": _encoded,
    "numpy.dtype": _dtype,
    "numpy.ndarray": Name("numpy", "ndarray"),
    **{f"{m}.{n}": Name(m, n) for m in _python_2("builtins") for n in ("list", "dict", "int")},
    **{f"{m}.object": Name(m, "object") for m in _python_2("builtins")},
    **{f"{m}._reconstructor": _reconstructed for m in _python_2("copyreg")},
    **{f"{m}.set": _set for m in _python_2("builtins")},
    **{f"{m}.frozenset": lambda value=(): frozenset(_set(value)) for m in _python_2("builtins")},
    **{f"{m}.{n}": _encoded for m in _python_2("builtins") for n in ("bytes", "bytearray")},
    **{f"{m}.complex": _complex for m in _python_2("builtins")},
    **{f"{m}._reconstruct": _empty_array for m in _numpy("multiarray")},
    **{f"{m}.scalar": _scalar for m in _numpy("multiarray")},
    **{f"{m}._frombuffer": _array_of_buffer for m in _numpy("numeric")},
}
"""What the names stand for: a function of ours, or a name that may be mentioned but not called."""

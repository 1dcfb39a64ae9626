"""What a pickle consists of beside plain values when none of it is run: names, and what they made.

Also what may be a key: hashing and comparing keys is the one thing that values of somebody's could
make slow (or, nested deep, crash), so only short flat ones are taken.
"""

from dataclasses import dataclass, field
from typing import Any

ATOMS = frozenset({str, int, bytes, float, bool, type(None)})
MAX_KEY_LENGTH = 10_000
"""Characters or bytes: longer ones would be compared again and again."""
MAX_KEY_PARTS = 16
MAX_KEY_BITS = 256
NEEDS_CODE = (
    "needs code to be read: {}, and a pickle can run anything: refused. Save the state dict alone: "
    "torch.save(model.state_dict(), path)"
)


class Refused(Exception):
    """Why something is not read, in words that can follow a file's name."""


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
        if type(part) not in ATOMS:
            raise TypeError(f"a key that is no plain value but a {type(part).__name__}")
        if type(part) in (str, bytes) and len(part) > MAX_KEY_LENGTH:
            raise TypeError("a key that is too long")
        if type(part) is int and part.bit_length() > MAX_KEY_BITS:
            raise TypeError("a key that is too large a number")
    return value

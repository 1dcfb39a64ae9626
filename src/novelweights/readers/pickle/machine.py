"""The stack and the memo that a pickle's instructions work on, and what each does to them.

Values come from the file, so every operation takes whatever it finds there: what does not fit
raises one of `DAMAGE`, what is not read raises `Refused`. None costs more than its values are long.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from novelweights.readers.pickle.calls import set_array
from novelweights.readers.pickle.plain_values import (
    NEEDS_CODE,
    Name,
    Refused,
    Stub,
    as_key,
    is_odd_key,
    shown,
)

MAX_ODD_KEYS = 5_000
"""Keys, in all of a pickle, that could be chosen so that their hashes are equal."""
MAX_NAME_LENGTH = 1000
SIZED = (str, bytes, tuple, list, dict, set, frozenset)


class Machine:
    """The stack and the memo that the instructions of a pickle work on."""

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
        self.unknown: dict[str, None] = {}
        self.odd_keys = 0

    def skip(self, _: Any) -> None:
        """Of framing and versions nothing depends."""

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
        found = Name(module, name)
        known = self.names.get(str(found))
        if known is None:
            if not self.stubs:
                raise Refused(NEEDS_CODE.format(f"it names {shown(found)}"))
            self.unknown[str(found)] = None
        self.push(found if known is None or callable(known) else known)

    def call(self, called: Any, arguments: Any) -> None:
        """Pushes what a call makes, by a function of ours, or a stub of it."""
        if type(called) is not Name or type(arguments) is not tuple:
            raise Refused(NEEDS_CODE.format("it calls something that has no name"))
        self.charge(arguments)
        ours = self.names.get(str(called))
        if not callable(ours):
            if not self.stubs:
                raise Refused(NEEDS_CODE.format(f"it calls {shown(called)}"))
            self.push(Stub(called, arguments))
            return
        try:
            self.push(ours(*arguments))
        except Refused as refusal:
            near = self.stack[-1] if self.stack else None  # in a dict: the key of the value
            where = f" (at {shown(near)})" if type(near) is str else ""
            raise Refused(f"{refusal}{where}") from refusal

    def charge(self, values: tuple[Any, ...]) -> None:
        """Counts what a call looks at."""
        self.work -= len(values) + sum(len(v) for v in values if isinstance(v, SIZED))
        if self.work < 0:
            raise Refused(
                "expected values of about the size of the file, its pickle makes far more by using "
                "the same ones again and again: refused; save the values themselves"
            )

    def call_with_names(self, _: Any) -> None:
        called, arguments, by_name = self.last(3)
        if type(by_name) is not dict or type(arguments) is not tuple:
            raise TypeError("a call without arguments")
        self.call(called, (*arguments, by_name) if by_name else arguments)

    def call_marked(self, named: str | None) -> None:
        """INST, whose argument is the name, or OBJ, where it is the first of the values."""
        called, *arguments = self.marked() if named is None else (None, *self.marked())
        if named is not None:
            self.name(*named.split(" ", 1))
            called = self.stack.pop()
        self.call(called, tuple(arguments))

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
                raise Refused(
                    f"expected keys that are text, got over {MAX_ODD_KEYS:,} tuples or long "
                    "integers: refused; save a state dict alone"
                )
            yield as_key(value)

    def outside(self, identifier: Any) -> None:
        if self.persistent is None:
            raise Refused("expected a pickle by itself, it refers to values outside it: refused")
        self.push(self.persistent(identifier))

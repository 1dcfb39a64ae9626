"""One call of a torch function as the rules see it, and the bookkeeping that they share.

A rule says which axes of the operands agree (`equate`), which cannot move (`fix`) or flip
(`forbid_flips`), and what the axes of the result are. Rules are found by the function's name;
`Unknown` is the answer to a call that a rule does not cover: nothing in its operands may move.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from torch import Tensor

from novelweights.networks.tracing.axes import Axes, Axis, Unknown, equate, forbid_flips, size


@dataclass(eq=False)
class Value:
    """What is known of a tensor: its axes, and where it comes from."""

    axes: Axes
    name: str | None = None
    """Of a parameter or buffer."""
    is_weight: bool = False
    """It follows from parameters and buffers alone."""
    uses: int = 0
    """Calls that took it."""
    made_by: tuple[str, ...] = ()
    """Parameters of the dense layer or convolution that gave it."""


class Normalized(NamedTuple):
    """A batch normalization by running statistics, and what it was given."""

    value: Value
    weight: Value | None
    bias: Value | None
    mean: Value
    variance: Value
    epsilon: float


@dataclass(frozen=True)
class Notes:
    """What rules remember for the table."""

    producers: list[tuple[str, Axis]] = field(default_factory=list)
    """Parameter and axis of the results of each linear map, in order of execution."""
    normalized: list[Normalized] = field(default_factory=list)
    variances: set[str] = field(default_factory=set)
    """Buffers that must stay positive."""


@dataclass
class Call:
    """A call of a torch function, its result known."""

    name: str
    """Without what marks operators and in-place variants: `__iadd__` and `add_` are `add`."""
    function: Callable
    args: tuple
    kwargs: Mapping[str, object]
    result: object
    value_of: Callable[[Tensor], Value]
    notes: Notes
    made_by: tuple[str, ...] = ()
    """Set by the rule of a dense layer or convolution: its parameters."""

    @property
    def is_functional(self) -> bool:
        """It is of `torch.nn.functional`, not the function of this name in `torch` with its
        arguments in another order."""
        return self.function.__module__ == "torch.nn.functional"

    def argument(self, position: int, name: str, default: object = None) -> object:
        """An argument given by position or by name."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)

    def tensor(self, position: int, name: str) -> Tensor | None:
        """An argument that is a tensor or None.

        Raises:
            Unknown: It is something else.
        """
        value = self.argument(position, name)
        if value is not None and not isinstance(value, Tensor):
            raise Unknown
        return value

    def integer(self, position: int, name: str, default: int | None = None) -> int:
        """An argument that is a whole number.

        Raises:
            Unknown: It is something else.
        """
        value = self.argument(position, name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unknown
        return value

    def integers(self, position: int, name: str) -> tuple[int, ...]:
        """Whole numbers given one by one or as one sequence.

        Raises:
            Unknown: They are something else.
        """
        values = self.args[position:] or (self.kwargs.get(name),)
        if len(values) == 1 and isinstance(values[0], Sequence):
            values = tuple(values[0])
        whole = tuple(n for n in values if isinstance(n, int) and not isinstance(n, bool))
        if len(whole) < len(values):
            raise Unknown
        return whole

    def first(self) -> Tensor:
        """The first argument, a tensor.

        Raises:
            Unknown: It is something else.
        """
        value = self.args[0] if self.args else self.kwargs.get("input")
        if not isinstance(value, Tensor):
            raise Unknown
        return value

    def axes(self, tensor: Tensor) -> Axes:
        """What the axes of a tensor count."""
        return self.value_of(tensor).axes

    def produced(self, weight: Tensor, axis: Axis) -> None:
        """Remember that a linear map gave values with this axis."""
        name = self.value_of(weight).name
        if name is not None:
            self.notes.producers.append((name, axis))

    def results(self) -> list[Tensor]:
        """The tensors that came out."""
        return list(tensors_in(self.result))


Rule = Callable[[Call], Axes | list[Axes]]
"""The axes of the result, or of each of the results."""


def names(words: str) -> frozenset[str]:
    """Names of functions, written with spaces between."""
    return frozenset(words.split())


def tensors_in(value: object) -> Iterable[Tensor]:
    """Tensors in nested tuples, lists, mappings and slices."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return chain.from_iterable(map(tensors_in, value.values()))
    if isinstance(value, (tuple, list)):
        return chain.from_iterable(map(tensors_in, value))
    if isinstance(value, slice):
        return tensors_in((value.start, value.stop, value.step))
    return []


def axis_at(number: int, n_axes: int) -> int:
    """The number of an axis counted from the front.

    Raises:
        Unknown: There is no such axis.
    """
    if not -n_axes <= number < max(n_axes, 1):
        raise Unknown
    return number % max(n_axes, 1)


def _together(operands: Sequence[tuple[Axes, Sequence]]) -> dict[object, list[Axis]]:
    """By label, the axes that have it: made to agree, without those of one entry that broadcast."""
    by_place: dict[object, list[Axis]] = {}
    for axes, labels in operands:
        for axis, label in zip(axes, labels, strict=True):
            by_place.setdefault(label, []).append(axis)
    for label, axes in by_place.items():
        wide = [axis for axis in axes if size(axis) != 1] or axes[:1]
        for axis in wide[1:]:
            equate(wide[0], axis)
        by_place[label] = wide
    return by_place


def contract(operands: Sequence[tuple[Axes, Sequence]], kept: Sequence) -> Axes:
    """The axes of a sum of products, as in `torch.einsum`.

    Equal labels move together. A sign cancels where two operands have it and the result has not,
    and passes where one operand has it and so has the result; otherwise there is none.

    Args:
        operands: Axes of each, and a label for each axis.
        kept: The labels of the result.
    """
    joined = _together(operands)
    for label, axes in joined.items():
        if len(axes) % 2 != (label in kept):
            forbid_flips(axes[0])
    return tuple(joined[label][0] for label in kept)


def from_the_end(axes: Axes) -> tuple[Axes, range]:
    """Axes labelled as broadcasting pairs them: -1 for the last."""
    return axes, range(-len(axes), 0)


def added(operands: Sequence[Axes]) -> Axes:
    """The axes of a sum with broadcasting; a number has none. What an operand lacks cannot flip."""
    joined = _together([from_the_end(axes) for axes in operands])
    for axes in joined.values():
        if len(axes) < len(operands):
            forbid_flips(axes[0])
    return tuple(joined[label][0] for label in range(-max(map(len, operands)), 0))


def multiplied(operands: Sequence[Axes]) -> Axes:
    """The axes of a product with broadcasting. What two operands have cannot flip."""
    labelled = [from_the_end(axes) for axes in operands]
    return contract(labelled, range(-max(map(len, operands)), 0))

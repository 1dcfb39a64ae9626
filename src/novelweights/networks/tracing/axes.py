"""What the entries of an axis count, found out step by step.

An axis is fixed, or neurons that may be reordered, or several axes one after the other (joined
channels), or one inside the other in row-major order (the pixels of a channel after flattening).
Neurons are an unknown: `equate` says that two axes move together, and the unknown may turn out to
have structure, or to be fixed. Where two structures cannot be reconciled both are fixed, which
makes the group of moves smaller, never wrong; such axes say why. Ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from math import prod


@dataclass(frozen=True)
class Fixed:
    """Entries that stay where they are."""

    size: int
    why: str = ""
    """What could not be followed, where it is not known whether they may move; "" where they
    cannot."""


@dataclass(eq=False)
class Neurons:
    """Entries that may be reordered, as far as is known."""

    size: int
    may_flip: bool = True
    """Whether everything that these neurons touch allows them to change sign."""
    turned_out: "Axis | None" = field(default=None, repr=False)
    """What they are instead, since it is known."""


@dataclass(frozen=True)
class Joined:
    """Axes one after the other."""

    parts: tuple["Axis", ...]


@dataclass(frozen=True)
class Nested:
    """Axes one inside the other, the last one fastest."""

    factors: tuple["Axis", ...]


STRUCTURES = "neurons that are grouped in two ways"
"""Why axes are fixed whose structures cannot be reconciled."""

Axis = Fixed | Neurons | Joined | Nested
Axes = tuple[Axis, ...]


class Unknown(Exception):
    """Nothing is known of how axes move together here; so they must not move."""


def size(axis: Axis) -> int:
    """Number of entries."""
    if isinstance(axis, Joined):
        return sum(size(part) for part in axis.parts)
    if isinstance(axis, Nested):
        return prod(size(factor) for factor in axis.factors)
    return axis.size


def new(entries: int, *, may_flip: bool = True) -> Axis:
    """An axis of which nothing is known; a single entry cannot move."""
    return Neurons(entries, may_flip) if entries > 1 else Fixed(entries)


def known(axis: Axis) -> Axis:
    """An axis with all that has been found out about it, in its simplest form."""
    if isinstance(axis, Neurons):
        if axis.turned_out is None:
            return axis
        axis.turned_out = known(axis.turned_out)
        return axis.turned_out
    if isinstance(axis, Joined):
        return joined(*axis.parts)
    if isinstance(axis, Nested):
        return nested(*axis.factors)
    return axis


def joined(*axes: Axis) -> Axis:
    """Axes one after the other, in the simplest form: no joined axis directly in another."""
    parts: list[Axis] = []
    for axis in map(known, axes):
        for part in axis.parts if isinstance(axis, Joined) else (axis,):
            last = parts[-1] if parts else None
            if isinstance(last, Fixed) and isinstance(part, Fixed):
                parts[-1] = Fixed(last.size + part.size, last.why or part.why)
            elif size(part):
                parts.append(part)
    if len(parts) == 1:
        return parts[0]
    return Joined(tuple(parts)) if parts else Fixed(0)


def nested(*axes: Axis) -> Axis:
    """Axes one inside the other, in the simplest form: no axis of one entry, none nested directly
    in another, and what is joined outside all others is joined outermost."""
    factors: list[Axis] = []
    for axis in map(known, axes):
        for factor in axis.factors if isinstance(axis, Nested) else (axis,):
            last = factors[-1] if factors else None
            if isinstance(last, Fixed) and isinstance(factor, Fixed):
                factors[-1] = Fixed(last.size * factor.size, last.why or factor.why)
            elif size(factor) != 1:
                factors.append(factor)
    if len(factors) < 2:
        return factors[0] if factors else Fixed(1)
    if isinstance(factors[0], Joined):
        return joined(*(nested(part, *factors[1:]) for part in factors[0].parts))
    return Nested(tuple(factors))


def movable(axis: Axis) -> Iterator[Neurons]:
    """The neurons in an axis."""
    axis = known(axis)
    if isinstance(axis, Neurons):
        yield axis
    elif isinstance(axis, Joined):
        for part in axis.parts:
            yield from movable(part)
    elif isinstance(axis, Nested):
        for factor in axis.factors:
            yield from movable(factor)


def fix(*axes: Axis, why: str = "") -> None:
    """Nothing on these axes may move: what moves until now is fixed.

    Args:
        why: Where it is not known whether they may move, what could not be followed.
    """
    for axis in axes:
        for neurons in list(movable(axis)):
            neurons.turned_out = Fixed(neurons.size, why)


def why_fixed(axis: Axis) -> str:
    """What could not be followed, if that has fixed any part of an axis; else ""."""
    axis = known(axis)
    if isinstance(axis, Fixed):
        return axis.why
    inner = getattr(axis, "parts", ()) or getattr(axis, "factors", ())
    return next(filter(None, map(why_fixed, inner)), "")


def forbid_flips(*axes: Axis) -> None:
    """Nothing on these axes may change sign."""
    for axis in axes:
        for neurons in movable(axis):
            neurons.may_flip = False


def _turn(neurons: Neurons, axis: Axis) -> None:
    """Neurons turn out to be what an axis of their size is."""
    if not neurons.may_flip:
        forbid_flips(axis)
    neurons.turned_out = axis


def equate(a: Axis, b: Axis) -> None:
    """Two axes of one size move together.

    Raises:
        Unknown: Their sizes differ.
    """
    if size(a) != size(b):
        raise Unknown
    a, b = known(a), known(b)
    if a is b:
        return
    if isinstance(a, Neurons):
        _turn(a, b)
    elif isinstance(b, Neurons):
        _turn(b, a)
    elif isinstance(a, Fixed) or isinstance(b, Fixed):
        fix(a, b, why=why_fixed(a) or why_fixed(b))
    elif isinstance(a, Joined) or isinstance(b, Joined):
        cuts = sorted({0, *_ends(a), *_ends(b)})
        sizes = [end - start for start, end in pairwise(cuts)]
        for one, other in zip(pieces(a, sizes), pieces(b, sizes), strict=True):
            equate(one, other)
    else:
        _equate_nested(list(a.factors), list(b.factors))


def _ends(axis: Axis) -> Iterator[int]:
    """Where the parts of an axis end."""
    parts = axis.parts if isinstance(axis, Joined) else (axis,)
    return accumulate(size(part) for part in parts)


def _equate_nested(a: list[Axis], b: list[Axis]) -> None:
    """Factor by factor; the larger of two is divided, if it can be."""
    while a and b:
        one, other = a.pop(0), b.pop(0)
        m, n = size(one), size(other)
        if m > n and m % n == 0:
            one, inner = unflattened(one, (n, m // n))
            a.insert(0, inner)
        elif n > m and n % m == 0:
            other, inner = unflattened(other, (m, n // m))
            b.insert(0, inner)
        elif m != n:
            fix(one, other, *a, *b, why=STRUCTURES)
            return
        equate(one, other)


def pieces(axis: Axis, sizes: Sequence[int]) -> Axes:
    """An axis cut into consecutive pieces; neurons stay within theirs."""
    axis = known(axis)
    if isinstance(axis, Neurons):
        cut = tuple(new(n) for n in sizes)
        _turn(axis, joined(*cut))
        return cut
    if isinstance(axis, Joined):
        return _pieces_of_joined(list(axis.parts), sizes)
    if isinstance(axis, Nested):
        inner = prod(size(factor) for factor in axis.factors[1:])
        if all(n % inner == 0 for n in sizes):
            outer = pieces(axis.factors[0], [n // inner for n in sizes])
            return tuple(nested(piece, *axis.factors[1:]) for piece in outer)
        fix(axis, why=STRUCTURES)
    return tuple(Fixed(n, why_fixed(axis)) for n in sizes)


def _pieces_of_joined(waiting: list[Axis], sizes: Sequence[int]) -> Axes:
    cut = []
    for entries in sizes:
        taken = []
        while entries:
            part = waiting.pop(0)
            if size(part) > entries:
                part, rest = pieces(part, (entries, size(part) - entries))
                waiting.insert(0, rest)
            taken.append(part)
            entries -= size(part)
        cut.append(joined(*taken))
    return tuple(cut)


def unflattened(axis: Axis, sizes: Sequence[int]) -> Axes:
    """An axis as several, the last one fastest; fixed where its structure is another."""
    axis = known(axis)
    waiting: list[Axis] = list(axis.factors) if isinstance(axis, Nested) else [axis]
    result = []
    for entries in sizes:
        taken = []
        while entries > 1:
            factor = known(waiting.pop(0))
            if isinstance(factor, Nested):
                waiting[:0] = factor.factors
                continue
            n = size(factor)
            if n > entries:
                halves = _halves(factor, entries)
                if halves is None:
                    fix(axis, why=STRUCTURES)
                    return tuple(Fixed(n, why_fixed(axis)) for n in sizes)
                factor, rest = halves
                waiting.insert(0, rest)
            elif entries % n:
                fix(axis, why=STRUCTURES)
                return tuple(Fixed(n, why_fixed(axis)) for n in sizes)
            taken.append(factor)
            entries //= size(factor)
        result.append(nested(*taken))
    return tuple(result)


def _halves(axis: Axis, outer: int) -> tuple[Axis, Axis] | None:
    """An axis that is not nested as an outer one of so many entries, and the one inside it."""
    inner, rest = divmod(size(axis), outer)
    if rest:
        return None
    if isinstance(axis, Neurons):
        halves = new(outer), new(inner)
        _turn(axis, nested(*halves))
        return halves
    if isinstance(axis, Joined):
        if any(size(part) % inner for part in axis.parts):
            return None
        each = [unflattened(part, (size(part) // inner, inner)) for part in axis.parts]
        for _, other in each[1:]:
            equate(each[0][1], other)
        return joined(*(part for part, _ in each)), each[0][1]
    return Fixed(outer, why_fixed(axis)), Fixed(inner, why_fixed(axis))

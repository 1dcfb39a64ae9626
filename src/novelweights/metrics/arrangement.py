"""Weights gathered by neuron, and the symmetries of a network that act on them.

A weight between several groups of neurons stands in the rows of each, so that the best order of one
group, the others held, is a linear assignment over its rows. `weights/symmetry.py` transforms
checkpoints one group after another; here thousands of symmetries are made, kept and applied by
compiled loops. Source: ours.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple, no_type_check

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int8, Shaped
from numba import njit
from torch import Tensor

from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import AxisPart, NeuronSymmetry

NONE = -1


class Segment(NamedTuple):
    """Part of a group's rows; sorted by sign variable, and then those of no other group first."""

    start: int
    """In the row."""
    n_other: int
    """How many neurons of other groups it holds, or combinations of them; 1 for none."""
    length: int
    """Weights for each of them."""
    sign: int
    """Sign variable of the row's neuron, or NONE."""
    first: int
    """The other groups are `first` to `last` of `Tables.others`."""
    last: int
    is_signed: int
    """1 if neurons of the other groups may change sign."""
    place: int
    """Which of the rows that hold these weights: distances count the first, 0."""


class Other(NamedTuple):
    """Another group whose neurons a segment holds, one axis of it."""

    group: int
    neurons: int
    sign: int
    """Sign variable, or NONE."""


class Group(NamedTuple):
    """Neurons that may be reordered: a row each, of `length` entries."""

    neurons: int
    begin: int
    """Entry at which its rows begin."""
    length: int
    first: int
    """Its segments are `first` to `last`."""
    last: int


class Run(NamedTuple):
    """Part of a group's rows with one sign variable."""

    group: int
    sign: int
    """Or NONE."""
    start: int
    inner: int
    """Where the weights begin that other groups order."""
    end: int
    first: int
    """The segments of those weights are `first` to `last`."""
    last: int


class Tables(NamedTuple):
    """An arrangement as compiled loops take it: records of each kind."""

    groups: np.ndarray
    segments: np.ndarray
    others: np.ndarray
    runs: np.ndarray
    touches: Bool[np.ndarray, "groups groups"]
    """Whether weights lie between two groups, or between the neurons of one."""
    counted: Int[np.ndarray, "ranges 2"]
    """Ranges of the entries that distances count: each weight of a neuron once."""
    places: Int[np.ndarray, " entries"]
    """Place of each entry in the weight vector."""


def _records(kind: type, rows: list) -> np.ndarray:
    return np.array(rows, [(name, np.int64) for name in kind._fields])


@dataclass(frozen=True)
class _Piece:
    """Weights of one parameter between the same groups, one per axis that counts neurons."""

    places: Int[Tensor, "neurons others length"]
    group: str
    sign: str | None
    others: tuple[tuple[str, int, str | None], ...]
    """Name, neurons and sign variable of each other group."""
    place: int
    """Which of the pieces that hold these weights."""


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Where the weights of each neuron lie, and which of them belong to other neurons too.

    Raises:
        ValueError: The table does not fit the layout, or has no group of neurons.
    """

    layout: WeightLayout
    symmetry: NeuronSymmetry

    def __post_init__(self) -> None:
        if not self.sizes:
            raise ValueError("the symmetry has no group of neurons: it leaves all weights in place")
        _ = self._pieces

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Neurons of each group."""
        return self.symmetry.sizes(self.layout)

    @cached_property
    def signs(self) -> tuple[tuple[str, str], ...]:
        """Sign variables, each with its group: of groups that may flip, then of flips."""
        own = [(group, group) for group in self.sizes if group in self.symmetry.sign_groups]
        undone = [(name, flip.group) for name, flip in self.symmetry.flips.items()]
        return (*own, *undone)

    @cached_property
    def index(self) -> Int[Tensor, " entries"]:
        """Place in the weight vector of each entry: group after group, neuron after neuron."""
        rows = [
            torch.cat([piece.places.flatten(1) for piece in pieces], dim=1).flatten()
            for pieces in self._pieces.values()
        ]
        return torch.cat(rows)

    @cached_property
    def rest(self) -> Int[Tensor, " rest"]:
        """Places of weights that belong to no neuron."""
        free = torch.ones(self.layout.size, dtype=torch.bool)
        free[self.index] = False
        return free.nonzero()[:, 0]

    @cached_property
    def tables(self) -> Tables:
        """The arrangement for compiled loops."""
        numbers = {None: NONE, **{group: i for i, group in enumerate(self.sizes)}}
        variables = {None: NONE, **{name: i for i, (name, _) in enumerate(self.signs)}}
        groups: list[Group] = []
        segments: list[Segment] = []
        others: list[Other] = []
        runs: list[Run] = []
        touches = np.zeros((len(self.sizes),) * 2, bool)
        is_counted = np.zeros(len(self.index) + 2, bool)
        begin = 0
        for number, (group, pieces) in enumerate(self._pieces.items()):
            first, start, row = len(segments), 0, []
            for piece in pieces:
                _, n_other, length = piece.places.shape
                at = len(others)
                others += [Other(numbers[g], n, variables[sign]) for g, n, sign in piece.others]
                touches[number, [other.group for other in others[at:]]] = True
                is_signed = any(other.sign != NONE for other in others[at:])
                kind = (variables[piece.sign], at, len(others), int(is_signed), piece.place)
                segments.append(Segment(start, n_other, length, *kind))
                row += [piece.place == 0] * (n_other * length)
                start += n_other * length
            n = self.sizes[group]
            is_counted[begin + 1 : begin + 1 + n * start] = row * n
            groups.append(Group(n, begin, start, first, len(segments)))
            runs += _runs(number, segments, first)
            begin += n * start
        counted = np.flatnonzero(np.diff(is_counted)).reshape(-1, 2)
        return Tables(
            *(_records(Group, groups), _records(Segment, segments)),
            *(_records(Other, others), _records(Run, runs)),
            *(touches, counted, self.index.numpy()),
        )

    def parts(
        self, entries: Shaped[np.ndarray, "n entries"]
    ) -> Iterator[tuple[Segment, Shaped[np.ndarray, "n neurons others length"]]]:
        """Every segment, and a view of its part of the rows of all neurons."""
        for n, begin, length, first, last in self.tables.groups.tolist():
            rows = entries[:, begin : begin + n * length].reshape(len(entries), n, length)
            for segment in map(Segment._make, self.tables.segments[first:last].tolist()):
                part = rows[:, :, segment.start : segment.start + segment.n_other * segment.length]
                yield segment, part.reshape(len(entries), n, segment.n_other, segment.length)

    def by_neuron(self, weights: Float[Tensor, "n d"]) -> Float[np.ndarray, "n entries"]:
        """Checkpoints with their weights gathered by neuron, float32."""
        return weights.float()[:, self.index].contiguous().numpy()

    def outside(self, weights: Float[Tensor, "n d"]) -> Float[np.ndarray, "n rest"]:
        """Weights that belong to no neuron, float64."""
        return weights.double()[:, self.rest].contiguous().numpy()

    @cached_property
    def _pieces(self) -> dict[str, list[_Piece]]:
        """Each group's rows, piece by piece."""
        by_group: dict[str, list[_Piece]] = {group: [] for group in self.sizes}
        undone = {p: name for name, flip in self.symmetry.flips.items() for p in flip.parameters}
        slices = self.layout.slices
        for name, shape in self.layout.shapes:
            places = torch.arange(slices[name].start, slices[name].stop).reshape(shape)
            by_axis = self.symmetry.parts_of(name, shape)
            starts = [np.cumsum([0, *(part.entries for part in parts)]) for parts in by_axis]
            for picked in itertools.product(*(range(len(parts)) for parts in by_axis)):
                where = tuple(
                    slice(start[i], start[i + 1]) for start, i in zip(starts, picked, strict=True)
                )
                parts = [parts[i] for parts, i in zip(by_axis, picked, strict=True)]
                for piece in self._arranged(name, places[where], parts, undone.get(name)):
                    by_group[piece.group].append(piece)
        for pieces in by_group.values():
            pieces.sort(key=lambda piece: (piece.sign or "", piece.others != ()))
        return by_group

    def _arranged(
        self, name: str, places: Int[Tensor, "..."], parts: list[AxisPart], undone: str | None
    ) -> list[_Piece]:
        """A block of a parameter as rows of each group that it belongs to."""
        counting = [axis for axis, part in enumerate(parts) if part.group is not None]
        split: list[int] = []
        at: list[int] = []
        for part in parts:
            if part.group is None:
                split.append(part.entries)
            else:
                at.append(len(split))
                split += [part.neurons, part.block]
        grouped = places.reshape(split).movedim(at, list(range(len(at))))
        between = []
        for axis in counting:
            group = str(parts[axis].group)
            own = group if group in self.symmetry.sign_groups else None
            sign = undone if undone is not None and axis == 0 else own
            between.append((group, parts[axis].neurons, sign))
        pieces = []
        for place, (group, neurons, sign) in enumerate(between):
            others = (*between[:place], *between[place + 1 :])
            n_others = prod(n for _, n, _ in others)
            rows = grouped.movedim(place, 0).reshape(neurons, n_others, -1)
            pieces.append(_Piece(rows, group, sign, others, place))
        return pieces


def _runs(group: int, segments: list[Segment], first: int) -> Iterator[Run]:
    """The runs of a group, whose segments are the last ones, from `first`."""
    for sign, parts in itertools.groupby(segments[first:], lambda segment: segment.sign):
        mine = list(parts)
        held = [segment for segment in mine if segment.first < segment.last]
        first += len(mine)
        end = mine[-1].start + mine[-1].n_other * mine[-1].length
        inner = held[0].start if held else end
        yield Run(group, sign, mine[0].start, inner, end, first - len(held), first)


class Symmetries(NamedTuple):
    """An element of the symmetry group for each of p pairs, padded to the largest group."""

    order: Int[np.ndarray, "p groups largest"]
    """The old index of each new neuron."""
    signs: Int8[np.ndarray, "p signs largest"]
    """+1 or -1 for each new neuron, by sign variable."""

    def at(self, rows: Int[np.ndarray, " q"]) -> "Symmetries":
        """Those of some pairs."""
        return Symmetries(self.order[rows], self.signs[rows])


def identities(p: int, arrangement: Arrangement) -> Symmetries:
    """The identity, p times."""
    largest = max(arrangement.sizes.values())
    order = np.tile(np.arange(largest), (p, len(arrangement.sizes), 1))
    return Symmetries(order, np.ones((p, len(arrangement.signs), largest), np.int8))


def random_symmetries(p: int, arrangement: Arrangement, rng: np.random.Generator) -> Symmetries:
    """p random elements of the group."""
    order, signs = identities(p, arrangement)
    for group, n in enumerate(arrangement.sizes.values()):
        order[:, group, :n] = rng.random((p, n)).argsort(axis=1)
    signs[:] = 2 * rng.integers(0, 2, signs.shape) - 1
    return Symmetries(order, signs)


def permuted(
    arrangement: Arrangement, weights: Float[Tensor, "p d"], symmetries: Symmetries
) -> Float[Tensor, "p d"]:
    """Checkpoints with their neurons reordered and flipped, each by its own symmetry."""
    out = weights.clone()
    _permute(weights.numpy(), arrangement.tables, *symmetries, out.numpy())
    return out


@njit(cache=True, nogil=True)
@no_type_check
def _permute(
    weights: np.ndarray, tables: Tables, order: np.ndarray, signs: np.ndarray, out: np.ndarray
) -> None:  # pragma: no cover - compiled
    index = tables.places
    y, there = np.empty(len(index), weights.dtype), np.empty(len(index), weights.dtype)
    for p in range(len(weights)):
        for at in range(len(index)):
            y[at] = weights[p, index[at]]
        place(y, tables, order[p], signs[p], there)
        for begin, end in tables.counted:
            for at in range(begin, end):
                out[p, index[at]] = there[at]


@njit(cache=True, nogil=True)
@no_type_check
def combined(
    tables: Tables, part: Segment, order: np.ndarray, signs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # pragma: no cover - compiled
    """Where the weights of a segment come from for each combination of neurons of other groups,
    counted from the segment's begin, and with what sign."""
    sources = np.zeros(part.n_other, np.int64)
    factors = np.ones(part.n_other, np.float32)
    n = 1
    for other in tables.others[part.first : part.last]:
        for j in range(n - 1, -1, -1):  # from behind: what is not read yet stays
            before, factor = sources[j] * other.neurons, factors[j]
            for k in range(other.neurons - 1, -1, -1):
                at = j * other.neurons + k
                sources[at] = before + order[other.group, k]
                factors[at] = factor * (1 if other.sign < 0 else signs[other.sign, k])
        n *= other.neurons
    return sources * part.length, factors


@njit(cache=True, nogil=True)
@no_type_check
def place(
    y: np.ndarray, tables: Tables, order: np.ndarray, signs: np.ndarray, out: np.ndarray
) -> None:  # pragma: no cover - compiled
    """The entries of y, by neuron, where a symmetry takes them: those that distances count."""
    for number in range(len(tables.groups)):
        group = tables.groups[number]
        for part in tables.segments[group.first : group.last]:
            if part.place != 0:
                continue
            sources, factors = combined(tables, part, order, signs)
            for i in range(group.neurons):
                mine = group.begin + i * group.length + part.start
                yours = group.begin + order[number, i] * group.length + part.start
                own = np.float32(1 if part.sign < 0 else signs[part.sign, i])
                for j in range(part.n_other):
                    sign, source, to = own * factors[j], yours + sources[j], mine + j * part.length
                    if part.length == 1:  # a loop over one weight costs several times as much
                        out[to] = sign * y[source]
                    else:
                        for c in range(part.length):
                            out[to + c] = sign * y[source + c]

"""Weights gathered by neuron, for networks with any number of groups of neurons.

A weight between two groups of neurons stands in the rows of both, so that the best order of one
group, the others held, is a linear assignment over its rows. Source: ours.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import AxisPart, NeuronSymmetry

NONE = -1
START, OTHER, N_OTHER, LENGTH, SIGN, OTHER_SIGN, COUNTED = range(7)
"""Columns of `Arrangement.segments`; compiled loops use them too, as constants."""
RUN_GROUP, RUN_SIGN, RUN_START, RUN_INNER, RUN_END, RUN_FIRST, RUN_LAST = range(7)
"""Columns of `Arrangement.runs`."""


@dataclass(frozen=True)
class _Piece:
    """Weights of one parameter between the same groups, one per axis that counts neurons."""

    places: Int[Tensor, "neurons others length"]
    group: str
    sign: str | None
    other: str | None = None
    other_sign: str | None = None
    is_counted: bool = True


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Where the weights of each neuron lie, and which of them move with other neurons.

    Raises:
        ValueError: The table does not fit the layout, moves nothing, or a parameter counts neurons
            along more than two axes.
    """

    layout: WeightLayout
    symmetry: NeuronSymmetry

    def __post_init__(self) -> None:
        if not self.sizes:
            raise ValueError("the symmetry moves nothing: there is no group of neurons")
        _ = self._pieces

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Neurons by group, in the order of `groups`."""
        return self.symmetry.sizes(self.layout)

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups."""
        return tuple(self.sizes)

    @cached_property
    def signs(self) -> tuple[tuple[str, str], ...]:
        """Sign variables, each with its group: of groups that may flip, then of flips."""
        own = [(group, group) for group in self.groups if group in self.symmetry.sign_groups]
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
    def rows(self) -> Int[np.ndarray, "groups 5"]:
        """Of each group: neurons, where its rows begin, length of a row, its segments' range."""
        table, start, first = [], 0, 0
        for group, pieces in self._pieces.items():
            n, length = self.sizes[group], sum(piece.places[0].numel() for piece in pieces)
            table.append((n, start, length, first, first + len(pieces)))
            start, first = start + n * length, first + len(pieces)
        return np.array(table, dtype=np.int64)

    @cached_property
    def segments(self) -> Int[np.ndarray, "segments 7"]:
        """Of each part of a row: see the columns above. In each group sorted by sign variable, and
        of one variable those that hold no other group first.

        START of it in the row, the OTHER group whose neurons it holds (or NONE) and how many,
        LENGTH of one of these, the SIGN variable of the row's neuron and OTHER_SIGN of the other
        group's (or NONE), and 1 if distances count it here (0: in the other group's rows).
        """
        numbers = {group: i for i, group in enumerate(self.groups)}
        variables = {name: i for i, (name, _) in enumerate(self.signs)}
        table = []
        for pieces in self._pieces.values():
            start = 0
            for piece in pieces:
                table.append(
                    (
                        start,
                        NONE if piece.other is None else numbers[piece.other],
                        piece.places.shape[1],
                        piece.places.shape[2],
                        NONE if piece.sign is None else variables[piece.sign],
                        NONE if piece.other_sign is None else variables[piece.other_sign],
                        int(piece.is_counted),
                    )
                )
                start += piece.places[0].numel()
        return np.array(table, dtype=np.int64)

    @cached_property
    def runs(self) -> Int[np.ndarray, "runs 7"]:
        """Parts of rows with one sign variable: see the columns above.

        The group, the sign variable (or NONE), where it STARTs in the row, where the weights that
        other groups order begin in it (INNER), where it ENDs, and those weights' range of segments.
        """
        table = []
        for group, (_, _, length, first, last) in enumerate(self.rows.tolist()):
            bounds = [first, *range(first + 1, last), last]
            for sign in dict.fromkeys(self.segments[first:last, SIGN].tolist()):
                mine = [s for s in bounds[:-1] if self.segments[s, SIGN] == sign]
                held = [s for s in mine if self.segments[s, OTHER] != NONE]
                end = int(self.segments[mine[-1] + 1, START]) if mine[-1] + 1 < last else length
                start = int(self.segments[mine[0], START])
                inner = int(self.segments[held[0], START]) if held else end
                some = (held[0], held[-1] + 1) if held else (last, last)
                table.append((group, sign, start, inner, end, *some))
        return np.array(table, dtype=np.int64)

    @cached_property
    def touches(self) -> Bool[np.ndarray, "groups groups"]:
        """Whether weights lie between two groups, or between the neurons of one."""
        found = np.zeros((len(self.groups),) * 2, bool)
        for group, (_, _, _, first, last) in enumerate(self.rows.tolist()):
            for other in self.segments[first:last, OTHER]:
                if other != NONE:
                    found[group, other] = True
        return found

    @cached_property
    def counted(self) -> Int[np.ndarray, "ranges 2"]:
        """Ranges of the entries that distances count: each weight of a neuron once."""
        is_counted = np.zeros(len(self.index) + 2, bool)
        for n, start, length, first, last in self.rows.tolist():
            row = np.repeat(
                self.segments[first:last, COUNTED] == 1,
                self.segments[first:last, N_OTHER] * self.segments[first:last, LENGTH],
            )
            is_counted[start + 1 : start + 1 + n * length] = np.tile(row, n)
        return np.flatnonzero(np.diff(is_counted)).reshape(-1, 2)

    def by_neuron(self, weights: Float[Tensor, "n d"]) -> Float[np.ndarray, "n entries"]:
        """Checkpoints with their weights gathered by neuron, float32."""
        return weights.float()[:, self.index].contiguous().numpy()

    def outside(self, weights: Float[Tensor, "n d"]) -> Float[np.ndarray, "n rest"]:
        """Weights that belong to no neuron, float64."""
        return weights.double()[:, self.rest].contiguous().numpy()

    @cached_property
    def _pieces(self) -> dict[str, list[_Piece]]:
        """Each group's rows, piece by piece."""
        found: dict[str, list[_Piece]] = {group: [] for group in self.groups}
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
                    found[piece.group].append(piece)
        for pieces in found.values():
            pieces.sort(key=lambda piece: (piece.sign or "", piece.other is not None))
        return found

    def _arranged(
        self, name: str, places: Int[Tensor, "..."], parts: list[AxisPart], undone: str | None
    ) -> list[_Piece]:
        """A block of a parameter as rows of the group or the two groups it belongs to."""
        counting = [axis for axis, part in enumerate(parts) if part.group is not None]
        if len(counting) > 2:
            raise ValueError(f"{name} counts neurons along more than two axes")
        if not counting:
            return []
        split: list[int] = []
        at: list[int] = []
        for part in parts:
            if part.group is None:
                split.append(part.entries)
            else:
                at.append(len(split))
                split += [part.neurons, part.block]
        grouped = places.reshape(split).movedim(at, list(range(len(at))))
        signs = []
        for axis in counting:
            group = parts[axis].group
            own = group if group in self.symmetry.sign_groups else None
            signs.append(undone if undone is not None and axis == 0 else own)
        groups = [str(parts[axis].group) for axis in counting]
        if len(counting) == 1:
            return [_Piece(grouped.flatten(1)[:, None], groups[0], signs[0])]
        between = grouped.flatten(2)
        return [
            _Piece(between, groups[0], signs[0], groups[1], signs[1]),
            _Piece(between.transpose(0, 1), groups[1], signs[1], groups[0], signs[0], False),
        ]

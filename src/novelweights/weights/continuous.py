"""Symmetries of a network that form a continuum: scales of ReLU neurons, shifts of logits, heads.

A neuron behind a ReLU may be made twice as large where it is written and half as large where it is
read; all logits may grow by the same number, which the softmax does not see; inside an attention
head only the products of queries with keys, and of values with the output, matter. No alignment
searches these: `novelweights.weights.canonical` removes them. Ours.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple


class Scaled(NamedTuple):
    """Where the scale of a neuron acts."""

    parameter: str
    axis: int
    power: int
    """1 where the neuron is written and is multiplied by its scale; -1 where it is read and is
    divided by it."""


class Rescaling(NamedTuple):
    """A positive scale for every neuron of a group."""

    group: str
    members: tuple[Scaled, ...]


class Shift(NamedTuple):
    """One number for each place of the other axes, added to all entries along an axis: it reaches
    all outputs alike."""

    parameter: str
    axis: int


class Normalization(NamedTuple):
    """A batch normalization and the filters just before it, whose length it undoes.

    A part that the network, or the checkpoint, does not have is None.
    """

    filters: tuple[str, ...]
    """Weight, and bias, of the layer before; the first axis counts the channels."""
    scale: str | None
    shift: str | None
    mean: str | None
    variance: str | None
    epsilon: float = 1e-5
    """What is added to the variance."""

    @property
    def parts(self) -> tuple[str | None, str | None, str | None, str | None]:
        """Scale, shift, mean and variance."""
        return self.scale, self.shift, self.mean, self.variance


class Factor(NamedTuple):
    """Entries of an axis that count the neurons of the heads: `block` for each head."""

    parameter: str
    axis: int
    start: int = 0
    """First entry."""
    repeat: int = 1
    """How many heads here share one head of the other side, as queries share their keys."""


class Product(NamedTuple):
    """Two sides of every head of which only the product matters: any invertible matrix may stand
    between them."""

    group: str | None
    """Of the heads; None where these may not be reordered."""
    heads: int
    block: int
    """Entries of one head."""
    left: tuple[Factor, ...] = ()
    right: tuple[Factor, ...] = ()
    idle: tuple[Factor, ...] = ()
    """Without effect: the bias of keys, which shifts all scores of a query alike."""

    @property
    def factors(self) -> tuple[Factor, ...]:
        """All entries that it is about."""
        return (*self.left, *self.right, *self.idle)

    def entries_of(self, factor: Factor) -> range:
        """Those of all heads."""
        return range(factor.start, factor.start + self.heads * factor.repeat * self.block)

    @property
    def pairs(self) -> list[tuple[Factor, Factor]]:
        """What is multiplied with what."""
        return [(left, right) for left in self.left for right in self.right]


def _plain(factors: Sequence[Factor]) -> tuple[tuple, ...]:
    """Factors as files hold them: how many heads share one is told where it is more than one."""
    return tuple(tuple(f) if f.repeat > 1 else tuple(f)[:3] for f in factors)


def scales_of_chain(layers: Sequence[str], groups: Sequence[str]) -> dict[str, Rescaling]:
    """The scales of neurons between layers that follow one another, ReLU or the like between.

    Args:
        layers: Names of the layers; each has a weight and a bias, the first axis counts its
            outputs, the second its inputs.
        groups: Group of the neurons after each layer but the last.
    """
    return {
        group: Rescaling(
            group,
            (
                Scaled(f"{before}.weight", 0, 1),
                Scaled(f"{before}.bias", 0, 1),
                Scaled(f"{after}.weight", 1, -1),
            ),
        )
        for group, (before, after) in zip(groups, pairwise(layers), strict=True)
    }


def shifts_of(layer: str, classes: int) -> tuple[Shift, ...]:
    """Of the logits that a last layer gives; one logit alone has none."""
    return (Shift(f"{layer}.weight", 0), Shift(f"{layer}.bias", 0)) if classes > 1 else ()


@dataclass(frozen=True)
class Continuous:
    """All of them."""

    scales: Mapping[str, Rescaling] = field(default_factory=dict)
    """By a name; several may scale the neurons of one group, at different places."""
    shifts: tuple[Shift, ...] = ()
    normalizations: Mapping[str, Normalization] = field(default_factory=dict)
    """By name; a flip of that name is the sign of the same filters."""
    products: Mapping[str, Product] = field(default_factory=dict)
    """By a name that no parameter has."""

    def __bool__(self) -> bool:
        return bool(self.scales or self.shifts or self.normalizations or self.products)

    def only(self, names: Iterable[str]) -> "Continuous":
        """What changes nothing but these parameters."""
        known = set(names)
        return Continuous(
            {k: s for k, s in self.scales.items() if {m.parameter for m in s.members} <= known},
            tuple(shift for shift in self.shifts if shift.parameter in known),
            {
                k: Normalization._make(
                    (n.filters, *(p if p in known else None for p in n.parts), n.epsilon)
                )
                for k, n in self.normalizations.items()
                if set(n.filters) <= known
            },
            {k: p for k, p in self.products.items() if {f.parameter for f in p.factors} <= known},
        )

    def overlapping(self) -> list[str]:
        """Products that hold entries of an earlier one, or the other axis of a parameter of it, or
        filters before a normalization: one entry cannot be replaced twice."""
        axes: dict[str, int] = {}
        taken: set[tuple[str, int]] = set()
        filters = {name for entry in self.normalizations.values() for name in entry.filters}
        overlapping_pairs = []
        for name, product in self.products.items():
            mine = [
                (factor.parameter, entry)
                for factor in product.factors
                for entry in product.entries_of(factor)
            ]
            is_free = len(set(mine)) == len(mine) and not taken & set(mine)
            is_free &= all(axes.get(f.parameter, f.axis) == f.axis for f in product.factors)
            if not is_free or filters & {factor.parameter for factor in product.factors}:
                overlapping_pairs.append(name)
                continue
            taken |= set(mine)
            axes |= {factor.parameter: factor.axis for factor in product.factors}
        return overlapping_pairs

    def half_covered(self, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
        """Parameters of which products hold some entries only, so that they cannot replace it."""
        covered: dict[tuple[str, int], set[int]] = {}
        for product in self.products.values():
            for factor in product.factors:
                entries = covered.setdefault((factor.parameter, factor.axis), set())
                entries.update(product.entries_of(factor))
        return [
            parameter
            for (parameter, axis), entries in covered.items()
            if len(entries) < shapes[parameter][axis]
        ]

    def to_json(self) -> dict:
        """Plain data."""
        return {
            "scales": {name: scale._asdict() for name, scale in self.scales.items()},
            "shifts": self.shifts,
            "normalizations": {
                name: (entry.filters, *entry.parts, entry.epsilon)
                for name, entry in self.normalizations.items()
            },
            "products": {
                name: product._asdict()
                | {side: _plain(getattr(product, side)) for side in ("left", "right", "idle")}
                for name, product in self.products.items()
            },
        }

    @classmethod
    def from_json(cls, data: Mapping) -> "Continuous":
        """What `to_json` wrote."""
        scales = {
            name: Rescaling(entry["group"], tuple(Scaled(*m) for m in entry["members"]))
            for name, entry in data.get("scales", {}).items()
        }
        products = {
            name: Product(
                entry["group"],
                entry["heads"],
                entry["block"],
                *(tuple(Factor(*f) for f in entry[side]) for side in ("left", "right", "idle")),
            )
            for name, entry in data.get("products", {}).items()
        }
        normalizations = {
            name: Normalization._make((tuple(filters), *rest))
            for name, (filters, *rest) in data.get("normalizations", {}).items()
        }
        shifts = tuple(Shift(*shift) for shift in data.get("shifts", ()))
        return cls(scales, shifts, normalizations, products)

"""One network out of all that differ by scales, shifts and what stands inside heads.

The canonical form of a checkpoint computes what the checkpoint computes, and is the same for all
checkpoints that such symmetries turn into each other:

- a batch normalization with its running statistics is folded into the filter before it; without
  them that filter gets length 1, since any length gives the same normalized values;
- the outputs' last layer is centered over the outputs, where these are logits;
- scales of neurons make the sum of all squared weights as small as it gets, so that every neuron
  is written with the same length as it is read ("equi-normalization", Stock et al. 2019). The
  smallest is unique: the sum is convex in the logarithms of the scales. A neuron that is written
  or read with zeros alone has no effect, and becomes zero on both sides;
- the two sides of a head are replaced by their product.

What may be reordered in the checkpoints may be reordered here. Source: ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.weights.continuous import Factor, Normalization, Product, Rescaling, Scaled
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import AxisPart, NeuronSymmetry

SWEEPS = 1000
STEADY = 1e-9
"""Scales that change by less, relatively, have settled."""
BLOCK_BYTES = 1 << 26
"""Of float64 weights brought into form at a time."""

LARGEST = 1e15
"""Of a form: networks that have diverged are far from all others and stay finite."""

State = dict[str, Tensor]
"""Parameters of n checkpoints, each (n, *shape)."""


@dataclass(frozen=True, eq=False)
class CanonicalForm:
    """Brings checkpoints of one layout into canonical form."""

    source: WeightLayout
    given: NeuronSymmetry
    """Of the checkpoints."""
    layout: WeightLayout
    symmetry: NeuronSymmetry
    """Of what they become: the same groups, and nothing continuous."""
    scales: Mapping[str, Rescaling]
    """What is still to be balanced once normalizations are folded and heads multiplied."""

    @classmethod
    def of(cls, layout: WeightLayout, symmetry: NeuronSymmetry | None) -> "CanonicalForm | None":
        """The form for a table; None where it has nothing continuous.

        Raises:
            ValueError: The table does not fit the layout.
        """
        if symmetry is None or not symmetry.continuous:
            return None
        symmetry.sizes(layout)
        half = symmetry.continuous.half_covered(dict(layout.shapes))
        if half:
            raise ValueError(f"{', '.join(half)}: expected products that hold all of its entries")
        products = symmetry.continuous.products
        replaced = {factor.parameter for p in products.values() for factor in p.factors}
        source = dict(layout.shapes)
        shapes = {name: shape for name, shape in layout.shapes if name not in replaced}
        parts = {name: symmetry.parts_of(name, shape) for name, shape in shapes.items()}
        for name, product in products.items():
            for left, right in product.pairs:
                heads = AxisPart(product.group, product.heads)
                rest = []
                for factor in (left, right):
                    shape = source[factor.parameter]
                    counted = symmetry.parts_of(factor.parameter, shape)
                    if factor.repeat > 1:
                        sharing = _sharing(symmetry, factor, product, shape)
                        rest.append((factor.repeat, (AxisPart(sharing, factor.repeat),)))
                    rest += _without(factor.axis, shape, counted)
                key = _product_name(name, left, right)
                shapes[key] = (product.heads, *(size for size, _ in rest))
                parts[key] = ((heads,), *(of for _, of in rest))
        flips = {k: f for k, f in symmetry.flips.items() if k not in _folded(symmetry)}
        table = NeuronSymmetry.from_parts(parts, symmetry.sign_groups, flips)
        after = WeightLayout(tuple(shapes.items()))
        table.sizes(after)
        return cls(layout, symmetry, after, table, _scales_after(symmetry, source))

    def describe(self) -> str:
        """What is removed, in words."""
        continuous = self.given.continuous
        counts = {
            "scales of neurons": continuous.scales,
            "lengths of normalized filters": continuous.normalizations,
            "shifts of all outputs": continuous.shifts,
            "coordinates inside attention heads": continuous.products,
        }
        *first, last = (words for words, entries in counts.items() if entries)
        return f"{', '.join(first)} and {last}" if first else last

    def apply(self, weights: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        """Every checkpoint in canonical form.

        Returns:
            The same of `layout`, float32.
        """
        rows = max(1, BLOCK_BYTES // (8 * max(self.source.size, self.layout.size, 1)))
        forms = torch.empty(len(weights), self.layout.size)
        for start in range(0, len(weights), rows):
            forms[start : start + rows] = self._of_block(weights[start : start + rows])
        return forms

    def _of_block(self, weights: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        state = dict(self.source.unflatten(weights.to(torch.float64, copy=True)))
        continuous = self.given.continuous
        for normalization in continuous.normalizations.values():
            _normalize(state, normalization)
        for parameter, axis in continuous.shifts:
            value = state[parameter]
            state[parameter] = value - value.mean(dim=axis + 1, keepdim=True)
        for name, product in continuous.products.items():
            for left, right in product.pairs:
                one, other = (_of_heads(state[f.parameter], f, product) for f in (left, right))
                made = torch.einsum("nhir,nhis->nhrs", one.flatten(3), other.flatten(3))
                key = _product_name(name, left, right)
                state[key] = made.reshape(len(weights), *dict(self.layout.shapes)[key])
        _balance(state, self.layout, self.symmetry, self.scales)
        parts = [state[name].reshape(len(weights), -1) for name, _ in self.layout.shapes]
        whole = torch.cat(parts, dim=1).nan_to_num(LARGEST, LARGEST, -LARGEST)
        return whole.clamp(-LARGEST, LARGEST).to(torch.float32)


def _sharing(
    symmetry: NeuronSymmetry, factor: Factor, product: Product, shape: tuple[int, ...]
) -> str | None:
    """The group of the heads that share the single one of a product; None where there are more,
    since those of each may be reordered by themselves."""
    for part in symmetry.parts_of(factor.parameter, shape)[factor.axis]:
        if product.heads == 1 and (part.neurons, part.block) == (factor.repeat, product.block):
            return part.group
    return None


def _product_name(name: str, left: Factor, right: Factor) -> str:
    return f"{name}: {left.parameter} x {right.parameter}"


def _without(axis: int, *columns: tuple) -> list[tuple]:
    """What stands at the other axes."""
    return [entry for i, entry in enumerate(zip(*columns, strict=True)) if i != axis]


def _of_heads(
    value: Float[Tensor, "n ..."], factor: Factor, product: Product
) -> Float[Tensor, "n heads block ..."]:
    """A side of all heads, the axis inside heads third; before what else it has, the heads here
    that share one."""
    entries = product.entries_of(factor)
    value = value.movedim(factor.axis + 1, 1)[:, entries.start : entries.stop]
    rest = value.shape[2:]
    split = value.reshape(len(value), product.heads, factor.repeat, product.block, *rest)
    return split.movedim(2, 3)


def _folded(symmetry: NeuronSymmetry) -> list[str]:
    """Normalizations whose statistics are known."""
    entries = symmetry.continuous.normalizations.items()
    return [name for name, entry in entries if entry.mean and entry.variance]


def _normalize(state: State, entry: Normalization) -> None:
    """Fold a normalization into the filters before it; without statistics, these get length 1."""
    filters = [state[name] for name in entry.filters]
    n, channels = filters[0].shape[:2]
    if entry.mean is None or entry.variance is None:
        squares = sum(value.reshape(n, channels, -1).square().sum(dim=2) for value in filters)
        length = torch.as_tensor(squares).sqrt()
        factor = torch.where(length > 0, 1 / length.clamp(min=1e-300), 1.0)
        for name, value in zip(entry.filters, filters, strict=True):
            state[name] = value * along(factor, value)
        return
    whole = state[entry.variance] + entry.epsilon
    # below 0, as noise on weights makes it, it is no variance: such a network computes nothing
    factor = torch.where(whole > 0, whole, entry.epsilon).rsqrt()
    if entry.scale is not None:
        factor = factor * state[entry.scale]
        state[entry.scale] = torch.ones_like(factor)
    offset = -factor * state[entry.mean]
    if entry.shift is not None:
        offset = offset + state[entry.shift]
    weight, *biases = entry.filters
    state[weight] = state[weight] * along(factor, state[weight])
    for bias in biases:
        offset = offset + factor * state[bias]
        state[bias] = torch.zeros_like(offset)
    state[entry.variance] = torch.ones_like(factor)
    state[entry.mean] = torch.zeros_like(factor)
    if entry.shift is not None:
        state[entry.shift] = offset
    else:
        state[entry.mean] = -offset


def along(factor: Float[Tensor, "n k"], value: Tensor, axis: int = 1) -> Tensor:
    """A factor for each entry of an axis, ready to be multiplied with the value."""
    shape = [len(value)] + [1] * (value.ndim - 1)
    shape[axis] = -1
    return factor.reshape(shape)


def scale_neurons(
    value: Float[Tensor, "n ..."],
    axis: int,
    parts: list[tuple[int, AxisPart]],
    factor: Float[Tensor, "n neurons"],
) -> None:
    """Multiply a parameter of n checkpoints by a factor for each neuron along an axis; in place.

    Args:
        parts: Where the axis counts the neurons, by `NeuronSymmetry.places_of`.
        factor: For each checkpoint and neuron.
    """
    for start, part in parts:
        where = value.narrow(axis + 1, start, part.entries)
        where.mul_(along(factor.repeat_interleave(part.block, dim=1), where, axis + 1))


def _scales_after(
    symmetry: NeuronSymmetry, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Rescaling]:
    """Where scales act once normalizations are folded and heads multiplied."""
    continuous = symmetry.continuous
    moved: dict[str, list[tuple[str, int]]] = {}  # by folded scale: where it went
    for name in _folded(symmetry):
        entry = continuous.normalizations[name]
        if entry.scale is not None:
            moved[entry.scale] = [(entry.filters[0], 0)]
            if entry.shift is None and entry.mean is not None:
                moved[entry.scale].append((entry.mean, 0))
    places: dict[tuple[str, int], list[tuple[str, int]]] = {}  # by factor and axis: in products
    factors = {f.parameter for product in continuous.products.values() for f in product.factors}
    for name, product in continuous.products.items():
        for left, right in product.pairs:
            key, at = _product_name(name, left, right), 1
            for factor in (left, right):
                at += factor.repeat > 1
                for axis in range(len(shapes[factor.parameter])):
                    if axis != factor.axis:
                        places.setdefault((factor.parameter, axis), []).append((key, at))
                        at += 1
    scales = {}
    for name, scale in continuous.scales.items():
        members = []
        for parameter, axis, power in scale.members:
            for there, its_axis in moved.get(parameter, [(parameter, axis)]):
                if there in factors:
                    members += [Scaled(*p, power) for p in places.get((there, its_axis), [])]
                else:
                    members.append(Scaled(there, its_axis, power))
        # else one side went where a product's two sides met, which is not there any more
        if {member.power for member in members} == {1, -1}:
            scales[name] = Rescaling(scale.group, tuple(members))
    return scales


def _balance(
    state: State, layout: WeightLayout, symmetry: NeuronSymmetry, scales: Mapping[str, Rescaling]
) -> None:
    """Every neuron written with the same length as read, all at once; in place."""
    shapes = dict(layout.shapes)
    places = {
        name: [
            (
                member,
                symmetry.places_of(
                    scale.group, member.parameter, member.axis, shapes[member.parameter]
                ),
            )
            for member in scale.members
        ]
        for name, scale in scales.items()
    }
    for _ in range(SWEEPS if scales else 0):
        change = 0.0
        for members in places.values():
            change = max(change, _balance_one(state, members))
        if change < STEADY:
            return


def _balance_one(state: State, members: list[tuple[Scaled, list[tuple[int, AxisPart]]]]) -> float:
    """One step for all neurons of a group; returns the largest logarithm of a scale."""
    written, read = torch.zeros(()).double(), torch.zeros(()).double()
    for (parameter, axis, power), parts in members:
        value = state[parameter]
        others = [i for i in range(1, value.ndim) if i != axis + 1]
        by_entry = (
            torch.linalg.vector_norm(value, dim=others).square() if others else value.square()
        )
        for start, part in parts:
            some = by_entry[:, start : start + part.entries]
            some = some.unflatten(1, (part.neurons, part.block)).sum(dim=2)
            written, read = (written + some, read) if power > 0 else (written, read + some)
    names = [member.parameter for member, _ in members]
    is_alive = (written > 0) & (read > 0)
    ratio = torch.where(is_alive, read, 1.0) / torch.where(is_alive, written, 1.0)
    # weights between neurons of the group feel two scales at once: half the step
    scale = ratio ** (0.25 if len(set(names)) == len(names) else 0.125)
    for (parameter, axis, power), parts in members:
        scale_neurons(state[parameter], axis, parts, torch.where(is_alive, scale**power, 0.0))
    return float(scale.log().abs().max()) if scale.numel() else 0.0

"""Function-preserving transformations of a network, written as a table.

One dict from parameter to its axes says which group of neurons each axis counts: neurons of a
group may be reordered together everywhere, and, where the activation is odd, change sign. The
paper's section 2.3 names both; the table form makes every network of ours a few lines of data.
Axes made of several parts (concatenated channels), flips that a batch normalization undoes, and
continuous symmetries have a table each.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.errors import first_few
from novelweights.weights.continuous import Continuous
from novelweights.weights.layout import WeightLayout


class AxisPart(NamedTuple):
    """Consecutive entries of an axis: the neurons of one group, each `block` entries long."""

    group: str | None
    """None where nothing is reordered."""
    entries: int
    block: int = 1

    @property
    def neurons(self) -> int:
        """How many neurons these entries are."""
        return self.entries // self.block


class Flip(NamedTuple):
    """A sign that a normalization undoes: a filter, and the scale and running mean after it.

    Each neuron of the group may change sign along the first axis of these parameters, and nowhere
    else: batch normalization by running statistics then gives the same value.
    """

    group: str
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class NeuronSymmetry:
    """Per parameter, per axis: the group of neurons counted there, or None.

    Example: a one-hidden-layer MLP is
    ``{"hidden.weight": ("h", None), "hidden.bias": ("h",), "out.weight": (None, "h"), ...}``.

    Source: paper, section 2.3; the table is ours.
    """

    axes: Mapping[str, tuple[str | None, ...]]
    sign_groups: frozenset[str] = field(default_factory=frozenset)
    """Groups whose neurons may flip sign (odd activation: tanh, sine)."""
    blocks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Per parameter, per axis: consecutive entries that belong to one neuron, where there are
    several (the pixels of a channel after flattening); parameters not named have one."""
    joined: Mapping[str, Mapping[int, tuple[AxisPart, ...]]] = field(default_factory=dict)
    """Axes made of several parts, by parameter and axis; such an axis is None in `axes`."""
    flips: Mapping[str, Flip] = field(default_factory=dict)
    """Signs that a batch normalization undoes, by a name that no group has."""
    continuous: Continuous = field(default_factory=Continuous)
    """Scales, shifts and products, which a canonical form removes."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """By parameter, what could not be followed: whether more of it may move is not known."""

    @classmethod
    def from_parts(
        cls,
        parts: Mapping[str, tuple[tuple[AxisPart, ...], ...]],
        sign_groups: frozenset[str] = frozenset(),
        flips: Mapping[str, Flip] | None = None,
        continuous: Continuous | None = None,
    ) -> "NeuronSymmetry":
        """The table of parameters whose axes are given part by part, as `parts_of` gives them."""
        axes, blocks, joined = {}, {}, {}
        for name, by_axis in parts.items():
            whole = [found[0] if len(found) == 1 else AxisPart(None, 0) for found in by_axis]
            axes[name] = tuple(part.group for part in whole)
            if any(part.block > 1 for part in whole):
                blocks[name] = tuple(part.block for part in whole)
            several = {i: tuple(found) for i, found in enumerate(by_axis) if len(found) > 1}
            if several:
                joined[name] = several
        return cls(axes, sign_groups, blocks, joined, flips or {}, continuous or Continuous())

    def parts_of(self, name: str, shape: tuple[int, ...]) -> tuple[tuple[AxisPart, ...], ...]:
        """Each axis of a parameter as its parts, one after the other."""
        joined = self.joined.get(name, {})
        axes = zip(self.axes[name], shape, self.blocks_of(name), strict=True)
        return tuple(
            joined[axis] if axis in joined else (AxisPart(group, length, block),)
            for axis, (group, length, block) in enumerate(axes)
        )

    def places_of(
        self, group: str, name: str, axis: int, shape: tuple[int, ...]
    ) -> list[tuple[int, AxisPart]]:
        """First entry of each part of an axis that counts the neurons of a group, and the part."""
        places, start = [], 0
        for part in self.parts_of(name, shape)[axis]:
            if part.group == group:
                places.append((start, part))
            start += part.entries
        return places

    def sizes(self, layout: WeightLayout) -> dict[str, int]:
        """Number of neurons in each group.

        Raises:
            ValueError: The table and the layout do not describe the same parameters, or an axis
                disagrees with another about the size of a group.
        """
        sizes: dict[str, int] = {}
        shapes = dict(layout.shapes)
        if set(shapes) != set(self.axes):
            raise ValueError(
                f"the table has {sorted(self.axes)}, the layout {sorted(shapes)}: not one network"
            )
        for name, axes in self.axes.items():
            shape = shapes[name]
            if len(axes) != len(shape):
                raise ValueError(f"{name} has {len(shape)} axes, the table says {len(axes)}")
            blocks = self.blocks_of(name)
            if len(axes) != len(blocks):
                raise ValueError(f"{name} has {len(axes)} axes, its blocks {len(blocks)}")
            for parts, length in zip(self.parts_of(name, shape), shape, strict=True):
                if sum(part.entries for part in parts) != length:
                    raise ValueError(f"{name}: the parts of an axis do not add up to its {length}")
                for part in parts:
                    if part.group is None:
                        continue
                    size, rest = divmod(part.entries, part.block)
                    if rest or sizes.setdefault(part.group, size) != size:
                        raise ValueError(
                            f"{name}: {part.entries} entries in blocks of {part.block} are not the "
                            f"{sizes.get(part.group, size)} neurons of group {part.group}"
                        )
        for name, flip in self.flips.items():
            wrong = [p for p in flip.parameters if (self.axes.get(p) or (None,))[0] != flip.group]
            if wrong or name in sizes:
                raise ValueError(
                    f"flip {name}: {', '.join(wrong) or 'a group has this name'}; expected "
                    f"parameters whose first axis counts the neurons of {flip.group}"
                )
        self._check_continuous(shapes, sizes)
        return sizes

    def _check_continuous(self, shapes: Mapping[str, tuple[int, ...]], sizes: dict) -> None:
        """Refuse scales, shifts, normalizations and products that do not fit the parameters."""
        continuous = self.continuous
        for name, scale in continuous.scales.items():
            if {member.power for member in scale.members} != {1, -1}:
                raise ValueError(
                    f"scale {name}: expected places where neurons are written (power 1) and places "
                    "where they are read (-1)"
                )
            for parameter, axis, power in scale.members:
                shape = shapes.get(parameter, ())
                parts = self.parts_of(parameter, shape)[axis] if 0 <= axis < len(shape) else ()
                if power not in (1, -1) or all(part.group != scale.group for part in parts):
                    raise ValueError(
                        f"scale {name}: axis {axis} of {parameter} with power {power}; expected an "
                        f"axis that counts the neurons of {scale.group}, with power 1 or -1"
                    )
        for parameter, axis in continuous.shifts:
            if not 0 <= axis < len(shapes.get(parameter, ())):
                raise ValueError(f"shift of {parameter}: expected a parameter with axis {axis}")
        for name, entry in continuous.normalizations.items():
            named = (*entry.filters, *(part for part in entry.parts if part is not None))
            channels = {shapes.get(parameter, (0,))[0] for parameter in named}
            if not entry.filters or len(channels) > 1:
                raise ValueError(
                    f"normalization {name}: {', '.join(named)}; expected parameters whose first "
                    "axes count the same channels"
                )
        if overlapping := continuous.overlapping():
            raise ValueError(
                f"product {', '.join(overlapping)}: expected entries of no other product, and no "
                "filters before a normalization"
            )
        for name, product in continuous.products.items():
            if min(product.heads, product.block) < 1 or bool(product.left) != bool(product.right):
                raise ValueError(f"product {name}: expected two sides, or entries without effect")
            if product.group is not None and sizes.get(product.group) != product.heads:
                raise ValueError(
                    f"product {name}: {product.heads} heads; expected the "
                    f"{sizes.get(product.group, 0)} of group {product.group}"
                )
            for factor in product.factors:
                parameter, axis, start, repeat = factor
                end = product.entries_of(factor).stop
                shape = shapes.get(parameter, ())
                if repeat < 1 or not 0 <= axis < len(shape) or not 0 <= start <= end <= shape[axis]:
                    raise ValueError(
                        f"product {name}: entries {start} to {end} of axis {axis} of "
                        f"{parameter}, which is {'x'.join(map(str, shape)) or 'missing'}"
                    )

    def describe_unknown(self) -> str:
        """Of which parameters it is not known whether more may move, and why; "" for none."""
        by_reason: dict[str, list[str]] = {}
        for name, why in self.unknown.items():
            by_reason.setdefault(why, []).append(name)
        return "; ".join(f"{first_few(names)} ({why})" for why, names in by_reason.items())

    def blocks_of(self, name: str) -> tuple[int, ...]:
        """Entries of one neuron along each axis of a parameter."""
        return self.blocks.get(name, (1,) * len(self.axes[name]))

    def only(self, names: Iterable[str]) -> "NeuronSymmetry":
        """How the symmetries act on some of the parameters."""
        axes = {name: self.axes[name] for name in names}
        joined = {name: entry for name, entry in self.joined.items() if name in axes}
        groups = {group for entry in axes.values() for group in entry}
        groups |= {part.group for e in joined.values() for parts in e.values() for part in parts}
        flips = {
            name: Flip(flip.group, tuple(p for p in flip.parameters if p in axes))
            for name, flip in self.flips.items()
            if axes.keys() & set(flip.parameters)
        }
        blocks = {name: entry for name, entry in self.blocks.items() if name in axes}
        unknown = {name: why for name, why in self.unknown.items() if name in axes}
        continuous = self.continuous.only(axes)
        signs = self.sign_groups & groups
        return NeuronSymmetry(axes, signs, blocks, joined, flips, continuous, unknown)

    def to_json(self) -> dict:
        """Plain data for `population.json`."""
        joined = {
            name: {str(axis): parts for axis, parts in entry.items()}
            for name, entry in self.joined.items()
        }
        optional = {
            "blocks": dict(self.blocks),
            "joined": joined,
            "flips": {name: flip._asdict() for name, flip in self.flips.items()},
            "continuous": self.continuous.to_json() if self.continuous else {},
            "unknown": dict(self.unknown),
        }
        data = {"axes": dict(self.axes), "sign_groups": sorted(self.sign_groups)}
        return data | {name: entry for name, entry in optional.items() if entry}

    @classmethod
    def from_json(cls, data: Mapping) -> "NeuronSymmetry":
        """The table in plain data written by `to_json`."""
        joined = {
            name: {int(axis): tuple(AxisPart(*part) for part in parts) for axis, parts in e.items()}
            for name, e in data.get("joined", {}).items()
        }
        flips = {
            name: Flip(entry["group"], tuple(entry["parameters"]))
            for name, entry in data.get("flips", {}).items()
        }
        return cls(
            {name: tuple(axes) for name, axes in data["axes"].items()},
            frozenset(data.get("sign_groups", ())),
            {name: tuple(entry) for name, entry in data.get("blocks", {}).items()},
            joined,
            flips,
            Continuous.from_json(data.get("continuous", {})),
            dict(data.get("unknown", {})),
        )


def transform(
    weights: Float[Tensor, "n d"],
    layout: WeightLayout,
    symmetry: NeuronSymmetry,
    permutations: Mapping[str, Int[Tensor, "n _"]],
    signs: Mapping[str, Float[Tensor, "n _"]] | None = None,
) -> Float[Tensor, "n d"]:
    """Every checkpoint with its neurons reordered (and flipped): the same functions.

    Args:
        permutations: Per group and checkpoint, the old index of each new neuron.
        signs: Per group or flip, and checkpoint, +1 or -1 for each new neuron.
    """
    moved = []
    signs = {} if signs is None else signs
    state = layout.unflatten(weights)
    flipped = {
        parameter: signs[name]
        for name, flip in symmetry.flips.items()
        if name in signs
        for parameter in flip.parameters
    }
    for name, shape in layout.shapes:
        value = state[name]
        for axis, parts in enumerate(symmetry.parts_of(name, shape), start=1):
            if all(part.group is None for part in parts):
                continue
            pieces = value.split([part.entries for part in parts], dim=axis)
            done = [
                _moved_part(piece, axis, part, permutations, signs)
                for piece, part in zip(pieces, parts, strict=True)
            ]
            value = torch.cat(done, dim=axis) if len(done) > 1 else done[0]
        if name in flipped:
            value = value * flipped[name].reshape(*flipped[name].shape, *[1] * (value.ndim - 2))
        moved.append(value.reshape(len(weights), -1))
    return torch.cat(moved, dim=1)


def _moved_part(
    value: Tensor,
    axis: int,
    part: AxisPart,
    permutations: Mapping[str, Int[Tensor, "n _"]],
    signs: Mapping[str, Float[Tensor, "n _"]],
) -> Tensor:
    """One part of an axis with its neurons reordered and flipped."""
    shape = [len(value)] + [1] * (value.ndim - 1)
    shape[axis] = -1
    if part.group is not None and part.group in permutations:
        index = permutations[part.group]
        if part.block > 1:
            index = (part.block * index[:, :, None] + torch.arange(part.block)).flatten(1)
        value = value.gather(axis, index.reshape(shape).expand(value.shape))
    if part.group is not None and part.group in signs:
        flips = signs[part.group].repeat_interleave(part.block, dim=1)
        value = value * flips.reshape(shape)
    return value


def random_element(
    n: int, layout: WeightLayout, symmetry: NeuronSymmetry, *, rng: torch.Generator
) -> tuple[dict[str, Int[Tensor, "n _"]], dict[str, Float[Tensor, "n _"]]]:
    """n random elements of a symmetry group, uniform over it: permutations by group and signs by
    group or flip, as `transform` takes them."""

    def signs_of(size: int) -> Float[Tensor, "n _"]:
        return 2.0 * torch.randint(0, 2, (n, size), generator=rng) - 1.0

    permutations, signs = {}, {}
    sizes = symmetry.sizes(layout)
    for group, size in sizes.items():
        permutations[group] = torch.rand(n, size, generator=rng).argsort(dim=1)
        if group in symmetry.sign_groups:
            signs[group] = signs_of(size)
    for name, flip in symmetry.flips.items():
        signs[name] = signs_of(sizes[flip.group])
    return permutations, signs


def random_transform(
    weights: Float[Tensor, "n d"],
    layout: WeightLayout,
    symmetry: NeuronSymmetry,
    *,
    rng: torch.Generator,
) -> Float[Tensor, "n d"]:
    """Permuted copies: each checkpoint moved by a random element, uniform over the group."""
    element = random_element(len(weights), layout, symmetry, rng=rng)
    return transform(weights, layout, symmetry, *element)


def hidden_and_output(layout: WeightLayout) -> tuple[str, str, str, str] | None:
    """The parameters of a network with one hidden layer, whatever their order in the layout.

    Returns:
        Names of the hidden weight and bias and the output weight and bias, where exactly one
        reading fits: two matrices, each with a vector of its own (the longest common beginning
        of their names) as long as it has rows, the second with a column per row of the first.
        None otherwise.
    """
    matrices = [(name, shape) for name, shape in layout.shapes if len(shape) == 2]
    vectors = [(name, shape) for name, shape in layout.shapes if len(shape) == 1]
    if len(matrices) != 2 or len(vectors) != 2 or len(layout.shapes) != 4:
        return None
    modules = []
    for first, second in ((0, 1), (1, 0)):
        (w1, a), (w2, c) = matrices[first], matrices[second]
        for (b1, b), (b2, d) in (vectors, vectors[::-1]):
            fits = b[0] == a[0] and c[1] == a[0] and d[0] == c[0]
            if fits and _same_module(w1, b1) and _same_module(w2, b2):
                modules.append((w1, b1, w2, b2))
    if len(modules) == 2:  # square layers: as many inputs, neurons and classes; trust the order
        modules = [names for names in modules if names[0] == matrices[0][0]]
    return modules[0] if len(modules) == 1 else None


def _same_module(weight: str, bias: str) -> bool:
    return weight.rpartition(".")[0] == bias.rpartition(".")[0]


def one_hidden_layer(layout: WeightLayout) -> NeuronSymmetry | None:
    """The permutations of a network with one hidden layer, where the layout shows that it is one.

    Sign flips depend on the activation, which a layout does not show.
    """
    names = hidden_and_output(layout)
    if names is None:
        return None
    w1, b1, w2, b2 = names
    axes = {w1: ("h", None), b1: ("h",), w2: (None, "h"), b2: (None,)}
    return NeuronSymmetry({name: axes[name] for name, _ in layout.shapes})

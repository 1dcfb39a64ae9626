"""Function-preserving transformations of a network, written as a table.

One dict from parameter to its axes says which group of neurons each axis counts: neurons of a
group may be reordered together everywhere, and, where the activation is odd, change sign. The
paper's section 2.3 names both; the table form makes every network of ours a few lines of data.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.weights.layout import WeightLayout


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
            if len(axes) != len(shapes[name]):
                raise ValueError(f"{name} has {len(shapes[name])} axes, the table says {len(axes)}")
            blocks = self.blocks_of(name)
            if len(axes) != len(blocks):
                raise ValueError(f"{name} has {len(axes)} axes, its blocks {len(blocks)}")
            for group, length, block in zip(axes, shapes[name], blocks, strict=True):
                if group is None:
                    continue
                size, rest = divmod(length, block)
                if rest or sizes.setdefault(group, size) != size:
                    raise ValueError(
                        f"{name}: {length} entries in blocks of {block} are not the "
                        f"{sizes.get(group, size)} neurons of group {group}"
                    )
        return sizes

    def blocks_of(self, name: str) -> tuple[int, ...]:
        """Entries of one neuron along each axis of a parameter."""
        return self.blocks.get(name, (1,) * len(self.axes[name]))

    def only(self, names: Iterable[str]) -> "NeuronSymmetry":
        """How the moves act on some of the parameters."""
        axes = {name: self.axes[name] for name in names}
        groups = {group for entry in axes.values() for group in entry if group is not None}
        blocks = {name: entry for name, entry in self.blocks.items() if name in axes}
        return NeuronSymmetry(axes, self.sign_groups & groups, blocks)

    def to_json(self) -> dict:
        """Plain data for `population.json`."""
        data = {
            "axes": {name: list(axes) for name, axes in self.axes.items()},
            "sign_groups": sorted(self.sign_groups),
        }
        if self.blocks:
            data["blocks"] = {name: list(entry) for name, entry in self.blocks.items()}
        return data

    @classmethod
    def from_json(cls, data: Mapping) -> "NeuronSymmetry":
        """The table in plain data written by `to_json`."""
        return cls(
            {name: tuple(axes) for name, axes in data["axes"].items()},
            frozenset(data.get("sign_groups", ())),
            {name: tuple(entry) for name, entry in data.get("blocks", {}).items()},
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
        weights: Weight vectors.
        layout: Their parameters.
        symmetry: The table that says which axes move together.
        permutations: Per group and checkpoint, the old index of each new neuron.
        signs: Per group and checkpoint, +1 or -1 for each new neuron.
    """
    moved = []
    state = layout.unflatten(weights)
    for name, _ in layout.shapes:
        value = state[name]
        axes = zip(symmetry.axes[name], symmetry.blocks_of(name), strict=True)
        for axis, (group, block) in enumerate(axes, start=1):
            if group is None:
                continue
            shape = [len(value)] + [1] * (value.ndim - 1)
            shape[axis] = -1
            if group in permutations:
                index = permutations[group]
                if block > 1:
                    index = (block * index[:, :, None] + torch.arange(block)).flatten(1)
                value = value.gather(axis, index.reshape(shape).expand(value.shape))
            if signs is not None and group in signs:
                flips = signs[group].repeat_interleave(block, dim=1)
                value = value * flips.reshape(shape)
        moved.append(value.reshape(len(weights), -1))
    return torch.cat(moved, dim=1)


def random_element(
    n: int, layout: WeightLayout, symmetry: NeuronSymmetry, *, rng: torch.Generator
) -> tuple[dict[str, Int[Tensor, "n _"]], dict[str, Float[Tensor, "n _"]]]:
    """n random elements of a symmetry group, uniform over it: permutations and signs by group,
    as `transform` takes them."""
    permutations, signs = {}, {}
    for group, size in symmetry.sizes(layout).items():
        permutations[group] = torch.rand(n, size, generator=rng).argsort(dim=1)
        if group in symmetry.sign_groups:
            signs[group] = 2.0 * torch.randint(0, 2, (n, size), generator=rng) - 1.0
    return permutations, signs


def random_transform(
    weights: Float[Tensor, "n d"],
    layout: WeightLayout,
    symmetry: NeuronSymmetry,
    *,
    rng: torch.Generator,
) -> Float[Tensor, "n d"]:
    """Every checkpoint moved by a random element of its symmetry group, uniform over the group."""
    return transform(
        weights, layout, symmetry, *random_element(len(weights), layout, symmetry, rng=rng)
    )


def neuron_features(
    weights: Float[Tensor, "n d"], layout: WeightLayout, symmetry: NeuronSymmetry
) -> tuple[Float[Tensor, "n neurons features"], Float[Tensor, "n rest"]]:
    """Weights gathered by neuron, for a network with one group, and the weights outside it.

    With one hidden layer each weight touches at most one neuron of the group, so squared distance
    is a sum over neurons plus the rest, and the best permutation is a linear assignment.

    Raises:
        ValueError: Not exactly one group, or a parameter with the group on two axes.
    """
    sizes = symmetry.sizes(layout)
    if len(sizes) != 1:
        raise ValueError(f"expected one group of neurons, got {sorted(sizes)}")
    [(group, neurons)] = sizes.items()
    features, rest = [], []
    state = layout.unflatten(weights)
    for name, _ in layout.shapes:
        axes = [axis for axis, g in enumerate(symmetry.axes[name], start=1) if g == group]
        if len(axes) > 1 or name in symmetry.blocks:
            raise ValueError(f"{name} counts {group} twice or in blocks: not one hidden layer")
        if axes:
            features.append(state[name].movedim(axes[0], 1).reshape(len(weights), neurons, -1))
        else:
            rest.append(state[name].reshape(len(weights), -1))
    outside = torch.cat(rest, dim=1) if rest else weights.new_zeros(len(weights), 0)
    return torch.cat(features, dim=2), outside


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
    found = []
    for first, second in ((0, 1), (1, 0)):
        (w1, a), (w2, c) = matrices[first], matrices[second]
        for (b1, b), (b2, d) in (vectors, vectors[::-1]):
            fits = b[0] == a[0] and c[1] == a[0] and d[0] == c[0]
            if fits and _same_module(w1, b1) and _same_module(w2, b2):
                found.append((w1, b1, w2, b2))
    if len(found) == 2:  # square layers: as many inputs, neurons and classes; trust the order
        found = [names for names in found if names[0] == matrices[0][0]]
    return found[0] if len(found) == 1 else None


def _same_module(weight: str, bias: str) -> bool:
    return weight.rpartition(".")[0] == bias.rpartition(".")[0]


def one_hidden_layer(layout: WeightLayout) -> NeuronSymmetry | None:
    """The permutations of a network with one hidden layer, where the layout shows that it is one.

    Sign flips depend on the activation, which a layout does not tell.
    """
    names = hidden_and_output(layout)
    if names is None:
        return None
    w1, b1, w2, b2 = names
    axes = {w1: ("h", None), b1: ("h",), w2: (None, "h"), b2: (None,)}
    return NeuronSymmetry({name: axes[name] for name, _ in layout.shapes})

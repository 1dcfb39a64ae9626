"""The symmetries of a plain chain of layers, from names and shapes alone.

For folders of state dicts without code. A layout does not show shortcuts, so only names of a plain
sequence are read (fc1, fc2; layers.0; features.3, classifier.1), and everything else is answered
with the reason why not. Signs depend on activations, which no layout shows either. Ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from novelweights.weights.layout import STATISTICS, WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry, one_hidden_layer

CONTAINERS = frozenset(
    {
        *("net", "network", "model", "module", "module_list", "main", "body", "mlp", "cnn"),
        *("layers", "hidden", "hidden_layers", "features", "classifier", "seq", "sequential"),
        *("fc", "fcs", "linears", "convs", "conv_layers", "fc_layers", "linear_layers"),
    }
)
"""What a sequence of layers is called in common use."""
LAYERS = frozenset(
    {
        *("fc", "linear", "lin", "dense", "hidden", "layer", "l", "conv", "conv1d", "conv2d"),
        *("bn", "batchnorm", "batch_norm", "norm"),
    }
)
"""What a layer of a sequence is called, a number behind it or not."""
LAST = frozenset(
    {"out", "output", "head", "classifier", "logits", "fc_out", "output_layer", "last", "final"}
)
"""What only the last layer is called: two of them would be branches."""


class _Ambiguous(Exception):
    """The layout fits more than one network, or none that is understood."""


@dataclass(frozen=True)
class _Layer:
    """The parameters of one layer, by the last part of their names."""

    name: str
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def is_norm(self) -> bool:
        """Statistics of every channel are stored."""
        return all(part in self.shapes for part in STATISTICS)

    @property
    def weight(self) -> tuple[int, ...]:
        """Shape of a matrix or kernel: outputs, inputs, and the sizes of the kernel."""
        return self.shapes["weight"]


def symmetry_of_layout(layout: WeightLayout) -> NeuronSymmetry | str:
    """The neurons that may be reordered, where names and shapes leave no doubt.

    Multilayer perceptrons of any depth; convolutional networks without branches, their channels
    flattened before the first dense layer or averaged; batch normalizations after any layer.

    Returns:
        The table, groups named after the layer that produces them (`one_hidden_layer`'s where it
        finds one); or a sentence that says why there is none.

    Source: ours.
    """
    if (found := one_hidden_layer(layout)) is not None:
        return found
    try:
        layers = _layers(layout)
        _check_names(layers)
        _check_kinds(layers)
        maps = [layer for layer in layers if not layer.is_norm]
        _check_chain(maps)
        return _table(layout, layers, maps)
    except _Ambiguous as reason:
        return str(reason)


def known_symmetry(layout: WeightLayout) -> NeuronSymmetry | None:
    """The table of `symmetry_of_layout`; None where there is none."""
    symmetry = symmetry_of_layout(layout)
    return None if isinstance(symmetry, str) else symmetry


def _layers(layout: WeightLayout) -> list[_Layer]:
    """The layers in the order of the layout."""
    by_name: dict[str, dict[str, tuple[int, ...]]] = {}
    for parameter, shape in layout.shapes:
        name, _, part = parameter.rpartition(".")
        if not name or part not in ("weight", "bias", *STATISTICS):
            raise _Ambiguous(
                f"{parameter} is neither the weight, the bias nor a running statistic of a layer, "
                "so the layout alone does not show what it does"
            )
        if name in by_name and name != next(reversed(by_name)):
            raise _Ambiguous(
                f"the parameters of {name} are not together, so their order says little"
            )
        by_name.setdefault(name, {})[part] = shape
    if not by_name:
        raise _Ambiguous("the layout is empty")
    return [_Layer(name, shapes) for name, shapes in by_name.items()]


def _check_names(layers: list[_Layer]) -> None:
    """Only names of a plain sequence, in rising order."""
    numbers: dict[str, int] = {}
    before = ("", "")
    for layer in layers:
        *containers, own = layer.name.split(".")
        word = own.rstrip("0123456789")
        word, number = word.rstrip("_"), own[len(word) :]
        is_known = word in LAYERS | LAST or (not word and number)
        if not is_known or not CONTAINERS.issuperset(containers):
            raise _Ambiguous(
                f"{layer.name} is not the name of a layer in a plain sequence (such as fc1, conv2, "
                "layers.0, features.3), so there may be shortcuts or branches that a layout does "
                "not show"
            )
        if word in LAST and layer is not layers[-1]:
            raise _Ambiguous(f"{layer.name} is not the last layer, so there may be branches")
        key = ".".join([*containers, word])
        if int(number or 0) <= numbers.get(key, -1):
            raise _Ambiguous(f"{layer.name} comes after a higher number, so the order is not known")
        numbers[key] = int(number or 0)
        if layer.is_norm and word and before[1] != number:
            raise _Ambiguous(
                f"{layer.name} does not have the number of the layer before it, so it is not known "
                "which layer it normalizes"
            )
        before = (word, number)


def _check_kinds(layers: list[_Layer]) -> None:
    """Only dense layers, convolutions and batch normalizations, each after its own layer."""
    for i, layer in enumerate(layers):
        before = layers[i - 1] if i else None
        weight = layer.shapes.get("weight", ())
        if layer.is_norm:
            if before is None or before.is_norm:
                raise _Ambiguous(f"{layer.name} is a normalization without a layer before it")
            if any(shape != before.weight[:1] for shape in layer.shapes.values()):
                raise _Ambiguous(
                    f"{layer.name} does not have one entry for each of the {before.weight[0]} "
                    f"outputs of {before.name}"
                )
        elif len(weight) < 2 or not {"weight", "bias"}.issuperset(layer.shapes):
            raise _Ambiguous(
                f"{layer.name} has no matrix, no kernel and no running statistics: it may be a "
                "normalization of groups of channels, or something else"
            )
        elif layer.shapes.get("bias", weight[:1]) != weight[:1]:
            raise _Ambiguous(f"the bias of {layer.name} is not as long as its weight has rows")


def _check_chain(maps: list[_Layer]) -> None:
    """Each layer takes what the one before it gives, in one way only."""
    for before, layer in pairwise(maps):
        made, taken = before.weight[0], layer.weight[1]
        if len(layer.weight) > 2 and len(layer.weight) != len(before.weight):
            raise _Ambiguous(f"the convolution {layer.name} comes after another kind of layer")
        flattens = len(before.weight) > 2 and len(layer.weight) == 2
        if taken % made if flattens else taken != made:
            raise _Ambiguous(
                f"{before.name} gives {made} values and {layer.name} takes {taken}, so they are "
                "not a chain"
            )
    first, last = maps[0], maps[-1]
    if len(first.weight) == 2 and first.weight[0] == first.weight[1] and "bias" not in first.shapes:
        raise _Ambiguous(f"{first.name} is a square matrix without a bias: it may be an embedding")
    is_dense = len(last.weight) == 2
    if not is_dense and (
        any(layer.weight[0] == layer.weight[1] for layer in maps)
        or all(before.weight[1] == layer.weight[0] for before, layer in pairwise(maps))
    ):
        raise _Ambiguous(
            "there are only convolutions, and their shapes do not show whether they are transposed"
        )


def _table(layout: WeightLayout, layers: list[_Layer], maps: list[_Layer]) -> NeuronSymmetry:
    """The table of a chain."""
    axes: dict[str, tuple[str | None, ...]] = {}
    blocks = {}
    out, channels = None, 1
    for layer in layers:
        if layer.is_norm:
            axes |= {f"{layer.name}.{part}": (out,) for part in layer.shapes}
            continue
        into, block = out, layer.weight[1] // channels
        channels = layer.weight[0]
        out = layer.name if layer is not maps[-1] and channels > 1 else None
        weight = f"{layer.name}.weight"
        kernel = len(layer.weight) - 2
        axes[weight] = (out, into, *[None] * kernel)
        if into is not None and block > 1:
            blocks[weight] = (1, block, *[1] * kernel)
        axes[f"{layer.name}.bias"] = (out,)
    return NeuronSymmetry({name: axes[name] for name, _ in layout.shapes}, blocks=blocks)

import pytest
import torch
from torch import nn

from novelweights.networks.mlp import OneHiddenMLP
from novelweights.networks.neural_field import OccupancyField
from novelweights.networks.resnet import ResNet18
from novelweights.networks.small_cnn import GRAY_CNN
from novelweights.networks.symmetry_of import layout_of, symmetry_of
from novelweights.weights.chain import symmetry_of_layout
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry, one_hidden_layer


def layout(text):
    """Layers by name and shape of the weight, "b" for a bias, "n" for a bias and statistics."""
    found = []
    for layer in text.split("; "):
        name, shape, *more = layer.split(" ")
        shape = tuple(map(int, shape.split("x")))
        found.append((f"{name}.weight", shape))
        if more:
            found.append((f"{name}.bias", shape[:1]))
        if more == ["n"]:
            found += [(f"{name}.running_mean", shape[:1]), (f"{name}.running_var", shape[:1])]
    return WeightLayout(tuple(found))


LAYERS = {
    **{"dense": nn.Linear, "conv": nn.Conv2d, "signal": nn.Conv1d, "mean": nn.AdaptiveAvgPool2d},
    **{"norm": nn.BatchNorm1d, "norm2": nn.BatchNorm2d, "pool": nn.MaxPool2d},
    **{"flatten": nn.Flatten, "relu": nn.ReLU, "tanh": nn.Tanh},
    "bare": lambda into, out: nn.Linear(into, out, bias=False),
    "statistics": lambda n: nn.BatchNorm1d(n, affine=False),
}


def network(text):
    """Layers by kind and sizes."""
    layers = (layer.split() for layer in text.split("; "))
    return nn.Sequential(*(LAYERS[kind](*map(int, sizes)) for kind, *sizes in layers))


PLAIN = [
    ("dense 4 5; relu; dense 5 5; relu; dense 5 6; tanh; dense 6 3", (2, 4)),
    ("bare 4 5; relu; bare 5 6; relu; bare 6 3", (2, 4)),
    ("dense 4 5; norm 5; relu; dense 5 6; statistics 6; relu; dense 6 3", (2, 4)),
    (
        "conv 1 4 3; norm2 4; relu; conv 4 4 3; relu; pool 2; flatten; dense 16 7; relu; dense 7 3",
        (2, 1, 8, 8),
    ),
    ("conv 1 4 3; relu; conv 4 5 3; mean 1; flatten; dense 5 3", (2, 1, 8, 8)),
    ("signal 2 4 3; relu; signal 4 3 3; flatten; dense 12 3", (2, 2, 8)),
    ("conv 1 4 3; relu; conv 4 5 3; relu; conv 5 2 1", (2, 1, 8, 8)),
    ("dense 4 3", (2, 4)),
    ("dense 4 5; relu; dense 5 1; relu; dense 1 3", (2, 4)),
]


@pytest.mark.parametrize(("layers", "shape"), PLAIN)
def test_the_table_is_that_of_the_module(layers, shape):
    module = network(layers)
    by_run = symmetry_of(module, torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    table = symmetry_of_layout(layout_of(module))
    assert table == NeuronSymmetry(by_run.axes, blocks=by_run.blocks)


def same_but_for_names(table, other):
    pairs = {
        pair
        for name, axes in table.axes.items()
        for pair in zip(axes, other.axes[name], strict=True)
    }
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
    assert table.blocks == other.blocks
    assert set(table.axes) == set(other.axes)


def test_our_plain_networks_have_the_tables_written_by_hand():
    for ours in (GRAY_CNN, OccupancyField(width=7)):
        table = symmetry_of_layout(ours.layout)
        assert isinstance(table, NeuronSymmetry)
        same_but_for_names(table, ours.symmetry)


def test_one_hidden_layer_has_the_table_it_always_had():
    plain = OneHiddenMLP(5, 4, 3, "relu").layout
    renamed = WeightLayout(tuple((f"any.{name}", shape) for name, shape in plain.shapes))
    for layout_ in (plain, renamed, WeightLayout(plain.shapes[::-1])):
        table = symmetry_of_layout(layout_)
        assert table == one_hidden_layer(layout_)
        assert isinstance(table, NeuronSymmetry)


@pytest.mark.parametrize(
    "names",
    [
        ("fc1", "fc2", "fc3", "fc4"),
        ("layers.0", "layers.1", "layers.2", "layers.3"),
        ("hidden.0", "hidden.2", "hidden.4", "out"),
        ("module_list.0", "module_list.3", "module_list.6", "module_list.9"),
        ("net.layers.0", "net.layers.2", "net.layers.10", "net.output_layer"),
        ("linear_1", "linear_2", "linear_3", "head"),
    ],
)
def test_names_of_a_plain_sequence_are_read(names):
    shapes = ("5x4", "5x5", "6x5", "3x6")
    layers = "; ".join(f"{n} {shape} b" for n, shape in zip(names, shapes, strict=True))
    table = symmetry_of_layout(layout(layers))
    assert isinstance(table, NeuronSymmetry)
    assert table.axes[f"{names[1]}.weight"] == (names[1], names[0])
    assert table.axes[f"{names[3]}.weight"] == (None, names[2])
    assert table.axes[f"{names[3]}.bias"] == (None,)


def test_the_common_classifiers_are_read():
    vgg = layout(
        "features.0 4x3x3x3 b; features.1 4 n; features.4 4x4x3x3 b; features.5 4 n; "
        "classifier.0 9x196 b; classifier.3 9x9 b; classifier.6 3x9 b"
    )
    table = symmetry_of_layout(vgg)
    assert isinstance(table, NeuronSymmetry)
    assert table.axes["features.5.running_var"] == ("features.4",)
    assert table.blocks == {"classifier.0.weight": (1, 49)}
    lenet = layout(
        "conv1 6x1x5x5 b; bn1 6 n; conv2 16x6x5x5 b; bn2 16 n; fc1 12x256 b; fc2 8x12 b; fc3 10x8 b"
    )
    table = symmetry_of_layout(lenet)
    assert isinstance(table, NeuronSymmetry)
    assert table.sizes(lenet) == {"conv1": 6, "conv2": 16, "fc1": 12, "fc2": 8}


REFUSED = {
    "blocks": ("fc1 5x4 b; layer1.0.fc1 5x5 b; fc2 3x5 b", "layer1.0.fc1"),
    "a list of blocks": ("layers.0.fc 5x4; layers.1.fc 5x5; out 3x5", "layers.0.fc"),
    "shortcut": ("fc1 5x4; fc2 5x5; shortcut 5x5; fc3 3x5", "shortcut"),
    "residual": ("fc1 5x4; res1 5x5; fc3 3x5", "res1"),
    "attention": ("attn.qkv 15x5 b; attn.proj 5x5 b; fc 3x5", "attn.qkv"),
    "embedding": ("embedding 9x5; fc1 6x5 b; fc2 3x6 b", "embedding"),
    "square embedding": ("0 5x5; 1 6x5 b; 3 3x6 b", "embedding"),
    "layer normalization": ("0 5x4 b; 1 5 b; 3 3x5 b", "1 has no"),
    "slopes": ("0 5x4 b; 1 5; 2 3x5 b", "1 has no"),
    "two heads": ("fc1 5x4 b; head1 5x5 b; head2 3x5 b", "head1"),
    "no chain": ("fc1 5x4 b; fc2 6x7 b; fc3 3x6 b", "fc1 gives 5 values and fc2 takes 7"),
    "joined inputs": ("0 5x4 b; 2 6x9 b; 4 3x6 b", "2 takes 9"),
    "a filter per channel": ("0 4x3x3x3; 1 4x1x3x3; 2 5x4x1x1", "1 takes 1"),
    "channels that are not whole": ("0 4x1x3x3; 1 6x3x3x3; 2 5x40", "1 takes 3"),
    "flattened to no whole channels": ("0 4x1x3x3; 2 5x10; 4 2x5", "2 takes 10"),
    "images made of vectors": ("0 8x4 b; 1 2x8x3x3 b; 2 1x2x3x3", "convolution 1"),
    "signals and images": ("0 4x2x3; 1 5x4x3x3; 2 2x5", "convolution 1"),
    "perhaps transposed": ("0 4x4x3x3; 1 2x4x3x3", "transposed"),
    "transposed both ways": ("0 4x3x3x3; 1 3x4x3x3", "transposed"),
    "normalized inputs": ("0 4 n; 1 5x4 b; 3 2x5 b", "0 is a normalization"),
    "two normalizations": ("conv1 4x3x3x3; conv2 4x4x3x3; bn1 4 n; bn2 4 n; fc 2x4", "bn1"),
    "twice normalized": ("0 5x4; 1 5 n; 2 5 n; 3 2x5", "2 is a normalization"),
    "other normalization": ("0 4x1x3x3; 2 36 n; 3 2x36", "4 outputs of 0"),
    "falling numbers": ("fc2 5x4; fc1 6x5; fc3 2x6", "fc1"),
    "branches of an encoder": ("fc1 5x4; fc21 5x5; fc22 5x5; fc3 4x5", "fc3"),
    "recurrent": ("input 5x4 b; hidden 5x5 b; out 3x5 b", "input"),
}
"""Layouts that are no chain for sure, and what the reason names."""
OTHER_KINDS = {
    "layout": (),
    "w1": (("w1", (5, 4)), ("w2", (3, 5))),
    "rnn.weight_ih_l0": (("rnn.weight_ih_l0", (5, 4)), ("rnn.weight_hh_l0", (5, 5))),
    "bias of 0": (("0.weight", (5, 4)), ("0.bias", (4,)), ("1.weight", (3, 5))),
    "of 0 are": (("0.weight", (5, 4)), ("1.weight", (3, 5)), ("0.bias", (5,))),
    "0 has no": (("0.weight", (5, 4)), ("0.running_var", (5,)), ("1.weight", (3, 5))),
}
"""Parameters of other kinds, by what the reason names."""


@pytest.mark.parametrize(
    ("shapes", "named"),
    [*((layout(text), named) for text, named in REFUSED.values())]
    + [(WeightLayout(shapes), named) for named, shapes in OTHER_KINDS.items()],
    ids=[*REFUSED, *OTHER_KINDS],
)
def test_what_is_not_plain_is_answered_with_the_reason(shapes, named):
    answer = symmetry_of_layout(shapes)
    assert isinstance(answer, str)
    assert named in answer


def test_residual_networks_and_transformers_are_never_taken_for_chains():
    encoder = nn.TransformerEncoderLayer(4, 2, 4, batch_first=True)
    for module in (ResNet18(width=2, image_size=32).module(), encoder, nn.LSTM(4, 4), nn.GRU(3, 4)):
        assert isinstance(symmetry_of_layout(layout_of(module)), str)

"""Families of networks, their inputs and their groups written by hand; tables are derived once."""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import torch
from attention_families import (
    HeadsByThemselves,
    Llama,
    LowRank,
    PairwiseLayer,
    Transformer,
    TwoNames,
    without_norms,
)
from network_families import (
    Bottleneck,
    ChannelShuffle,
    Convolutional,
    DenseNet,
    FusedAttention,
    Gated,
    Gpt,
    GroupNormCnn,
    Mixer,
    MobileBlock,
    PaddedShortcut,
    PreActivation,
    ResidualMlp,
    ResNet,
    Several,
    Siren,
    Sliced,
    SqueezeExcite,
    TiedAutoencoder,
    UNet,
    Vgg,
    VisionTransformer,
    conv_autoencoder,
    lenet,
    mlp,
    noise,
    signal_network,
)
from torch import Tensor, nn

from novelweights.networks.symmetry_of import symmetry_of
from novelweights.weights.symmetry import NeuronSymmetry

TOKENS = torch.tensor([[1, 4, 2, 7, 3], [0, 10, 4, 4, 9]])


def each_channel_normalized():
    return GroupNormCnn(8, 8)


class Case(NamedTuple):
    network: Callable[[], nn.Module]
    example: Tensor | tuple[Tensor, ...]
    groups: dict[str, int]
    signs: set[str]
    flips: dict[str, str]
    table: NeuronSymmetry | None = None
    name: str = ""


def family(name, network, example, groups, signs=(), flips=None):
    return Case(network, example, groups, set(signs), flips or {}, name=name)


FAMILIES = [
    family("mlp, one hidden layer", lambda: mlp(4, 5, 3), noise(3, 4), {"0": 5}),
    family("mlp, two hidden layers", lambda: mlp(4, 5, 6, 3), noise(3, 4), {"0": 5, "2": 6}),
    family(
        "mlp, three hidden layers, tanh",
        lambda: mlp(4, 5, 5, 6, 3, activation=nn.Tanh),
        noise(3, 4),
        {"0": 5, "2": 5, "4": 6},
        {"0", "2", "4"},
    ),
    family("LeNet", lenet, noise(2, 1, 28, 28), {"0": 6, "3": 8, "7": 12}),
    family(
        "VGG",
        lambda: Vgg(norm=False),
        noise(2, 3, 16, 16),
        {"features.0": 4, "features.3": 6, "features.5": 5, "classifier.0": 9, "classifier.3": 7},
    ),
    family(
        "VGG with batch normalization",
        lambda: Vgg(norm=True),
        noise(2, 3, 16, 16),
        {"features.0": 4, "features.4": 6, "features.7": 5, "classifier.0": 9, "classifier.3": 7},
        flips={"features.1": "features.0", "features.5": "features.4", "features.8": "features.7"},
    ),
    family(
        "ResNet with basic blocks",
        ResNet,
        noise(2, 3, 8, 8),
        {
            **{"conv1": 4, "layer1.0.conv1": 4, "layer1.1.conv1": 4},
            **{"layer2.0.downsample.0": 6, "layer2.0.conv1": 6, "layer2.1.conv1": 6},
        },
        flips={
            **{"bn1": "conv1", "layer1.0.bn2": "conv1", "layer1.1.bn2": "conv1"},
            **{f"{at}.bn1": f"{at}.conv1" for at in ("layer1.0", "layer1.1")},
            **{f"{at}.bn1": f"{at}.conv1" for at in ("layer2.0", "layer2.1")},
            **{
                f"layer2.{norm}": "layer2.0.downsample.0"
                for norm in ("0.downsample.1", "0.bn2", "1.bn2")
            },
        },
    ),
    family(
        "ResNet, activation first",
        PreActivation,
        noise(2, 3, 6, 6),
        {"stem": 4, "conv1": 5},
        flips={"norm2": "conv1"},  # the stem's outputs go round the block as well
    ),
    family(
        "ResNet with bottlenecks",
        Bottleneck,
        noise(2, 3, 6, 6),
        {"stem": 8, "conv1": 3, "conv2": 3},
        flips={"bn1": "conv1", "bn2": "conv2", "bn3": "stem"},
    ),
    family(
        "ResNeXt, three groups of two channels",
        lambda: Bottleneck(groups=3, width=6),
        noise(2, 3, 6, 6),
        {"stem": 8, "conv1": 3},
        flips={"bn3": "stem"},
    ),
    family(
        "MobileNet, a filter per channel",
        MobileBlock,
        noise(2, 3, 8, 8),
        {"stem": 4, "expand": 6},
        flips={"bn1": "expand", "bn2": "expand", "bn3": "stem"},
    ),
    family(
        "group normalization, two groups of four",
        lambda: GroupNormCnn(2, 8),
        noise(2, 3, 8, 8),
        {"conv1": 4, "conv1#2": 4, "conv2": 5},  # 4! 4! moves, more than 2!
    ),
    family(
        "group normalization, four groups of two",
        lambda: GroupNormCnn(4, 8),
        noise(2, 3, 8, 8),
        {"conv1": 4, "conv2": 5},  # 4! moves of whole groups, more than 2!^4
    ),
    family(
        "group normalization, each channel",
        each_channel_normalized,
        noise(2, 3, 8, 8),
        {"conv1": 8, "conv2": 5},
    ),
    family(
        "U-Net",
        UNet,
        noise(2, 1, 8, 8),
        {"down1": 4, "down2": 6, "up": 5, "merge": 3},
        {"up"},  # no activation before the next convolution
    ),
    family(
        "DenseNet",
        DenseNet,
        noise(2, 3, 6, 6),
        {"stem": 4, "convs.0": 3, "convs.1": 3, "convs.2": 3},
    ),
    family(
        "autoencoder with tied weights",
        TiedAutoencoder,
        noise(3, 6),
        {"first": 5, "second": 3},
        {"first", "second"},
    ),
    family("residual mlp", ResidualMlp, noise(3, 5), {"into": 7, "blocks.0.1": 6, "blocks.1.1": 6}),
    family("MLP-Mixer", Mixer, noise(2, 3, 8, 8), {"patch": 6, "tokens.0": 5, "channels.0": 8}),
    family("SIREN", Siren, noise(7, 2), {"layers.0": 6, "layers.1": 5}, {"layers.0", "layers.1"}),
    family(
        "vision transformer",
        VisionTransformer,
        noise(2, 3, 8, 8),
        {
            "patch": 6,
            **{f"blocks.{i}.attn": 2 for i in (0, 1)},
            **{f"blocks.{i}.mlp.0": 7 for i in (0, 1)},
        },
    ),
    family(
        "vision transformer with one head",
        lambda: VisionTransformer(heads=1),
        noise(2, 3, 8, 8),
        {
            "patch": 6,
            **{f"blocks.{i}.{part}": 6 for i in (0, 1) for part in ("attn", "attn#2")},
            **{f"blocks.{i}.mlp.0": 7 for i in (0, 1)},
        },
        # queries with keys, values with what reads them
        {f"blocks.{i}.{part}" for i in (0, 1) for part in ("attn", "attn#2")},
    ),
    family(
        "encoder layers of torch",
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), 2, enable_nested_tensor=False
        ),
        noise(2, 5, 6),
        {f"layers.{i}.{part}": n for i in (0, 1) for part, n in (("self_attn", 2), ("linear1", 8))},
    ),
    family("GPT", Gpt, TOKENS, {"wte": 6, "block.c_attn": 2, "block.mlp.0": 9}),
    family(
        "GPT with tied embedding",
        lambda: Gpt(tied=True),
        TOKENS,
        {"wte": 6, "block.c_attn": 2, "block.mlp.0": 9},
    ),
    family(
        "GPT with torch's attention",
        lambda: Gpt(flash=True),
        TOKENS,
        {"wte": 6, "block.c_attn": 2, "block.mlp.0": 9},
    ),
    family(
        "attention unpacked by a new axis",
        FusedAttention,
        noise(2, 5, 4),
        {"embed": 6, "qkv": 3},
        {"embed"},  # nothing but linear maps takes the stream
    ),
    family(
        "squeeze and excitation",
        SqueezeExcite,
        noise(2, 3, 6, 6),
        {"conv": 6, "fc1": 4},
        flips={"norm": "conv"},
    ),
    family(
        "convolutional autoencoder", conv_autoencoder, noise(2, 1, 8, 8), {"0": 4, "2": 5, "4": 6}
    ),
    family("signals, slopes, instances", signal_network, noise(2, 2, 9), {"0": 5, "3": 4}),
    family("half of the channels", Sliced, noise(3, 4), {"first": 3, "first#2": 4, "part": 3}),
    family("gated units, root mean square", Gated, noise(3, 4), {"embed": 6, "up": 5}),
    family("shuffled channels", ChannelShuffle, noise(2, 4, 3, 3), {"first": 2}),
    family(
        "ConvNeXt, channels last, shuffled pixels",
        Convolutional,
        noise(2, 3, 8, 8),
        {"stem": 4, "wide": 6, "finer": 3},
    ),
    family(
        "shortcut padded with zeros",
        PaddedShortcut,
        noise(2, 3, 6, 6),
        {"stem": 4, "conv": 2, "conv#2": 2},
    ),
    family("two inputs, several outputs", Several, (noise(3, 3), noise(3, 2)), {"left": 5}),
    family("nothing hidden", lambda: nn.Linear(3, 2), noise(2, 3), {}),
]


ATTENTION = [
    *(
        family(
            f"transformer, {heads} heads",
            partial(Transformer, heads),
            noise(2, 20),
            {"into": 8, "attn.q": heads, "up": 6},
        )
        for heads in (2, 4)
    ),
    family(
        "transformer, one head",
        partial(Transformer, 1),
        noise(2, 20),
        {"into": 8, "attn.q": 8, "attn.v": 8, "up": 6},
        {"attn.q", "attn.v"},
    ),
    family(
        "transformer, grouped queries",
        partial(Transformer, 4, 2),
        noise(2, 20),
        {"into": 8, "attn.q": 2, "up": 6},
    ),
    family(
        "transformer, one key for all queries",
        partial(Transformer, 4, 1),
        noise(2, 20),
        {"into": 8, "attn.q": 4, "up": 6},
    ),
    family(
        "transformer, root mean square",
        partial(Transformer, 2, norm=nn.RMSNorm),
        noise(2, 20),
        {"into": 8, "attn.q": 2, "up": 6},
    ),
    family(
        "transformer without norms",
        partial(without_norms, 2),
        noise(2, 20),
        {"into": 8, "attn.q": 2, "up": 6},
        {"into"},
    ),
    family(
        "transformer, rotary places",
        partial(Transformer, 2, rotary=True),
        noise(2, 20),
        {"into": 8, "attn.q": 2, "up": 6},
    ),
    family("Llama with tied embedding", Llama, TOKENS, {"wte": 8, "attn.q": 2, "gate": 6}),
    family("low rank by @", LowRank, noise(3, 6), {"a": 2, "layer": 7}, {"a"}),
    family(
        "low rank by layers",
        partial(LowRank, layers=True),
        noise(3, 6),
        {"a": 2, "layer": 7},
        {"a"},
    ),
    family("a module of two names", TwoNames, noise(3, 6), {"first": 5}, {"first"}),
    family("bilinear layer", PairwiseLayer, noise(3, 4), {"left": 3, "right": 5, "pairs": 6}),
    family(
        "heads on an axis of their own",
        HeadsByThemselves,
        noise(2, 5, 4),
        {"q": 2, "into": 6, "q#2": 3, "v": 3},
        {"q#2", "v"},
    ),
]
BY_NAME = {family.name: family for family in (*FAMILIES, *ATTENTION)}


@cache
def table_of(name):
    """The table of a family, derived once."""
    return symmetry_of(BY_NAME[name].network(), BY_NAME[name].example)

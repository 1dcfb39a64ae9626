"""The zoos on which audits are judged, and how many runs of each.

None of them is among those on which the thresholds were chosen. Departure from the trials behind
the rules: two training populations per zoo instead of one at full scale. Networks of several hidden
layers, whose alignment is bracketed and costs far more, are a study of their own: scale deep.
Source: ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from novelweights.errors import look_up
from novelweights.networks.mlp import DIGITS_DEEP_MLP, MNIST_MLP, OneHiddenMLP
from novelweights.networks.network import TargetNetwork
from novelweights.networks.small_cnn import SmallCNN
from novelweights.networks.small_resnet import DIGITS_RESNET
from novelweights.zoos.cnn_training import AdamRecipe
from novelweights.zoos.training import Recipe

DIGITS_TANH = OneHiddenMLP(64, 10, 10, "tanh")


@dataclass(frozen=True)
class CalibrationZoo:
    """A recipe of runs, of which some are training, some held-out and some fresh."""

    name: str
    network: TargetNetwork
    data_name: str
    recipe: Recipe | AdamRecipe
    is_shared: bool
    """Whether all runs start from the same weights, each with its own data order."""
    description: str


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    populations: int
    """Disjoint training populations; each is copied, mixed and judged by itself."""
    training_runs: int
    """Runs of each."""
    heldout_runs: int
    """Pool from which held-out runs are drawn."""
    fresh_runs: int
    """Pool of runs that are neither: what an ideal generator would make."""
    planted: int
    """Checkpoints of each planted kind, per training population."""
    n_heldout: tuple[int, ...]
    """Held-out runs of an audit."""
    fresh_drawn: int
    """Fresh runs, and mixtures with a copied share, of an audit."""
    planted_drawn: int
    """Checkpoints of each planted kind of an audit."""
    repetitions: int
    fresh_verdicts: int
    """Repetitions in which fresh runs are judged as a population (this bootstraps)."""
    planted_verdicts: int
    """Repetitions in which some planted kinds are."""
    bootstraps: int
    """Resamples of the pools, for the intervals of the false-alarm rates."""
    inner: int
    """Audits per resample."""


_FAST = Recipe(epochs=30, batch_size=32)

_OWN, _ONE = "each run with its own initialization", "all runs from one initialization"


def _both(
    name: str, network: TargetNetwork, data_name: str, recipe: Recipe, description: str
) -> list[CalibrationZoo]:
    """Runs that start apart, and runs that start together."""
    return [
        CalibrationZoo(f"{name}-{end}", network, data_name, recipe, is_shared, description % start)
        for end, is_shared, start in (("independent", False, _OWN), ("shared", True, _ONE))
    ]


_ONE_HIDDEN_LAYER = (
    *_both("mnist-5k", MNIST_MLP, "mnist-5k", Recipe(), "784-10-10 ReLU on 5,000 MNIST digits, %s"),
    *_both(
        "digits-tanh",
        DIGITS_TANH,
        "digits",
        _FAST,
        "64-10-10 tanh on 8x8 digits, %s; neurons may also flip sign",
    ),
)
_DEEP = (
    CalibrationZoo(
        "digits-deep-independent",
        DIGITS_DEEP_MLP,
        "digits",
        _FAST,
        is_shared=False,
        description=f"64-32-32-10 ReLU on 8x8 digits, {_OWN}",
    ),
    CalibrationZoo(
        "mnist-5k-cnn-independent",
        SmallCNN(initialization="kaiming"),
        "mnist-5k",
        AdamRecipe(epochs=8),  # the rate of the zoo mnist-5k-cnn, whose start learns slower
        is_shared=False,
        description="Three convolutions and two dense layers, tanh, on 5,000 MNIST digits, "
        f"{_OWN}; some neurons may also flip sign",
    ),
    CalibrationZoo(
        "digits-resnet-independent",
        DIGITS_RESNET,
        "digits",
        Recipe(epochs=8, batch_size=32),
        is_shared=False,
        description="A residual network of two blocks of 8 channels with batch normalization, ReLU,"
        f" on 8x8 digits, {_OWN}; filters may also flip sign, and running statistics count for "
        "what networks do, and for no distance",
    ),
)
ZOOS: dict[str, CalibrationZoo] = {zoo.name: zoo for zoo in (*_ONE_HIDDEN_LAYER, *_DEEP)}

_SIZES: dict[str, tuple[Any, Any, Any]] = {
    "populations": (2, 1, 1),
    "training_runs": (300, 80, 20),
    "heldout_runs": (500, 130, 48),
    "fresh_runs": (300, 70, 30),
    "planted": (100, 24, 12),
    "n_heldout": ((100, 400), (50, 100), (24, 40)),
    "fresh_drawn": (200, 48, 20),
    "planted_drawn": (100, 24, 10),
    "repetitions": (200, 60, 3),
    "fresh_verdicts": (40, 10, 1),
    "planted_verdicts": (5, 2, 0),
    "bootstraps": (100, 40, 3),
    "inner": (4, 4, 2),
}
SCALES = {
    scale: Sizes(**{name: of_scales[i] for name, of_scales in _SIZES.items()})
    for i, scale in enumerate(("full", "deep", "smoke"))
}
DEFAULT_ZOOS = {
    "full": tuple(zoo.name for zoo in _ONE_HIDDEN_LAYER),
    "deep": tuple(zoo.name for zoo in _DEEP),
    "smoke": ("digits-tanh-independent",),
}


def find_zoos(names: Iterable[str]) -> list[CalibrationZoo]:
    """Zoos by name, each once.

    Raises:
        InputError: Unknown name.
    """
    return [look_up("calibration zoo", name, ZOOS) for name in dict.fromkeys(names)]

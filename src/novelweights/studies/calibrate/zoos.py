"""The zoos on which audits are judged, and how many runs of each.

None of them is among those on which the thresholds were chosen. Departure from the trials behind
the rules: two training populations per zoo instead of one at full scale. Networks of several hidden
layers, whose alignment is bracketed and costs far more, are a study of their own: scale deep.
Source: ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from novelweights.errors import unknown_name
from novelweights.networks.mlp import DIGITS_DEEP_MLP, MNIST_MLP, OneHiddenMLP
from novelweights.networks.network import TargetNetwork
from novelweights.networks.small_cnn import SmallCNN
from novelweights.networks.small_resnet import DIGITS_RESNET
from novelweights.zoos.cnn_training import AdamRecipe
from novelweights.zoos.epoch_ends import Trainer, train_to_epochs
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
    trainer: Trainer = train_to_epochs


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

_ONE_HIDDEN_LAYER = (
    CalibrationZoo(
        name="mnist-5k-independent",
        network=MNIST_MLP,
        data_name="mnist-5k",
        recipe=Recipe(),
        is_shared=False,
        description="784-10-10 ReLU on 5,000 MNIST digits, each run with its own initialization",
    ),
    CalibrationZoo(
        name="mnist-5k-shared",
        network=MNIST_MLP,
        data_name="mnist-5k",
        recipe=Recipe(),
        is_shared=True,
        description="784-10-10 ReLU on 5,000 MNIST digits, all runs from one initialization",
    ),
    CalibrationZoo(
        name="digits-tanh-independent",
        network=DIGITS_TANH,
        data_name="digits",
        recipe=_FAST,
        is_shared=False,
        description="64-10-10 tanh on 8x8 digits, each run with its own initialization; "
        "neurons may also flip sign",
    ),
    CalibrationZoo(
        name="digits-tanh-shared",
        network=DIGITS_TANH,
        data_name="digits",
        recipe=_FAST,
        is_shared=True,
        description="64-10-10 tanh on 8x8 digits, all runs from one initialization; neurons "
        "may also flip sign",
    ),
)
_DEEP = (
    CalibrationZoo(
        name="digits-deep-independent",
        network=DIGITS_DEEP_MLP,
        data_name="digits",
        recipe=_FAST,
        is_shared=False,
        description="64-32-32-10 ReLU on 8x8 digits, each run with its own initialization",
    ),
    CalibrationZoo(
        name="mnist-5k-cnn-independent",
        network=SmallCNN(initialization="kaiming"),
        data_name="mnist-5k",
        recipe=AdamRecipe(
            epochs=8
        ),  # the rate of the zoo mnist-5k-cnn, from a start that learns faster
        is_shared=False,
        description="Three convolutions and two dense layers, tanh, on 5,000 MNIST digits, each "
        "run with its own initialization; some neurons may also flip sign",
    ),
    CalibrationZoo(
        name="digits-resnet-independent",
        network=DIGITS_RESNET,
        data_name="digits",
        recipe=Recipe(epochs=8, batch_size=32),
        is_shared=False,
        description="A residual network of two blocks of 8 channels with batch normalization, ReLU,"
        " on 8x8 digits, each run with its own initialization; filters may also flip sign, and "
        "running statistics count for what networks do, and for no distance",
    ),
)
ZOOS: dict[str, CalibrationZoo] = {zoo.name: zoo for zoo in (*_ONE_HIDDEN_LAYER, *_DEEP)}

SCALES: dict[str, Sizes] = {
    "full": Sizes(
        populations=2,
        training_runs=300,
        heldout_runs=500,
        fresh_runs=300,
        planted=100,
        n_heldout=(100, 400),
        fresh_drawn=200,
        planted_drawn=100,
        repetitions=200,
        fresh_verdicts=40,
        planted_verdicts=5,
        bootstraps=100,
        inner=4,
    ),
    "deep": Sizes(
        populations=1,
        training_runs=80,
        heldout_runs=130,
        fresh_runs=70,
        planted=24,
        n_heldout=(50, 100),
        fresh_drawn=48,
        planted_drawn=24,
        repetitions=60,
        fresh_verdicts=10,
        planted_verdicts=2,
        bootstraps=40,
        inner=4,
    ),
    "smoke": Sizes(
        populations=1,
        training_runs=20,
        heldout_runs=48,
        fresh_runs=30,
        planted=12,
        n_heldout=(24, 40),
        fresh_drawn=20,
        planted_drawn=10,
        repetitions=3,
        fresh_verdicts=1,
        planted_verdicts=0,
        bootstraps=3,
        inner=2,
    ),
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
    chosen = list(dict.fromkeys(names))
    for name in chosen:
        if name not in ZOOS:
            raise unknown_name("calibration zoo", name, ZOOS)
    return [ZOOS[name] for name in chosen]


def find_sizes(scale: str) -> Sizes:
    """The sizes of a scale.

    Raises:
        InputError: Unknown name.
    """
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    return SCALES[scale]

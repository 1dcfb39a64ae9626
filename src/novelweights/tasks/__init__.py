"""The tasks by name; each reads its data when it is made."""

from collections.abc import Callable

from novelweights.data.images import load_data
from novelweights.errors import unknown_name
from novelweights.networks.mlp import DIGITS_MLP, DIGITS_WIDE_MLP, MNIST_MLP
from novelweights.networks.small_cnn import COLOR_CNN, COLOR_GELU_CNN, GRAY_CNN, SmallCNN
from novelweights.tasks.classification import Classification
from novelweights.tasks.task import Task

_CNNS = {  # of each data set
    "mnist-5k": GRAY_CNN,
    "mnist": GRAY_CNN,
    "fashion-mnist": GRAY_CNN,
    "svhn": GRAY_CNN,
    "digits-on-photo": GRAY_CNN,
    "cifar-10": COLOR_GELU_CNN,
    "stl-10": COLOR_CNN,
    "photo-patch-10": COLOR_GELU_CNN,
}


def _cnn_task(data_name: str, network: SmallCNN) -> Callable[[], Task]:
    return lambda: Classification(f"{data_name}-cnn", network, load_data(data_name))


TASKS: dict[str, Callable[[], Task]] = {
    "digits": lambda: Classification("digits", DIGITS_MLP, load_data("digits")),
    "digits-wide": lambda: Classification("digits-wide", DIGITS_WIDE_MLP, load_data("digits")),
    "mnist-5k": lambda: Classification("mnist-5k", MNIST_MLP, load_data("mnist-5k")),
    "mnist": lambda: Classification("mnist", MNIST_MLP, load_data("mnist")),
    "fashion-mnist": lambda: Classification("fashion-mnist", MNIST_MLP, load_data("fashion-mnist")),
} | {f"{name}-cnn": _cnn_task(name, network) for name, network in _CNNS.items()}


def make_task(name: str) -> Task:
    """A task by its name in `TASKS`.

    Raises:
        InputError: Unknown name, or its data have to be fetched first.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]()

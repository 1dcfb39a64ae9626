"""The tasks by name, ours and those of installed packages; each reads its data when it is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from novelweights import plugins
from novelweights.data.images import load_data, load_pixels
from novelweights.errors import InputError, unknown_name
from novelweights.networks.mlp import DIGITS_DEEP_MLP, DIGITS_MLP, DIGITS_WIDE_MLP, MNIST_MLP
from novelweights.networks.neural_field import OccupancyField
from novelweights.networks.parts import PartOfNetwork
from novelweights.networks.resnet import ResNet18
from novelweights.networks.small_cnn import COLOR_CNN, COLOR_GELU_CNN, GRAY_CNN, SmallCNN
from novelweights.shapes.shapenet import PUBLISHED
from novelweights.tasks.classification import Classification
from novelweights.tasks.evaluation_images import evaluation_images
from novelweights.tasks.shapes import FieldShapes, judging_clouds
from novelweights.tasks.surfaces import RESOLUTION
from novelweights.tasks.task import Task
from novelweights.weights.store import SHARED_FILE

_CNNS = {  # of each data set
    "mnist-5k": GRAY_CNN,
    "mnist": GRAY_CNN,
    "fashion-mnist": GRAY_CNN,
    "svhn": GRAY_CNN,
    "digits-on-photo": GRAY_CNN,
    "cifar-10": COLOR_GELU_CNN,
    "cifar-10-jpeg": COLOR_GELU_CNN,
    "stl-10": COLOR_CNN,
    "photo-patch-10": COLOR_GELU_CNN,
}


def _cnn_task(data_name: str, network: SmallCNN) -> Callable[[], Task]:
    return lambda: Classification(f"{data_name}-cnn", network, load_data(data_name))


RESNETS = {  # of each data set; of cifar-100 P-diff's own
    "cifar-100": ResNet18(),
    "cifar-10": ResNet18(width=16, image_size=32, classes=10),
    "cifar-10-jpeg": ResNet18(width=16, image_size=32, classes=10),
    "cut-paste-100": ResNet18(width=16, image_size=32),
    "fashion-mnist": ResNet18(width=16, image_size=32, channels=1, classes=10),
    "photo-patch-10": ResNet18(width=16, image_size=32, classes=10),
}
_PART = "-resnet18-bn"
_LAPTOP_FIELD = OccupancyField(width=64)


@dataclass(frozen=True)
class FieldSetting:
    """What fields are and what judges them; the defaults are for a laptop."""

    shapes: str
    """Set of shapes."""
    test_shapes: int
    """How many judge."""
    network: OccupancyField = _LAPTOP_FIELD
    grid: int = 128
    """Points per axis."""

    def task(self, name: str) -> Task:
        """The task, with its clouds."""
        clouds = judging_clouds(self.shapes, self.test_shapes)
        return FieldShapes(name, self.network, clouds, resolution=self.grid)


FIELDS = {  # of each task and zoo
    "airplanes-field": FieldSetting("airplanes", 100),
    "airplanes-wide-field": FieldSetting(
        "airplanes", PUBLISHED["test"], OccupancyField(), RESOLUTION
    ),
    "real-airplanes-field": FieldSetting("real-airplanes", 6),
    "flightgear-airplanes-field": FieldSetting("flightgear-airplanes", 22),
    "shapenet-airplane-field": FieldSetting(
        "shapenet-airplanes", PUBLISHED["test"], OccupancyField(), RESOLUTION
    ),
}


def _resnet_task(data_name: str) -> Callable[[], Task]:
    network = RESNETS[data_name]
    name = f"{data_name}-resnet18"
    return lambda: Classification(name, network, evaluation_images(network, load_pixels(data_name)))


WHOLE_TASKS: dict[str, Callable[[], Task]] = {
    "digits": lambda: Classification("digits", DIGITS_MLP, load_data("digits")),
    "digits-wide": lambda: Classification("digits-wide", DIGITS_WIDE_MLP, load_data("digits")),
    "digits-deep": lambda: Classification("digits-deep", DIGITS_DEEP_MLP, load_data("digits")),
    "mnist-5k": lambda: Classification("mnist-5k", MNIST_MLP, load_data("mnist-5k")),
    "mnist": lambda: Classification("mnist", MNIST_MLP, load_data("mnist")),
    "fashion-mnist": lambda: Classification("fashion-mnist", MNIST_MLP, load_data("fashion-mnist")),
    **{f"{name}-cnn": _cnn_task(name, network) for name, network in _CNNS.items()},
    **{f"{name}-resnet18": _resnet_task(name) for name in RESNETS},
    **{name: partial(setting.task, name) for name, setting in FIELDS.items()},
}
"""Those that judge whole networks."""
PART_TASKS = {f"{name}{_PART}": name for name in RESNETS}
"""Those that judge the last two normalizations of a network whose rest is given; their data."""
TASKS = (*WHOLE_TASKS, *PART_TASKS)


def make_task(name: str, shared: Mapping[str, Tensor] | None = None) -> Task:
    """A task by its name in `TASKS`, or by that which an installed package gives it.

    Args:
        name: Which.
        shared: The rest of the network, for tasks that judge parts (see `Population.shared`).

    Raises:
        InputError: Unknown name, its data have to be fetched first, its package cannot be loaded,
            or the task judges parts of a network and their rest is missing or does not fit.
    """
    if name in WHOLE_TASKS:
        return WHOLE_TASKS[name]()
    if name not in PART_TASKS:
        added = added_tasks()
        if name not in added:
            raise unknown_name("task", name, [*TASKS, *added])
        return added[name].made(Task)
    if shared is None:
        raise InputError(
            f"task {name} judges parts of a network and needs its rest: expected training "
            f"checkpoints from a population folder with {SHARED_FILE}, got none there; give the "
            "folder that `novelweights zoo build` wrote",
            "not-found",
        )
    data_name = PART_TASKS[name]
    network = PartOfNetwork(RESNETS[data_name], shared)
    return Classification(name, network, evaluation_images(network.network, load_pixels(data_name)))


def added_tasks() -> dict[str, plugins.Plugin]:
    """What installed packages add, not loaded yet: a task reads its data when it is made."""
    return plugins.installed(plugins.TASKS, TASKS)


def is_task(name: str) -> bool:
    """Whether there is a task of that name, ours or of an installed package."""
    return name in TASKS or name in added_tasks()

"""A task of the user's own: an object that follows `Task`, or a network with labelled examples.

What the user's code returns is checked once, here, so that an audit can rely on it. Source: ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn

from novelweights.errors import InputError
from novelweights.networks.declared import made_at
from novelweights.networks.module_network import module_network
from novelweights.tasks.classification import Classification
from novelweights.tasks.own_data import OwnData
from novelweights.tasks.shapes import FieldShapes
from novelweights.tasks.task import Measure, ShapeTask, Task
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population

MEMBERS = ("name", "quality", "novelty", "behave", "score", "novelty_against")
"""Of `Task`."""
Result = TypeVar("Result")


def task_at(place: str) -> Task:
    """A task of the user's own: `package.module:Name`, an object or what makes one when called.

    The current folder is searched too. This runs the user's code, which is what it is for. What
    it returns is checked whenever it judges; behavior of dtype uint8 is taken for predicted
    classes, one for each test example.

    Raises:
        InputError: There is no such thing, it takes arguments, or lacks members of `Task`.
    """

    def is_task(thing: Any) -> bool:
        return not isinstance(thing, type) and not _missing(thing)

    made = made_at(place, "task", is_task)
    if isinstance(made, type) or _missing(made):
        lacking = f"{type(made).__name__} without {', '.join(_missing(made))}"
        raise InputError(
            f"{place}: expected a task (an object with {', '.join(MEMBERS)}), got "
            f"{'a class' if isinstance(made, type) else lacking}; see novelweights.tasks.task.Task",
            "wrong-plugin",
        )
    for which in ("quality", "novelty"):
        if not isinstance(measure := getattr(made, which), Measure):
            raise InputError(
                f"{place}: expected {which} as a Measure (of novelweights.tasks.task), got "
                f"{type(measure).__name__}; give it a name, a unit and a direction",
                "wrong-plugin",
            )
    if type(made) in (Classification, FieldShapes):
        return made
    if not hasattr(type(made), "has_surface"):
        return Checked(made, place)
    shapes = CheckedShapes(made, place)
    _ = shapes.test  # read and checked now: whether it is a `ShapeTask` asks for it
    return shapes


def classifier_task(
    module: nn.Module,
    data: OwnData,
    name: str,
    layout: WeightLayout,
    shared: Mapping[str, Tensor] | None = None,
) -> Classification:
    """Judges checkpoints of a network by the examples that they classify wrongly.

    Args:
        module: The network; its outputs are logits.
        data: Test examples, in the shape that the network takes, and their classes.
        name: Of the task.
        layout: What a checkpoint holds, by the network's names (`networks/parameter_names.py`).
        shared: The rest of the network, where checkpoints hold parts of it.

    Raises:
        InputError: As `module_network`; or there are classes that the network does not have.
    """
    network = module_network(module, layout, data.x, shared)
    if (largest := int(data.y.max())) >= network.classes:
        raise InputError(
            f"{data.path}: expected classes 0 to {network.classes - 1}, since {name} gives logits "
            f"of {network.classes}, got {largest}; count classes from 0",
            "wrong-content",
        )
    return Classification(name, network, data.as_images(name))


@dataclass(frozen=True, eq=False)
class Checked:
    """A task whose results have the shapes and kinds that an audit relies on.

    Every method raises `InputError`, one line with the task's place, for what its own code raises
    or returns amiss.
    """

    own: Task
    place: str
    """Where the user's task is, for messages."""

    @property
    def name(self) -> str:
        """Its own."""
        return str(self.own.name)

    @property
    def quality(self) -> Measure:
        """Its own."""
        return self.own.quality

    @property
    def novelty(self) -> Measure:
        """Its own."""
        return self.own.novelty

    def behave(self, population: Population) -> Tensor:
        """What each checkpoint does, on the CPU."""
        n = len(population)
        result = self._tensor("behave", partial(self.own.behave, population))
        if result.ndim < 1 or len(result) != n:
            raise self._fault("behave", f"{n} checkpoints along the first axis", _shape(result))
        if result.dtype == torch.uint8 and result.ndim != 2:
            raise self._fault("behave", "predicted classes (uint8) of n x examples", _shape(result))
        return result

    def score(self, behavior: Tensor) -> Float[Tensor, " n"]:
        """The quality of each checkpoint."""
        return self._numbers("score", len(behavior), partial(self.own.score, behavior))

    def novelty_against(
        self, behavior: Tensor, reference: Tensor, *, exclude: Bool[Tensor, "n m"] | None = None
    ) -> Float[Tensor, " n"]:
        """Its own measure of each checkpoint against the most similar one."""
        run = partial(self.own.novelty_against, behavior, reference, exclude=exclude)
        return self._numbers("novelty_against", len(behavior), run)

    def _numbers(self, method: str, n: int, run: Callable[[], Any]) -> Float[Tensor, " n"]:
        """One number for each of n checkpoints."""
        result = self._tensor(method, run)
        if result.shape != (n,) or result.is_complex():
            raise self._fault(method, f"{n} numbers, one for each checkpoint", _shape(result))
        if result.isnan().any():
            bad = result.isnan().nonzero()[:3, 0].tolist()
            raise self._fault(method, "numbers", f"NaN for checkpoint {', '.join(map(str, bad))}")
        return result if result.is_floating_point() else result.double()

    def _tensor(self, method: str, run: Callable[[], Any]) -> Tensor:
        result = self._run(method, run)
        if not isinstance(result, Tensor):
            raise self._fault(method, "a torch.Tensor", type(result).__name__)
        return result.detach().cpu()

    def _run(self, method: str, run: Callable[[], Result]) -> Result:
        try:
            return run()
        except InputError as error:
            raise InputError(f"task {self.place}: {error}", error.code) from error
        except Exception as error:  # whatever the user's code raises
            what = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            raise self._fault(method, "a result", what) from error

    def _fault(self, method: str, expected: str, got: str) -> InputError:
        return InputError(
            f"task {self.place}: expected {expected} from {method}, got {got}; repair the task",
            "network-failed",
        )


@dataclass(frozen=True, eq=False)
class CheckedShapes(Checked):
    """The same of a task that judges shapes."""

    own: ShapeTask

    @cached_property
    def test(self) -> Float32[np.ndarray, "t points 3"]:
        """Its clouds of shapes that no network was fitted to."""
        result = self._run("test", lambda: self.own.test)
        is_cloud = isinstance(result, np.ndarray) and result.ndim == 3 and result.shape[2] == 3
        if not is_cloud or not np.isfinite(result).all():
            got = _shape(result) if isinstance(result, np.ndarray) else type(result).__name__
            raise self._fault("test", "a numpy array of finite clouds (shapes x points x 3)", got)
        return result.astype(np.float32)

    def has_surface(self, behavior: Tensor) -> Bool[Tensor, " n"]:
        """Whether there is a shape at all."""
        result = self._tensor("has_surface", partial(self.own.has_surface, behavior))
        if result.shape != (len(behavior),) or result.dtype != torch.bool:
            expected = f"{len(behavior)} truth values"
            raise self._fault("has_surface", expected, f"{_shape(result)} {result.dtype}")
        return result


def _missing(thing: Any) -> list[str]:
    return [name for name in MEMBERS if not hasattr(thing, name)]


def _shape(result: Tensor | np.ndarray) -> str:
    return f"a result of {'x'.join(map(str, result.shape)) or 'one number'}"

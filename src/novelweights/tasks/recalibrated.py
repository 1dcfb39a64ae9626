"""Classification by networks whose running statistics are recomputed on the task's own examples.

For checkpoints that hold none, as those of many generators of weights: every checkpoint of every
role is then run with statistics of the same kind. Source: ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from novelweights.errors import InputError, Note
from novelweights.networks.module_network import ModuleNetwork
from novelweights.networks.recalibration import examples_for, recalibrated, statistics_of
from novelweights.tasks.classification import Classification
from novelweights.tasks.own import classifier_task
from novelweights.tasks.own_data import OwnData
from novelweights.weights.layout import WeightLayout, is_statistic
from novelweights.weights.population import Population


@dataclass(frozen=True, eq=False)
class RecalibratedClassification(Classification):
    """Runs each checkpoint with the running statistics that it has on some of the examples."""

    recomputed: tuple[str, ...] = ()
    """The statistics, by the network's names."""

    @cached_property
    def examples(self) -> Float[Tensor, "examples inputs"]:
        """What they are recomputed on."""
        network, x = self.network, self.data.test_x
        largest = network.largest if isinstance(network, ModuleNetwork) else 1
        return x[torch.from_numpy(examples_for(len(x), largest))]

    def note(self) -> Note:
        """What a reader must know of it."""
        return Note(
            "recomputed-statistics",
            "Behavior is judged with running statistics that are recomputed for every checkpoint "
            f"on {len(self.examples)} of the {len(self.data.test_x)} examples "
            "(--recalibrate-statistics), not with those that files hold.",
        )

    def weights_of(self, population: Population) -> Float[Tensor, "n d"]:
        """The checkpoints by the network's layout, statistics recomputed.

        Raises:
            InputError: The population holds other networks, or one fails on the examples.
        """
        network = self.network
        if not isinstance(network, ModuleNetwork):
            raise TypeError(f"expected a ModuleNetwork, got {type(network).__name__}")
        kept, given = set(self.recomputed), population.layout.unflatten(population.weights)
        shapes = tuple(entry for entry in population.layout.shapes if entry[0] not in kept)
        names = {name for name, _ in shapes}
        if names != {name for name, _ in network.layout.shapes} - kept:
            return super().weights_of(population)  # refuses them
        parts = [
            given[name].reshape(len(population), -1)
            if name in names
            else torch.zeros(len(population), shape.numel())
            for name, shape in ((n, torch.Size(s)) for n, s in network.layout.shapes)
        ]
        return recalibrated(network, torch.cat(parts, dim=1), self.examples, self.recomputed)


def recalibrated_task(
    module: nn.Module,
    data: OwnData,
    name: str,
    layout: WeightLayout,
    shared: Mapping[str, Tensor] | None = None,
) -> RecalibratedClassification:
    """As `classifier_task`; all running statistics are recomputed.

    Raises:
        InputError: As `classifier_task`; or the network has none.
    """
    names = tuple(statistics_of(module))
    if not names:
        raise InputError(
            f"{name}: expected running statistics to recompute, the network has none; leave "
            "--recalibrate-statistics out",
            "wrong-option",
        )
    shapes = {n: tuple(v.shape) for n, v in module.state_dict().items()}
    learned = tuple(entry for entry in layout.shapes if not is_statistic(entry[0]))
    whole = WeightLayout((*learned, *((n, shapes[n]) for n in names)))
    rest = {n: v for n, v in (shared or {}).items() if n not in names}
    plain = classifier_task(module, data, name, whole, rest)
    fields = {f: getattr(plain, f) for f in ("name", "network", "data")}
    return RecalibratedClassification(**fields, recomputed=names)

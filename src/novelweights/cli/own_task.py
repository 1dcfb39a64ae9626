"""How commands take a network of the user's own and labelled examples for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from novelweights.cli.show import say

if TYPE_CHECKING:
    from torch import Tensor, nn

    from novelweights.tasks.own_data import OwnData
    from novelweights.tasks.task import Task
    from novelweights.weights.population import Population

DataFile = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Labelled test examples for --network, as it takes them: a .npz, .safetensors or .pt "
        "file with x and y. Judges behavior, unless --task names something else.",
    ),
]
WITHOUT_TASK = (
    "behavior: not judged, since there is no task. Whether the generated networks work, and "
    "whether they behave differently, is not known; broken ones cannot be told from others, and "
    "nothing is called novel. Name one with --task, or give --network and --data"
)


@dataclass(frozen=True, eq=False)
class OwnNetwork:
    """What --network, --input-shape and --data say."""

    place: str
    module: "nn.Module"
    example: "Tensor"
    """Random inputs of the network, with a batch."""
    data: "OwnData | None"
    options: str
    """As they were given, for the manifest."""

    def named(self, population: "Population") -> "Population":
        """Checkpoints with the network's names of parameters.

        Raises:
            InputError: As `named_as`.
        """
        from novelweights.networks.parameter_names import named_as

        return named_as(population, self.module)


def own_network(
    network: str | None, input_shape: str | None, data: Path | None
) -> OwnNetwork | None:
    """The user's network, imported, and its examples; None if there is none.

    Raises:
        InputError: Options that do not go together, or what they name cannot be used.
    """
    from novelweights.errors import InputError
    from novelweights.networks.declared import example_of, network_and_example
    from novelweights.tasks.own_data import read_own_data

    if network is None and data is not None:
        raise InputError(
            "expected --network beside --data, which holds examples for it; name your network, or "
            "a task of your own with --task my_module:MyTask"
        )
    if network is None:
        if input_shape is not None:
            raise InputError(
                "--input-shape: expected the network it is of; add --network, or leave it out"
            )
        return None
    options = f" --network {network}"
    options += f" --input-shape {input_shape}" if input_shape is not None else ""
    if data is None:
        return OwnNetwork(network, *network_and_example(network, input_shape), None, options)
    found = read_own_data(data)
    if input_shape is not None:
        found = found.shaped(tuple(example_of(input_shape).shape[1:]))
    say(f"{data}: {found.told}")
    module, example = network_and_example(network, "x".join(map(str, found.example_shape)))
    return OwnNetwork(network, module, example, found, f"{options} --data {data}")


def judge_of(task: str, own: OwnNetwork | None, trained: "Population") -> "Task | None":
    """What judges behavior: the task of that name, or the user's network on the user's examples.

    Raises:
        InputError: As `task_for` or `classifier_task`.
    """
    from novelweights.audit_run import task_for
    from novelweights.tasks.own import classifier_task

    if task == "auto" and own is not None and own.data is not None:
        name = f"{own.place} on {own.data.path.name}"
        return classifier_task(own.module, own.data, name, trained.layout, trained.shared)
    judge = task_for(trained, task)
    if judge is None:
        say(WITHOUT_TASK)
    return judge

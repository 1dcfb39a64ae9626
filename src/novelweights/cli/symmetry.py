"""The command that derives a network's symmetry, and how other commands take a declared one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from novelweights.cli.show import say

if TYPE_CHECKING:
    from novelweights.cli.own_task import OwnNetwork
    from novelweights.tasks.task import Task
    from novelweights.weights.population import Population
    from novelweights.weights.symmetry import NeuronSymmetry

Network = Annotated[
    str | None,
    typer.Option(
        "--network",
        help="The network: a name (`novelweights ls networks`) or your own, my_module:MyNetwork; "
        "its symmetry is derived and proven.",
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option(
        "--input-shape",
        help="Shape of one example of that network, e.g. 3x32x32. [the network's own input_shape]",
    ),
]


def symmetry(
    network: Annotated[
        str,
        typer.Argument(
            help="A name (`novelweights ls networks`) or your own, my_module:MyNetwork."
        ),
    ],
    input_shape: InputShape = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON to write.")] = None,
    logits: Annotated[
        bool, typer.Option("--logits", help="Outputs are logits of a softmax over the last axis.")
    ] = False,
) -> None:
    """Which moves leave what a network computes: neurons reordered, flipped, scaled; proven.

    The network is imported, which runs its code.
    """
    import json

    from novelweights.files import write_text
    from novelweights.networks.declared import network_and_example
    from novelweights.networks.symmetry_of import layout_of, symmetry_of

    module, example = network_and_example(network, input_shape)
    table = symmetry_of(module, example, logits=logits)
    layout, continuous = layout_of(module), table.continuous
    sizes = table.sizes(layout)
    for group, neurons in sizes.items():
        signs = ", signs too" if group in table.sign_groups else ""
        say(f"{group}: {neurons} may be reordered{signs}")
    for name, flip in table.flips.items():
        say(f"{name}: {', '.join(flip.parameters)} may change sign together")
    if not sizes:
        say("nothing may be reordered")
    for name, scale in continuous.scales.items():
        written, read = (
            ", ".join(m.parameter for m in scale.members if m.power == power) for power in (1, -1)
        )
        say(f"{name}: may be scaled ({written}; the inverse in {read or 'nothing'})")
    for name, entry in continuous.normalizations.items():
        say(f"{name}: undoes the length of {', '.join(entry.filters)}")
    for name, product in continuous.products.items():
        left, right = (
            ", ".join(factor.parameter for factor in side) for side in (product.left, product.right)
        )
        say(f"{name}: of {left} and {right} only the product of each head matters")
    if continuous.shifts:
        say(f"{', '.join(s.parameter for s in continuous.shifts)}: all logits may grow alike")
    if output is not None:
        write_text(output, json.dumps(table.to_json(), indent=2) + "\n")
        say(f"{output}: written")


def declared(
    symmetry: str,
    own: "OwnNetwork | None",
    trained: "Population",
    task: "Task | None",
) -> "NeuronSymmetry | None":
    """The symmetry that the options declare, None for plain L2.

    Raises:
        InputError: A table or network that does not fit or does not preserve what the network
            computes.
    """
    from novelweights.errors import InputError, unknown_name
    from novelweights.networks.declared import (
        example_of,
        fitted_to,
        read_symmetry,
        require_preserved,
        symmetry_from,
        with_fixed,
    )
    from novelweights.networks.parts import PartOfNetwork
    from novelweights.networks.resnet import ResNet18
    from novelweights.tasks.classification import Classification

    if symmetry == "none":
        return None
    module, example = (None, None) if own is None else (own.module, own.example)
    rest = trained.shared or {}
    if symmetry == "auto":
        if own is not None:
            logits = own.data is not None or isinstance(task, Classification)
            try:
                return symmetry_from(
                    own.module, own.example, trained.layout, logits=logits, rest=rest
                )
            except InputError as error:
                raise InputError(f"{error} (or go without: --symmetry none)") from error
        return trained.info.symmetry
    if not Path(symmetry).exists() and not Path(symmetry).suffix:
        raise unknown_name("symmetry", symmetry, ("auto", "none"))
    whole = read_symmetry(Path(symmetry))
    table = fitted_to(with_fixed(whole, rest), trained.layout, symmetry)
    if module is None and isinstance(task, Classification):
        of = task.network.network if isinstance(task.network, PartOfNetwork) else task.network
        rows = example_of(str(of.inputs))
        module = task.network.module()
        example = of.images(rows) if isinstance(of, ResNet18) else rows
    if module is not None and example is not None:
        require_preserved(whole, trained.layout, module, example)
    return table

"""`novelweights symmetry`: what may change while a network computes the same; proven."""

import json
from pathlib import Path
from typing import Annotated

import typer

from novelweights.cli.options import InputShape
from novelweights.cli.show import say


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
    """Which permutations, sign flips and scalings preserve what a network computes; proven.

    The network is imported, which runs its code.
    """
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
    if not sizes and not table.unknown:
        say("no neurons may be reordered")
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
    if table.unknown:
        say(f"not known: {table.describe_unknown()}")
    if output is not None:
        write_text(output, json.dumps(table.to_json(), indent=2) + "\n")
        say(f"{output}: written")

"""The symmetry that a user declares: a file, or a network of the user's own to derive it from."""

import importlib
import json
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from novelweights.errors import InputError, first_few
from novelweights.networks.parameter_names import require_same_parameters
from novelweights.networks.registered import input_shape_of, network_named
from novelweights.networks.symmetry_of import layout_of, symmetry_of
from novelweights.networks.tracing.continuous import prove_continuous
from novelweights.networks.tracing.proof import prove
from novelweights.networks.tracing.running import few_threads, in_double, working_copy
from novelweights.weights.canonical import CanonicalForm
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry


def read_symmetry(path: Path) -> NeuronSymmetry:
    """The table in a JSON file, as `NeuronSymmetry.to_json` writes it.

    Raises:
        InputError: There is no such file, or it is no table.
    """
    try:
        return NeuronSymmetry.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: expected auto, none or a symmetry file, there is no file of that name",
            "not-found",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: expected a symmetry table (JSON with axes by parameter, as `novelweights "
            f"symmetry` writes it), could not read one ({error!r})",
            "damaged",
        ) from error


def fitted_to(table: NeuronSymmetry, layout: WeightLayout, source: str) -> NeuronSymmetry:
    """The part of a table that moves the parameters of a layout, checked against their shapes.

    Raises:
        InputError: A parameter is missing in the table, or has other neurons there.
    """
    names = [name for name, _ in layout.shapes]
    missing = [name for name in names if name not in table.axes]
    if missing:
        raise InputError(
            f"{source}: expected a table of the checkpoints' parameters, but {first_few(missing)} "
            f"not in it, which has {first_few([*table.axes]) or 'nothing'}; give that of the "
            "network whose checkpoints these are",
            "wrong-symmetry",
        )
    fitted = table.only(names)
    try:
        CanonicalForm.of(layout, fitted)
        fitted.sizes(layout)
    except ValueError as error:
        raise InputError(
            f"{source}: the table does not fit the checkpoints: {error}; give that of the network "
            "whose checkpoints these are",
            "wrong-symmetry",
        ) from error
    return fitted


def network_at(place: str) -> nn.Module:
    """A network of the user's own: `package.module:Name`, a module or what makes one when called;
    or one by its name (`novelweights ls networks`).

    The current folder is searched too. This runs the user's code, which is what it is for.

    Raises:
        InputError: There is no such thing, or it makes no network without arguments.
    """
    if ":" not in place:
        return network_named(place)[0]
    made = made_at(place, "network", lambda network: isinstance(network, nn.Module))
    if not isinstance(made, nn.Module):
        raise InputError(
            f"{place}: expected a torch.nn.Module, got {type(made).__name__}; name a network",
            "wrong-type",
        )
    return made


def made_at(place: str, what: str, is_one: Callable[[Any], bool]) -> Any:
    """What the user's own code has at a place, or makes there when called.

    Args:
        place: `package.module:Name`; the current folder is searched too.
        what: For messages, e.g. network, with its example my_module:MyNetwork.
        is_one: Whether what is there is taken as it is; anything else is called.

    Raises:
        InputError: There is no such thing, or it cannot be called without arguments.
    """
    module_name, _, name = place.partition(":")
    if not module_name or not name:
        raise InputError(
            f"expected a {what} as my_module:My{what.title()}, got {place!r}", "wrong-option"
        )
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
        return found if is_one(found) else found()
    except Exception as error:  # whatever the user's code raises
        raise InputError(
            f"{place}: expected a {what} or what makes one without arguments, got "
            f"{type(error).__name__}: {error}; wrap it in a function that gives the arguments",
            "network-failed",
        ) from error


def example_of(shape: str) -> Tensor:
    """Two random examples of a shape such as 3x32x32, without the batch.

    Raises:
        InputError: No shape.
    """
    try:
        sizes = [int(size) for size in shape.split("x")]
    except ValueError:
        sizes = [0]
    if min(sizes) < 1:
        raise InputError(
            f"expected the shape of one example, such as 3x32x32 or 784, got {shape!r}",
            "wrong-option",
        )
    return torch.randn(2, *sizes, generator=torch.Generator().manual_seed(0))


def network_and_example(place: str, shape: str | None) -> tuple[nn.Module, Tensor]:
    """A network and two random examples of its input.

    Args:
        shape: Of one example, such as 3x32x32; None: the network's own `input_shape`.

    Raises:
        InputError: As `network_at`; or no shape is given and the network has none.
    """
    if ":" in place:
        module = network_at(place)
        own = input_shape_of(module)
    else:
        module, own = network_named(place)
    if shape is None and own is None:
        raise InputError(
            f"{place}: expected the shape of one example, the network has no input_shape; add "
            "--input-shape, such as 3x32x32 or 784",
            "wrong-option",
        )
    return module, example_of(shape or "x".join(map(str, own or ())))


def symmetry_from(
    module: nn.Module,
    example: Tensor,
    layout: WeightLayout,
    *,
    logits: bool,
    rest: Collection[str] = (),
) -> NeuronSymmetry:
    """The derived and proven symmetry of a network, for checkpoints of it.

    Args:
        example: Its input, with a batch.
        rest: What all checkpoints share and none of them holds, see `with_fixed`.

    Raises:
        InputError: As `symmetry_of`; or the network's parameters are not those of the checkpoints.
    """
    require_same_parameters(dict(layout.shapes), dict(layout_of(module).shapes))
    derived = with_fixed(symmetry_of(module, example, logits=logits), rest)
    return fitted_to(derived, layout, type(module).__name__)


def with_fixed(table: NeuronSymmetry, rest: Collection[str]) -> NeuronSymmetry:
    """The moves that leave some parameters as they are.

    Where all networks share them, a neuron that is counted there cannot change places with another
    in one network alone.
    """
    fixed = {name for name in table.axes if name in rest}
    if not fixed:
        return table
    inside = table.only(fixed)
    held = {group for axes in inside.axes.values() for group in axes}
    held |= {p.group for e in inside.joined.values() for parts in e.values() for p in parts}
    held.discard(None)
    free = table.only([name for name in table.axes if name not in fixed])
    moves = free.continuous
    return replace(
        table,
        axes={
            name: tuple(None if group in held else group for group in axes)
            for name, axes in table.axes.items()
        },
        sign_groups=table.sign_groups - held,
        joined={
            name: {
                axis: tuple(p._replace(group=None) if p.group in held else p for p in parts)
                for axis, parts in entry.items()
            }
            for name, entry in table.joined.items()
        },
        flips={
            name: flip
            for name, flip in table.flips.items()
            if flip.group not in held and not fixed.intersection(flip.parameters)
        },
        continuous=replace(
            moves,
            scales={name: s for name, s in moves.scales.items() if s.group not in held},
            normalizations={
                name: entry
                for name, entry in table.continuous.normalizations.items()
                if not fixed.intersection((*entry.filters, *entry.parts))
            },
            products={name: p for name, p in moves.products.items() if p.group not in held},
        ),
    )


def require_preserved(
    table: NeuronSymmetry, layout: WeightLayout, module: nn.Module, example: Tensor
) -> None:
    """Refuse a declared table that changes what a network computes.

    Args:
        table: Of the network's parameters; those that it leaves out, it leaves in place.
        example: Its input, with a batch.

    Raises:
        InputError: The checkpoints are not the network's, the table does not fit it, or its
            outputs change; the groups and their layers are named.
    """
    whole = layout_of(module)
    own = [name for name, _ in whole.shapes]
    missing = [name for name, _ in layout.shapes if name not in own]
    if missing:
        raise InputError(
            f"expected the network of these checkpoints, {first_few(missing)} not in it; name the "
            "network that they are of",
            "other-network",
        )
    moved = table.only([name for name in own if name in table.axes])
    axes = {name: moved.axes.get(name, (None,) * len(shape)) for name, shape in whole.shapes}
    completed = replace(moved, axes=axes)
    try:
        anything_moves = completed.sizes(whole)
    except ValueError as error:
        raise InputError(
            f"expected a table of {type(module).__name__}, it does not fit: {error}; give the "
            "table that `novelweights symmetry` derives",
            "wrong-symmetry",
        ) from error
    variances = [name for name in own if name.endswith("running_var")]
    trial = working_copy(module), in_double(example), whole, completed
    with few_threads(module):
        if anything_moves:
            prove(*trial, positive=variances)
        prove_continuous(*trial, positive=variances)

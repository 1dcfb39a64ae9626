"""Checkpoints that name a network's parameters with one word more, or less, than the network does.

Wrappers of training code put their own name before every parameter: "model.fc.weight" is
"fc.weight" of the network inside. Source: ours.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from torch import nn

from novelweights.errors import InputError, first_few
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population

WRAPPERS = ("module.", "model.", "_orig_mod.", "net.")
"""What data parallel, Lightning, compiled networks and habit put before names."""
DEEPEST = 3
"""Wrappers inside one another that are looked through."""


def named_as(population: Population, module: nn.Module) -> Population:
    """The same checkpoints, and the rest that they share, with the names of a network.

    A population whose names fit already, or with no one wrapper's name more or less, is returned
    as it is.

    Raises:
        InputError: Two ways to leave something off fit alike.
    """
    names = [name for name, _ in population.layout.shapes]
    own = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    own |= set(module.state_dict())
    before, added = _difference(names, own)
    if not before and not added:
        return population

    def renamed(name: str) -> str:
        return added + name.removeprefix(before)

    layout = WeightLayout(tuple((renamed(name), shape) for name, shape in population.layout.shapes))
    rest = population.shared
    if rest is not None:
        rest = {name if name in own else renamed(name): value for name, value in rest.items()}
    return replace(
        population,
        layout=layout,
        shared=rest,
        info=replace(population.info, symmetry=None),  # its table has the old names
    )


def _difference(names: Collection[str], own: Collection[str]) -> tuple[str, str]:
    """What to leave off names, and what to put before them, so that a network has them all."""
    if all(name in own for name in names):
        return "", ""
    prefixes = [
        (before, added)
        for before in _wrappers_of(names)
        for added in _wrappers_of(own)
        if (before == "") != (added == "")
        and all(added + name.removeprefix(before) in own for name in names)
    ]
    if len(prefixes) > 1:
        either = " or ".join(f"{before or added!r}" for before, added in prefixes)
        raise InputError(
            f"expected names of parameters that fit the network in one way, {either} could be left "
            "off; save the checkpoints with the names of the network",
            "other-network",
        )
    return prefixes[0] if prefixes else ("", "")


def _wrappers_of(names: Iterable[str]) -> list[str]:
    """Beginnings, made of names of wrappers, that all names have; the empty one first."""
    names, wrappers = list(names), [""]
    for _ in range(DEEPEST):
        longer = [wrappers[-1] + word for word in WRAPPERS]
        common = [word for word in longer if names and all(n.startswith(word) for n in names)]
        if not common:
            break
        wrappers += common  # one at most: names begin in one way
    return wrappers


def require_same_parameters(
    shapes: Mapping[str, tuple[int, ...]], own: Mapping[str, tuple[int, ...]], where: str = ""
) -> None:
    """Refuse checkpoints that are not of a network.

    Raises:
        InputError: A parameter is missing in the network, or has another shape there.
    """
    faults = [
        f"{name} is {'x'.join(map(str, shape)) or 'a scalar'} in the checkpoints and "
        f"{('x'.join(map(str, own[name])) or 'a scalar') if name in own else 'missing'} in the "
        "network"
        for name, shape in shapes.items()
        if name not in own or own[name] != tuple(shape)
    ]
    if faults:
        raise InputError(
            f"{where}expected the network of these checkpoints, but {first_few(faults, '; ')}; "
            "name the network that they are of",
            "other-network",
        )

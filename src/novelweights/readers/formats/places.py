"""Where networks lie in a value: names with numbers, in mappings and lists of any depth.

Each container is entered once, however often it is referred to. Source: ours.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from novelweights.errors import InputError
from novelweights.readers.pickle.torch_tensors import TensorPlan
from novelweights.readers.pickle.values import shown

WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "params",
    "weights",
)
"""Keys under which training code keeps the network that it trains."""
AVERAGE = re.compile(r"(^|.*[-_.])(ema|avg|average|averaged|swa|shadow)([-_.].*|$)", re.IGNORECASE)
"""Keys of averages over training, which lie beside the network itself."""
OPTIMIZER = {"state", "param_groups"}
"""Keys of an optimizer's state, whose moments are no networks."""
MAX_DEPTH = 5
"""Containers inside each other that are looked into."""
SEVERAL = 3
"""So many networks of one shape side by side are checkpoints, whatever their keys; of two, keys
that differ in their digits alone must say so."""
REPEATED = 1_000_000
"""Numbers by name in all networks, beyond ten times those that there are once."""
Place = tuple[str | int, ...]
"""Keys of mappings, and places in lists."""


def places_of_networks(content: Any) -> dict[Place, Any]:
    """All networks in a value, by their places.

    Raises:
        InputError: Two have the same place, or one is there again and again.
    """
    places: dict[Place, Any] = {}
    total, once, seen = 0, 0, set[int]()
    for place, state in _networks(content):
        if place in places:
            raise InputError(
                f"expected keys that differ, {shown(place_text(place))} is there twice, as text "
                "and as a number; save the networks under keys of one kind",
                "wrong-content",
            )
        places[place] = state
        total += len(state)
        once += 0 if id(state) in seen else len(state)
        seen.add(id(state))
        if total > 10 * once + REPEATED:
            raise InputError(
                "expected networks of about the size of the file, the same one is in it again and "
                "again: refused; save each once",
                "too-large",
            )
    return places


def siblings_at(places: Mapping[Place, Any]) -> dict[str, Any] | None:
    """Networks of one shape whose places differ in one key alone, by that key; else None."""
    paths = list(places)
    if len(paths) < 2 or len({len(path) for path in paths}) > 1:
        return None
    differing = [i for i, keys in enumerate(zip(*paths, strict=True)) if len(set(keys)) > 1]
    if len(differing) != 1:
        return None
    keys = [path[differing[0]] for path in paths]
    names = [f"{key:05d}" if isinstance(key, int) else key for key in keys]
    if isinstance(keys[0], str):
        are_meant = len(keys) >= SEVERAL or len({re.sub(r"\d+", "0", name) for name in names}) == 1
        if not are_meant or any(name in WRAPPERS or AVERAGE.fullmatch(name) for name in names):
            return None
    shapes = {
        frozenset((name, tuple(value.shape)) for name, value in one.items())
        for one in {id(one): one for one in places.values()}.values()
    }
    return dict(zip(names, places.values(), strict=True)) if len(shapes) == 1 else None


def is_numbers(value: Any) -> bool:
    """Whether a value is a tensor or an array of numbers, read or described."""
    is_array = isinstance(value, np.ndarray) and value.dtype.kind in "fiubc"
    return is_array or isinstance(value, Tensor | TensorPlan)


def is_vector(value: Any) -> bool:
    """Whether a value may be all weights of a network, one after the other."""
    return is_numbers(value) and len(value.shape) == 1 and _is_real(value)


def is_matrix(value: Any) -> bool:
    """Whether a value may be the weights of several."""
    return is_numbers(value) and len(value.shape) == 2 and _is_real(value) and 0 not in value.shape


def is_numbers_by_name(value: Any) -> bool:
    """Whether a value is names with numbers, and nothing else."""
    return isinstance(value, Mapping) and bool(value) and all(map(is_numbers, value.values()))


def is_network(value: Any) -> bool:
    """Whether a value inside another is a network: names with numbers, not only single ones."""
    return is_numbers_by_name(value) and any(
        _is_real(one) and len(one.shape) > 0 for one in value.values()
    )


def place_text(place: Place) -> str:
    """A place, with dots."""
    return ".".join(map(str, place))


def _networks(content: Any) -> Iterator[tuple[Place, Any]]:
    """Places and values of the networks in a value; each container is entered once."""
    entered: set[int] = set()
    known: dict[int, bool] = {}
    waiting: list[tuple[Place, Any]] = [((), content)]
    while waiting:
        place, value = waiting.pop()
        if id(value) not in known:
            known[id(value)] = is_network(value)
        if known[id(value)]:
            yield place, value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in entered:
            entered.add(id(value))
            is_optimizer = isinstance(value, Mapping) and value.keys() >= OPTIMIZER
            if len(place) < MAX_DEPTH and not is_optimizer:
                waiting += [((*place, k), inside) for k, inside in reversed(list(_inside(value)))]


def _inside(value: Mapping | Sequence) -> Iterator[tuple[str | int, Any]]:
    """Containers in a container, by key or place."""
    is_mapping = isinstance(value, Mapping)
    for key, inside in value.items() if is_mapping else enumerate(value):
        if isinstance(inside, Mapping | list | tuple):
            yield str(key) if is_mapping else key, inside


def _is_real(value: Any) -> bool:
    return (
        value.dtype.kind == "f" if isinstance(value, np.ndarray) else value.dtype.is_floating_point
    )

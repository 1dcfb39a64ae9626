"""Which networks a file holds, whatever lies around them: wrappers, averages, lists of them.

A network is a mapping from names to numbers. The only one in a file is taken wherever it lies; of
several the one under a usual name, never one of two that may be meant; and several of one shape,
side by side, are checkpoints of their own. What is taken and what is left is told. Source: ours.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from novelweights.errors import InputError, first_few
from novelweights.readers.pickle.torch_tensors import TensorPlan
from novelweights.readers.pickle.values import Name, Stub, shown

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
TO_BE_RUN = re.compile(
    r"(os|posix|nt|sys|subprocess|shutil|socket|importlib|runpy|pty|ctypes|code|pickle|extension)\..*"
    r"|(builtins|__builtin__)\.(eval|exec|execfile|compile|open|__import__)"
)
"""Names that no settings are made of: what a file does with them can only be meant to be run."""
SEVERAL = 3
"""So many networks of one shape side by side are checkpoints, whatever their keys; of two, keys
that differ in their digits alone must say so."""
Place = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Held:
    """The networks in a file."""

    networks: Mapping[str, Any]
    """One, or several checkpoints, by key or place; a mapping from names to numbers each, or a
    vector of all weights."""
    taken: str
    """Where it lies, with dots; empty: the file holds it alone."""
    beside: tuple[str, ...] = ()
    """Keys of other things in the file."""
    others: tuple[str, ...] = ()
    """Places of other networks in it."""
    objects: tuple[str, ...] = ()
    """Names of classes whose objects lie beside, inert."""

    @property
    def is_several(self) -> bool:
        """Whether the file holds checkpoints, and not one."""
        return len(self.networks) != 1 or "" not in self.networks

    @property
    def is_hostile(self) -> bool:
        """Whether something beside the network asks for code of the system to be run."""
        return any(map(TO_BE_RUN.fullmatch, self.objects))

    @property
    def is_average(self) -> bool:
        """Whether an average over training was taken, and not the network itself."""
        return AVERAGE.fullmatch(self.taken) is not None

    def notes(self) -> list[str]:
        """What was taken and what is left out, in words."""
        notes = []
        if self.taken and not self.is_several:
            notes.append(f"the network at {self.taken} of each file")
        elif self.is_several:
            where = f" at {self.taken}" if self.taken else ""
            notes.append(f"{len(self.networks)} networks in a file{where}, a checkpoint each")
        if self.others:
            notes.append(
                f"other networks in the same file are left out: {first_few(self.others)}; choose "
                "with --key"
            )
        if left := [name for name in self.beside if name not in self.others]:
            notes.append(f"left out beside it: {first_few(left)}")
        if self.objects:
            notes.append(f"objects beside it, not run and left out: {first_few(self.objects)}")
        return notes


def held(content: Any, key: str | None = None) -> Held:
    """The networks in what a file holds.

    Args:
        key: Where it lies, or a part of that; None: it is looked for.

    Raises:
        InputError: There is none, or there are several that may be meant.
    """
    if is_vector(content) or is_matrix(content):
        rows = {f"{i:05d}": row for i, row in enumerate(content)} if is_matrix(content) else None
        return Held(rows or {"": content}, "")
    if is_numbers_by_name(content):
        return Held({"": content}, "")
    places = dict(_networks(content))
    if key is not None and places:
        chosen = {place: state for place, state in places.items() if _is_at(place, key)}
        if not chosen:
            raise InputError(
                f"expected a network at {key!r}, got networks at {_listed(places)}; choose one of "
                "these with --key",
                "wrong-option",
            )
    else:
        chosen = places
    if not chosen:
        return _mixed(content)
    if (siblings := _siblings(content, chosen)) is not None:
        return _described(content, siblings, _common(list(chosen)), [])
    place = _meant(chosen)
    others = [".".join(other) for other in places if other != place]
    return _described(content, {"": chosen[place]}, ".".join(place), others)


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


def _is_real(value: Any) -> bool:
    return (
        value.dtype.kind == "f" if isinstance(value, np.ndarray) else value.dtype.is_floating_point
    )


def _is_network(value: Any) -> bool:
    """Whether a value inside another is a network: names with numbers, not only single ones."""
    return is_numbers_by_name(value) and any(
        _is_real(one) and len(one.shape) > 0 for one in value.values()
    )


def _networks(content: Any) -> Iterator[tuple[Place, Any]]:
    """Places and values of the networks in a value; each container is entered once."""
    entered: set[int] = set()
    known: dict[int, bool] = {}
    waiting: list[tuple[Place, Any]] = [((), content)]
    while waiting:
        place, value = waiting.pop()
        if id(value) not in known:
            known[id(value)] = _is_network(value)
        if known[id(value)]:
            yield place, value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in entered:
            entered.add(id(value))
            is_optimizer = isinstance(value, Mapping) and value.keys() >= OPTIMIZER
            if len(place) < MAX_DEPTH and not is_optimizer:
                waiting += [((*place, k), inside) for k, inside in reversed(list(_inside(value)))]


def _inside(value: Mapping | Sequence) -> Iterator[tuple[str, Any]]:
    """Containers in a container, by key or place."""
    named = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, inside in named:
        if isinstance(inside, Mapping | list | tuple):
            yield str(key), inside


def _is_at(place: Place, key: str) -> bool:
    """Whether a place is the one that is named, or has it as a part."""
    return key == ".".join(place) or key in place


def _siblings(content: Any, places: Mapping[Place, Any]) -> dict[str, Any] | None:
    """Networks of one shape whose places differ in one key alone, by that key; else None."""
    paths = list(places)
    if len(paths) < 2 or len({len(path) for path in paths}) > 1:
        return None
    differing = [i for i in range(len(paths[0])) if len({path[i] for path in paths}) > 1]
    if len(differing) != 1:
        return None
    at = differing[0]
    keys = [path[at] for path in paths]
    parent = content
    for key in paths[0][:at]:
        parent = _entry(parent, key)
    if isinstance(parent, Mapping):
        are_meant = len(keys) >= SEVERAL or len({re.sub(r"\d+", "0", key) for key in keys}) == 1
        if not are_meant or any(key in WRAPPERS or AVERAGE.fullmatch(key) for key in keys):
            return None
    shapes = {frozenset((k, tuple(v.shape)) for k, v in one.items()) for one in places.values()}
    if len(shapes) > 1:
        return None
    if not isinstance(parent, Mapping):
        keys = [key.zfill(5) for key in keys]
    return dict(zip(keys, places.values(), strict=True))


def _entry(container: Any, key: str) -> Any:
    """What a container holds under a key's text, or at a place."""
    if isinstance(container, Mapping):
        return next(value for k, value in container.items() if str(k) == key)
    return container[int(key)]


def _common(paths: Sequence[Place]) -> str:
    """Where several networks lie, with * for what differs."""
    return ".".join(parts[0] if len(set(parts)) == 1 else "*" for parts in zip(*paths, strict=True))


def _meant(places: Mapping[Place, Any]) -> Place:
    """The place of the network that is meant.

    Raises:
        InputError: There are several.
    """
    if len(places) == 1:
        return next(iter(places))
    by_depth = zip(*places, strict=False)
    n_common = next((i for i, keys in enumerate(by_depth) if len(set(keys)) > 1), 0)
    usual = [place for place in places if all(key in WRAPPERS for key in place[n_common:])]
    if len(usual) == 1:
        return usual[0]
    raise InputError(
        f"expected one network in a file, got {len(places)}: {_listed(places)}; choose one with "
        "--key",
        "wrong-content",
    )


def _mixed(content: Any) -> Held:
    """A network whose numbers lie among other values.

    Raises:
        InputError: There are no numbers, or something of it could not be read.
    """
    if isinstance(content, Mapping):
        numbers = {key: value for key, value in content.items() if is_numbers(value)}
        odd = [key for key, value in content.items() if not is_numbers(value)]
        kinds = int | float | str | bool | bytes | type(None)
        if _is_network(numbers) and all(isinstance(content[key], kinds) for key in odd):
            return Held({"": numbers}, "", tuple(shown(key) for key in odd))
        got = f"a dict in which {shown(odd[0])[:60]!r} is no tensor" if odd else "an empty dict"
    else:
        got = type(content).__name__
    raise InputError(
        f"expected a state dict (names to tensors), got {got}; save it by "
        "torch.save(model.state_dict(), path)",
        "wrong-type",
    )


def _described(content: Any, networks: dict[str, Any], taken: str, others: list[str]) -> Held:
    """What was taken, with what lies beside it."""
    beside: list[str] = []
    if isinstance(content, Mapping):
        beside = [shown(key) for key in content if str(key) != taken.partition(".")[0]]
    if taken.startswith("*"):
        beside = [key for key in beside if key not in networks]
    return Held(networks, taken, tuple(beside), tuple(others), _objects(content))


def _objects(content: Any) -> tuple[str, ...]:
    """Names of the classes whose objects lie in a value, each once."""
    found: dict[str, None] = {}
    entered: set[int] = set()
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Name):
            found[shown(value)] = None
        elif isinstance(value, Stub) and id(value) not in entered:
            entered.add(id(value))
            found[shown(value.name)] = None
            waiting += [value.arguments, value.state, value.items]
        elif isinstance(value, Mapping | list | tuple) and id(value) not in entered:
            entered.add(id(value))
            waiting += value.values() if isinstance(value, Mapping) else value
    return tuple(sorted(found))


def _listed(places: Mapping[Place, Any]) -> str:
    return first_few([shown(".".join(place)) for place in places], shown=6)

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
REPEATED = 1_000_000
"""Numbers by name in all networks, beyond ten times those that there are once."""
Place = tuple[str | int, ...]
"""Keys of mappings, and places in lists."""


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
    places = _places(content)
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
    if (siblings := _siblings(chosen)) is not None:
        return _described(content, siblings, _common(list(chosen)), [])
    place = _meant(chosen)
    others = [_text(other) for other in places if other != place]
    return _described(content, {"": chosen[place]}, _text(place), others)


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


def _places(content: Any) -> dict[Place, Any]:
    """All networks in a value, by their places.

    Raises:
        InputError: Two have the same place, or one is there again and again.
    """
    places: dict[Place, Any] = {}
    total, once, seen = 0, 0, set[int]()
    for place, state in _networks(content):
        if place in places:
            raise InputError(
                f"expected keys that differ, {shown(_text(place))} is there twice, as text and as "
                "a number; save the networks under keys of one kind",
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


def _inside(value: Mapping | Sequence) -> Iterator[tuple[str | int, Any]]:
    """Containers in a container, by key or place."""
    is_mapping = isinstance(value, Mapping)
    for key, inside in value.items() if is_mapping else enumerate(value):
        if isinstance(inside, Mapping | list | tuple):
            yield str(key) if is_mapping else key, inside


def _text(place: Place) -> str:
    """A place, with dots."""
    return ".".join(map(str, place))


def _is_at(place: Place, key: str) -> bool:
    """Whether a place is the one that is named, or has it as a part."""
    return key == _text(place) or key in map(str, place)


def _siblings(places: Mapping[Place, Any]) -> dict[str, Any] | None:
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


def _common(paths: Sequence[Place]) -> str:
    """Where several networks lie, with * for what differs."""
    keys = [parts[0] if len(set(parts)) == 1 else "*" for parts in zip(*paths, strict=True)]
    return _text(tuple(keys))


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
    return first_few([shown(_text(place)) for place in places], shown=6)

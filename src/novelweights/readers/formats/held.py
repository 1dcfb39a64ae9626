"""Which networks a file holds, whatever lies around them: wrappers, averages, lists of them.

A network is a mapping from names to numbers. The only one in a file is taken wherever it lies; of
several the one under a usual name, never one of two that may be meant; and several of one shape,
side by side, are checkpoints of their own. What is taken and what is left is told. Source: ours.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from novelweights.errors import InputError, first_few
from novelweights.readers.formats.places import (
    AVERAGE,
    WRAPPERS,
    Place,
    is_matrix,
    is_network,
    is_numbers,
    is_numbers_by_name,
    is_vector,
    place_text,
    places_of_networks,
    siblings_at,
)
from novelweights.readers.pickle.values import Name, Stub, shown

TO_BE_RUN = re.compile(
    r"(os|posix|nt|sys|subprocess|shutil|socket|importlib|runpy|pty|ctypes|code|pickle|extension)\..*"
    r"|(builtins|__builtin__)\.(eval|exec|execfile|compile|open|__import__)"
)
"""Names that no settings are made of: what a file does with them can only be meant to be run."""


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
    unused_key: str | None = None
    """What was asked for and is not there, in a file of one network."""

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
        if self.unused_key is not None:
            notes.append(f"--key {self.unused_key} is in no file: each holds one network")
        if self.taken and not self.is_several:
            notes.append(f"network taken: {self.taken}")
        elif self.is_several:
            where = f" at {self.taken}" if self.taken else ""
            notes.append(f"{len(self.networks)} networks in a file{where}, a checkpoint each")
        if self.others:
            notes.append(
                f"other networks in the file are left out: {first_few(self.others)} (--key chooses)"
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
        return Held(rows or {"": content}, "", unused_key=key)
    if is_numbers_by_name(content):
        return Held({"": content}, "", unused_key=key)
    places = places_of_networks(content)
    if not places:
        return replace(_mixed(content), unused_key=key)
    chosen = places
    if key is not None:
        chosen = {place: state for place, state in places.items() if _is_at(place, key)}
    if not chosen and len(places) > 1:
        raise InputError(
            f"expected a network at {key!r}, got networks at {_listed(places)}; choose one of "
            "these with --key",
            "wrong-option",
        )
    unused, chosen = (None, chosen) if chosen else (key, places)
    if (siblings := siblings_at(chosen)) is not None:
        return _described(content, siblings, _common(list(chosen)), [])
    place = _meant(chosen)
    others = [place_text(other) for other in places if other != place]
    found = _described(content, {"": chosen[place]}, place_text(place), others)
    return replace(found, unused_key=unused)


def _is_at(place: Place, key: str) -> bool:
    """Whether a place is the one that is named, or has it as a part."""
    return key == place_text(place) or key in map(str, place)


def _common(paths: Sequence[Place]) -> str:
    """Where several networks lie, with * for what differs."""
    keys = [parts[0] if len(set(parts)) == 1 else "*" for parts in zip(*paths, strict=True)]
    return place_text(tuple(keys))


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
        if is_network(numbers) and all(isinstance(content[key], kinds) for key in odd):
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
            waiting += [*value, *value.values()] if isinstance(value, Mapping) else value
    return tuple(sorted(found))


def _listed(places: Mapping[Place, Any]) -> str:
    return first_few([shown(place_text(place)) for place in places], shown=6)

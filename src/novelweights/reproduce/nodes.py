"""Stages of runs as plain data: what is made, with which settings, from what.

A node is addressed by the content of its settings and of those it is made from, so that exhibits
share it, a change of settings makes another one, and nothing is made twice. Source: ours.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

Tell = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""
Make = Callable[[Path, Mapping[str, Path], Tell], None]
"""Writes a node's folder from those of its inputs; goes on with what an interruption left."""
KEY_LENGTH = 12
Cost = tuple[int | float, int | float]
"""Minutes on two cores (at paper scale on one large GPU) and megabytes, about."""


@dataclass(frozen=True, eq=False)
class Node:
    """One stage of a run: a folder to be made."""

    name: str
    """For people: the beginning of its folder's name."""
    settings: Mapping[str, Any]
    """Plain data; all that decides the outcome, beside the inputs."""
    make: Make
    inputs: Mapping[str, "Node"] = field(default_factory=dict)
    minutes: int | float = 0
    """How long it takes on 2 cores, about (at paper scale: on one large GPU)."""
    megabytes: int | float = 0
    """How much its folder holds, about."""
    check: Callable[[], object] = lambda: None
    """Raises an `InputError` where it cannot be made for want of data."""

    @cached_property
    def key(self) -> str:
        """Digest of its settings and of its inputs' keys."""
        return digest(self.settings, {role: node.key for role, node in self.inputs.items()})

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"{self.name}-{self.key}"


def digest(settings: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """The key of a node of these settings and of inputs with these keys."""
    content = json.dumps([plain(settings), dict(inputs)], sort_keys=True, allow_nan=False)
    return hashlib.sha256(content.encode()).hexdigest()[:KEY_LENGTH]


def plain(value: Any) -> Any:
    """Settings as JSON holds them: tuples as lists, dataclasses as mappings of what differs from
    their defaults, so that a new field changes no key of what was made without it.
    """
    if is_dataclass(value) and not isinstance(value, type):
        kept = {
            one.name: plain(getattr(value, one.name))
            for one in fields(value)
            if one.name != "description" and not _is_default(one, getattr(value, one.name))
        }
        return {"kind": type(value).__name__, **kept}
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def _is_default(field_of: Field, value: Any) -> bool:
    """Whether a field of a dataclass has the value that it has where none is given."""
    if field_of.default_factory is not MISSING:
        return bool(value == field_of.default_factory())
    return field_of.default is not MISSING and bool(value == field_of.default)


def in_order(nodes: Iterable[Node]) -> list[Node]:
    """The nodes and all they are made from, each once and after its inputs."""
    found: dict[str, Node] = {}

    def add(node: Node) -> None:
        if node.key not in found:
            for needed in node.inputs.values():
                add(needed)
            found[node.key] = node

    for node in nodes:
        add(node)
    return list(found.values())

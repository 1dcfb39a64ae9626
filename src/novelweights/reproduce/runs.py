"""The runs of a reproduction: each node's folder is found among what is kept, or made.

A folder NAME-KEY is complete when NAME-KEY.json lies beside it, which says what it is of and how it
came to be. What is interrupted goes on when it is asked for again. Source: ours.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from novelweights.auditing.run_folder import git_commit, versions_used
from novelweights.errors import InputError
from novelweights.files import read_json, write_json
from novelweights.reproduce.nodes import Node, Tell, digest, in_order, plain

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Runs:
    """Where the runs of one scale are, and how they are made."""

    folder: Path
    """New ones are made here."""
    kept: Sequence[Path] = ()
    """Folders in which complete ones may lie; nothing is written there."""
    tell: Tell = lambda stage, done, total: None

    def find(self, node: Node) -> Path | None:
        """The complete folder of a node; None: it is to be made.

        Raises:
            InputError: What lies there says that it is of other settings, or cannot be read.
        """
        for place in (self.folder, *self.kept):
            described = place / f"{node.folder}.json"
            if described.is_file():
                _require_same(described, node)
                if (folder := place / node.folder).is_dir():
                    return folder
        return None

    def at(self, node: Node) -> Path:
        """The folder of a node, made now if it is not there, after what it is made from."""
        found = self.find(node)
        return self._made(node) if found is None else found

    def missing(self, nodes: Iterable[Node]) -> list[Node]:
        """Which have to be made to have these, each after what it is made from."""
        found: dict[str, bool] = {}

        def look(node: Node) -> None:
            if node.key not in found and not found.setdefault(node.key, self.find(node) is None):
                return
            for needed in node.inputs.values():
                look(needed)

        for node in nodes:
            look(node)
        return [node for node in in_order(nodes) if found.get(node.key)]

    def _made(self, node: Node) -> Path:
        """Make a node's folder."""
        inputs = {role: self.at(needed) for role, needed in node.inputs.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        folder, started = self.folder / node.folder, time.perf_counter()
        node.make(
            folder, inputs, lambda stage, done, of: self.tell(f"{node.name}: {stage}", done, of)
        )
        write_json(
            self.folder / f"{node.folder}.json",
            {
                "schema_version": SCHEMA_VERSION,
                "name": node.name,
                "settings": plain(node.settings),
                "inputs": {role: needed.key for role, needed in node.inputs.items()},
                "seconds": round(time.perf_counter() - started, 1),
                "cores": os.cpu_count(),
                "versions": versions_used(),
                "git_commit": git_commit(),
            },
        )
        return folder


def _require_same(described: Path, node: Node) -> None:
    """Refuse a folder whose description is that of something else."""
    kept: Any = read_json(described)
    if not isinstance(kept, Mapping) or not isinstance(kept.get("settings"), Mapping):
        raise InputError(
            f"{described}: expected the settings of a run, got something else; delete it and the "
            "folder beside it, which are then made again",
            "damaged",
        )
    if digest(kept["settings"], kept.get("inputs") or {}) != node.key:
        raise InputError(
            f"{described}: the run there is of other settings than its name says; delete it and "
            "the folder beside it, which are then made again, or name another folder with -o",
            "other-settings",
        )

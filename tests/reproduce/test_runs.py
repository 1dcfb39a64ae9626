"""Nodes and their folders: what is made once, what is found, and what is refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from refused import refused

from novelweights.errors import InputError
from novelweights.reproduce.jobs import make_all
from novelweights.reproduce.nodes import Node, Tell, in_order
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.runs import Runs

NO_PLAN = Plan("smoke", {}, {})


@dataclass(frozen=True)
class Recipe:
    epochs: int = 3
    sizes: tuple[int, ...] = (4, 2)


def node(name: str, inputs: Mapping[str, Node] | None = None, **settings: object) -> Node:
    """A node whose folder says what it was made from."""

    def make(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
        folder.mkdir()
        made = {role: json.loads((path / "made.json").read_text()) for role, path in at.items()}
        (folder / "made.json").write_text(json.dumps({name: made}))

    return Node(name, settings, make, inputs or {})


ZOO = node("zoo", recipe=Recipe(), runs=3)
MODEL = node("model", {"zoo": ZOO}, width=8)
AUDIT = node("audit", {"model": MODEL, "zoo": ZOO})


def made_in(folder: Path) -> set[str]:
    return {path.name.partition("-")[0] for path in folder.iterdir() if path.is_dir()}


def test_a_key_follows_from_settings_and_inputs_alone():
    assert node("other name", recipe=Recipe(), runs=3).key == ZOO.key
    assert node("zoo", runs=3, recipe=Recipe()).key == ZOO.key  # in any order
    others = [
        node("zoo", recipe=Recipe(4), runs=3),
        node("zoo", recipe=Recipe(), runs=4),
        node("zoo", {"zoo": ZOO}, recipe=Recipe(), runs=3),
    ]
    assert len({ZOO.key, *(other.key for other in others)}) == 4
    elsewhere = [node("model", {"zoo": other}, width=8).key for other in others]
    assert len({MODEL.key, *elsewhere}) == 4  # what it is made from counts


def test_nodes_stand_after_their_inputs_and_once():
    assert in_order([AUDIT, MODEL]) == [ZOO, MODEL, AUDIT]


def test_what_is_needed_is_made_once_and_described(tmp_path):
    runs = Runs(tmp_path / "runs")
    made = runs.at(AUDIT)
    assert json.loads((made / "made.json").read_text()) == {
        "audit": {"model": {"model": {"zoo": {"zoo": {}}}}, "zoo": {"zoo": {}}}
    }
    told = json.loads((tmp_path / "runs" / f"{MODEL.folder}.json").read_text())
    assert told["settings"] == {"width": 8}
    assert told["inputs"] == {"zoo": ZOO.key}
    assert told["seconds"] >= 0
    before = (made / "made.json").stat().st_mtime_ns
    assert runs.at(AUDIT) == made
    assert (made / "made.json").stat().st_mtime_ns == before
    assert runs.missing([AUDIT]) == []


def test_what_is_kept_needs_none_of_its_inputs(tmp_path):
    Runs(tmp_path / "kept").at(AUDIT)
    for path in (tmp_path / "kept").glob("zoo-*"):
        path.unlink() if path.is_file() else (path / "made.json").unlink() or path.rmdir()
    runs = Runs(tmp_path / "new", (tmp_path / "kept",))
    assert runs.at(AUDIT).parent == tmp_path / "kept"
    assert runs.missing([AUDIT]) == []
    further = node("further", {"audit": AUDIT, "zoo": ZOO})
    assert runs.missing([further]) == [ZOO, further]
    runs.at(further)
    assert made_in(tmp_path / "new") == {"zoo", "further"}


def test_what_was_interrupted_is_not_complete_and_goes_on(tmp_path):
    seen = []

    def make(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
        folder.mkdir(exist_ok=True)
        seen.append(sorted(path.name for path in folder.iterdir()))
        (folder / f"part{len(seen)}").touch()
        if len(seen) == 1:
            raise KeyboardInterrupt

    broken = replace(MODEL, make=make)
    runs = Runs(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        runs.at(broken)
    assert runs.find(broken) is None
    assert runs.find(ZOO) is not None
    runs.at(broken)
    assert seen == [[], ["part1"]]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('{"settings": {"width": 9}, "inputs": {}}', "other-settings"),
        ("[]", "damaged"),
        ("{", "damaged"),
    ],
)
def test_a_folder_of_other_settings_is_refused(tmp_path, content, code):
    runs = Runs(tmp_path)
    runs.at(MODEL)
    described = tmp_path / f"{MODEL.folder}.json"
    described.write_text(content)
    with refused(code, described):
        runs.at(AUDIT)


def test_what_cannot_be_made_leaves_out_what_is_made_from_it_alone(tmp_path):
    def make(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
        raise InputError("svhn: no files", "no-data")

    lost, other = replace(ZOO, make=make), node("other")
    from_it = node("model", {"zoo": lost})
    from_that = node("audit", {"model": from_it})
    runs = Runs(tmp_path)
    found = make_all(runs, NO_PLAN, [from_that, other])
    assert {key: error.code for key, error in found.items()} == {lost.key: "no-data"}
    assert made_in(tmp_path) == {"other"}

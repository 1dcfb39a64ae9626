"""`novelweights reproduce` and `ls exhibits`: what is made, what goes on, and what is refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from commands import done, fails, listed, run
from matplotlib.figure import Figure

from novelweights.errors import InputError
from novelweights.reproduce import exhibits
from novelweights.reproduce.nodes import Node, Tell
from novelweights.reproduce.outcomes import ClaimRow, Effect
from novelweights.reproduce.reported import PaperEffect
from novelweights.reproduce.table import Table


def nothing_to_find() -> None:
    raise InputError("svhn: expected its files in the cache folder", "no-data")


def exhibit(node: Node) -> SimpleNamespace:
    """An exhibit that shows what its one run holds."""

    def numbers(runs, plan) -> Table:
        value = json.loads((runs.at(node) / "made.json").read_text())
        return Table("What the run holds", pd.DataFrame([{"method": "g-pt", "value": value}]))

    def picture(table: Table) -> Figure:
        figure = Figure(figsize=(2, 2))
        figure.subplots().plot([0, 1], [0, table.rows["value"][0]])
        return figure

    def claims(table: Table) -> list[ClaimRow]:
        effect = Effect(float(table.rows["value"][0]), 1.0, 3.0, 5)
        paper = PaperEffect("2.0 (table 9)", 2.0)
        return [ClaimRow("it is large", "g-pt", "table 9", "units", paper, effect)]

    return SimpleNamespace(
        TITLE="What the run holds",
        needs=lambda plan: [node],
        numbers=numbers,
        picture=picture,
        claims=claims,
    )


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of runs as they are made; figure-4 can be had, table-9 lacks its data."""
    names: list[str] = []

    def make(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
        names.append(folder.name)
        folder.mkdir()
        (folder / "made.json").write_text("2.0")

    def fail(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
        nothing_to_find()

    found = {
        "figure-4": exhibit(Node("planted-zoo", {"runs": 3}, make, {}, 4, 7)),
        "table-9": exhibit(Node("svhn-zoo", {"runs": 4}, fail, {}, 1, 1, nothing_to_find)),
    }
    for name in list(exhibits.EXHIBITS):
        monkeypatch.delitem(exhibits.EXHIBITS, name)
    for name, one in found.items():
        monkeypatch.setitem(exhibits.EXHIBITS, name, one)
    return names


def test_numbers_come_first_then_pictures_and_outcomes(made: list[str], tmp_path: Path) -> None:
    said = done("reproduce", "figure-4", "--scale", "smoke", "-o", tmp_path)
    assert "1 run to make: about 4 min, 7 MB of disk" in said
    folder = tmp_path / "exhibits"
    assert {path.name for path in folder.iterdir()} == {
        *(f"figure-4.{end}" for end in ("json", "csv", "svg", "png")),
        "outcomes.json",
    }
    told = json.loads((folder / "figure-4.json").read_text())
    assert (told["scale"], told["columns"], told["rows"]) == (
        "smoke",
        ["method", "value"],
        [["g-pt", 2.0]],
    )
    assert told["runs"] == {"planted-zoo": made[0]}
    [outcome] = json.loads((folder / "outcomes.json").read_text())["figure-4"]
    assert outcome["outcome"] == "agrees"
    assert outcome["paper"] == "2.0 (table 9)"
    again = done("reproduce", "figure-4", "--scale", "smoke", "-o", tmp_path)
    assert "to make" not in again
    assert len(made) == 1  # the run is there


def test_kept_runs_are_taken(made: list[str], tmp_path: Path) -> None:
    done("reproduce", "figure-4", "-o", tmp_path / "a")
    done("reproduce", "figure-4", "-o", tmp_path / "b", "--kept", tmp_path / "a" / "runs")
    assert len(made) == 1
    assert (tmp_path / "b" / "exhibits" / "figure-4.png").is_file()


def test_what_lacks_its_data_is_told_and_the_others_are_made(
    made: list[str], tmp_path: Path
) -> None:
    words = ("reproduce", "all", "--scale", "smoke", "-o", tmp_path)
    fails(*words, code="no-data", named="table-9")
    assert (tmp_path / "exhibits" / "figure-4.png").is_file()
    assert not (tmp_path / "exhibits" / "table-9.png").exists()


def test_wrong_names_and_machines_are_refused_before_anything_begins(
    made: list[str], tmp_path: Path
) -> None:
    fails("reproduce", "figure-5", "-o", tmp_path, code="unknown-name", named="figure-4")
    scale = ("reproduce", "figure-4", "--scale", "labtop", "-o", tmp_path)
    fails(*scale, code="unknown-name", named="laptop")
    paper = ("reproduce", "all", "--scale", "paper", "-o", tmp_path)
    fails(*paper, code="unsuited", named="svhn: expected its files")
    assert "2 runs to make" in run(*paper).output
    assert made == []
    assert not (tmp_path / "exhibits").exists()


def test_exhibits_are_listed_with_their_costs(made: list[str]) -> None:
    [first, second] = listed("exhibits").items()
    assert first[0] == "figure-4"
    assert "What the run holds; of planted; smoke 4 min, 7 MB" in first[1]
    assert second[0] == "table-9"


@pytest.mark.integration
def test_every_exhibit_is_made_at_smoke_scale(tmp_path: Path) -> None:
    done("reproduce", "all", "--scale", "smoke", "-o", tmp_path)
    made = {path.name for path in (tmp_path / "exhibits").iterdir()}
    for name in exhibits.EXHIBITS:
        assert {f"{name}.{end}" for end in ("json", "csv", "svg", "png")} <= made

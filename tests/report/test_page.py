"""The page: what it says, what it must not contain, and what it refuses."""

import html
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import KINDS, edit_csv, edit_json, write_run

from novelweights.audit.criteria import Criteria
from novelweights.errors import InputError
from novelweights.report.page import MAX_ROWS, build_report
from novelweights.report.tables import CRITERIA, number, percent, with_unit

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run folder of each kind, with its report."""
    root = tmp_path_factory.mktemp("runs")
    folders = {kind: write_run(root / kind, kind) for kind in KINDS}
    for folder in folders.values():
        build_report(folder)
    return folders


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A run folder that may be damaged."""
    return Path(shutil.copytree(runs["bare"], tmp_path / "run"))


def _page(folder: Path) -> str:
    return (folder / "report.html").read_text()


def _text(page: str) -> str:
    """What a reader sees, on one line."""
    page = re.sub(r"<(style|script|svg).*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


@pytest.mark.parametrize("kind", KINDS)
def test_page_states_the_verdict_and_every_quantity(runs: dict[str, Path], kind: str):
    data = json.loads((runs[kind] / "audit.json").read_text())
    text = _text(_page(runs[kind]))
    verdict = data["verdict"]["population"]
    for said in (verdict["sentence"], *verdict["reasons"], *verdict["would_decide"]):
        assert said in text
    for quantity in data["quantities"]:
        assert text.count(quantity["label"]) >= 2  # in the table and among the definitions
        assert quantity["definition"] in text
        value = quantity["value"]
        shown = "not available" if value is None else with_unit(value, quantity["unit"])
        assert f"{quantity['label']} {shown}" in text
    for warning in data["warnings"]:
        assert warning in text


@pytest.mark.parametrize("kind", KINDS)
def test_page_needs_no_network_and_is_well_formed(runs: dict[str, Path], kind: str):
    page = _page(runs[kind])
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert "http" not in page
    assert "@import" not in page
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    targets = {link[1:] for link in links if link.startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]*)\)", page))
    assert targets <= set(ids)
    assert _unbalanced(page) == []


def test_page_shows_provenance_and_every_threshold(runs: dict[str, Path]):
    text = _text(_page(runs["copies"]))
    manifest = json.loads((runs["copies"] / "manifest.json").read_text())
    for entry in manifest["inputs"].values():
        assert entry["sha256"] in text
    assert manifest["command"] in text
    assert manifest["git_commit"] in text
    assert "scikit-learn digits, in place of MNIST" in text
    for threshold in fields(Criteria):
        assert f"{threshold.name} " in text
        assert CRITERIA[threshold.name] in text


def test_baselines_that_could_not_be_made_are_named(runs: dict[str, Path]):
    told = "Baseline not made: average_99 (needs 990 training runs, there are 300)."
    assert told in _text(_page(runs["copies"]))


def test_verdict_without_heldout_runs_is_marked_exploratory(run: Path):
    verdict = json.loads((run / "audit.json").read_text())["verdict"]
    verdict["population"]["origin"] = "replica"
    edit_json(run / "audit.json", verdict=verdict)
    build_report(run)
    assert "replica, exploratory" in _text(_page(run))


def test_page_says_what_a_bare_audit_cannot_say(runs: dict[str, Path]):
    text = _text(_page(runs["bare"]))
    assert "No held-out runs were given" in text
    assert "No task was given" in text
    assert "holds no weights to draw" in text
    assert "nothing can be called novel" in text
    complete = _text(_page(runs["copies"]))
    assert "No held-out runs were given" not in complete
    assert "No task was given" not in complete


def test_figures_are_written_as_svg_and_png(runs: dict[str, Path]):
    names = {path.name for path in (runs["copies"] / "figures").iterdir()}
    stems = ("distances", "cosines", "weights", "trade_off", "trade_off_zoom", "regions")
    stems += ("nearest", "sources")
    assert names == {f"{stem}.{suffix}" for stem in stems for suffix in ("svg", "png")}
    assert _page(runs["copies"]).count("<svg role=") == len(stems)


def test_rebuilding_gives_identical_bytes(runs: dict[str, Path], tmp_path: Path):
    folder = Path(shutil.copytree(runs["copies"], tmp_path / "elsewhere"))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(folder / "figures")
    (folder / "report.html").unlink()
    build_report(folder)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before


def test_figures_that_no_longer_apply_are_removed(runs: dict[str, Path], tmp_path: Path):
    folder = Path(shutil.copytree(runs["copies"], tmp_path / "run"))
    (folder / "plot_data.npz").unlink()
    build_report(folder)
    assert not (folder / "figures" / "regions.svg").exists()
    assert (folder / "figures" / "distances.svg").exists()


def test_many_checkpoints_stay_below_two_megabytes(tmp_path: Path):
    folder = write_run(tmp_path / "run", n=1000)
    path = build_report(folder)
    assert path.stat().st_size < 2 * MEBIBYTE
    page = _page(folder)
    assert f"The {MAX_ROWS} checkpoints nearest to training, of 1,000" in _text(page)
    assert page.count('class="tag"') == MAX_ROWS


def test_names_with_html_characters_are_escaped(tmp_path: Path):
    folder = write_run(tmp_path / "run", n=30, prefix='<script>alert("1")</script>&')
    edit_json(
        folder / "audit.json", about={"data": "<img src=x onerror=alert(1)>", "<b>": ["</p>"]}
    )
    build_report(folder)
    page = _page(folder)
    assert "<script>alert" not in page
    assert "<img" not in page
    assert '<script>alert("1")</script>&-0000' in _text(page)
    assert _unbalanced(page) == []


@pytest.mark.parametrize("name", ["audit.json", "checkpoints.csv", "manifest.json"])
def test_missing_file_is_an_input_error(run: Path, name: str):
    (run / name).unlink()
    with pytest.raises(InputError, match=rf"{name}.*expected.*not there.*again"):
        build_report(run)


def test_missing_folder_is_an_input_error(tmp_path: Path):
    with pytest.raises(InputError, match="expected a run folder"):
        build_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name", ["audit.json", "checkpoints.csv", "manifest.json", "plot_data.npz"]
)
@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe\x00half", b"PK\x03\x04broken"])
def test_corrupt_file_is_an_input_error(run: Path, name: str, content: bytes):
    (run / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}.*expected.*again"):
        build_report(run)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: edit_json(run / "audit.json", schema_version=99), "schema version 99"),
        (lambda run: edit_json(run / "audit.json", training=None), "audit.json"),
        (lambda run: edit_json(run / "audit.json", verdict={}), "no entry 'population'"),
        (lambda run: edit_json(run / "audit.json", verdict="replica"), "a verdict"),
        (lambda run: edit_json(run / "audit.json", about=[]), "audit.json"),
        (lambda run: edit_json(run / "manifest.json", inputs=[]), "a manifest"),
        (lambda run: edit_csv(run / "checkpoints.csv", "distance", "far"), "far"),
        (lambda run: edit_csv(run / "checkpoints.csv", "cosine", "x"), "x"),
        (lambda run: edit_csv(run / "checkpoints.csv", "verdict", "guilty"), "guilty"),
        (lambda run: _drop_last_line(run / "checkpoints.csv"), "200 checkpoints.*got 199"),
        (lambda run: _save(run, regions=np.zeros((1, 2, 9, 9), np.uint8)), "only some of"),
        (lambda run: _save(run, heatmap_values=np.zeros((1, 3, 64))), "does not fit"),
        (lambda run: _save(run, region_rows=np.array([0]), regions=np.zeros(3)), "axes"),
        (
            lambda run: _save(run, region_rows=[900], regions=np.zeros((1, 2, 9, 9), np.uint8)),
            "beyond the 200",
        ),
    ],
)
def test_files_that_do_not_fit_are_an_input_error(
    run: Path, damage: Callable[[Path], object], said: str
):
    damage(run)
    with pytest.raises(InputError, match=rf"(?s){said}.*again"):
        build_report(run)


def test_neighbors_that_do_not_exist_are_an_input_error(run: Path):
    data = json.loads((run / "audit.json").read_text())
    data["generated"]["neighbor_rows"][0][0] = 300
    (run / "audit.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="neighbor_rows beyond the 300"):
        build_report(run)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "\u2013"),
        (float("nan"), "\u2013"),
        (0.0, "0"),
        (17.84321, "17.8"),
        (0.05, "0.0500"),
        (1234.0, "1,234"),
        (1234.56, "1,235"),
        (2.5e-7, "2.50e-07"),
        (-0.3712, "-0.371"),
    ],
)
def test_numbers_have_three_significant_digits(value: float | None, shown: str):
    assert number(value) == shown


def test_percentages_say_all_and_none_only_where_exact():
    assert [percent(x) for x in (0.0, 1.0, 0.985, 0.0004, 0.9996)] == [
        "0%",
        "100%",
        "98.5%",
        "<0.1%",
        ">99.9%",
    ]
    assert with_unit(95.31, "%") == "95.3%"
    assert with_unit(0.985, "share") == "98.5%"
    assert with_unit(0.5, "nats") == "0.500 nats"


def _drop_last_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def _save(run: Path, **arrays: object) -> None:
    made: dict[str, Any] = {key: np.asarray(values) for key, values in arrays.items()}
    np.savez(run / "plot_data.npz", **made)


class _Balance(HTMLParser):
    """Collects tags that are closed without being open, or left open."""

    VOID = ("meta", "input", "br", "hr", "img", "link")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.faults.append(tag)


def _unbalanced(page: str) -> list[str]:
    parser = _Balance()
    parser.feed(page)
    return parser.faults + parser.open

"""The page: what it says, and what it must not contain."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pages import blanks, page_of, text_of, unbalanced, write_draft
from synthetic import KINDS, edit_json, write_run

from novelweights.auditing.result import Quantity
from novelweights.report.page import MAX_ROWS, NOT_IDENTIFIABLE, build_report, render
from novelweights.report.run_folder import read_run_folder
from novelweights.report.tables import column_meanings, number, percent, with_unit

MEBIBYTE = 1 << 20


@pytest.mark.parametrize("kind", KINDS)
def test_page_states_the_verdict_and_every_quantity(runs: dict[str, Path], kind: str):
    data = json.loads((runs[kind] / "audit.json").read_text())
    text = text_of(page_of(runs[kind]))
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
        assert warning["text"] in text


@pytest.mark.parametrize("kind", KINDS)
def test_page_needs_no_network_and_is_well_formed(runs: dict[str, Path], kind: str):
    page = page_of(runs[kind])
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert "http" not in page
    assert "@import" not in page
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    targets = {link[1:] for link in links if link.startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]*)\)", page))
    assert targets <= set(ids)
    assert unbalanced(page) == []


@pytest.mark.integration
@pytest.mark.parametrize("kind", KINDS[1:])
def test_page_of_every_kind_is_well_formed_with_its_figures(runs: dict[str, Path], kind: str):
    build_report(runs[kind])
    test_page_needs_no_network_and_is_well_formed(runs, kind)
    figures = list((runs[kind] / "figures").glob("*.svg"))
    assert len(figures) == page_of(runs[kind]).count("<svg role=") > 2


def test_verdict_without_heldout_runs_is_marked_exploratory(run: Path):
    verdict = json.loads((run / "audit.json").read_text())["verdict"]
    verdict["population"]["origin"] = "replica"
    edit_json(run / "audit.json", verdict=verdict)
    write_draft(run)
    assert "replica, exploratory" in text_of(page_of(run))


def test_page_says_what_a_bare_audit_cannot_say(runs: dict[str, Path]):
    text = text_of(page_of(runs["bare"]))
    assert "No held-out runs were given" in text
    assert "No task was given" in text
    assert "holds no weights to draw" in text
    assert "nothing can be called novel" in text
    assert "overlap is the share" not in text
    complete = text_of(page_of(runs["copies"]))
    assert "overlap is the share of test examples predicted as" in complete
    assert "No held-out runs were given" not in complete
    assert "No task was given" not in complete


def test_figures_are_written_as_svg_and_png(runs: dict[str, Path]):
    names = {path.name for path in (runs["copies"] / "figures").iterdir()}
    stems = ("distances", "cosines", "weights", "trade_off", "trade_off_zoom", "regions")
    stems += ("nearest", "sources", "made_of", "layers", "controls", "generalization_gap")
    assert names == {f"{stem}.{suffix}" for stem in stems for suffix in ("svg", "png")}
    assert page_of(runs["copies"]).count("<svg role=") == len(stems)


@pytest.mark.integration
def test_rebuilding_gives_identical_bytes(runs: dict[str, Path], tmp_path: Path):
    folder = Path(shutil.copytree(runs["copies"], tmp_path / "elsewhere"))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(folder / "figures")
    (folder / "report.html").unlink()
    build_report(folder)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.integration
def test_figures_that_no_longer_apply_are_removed(runs: dict[str, Path], tmp_path: Path):
    folder = Path(shutil.copytree(runs["copies"], tmp_path / "run"))
    (folder / "plot_data.npz").unlink()
    build_report(folder)
    assert not (folder / "figures" / "regions.svg").exists()
    assert (folder / "figures" / "distances.svg").exists()


def test_page_says_why_decision_regions_are_left_out(runs: dict[str, Path], tmp_path: Path):
    folder = Path(shutil.copytree(runs["copies"], tmp_path / "run"))
    run = read_run_folder(folder)
    drawings = blanks(run)
    without = {name: drawing for name, drawing in drawings.items() if name != "regions"}
    np.savez(folder / "plot_data.npz", inputs_without_regions=np.array(150_528))
    large = text_of(render(read_run_folder(folder), without))
    said, missing = "No decision regions are drawn: the plane", "holds no decision regions"
    assert said in large
    assert "images of 150,528 inputs" in large
    assert missing not in large
    for text, is_missing in ((render(run, without), True), (render(run, drawings), False)):
        assert said not in text_of(text)
        assert (missing in text_of(text)) == is_missing


@pytest.mark.integration
def test_many_checkpoints_stay_below_two_megabytes(tmp_path: Path):
    folder = write_run(tmp_path / "run", n=1000)
    path = build_report(folder)
    assert path.stat().st_size < 2 * MEBIBYTE
    page = page_of(folder)
    assert f"The {MAX_ROWS} checkpoints nearest to training, of 1,000" in text_of(page)
    table = page[page.index('id="checkpoint-table"') :]
    assert table.count('class="tag"') == MAX_ROWS


@pytest.mark.integration
def test_names_with_html_characters_are_escaped(tmp_path: Path):
    folder = write_run(tmp_path / "run", n=30, prefix='<script>alert("1")</script>&')
    edit_json(
        folder / "audit.json", about={"data": "<img src=x onerror=alert(1)>", "<b>": ["</p>"]}
    )
    build_report(folder)
    page = page_of(folder)
    assert "<script>alert" not in page
    assert "<img" not in page
    assert '<script>alert("1")</script>&-0000' in text_of(page)
    assert unbalanced(page) == []


def test_one_run_is_not_identifiable(runs: dict[str, Path], tmp_path: Path):
    text = text_of(page_of(runs["one_run"]))
    assert NOT_IDENTIFIABLE in text
    assert "all of one run" in text
    assert "Held-out runs are further runs of the same recipe" in text
    assert "5.4 for generated checkpoints, and 44" in text
    for kind in ("copies", "bare"):
        assert NOT_IDENTIFIABLE not in text_of(page_of(runs[kind]))
    folder = Path(shutil.copytree(runs["one_run"], tmp_path / "run"))
    edit_json(folder / "audit.json", heldout=None, n_runs=2)
    write_draft(folder)
    assert ", of 2 runs" in text_of(page_of(folder))
    assert "would show how far independent networks lie" in text_of(page_of(folder))


def test_initialization_of_the_runs_is_told(runs: dict[str, Path]):
    told = {
        "withheld": "start from one shared initialization",
        "novel": "start from an initialization of their own",
        "copies": "share one initialization is not known",
    }
    for kind, sentence in told.items():
        assert sentence in text_of(page_of(runs[kind]))
        assert "<dt>shared initialization" not in page_of(runs[kind])


def test_initialization_is_not_told_where_the_audit_is_silent(run: Path):
    edit_json(run / "audit.json", about={})
    write_draft(run)
    assert "initialization" not in text_of(page_of(run))


def test_that_reconstructions_are_compared_is_told_with_what_the_codec_costs(
    runs: dict[str, Path],
):
    run = read_run_folder(runs["novel"])
    numbers = tuple(
        Quantity(f"mean_quality_{whose}", "Mean accuracy", value, 9, "", unit="%")
        for whose, value in (("training", 51.25), ("originals", 65.25))
    )
    about = {**run.result.about, "through_codec": True}
    told = replace(run.result, quantities=(*run.result.quantities, *numbers), about=about)
    text = text_of(render(replace(run, result=told), blanks(run)))
    assert (
        "Training and held-out checkpoints are compared as the generator's codec gives them back: "
        "the mean accuracy of training checkpoints is then 51.2%, before the codec 65.2%." in text
    )
    assert "through codec" not in text
    assert "codec" not in text_of(page_of(runs["novel"]))


@pytest.mark.parametrize("name", ["copies", "novel"])
def test_a_headline_says_where_only_reconstructions_were_compared(
    runs: dict[str, Path], name: str
) -> None:
    run = read_run_folder(runs[name])
    told = replace(run.result, about={**run.result.about, "through_codec": True})
    headlines = [
        text_of(render(replace(run, result=result), blanks(run))) for result in (told, run.result)
    ]
    words = "The generator copies its training checkpoints as its codec gives them back"
    assert [words in text for text in headlines] == [name == "copies", False]


def test_numbers_of_an_unknown_group_are_not_lost(run: Path):
    data = json.loads((run / "audit.json").read_text())
    quantities = [quantity | {"group": "new"} for quantity in data["quantities"]]
    edit_json(run / "audit.json", quantities=quantities)
    write_draft(run)
    text = text_of(page_of(run))
    assert all(quantity["label"] in text for quantity in quantities)
    assert "Established measures" not in text


def test_kinds_of_interpolation_are_shown(runs: dict[str, Path]):
    text = text_of(page_of(runs["mosaic"]))
    assert "interpolation mosaic yes" in text
    assert "undecided partial copy yes" in text
    assert "verdict works name" in text_of(page_of(runs["copies"]))  # no column without a kind


def test_columns_are_described_even_if_new():
    assert column_meanings(["name", "p_new_near", "norm", "p_pca_far"]) == [
        ("p_new_near", "p-value among held-out runs: new near"),
        ("norm", "distance from the training mean"),
        ("p_pca_far", "p-value among held-out runs: principal components, far"),
    ]


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

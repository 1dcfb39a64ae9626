"""The committed results of the calibration study, and the few numbers a page shows of them."""

import json
from pathlib import Path

from refused import refused

from novelweights.report.calibration import COMMITTED, SHOWN, calibration_summary
from novelweights.studies.calibrate.markdown import render_markdown
from novelweights.studies.calibrate.results import read_calibration

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "calibration.md"
DEEP = ROOT / "results" / "laptop" / "calibration-deep" / "calibration.json"


def invented(found):
    outcomes = [
        {"kind": kind, "n_heldout": n, "found": found if n == 100 else 0.5}
        for kind in SHOWN
        for n in (400, 100)
    ]
    return {
        "repetitions": 200,
        "sizes": {"n_heldout": [100, 400]},
        "targets": [{"is_met": True}, {"is_met": False}],
        "zoos": [{"name": "one", "outcomes": outcomes}, {"name": "two", "outcomes": outcomes}],
    }


def test_one_row_per_kind_and_one_column_per_zoo(tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(invented(0.25)))
    table = calibration_summary(path)
    assert table is not None
    assert table.columns == ["checkpoints", "one", "two"]
    assert [row[0] for row in table.rows] == list(SHOWN.values())
    assert {cell for row in table.rows for cell in row[1:]} == {"25.0%"}
    assert "1 of 2 targets" in table.note
    assert "100 held-out runs" in table.note


def test_missing_results_are_no_table_and_foreign_ones_an_error(tmp_path):
    assert calibration_summary(tmp_path / "none.json") is None
    (tmp_path / "other.json").write_text("{}")
    with refused("damaged", "other.json"):
        calibration_summary(tmp_path / "other.json")


def test_the_committed_page_is_that_of_the_committed_results():
    assert COMMITTED.is_file() == DOCS.is_file()
    if COMMITTED.is_file():
        assert DOCS.read_text(encoding="utf-8") == render_markdown(read_calibration(COMMITTED))
        assert calibration_summary() is not None


def test_the_page_of_deep_networks_is_that_of_its_results():
    study = read_calibration(DEEP)
    page = (ROOT / "docs" / "calibration-deep.md").read_text(encoding="utf-8")
    assert page == render_markdown(study)
    assert not any(zoo.is_exact for zoo in study.zoos)

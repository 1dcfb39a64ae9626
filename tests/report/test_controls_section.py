"""What the page says of planted checkpoints, and when it withholds the verdict for them."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from pages import blanks, page_of, text_of, unbalanced, write_draft
from synthetic import KINDS, edit_json

from novelweights.report.controls import describe_noise, draw_controls, has_noise_ladder
from novelweights.report.page import WITHHELD, render
from novelweights.report.run_folder import read_run_folder
from novelweights.report.tables import PlainTable


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "bare"])
def test_every_control_is_shown_with_what_it_was_judged(runs: dict[str, Path], kind: str):
    text = text_of(page_of(runs[kind]))
    controls = json.loads((runs[kind] / "audit.json").read_text())["verdict"]["controls"]
    for control in controls:
        state = "withholds the verdict" if control["can_veto"] else "blind spot"
        state = "pass" if control["passed"] else state
        right = f"{control['right']} of {control['n']}"
        assert re.search(f"{re.escape(control['label'])} .*?{state} {right} ", text)
        for name, count in control["counts"].items():
            wrong = "" if name in control["expected"] else " (wrong)"
            assert not count or f"{name} {count}{wrong}" in text
    assert "Copies with noise of up to 0.50 of a held-out run's distance" in text
    assert "False alarms: 2 of 100 are wrongly called replica or interpolation" in text
    assert "about 2.0 expected by chance" in text or "about 2 expected by chance" in text


def test_an_audit_without_controls_says_so(runs: dict[str, Path]):
    assert "This audit planted no checkpoints of known origin" in text_of(page_of(runs["bare"]))


def test_misjudged_controls_withhold_the_verdict(runs: dict[str, Path]):
    text = text_of(page_of(runs["withheld"]))
    assert WITHHELD in text
    assert "averages of 2 should be judged interpolation; they were judged undecided (40)" in text
    assert "replica (28), undecided (12)" in text
    for kind in ("copies", "one_run", "bare"):
        assert WITHHELD not in text_of(page_of(runs[kind]))


def test_too_few_fresh_runs_are_not_blamed_on_the_controls(runs: dict[str, Path], tmp_path: Path):
    folder = Path(shutil.copytree(runs["withheld"], tmp_path / "run"))
    verdict = json.loads((folder / "audit.json").read_text())["verdict"]
    verdict["criteria"]["min_heldout_runs"] = 101
    edit_json(folder / "audit.json", verdict=verdict)
    write_draft(folder)
    assert "This audit cannot decide" in text_of(page_of(folder))
    assert WITHHELD not in text_of(page_of(folder))


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (None, "Not even copies with the least noise that was tried, 0 of"),
        (0.0, "Exact copies are found; copies with the least noise that was tried are missed."),
        (0.25, "of up to 0.25 of a held-out run's distance to training are found; with more"),
        (1.0, "of up to 1 of a held-out run's distance to training are found, the most"),
    ],
)
def test_largest_noise_is_told(runs: dict[str, Path], noise: float | None, said: str):
    verdict = replace(read_run_folder(runs["novel"]).verdict, largest_noise_seen=noise)
    assert said in describe_noise(verdict)


def test_calibration_is_shown_only_where_there_is_one(runs: dict[str, Path]):
    run = read_run_folder(runs["bare"])
    table = PlainTable("On 8 zoos of known truth.", ["planted", "found"], [["copies", "99%"]])
    page = render(run, blanks(run), table)
    assert "How often are audits like this right? On 8 zoos of known truth." in text_of(page)
    assert "copies 99%" in text_of(page)
    assert unbalanced(page) == []
    assert "How often are audits" not in text_of(render(run, blanks(run)))


def test_detection_is_drawn_against_noise(runs: dict[str, Path]):
    run = read_run_folder(runs["one_run"])
    _, alt = draw_controls(run.verdict, run.result)
    assert "0: 100%, 0.100: 100%, 0.250: 100%, 0.500: 100%, 0.750: 45%, 1: 5%" in alt
    assert "accused: 2%" in alt
    few = tuple(c for c in run.verdict.controls if c.noise in (None, 0.5))
    assert has_noise_ladder(run.verdict)
    assert not has_noise_ladder(replace(run.verdict, controls=few))

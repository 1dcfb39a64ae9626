"""The summary of an evaluation: what it says, from plain data alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from refused import refused

from novelweights.report.run_folder import read_run_folder
from novelweights.report.summary import (
    NOTHING_PRINTED,
    Evaluation,
    PaperResult,
    Printed,
    summary,
    write_summary,
)
from novelweights.report.summary_page import markdown

PRINTED = PaperResult(
    "MNIST, 10,228 runs",
    {
        "copied_share": Printed("99.9%", "table 9"),
        "parameters": Printed("378M", "table 1"),
        "values_in_training": Printed("81M", "appendix H"),
    },
)
EVALUATION = Evaluation(
    settings={
        "method": "g-pt",
        "zoo": "digits-mlp-steps",
        "scale": "smoke",
        "runs": 300,
        "heldout_runs": 100,
        "checkpoints": 6,
        "start_runs": 10,
        "samples": 200,
        "seed": 3,
    },
    generator={
        "settings": {"steps": 200, "batch_size": 18, "width": 32, "ema_decay": 0.9, "dropout": 0.1},
        "training": {"rows": 1800},
        "parameters": 4_000_000,
        "values_in_training": 1_368_000,
    },
    published={"steps": 200, "width": 1536, "ema_decay": 0.9999, "dropout": 0.1},
    seconds={"zoo": 2.5, "fit": 40.25, "sample": 0.5, "audit": 9.75},
    cores=2,
    printed=PRINTED,
)


@pytest.fixture
def folder(runs: dict[str, Path], tmp_path: Path) -> Path:
    """An evaluation's folder with an invented audit."""
    shutil.copytree(runs["copies"], tmp_path / "audit")
    return tmp_path


def written(folder: Path, evaluation: Evaluation = EVALUATION) -> str:
    return write_summary(folder, evaluation).read_text()


def test_it_says_what_was_run_how_long_it_took_and_what_came(folder: Path) -> None:
    page = written(folder)
    for said in (
        "# g-pt on digits-mlp-steps",
        "**Replica.** 98.5% [95.8%, 100%] of the generated checkpoints are copies",
        "195 replica, 5 undecided",
        "300 training and 100 held-out runs, 6 checkpoints of each",
        "data: scikit-learn digits, in place of MNIST",
        "seed: 3",
        "width 32 (1,536), ema_decay 0.9 (0.9999)",
        "200 optimizer steps of batch 18, 2 draws per training checkpoint",
        "| fit | 40.2 |",
        "| total | 53 |",
        "on a machine with 2 cores",
        "| Copied share | 98.5% | [95.8%, 100%] at 95% | 200 |",
    ):
        assert said in page


def test_numbers_of_the_paper_stand_in_a_column_of_their_own(folder: Path) -> None:
    page = written(folder)
    assert "paper (MNIST, 10,228 runs)" in page
    assert "| 200 | 99.9% (table 9) |" in page
    alone = written(folder, replace(EVALUATION, printed=NOTHING_PRINTED))
    assert "paper (" not in alone
    assert "99.9%" not in alone


def test_size_is_told_over_the_values_compared_and_over_all(folder: Path) -> None:
    run = read_run_folder(folder / "audit")
    about = {**run.result.about, "weights": 760}
    data = summary({"": replace(run, result=replace(run.result, about=about))}, EVALUATION)
    page = markdown(data)
    told = "17.5 per value in the 300 training checkpoints compared"
    assert f"{told} (paper: 378M parameters for 81M values)" in page
    assert "2.92 per value in all it learned from" in page


def test_the_papers_size_stands_beside_the_ratio_of_the_same_values(folder: Path) -> None:
    run = read_run_folder(folder / "audit")
    about = {**run.result.about, "weights": 760}
    run = replace(run, result=replace(run.result, about=about))
    of_all = replace(EVALUATION, printed=replace(PRINTED, counts_all_checkpoints=True))
    page, printed = markdown(summary({"": run}, of_all)), "(paper: 378M parameters for 81M values)"
    assert f"2.92 per value in all it learned from {printed}" in page
    assert page.count(printed) == 1


def test_what_is_not_known_from_the_paper_is_not_told_as_the_papers(folder: Path) -> None:
    printed = replace(PRINTED, unknown_settings=("dropout",), recovered_settings=("width",))
    page = written(folder, replace(EVALUATION, printed=printed))
    assert (
        "ema_decay 0.9 (0.9999); in brackets the paper's (width is recovered from its parameter "
        "counts); not known from the paper: dropout 0.1\n" in page
    )


def test_findings_are_those_of_the_page(folder: Path) -> None:
    page = written(folder)
    data = json.loads((folder / "summary.json").read_text())
    assert len(data["findings"]) == 6
    for finding in data["findings"]:
        assert finding["claim"] in page
        assert f"**{finding['outcome']}**" in page


def test_what_limits_the_audit_is_told_beside_the_verdict(folder: Path) -> None:
    page = written(folder)
    warning = "the training runs share one recipe; others were not tried"
    assert f"Keep in mind:\n\n- {warning}\n\n## What was run" in page
    assert json.loads((folder / "summary.json").read_text())["warnings"] == [
        {"code": "other-recipe", "text": warning}
    ]
    run = read_run_folder(folder / "audit")
    quiet = replace(run, result=replace(run.result, warnings=()))
    assert "Keep in mind" not in markdown(summary({"": quiet}, EVALUATION))


def test_one_sample_is_one(folder: Path) -> None:
    data = summary({"": read_run_folder(folder / "audit")}, EVALUATION)
    one = {**data, "checkpoints": {**data["checkpoints"], "generated": 1}}
    assert "- compared: 1 sample; distance" in markdown(one)
    assert "- compared: 200 samples; distance" in markdown(data)


def test_steering_is_told_where_it_was_done(folder: Path) -> None:
    assert "Steering" not in written(folder)
    steered = written(folder, replace(EVALUATION, steering="The prompt does not steer."))
    assert "## Steering\n\nThe prompt does not steer. [Its page](steering/report.html)." in steered


def test_reconstruction_is_told_where_it_was_done(folder: Path) -> None:
    assert "Reconstruction" not in written(folder)
    told = written(folder, replace(EVALUATION, reconstruction="The codec varies."))
    assert "## Reconstruction\n\nThe codec varies. [Its page](reconstruction/report.html)." in told


def test_equal_files_give_equal_bytes(folder: Path) -> None:
    before = written(folder), (folder / "summary.json").read_bytes()
    assert (written(folder), (folder / "summary.json").read_bytes()) == before


def test_no_cell_is_broken_by_its_text(folder: Path) -> None:
    printed = PaperResult("", {"copied_share": Printed("9|9\n<b>", "table 1")})
    odd = replace(EVALUATION, printed=printed)
    [line] = [line for line in written(folder, odd).splitlines() if "Copied share" in line]
    assert line.endswith("9\\|9 &lt;b> (table 1) |")


def test_what_is_not_known_is_left_out(runs: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(runs["bare"], tmp_path / "audit")
    settings = {**EVALUATION.settings, "method": "noise", "checkpoints": 1}
    generator = {"settings": {"std": 0.1}, "parameters": None}
    page = written(
        tmp_path, Evaluation(settings, generator, published=None, seconds={}, cores=None)
    )
    assert "300 training runs\n" in page
    assert "generator: noise, scale smoke\n" in page
    assert "settings unlike the paper's: unknown" in page
    assert page.count("**not shown**") == 6


# --- several samplers of one generator ----------------------------------------------------------

SAMPLERS = {"shared": {"shared_draws": True}, "independent": {"shared_draws": False}}
SEVERAL = replace(EVALUATION, samplers=SAMPLERS)
LACKING = "median_distance_training"


@pytest.fixture
def several(folder: Path, runs: dict[str, Path]) -> Path:
    """An evaluation's folder with invented audits of two samplers."""
    shutil.copytree(runs["novel"], folder / "audit-independent")
    return folder


def test_samplers_stand_side_by_side(several: Path) -> None:
    page = written(several, SEVERAL)
    for said in (
        "**Sampler shared: replica.** 98.5% [95.8%, 100%] of the generated",
        "**Sampler independent: novel.**",
        "195 replica, 5 undecided. [The audit's page](audit/report.html).",
        "[The audit's page](audit-independent/report.html).",
        "- compared: 200 samples of each sampler; distance",
        "- samplers: shared (shared_draws yes), independent (shared_draws no); of one fitted",
        "| shared | independent | n | paper (MNIST, 10,228 runs) |",
        "| Copied share | 98.5% [95.8%, 100%] at 95% | ",
        " | 200 | 99.9% (table 9) |",
        "| finding | in the paper | shared | independent |",
        "Noise at matched novelty, shared: isotropic noise",
        "Noise at matched novelty, independent: isotropic noise",
        "[the audit's page, shared](audit/report.html#findings) and [the audit's page, independent]"
        "(audit-independent/report.html#findings)",
        "Keep in mind:\n\n- shared: the training runs share one recipe",
    ):
        assert said in page
    assert {len(line.split(" | ")) for line in table_of(page, "## Numbers")} == {5}
    assert {len(line.split(" | ")) for line in table_of(page, "## The paper's")} == {4}
    assert page.count("**holds**") + page.count("**not shown**") > 2


def table_of(page: str, heading: str) -> list[str]:
    return [line for line in page.split(heading)[1].split("\n## ")[0].splitlines() if "|" in line]


def test_a_warning_of_all_samplers_is_given_once(several: Path) -> None:
    shutil.rmtree(several / "audit-independent")
    shutil.copytree(several / "audit", several / "audit-independent")
    assert written(several, SEVERAL).count("share one recipe") == 1
    assert "\n- the training runs share one recipe" in written(several, SEVERAL)


def test_what_one_sampler_lacks_is_left_open_and_numbers_of_both_tell_each_n(
    several: Path,
) -> None:
    run, other = (read_run_folder(several / name) for name in ("audit", "audit-independent"))
    some = tuple(
        replace(q, n=9) if q.key == "copied_share" else q
        for q in other.result.quantities
        if q.key != LACKING
    )
    other = replace(other, result=replace(other.result, quantities=some))
    page = markdown(summary({"shared": run, "independent": other}, SEVERAL))
    [copied] = [line for line in page.splitlines() if "| Copied share" in line]
    assert " | 200 / 9 | 99.9% (table 9) |" in copied
    label = run.result.quantity(LACKING).label
    [line] = [line for line in page.splitlines() if line.startswith(f"| {label} ")]
    assert " | \u2013 | " in line


def test_the_data_of_one_sampler_are_as_without_names(several: Path) -> None:
    run = read_run_folder(several / "audit")
    alone = summary({"": run}, EVALUATION)
    both = summary({"shared": run, "independent": run}, SEVERAL)
    assert {key: both[key] for key in alone} == alone
    assert set(both) - set(alone) == {"sampler", "samplers", "others"}
    [other] = both["others"]
    assert (other["sampler"], other["audit"]) == ("independent", "audit-independent")
    assert {key: other[key] for key in ("verdict", "numbers", "findings")} == {
        key: alone[key] for key in ("verdict", "numbers", "findings")
    }


def test_a_missing_audit_of_a_sampler_is_refused(folder: Path) -> None:
    with refused("not-found", "audit-independent"):
        write_summary(folder, SEVERAL)


def test_that_reconstructions_are_compared_is_told(folder: Path) -> None:
    run = read_run_folder(folder / "audit")
    told = replace(run.result, about={**run.result.about, "through_codec": True})
    page = markdown(summary({"": replace(run, result=told)}, EVALUATION))
    assert (
        "## Numbers\n\nTraining and held-out checkpoints are compared as the generator's codec "
        "gives them back" in page
    )
    assert page.index("gives them back") < page.index("Keep in mind") < page.index("## Numbers")
    assert "codec" not in written(folder)


def test_damaged_audit_is_refused(folder: Path) -> None:
    (folder / "audit" / "audit.json").write_text("{}")
    with refused("damaged", "audit.json"):
        write_summary(folder, EVALUATION)

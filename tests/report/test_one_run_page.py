"""What a page shows of an audit of one run, and what it says of the paper's findings on p-diff."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import walks
from pages import page_of, text_of, unbalanced
from planted import audit
from refused import refused

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.measure.pictures import pictures
from novelweights.auditing.result import AuditResult
from novelweights.auditing.run_folder import describe_run, write_run
from novelweights.report.claims import SIMILARITY_MARGIN, Outcome
from novelweights.report.findings import findings_on, one_run_findings, paper_findings
from novelweights.report.one_run_figures import draw_entries, draw_one_run
from novelweights.report.page import build_report
from novelweights.report.run_folder import read_run_folder
from novelweights.report.summary import Evaluation, summary
from novelweights.report.summary_page import markdown
from novelweights.reproduce.reported import REPORTED

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("quick")]
HOLDS, FAILS, OPEN = Outcome.HOLDS, Outcome.FAILS, Outcome.OPEN
LOOK, FARTHER, FRESH, PREDICT, ALIKE, NOISE, BETTER, MEAN, AVERAGES, GAUSSIAN, NARROW = range(11)
ONE_RUN_FIGURES = {"densities", "densities_raw", "densities_all", "narrow", "map"}


def audited(kind: str, **options) -> AuditResult:
    given = {
        "heldout": walks.heldout(),
        "task": walks.Near(),
        "symmetry": walks.SYMMETRY,
        "from_scratch": walks.from_scratch(),
        **options,
    }
    return audit(walks.training(), walks.generated(kind), **given)


@pytest.fixture(scope="module")
def results(quick) -> dict[str, AuditResult]:
    return {kind: audited(kind) for kind in ("average", "copy", "gaussian", "drift")}


def written(folder: Path, result: AuditResult, kind: str, **given) -> Path:
    folder.mkdir()
    drawn = pictures(result, walks.training(), walks.generated(kind), **given)
    told = describe_run(command="by hand", settings={}, seed=0, inputs={}, seconds={"a": 1.5})
    write_run(folder, result, judge(result), drawn, told)
    build_report(folder)
    return folder


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("one_run") / "audit"
    others = {"heldout": walks.heldout(), "from_scratch": walks.from_scratch()}
    return written(root, results["average"], "average", **others)


def test_decision_regions_stand_beside_the_weights_of_one_run(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    with np.load(folder / "plot_data.npz") as file:
        arrays = dict(file)
    assert arrays["row_parameters"].shape != (20,)
    arrays["regions"] = np.zeros((2, 2, 20, 20), np.uint8)
    arrays["region_rows"] = np.array([0, 1])
    np.savez(tmp_path / "run" / "plot_data.npz", **arrays)
    run = read_run_folder(tmp_path / "run")
    assert run.plot_data["regions"].shape == (2, 2, 20, 20)
    build_report(tmp_path / "run")
    assert "Class predicted on a plane" in text_of(page_of(tmp_path / "run"))


def outcomes(result: AuditResult) -> list[Outcome]:
    return [finding.outcome for finding in one_run_findings(result)]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("average", {FARTHER: HOLDS, FRESH: HOLDS, BETTER: HOLDS, MEAN: HOLDS, AVERAGES: HOLDS}),
        ("copy", {LOOK: HOLDS, FARTHER: FAILS, FRESH: HOLDS, PREDICT: HOLDS, MEAN: FAILS}),
        ("gaussian", {MEAN: FAILS, AVERAGES: FAILS, GAUSSIAN: OPEN, NARROW: HOLDS}),
        ("drift", {LOOK: FAILS, FARTHER: HOLDS, FRESH: FAILS, BETTER: FAILS, AVERAGES: FAILS}),
    ],
)
def test_findings_follow_the_truth_that_was_planted(results, kind, expected):
    found = outcomes(results[kind])
    assert {i: found[i] for i in expected} == expected


def test_a_narrow_range_holds_beside_networks_far_apart_alone(results):
    assert outcomes(results["average"])[NARROW] is HOLDS
    near = walks.from_scratch()
    near = replace(near, weights=0.01 * near.weights)
    assert outcomes(audited("average", from_scratch=near))[NARROW] is FAILS
    assert outcomes(audited("average", from_scratch=walks.from_scratch(5)))[NARROW] is OPEN


def test_what_was_not_given_leaves_findings_open():
    result = audited("average", heldout=None, task=None, from_scratch=None)
    found = one_run_findings(result)
    for i in (FRESH, PREDICT, ALIKE, NOISE, BETTER, AVERAGES, GAUSSIAN, NARROW):
        assert found[i].outcome is OPEN
    assert "no held-out runs were given" in found[FRESH].measured
    assert "no networks trained from scratch" in found[NARROW].measured
    assert "no task was given" in found[BETTER].measured
    assert found[MEAN].outcome is HOLDS


def test_few_samples_show_nothing(results):
    few = replace(results["average"], generated=results["average"].generated.select(np.arange(7)))
    assert set(outcomes(few)) == {OPEN}
    assert "only 7 generated checkpoints" in one_run_findings(few)[MEAN].measured


def test_matching_needs_both_accuracy_and_similarity(results):
    def with_limits(key: str, lower: float, upper: float) -> AuditResult:
        result = results["average"]
        changed = [
            replace(q, lower=lower, upper=upper) if q.key == key else q for q in result.quantities
        ]
        return replace(result, quantities=tuple(changed))

    margin = SIMILARITY_MARGIN
    for lower, upper, outcome in (
        (-margin, margin, HOLDS),
        (-margin, 1.1 * margin, OPEN),
        (1.1 * margin, 1.2 * margin, FAILS),
    ):
        changed = with_limits("novelty_difference_average_16", lower, upper)
        assert outcomes(changed)[AVERAGES] is outcome
    assert outcomes(results["average"])[AVERAGES] is HOLDS
    assert outcomes(with_limits("quality_difference_average_16", -9.0, -2.0))[AVERAGES] is FAILS


def test_audits_of_many_runs_are_asked_for_the_others(results, folder):
    run = read_run_folder(folder)
    assert findings_on(run.result, run.verdict) == one_run_findings(run.result)
    many = replace(run.result, n_runs=3)
    others = paper_findings(many, asdict(DEFAULT_CRITERIA))
    assert findings_on(many, run.verdict) == others


def test_the_page_says_what_one_run_cannot_show(folder):
    page = page_of(folder)
    text = text_of(page)
    assert "steps are no more independent evidence than the run itself" in text
    assert "10 from-scratch networks" in text
    assert "8 held-out runs: networks trained by the same recipe" in text
    assert "held-out, all steps" in text
    assert "Mean distance, from scratch to from scratch, all pairs" in text
    assert "last.weight" in text
    assert "Distance among training over among from scratch" in text
    assert "How often are audits like this right" not in text
    assert unbalanced(page) == []
    assert {path.stem for path in (folder / "figures").iterdir()} >= ONE_RUN_FIGURES
    assert page.count("<svg ") == page.count('<svg role="img" aria-label=')


@pytest.mark.integration
def test_the_page_without_the_others_says_so(tmp_path: Path):
    result = audited("copy", heldout=None, task=None, from_scratch=None)
    text = text_of(page_of(written(tmp_path / "audit", result, "copy")))
    assert "networks trained from scratch (none were given)" in text
    assert "further runs of the recipe (none were given)" in text
    assert "what these baselines do is not known" in text
    assert "not available" in text
    assert "how far a new run of the recipe lies" in text
    assert "P-values place a checkpoint among the training checkpoints, no independent ones" in text
    for said_of_fresh_runs in (
        "nearer_p_value",
        "copied_share",
        "held-out runs, p =",
        "never novel",
    ):
        assert said_of_fresh_runs not in text


def test_the_page_with_held_out_runs_keeps_what_counts_them(folder):
    text = text_of(page_of(folder))
    assert "P-values place a checkpoint among the held-out runs" in text
    for key in ("nearer_p_value", "copied_share", "repeated_share"):
        assert key in text
    assert "Bootstrap over samples and held-out runs" in text


@pytest.mark.integration
def test_equal_folders_give_equal_pages(folder, tmp_path: Path):
    again = Path(shutil.copytree(folder, tmp_path / "again"))
    build_report(again)
    assert page_of(again) == page_of(folder)


def test_pages_of_older_audits_need_none_of_it(folder, tmp_path: Path):
    old = Path(shutil.copytree(folder, tmp_path / "old"))
    data = json.loads((old / "audit.json").read_text())
    for key in ("from_scratch", "heldout_steps"):
        del data[key]
    data["quantities"] = [q for q in data["quantities"] if q["group"] != "one run"]
    (old / "audit.json").write_text(json.dumps(data))
    (old / "plot_data.npz").unlink()
    build_report(old)
    assert not ONE_RUN_FIGURES & {path.stem for path in (old / "figures").iterdir()}
    assert "this audit did not measure it" in text_of(page_of(old))
    assert unbalanced(page_of(old)) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda a: a.update(tsne_groups=a["tsne_groups"] + 9), "tsne_groups"),
        (lambda a: a.update(tsne_points=a["tsne_points"][:3]), "tsne_"),
        (lambda a: a.update(row_heldout=a["row_heldout"][:, :3]), "row_"),
        (lambda a: a.pop("entry_generated"), "entry_parameters"),
        (lambda a: a.update(entry_training=a["entry_training"].astype(int)), "int64"),
    ],
)
def test_damaged_pictures_are_named(folder, tmp_path: Path, change, named):
    damaged = Path(shutil.copytree(folder, tmp_path / "damaged"))
    with np.load(damaged / "plot_data.npz") as file:
        arrays = dict(file)
    change(arrays)
    np.savez(damaged / "plot_data.npz", **arrays)
    with refused("damaged", "plot_data.npz", named):
        build_report(damaged)


def test_damaged_steps_of_held_out_runs_are_named(folder, tmp_path: Path):
    damaged = Path(shutil.copytree(folder, tmp_path / "damaged"))
    data = json.loads((damaged / "audit.json").read_text())
    data["heldout_steps"]["cosine"].pop()
    (damaged / "audit.json").write_text(json.dumps(data))
    with refused("damaged", "heldout_steps"):
        build_report(damaged)


def test_figures_tell_what_is_in_them(folder):
    run = read_run_folder(folder)
    drawn = {name: make() for name, make in draw_one_run(run.result, run.plot_data).items()}
    assert set(drawn) == ONE_RUN_FIGURES
    alts = {name: alt for name, (_, alt) in drawn.items()}
    assert alts["densities"].startswith("Smoothed distributions of 5 weights")
    assert alts["densities_raw"].startswith("Histograms of 5 weights")
    assert f"of {walks.WIDTH} weights" in alts["densities_all"]
    assert f"In {walks.WIDTH} the generated values have the smaller" in alts["densities_all"]
    assert "from scratch" in alts["narrow"]
    assert "training, 1 run" in alts["narrow"]
    two = draw_one_run(replace(run.result, n_runs=2), run.plot_data)
    assert "training, 2 runs" in two["narrow"]()[1]
    assert "held-out, n = 8" in alts["map"]
    panels = drawn["narrow"][0].axes[:4]
    limits = {panel.images[0].get_clim() for panel in panels}
    assert len(limits) == 1  # one scale of colors


def test_values_that_do_not_vary_are_a_line():
    entries = np.array([4, 7])
    constant, varying = np.ones((9, 2)), np.random.default_rng(0).normal(size=(9, 2))
    figure, alt = draw_entries(entries, varying, constant)
    assert len(figure.axes[0].lines) == 2
    assert "In 2 the generated" in alt


def test_the_summary_sets_the_papers_numbers_beside(folder):
    printed = REPORTED["p-diff"]
    evaluation = Evaluation(
        settings=dict.fromkeys(("method", "zoo", "scale"), "p-diff")
        | {"checkpoints": 120, "seed": 0},
        generator={"settings": {}, "parameters": 4_662_178, "training": {"rows": 120}},
        published=None,
        seconds={},
        cores=None,
        printed=printed,
    )
    data = summary({"": read_run_folder(folder)}, evaluation)
    page = markdown(json.loads(json.dumps(data)))
    for said in (
        "1 training and 8 held-out runs, 120 checkpoints of each",
        "120 steps of 1 run: no independent evidence",
        "paper: 9.6M parameters for 0.6M values; which counts the denoiser three times",
        "| Mean accuracy, average of 16 |",
        "| Median maximum similarity, Gaussian |",
        "6.9 (table 4)",
        "44.1 (table 4)",
        "75.4% ± 0.3% (appendix D.1)",
        "| Generated weights concentrate around the mean of the training weights. |",
    ):
        assert said in page, said
    keys = [row["key"] for row in data["numbers"]]
    assert set(printed.numbers) - {"parameters", "values_in_training"} <= set(keys)

"""The paper's findings on checkpoints of known origin, and when nothing is shown."""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest
from planted import Zoo, audit, copies, invented

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.result import AuditResult
from novelweights.report.claims import Outcome
from novelweights.report.findings import PaperFinding, paper_findings
from novelweights.seeding import rng_for
from novelweights.tasks.task import Measure

pytestmark = pytest.mark.integration

IDENTICAL, NEARER, NEARER_THAN_FRESH, ALIKE, NO_GAIN, WORKS = range(6)


def findings(result: AuditResult) -> list[PaperFinding]:
    return paper_findings(result, asdict(DEFAULT_CRITERIA))


def outcomes(result: AuditResult) -> list[Outcome]:
    return [finding.outcome for finding in findings(result)]


@pytest.fixture(scope="module")
def copied(digits_zoo: Zoo) -> AuditResult:
    zoo = digits_zoo
    made = zoo.population(copies(zoo, 60, noise=0.05, rng=rng_for(0)))
    return audit(zoo.training, made, heldout=zoo.heldout, task=zoo.task, n_controls=0)


def with_interval(
    result: AuditResult, key: str, lower: float | None, upper: float | None
) -> AuditResult:
    """The result with the interval of one quantity replaced."""
    quantities = [
        replace(q, lower=lower, upper=upper) if q.key == key else q for q in result.quantities
    ]
    return replace(result, quantities=tuple(quantities))


@pytest.fixture
def changed(copied: AuditResult) -> Callable[..., AuditResult]:
    return partial(with_interval, copied)


def test_on_copies_all_findings_hold(copied: AuditResult) -> None:
    assert outcomes(copied) == [Outcome.HOLDS] * 6


def test_on_fresh_runs_only_that_they_work_holds(digits_zoo: Zoo) -> None:
    zoo = digits_zoo
    made = zoo.population(invented(zoo, 200))
    result = audit(zoo.training, made, heldout=zoo.heldout, task=zoo.task, n_controls=0)
    found = outcomes(result)
    assert found[WORKS] is Outcome.HOLDS
    for finding in (IDENTICAL, NEARER, NEARER_THAN_FRESH, NO_GAIN):
        assert found[finding] is Outcome.FAILS
    assert found[ALIKE] is not Outcome.HOLDS


def test_without_task_and_held_out_runs_the_reason_is_said(digits_zoo: Zoo) -> None:
    zoo = digits_zoo
    # each sample is compared with all training runs but one, which for some is the copied one
    made = zoo.population(copies(zoo, 200, rng=rng_for(0)))
    found = findings(audit(zoo.training, made, n_controls=0))
    assert [f.outcome for f in found[:2]] == [Outcome.HOLDS] * 2
    assert {f.outcome for f in found[2:]} == {Outcome.OPEN}
    assert found[NEARER_THAN_FRESH].measured == "no held-out runs were given"
    assert {f.measured for f in found[ALIKE:]} == {"no task was given"}


def test_a_task_as_which_training_networks_fail_is_not_called_missing(digits_zoo: Zoo) -> None:
    zoo = digits_zoo
    result = audit(zoo.training, zoo.heldout, n_controls=0)
    failed = replace(result, about={**result.about, "failed_task": "digits"})
    found = findings(failed)
    assert {f.measured for f in found[ALIKE:]} == {"training networks do not work as digits"}


def test_whether_samples_work_is_asked_beside_training_before_a_lossy_codec(
    copied: AuditResult,
) -> None:
    before = replace(copied.quantity("mean_quality_training"), key="mean_quality_originals", n=7)
    worse = replace(
        copied.quantity("quality_difference_training"),
        key="quality_difference_originals",
        value=-30.0,
        lower=-31.0,
        upper=-29.0,
    )
    through = replace(copied, quantities=(*copied.quantities, before, worse))
    finding = findings(through)[WORKS]
    assert finding.outcome is Outcome.FAILS
    assert " before the codec: difference -30 points [-31, -29]" in finding.measured
    assert finding.measured.endswith("(n = 60 and 7)")
    assert "codec" not in findings(copied)[WORKS].measured


def test_what_a_codec_costs_changes_no_other_finding(copied: AuditResult) -> None:
    worse = replace(
        copied.quantity("quality_difference_training"),
        key="quality_difference_originals",
        lower=-31.0,
        upper=-29.0,
    )
    before = replace(copied.quantity("mean_quality_training"), key="mean_quality_originals")
    through = replace(copied, quantities=(*copied.quantities, before, worse))
    far = with_interval(through, "distance_ratio_training", 1.5, 2.0)
    assert outcomes(far)[NEARER] is Outcome.FAILS
    assert outcomes(far)[WORKS] is Outcome.FAILS
    worse_still = with_interval(far, "quality_difference_training", -60.0, -50.0)
    assert outcomes(worse_still)[NEARER] is Outcome.FAILS  # to work is a finding of its own


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({}, "over training checkpoints with noise"),
        ({"noise_from": {"n": 9, "runs": 3}}, "over chosen training checkpoints with noise"),
        ({"through_codec": True}, "over reconstructions of training checkpoints with noise"),
        (
            {"through_codec": True, "noise_from": {"n": 9, "runs": 3}},
            "over chosen reconstructions with noise",
        ),
    ],
)
def test_it_says_what_noise_was_added_to(
    copied: AuditResult, about: dict[str, object], told: str
) -> None:
    result = replace(copied, about={**copied.about, **about})
    assert told in findings(result)[NO_GAIN].measured


def test_noise_that_could_not_be_matched_is_told(copied: AuditResult) -> None:
    baselines = {key: found for key, found in copied.baselines.items() if key != "noise"}
    notes = {**copied.baseline_notes, "noise": "no noise up to 3 is as novel"}
    finding = findings(replace(copied, baselines=baselines, baseline_notes=notes))[NO_GAIN]
    assert finding.outcome is Outcome.OPEN
    assert "no noise up to 3 is as novel" in finding.measured


@pytest.mark.parametrize(
    ("finding", "key", "lower", "upper", "outcome"),
    [
        (IDENTICAL, "gross_copy_share", 0.91, 1.0, Outcome.HOLDS),
        (IDENTICAL, "gross_copy_share", 0.84, 1.0, Outcome.OPEN),  # all, but of few samples
        (IDENTICAL, "gross_copy_share", 0.6, 0.89, Outcome.FAILS),
        (NEARER, "distance_ratio_training", 0.97, 0.99, Outcome.HOLDS),
        (NEARER, "distance_ratio_training", 0.97, 1.02, Outcome.FAILS),
        (NEARER, "distance_ratio_training", 0.7, 1.1, Outcome.OPEN),
        (NEARER_THAN_FRESH, "distance_ratio", 0.95, 1.05, Outcome.FAILS),
        (ALIKE, "disagreement_ratio", 0.5, 1.4, Outcome.OPEN),
        (ALIKE, "disagreement_ratio", None, None, Outcome.OPEN),
        (NO_GAIN, "advantage_over_noise", -4.0, 0.9, Outcome.HOLDS),
        (NO_GAIN, "advantage_over_noise", -0.1, 1.1, Outcome.OPEN),
        (NO_GAIN, "advantage_over_noise", 0.1, 0.4, Outcome.FAILS),
        (WORKS, "quality_difference_training", -0.9, 0.1, Outcome.HOLDS),
        (WORKS, "quality_difference_training", -1.5, 0.1, Outcome.OPEN),
        (WORKS, "quality_difference_training", -9.0, -1.1, Outcome.FAILS),
    ],
)
def test_intervals_decide(
    changed: Callable[..., AuditResult],
    finding: int,
    key: str,
    lower: float | None,
    upper: float | None,
    outcome: Outcome,
) -> None:
    assert outcomes(changed(key, lower, upper))[finding] is outcome


def test_whether_samples_work_is_a_finding_of_its_own(copied: AuditResult) -> None:
    far = copied
    for key in ("distance_ratio_training", "distance_ratio", "disagreement_ratio"):
        far = with_interval(far, key, 1.5, 2.0)
    far = with_interval(far, "gross_copy_share", 0.0, 0.1)
    assert outcomes(far) == [Outcome.FAILS] * 4 + [Outcome.HOLDS] * 2
    broken = with_interval(far, "quality_difference_training", -60.0, -50.0)
    assert outcomes(broken) == [Outcome.FAILS] * 4 + [Outcome.HOLDS, Outcome.FAILS]
    copies_that_do_not_work = with_interval(copied, "quality_difference_training", -60.0, -50.0)
    assert outcomes(copies_that_do_not_work) == [Outcome.HOLDS] * 5 + [Outcome.FAILS]


def test_networks_that_are_only_smaller_are_not_nearer(digits_zoo: Zoo) -> None:
    zoo = digits_zoo
    made = zoo.population(0.7 * invented(zoo, 100))
    result = audit(zoo.training, made, heldout=zoo.heldout, task=zoo.task, n_controls=0)
    plain, at_norm = map(result.quantity, ("distance_ratio", "distance_ratio_equal_norm"))
    assert plain.upper < 1
    assert at_norm.lower < 1 < 1.05 * at_norm.upper
    assert Outcome.HOLDS not in outcomes(result)[NEARER : NEARER_THAN_FRESH + 1]


@pytest.mark.parametrize("n", [1, 7])
def test_few_samples_show_nothing(digits_zoo: Zoo, n: int) -> None:
    zoo = digits_zoo
    made = zoo.population(copies(zoo, n, rng=rng_for(0)))
    result = audit(zoo.training, made, heldout=zoo.heldout, task=zoo.task, n_controls=0)
    found = findings(result)
    assert {f.outcome for f in found} == {Outcome.OPEN}
    word = "checkpoint" if n == 1 else "checkpoints"
    for finding in found:
        assert finding.measured.endswith(f"only {n} generated {word}, at least 8 are needed")
        assert "run the audit again" not in finding.measured
    has_interval = {
        key: result.quantity(key).lower is not None
        for key in (
            "mean_distance_generated",
            "mean_distance_training",
            "distance_ratio_training",
            "disagreement_ratio",
            "quality_difference_training",
        )
    }
    assert has_interval == {key: n > 1 or key == "mean_distance_training" for key in has_interval}


def test_few_runs_to_compare_with_show_nothing(digits_zoo: Zoo) -> None:
    zoo = digits_zoo
    made = zoo.population(copies(zoo, 20, rng=rng_for(0)))
    heldout = zoo.heldout.select(np.arange(5))
    found = findings(audit(zoo.training, made, heldout=heldout, task=zoo.task, n_controls=0))
    assert found[NEARER].outcome is Outcome.HOLDS
    for finding in (found[IDENTICAL], found[NEARER_THAN_FRESH]):
        assert finding.outcome is Outcome.OPEN
        assert "only 5 held-out runs, at least 8 are needed" in finding.measured


def test_where_less_is_better_a_gain_is_less(changed: Callable[..., AuditResult]) -> None:
    result = changed("advantage_over_noise", -0.4, -0.1)
    assert outcomes(result)[NO_GAIN] is Outcome.HOLDS
    turned = replace(result, quality=Measure("Chamfer distance", "", False))
    assert outcomes(turned)[NO_GAIN] is Outcome.FAILS


def test_an_audit_without_the_numbers_shows_nothing(copied: AuditResult) -> None:
    found = findings(replace(copied, quantities=()))
    assert {finding.outcome for finding in found} == {Outcome.OPEN}
    assert "run the audit again" in found[0].measured


def test_what_is_measured_stands_with_its_interval_and_n(copied: AuditResult) -> None:
    nearer = findings(copied)[NEARER].measured
    assert "(n = 60 and 64)" in nearer
    assert "] at 95%" in nearer


def test_ratios_are_those_of_the_paper(copied: AuditResult) -> None:
    made, trained = copied.generated, copied.training
    assert made.overlap is not None
    assert trained.overlap is not None
    for key, expected in (
        ("mean_distance_generated", made.distance.mean()),
        ("mean_distance_training", trained.distance.mean()),
        ("distance_ratio_training", np.median(made.distance) / np.median(trained.distance)),
        ("disagreement_ratio", (1 - made.overlap.mean()) / (1 - trained.overlap.mean())),
    ):
        quantity = copied.quantity(key)
        assert quantity.value is not None
        assert quantity.value == pytest.approx(expected, rel=1e-9)
        assert quantity.lower is not None
        assert quantity.upper is not None
        assert quantity.lower <= quantity.value <= quantity.upper


def test_training_checkpoints_that_never_disagree_give_no_ratio(digits_zoo: Zoo) -> None:
    zoo, alike = digits_zoo, digits_zoo.training.weights[:1].repeat(6, 1)
    noise = rng_for(0)
    training = zoo.training.select(np.arange(6)).with_weights(
        alike + 1e-6 * zoo.population(copies(zoo, 6, rng=noise)).weights, split="train"
    )
    made = zoo.population(zoo.training.weights[:20])
    ratio = audit(training, made, task=zoo.task, n_controls=0).quantity("disagreement_ratio")
    assert (ratio.value, ratio.lower, ratio.upper) == (None, None, None)


def test_noise_on_few_runs_shows_nothing_however_many_checkpoints_it_makes(
    copied: AuditResult,
) -> None:
    noise = copied.baselines["noise"]
    for n_runs, outcome in ((7, Outcome.OPEN), (8, Outcome.HOLDS)):
        names = [f"run-{i % n_runs}" for i in range(len(noise))]
        baselines = {**copied.baselines, "noise": replace(noise, names=names)}
        finding = findings(replace(copied, baselines=baselines))[NO_GAIN]
        assert finding.outcome is outcome
        assert ("only 7 noised runs, at least 8 are needed" in finding.measured) is (n_runs == 7)

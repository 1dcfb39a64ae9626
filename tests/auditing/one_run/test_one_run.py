"""Audits of one run: distances, nearness to the mean and likeness against brute force."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import walks
from planted import audit, prepared
from refused import noted
from scipy.spatial.distance import cdist, pdist

from novelweights.auditing.controls.baselines import average_of, mixtures
from novelweights.auditing.judge import statistics
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.measure.pictures import pictures
from novelweights.auditing.measures import SHARES
from novelweights.auditing.one_run.distances import MAX_ROWS, Kinds, among, between
from novelweights.auditing.one_run.measure import GROUP
from novelweights.auditing.result import TSNE_GROUPS, AuditResult
from novelweights.weights.population import Records

pytestmark = pytest.mark.integration

TRAIN, HELDOUT, SCRATCH = walks.training(), walks.heldout(), walks.from_scratch()
OF_TRAINING = (
    "median_distance_training",
    "mean_quality_training",
    "median_novelty_training",
    "prediction_overlap_training",
    "mean_distance_training",
)
BESIDE_TRAINING = (
    "distance_ratio_training",
    "nearer_probability_training",
    "disagreement_ratio",
    "quality_difference_training",
)
OF_FRESH = {"nearer_p_value", "gross_copy_share", "repeated_share"}
OF_FRESH |= {share.key for share in SHARES.values()}
KINDS = ("average", "copy", "gaussian", "drift")
T, S = TRAIN.weights.double().numpy(), SCRATCH.weights.double().numpy()
S = np.concatenate([S[:, 22:38], S[:, 6:22]], axis=1)  # the parts, in the training order
LAST = HELDOUT.weights.double().numpy()[walks.STEPS - 1 :: walks.STEPS]


def audited(kind: str, *, train=TRAIN, **options) -> AuditResult:
    given = {
        "heldout": HELDOUT,
        "task": walks.Near(),
        "symmetry": walks.SYMMETRY,
        "from_scratch": SCRATCH,
        **options,
    }
    return audit(train, walks.generated(kind), **given)


@pytest.fixture(scope="module")
def results() -> dict[str, AuditResult]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "DRAWS", 400)
        return {kind: audited(kind) for kind in KINDS}


def value(result: AuditResult, key: str) -> float:
    return result.quantity(key).value


def test_the_distances_of_table_4_are_those_of_brute_force(results):
    result, made = results["gaussian"], walks.generated("gaussian").weights.double().numpy()
    across, near = cdist(made, T), cdist(T, T)
    np.fill_diagonal(near, np.inf)
    others = cdist(S, S)
    np.fill_diagonal(others, np.inf)
    expected = {
        "pairs_training": pdist(T).mean(),
        "pairs_training_generated": across.mean(),
        "pairs_from_scratch": pdist(S).mean(),
        "nearest_training": near.min(axis=1).mean(),
        "nearest_generated": across.min(axis=1).mean(),
        "nearest_from_scratch": others.min(axis=1).mean(),
        "pairs_generated": pdist(made).mean(),
        "pairs_heldout_training": cdist(LAST, T).mean(),
        "nearest_heldout": cdist(LAST, T).min(axis=1).mean(),
        "pairs_heldout": pdist(LAST).mean(),
        "last_training_heldout": cdist(LAST, T[-1:]).mean(),
        "narrow_generated": across.mean() / pdist(S).mean(),
        "narrow_training": pdist(T).mean() / pdist(S).mean(),
    }
    for key, wanted in expected.items():
        assert value(result, key) == pytest.approx(wanted, rel=1e-9), key
        assert result.quantity(key).group == GROUP


def test_steps_of_the_run_alone_have_no_interval_and_others_have(results):
    numbers = {q.key: q for q in results["gaussian"].quantities}
    alone = ("pairs_training", "nearest_training", "center_training", "mean_quality_training")
    alone += ("median_distance_training", "mean_distance_training", "prediction_overlap_training")
    for key in alone:
        assert (numbers[key].lower, numbers[key].upper) == (None, None), key
    drawn = ("pairs_training_generated", "pairs_from_scratch", "nearest_heldout", "center_heldout")
    drawn += ("distance_ratio_training", "quality_difference_training", "advantage_over_noise")
    for key in drawn:
        assert numbers[key].lower < numbers[key].value < numbers[key].upper, key
    assert numbers["nearest_heldout"].n == 8
    assert numbers["advantage_over_noise"].n == walks.MADE
    assert "recipe_p_value" not in numbers
    assert "other than itself" in numbers["mean_distance_training"].definition
    told = [q.label + q.definition for q in numbers.values() if q.group != "established"]
    many = ("of another run", "opied share", "by run", "own run", "training runs", "other runs")
    assert [text for text in told for words in many if words in text] == []


def test_n_counts_what_is_drawn_again(results):
    numbers = {q.key: q for q in results["gaussian"].quantities}
    assert {numbers[key].n for key in BESIDE_TRAINING} == {walks.MADE}
    assert {numbers[key].n for key in OF_TRAINING} == {walks.STEPS}
    assert numbers["distance_ratio"].n == numbers["quality_difference"].n == 8


def test_words_say_what_is_drawn_again(results):
    numbers = {q.key: q for q in results["gaussian"].quantities}
    for key, drawn in (
        ("distance_ratio", "samples and held-out runs"),
        ("distance_ratio_training", "samples"),
        ("disagreement_ratio", "samples"),
        ("median_distance_generated", "samples"),
        ("median_distance_heldout", "held-out runs"),
        ("last_training_heldout", "held-out runs"),
        ("center_generated", "samples"),
        ("center_ratio_heldout", "held-out runs"),
        ("center_average_16", "these averages"),
        ("spread_gaussian", "these draws"),
        ("weight_difference_generated", "samples"),
        ("weight_difference_from_scratch", "these networks"),
    ):
        text = numbers[key].definition
        assert f"ootstrap over {drawn}; " in text or text.endswith(f"ootstrap over {drawn}."), key


def test_held_out_runs_are_drawn_again_beside_samples(results):
    """The interval is that of a bootstrap of both, and wider than one of the samples alone."""
    result, rng = results["gaussian"], np.random.default_rng(0)
    made, fresh = result.generated.distance, result.heldout.distance

    def again(values: np.ndarray) -> np.ndarray:
        return np.median(rng.choice(values, (4000, len(values))), axis=1)

    samples = again(made)
    of_both = np.quantile(samples / again(fresh), [0.05, 0.95])
    of_samples = np.quantile(samples / np.median(fresh), [0.05, 0.95])
    ratio = result.quantity("distance_ratio")
    assert ratio.upper - ratio.lower == pytest.approx(np.ptp(of_both), rel=0.35)
    assert ratio.upper - ratio.lower > 2 * np.ptp(of_samples)


def test_without_held_out_runs_steps_do_not_stand_in_for_fresh_runs(results):
    """Copies of steps: a rank test among the steps would call them copies beyond all doubt."""
    few = TRAIN.select(slice(0, 40))
    result = audited("copy", train=few, heldout=None, from_scratch=None)
    numbers = {q.key: q for q in result.quantities}
    assert OF_FRESH & set(numbers) == set()
    given = {q.key for q in results["copy"].quantities}
    assert OF_FRESH - given == {"mosaic_share"}  # the alignment moves nothing: no layers
    told = [q.label + q.definition for q in numbers.values() if q.group != "established"]
    many = (
        "beta-binomial",
        "by run",
        "own run",
        "training runs",
        "as held-out runs",
        "than a held-out run",
    )
    assert [text for text in told for words in many if words in text] == []
    assert "over held-out" not in numbers["distance_ratio"].label
    assert "less held-out" not in numbers["quality_difference"].label
    assert len({q.label for q in result.quantities}) == len(result.quantities)
    for key in ("distance_ratio", "nearer_probability", "quality_difference", *BESIDE_TRAINING):
        assert numbers[key].n == walks.MADE
    verdict = judge(result).population
    assert verdict.is_only_certain  # some samples are training checkpoints; nothing else is told
    assert "as training checkpoints from the others are" in verdict.reasons[0]
    assert len(verdict.reasons) == 2  # the distance and the quality; no share


@pytest.mark.parametrize("n_heldout", [0, 8, 20])
def test_held_out_runs_are_not_said_to_lead_to_a_verdict(n_heldout):
    heldout = walks.heldout(n_heldout) if n_heldout else None
    result = audited("copy", heldout=heldout, task=None)
    told = noted(result.warnings, "few-heldout" if n_heldout else "no-heldout")
    assert len(told) == (n_heldout < 20)
    assert all("no verdict" in text for text in told)  # also with 20 of them
    assert not n_heldout or all("8 held-out runs" in text for text in told)


# --- two runs, and one under many names -----------------------------------------------------------


def test_the_ends_of_both_training_runs_count():
    train = walks.training(2)
    result = audited("gaussian", train=train, task=None, from_scratch=None)
    assert result.n_runs == 2
    ends = train.weights.double().numpy()[[walks.STEPS - 1, 2 * walks.STEPS - 1]]
    told = result.quantity("last_training_heldout")
    assert told.value == pytest.approx(cdist(LAST, ends).mean(), rel=1e-9)
    assert told.value != pytest.approx(cdist(LAST, ends[1:]).mean(), rel=1e-3)
    assert told.n == len(LAST)
    assert noted(result.warnings, "few-heldout", "2 training runs")


def test_steps_under_many_names_have_the_ends_of_the_runs_that_are_recognized():
    names = [f"net-{row}" for row in range(walks.STEPS)]
    renamed = replace(TRAIN, records=Records.of(names, split="train", step=1))
    given = prepared(renamed, walks.generated("copy"), heldout=HELDOUT, symmetry=walks.SYMMETRY)
    assert given.n_runs == 1
    torch.testing.assert_close(Kinds.of(given).ends, TRAIN.weights[-1:])


def test_of_many_runs_every_checkpoint_compared_is_an_end():
    given = prepared(HELDOUT, walks.generated("copy"), symmetry=walks.SYMMETRY)
    assert given.n_runs == len(given.train) == 8
    assert given.run_ends.tolist() == list(range(8))


def test_distances_to_the_mean_and_spread_are_those_of_brute_force(results):
    result, made = results["drift"], walks.generated("drift").weights.double().numpy()
    mean, std = T.mean(axis=0), T.std(axis=0, ddof=1)
    usual = np.median(np.linalg.norm(T - mean, axis=1))
    there = np.linalg.norm(made - mean, axis=1)
    assert value(result, "center_training") == pytest.approx(usual)
    assert value(result, "center_generated") == pytest.approx(np.median(there))
    assert value(result, "center_ratio_generated") == pytest.approx(np.median(there) / usual)
    assert value(result, "nearer_center_generated") == (there < usual).mean()
    assert value(result, "spread_generated") == pytest.approx(
        np.median(made.std(axis=0, ddof=1) / std)
    )
    assert value(result, "shift_generated") == pytest.approx(
        np.median(np.abs(made.mean(axis=0) - mean) / std)
    )
    spread = T.mean(axis=0).std()
    assert value(result, "weight_difference_generated") == pytest.approx(
        cdist(made, T).min(axis=1).mean() / spread / np.sqrt(walks.D)
    )


def test_baselines_have_the_spread_they_must_have(results):
    """Averages of 16 independent rows: a quarter; Gaussian draws: all of it."""
    for result in results.values():
        assert value(result, "spread_average_16") == pytest.approx(0.25, abs=0.05)
        assert value(result, "spread_gaussian") == pytest.approx(1, abs=0.12)
        for key in ("spread_average_16", "spread_gaussian", "shift_gaussian"):
            told = result.quantity(key)
            assert told.lower <= told.value <= told.upper


@pytest.mark.parametrize(
    ("kind", "ratio", "spread"),
    [
        ("average", (0.1, 0.35), (0.2, 0.3)),
        ("copy", (0.8, 1.2), (0.8, 1.2)),
        ("drift", (3, 99), (1, 9)),
    ],
)
def test_generators_of_known_kind_lie_where_they_must(results, kind, ratio, spread):
    assert ratio[0] < value(results[kind], "center_ratio_generated") < ratio[1]
    assert spread[0] < value(results[kind], "spread_generated") < spread[1]


def test_differences_from_the_baselines_are_those_of_their_behavior(results):
    result, task = results["gaussian"], walks.Near()
    mixed = mixtures(TRAIN.weights, TRAIN.layout, walks.MADE, seed=0)[average_of(16)]
    there = task.behave(TRAIN.select(slice(0, len(mixed))).with_weights(mixed, split="average"))
    trained, made = task.behave(TRAIN), task.behave(walks.generated("gaussian"))
    quality = task.score(made).mean() - task.score(there).mean()
    novelty = np.median(task.novelty_against(made, trained)) - np.median(
        task.novelty_against(there, trained)
    )
    assert value(result, "quality_difference_average_16") == pytest.approx(float(quality))
    assert value(result, "novelty_difference_average_16") == pytest.approx(float(novelty))
    own = result.quantity("quality_difference_gaussian")
    assert own.lower < 0 < own.upper  # drawn from the same Gaussian


def test_nothing_is_identified_and_every_step_of_held_out_runs_is_there(results):
    for result in results.values():
        assert result.n_runs == 1
        population = judge(result).population
        assert population.is_only_certain is (population.n_equal > 0)
        assert "not identifiable" in population.sentence.lower()
        steps = result.heldout_steps
        assert steps.n_runs == 8
        nearest = cdist(HELDOUT.weights.double(), T).min(axis=1)
        np.testing.assert_allclose(steps.distance, nearest, rtol=1e-9)
    assert len(set(results["copy"].training_names)) == walks.STEPS
    assert results["copy"].training_names[0] == "train-00000, step 2"


def test_it_is_the_same_from_disk(results):
    result = results["copy"]
    again = AuditResult.from_json(result.to_json())
    assert again.quantities == result.quantities
    np.testing.assert_allclose(again.heldout_steps.distance, result.heldout_steps.distance)
    assert again.training_names == result.training_names


def test_without_networks_held_out_runs_and_task_it_says_what_is_missing():
    few = TRAIN.select(slice(0, 40))
    result = audited("copy", train=few, heldout=None, task=None, from_scratch=None)
    for key, says in (
        ("pairs_from_scratch", "--from-scratch"),
        ("narrow_training", "--from-scratch"),
        ("weight_difference_from_scratch", "--from-scratch"),
        ("pairs_heldout", "--heldout"),
        ("center_heldout", "--heldout"),
    ):
        told = result.quantity(key)
        assert told.value is None
        assert says in told.definition
    assert noted(result.warnings, "few-from-scratch", "--from-scratch", "No")
    assert result.heldout_steps is None
    assert not any(q.key.startswith("mean_quality") for q in result.quantities)
    assert value(result, "pairs_training_generated") > 0


def test_one_network_from_scratch_has_no_pairs():
    one = walks.from_scratch(1)
    result = audited("copy", train=TRAIN.select(slice(0, 40)), task=None, from_scratch=one)
    assert value(result, "pairs_from_scratch") is None
    assert value(result, "median_distance_from_scratch") > 0
    assert noted(result.warnings, "few-from-scratch", "one")


def test_distances_are_those_of_direct_differences():
    a, b = torch.randn(5, 7), torch.randn(4, 7)
    np.testing.assert_allclose(between(a, b), cdist(a.double(), b.double()), rtol=1e-12)
    np.testing.assert_allclose(among(a), cdist(a.double(), a.double()), rtol=1e-12)
    assert among(a[:1]).tolist() == [[0.0]]
    assert between(a[:0], b).shape == (0, 4)


def test_of_many_checkpoints_a_sample_is_compared():
    given = prepared(
        TRAIN, walks.generated("gaussian", 700), heldout=HELDOUT, symmetry=walks.SYMMETRY
    )
    kinds = Kinds.of(given)
    assert len(kinds.generated) == MAX_ROWS
    assert len(torch.unique(kinds.generated, dim=0)) == MAX_ROWS
    torch.testing.assert_close(kinds.ends, TRAIN.weights[-1:])
    assert len(kinds.scratch) == 0


def test_pictures_hold_what_was_drawn(results):
    made = walks.generated("gaussian")
    arrays = pictures(
        results["gaussian"], TRAIN, made, heldout=HELDOUT, from_scratch=SCRATCH, seed=3
    )
    entries = arrays["entry_parameters"]
    assert len(entries) == len(set(entries)) == walks.WIDTH  # all of the first parameter
    assert set(entries) == set(range(walks.WIDTH))
    np.testing.assert_array_equal(arrays["entry_generated"], made.weights.numpy()[:, entries])
    rows = arrays["row_parameters"]
    np.testing.assert_allclose(arrays["row_from_scratch"], S[:, rows], rtol=1e-6)
    np.testing.assert_allclose(arrays["row_heldout"], LAST[:, rows], rtol=1e-6)
    assert arrays["row_training"].shape == (20, walks.D)
    counts = np.bincount(arrays["tsne_groups"], minlength=len(TSNE_GROUPS))
    assert dict(zip(TSNE_GROUPS, counts, strict=True)) == {
        "training": 100,
        "heldout": 8,
        "generated": walks.MADE,
        "average of 16": walks.MADE,
        "Gaussian": walks.MADE,
        "noise": walks.MADE,
    }
    assert np.isfinite(arrays["tsne_points"]).all()
    assert sum(values.nbytes for values in arrays.values()) < 1 << 20

import dataclasses

import numpy as np
import pytest
from invented import invented_control, invented_result

from novelweights.auditing.judge.checkpoint_verdict import working
from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA, MEANING, Criteria, Verdict
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.result import Quantity
from novelweights.tasks.task import Measure

BEYOND = 1 / 31  # past all 30 held-out runs
INSIDE = 2 / 31  # past all but one
ONE_SOURCE = (0.9, 0.05, 0.05)


def only(result):
    """The verdict on checkpoints that are all alike."""
    checkpoints = judge(result).checkpoints
    assert len({checkpoint.origin for checkpoint in checkpoints}) == 1
    return checkpoints[0]


LAYERS = {"layers_all_near": BEYOND, "layers_any_near": BEYOND}
SMALL_MIXTURE = {"mixture_near": BEYOND}
MIXTURE = {"mixture_near": BEYOND, "large_mixture_near": BEYOND}
COPIED = {"layer_rows": (0, 1), "layer_distance": 2.5}
WEAK = {
    "layer_rows": (0, 1),
    "layer_distance": (1.2, 2.5),
    "heldout_layer_distance": (2.4, 5.0),
}
"""In the first layer held-out runs come within half the usual distance."""
THREE = {
    "layer_rows": (0, 1, 1),
    "layer_distance": (2.5, 2.5, 5.0),
    "heldout_layer_distance": (5.0, 5.0, 5.0),
}
"""Two of three layers are copies, of different runs."""
ALL = MIXTURE | {"direction_near": BEYOND, "distance_near": BEYOND}
NEAR = {"distance_near": INSIDE}
REPLICA, BROKEN, NOVEL, UNDECIDED = "replica", "broken", "novel", "undecided"
EQUAL, NEARLY_EQUAL, PART = "replica equal", "replica nearly equal", "replica partial copy"
AVERAGE, MOSAICS, PARTIAL = (
    "interpolation average",
    "interpolation mosaic",
    "undecided partial copy",
)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ({}, NOVEL),
        # near one run; nearer than every held-out run alone explains nothing
        ({"distance": 5.0, "sources": ONE_SOURCE}, REPLICA),
        ({"distance": 5.01, "sources": ONE_SOURCE}, UNDECIDED),
        ({"distance": 5.0, "sources": ONE_SOURCE, "p_values": NEAR}, UNDECIDED),
        ({"sources": ONE_SOURCE, "p_values": {"direction_near": BEYOND}}, REPLICA),
        ({"sources": ONE_SOURCE, "p_values": {"direction_near": INSIDE}}, NOVEL),
        ({"p_values": {"direction_near": BEYOND}}, UNDECIDED),
        ({"quality": 50.0, "p_values": {"distance_near": BEYOND}}, UNDECIDED),
        ({"quality": 10.0, "p_values": {"distance_near": BEYOND}}, BROKEN),  # as if untrained
        # equal, or all but that; by chance only where held-out runs come as near
        ({"distance": 0.0}, EQUAL),
        ({"distance": 0.0, "p_values": NEAR}, EQUAL),
        ({"distance": 0.1}, NEARLY_EQUAL),
        ({"distance": 0.1, "p_values": NEAR}, UNDECIDED),
        # one source dominates, or it is a mixture
        ({"distance": 1.0, "sources": (0.4, 0.13, 0.1)}, REPLICA),
        ({"distance": 1.0, "sources": (0.39, 0.13, 0.1)}, AVERAGE),
        ({"distance": 1.0, "sources": (0.6, 0.199, 0.1)}, REPLICA),
        ({"distance": 1.0, "sources": (0.6, 0.21, 0.1)}, AVERAGE),
        ({"distance": 1.0, "sources": (0.5, 0.5, 0.0)}, AVERAGE),
        ({"distance": 1.0, "sources": (1.0, 0.0, 0.0)}, REPLICA),
        # mixtures, by a large effect
        ({"p_values": MIXTURE}, AVERAGE),
        ({"p_values": SMALL_MIXTURE}, UNDECIDED),
        ({"p_values": {"mixture_near": INSIDE}}, NOVEL),
        ({"p_values": MIXTURE, "sources": ONE_SOURCE}, REPLICA),
        ({"p_values": SMALL_MIXTURE, "sources": ONE_SOURCE}, UNDECIDED),
        ({"p_values": MIXTURE, "quality": 48.0}, AVERAGE),
        ({"p_values": MIXTURE, "quality": 10.0}, AVERAGE),
        ({"p_values": SMALL_MIXTURE, "quality": 48.0}, UNDECIDED),
        ({"p_values": SMALL_MIXTURE, "quality": 47.0}, BROKEN),  # as if untrained
        ({"p_values": MIXTURE, "task": False}, AVERAGE),
        # layers are copies within half the usual distance, mosaics if of several runs
        (COPIED, MOSAICS),
        (COPIED | {"quality": 10.0}, MOSAICS),
        (COPIED | {"p_values": MIXTURE}, MOSAICS),
        (COPIED | {"sources": ONE_SOURCE, "distance": 1.0}, MOSAICS),
        (COPIED | {"layer_rows": (1, 1)}, PARTIAL),
        (COPIED | {"layer_distance": (2.5, 2.51)}, PARTIAL),
        (THREE, MOSAICS),
        (THREE | {"layer_rows": (0, 0, 1)}, PARTIAL),
        (THREE | {"layer_distance": (2.5, 5.0, 5.0)}, PARTIAL),
        (COPIED | {"layer_distance": (2.5, 5.0), "distance": 1.0, "sources": ONE_SOURCE}, PART),
        ({"layer_rows": (0, 1), "layer_distance": 2.51, "p_values": LAYERS}, UNDECIDED),
        ({"layer_rows": (0, 1)}, NOVEL),
        ({"p_values": {"layers_any_near": BEYOND}, "layer_rows": (0, 1)}, UNDECIDED),
        # a layer in which held-out runs come as near tells nothing
        (COPIED | {"heldout_layer_distance": (2.4, 5.0)}, PARTIAL),
        (COPIED | {"heldout_layer_distance": 2.4}, NOVEL),
        # but within half of what the nearest of these has
        (WEAK, MOSAICS),
        (WEAK | {"layer_distance": (1.21, 2.5)}, PARTIAL),
        (WEAK | {"heldout_layer_distance": (0.0, 5.0), "layer_distance": (0.0, 2.5)}, PARTIAL),
        # neurons of several runs
        ({"neurons": 0.4, "p_values": {"neurons_all_near": BEYOND}}, MOSAICS),
        ({"neurons": 0.4, "p_values": {"neurons_all_near": INSIDE}}, NOVEL),
        ({"neurons": 0.41, "p_values": {"neurons_all_near": BEYOND}}, UNDECIDED),
        ({"p_values": {"neurons_any_near": BEYOND}}, UNDECIDED),
        # a copy goes before a mixture, and both before broken
        ({"p_values": ALL, "quality": 10.0, "sources": ONE_SOURCE}, REPLICA),
        ({"p_values": ALL, "quality": 10.0}, AVERAGE),
        # quality is judged by its margin, not by rank
        ({"quality": 92.9}, BROKEN),
        ({"quality": 93.0}, NOVEL),
        ({"n_heldout": 300, "p_values": {"quality_low": 1 / 301}, "quality": 94.0}, NOVEL),
    ],
)
def test_the_rules_on_one_checkpoint(given, verdict):
    found = only(invented_result(**given))
    assert f"{found.origin} {found.kind}".strip() == verdict
    works = given.get("quality", 95.0) >= 93.0
    assert found.works is (works if given.get("task", True) else None)


def test_reasons_name_runs_and_what_is_meant():
    assert only(invented_result()).reason == MEANING[Verdict.NOVEL]
    assert "training-0 and training-1" in only(invented_result(**COPIED)).reason
    copy = only(invented_result(distance=1.0, sources=ONE_SOURCE))
    assert "90% of it is run training-0" in copy.reason
    average = only(invented_result(p_values=MIXTURE, sources=(0.5, 0.4, 0.1)))
    assert "50% training-0, 40% training-1, 10% training-2" in average.reason


def test_where_less_is_better_more_is_broken():
    """By a tenth of the median, 95: no margin in percentage points."""
    loss = Measure("loss", "", higher_is_better=False)
    for quality, origin in (
        (104.6, Verdict.BROKEN),
        (104.4, Verdict.NOVEL),
        (10.0, Verdict.NOVEL),
    ):
        result = invented_result(quality=quality)
        assert only(dataclasses.replace(result, quality=loss)).origin is origin


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_margins_without_percent_do_not_hang_on_the_unit(scale):
    quality, fresh = Measure("distance", "", higher_is_better=False), scale * np.arange(1.0, 12.0)
    assert Criteria().margin_of_one(quality, fresh) == pytest.approx(0.6 * scale)
    assert Criteria().margin_of_mean(quality, fresh) == pytest.approx(0.6 * scale)
    assert len(working(np.append(fresh, 1e3 * scale), quality)) == len(fresh)


@pytest.mark.parametrize(
    "leg",
    [
        "distance_near",
        "distance_far",
        "direction_near",
        "cosine_far",
        "mixture_near",
        "unmatched_mixture_near",
        "hull_far",
        "pca_far",
        "layers_any_near",
        "neurons_any_near",
        "neurons_mean_near",
        "neurons_all_near",
        "similarity_high",
        "similarity_low",
    ],
)
def test_extreme_on_any_side_is_not_novel(leg):
    # of 300 held-out runs two lie further out: inside, but not in the central 98 %
    extreme = invented_result(n_heldout=300, p_values={leg: 3 / 301})
    assert only(extreme).origin is Verdict.UNDECIDED
    assert leg.replace("_", " ") in only(extreme).reason
    ordinary = invented_result(n_heldout=300, p_values={leg: 4 / 301})
    assert only(ordinary).origin is Verdict.NOVEL


def test_a_distance_that_may_be_a_copys_is_not_novel():
    result = invented_result()
    bounds = np.array([4.9, 5.0, 5.1] + 5 * [10.0])  # of distances of 10, like fresh runs
    found = dataclasses.replace(result.generated, distance_lower=bounds)
    origins = [c.origin for c in judge(dataclasses.replace(result, generated=found)).checkpoints]
    assert origins == [Verdict.UNDECIDED] * 2 + [Verdict.NOVEL] * 6


def rescaled(share, lower=None, ratio=0.3, near=BEYOND):
    """Samples as far as fresh runs are, and in canonical form at a share of their distance."""
    result = invented_result()
    result = dataclasses.replace(
        result, p_values={**result.p_values, "canonical_near": np.full(len(result.generated), near)}
    )
    n, n_fresh = len(result.generated), len(result.heldout)
    found = dataclasses.replace(
        result.generated,
        canonical_distance=np.full(n, 8.0 * share),
        canonical_lower=np.full(n, 8.0 * (share if lower is None else lower)),
        canonical_ratio=np.full(n, ratio),
        canonical_rows=np.zeros(n, int),
    )
    fresh = dataclasses.replace(
        result.heldout,
        canonical_distance=np.full(n_fresh, 8.0),
        canonical_lower=np.full(n_fresh, 8.0),
        canonical_ratio=np.full(n_fresh, 0.9),
        canonical_rows=np.zeros(n_fresh, int),
    )
    return only(dataclasses.replace(result, generated=found, heldout=fresh))


@pytest.mark.parametrize(
    ("share", "options", "origin"),
    [
        (0.0, {"ratio": 1.0, "near": INSIDE}, Verdict.REPLICA),  # equal
        (0.01, {"ratio": 1.0}, Verdict.REPLICA),
        (0.011, {"ratio": 1.0}, Verdict.UNDECIDED),  # near several
        (0.5, {"ratio": 0.5}, Verdict.REPLICA),
        (0.5, {"ratio": 0.51}, Verdict.UNDECIDED),
        (0.51, {}, Verdict.NOVEL),
        (0.51, {"lower": 0.5}, Verdict.UNDECIDED),  # perhaps a copy: only a bound
        (0.4, {"near": INSIDE}, Verdict.UNDECIDED),  # a fresh run comes as near
    ],
)
def test_copies_in_canonical_form(share, options, origin):
    assert rescaled(share, **options).origin is origin


def test_without_held_out_runs_or_task_nothing_is_novel():
    verdict = only(invented_result(heldout=False))
    assert verdict.origin is Verdict.UNDECIDED
    assert "held-out runs are missing" in verdict.reason
    verdict = only(invented_result(task=False))
    assert verdict.origin is Verdict.UNDECIDED
    assert verdict.works is None
    assert "task is missing" in verdict.reason
    population = judge(invented_result(heldout=False, task=False)).population
    assert population.origin is Verdict.UNDECIDED
    assert population.sentence.startswith("Exploratory")
    assert len(population.would_decide) >= 2


def test_but_copies_are_still_seen():
    result = invented_result(20, heldout=False, task=False, distance=0.0, sources=ONE_SOURCE)
    assert only(result).origin is Verdict.REPLICA
    population = judge(result).population
    assert population.origin is Verdict.REPLICA
    assert "exploratory, without held-out runs: 20 of 20" in population.sentence


def test_too_few_fresh_runs_decide_nothing():
    verdicts = judge(invented_result(n_heldout=19, distance=0.1, sources=ONE_SOURCE))
    assert {checkpoint.origin for checkpoint in verdicts.checkpoints} == {Verdict.UNDECIDED}
    assert verdicts.population.origin is Verdict.UNDECIDED
    assert "at least 20 held-out runs" in verdicts.population.would_decide[0]
    enough = invented_result(n_heldout=20, distance=0.1, sources=ONE_SOURCE)
    assert only(enough).origin is Verdict.REPLICA


@pytest.mark.parametrize("given", [{}, {"n_heldout": 19}, {"n_runs": 2}, {"heldout": False}])
def test_what_is_certain_is_said_first_and_needs_no_statistics(given):
    result = invented_result(40, distance=some(40, 2, 0.0, 10.0), **given)
    verdicts = judge(result)
    assert [c.kind for c in verdicts.checkpoints[:3]] == ["equal", "equal", ""]
    population = verdicts.population
    assert population.sentence.startswith("2 of 40 samples are equal to training checkpoints")
    assert "no evidence of more" in population.sentence
    assert ("the other 38 samples" in population.sentence) is (not given or "heldout" in given)
    assert population.origin is Verdict.REPLICA
    assert (population.n_equal, population.n_nearly_equal) == (2, 0)
    assert verdicts.shown == {Verdict.REPLICA}


def test_one_equal_sample_does_not_name_a_population_of_mixtures():
    beyond = {"large_mixture_near": BEYOND}
    result = invented_result(40, distance=some(40, 1, 0.0, 10.0), p_values=beyond)
    verdicts = judge(result)
    assert verdicts.population.origin is Verdict.INTERPOLATION
    assert verdicts.shown == {Verdict.INTERPOLATION, Verdict.REPLICA}
    assert verdicts.population.sentence.startswith("1 of 40 samples is equal to")


def test_what_only_samples_together_show_is_said_of_the_population():
    share = Quantity("recentred_share", "", 0.4, 8, "by hand", 0.2, 0.6, 0.95, unit="share")
    result = invented_result()
    drifted = dataclasses.replace(result, quantities=(*result.quantities, share))
    verdicts = judge(drifted)
    assert verdicts.population.origin is Verdict.REPLICA
    assert "40% (20% to 60%)" in verdicts.population.sentence.replace(", 95% interval ", " (")
    assert verdicts.counts()["novel"] == 8


def some(n, count, value, other):
    """`value` for the first `count` of n checkpoints."""
    return np.where(np.arange(n) < count, value, other)


@pytest.mark.parametrize(("count", "is_shown"), [(0, False), (5, False), (12, True)])
def test_the_population_is_a_replica_when_chance_cannot_explain_the_count(count, is_shown):
    result = invented_result(
        100, n_heldout=100, distance=some(100, count, 1.0, 10.0), sources=ONE_SOURCE
    )
    verdicts = judge(result)
    assert verdicts.counts()["replica"] == count
    assert (verdicts.population.origin is Verdict.REPLICA) is is_shown
    if is_shown:
        assert f"{count} of 100" in verdicts.population.sentence
        assert "95% interval" in verdicts.population.sentence
    else:
        assert verdicts.population.origin is Verdict.NOVEL


def test_mixtures_need_one_more_because_they_have_two_chances():
    # 6 of 100 beyond 100 runs: shown for one measure, not for the worse of two
    copied = invented_result(
        100, n_heldout=100, distance=some(100, 6, 1.0, 10.0), sources=ONE_SOURCE
    )
    assert judge(copied).population.origin is Verdict.REPLICA
    beyond = {"large_mixture_near": some(100, 6, 1 / 101, 0.5)}
    assert judge(invented_result(100, n_heldout=100, p_values=beyond)).population.origin is (
        Verdict.NOVEL
    )
    beyond = {"large_mixture_near": some(100, 12, 1 / 101, 0.5)}
    assert judge(invented_result(100, n_heldout=100, p_values=beyond)).population.origin is (
        Verdict.INTERPOLATION
    )


def test_the_more_frequent_origin_names_the_population():
    result = invented_result(
        100,
        n_heldout=100,
        distance=some(100, 60, 1.0, 10.0),
        sources=np.where(some(100, 60, 1, 0)[:, None], ONE_SOURCE, (0.2, 0.15, 0.1)),
        p_values={"large_mixture_near": 1 / 101},
    )
    population = judge(result).population
    assert population.origin is Verdict.REPLICA
    assert "40 more are mixtures" in population.sentence


def test_a_population_is_broken_when_most_of_it_surely_is():
    for count, origin in ((60, Verdict.UNDECIDED), (61, Verdict.BROKEN), (100, Verdict.BROKEN)):
        result = invented_result(100, quality=some(100, count, 10.0, 95.0))
        assert judge(result).population.origin is origin, count
    sentence = judge(result).population.sentence
    assert "100 of 100" in sentence
    assert "none is shown to be a copy" in sentence


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("copied_share", (0.0, 0.0, 0.051)),
        ("aligned_share", (0.0, 0.0, 0.06)),
        ("mixed_share", (0.0, 0.0, 0.06)),
        ("mosaic_share", (0.0, 0.0, 0.06)),
        ("copied_share", (0.0, 0.0, None)),
        ("distance_ratio", (1.0, 0.89, 1.03)),
        ("distance_ratio", (1.0, 0.97, 1.11)),
        ("quality_difference", (-0.6, -1.1, -0.1)),
        ("quality_difference", (0.6, 0.1, 1.1)),
        ("median_novelty_generated", (0.6, 0.52, 0.7)),
    ],
)
def test_every_open_leg_keeps_a_population_from_being_novel(key, number):
    population = judge(invented_result(quantities={key: number})).population
    assert population.origin is Verdict.UNDECIDED
    assert len(population.would_decide) == 1
    assert population.would_decide[0].startswith(key.lower())
    assert judge(invented_result()).population.origin is Verdict.NOVEL
    assert judge(invented_result()).population.would_decide == ()


def test_a_population_is_novel_only_if_most_of_it_is_one_by_one():
    odd = {"cosine_far": some(100, 45, 1 / 31, 0.5)}
    population = judge(invented_result(100, p_values=odd)).population
    assert population.origin is Verdict.UNDECIDED
    assert "only 55 of 100 checkpoints are novel one by one" in population.would_decide[0]
    fewer = {"cosine_far": some(100, 30, 1 / 31, 0.5)}
    assert judge(invented_result(100, p_values=fewer)).population.origin is Verdict.NOVEL


def test_a_copy_of_a_step_that_is_not_the_last_is_a_replica_and_near_one_is_not_novel():
    result = invented_result()
    steps = np.array([0.0, 0.1, 0.11, 5.0, 5.1, 10.0, 10.0, 10.0])  # fresh runs lie at 10
    found = dataclasses.replace(result.generated, step_distance=steps, step_rows=np.arange(8))
    verdicts = judge(dataclasses.replace(result, generated=found)).checkpoints
    origins = [verdict.origin for verdict in verdicts]
    assert origins == [Verdict.REPLICA] * 2 + [Verdict.UNDECIDED] * 2 + [Verdict.NOVEL] * 4
    assert "not the last of its run" in verdicts[0].reason


def test_samples_that_repeat_another_are_no_further_evidence():
    result = invented_result(
        100, n_heldout=100, p_values={"large_mixture_near": some(100, 50, 1 / 101, 0.5)}
    )
    assert judge(result).population.origin is Verdict.INTERPOLATION
    once = dataclasses.replace(result, counted=np.arange(100) >= 49)
    population = judge(once).population
    assert population.origin is Verdict.NOVEL
    assert judge(once).counts()["interpolation"] == 50


def test_one_failed_fresh_run_does_not_lower_what_works():
    result = invented_result(quality=50.0)
    quality = np.append(np.full(29, 95.0), 10.0)
    fresh = dataclasses.replace(result.heldout, quality=quality)
    assert only(dataclasses.replace(result, heldout=fresh)).works is False


def test_the_novel_sentence_names_the_share_that_is_not_excluded():
    result = invented_result(quantities={"mixed_share": (0.0, 0.0, 0.049)})
    population = judge(result).population
    assert population.origin is Verdict.NOVEL
    assert "up to 4.9% is not excluded" in population.sentence


def test_thresholds_are_those_of_the_criteria():
    result = invented_result(distance=3.0, sources=ONE_SOURCE)
    strict = dataclasses.replace(DEFAULT_CRITERIA, gross_copy=0.2)
    assert judge(result).checkpoints[0].origin is Verdict.REPLICA
    assert judge(result, strict).checkpoints[0].origin is Verdict.UNDECIDED
    assert judge(result, strict).criteria == strict
    stricter = dataclasses.replace(DEFAULT_CRITERIA, max_share=0.01)
    assert judge(invented_result(), stricter).population.origin is Verdict.UNDECIDED


def test_reasons_hold_the_numbers_and_json_holds_everything():
    verdicts = judge(invented_result())
    reasons = " ".join(verdicts.population.reasons)
    for text in ("97%", "103%", "copied_share", "95 generated"):
        assert text in reasons
    data = verdicts.to_json()
    assert data["population"]["origin"] == "novel"
    assert data["counts"] == {
        "replica": 0,
        "interpolation": 0,
        "broken": 0,
        "novel": 8,
        "undecided": 0,
    }
    assert data["criteria"]["gross_copy"] == 0.5


# --- through a lossy codec ---------------------------------------------------------------------


def through_codec(result, *, made=None, before=None):
    """The same numbers of reconstructions; mean qualities of samples and before the codec."""
    numbers = [q for q in result.quantities if made is None or q.key != "mean_quality_generated"]
    if made is not None and before is not None:
        less = made - before
        numbers += [
            Quantity("mean_quality_generated", "made", made, 8, "by hand", unit="%"),
            Quantity("mean_quality_originals", "before", before, 30, "by hand", unit="%"),
            Quantity("quality_difference_originals", "less", less, 38, "", less - 1, less + 1),
        ]
    about = {**result.about, "through_codec": True}
    return dataclasses.replace(result, quantities=tuple(numbers), about=about)


def test_copies_of_reconstructions_are_not_called_copies_of_checkpoints():
    plain = invented_result(20, distance=0.0, sources=ONE_SOURCE)
    decoded = judge(through_codec(plain))
    words = "20 of 20 samples are equal to training checkpoints"
    assert decoded.population.sentence.startswith(f"{words} as the codec gives them back; ")
    copies = "copies of single training checkpoints"
    assert f"{copies} as the codec gives them back (share" in decoded.population.sentence
    assert judge(plain).population.sentence.startswith(f"{words}; ")
    assert f"{copies} (share" in judge(plain).population.sentence
    reasons = [verdict.reason for verdict in decoded.checkpoints]
    assert all(reason.startswith("equal to the reconstruction of training") for reason in reasons)
    assert "equal to training run training-0" in judge(plain).checkpoints[0].reason
    assert decoded.counts() == judge(plain).counts()


def test_mixtures_of_reconstructions_are_not_called_mixtures_of_checkpoints():
    mixed = invented_result(20, p_values={"large_mixture_near": BEYOND})
    words = "mixtures of training checkpoints"
    assert f"{words} as the codec" in judge(through_codec(mixed)).population.sentence
    assert f"{words} (share" in judge(mixed).population.sentence


def test_samples_that_a_codec_ruins_are_not_said_to_be_whole():
    ruined = judge(through_codec(invented_result(), made=8.96, before=95.4)).population
    assert ruined.origin is Verdict.UNDECIDED
    assert ruined.sentence.startswith("No copying or mixing is shown in 8 samples (")
    assert ruined.sentence.endswith(
        "; they surely work worse than training checkpoints before the codec (8.96% against 95.4%)."
    )
    whole = {"distance_ratio": (1.2, 1.1, 1.3)}
    kept = judge(through_codec(invented_result(quantities=whole), made=95.2, before=95.4))
    assert "no copying, mixing or breakage is shown" in kept.population.sentence.lower()
    assert "work worse" not in kept.population.sentence


# --- when nothing can be said ------------------------------------------------------------------


@pytest.mark.parametrize(("n_runs", "is_known"), [(1, False), (2, False), (3, True), (None, True)])
def test_too_few_training_runs_identify_nothing(n_runs, is_known):
    verdicts = judge(invented_result(distance=1.0, sources=ONE_SOURCE, n_runs=n_runs))
    if is_known:
        assert verdicts.counts()["replica"] == 8
        return
    assert verdicts.counts()["undecided"] == 8
    assert verdicts.population.origin is Verdict.UNDECIDED
    assert verdicts.population.sentence.startswith("Not identifiable")
    assert f"{n_runs} run" in verdicts.population.sentence
    assert "at least 3 independent runs" in verdicts.population.would_decide[0]


def test_a_misjudged_control_that_can_veto_withholds_the_verdict():
    copies = invented_control(distance=some(20, 17, 1.0, 10.0))
    verdicts = judge(invented_result(distance=1.0, sources=ONE_SOURCE, controls={"c": copies}))
    assert verdicts.counts()["undecided"] == 8
    assert verdicts.population.origin is Verdict.UNDECIDED
    assert "withheld" in verdicts.population.sentence
    assert "planted replica: 17 of 20" in verdicts.population.sentence
    [control] = verdicts.controls
    assert (control.right, control.n, control.passed) == (17, 20, False)
    assert control.counts["replica"] == 17
    blind = dataclasses.replace(copies, can_veto=False)
    verdicts = judge(invented_result(distance=1.0, sources=ONE_SOURCE, controls={"c": blind}))
    assert verdicts.counts()["replica"] == 8
    assert not verdicts.controls[0].passed
    enough = invented_control(distance=some(20, 18, 1.0, 10.0))
    assert judge(invented_result(controls={"c": enough})).controls[0].passed


def test_fresh_runs_may_be_accused_as_often_as_chance_does():
    def judged(accused):
        p_values = {"large_mixture_near": some(50, accused, 1 / 51, 0.5)}
        fresh = invented_control(
            50, expected=("novel", "undecided"), distance=10.0, p_values=p_values, n_chance=50
        )
        return judge(invented_result(controls={"heldout": fresh})).controls[0]

    assert judged(0).passed
    assert judged(6).passed
    assert not judged(25).passed
    assert judged(25).right == 25


def test_the_largest_noise_seen_is_the_last_rung_before_one_that_is_missed():
    rungs = {0.1: 1.0, 0.5: 1.0, 0.6: 10.0, 0.75: 1.0}
    controls = {
        str(noise): invented_control(distance=distance, noise=noise, can_veto=False)
        for noise, distance in rungs.items()
    }
    assert judge(invented_result(controls=controls)).largest_noise_seen == 0.5
    assert judge(invented_result()).largest_noise_seen is None
    data = judge(invented_result(controls=controls)).to_json()
    assert data["largest_noise_seen"] == 0.5
    assert [control["passed"] for control in data["controls"]] == [True, True, False, True]

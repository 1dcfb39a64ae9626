"""Planted truth: populations whose origin is known, on a zoo of real digit classifiers."""

from collections import Counter
from dataclasses import replace

import numpy as np
import planted
import pytest
import torch
from planted import audit, seeded
from refused import noted, refused

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.measure.measured import Clock
from novelweights.auditing.result import AuditResult
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.weights.layout import WeightLayout
from novelweights.weights.perturb import parameter_gaussian
from novelweights.weights.population import Population, Records, sampled_records

N = 24  # checkpoints of each planted kind


def plant(zoo):
    """Weights of every planted kind."""
    copies = planted.copies(zoo, N, rng=seeded(1))
    return {
        "copies": copies,
        "moved copies": planted.moved(zoo, copies, rng=seeded(2)),
        "copies + .2": planted.copies(zoo, N, noise=0.2, rng=seeded(3)),
        "copies + .5": planted.copies(zoo, N, noise=0.5, rng=seeded(4)),
        "averages of 2": planted.averages(zoo, N, of=2, rng=seeded(5)),
        "averages of 4": planted.averages(zoo, N, of=4, rng=seeded(6)),
        "averages of 16": planted.averages(zoo, N, of=16, rng=seeded(7)),
        "fresh": planted.invented(zoo, N),
        "shrunk": 0.8 * planted.invented(zoo, 2 * N)[N:],  # other runs: twins are no fresh runs
        "noise": planted.white_noise(zoo, N, rng=seeded(8)),
        "gaussian": parameter_gaussian(zoo.training.weights, N, rng=seeded(9)),
    }


@pytest.fixture(scope="module")
def kinds(digits_zoo):
    """Origins of every planted kind, from one audit of all together, and whether they work."""
    planted_weights = plant(digits_zoo)
    generated = digits_zoo.population(torch.cat(list(planted_weights.values())))
    result = audit(
        digits_zoo.training,
        generated,
        heldout=digits_zoo.heldout,
        task=digits_zoo.task,
        symmetry=digits_zoo.network.symmetry,
    )
    verdicts = judge(result).checkpoints
    return {name: verdicts[i * N : (i + 1) * N] for i, name in enumerate(planted_weights)}, result


def origins(verdicts):
    return Counter(verdict.origin for verdict in verdicts)


@pytest.mark.parametrize("kind", ["copies", "moved copies", "copies + .2", "copies + .5"])
def test_copies_are_replicas(kinds, kind):
    assert origins(kinds[0][kind]) == {Verdict.REPLICA: N}


@pytest.mark.parametrize("kind", ["averages of 2", "averages of 4", "averages of 16"])
def test_averages_are_interpolations(kinds, kind):
    assert origins(kinds[0][kind]) == {Verdict.INTERPOLATION: N}


def test_fresh_runs_are_novel(kinds):
    found = origins(kinds[0]["fresh"])
    # each of a dozen legs calls one fresh run in a hundred unlike H, so .88 are novel; of 24 fewer
    # than 16 are in one of a thousand trials
    assert found[Verdict.NOVEL] >= 16
    assert found[Verdict.REPLICA] == 0


def test_shrunk_fresh_runs_are_no_copies(kinds):
    found = origins(kinds[0]["shrunk"])
    assert found[Verdict.REPLICA] == 0
    assert found[Verdict.INTERPOLATION] <= 1


@pytest.mark.parametrize("kind", ["noise", "gaussian"])
def test_noise_is_broken_and_not_novel(kinds, kind):
    assert origins(kinds[0][kind]) == {Verdict.BROKEN: N}
    assert {verdict.works for verdict in kinds[0][kind]} == {False}


def test_exact_copies_have_distance_zero_and_moved_ones_too(kinds):
    found = kinds[1].generated
    assert (found.distance[: 2 * N] == 0).all()
    assert (found.raw_distance[:N] == 0).all()
    assert (found.raw_distance[N : 2 * N] > 1).all()
    np.testing.assert_allclose(found.overlap[: 2 * N], 1, atol=0.002)
    np.testing.assert_allclose(found.novelty[:N], 1)


def test_planted_noise_has_the_planted_distance(kinds, digits_zoo):
    found = kinds[1].generated
    for block, noise in ((2, 0.2), (3, 0.5)):
        distances = found.distance[block * N : (block + 1) * N] / digits_zoo.spacing
        np.testing.assert_allclose(distances, noise, rtol=0.12)


@pytest.fixture(scope="module")
def fresh_result(digits_zoo):
    """200 fresh runs as if generated, against 200 held-out runs."""
    return audit(
        digits_zoo.training,
        digits_zoo.population(planted.invented(digits_zoo, 200)),
        heldout=digits_zoo.heldout,
        task=digits_zoo.task,
        symmetry=digits_zoo.network.symmetry,
    )


@pytest.mark.integration
def test_a_generator_of_fresh_runs_is_novel(fresh_result):
    verdicts = judge(fresh_result)
    assert verdicts.population.origin is Verdict.NOVEL, verdicts.population
    assert "is not excluded" in verdicts.population.sentence
    assert verdicts.counts()["replica"] == 0
    assert verdicts.counts()["novel"] > 160  # .88 of 200, less 3.5 standard deviations
    ratio = fresh_result.quantity("distance_ratio")
    assert 0.95 < ratio.lower < ratio.value < ratio.upper < 1.05


@pytest.mark.integration
def test_ranks_of_fresh_runs_are_spread_evenly(fresh_result):
    for name in ("distance_near", "cosine_near", "quality_low", "similarity_high"):
        p_values = fresh_result.p_values[name]
        assert 0.4 < p_values.mean() < 0.6, name
        assert (p_values <= 0.05).mean() < 0.12, name


@pytest.mark.integration
def test_a_tenth_of_copies_is_found_and_its_share_bounded(digits_zoo):
    weights = planted.mixed(digits_zoo, 200, copied=0.1, rng=seeded(1))
    result = audit(
        digits_zoo.training,
        digits_zoo.population(weights),
        heldout=digits_zoo.heldout,
        symmetry=digits_zoo.network.symmetry,
    )
    population = judge(result).population
    assert population.origin is Verdict.REPLICA
    assert "20 of 200" in population.sentence
    for key in ("copied_share", "aligned_share"):
        share = result.quantity(key)
        assert share.lower is not None
        assert 0 < share.lower < 0.1
        assert share.value == pytest.approx(0.1, abs=0.03)


# --- smaller audits: 40 training runs, 24 held-out runs ----------------------------------------


@pytest.fixture(scope="module")
def small(digits_zoo):
    return replace(
        digits_zoo,
        training=digits_zoo.training.select(slice(0, 40)),
        heldout=digits_zoo.heldout.select(slice(0, 24)),
        fresh=digits_zoo.fresh.select(slice(0, 60)),
    )


def small_audit(zoo, weights, **options):
    """Without task and controls unless they are given: they cost more than all the rest."""
    options = {
        "n_controls": 0,
        "heldout": zoo.heldout,
        "task": None,
        "symmetry": zoo.network.symmetry,
        **options,
    }
    return audit(zoo.training, zoo.population(weights), **options)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("kind", "origin"),
    [
        ("copies", Verdict.REPLICA),
        ("copies + .5", Verdict.REPLICA),
        ("averages of 2", Verdict.INTERPOLATION),
        ("averages of 16", Verdict.INTERPOLATION),
        ("gaussian", Verdict.BROKEN),
        ("noise", Verdict.BROKEN),
    ],
)
def test_a_population_of_one_kind_gets_its_verdict(small, kind, origin):
    result = small_audit(small, plant(small)[kind], task=small.task)
    assert judge(result).population.origin is origin


@pytest.mark.integration
@pytest.mark.parametrize("aligned", [True, False])
def test_shrunk_fresh_runs_are_never_called_copies_or_mixtures(small, aligned):
    symmetry = small.network.symmetry if aligned else None
    weights = planted.shrunk(small, 60, 0.8)
    result = small_audit(small, weights, symmetry=symmetry, task=small.task)
    assert judge(result).population.origin not in (Verdict.REPLICA, Verdict.INTERPOLATION)
    assert judge(result).counts()["replica"] == 0


@pytest.mark.integration
def test_moved_copies_are_missed_without_the_declared_symmetry_and_it_says_so(small):
    weights = planted.moved(small, planted.copies(small, N, rng=seeded(1)), rng=seeded(2))
    result = small_audit(small, weights, symmetry=None)
    assert judge(result).counts()["replica"] == 0
    assert noted(result.warnings, "no-symmetry")
    assert judge(small_audit(small, weights)).counts()["replica"] == N


@pytest.mark.integration
def test_without_held_out_runs_the_audit_is_exploratory_and_never_novel(small):
    fresh = judge(small_audit(small, small.fresh.weights, heldout=None, task=small.task))
    assert fresh.counts()["novel"] == 0
    assert fresh.population.origin is Verdict.UNDECIDED
    result = small_audit(small, planted.copies(small, 60, rng=seeded(1)), heldout=None)
    assert judge(result).population.origin is Verdict.REPLICA
    assert "exploratory" in judge(result).population.sentence
    assert noted(result.warnings, "no-heldout")
    assert result.heldout is None


@pytest.mark.integration
def test_without_a_task_fresh_runs_are_undecided(small):
    result = small_audit(small, small.fresh.weights)
    verdicts = judge(result)
    assert verdicts.counts()["novel"] == 0
    assert verdicts.population.origin is Verdict.UNDECIDED
    assert any("task" in point for point in verdicts.population.would_decide)
    assert result.generated.quality is None
    assert result.baselines == {}


@pytest.mark.integration
def test_the_same_seed_gives_the_same_result(small):
    options = {"task": small.task}
    weights = small.fresh.weights[:20]
    one, other = (small_audit(small, weights, seed=5, **options) for _ in range(2))
    assert one.to_json() == other.to_json()
    assert AuditResult.from_json(one.to_json()).to_json() == one.to_json()
    another = small_audit(small, weights, seed=6, **options)
    gaussian = "Gaussian"
    assert not np.array_equal(
        one.baselines[gaussian].distance, another.baselines[gaussian].distance
    )


@pytest.mark.integration
def test_matched_noise_is_as_novel_as_the_generated(small):
    result = small_audit(small, small.fresh.weights, task=small.task)
    novelty = float(np.median(result.generated.novelty))
    assert float(np.median(result.baselines["noise"].novelty)) == pytest.approx(novelty, abs=0.02)
    assert "standard deviation" in result.baseline_notes["noise"]
    assert set(result.baselines) == {"noise", "average of 2", "average of 16", "Gaussian"}
    few = small_audit(
        replace(small, training=small.training.select(slice(0, 12))),
        small.fresh.weights[:20],
        task=small.task,
    )
    assert "average of 16" not in few.baselines
    assert "needs 16 training runs, there are 12" in few.baseline_notes["average of 16"]


@pytest.mark.integration
def test_the_last_step_of_each_run_counts(small):
    """Earlier steps of the training runs are no training checkpoints of their own."""
    early = small.training.weights * 0.5
    records = Records.of(list(small.training.records.run), split="train", step=3)
    steps = Population(
        torch.cat([small.training.weights, early]),
        small.network.layout,
        Records.join([small.training.records, records]),
        small.training.info,
    )
    generated = small.fresh.weights[:5]
    with_steps = small_audit(replace(small, training=steps), generated)
    plain = small_audit(small, generated)
    assert with_steps.generated.distance.tolist() == plain.generated.distance.tolist()
    assert len(with_steps.training) == 40


def test_stages_are_timed_and_told(small):
    told = []
    clock = Clock(progress=lambda *now: told.append(now))
    small_audit(small, small.fresh.weights[:3], clock=clock)
    assert [done for _, done, _ in told] == list(range(9))
    assert {of for _, _, of in told} == {9}
    assert list(clock.seconds) == [name for name, _, _ in told]


# --- what is refused --------------------------------------------------------------------------


def assert_refused(small, code, *named, **changes):
    given = {"train": small.training, "generated": small.fresh, "heldout": small.heldout, **changes}
    with refused(code, *named):
        audit(**given)


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_training_run_given_as_held_out_is_named(small, is_moved):
    run, leaky = small.training.weights[11:12], small.heldout.weights.clone()
    leaky[7] = (planted.moved(small, run, rng=seeded(1)) if is_moved else run)[0]
    changes = {"symmetry": small.network.symmetry if is_moved else None}
    changes["heldout"] = replace(small.heldout, weights=leaky)
    assert_refused(small, "leak", "heldout-007 = train-011", **changes)


def test_independent_runs_that_end_up_alike_are_no_leak(small):
    """Runs of some recipes meet, once aligned: a held-out run may lie as near as training runs."""
    train, held = small.training.weights.clone(), small.heldout.weights.clone()
    apart = torch.cdist(train, train).fill_diagonal_(torch.inf).amin(1).median()
    away = torch.nn.functional.normalize(torch.randn(2, train.shape[1], generator=seeded(1)), dim=1)
    met = torch.stack([train[0] + 0.22 * apart * away[0], train[2] + 0.2 * apart * away[1]])
    train[1], held[3] = planted.moved(small, met, rng=seeded(2))
    given = {"train": replace(small.training, weights=train), "generated": small.fresh}
    given["symmetry"] = small.network.symmetry
    result = audit(**given, heldout=replace(small.heldout, weights=held))
    assert len(result.heldout) == len(held)
    held[3] = train[2].half().float()
    with refused("leak", "heldout-003 = train-002"):
        audit(**given, heldout=replace(small.heldout, weights=held))


@pytest.mark.parametrize("role", ["train", "generated", "heldout"])
def test_infinite_weights_are_named_with_their_population(small, role):
    whole = {"train": small.training, "generated": small.fresh, "heldout": small.heldout}[role]
    broken = whole.weights.clone()
    broken[4, 9] = float("nan")
    changes = {role: replace(whole, weights=broken)}
    assert_refused(small, "not-finite", role, f"row 4 (run {whole.records.run[4]})", **changes)


@pytest.mark.parametrize("role", ["generated", "heldout"])
def test_other_networks_are_named(small, role):
    layout = OneHiddenMLP(64, 9, 10).layout
    other = Population(torch.zeros(3, layout.size), layout, sampled_records(3))
    named = ("train", role, "hidden.weight", "10x64", "9x64")
    assert_refused(small, "other-network", *named, **{role: other})


@pytest.mark.parametrize("role", ["train", "generated", "heldout"])
def test_empty_populations_are_named(small, role):
    assert_refused(small, "too-few", role, 1, **{role: small.fresh.select([])})


def test_one_or_two_training_checkpoints_are_no_reference(small):
    one, two = (small.training.select(slice(0, n)) for n in (1, 2))
    assert_refused(small, "too-few", "1 checkpoint", 3, train=one)
    assert_refused(small, "too-few", "2 checkpoints", 3, train=two)


def test_a_training_population_of_one_run_identifies_nothing_but_shows_its_band(small):
    records = Records.of(["same"] * 40, split="train", step=list(range(40)))
    path = small.training.weights[:1] + 0.01 * torch.randn(40, 760, generator=seeded(1))
    training = replace(small.training, weights=path, records=records)
    result = small_audit(replace(small, training=training), path[:10] + 0.001)
    verdicts = judge(result)
    assert result.n_runs == 1
    assert len(result.training) == 40
    assert verdicts.counts()["undecided"] == 10
    assert "one run" in verdicts.population.sentence or "1 run" in verdicts.population.sentence
    within, scratch = result.training.distance, result.heldout.distance
    assert np.median(result.generated.distance) < 0.1 * np.median(scratch)
    assert np.median(within) < 0.1 * np.median(scratch)


def test_three_training_runs_and_one_held_out_run_are_enough_for_numbers(small):
    result = small_audit(
        replace(
            small,
            training=small.training.select(slice(0, 3)),
            heldout=small.heldout.select(slice(0, 1)),
        ),
        small.fresh.weights[:3],
    )
    assert len(result.training) == 3
    assert judge(result).population.origin is Verdict.UNDECIDED


@pytest.mark.integration
def test_networks_of_absurd_size_are_broken_and_stop_nothing(small):
    weights = small.fresh.weights.clone()
    weights[0] *= 1e20
    weights[1] = 0
    result = small_audit(small, weights, task=small.task)
    verdicts = judge(result).checkpoints
    assert verdicts[1].works is False
    assert np.isfinite(result.generated.distance).all()
    assert Verdict.NOVEL not in {verdicts[0].origin, verdicts[1].origin}


@pytest.mark.integration
def test_untrained_networks_are_broken_and_accused_of_nothing(digits_zoo):
    network = digits_zoo.network
    initial = torch.stack([network.initial(seeded(i)) for i in range(60)])
    verdicts = judge(small_audit(digits_zoo, initial, task=digits_zoo.task))
    assert verdicts.population.origin is Verdict.BROKEN
    assert verdicts.counts()["replica"] == verdicts.counts()["interpolation"] == 0


@pytest.mark.integration
def test_a_generator_that_repeats_one_fresh_run_is_not_novel(digits_zoo):
    one = planted.invented(digits_zoo, 1).repeat(40, 1)
    noised = one + 1e-3 * torch.randn(one.shape, generator=seeded(0))
    result = small_audit(digits_zoo, noised, task=digits_zoo.task)
    verdicts = judge(result)
    assert verdicts.population.origin is Verdict.UNDECIDED
    assert any("repeat each other" in point for point in verdicts.population.would_decide)


def test_held_out_runs_that_are_nearly_training_runs_are_refused(digits_zoo):
    rounded = digits_zoo.population(digits_zoo.training.weights.half().float())
    with refused("leak", "64 held-out"):
        small_audit(digits_zoo, planted.invented(digits_zoo, 30), heldout=rounded)


def test_samples_given_as_held_out_runs_are_refused(digits_zoo):
    with refused("leak", "30 generated", "heldout-000"):
        small_audit(digits_zoo, digits_zoo.heldout.weights[:30])


@pytest.mark.integration
def test_held_out_runs_of_another_recipe_do_not_allow_novel(digits_zoo):
    other = digits_zoo.population(1.3 * digits_zoo.heldout.weights)
    samples = 1.3 * planted.invented(digits_zoo, 200)
    verdicts = judge(small_audit(digits_zoo, samples, heldout=other, task=digits_zoo.task))
    assert verdicts.population.origin is not Verdict.NOVEL
    assert any("same recipe" in point for point in verdicts.population.would_decide)


@pytest.mark.integration
def test_few_held_out_runs_still_see_a_checkpoint_that_is_too_far(digits_zoo):
    few = digits_zoo.heldout.select(slice(0, 40))
    samples = 1.5 * planted.invented(digits_zoo, 60)
    verdicts = judge(small_audit(digits_zoo, samples, heldout=few, task=digits_zoo.task))
    assert verdicts.counts()["novel"] < 6


@pytest.mark.integration
def test_parameters_in_another_order_are_put_in_order(digits_zoo):
    copies = planted.copies(digits_zoo, 20, rng=seeded(0))
    population = digits_zoo.population(copies)
    layout = WeightLayout(tuple(sorted(population.layout.shapes)))
    result = audit(
        digits_zoo.training,
        population.in_order_of(layout),
        heldout=digits_zoo.heldout,
        symmetry=digits_zoo.network.symmetry,
    )
    assert (result.generated.distance == 0).all()

"""Controls are what they say they are, and the right ones may veto."""

import math

import numpy as np
import pytest
import torch
from planted import audit
from tiny import ALIGNMENT, FIRST, NETWORK, D, drawn, move, named

from novelweights.auditing.controls.planting import (
    MIXTURE_NOISE,
    NOISES,
    NOT_ACCUSED,
    SHRINK,
    Plant,
    Planter,
)
from novelweights.auditing.judge.verdict import judge
from novelweights.metrics.alignment import aligned_to, pair_distances
from novelweights.metrics.frame import Frame
from novelweights.metrics.layers import Layers
from novelweights.metrics.neighbors import nearest
from novelweights.metrics.neurons import Neurons, neuron_places
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, Records

N = 40
SPACING = 3.0
VETO = {
    "copies",
    "copies_noise_0.1",
    "copies_permuted",
    "average_2",
    "heldout",
    "exchangeable",
}
"""DESIGN section 5."""
HONEST = {"heldout", "exchangeable"}
"""Runs of the recipe: of these there are as many as there are."""


@pytest.fixture
def training():
    """Networks with a frame in common, in which no neuron stands where it should."""
    base = 2 * drawn(1, 1)
    return move(base + 0.3 * drawn(20, 2), 3)


@pytest.fixture
def planter(training):
    return Planter(training, NETWORK.layout, ALIGNMENT, SPACING, 0)


def by_key(plants: list[Plant]) -> dict[str, Plant]:
    assert len({plant.key for plant in plants}) == len(plants)
    return {plant.key: plant for plant in plants}


def runs_with_steps(steps: tuple[int, ...], n_runs: int = 8, seed: int = 4) -> Population:
    """Fresh runs, every step of each: a step's weights are all equal to the step."""
    weights = torch.cat([step + 0.001 * drawn(n_runs, seed + step) for step in steps])
    runs = [f"fresh-{i}" for i in range(n_runs)] * len(steps)
    records = Records.of(runs, split="heldout", step=np.repeat(steps, n_runs).tolist())
    return Population(weights, NETWORK.layout, records)


def test_copies_are_training_checkpoints(planter, training):
    plant = planter.copies(N)
    assert plant.parents is not None
    assert torch.equal(plant.weights, training[torch.from_numpy(plant.parents[:, 0])])
    assert (nearest(plant.weights, training).distances == 0).all()
    assert set(plant.parents[:, 0].tolist()) == set(range(20))
    assert (plant.key, plant.can_veto, plant.noise) == ("copies", True, 0.0)


@pytest.mark.parametrize("noise", NOISES)
def test_a_rung_of_the_noise_ladder_lies_at_its_distance(planter, training, noise):
    plant = planter.copies(N, noise)
    assert plant.parents is not None
    lengths = pair_distances(plant.weights, training[torch.from_numpy(plant.parents[:, 0])])
    # of N * D squared Gaussians the mean has a relative deviation of sqrt(2 / ND), its root half
    four_deviations = 4 * math.sqrt(2 / (N * D)) / 2
    length = np.sqrt(np.mean(lengths**2))
    assert length == pytest.approx(noise * SPACING, rel=four_deviations)
    assert plant.noise == noise
    assert plant.can_veto is (noise == 0.1)


def test_moved_copies_lie_at_zero_only_when_aligned(planter, training):
    [plant] = planter.moved(N)
    parents = training[torch.from_numpy(plant.parents[:, 0])]
    assert (pair_distances(plant.weights, parents, alignment=ALIGNMENT) == 0).all()
    # one of 4! * 2^4 = 384 elements of the group moves nothing: 4 of 40 in one of 10^5 trials
    assert (pair_distances(plant.weights, parents) == 0).sum() < 4
    assert "sign-flipped" in plant.label
    assert plant.can_veto


@pytest.mark.parametrize("of", [2, 4, 16])
def test_averages_are_the_means_of_their_parents(planter, training, of):
    plants = by_key(planter.mixtures(N))
    plain, noised = plants[f"average_{of}"], plants[f"average_{of}_noise"]
    assert plain.parents is not None
    assert plain.parents.shape == (N, of)
    assert all(len(set(parents)) == of for parents in plain.parents.tolist())
    means = training.double()[torch.from_numpy(plain.parents)].mean(dim=1)
    np.testing.assert_allclose(plain.weights.numpy(), means.numpy(), atol=1e-6)
    lengths = pair_distances(noised.weights, plain.weights)
    four_deviations = 4 * math.sqrt(2 / (N * D)) / 2
    length = np.sqrt(np.mean(lengths**2))
    assert length == pytest.approx(MIXTURE_NOISE * SPACING, rel=four_deviations)
    assert {plant.key for plant in plants.values() if plant.can_veto} == {"average_2"}


@pytest.mark.integration
def test_an_aligned_average_of_two_lies_half_way_between_them(planter, training):
    mixed = by_key(planter.mixtures(N))["average_2_aligned"].weights
    m = len(training)
    near = nearest(mixed, training, k=m, alignment=ALIGNMENT)
    to_each = np.take_along_axis(near.distances, near.rows.argsort(axis=1), axis=1)
    i, j = np.triu_indices(m, 1)
    half = pair_distances(training[i], training[j], alignment=ALIGNMENT) / 2
    off = np.maximum(np.abs(to_each[:, i] - half), np.abs(to_each[:, j] - half))
    np.testing.assert_allclose(off.min(axis=1), 0, atol=1e-5)


@pytest.mark.parametrize("of", [2, 4, 16])
def test_aligned_averages_lie_nearer_than_plain_ones(planter, training, of):
    plants = by_key(planter.mixtures(N))
    plain, aligned = (
        nearest(plants[key].weights, training, alignment=ALIGNMENT).distances
        for key in (f"average_{of}", f"average_{of}_aligned")
    )
    # the training checkpoints lie around one network: aligned, all averages do too
    assert aligned.max() < plain.min()


def test_averages_of_all_training_checkpoints_are_left_out():
    """They would be one point."""
    for m, of in ((16, {2, 4}), (17, {2, 4, 16}), (4, {2}), (3, {2})):
        plants = Planter(drawn(m, 1), NETWORK.layout, None, SPACING, 0).mixtures(3)
        assert {plant.key for plant in plants} == {
            f"average_{k}{end}" for k in of for end in ("", "_noise")
        }


def test_every_layer_of_a_mosaic_is_that_of_another_run(planter, training):
    plants = by_key(planter.mosaics(N, None))
    assert set(plants) == {"mosaic", "mosaic_aligned"}
    layers = Layers.of(training, NETWORK.layout, None)
    found = layers.nearness(plants["mosaic"].weights)
    assert (found.distance == 0).all()
    assert (found.rows[:, 0] != found.rows[:, 1]).all()
    layers = Layers.of(training, NETWORK.layout, ALIGNMENT)
    found = layers.nearness(plants["mosaic_aligned"].weights)
    assert (found.distance == 0).all()
    assert (found.rows[:, 0] != found.rows[:, 1]).all()


def test_the_layers_of_an_aligned_mosaic_fit_together(planter, training):
    plants = by_key(planter.mosaics(N, None))
    plain, aligned = (
        nearest(plants[key].weights, training, alignment=ALIGNMENT).distances
        for key in ("mosaic", "mosaic_aligned")
    )
    assert np.median(aligned) < 0.5 * np.median(plain)


@pytest.mark.parametrize("aligned", [False, True])
def test_every_neuron_of_a_mosaic_of_neurons_is_that_of_one_of_several_runs(
    planter, training, aligned
):
    plant = by_key(planter.neuron_mosaics(N))[f"mosaic_neurons{'_aligned' * aligned}"]
    [places] = neuron_places(NETWORK.layout, ALIGNMENT)
    assert places.shape == (4, 5 + 1 + 3)
    near = nearest(plant.weights, training, alignment=ALIGNMENT if aligned else None)
    assert (near.distances > 0.1).mean() > 0.9
    copied = Neurons.of(Frame.of(training, ALIGNMENT), NETWORK.layout).nearness(
        Frame.of(training, ALIGNMENT).place(plant.weights)
    )
    np.testing.assert_allclose(copied.greatest, 0, atol=1e-6)


def test_one_layer_is_a_training_runs_and_the_rest_a_finished_fresh_runs(planter, training):
    fresh = runs_with_steps((10, 50, 100))
    plant = by_key(planter.mosaics(N, fresh))["one_layer"]
    ends = fresh.weights[16:]
    assert FIRST > D - FIRST  # the hidden layer is the largest
    hidden, out = plant.weights[:, :FIRST], plant.weights[:, FIRST:]
    assert (nearest(hidden.contiguous(), training[:, :FIRST].contiguous()).distances == 0).all()
    assert (nearest(out.contiguous(), ends[:, FIRST:].contiguous()).distances == 0).all()


def test_a_network_of_one_module_has_no_mosaics(training):
    layout = WeightLayout((("only.weight", (D - 3,)), ("only.bias", (3,))))
    assert Planter(training, layout, None, SPACING, 0).mosaics(N, None) == []


def test_component_gaussians_lie_in_the_span(planter, training):
    plants = by_key(planter.gaussians(N))
    for key, alignment in (
        ("gaussian_components", None),
        ("gaussian_components_aligned", ALIGNMENT),
    ):
        frame = Frame.of(training, alignment)
        around = plants[key].weights.double() - frame.center
        # float32 weights of size 5 at most round by 3e-7 each; the draws are 1 and more long
        assert frame.residual(around).max() < 1e-5
        assert around.norm(dim=1).min() > 0.1
        # along each component, the spread of the training checkpoints; N = 40 draws
        spread = (around @ frame.components.T).std(dim=0)
        expected = (frame.around @ frame.components.T).std(dim=0)
        five_deviations = 5 / math.sqrt(2 * (N - 1))
        np.testing.assert_allclose((spread / expected).numpy(), 1, atol=five_deviations)


def test_parameter_gaussians_have_the_moments_of_training(planter, training):
    plant = by_key(planter.gaussians(1000))["gaussian"]
    away = (plant.weights.mean(dim=0) - training.mean(dim=0)) / training.std(dim=0)
    assert away.abs().max() < 5 / math.sqrt(1000)
    ratio = plant.weights.std(dim=0) / training.std(dim=0)
    np.testing.assert_allclose(ratio.numpy(), 1, atol=5 / math.sqrt(2 * 999))


def test_decoys_are_finished_runs_shrunk_and_runs_stopped_early(planter):
    fresh = runs_with_steps((5, 30, 60, 61, 100))  # early: steps of 10 to 60 %
    plants = by_key(planter.decoys(N, fresh))
    assert set(plants) == {"shrunk", "early"}
    np.testing.assert_allclose(plants["shrunk"].weights.mean(dim=1).numpy(), 80, atol=0.01)
    ends = fresh.weights[32:]
    assert (nearest(plants["shrunk"].weights, SHRINK * ends).distances == 0).all()
    means = plants["early"].weights.mean(dim=1).numpy()
    assert set(np.round(means).tolist()) == {30.0, 60.0}
    assert all(plant.expected == NOT_ACCUSED for plant in plants.values())
    assert not any(plant.can_veto for plant in plants.values())


def test_decoys_need_steps_of_their_kind(planter):
    assert [p.key for p in planter.decoys(N, runs_with_steps((100,)))] == ["shrunk"]
    assert [p.key for p in planter.decoys(N, runs_with_steps((80, 100)))] == ["shrunk"]


def test_runs_whose_steps_are_unknown_can_be_shrunk_all_the_same(planter):
    fresh = named(drawn(8, 5), "heldout", step=0)
    [plant] = planter.decoys(N, fresh)
    assert plant.key == "shrunk"
    assert (nearest(plant.weights, SHRINK * fresh.weights).distances == 0).all()


def test_a_run_is_early_by_its_own_last_step(planter):
    """One that stopped at 30 of its own 30 steps is finished, though others went on to 100."""
    records = Records.of(["a", "a", "b"], split="heldout", step=[50, 100, 30])
    fresh = Population(
        torch.tensor([[50.0], [100.0], [30.0]]).expand(3, D).contiguous(), NETWORK.layout, records
    )
    plants = by_key(planter.decoys(N, fresh))
    assert set(plants["early"].weights.flatten().tolist()) == {50.0}
    assert set(plants["shrunk"].weights.flatten().round().tolist()) == {24.0, 80.0}


def test_controls_depend_on_the_seed_alone(training):
    fresh = runs_with_steps((30, 100))

    def planted(seed):
        plants = Planter(training, NETWORK.layout, ALIGNMENT, SPACING, seed).all(5, fresh)
        return by_key(plants)

    one, again, other = planted(1), planted(1), planted(2)
    assert all(torch.equal(plant.weights, again[key].weights) for key, plant in one.items())
    assert not any(torch.equal(plant.weights, other[key].weights) for key, plant in one.items())
    assert len({plant.weights.numpy().tobytes() for plant in one.values()}) == len(one)
    assert {plant.weights.shape for plant in one.values()} == {(5, D)}
    assert {plant.weights.dtype for plant in one.values()} == {torch.float32}


def test_aligned_averages_are_means_of_networks_with_the_parents_functions(planter, training):
    """A sixteen-fold average in one frame: each parent aligned to the first."""
    mixed = by_key(planter.mixtures(N))["average_16_aligned"].weights
    center = aligned_to(mixed[0], training, ALIGNMENT).mean(dim=0)
    # the mean of 16 of 20 checkpoints with deviation .3 lies about .3 sqrt(1/16 - 1/20) per weight
    # from that of all, give or take 1 / sqrt(2 D) of it
    expected = 0.3 * math.sqrt((1 / 16 - 1 / 20) * D)
    assert float((mixed[0] - center).norm()) < (1 + 4 / math.sqrt(2 * D)) * expected


# --- measured, on real digit classifiers -------------------------------------------------------


def controls_of(train, fresh, n=3, **options):
    """The controls of an audit and what it says of them."""
    given = {"symmetry": train.info.symmetry, **options}
    result = audit(train, fresh, n_controls=n, **given)
    return result.controls, {control.key: control for control in judge(result).controls}


def vetoes(controls):
    return {key for key, planted in controls.items() if planted.can_veto}


@pytest.fixture(scope="module")
def measured(digits_zoo):
    training, heldout = (
        population.select(slice(0, 24)) for population in (digits_zoo.training, digits_zoo.heldout)
    )
    samples = digits_zoo.population(digits_zoo.fresh.weights[:2])
    return controls_of(training, samples, n=20, heldout=heldout)


def test_only_the_controls_of_the_design_may_veto(measured):
    assert vetoes(measured[0]) == VETO


def test_what_may_veto_is_judged_rightly_on_a_real_zoo(measured):
    judged = measured[1]
    for key in VETO - HONEST:
        assert judged[key].right == judged[key].n == 20, key
    assert judged["exchangeable"].passed
    assert judged["heldout"].passed
    assert (judged["heldout"].n, measured[0]["heldout"].n_chance) == (12, 12)


def test_measured_controls_lie_where_they_were_planted(measured):
    controls, judged = measured
    assert (controls["copies"].measured.distance == 0).all()
    assert (controls["copies_permuted"].measured.distance == 0).all()
    assert (controls["copies_permuted"].measured.raw_distance > 1).all()
    assert (controls["copies_rescaled"].measured.distance > 0.5).all()  # disguised
    assert (controls["copies_rescaled"].measured.canonical_distance < 1e-4).all()
    assert judged["copies_rescaled"].right == 20
    for noise in NOISES:
        # the median of 20 lengths of 760 Gaussians: four deviations of a length, one over
        # sqrt(2 * 760), are 10 %; alignment can only bring them nearer
        assert judged[f"copies_noise_{noise:g}"].distance < 1.1 * noise
    near = [judged[f"copies_noise_{noise:g}"].distance for noise in NOISES]
    assert near == sorted(near)


# --- and on tiny networks ----------------------------------------------------------------------

TRAINING, HELDOUT = named(drawn(24, 11), "train"), named(drawn(24, 12), "heldout")


def tiny_controls(n=3, **options):
    samples = named(drawn(2, 13), "generated")
    return controls_of(TRAINING, samples, n, **{"heldout": HELDOUT, **options})


@pytest.mark.usefixtures("quick")
def test_without_a_symmetry_nothing_is_moved_or_aligned():
    controls, _ = tiny_controls(symmetry=None)
    assert vetoes(controls) == VETO - {"copies_permuted"}
    assert not any("moved" in key or "aligned" in key for key in controls)


@pytest.mark.integration
@pytest.mark.usefixtures("quick")
def test_without_held_out_runs_nothing_is_made_of_them_and_copies_are_seen():
    controls, judged = tiny_controls(n=20, heldout=None)
    assert vetoes(controls) == VETO - HONEST
    assert not {*HONEST, "shrunk", "early", "one_layer"} & set(controls)
    # a run is left out for each control: if it could be the copied one, of 60 copies 2.5 would be
    # missed, and none only in 8 of 100 trials
    for key in ("copies", "copies_noise_0.1", "copies_permuted"):
        assert judged[key].right == 20, key


@pytest.mark.usefixtures("quick")
def test_fewer_held_out_runs_than_a_verdict_needs_are_no_control():
    controls, _ = tiny_controls(n=2, heldout=HELDOUT.select(slice(0, 19)))
    assert "heldout" not in controls
    assert "shrunk" in controls
    controls, _ = tiny_controls(n=2, heldout=HELDOUT.select(slice(0, 20)))
    assert controls["heldout"].n_chance == 10


def test_training_runs_that_are_not_like_held_out_runs_withhold_the_verdict():
    """Copies of each other with noise, where held-out runs lie far from all of them."""
    families = drawn(8, 21).repeat(6, 1) + 0.42 * drawn(48, 22)
    samples, heldout = named(drawn(4, 24), "generated"), named(drawn(40, 23), "heldout")
    _, judged = controls_of(named(families, "train"), samples, 1, heldout=heldout)
    assert not judged["exchangeable"].passed
    assert judged["heldout"].passed


def test_no_controls_are_planted_where_none_are_wanted():
    assert tiny_controls(n=0)[0] == {}


@pytest.mark.usefixtures("quick")
def test_a_control_of_one_checkpoint_is_measured():
    controls, _ = tiny_controls(n=1)
    assert {len(planted.measured) for key, planted in controls.items() if key not in HONEST} == {1}

"""Running statistics count for what networks do, and for no distance."""

import math
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from planted import audit, seeded
from tiny import drawn
from tiny import named as named_mlps
from torch import nn

from novelweights.auditing.controls.baselines import GAUSSIAN, mixtures, noised
from novelweights.auditing.controls.planting import Planter
from novelweights.auditing.judge.planning import plan_for
from novelweights.auditing.judge.verdict import judge
from novelweights.auditing.lint.rows import Named
from novelweights.auditing.lint.runs import check_independence
from novelweights.auditing.measure.measurements import NearestIndex, like, measure
from novelweights.auditing.prepare import WITHOUT_STATISTICS
from novelweights.data.images import ImageData
from novelweights.metrics.alignment import Alignment, aligned_to, alignment_of_learned
from novelweights.tasks.classification import Classification
from novelweights.weights.continuous import Continuous, Normalization
from novelweights.weights.layout import WeightLayout
from novelweights.weights.perturb import statistics_within
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.symmetry import NeuronSymmetry, random_transform

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("any_behavior")]

NORM = ("norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")


@dataclass(frozen=True)
class NormalizedMLP:
    """5-4-3 networks whose hidden neurons are normalized by running statistics."""

    name: str = "normalized-5-4-3"
    inputs: int = 5
    classes: int = 3

    @property
    def layout(self) -> WeightLayout:
        shapes = dict.fromkeys(NORM, (4,))
        return WeightLayout(
            (("hidden.weight", (4, 5)), *shapes.items(), ("out.weight", (3, 4)), ("out.bias", (3,)))
        )

    @property
    def symmetry(self) -> NeuronSymmetry:
        axes = {"hidden.weight": ("h", None), **dict.fromkeys(NORM, ("h",))}
        axes |= {"out.weight": (None, "h"), "out.bias": (None,)}
        normalization = Normalization(("hidden.weight",), *NORM, 1e-5)
        return NeuronSymmetry(axes, continuous=Continuous(normalizations={"norm": normalization}))

    def initial(self, rng: torch.Generator) -> torch.Tensor:
        return torch.randn(self.layout.size, generator=rng)

    def module(self) -> nn.Module:
        layers = nn.Linear(5, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)
        names = "hidden", "norm", "relu", "out"
        return nn.Sequential(OrderedDict(zip(names, layers, strict=True)))

    def forward(self, weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        state = self.layout.unflatten(weights)
        hidden = torch.einsum("nhi,ei->neh", state["hidden.weight"], x)
        scale, shift, mean, variance = (state[name][:, None] for name in NORM)
        hidden = scale * (hidden - mean) * (variance + 1e-5).rsqrt() + shift
        out = torch.einsum("nch,neh->nec", state["out.weight"], hidden.relu())
        return out + state["out.bias"][:, None]


NETWORK = NormalizedMLP()
LAYOUT = NETWORK.layout
ALIGNMENT = Alignment(LAYOUT, NETWORK.symmetry)
LEARNED = LAYOUT.is_learned
SPACING = 2.0


def states(n: int, seed: int) -> torch.Tensor:
    """Random networks, as if trained independently, with statistics of their own."""
    rng = seeded(seed)
    weights = torch.randn(n, LAYOUT.size, generator=rng)
    return other_statistics(weights, seed + 1000)


def other_statistics(weights: torch.Tensor, seed: int, scale: float = 1.0) -> torch.Tensor:
    """The same parameters with other statistics, up to a thousand times as large."""
    rng = seeded(seed)
    drawn = scale * torch.rand(weights.shape, generator=rng).mul(math.log(1000)).exp()
    return torch.where(LEARNED, weights, drawn)


def named(weights: torch.Tensor, split: str) -> Population:
    records = Records.of([f"{split}-{i:03d}" for i in range(len(weights))], split=split, step=7)
    info = PopulationInfo("random", {}, NETWORK.name, NETWORK.symmetry, None)
    return Population(weights, LAYOUT, records, info)


def moved(weights: torch.Tensor, seed: int) -> torch.Tensor:
    return random_transform(weights, LAYOUT, NETWORK.symmetry, rng=seeded(seed))


def task() -> Classification:
    x = torch.randn(30, NETWORK.inputs, generator=seeded(100))
    y = NETWORK.forward(states(1, 101), x)[0].argmax(dim=1)
    data = ImageData("random", "drawn", "none", x, y, x, y, (5,))
    return Classification("random", NETWORK, data)


TRAIN = named(states(14, 1), "train")
TASK = task()
EITHER = pytest.mark.parametrize("alignment", [None, ALIGNMENT], ids=["plain", "aligned"])


@pytest.fixture
def planter() -> Planter:
    return Planter(TRAIN.weights, LAYOUT, ALIGNMENT, SPACING, 0)


# --- distances ---------------------------------------------------------------------------------


@EITHER
def test_no_measure_of_weights_but_the_canonical_form_sees_statistics(alignment):
    """Only behavior and what is folded into filters."""
    queries = torch.cat([states(3, 2), TRAIN.weights[:2] + 0.1 * states(2, 3)])
    found, other = (
        measure(
            "generated",
            like(TRAIN, other_statistics(queries, seed)),
            NearestIndex.of(replace(TRAIN, weights=trained), alignment, None),
        )
        for seed, trained in ((4, TRAIN.weights), (5, other_statistics(TRAIN.weights, 6)))
    )
    for name, value in vars(found).items():
        if isinstance(value, np.ndarray) and not name.startswith("canonical"):
            np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)
    with_behavior = measure(
        "generated", like(TRAIN, queries), NearestIndex.of(TRAIN, alignment, TASK)
    )
    quality = TASK.score(TASK.behave(like(TRAIN, queries)))
    np.testing.assert_array_equal(with_behavior.quality, quality.numpy())


@EITHER
def test_populations_that_differ_in_statistics_alone_have_no_distance(alignment):
    copies = like(TRAIN, other_statistics(TRAIN.weights, 7))
    found = measure("generated", copies, NearestIndex.of(TRAIN, alignment, None))
    assert (found.distance == 0).all()
    assert (found.raw_distance == 0).all()
    np.testing.assert_array_equal(found.neighbor_rows[:, 0], np.arange(14))


def test_permuted_copies_have_no_distance_in_any_form():
    queries = like(TRAIN, moved(TRAIN.weights, 8))
    found = measure("generated", queries, NearestIndex.of(TRAIN, ALIGNMENT, TASK))
    np.testing.assert_allclose(found.distance, 0, atol=1e-6)
    assert found.canonical_distance is not None
    np.testing.assert_allclose(found.canonical_distance, 0, atol=1e-5)
    assert (found.raw_distance > 1).any()
    assert (found.overlap == 1).all()  # their statistics moved along


def test_layers_are_those_of_what_was_learned():
    layers = NearestIndex.of(TRAIN, ALIGNMENT, None).layers
    assert layers is not None
    assert sum(len(part.columns) for part in layers.parts) == LAYOUT.learned.size
    assert "norm" in layers.names


def test_without_statistics_nothing_is_copied():
    train = named_mlps(drawn(4, 1), "train")
    assert train.learned is train.weights
    assert train.layout.learned is train.layout
    assert train.layout.is_learned.all()
    alignment = Alignment.of(train.layout, train.info.symmetry)
    assert alignment is not None
    assert NearestIndex.of(train, alignment, None).alignment is alignment
    assert alignment_of_learned(train.layout, None) is None
    assert statistics_within(train.weights, train.weights[:1], train.layout) is train.weights


# --- controls and baselines --------------------------------------------------------------------


def test_noise_leaves_statistics_as_they_are(planter):
    plant = planter.copies(200, 0.5)
    parents = TRAIN.weights[torch.from_numpy(plant.parents[:, 0])]
    noise = plant.weights - parents
    assert (noise[:, ~LEARNED] == 0).all()
    length = float(noise.double().square().sum(dim=1).mean().sqrt())
    # of 200 * d squared Gaussians the mean deviates by sqrt(2 / 200d), its root by half of it
    assert length == pytest.approx(
        0.5 * SPACING, rel=4 * math.sqrt(2 / (200 * LAYOUT.learned.size)) / 2
    )
    baseline = noised(TRAIN, 20, 3.0, seed=0).weights
    rows = {row[~LEARNED].numpy().tobytes() for row in TRAIN.weights}
    assert {row[~LEARNED].numpy().tobytes() for row in baseline} == rows


def test_the_network_is_that_of_its_module():
    module = NETWORK.module().eval()
    x = TASK.data.test_x
    module.load_state_dict(LAYOUT.unflatten(TRAIN.weights[0]), strict=False)
    with torch.no_grad():
        torch.testing.assert_close(module(x), NETWORK.forward(TRAIN.weights[:1], x)[0])


def test_moved_copies_do_what_they_are_copies_of(planter):
    x = TASK.data.test_x
    for plant in (*planter.moved(20), *planter.rescaled(20)):
        parents = TRAIN.weights[torch.from_numpy(plant.parents[:, 0])]
        expected = NETWORK.forward(parents, x)
        torch.testing.assert_close(
            NETWORK.forward(plant.weights, x), expected, rtol=1e-3, atol=1e-3
        )
        assert (plant.weights[:, ~LEARNED] != parents[:, ~LEARNED]).any()


def test_parts_of_mixtures_are_matched_by_what_was_learned(planter):
    targets, others = states(6, 9), states(6, 10)
    placed = planter._each_to(targets, others)
    learned = alignment_of_learned(LAYOUT, NETWORK.symmetry)
    assert learned is not None
    for target, other, row in zip(targets, others, placed, strict=True):
        alone = aligned_to(target[LEARNED], other[None, LEARNED], learned)[0]
        assert torch.equal(row[LEARNED], alone)
        assert torch.equal(row[~LEARNED].abs().sort().values, other[~LEARNED].abs().sort().values)


def test_drawn_statistics_lie_among_those_of_training(planter):
    low, high = TRAIN.weights.amin(dim=0), TRAIN.weights.amax(dim=0)
    drawn = [plant.weights for plant in planter.gaussians(50)]
    drawn.append(mixtures(TRAIN.weights, LAYOUT, 50, seed=0)[GAUSSIAN])
    for weights in drawn:
        statistics = weights[:, ~LEARNED]
        assert (statistics >= low[~LEARNED]).all()
        assert (statistics <= high[~LEARNED]).all()
    assert (drawn[0] < low)[:, LEARNED].any()


# --- whole audits ------------------------------------------------------------------------------


def test_copies_with_wild_statistics_are_replicas_and_fresh_networks_are_not():
    heldout = named(states(40, 11), "heldout")
    copies = other_statistics(moved(TRAIN.weights[:5], 12), 13, scale=100)
    generated = named(torch.cat([copies, states(5, 14)]), "generated")
    result = audit(TRAIN, generated, heldout=heldout, symmetry=NETWORK.symmetry, n_controls=4)
    origins = [str(one.origin) for one in judge(result).checkpoints]
    assert origins[:5] == ["replica"] * 5
    assert "replica" not in origins[5:]
    assert result.distance.name.startswith(WITHOUT_STATISTICS)
    assert result.heldout is not None
    for key in ("copies", "copies_permuted", "copies_noise_0.1"):
        planted = result.controls[key].measured.distance
        assert (planted < 0.2 * np.median(result.heldout.distance)).all()


def test_an_audit_with_a_task_runs_whole_networks():
    heldout = named(states(12, 11), "heldout")
    generated = named(torch.cat([moved(TRAIN.weights[:3], 12), states(3, 14)]), "generated")
    result = audit(
        TRAIN, generated, heldout=heldout, task=TASK, symmetry=NETWORK.symmetry, n_controls=2
    )
    assert result.generated.overlap is not None
    assert (result.generated.overlap[:3] == 1).all()
    np.testing.assert_array_equal(result.training.quality, TASK.score(TASK.behave(TRAIN)).numpy())


def test_plans_and_lint_look_at_what_was_learned():
    """Twins with other statistics are one network, to both."""
    twins = torch.cat([TRAIN.weights, other_statistics(moved(TRAIN.weights[:1], 15), 16)])
    population = named(torch.cat([twins, other_statistics(TRAIN.weights[1:2], 17)]), "train")
    assert any("15 independent runs" in note for note in plan_for(population, 5, 5).notes)
    told = " ".join(found.what for found in check_independence(Named.rows_of(population)))
    assert "nearly equal" in told
    assert "neurons in another order" in told

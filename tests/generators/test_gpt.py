"""G.pt: published sizes and settings, pairs, conditioning, and a fit that learns."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from methods import RUNS, STEPS, fit, fitted, known, seeded, smoke, trajectories
from refused import refused
from scipy.stats import chisquare

from novelweights.generators import gpt, make_generator
from novelweights.generators.gpt import SCALES, FittedGPt, GPt
from novelweights.generators.parts.fitted import parameter_count
from novelweights.generators.parts.gap import final_gap
from novelweights.generators.parts.training import Workspace
from novelweights.generators.parts.trajectories import Trajectories
from novelweights.generators.parts.transformer import SCALAR_FEATURES, tokens_of_parameters
from novelweights.networks.mlp import MNIST_MLP
from novelweights.weights.population import Population, Records


def starts_of(population):
    return population.select(population.records.step == 0)


def pairs_of(population, n):
    return Trajectories.of(population, "test_loss", "training").draw_pairs(n, seeded(0))


# -- published numbers --------------------------------------------------------------------------


def published(settings):
    """The denoiser of the paper's target network."""
    return settings.network(settings.cut(MNIST_MLP.layout, MNIST_MLP.symmetry))


@pytest.mark.parametrize(
    ("variant", "millions"),
    [
        (None, 378.283008),
        ("wider", 579.0),
        ("narrower", 220.0),
        ("deeper", 604.9),
        ("shallower", 208.3),
    ],
)
def test_it_has_the_published_size(variant, millions):
    # Source: paper, Table 1, with the widths of the variants recovered from the counts
    with torch.device("meta"):
        network = published(make_generator("g-pt", "paper", variant=variant))
    assert round(parameter_count(network) / 1e6, 1 if variant else 6) == millions


def test_shapes_at_the_published_size():
    assert MNIST_MLP.layout.size == 7960
    cut = tokens_of_parameters(MNIST_MLP.layout, 1000)
    assert cut.sizes == (*[1000] * 7, 840, 10, 100, 10)
    with torch.device("meta"):
        network = published(GPt())
        assert len(network.inputs) == 26
        assert [layer.in_features for layer in network.inputs[-4:]] == [SCALAR_FEATURES] * 4
        tokens = [torch.empty(3, layer.in_features) for layer in network.inputs]
        assert network(tokens).shape == (3, 7960)


def test_the_paper_scale_is_the_published_setting():
    paper = SCALES["paper"]
    assert paper == GPt()
    assert (paper.timesteps, paper.sampling_steps, paper.chunk) == (1000, 1000, 1000)
    assert (paper.batch_size, paper.learning_rate, paper.weight_decay) == (1024, 4e-4, 0.1)
    assert (paper.gradient_clip, paper.ema_decay, paper.weight_scale) == (0.75, 0.9999, 4.185)
    assert paper.steps == 2000 * (10228 * (100_800 // 10228) // 1024)
    assert (paper.prompt, paper.recursions, paper.permute) == (0.0, 1, True)
    rates = paper.training_settings()
    assert rates.decay_linear_only
    assert rates.rate_at(0) == 0
    assert rates.rate_at(445) == pytest.approx(4e-4)
    assert rates.rate_at(paper.steps - 1) < 1e-9


@pytest.mark.slow
def test_one_step_at_the_published_size_is_finite():
    """378 million parameters: forward, backward, clip and AdamW, for real (about 7 GB)."""
    torch.manual_seed(0)
    rng = seeded(1)
    weights = torch.stack([MNIST_MLP.initial(rng) for _ in range(4)])
    records = Records.of(
        ["a", "a", "b", "b"], split="train", step=[0, 9, 0, 9], scores={"test_loss": [2.3, 1.0] * 2}
    )
    population = Population(weights, MNIST_MLP.layout, records)
    losses = []
    paper = replace(GPt(), steps=1, batch_size=2, warmup_steps=0, ema_decay=0.0, sampling_steps=1)
    workspace = Workspace(progress=lambda step, of, loss: losses.append(loss))
    made = paper.fit(population, rng=seeded(2), workspace=workspace)
    assert made.parameters == 378_283_008
    assert len(losses) == 1
    assert all(math.isfinite(loss) for loss in losses)
    assert all(parameter.isfinite().all() for parameter in made.network.parameters())
    sample = made.sample(1, rng=seeded(3), start=population)
    assert sample.weights.shape == (1, 7960)
    assert sample.weights.isfinite().all()


# -- pairs --------------------------------------------------------------------------------------


def test_pairs_are_of_one_run_in_order_of_their_steps_and_uniform():
    records, n = trajectories().records, 30_000
    start, target = pairs_of(trajectories(), n)
    assert (records.run[start] == records.run[target]).all()
    assert (records.step[start] < records.step[target]).all()
    _, counts = np.unique(records.run[start], return_counts=True)
    assert chisquare(counts).pvalue > 0.001
    begin, spacing = records.step[start] // 10, (records.step[target] - records.step[start]) // 10
    for s in (1, 2, 3):
        places = np.bincount(begin[spacing == s], minlength=STEPS - s)
        assert len(places) == STEPS - s
        assert s == 3 or chisquare(places).pvalue > 0.001  # at spacing 3 there is one place only
    assert chisquare(np.bincount(spacing, minlength=4)[1:]).pvalue > 0.001


def test_runs_may_have_different_lengths():
    population = trajectories()
    is_first = population.records.run == "train-0"
    population = population.select(~is_first | (population.records.step < 20))
    runs = Trajectories.of(population, "test_loss", "training")
    assert sorted(runs.lengths.tolist()) == [2, 4, 4, 4, 4]
    start, target = runs.draw_pairs(500, seeded(0))
    assert (population.records.run[start] == population.records.run[target]).all()
    first, last = runs.ends()
    assert set(population.records.step[first]) == {0}
    assert sorted(population.records.step[last]) == [10, 30, 30, 30, 30]


def test_what_cannot_be_paired_is_refused(make_population):
    population = trajectories()
    is_fourth = population.records.run == "train-3"
    single = population.select(~is_fourth | (population.records.step == 30))
    with refused("too-few", "1 of 5", "train-3"):
        fit("g-pt", single)
    with refused("too-few", "held-out", "1 of 5"):
        fit("g-pt", watch=single)
    with refused("wrong-records", "test_loss", "test_accuracy"):
        fit("g-pt", make_population(4))
    scores = {"test_loss": np.where(np.arange(len(population)) == 7, np.nan, 1.0)}
    with refused("wrong-records", "1 of 20", "row 7"):
        fit("g-pt", replace(population, records=replace(population.records, scores=scores)))
    with refused("wrong-records", "no_such_score"):
        fit("g-pt", metric="no_such_score")


# -- what the network is given ------------------------------------------------------------------


class Listening(torch.nn.Module):
    """Keeps what it is given and changes nothing."""

    def __init__(self, layout):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.size = layout.size

    def forward(self, tokens):
        self.tokens = tokens
        return 0 * self.weight + torch.zeros(len(tokens[0]), self.size)


def test_the_network_gets_weights_timestep_and_losses_in_the_published_order():
    population = trajectories()
    network = Listening(population.layout)
    noised, start = population.weights[:3], population.weights[3:6]
    t = torch.tensor([0, 7, 49])
    start_loss, target_loss = torch.tensor([2.0, 1.5, 1.0]), torch.tensor([0.5, 0.25, 0.0])
    answer = replace(fitted("g-pt"), network=network).denoise(
        noised, t, start, start_loss, target_loss
    )
    assert torch.equal(answer, start)  # a network that says nothing changes nothing
    n = len(fitted("g-pt").cut.sizes)
    assert torch.equal(torch.cat(network.tokens[:n], dim=1), noised)
    assert torch.equal(torch.cat(network.tokens[n : 2 * n], dim=1), start)
    scalars = network.tokens[2 * n :]
    expected = (t.float(), target_loss - start_loss, target_loss, start_loss)
    for features, scalar in zip(scalars, expected, strict=True):
        assert features.shape == (3, 257)
        assert torch.equal(features[:, -1], scalar)


def test_before_training_a_sample_is_its_start():
    untrained = fit("g-pt", steps=1, learning_rate=0.0)
    start = starts_of(trajectories())
    made = untrained.sample(5, rng=seeded(1), start=start)
    # the last of 10 steps adds nothing; weights are scaled and back: a few roundings of float32
    assert torch.allclose(made.weights, start.weights, atol=1e-5)


def test_both_weight_vectors_of_a_pair_are_reordered_in_the_same_way(monkeypatch):
    first = starts_of(trajectories())
    records = Records.of(
        list(first.records.run), split="train", step=1, scores={"test_loss": [0.1] * RUNS}
    )
    population = replace(  # every run ends at three times its initialization
        first,
        weights=torch.cat([first.weights, 3 * first.weights]),
        records=Records.join([first.records, records]),
    )
    seen = []

    def listen(self, noised, t, start, start_loss, target_loss):
        seen.append((start, noised))
        return start + sum(parameter.sum() for parameter in self.network.parameters())

    monkeypatch.setattr(FittedGPt, "denoise", listen)
    for permute in (True, False):
        seen.clear()
        once = {"steps": 1, "weight_scale": 1.0, "timesteps": 1, "sampling_steps": 1}
        fit("g-pt", population, permute=permute, **once)
        [(start, noised)] = seen
        same = (start[:, None] == first.weights[None]).all(dim=2).any(dim=1)
        assert bool(same.all()) is not permute
        assert torch.allclose(noised, 3 * start, atol=0.06)  # noise of .01 at timestep 0
        sizes = [weights.abs().sort(dim=1).values for weights in (start, first.weights)]
        assert (sizes[0][:, None] == sizes[1][None]).all(dim=2).any(dim=1).all()


# -- fitting and sampling -----------------------------------------------------------------------


@pytest.mark.integration
@pytest.mark.parametrize("tokens", ["parameters", "neurons"])
def test_it_learns_where_its_runs_end(tokens):
    """One run: prompted with its last loss at its first checkpoint, it gives its last one."""
    population = trajectories()
    population = population.select(population.records.run == "train-2")
    learned = fit(
        "g-pt",
        population,
        width=64,
        layers=2,
        heads=4,
        steps=500,
        batch_size=32,
        learning_rate=2e-3,
        permute=False,
        tokens=tokens,
    )
    steps, losses = population.records.step, population.records.scores["test_loss"]
    start, last = population.select(steps == 0), population.weights[steps == 30]
    middle = population.weights[steps == 10]

    def prompted(step):
        prompts = torch.full((4,), float(losses[steps == step][0]))
        return learned.sample(4, rng=seeded(1), start=start, prompts=prompts).weights

    spacing = (start.weights - last).norm()
    assert ((prompted(30) - last).norm(dim=1) < 0.3 * spacing).all()
    made = prompted(10)
    assert ((made - middle).norm(dim=1) < (made - last).norm(dim=1)).all()


@pytest.mark.integration
def test_memorization_opens_its_gap():
    training, heldout = trajectories(), trajectories(9, "heldout")
    settings = {"width": 64, "layers": 2, "heads": 4, "steps": 300, "batch_size": 32}
    memorized = fit("g-pt", learning_rate=2e-3, permute=False, **settings)
    for level in final_gap(memorized, training, heldout).levels:
        assert level.loss_train < 0.7 * level.loss_heldout
        assert level.difference[1] > 0


def test_samples_begin_from_each_start_in_turn_and_in_blocks(monkeypatch):
    start, steps = starts_of(trajectories()), []
    whole = fitted("g-pt").sample(7, rng=seeded(2), start=start)
    assert len(set(whole.records.run)) == 7  # starts are used again, each sample is its own
    monkeypatch.setattr(gpt, "SAMPLES_AT_ONCE", 3)
    blocks = fitted("g-pt").sample(
        7, rng=seeded(2), start=start, progress=lambda *now: steps.append(now)
    )
    assert steps == [(i + 1, 30) for i in range(30)]
    assert blocks.weights.shape == whole.weights.shape
    assert blocks.records.scores["start_row"].tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert blocks.info.settings["start"]["checkpoints"] == RUNS
    alone = fitted("g-pt").sample(3, rng=seeded(2), start=start)
    assert torch.equal(blocks.weights[:3], alone.weights)


def test_it_needs_a_start_with_losses(make_population):
    start, generator = starts_of(trajectories()), fitted("g-pt")
    with refused("wrong-option", "--start"):
        generator.sample(2, rng=seeded(2))
    with refused("wrong-records", "start", "test_loss"):
        generator.sample(2, rng=seeded(2), start=make_population(3))
    with refused("not-finite", "start"):
        generator.sample(2, rng=seeded(2), start=replace(start, weights=start.weights * math.nan))
    with refused("too-few", "start"):
        generator.sample(2, rng=seeded(2), start=start.select(slice(0)))


def test_passes_go_on_from_the_last_with_the_same_prompt():
    calls = []

    class AddsOne(FittedGPt):
        def denoise(self, noised, t, start, start_loss, target_loss):
            calls.append((float(start_loss[0]), float(target_loss[0])))
            return start + 1.0

    settings = smoke("g-pt", recursions=3, prompt=0.25, sampling_steps=1)
    generator = AddsOne(**{**vars(fitted("g-pt")), "settings": settings})
    start = starts_of(known("g-pt")).select([0])
    first = float(start.records.scores["test_loss"][0])
    made = generator.sample(1, rng=seeded(2), start=start)
    assert [prompt for _, prompt in calls] == [0.25] * 3
    assert [begun for begun, _ in calls] == pytest.approx([first, 0.25, 0.25])
    expected = start.weights + 3 / generator.scale  # each pass begins where the last one ended
    assert torch.allclose(made.weights, expected, atol=1e-5)
    calls.clear()

    def measure(made):
        return torch.full((len(made),), 1.25)

    generator.sample(1, rng=seeded(2), start=start, measure=measure)
    assert [begun for begun, _ in calls] == pytest.approx([first, 1.25, 1.25])

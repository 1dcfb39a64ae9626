"""G.pt: published sizes and settings, pairs, conditioning, and a fit that learns."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from novelweights.errors import InputError
from novelweights.generators import gpt
from novelweights.generators.generator import FittedGenerator, WeightGenerator
from novelweights.generators.gpt import SCALES, GPt
from novelweights.generators.parts.gap import HasLoss
from novelweights.generators.parts.training import Workspace
from novelweights.generators.parts.trajectories import Trajectories
from novelweights.generators.parts.transformer import (
    SCALAR_FEATURES,
    parameter_count,
    token_sizes,
)
from novelweights.networks.mlp import MNIST_MLP
from novelweights.weights.population import Population, Records

QUICK = GPt(
    width=16,
    layers=1,
    heads=4,
    chunk=6,
    timesteps=50,
    weight_scale=0.0,
    steps=40,
    batch_size=32,
    learning_rate=2e-3,
    warmup_steps=2,
    ema_decay=0.9,
    sampling_steps=10,
)
RUNS, STEPS = 5, 4


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def trajectories(make_population):
    """RUNS runs of STEPS checkpoints, rows shuffled; losses fall along each run."""

    def make(*, seed=0, split="train"):
        many = make_population(RUNS * STEPS, seed=seed)
        run, step = np.divmod(np.arange(RUNS * STEPS), STEPS)
        records = Records.of(
            [f"{split}-{r}" for r in run],
            split=split,
            step=(10 * step).tolist(),
            scores={"test_loss": (2.0 - 0.4 * step + 0.01 * run).tolist()},
        )
        order = np.random.default_rng(seed).permutation(len(many))
        return replace(many, records=records).select(order)

    return make


def starts_of(population):
    return population.select(population.records.step == 0)


# -- published numbers --------------------------------------------------------------------------


def published(settings):
    """The denoiser of the paper's target network."""
    return settings.network(settings.cut(MNIST_MLP.layout, MNIST_MLP.symmetry))


def g_pt_size(**settings):
    with torch.device("meta"):
        return parameter_count(published(GPt(**settings)))


def test_it_has_the_published_size():
    assert MNIST_MLP.layout.size == 7960
    assert token_sizes(MNIST_MLP.layout, 1000) == (*[1000] * 7, 840, 10, 100, 10)
    assert g_pt_size() == 378_283_008  # Source: paper, Table 1 (378M)


@pytest.mark.parametrize(
    ("settings", "millions"),
    [
        ({"width": 1920, "heads": 20}, 579.0),
        ({"width": 1152, "heads": 12}, 220.0),
        ({"layers": 20}, 604.9),
        ({"layers": 6}, 208.3),
    ],
)
def test_the_variants_have_theirs(settings, millions):
    # Source: paper, Table 1, with the widths recovered from the counts
    assert round(g_pt_size(**settings) / 1e6, 1) == millions


def test_shapes_at_the_published_size():
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
    fitted = paper.fit(population, rng=seeded(2), workspace=workspace)
    assert fitted.parameters == 378_283_008
    assert len(losses) == 1
    assert all(math.isfinite(loss) for loss in losses)
    assert all(parameter.isfinite().all() for parameter in fitted.network.parameters())
    sample = fitted.sample(1, rng=seeded(3), start=population)
    assert sample.weights.shape == (1, 7960)
    assert sample.weights.isfinite().all()


# -- pairs --------------------------------------------------------------------------------------


def test_pairs_are_of_one_run_in_order_of_their_steps(trajectories):
    population = trajectories()
    records = population.records
    start, target = Trajectories.of(population, "test_loss", "training").draw_pairs(2000, seeded(0))
    assert (records.run[start] == records.run[target]).all()
    assert (records.step[start] < records.step[target]).all()


def test_runs_spacings_and_places_are_uniform(trajectories):
    population = trajectories()
    records, n = population.records, 30_000
    start, target = Trajectories.of(population, "test_loss", "training").draw_pairs(n, seeded(0))
    _, counts = np.unique(records.run[start], return_counts=True)
    assert chisquare(counts).pvalue > 0.001
    begin, spacing = records.step[start] // 10, (records.step[target] - records.step[start]) // 10
    for s in (1, 2, 3):
        places = np.bincount(begin[spacing == s], minlength=STEPS - s)
        assert len(places) == STEPS - s
        assert s == 3 or chisquare(places).pvalue > 0.001  # at spacing 3 there is one place only
    assert chisquare(np.bincount(spacing, minlength=4)[1:]).pvalue > 0.001


def test_runs_may_have_different_lengths(trajectories):
    population = trajectories()
    first_run = population.records.run == "train-0"
    population = population.select(~first_run | (population.records.step < 20))
    found = Trajectories.of(population, "test_loss", "training")
    assert sorted(found.lengths.tolist()) == [2, 4, 4, 4, 4]
    start, target = found.draw_pairs(500, seeded(0))
    assert (population.records.run[start] == population.records.run[target]).all()
    first, last = found.ends()
    assert set(population.records.step[first]) == {0}
    assert sorted(population.records.step[last]) == [10, 30, 30, 30, 30]


def test_what_cannot_be_paired_is_refused(trajectories, make_population):
    population = trajectories()
    alone = population.records.run == "train-3"
    with pytest.raises(InputError, match=r"1 of 5 runs have one only \(first: train-3\)"):
        QUICK.fit(population.select(~alone | (population.records.step == 30)), rng=seeded(0))
    with pytest.raises(InputError, match=r"expected the score test_loss .* got test_accuracy"):
        QUICK.fit(make_population(4), rng=seeded(0))
    scores = {"test_loss": np.where(np.arange(len(population)) == 7, np.nan, 1.0)}
    broken = replace(population, records=replace(population.records, scores=scores))
    with pytest.raises(InputError, match=r"missing or infinite in 1 of 20 .*row 7"):
        QUICK.fit(broken, rng=seeded(0))
    with pytest.raises(InputError, match="no_such_score"):
        replace(QUICK, metric="no_such_score").fit(population, rng=seeded(0))


# -- what the network is told -------------------------------------------------------------------


class Listening(torch.nn.Module):
    """Keeps what it is told and changes nothing."""

    def __init__(self, layout):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.size = layout.size

    def forward(self, tokens):
        self.told = tokens
        return 0 * self.weight + torch.zeros(len(tokens[0]), self.size)


def test_the_network_is_told_weights_timestep_and_losses_in_the_published_order(trajectories):
    population = trajectories()
    layout = population.layout
    network = Listening(layout)
    noised, start = population.weights[:3], population.weights[3:6]
    t = torch.tensor([0, 7, 49])
    start_loss, target_loss = torch.tensor([2.0, 1.5, 1.0]), torch.tensor([0.5, 0.25, 0.0])
    cut = QUICK.cut(layout, population.info.symmetry)
    answer = QUICK.denoise(network, noised, t, start, start_loss, target_loss, cut)
    assert torch.equal(answer, start)  # a network that says nothing changes nothing
    n = len(token_sizes(layout, 6))
    assert torch.equal(torch.cat(network.told[:n], dim=1), noised)
    assert torch.equal(torch.cat(network.told[n : 2 * n], dim=1), start)
    raw = [features[:, -1] for features in network.told[2 * n :]]
    assert torch.equal(raw[0], t.float())
    assert torch.equal(raw[1], target_loss - start_loss)
    assert torch.equal(raw[2], target_loss)
    assert torch.equal(raw[3], start_loss)
    assert all(features.shape == (3, 257) for features in network.told[2 * n :])


def test_before_training_a_sample_is_its_start(trajectories):
    population = trajectories()
    untrained = replace(QUICK, steps=1, learning_rate=0.0).fit(population, rng=seeded(0))
    start = starts_of(population)
    made = untrained.sample(5, rng=seeded(1), start=start)
    assert torch.allclose(made.weights, start.weights, atol=1e-5)


def test_both_weight_vectors_of_a_pair_are_reordered_in_the_same_way(trajectories, monkeypatch):
    population = trajectories()
    first = starts_of(population)
    records = Records.of(
        list(first.records.run), split="train", step=1, scores={"test_loss": [0.1] * RUNS}
    )
    population = replace(  # every run ends at three times its initialization
        population,
        weights=torch.cat([first.weights, 3 * first.weights]),
        records=Records.join([first.records, records]),
    )
    seen = []

    def listen(self, network, noised, t, start, start_loss, target_loss, layout):
        seen.append((start, noised))
        return start + sum(parameter.sum() for parameter in network.parameters())

    monkeypatch.setattr(GPt, "denoise", listen)
    for permute in (True, False):
        seen.clear()
        settings = replace(
            QUICK, steps=1, permute=permute, weight_scale=1.0, timesteps=1, sampling_steps=1
        )
        settings.fit(population, rng=seeded(0))
        [(start, noised)] = seen
        same = (start[:, None] == first.weights[None]).all(dim=2).any(dim=1)
        assert bool(same.all()) is not permute
        assert torch.allclose(noised, 3 * start, atol=0.06)  # noise of .01 at timestep 0
        sizes = [weights.abs().sort(dim=1).values for weights in (start, first.weights)]
        assert (sizes[0][:, None] == sizes[1][None]).all(dim=2).any(dim=1).all()


# -- fitting and sampling -----------------------------------------------------------------------


@pytest.mark.parametrize("tokens", ["parameters", "neurons"])
def test_it_learns_where_its_runs_end(trajectories, tokens):
    """One run: asked for its last loss from its first checkpoint, it gives its last checkpoint."""
    population = trajectories()
    population = population.select(population.records.run == "train-2")
    settings = replace(QUICK, width=64, layers=2, steps=600, permute=False, tokens=tokens)
    fitted = settings.fit(population, rng=seeded(0))
    steps = population.records.step
    start, last = population.select(steps == 0), population.weights[steps == 30]
    prompts = torch.full((4,), float(population.records.scores["test_loss"][steps == 30][0]))
    made = fitted.sample(4, rng=seeded(1), start=start, prompts=prompts)
    error = (made.weights - last).norm(dim=1)
    assert (error < 0.3 * (start.weights - last).norm()).all()
    middle = population.weights[steps == 10]
    prompts = torch.full((4,), float(population.records.scores["test_loss"][steps == 10][0]))
    made = fitted.sample(4, rng=seeded(1), start=start, prompts=prompts)
    assert ((made.weights - middle).norm(dim=1) < (made.weights - last).norm(dim=1)).all()


def test_samples_are_a_population_of_the_same_networks(trajectories):
    training = trajectories()
    fitted = QUICK.fit(training, rng=seeded(1))
    told = []
    start = starts_of(training)
    made = fitted.sample(7, rng=seeded(2), start=start, progress=lambda *now: told.append(now))
    assert told[-1] == (10, 10)
    assert made.layout == training.layout
    assert len(set(made.records.run)) == 7  # starts are used again, each sample is its own
    assert made.info.recipe == "g-pt"
    assert made.info.settings["prompt"] == 0.0
    assert fitted.as_reference(training) is training
    assert isinstance(fitted, FittedGenerator)
    assert isinstance(fitted, HasLoss)
    assert isinstance(QUICK, WeightGenerator)
    assert len(fitted.sample(0, rng=seeded(2), start=start)) == 0
    again = fitted.sample(7, rng=seeded(2), start=start)
    assert torch.equal(made.weights, again.weights)


def test_it_needs_a_start_with_losses(trajectories, make_population):
    training = trajectories()
    fitted = QUICK.fit(training, rng=seeded(1))
    with pytest.raises(InputError, match="add --start DIR"):
        fitted.sample(2, rng=seeded(2))
    with pytest.raises(InputError, match="start: expected the score test_loss"):
        fitted.sample(2, rng=seeded(2), start=make_population(3))
    start = starts_of(training)
    nan = replace(start, weights=start.weights * math.nan)
    with pytest.raises(InputError, match="NaN"):
        fitted.sample(2, rng=seeded(2), start=nan)
    with pytest.raises(InputError, match="at least 1"):
        fitted.sample(2, rng=seeded(2), start=start.select(slice(0)))


def test_passes_go_on_from_the_last_and_ask_for_the_same(trajectories):
    training = trajectories()
    fitted = QUICK.fit(training, rng=seeded(1))
    told = []

    class Told(GPt):
        def denoise(self, network, noised, t, start, start_loss, target_loss, layout):
            told.append((float(start_loss[0]), float(target_loss[0]), start.clone()))
            return start + 1.0

    settings = Told(**{**vars(QUICK), "recursions": 3, "prompt": 0.25, "sampling_steps": 1})
    fitted = replace(fitted, settings=settings)
    start = starts_of(training).select([0])
    first = float(start.records.scores["test_loss"][0])
    made = fitted.sample(1, rng=seeded(2), start=start)
    assert [asked for _, asked, _ in told] == [0.25] * 3
    assert [begun for begun, _, _ in told] == pytest.approx([first, 0.25, 0.25])
    expected = start.weights + 3 / fitted.scale  # each pass begins where the last one ended
    assert torch.allclose(made.weights, expected, atol=1e-5)
    told.clear()
    fitted.sample(
        1, rng=seeded(2), start=start, measure=lambda made: torch.full((len(made),), 1.25)
    )
    assert [begun for begun, _, _ in told] == pytest.approx([first, 1.25, 1.25])


def test_many_samples_are_made_in_blocks_that_change_only_the_noise(trajectories, monkeypatch):
    training = trajectories()
    fitted = QUICK.fit(training, rng=seeded(1))
    start, told = starts_of(training), []
    whole = fitted.sample(7, rng=seeded(2), start=start)
    monkeypatch.setattr(gpt, "SAMPLES_AT_ONCE", 3)
    blocks = fitted.sample(7, rng=seeded(2), start=start, progress=lambda *now: told.append(now))
    assert blocks.weights.shape == whole.weights.shape
    assert told[-1] == (30, 30)
    assert blocks.records.scores["start_row"].tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert blocks.info.settings["start"]["checkpoints"] == RUNS
    alone = fitted.sample(3, rng=seeded(2), start=start)
    assert torch.allclose(blocks.weights[:3], alone.weights, atol=1e-5)


def test_an_unfinished_fit_goes_on_with_other_settings_of_sampling(trajectories, tmp_path):
    training = trajectories()

    def stop(step, of, loss):
        if step == 17:
            raise KeyError

    with pytest.raises(KeyError):
        QUICK.fit(training, rng=seeded(1), workspace=Workspace(tmp_path, stop, 0.0))
    changed = replace(QUICK, prompt=0.5, sampling_steps=5, recursions=2)
    resumed = changed.fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    whole = QUICK.fit(training, rng=seeded(1))
    assert resumed.settings.prompt == 0.5
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


@pytest.mark.parametrize("changes", [{}, {"dropout": 0.1, "noise": 0.02, "permute": False}])
def test_an_interrupted_fit_ends_with_the_same_bits(trajectories, tmp_path, changes):
    training, settings = trajectories(), replace(QUICK, **changes)
    whole = settings.fit(training, rng=seeded(1))

    class Interrupted(Exception):
        pass

    def progress(step, of, loss):
        if step == 17:
            raise Interrupted

    with pytest.raises(Interrupted):
        settings.fit(training, rng=seeded(1), workspace=Workspace(tmp_path, progress, 0.0))
    resumed = settings.fit(training, rng=seeded(1), workspace=Workspace(tmp_path))
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


@pytest.mark.parametrize("settings", [QUICK, replace(QUICK, tokens="neurons")])
def test_what_was_saved_is_loaded_again(trajectories, tmp_path, settings):
    training = trajectories()
    fitted = settings.fit(training, rng=seeded(1))
    fitted.save(tmp_path)
    loaded = type(fitted).load(tmp_path, settings, training.layout, training.info)
    start = starts_of(training)
    assert torch.equal(
        fitted.sample(3, rng=seeded(2), start=start).weights,
        loaded.sample(3, rng=seeded(2), start=start).weights,
    )
    assert loaded.loss_range == fitted.loss_range == pytest.approx((0.8, 2.04))
    again = tmp_path / "again"
    again.mkdir()
    settings.fit(training, rng=seeded(1)).save(again)
    [file], [other] = (list(folder.glob("*.safetensors")) for folder in (tmp_path, again))
    assert file.read_bytes() == other.read_bytes()


def test_memorization_opens_a_generalization_gap(trajectories, tmp_path):
    training, heldout = trajectories(), trajectories(seed=9, split="heldout")
    settings = replace(QUICK, width=64, layers=2, steps=300, permute=False)
    fitted = settings.fit(training, rng=seeded(1), workspace=Workspace(tmp_path, watch=heldout))
    losses = [
        fitted.loss(population, timesteps=(10, 40), rng=seeded(0))
        for population in (training, heldout)
    ]
    assert losses[0].shape == (RUNS, 2)
    assert (losses[0].mean(dim=0) < 0.7 * losses[1].mean(dim=0)).all()
    lines = (tmp_path / "gap.csv").read_text().splitlines()
    assert lines[-1].split(",")[-2:] == [str(RUNS), str(RUNS)]
    with pytest.raises(InputError, match=r"held-out: .* runs have one only"):
        QUICK.fit(training, rng=seeded(1), workspace=Workspace(tmp_path, watch=starts_of(heldout)))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"sampling_steps": 1001}, "expected 1 to 1000"),
        ({"heads": 7}, "heads that divide the width"),
        ({"recursions": 0}, "recursions: expected a number of 1 or more"),
        ({"noise": -1.0}, "noise: expected a number of 0 or more"),
        ({"prompt": math.nan}, "prompt: expected a number"),
        ({"gradient_clip": math.inf}, "gradient_clip: expected a number"),
        ({"ema_decay": 1.0}, "ema_decay: expected 0 to below 1"),
        ({"tokens": "weights"}, "expected parameters or neurons"),
        ({"schedule": "step"}, "expected constant or cosine"),
        ({"learning_rate": math.nan}, "learning_rate"),
    ],
)
def test_impossible_settings_are_refused_at_once(settings, match):
    with pytest.raises(InputError, match=match):
        GPt(**settings)

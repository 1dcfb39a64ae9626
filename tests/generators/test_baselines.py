import pytest
import torch
from methods import seeded
from refused import refused

from novelweights.generators.baselines import AddNoise, AverageWeights, ParameterGaussian


def test_noise_is_added_to_training_checkpoints(make_population):
    training = make_population(5)
    sampled = AddNoise(0.1).fit(training, rng=seeded(0)).sample(500, rng=seeded(1)).weights
    steps = sampled[:, None] - training.weights
    nearest = steps.norm(dim=2).argmin(dim=1)
    assert nearest.bincount().tolist() == [100] * 5
    noise = steps[torch.arange(500), nearest]
    assert float(noise.std()) == pytest.approx(0.1, rel=0.02)


def test_averages_are_means_of_as_many_checkpoints(make_population):
    training = make_population(6)
    sampled = AverageWeights(3).fit(training, rng=seeded(0)).sample(30, rng=seeded(1)).weights
    weights = torch.linalg.lstsq(training.weights.T, sampled.T).solution.T
    assert torch.allclose(weights.sort(dim=1).values[:, 3:], torch.tensor(1 / 3), atol=1e-4)
    assert torch.allclose(weights.sort(dim=1).values[:, :3], torch.tensor(0.0), atol=1e-4)


def test_the_gaussian_has_the_training_mean_and_spread(make_population):
    training = make_population(40)
    sampled = ParameterGaussian().fit(training, rng=seeded(0)).sample(4000, rng=seeded(1)).weights
    assert torch.allclose(sampled.mean(dim=0), training.weights.mean(dim=0), atol=0.1)
    assert torch.allclose(sampled.std(dim=0), training.weights.std(dim=0), rtol=0.1)


def test_too_few_training_checkpoints_are_refused(make_population):
    for settings, n in ((AddNoise(), 0), (AverageWeights(16), 15), (ParameterGaussian(), 1)):
        with refused("too-few", type(settings).__name__, n + 1, f"got {n}"):
            settings.fit(make_population(n), rng=seeded(0))

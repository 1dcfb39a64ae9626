import pytest
import torch

from novelweights.errors import InputError
from novelweights.generators import GENERATORS, make_generator, method_named
from novelweights.generators.baselines import AddNoise, AverageWeights, ParameterGaussian
from novelweights.generators.generator import FittedGenerator, WeightGenerator
from novelweights.generators.hyperdiffusion import HyperDiffusion

BASELINES = [AddNoise(0.1), AverageWeights(3), ParameterGaussian()]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


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


@pytest.mark.parametrize("settings", BASELINES)
def test_a_baseline_is_a_generator_like_any_other(settings, make_population):
    training = make_population(6)
    fitted = settings.fit(training, rng=seeded(0))
    assert isinstance(settings, WeightGenerator)
    assert isinstance(fitted, FittedGenerator)
    sampled = fitted.sample(7, rng=seeded(1))
    assert sampled.layout == training.layout
    assert sampled.info.recipe == type(settings).__name__
    assert sampled.info.settings == vars(settings)
    assert set(sampled.records.split) == {"generated"}
    assert fitted.as_reference(training) is training
    assert torch.equal(sampled.weights, fitted.sample(7, rng=seeded(1)).weights)
    assert not torch.equal(sampled.weights, fitted.sample(7, rng=seeded(2)).weights)
    with pytest.raises(InputError, match="leave --start out"):
        fitted.sample(1, rng=seeded(1), start=training)


def test_too_few_training_checkpoints_are_refused(make_population):
    for settings, n in ((AddNoise(), 0), (AverageWeights(16), 15), (ParameterGaussian(), 1)):
        with pytest.raises(InputError, match=f"needs {n + 1} training checkpoints, got {n}"):
            settings.fit(make_population(n), rng=seeded(0))


def test_generators_are_made_by_name():
    assert make_generator("noise") == AddNoise()
    assert make_generator("average", of=4) == AverageWeights(4)
    assert make_generator("hyperdiffusion", "paper") == HyperDiffusion()
    assert make_generator("hyperdiffusion", steps=7).steps == 7
    assert method_named("gaussian").summary
    for name, method in GENERATORS.items():
        for scale in method.scales:
            assert isinstance(make_generator(name, scale), WeightGenerator)


def test_unknown_names_get_the_closest_match():
    with pytest.raises(InputError, match="did you mean 'hyperdiffusion'"):
        make_generator("hyperdifusion")
    with pytest.raises(InputError, match="did you mean 'laptop'"):
        make_generator("hyperdiffusion", "labtop")
    with pytest.raises(InputError, match="noise has no setting of, sdt"):
        make_generator("noise", sdt=1.0, of=2)
    with pytest.raises(InputError) as caught:
        method_named("xyzzy")
    assert "did you mean" not in str(caught.value)
    assert "average, g-pt, gaussian, hyper-representations, hyperdiffusion, noise" in str(
        caught.value
    )

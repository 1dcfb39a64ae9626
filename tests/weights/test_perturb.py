import pytest
import torch

from novelweights.weights.perturb import add_noise, average_rows, parameter_gaussian, pick_rows


def test_every_row_is_used_before_one_is_used_twice(rng):
    picked = pick_rows(5, 13, rng=rng)
    assert sorted(picked[:5].tolist()) == list(range(5))
    assert sorted(picked[5:10].tolist()) == list(range(5))
    assert picked[:5].tolist() != picked[5:10].tolist()
    assert len(picked) == 13
    assert pick_rows(5, 0, rng=rng).tolist() == []
    with pytest.raises(ValueError, match="got none"):
        pick_rows(0, 3, rng=rng)


def test_noise_has_the_announced_spread_in_all_directions(rng):
    weights = torch.linspace(-3, 3, 200).expand(2000, 200)
    noise = add_noise(weights, 0.3, rng=rng) - weights
    assert noise.std() == pytest.approx(0.3, rel=0.01)
    assert noise.mean() == pytest.approx(0, abs=0.003)
    assert noise.std(dim=0).sub(0.3).abs().max() < 0.03  # 6 standard errors
    assert torch.equal(add_noise(weights, 0.0, rng=rng), weights)


def test_averages_are_means_of_different_rows(rng):
    weights = torch.eye(6)
    means = average_rows(weights, 40, of=4, rng=rng)
    assert means.eq(0.25).sum(dim=1).eq(4).all()
    assert means.eq(0).sum(dim=1).eq(2).all()
    assert len(means.unique(dim=0)) > 5
    assert torch.allclose(average_rows(weights, 2, of=6, rng=rng), torch.full((2, 6), 1 / 6))
    with pytest.raises(ValueError, match="needs 7 rows, got 6"):
        average_rows(weights, 1, of=7, rng=rng)
    assert average_rows(weights, 0, of=4, rng=rng).shape == (0, 6)


def test_the_gaussian_has_each_parameters_mean_and_unbiased_spread(rng):
    weights = torch.tensor([[0.0, 10.0, 5.0], [2.0, 10.0, 9.0], [4.0, 10.0, 1.0]])
    drawn = parameter_gaussian(weights, 40_000, rng=rng)
    assert drawn.mean(dim=0).tolist() == pytest.approx([2, 10, 5], abs=0.1)
    assert drawn.std(dim=0).tolist() == pytest.approx([2, 0, 4], rel=0.02, abs=1e-5)
    correlation = torch.corrcoef(drawn[:, [0, 2]].T)[0, 1]
    assert abs(float(correlation)) < 0.03  # independent, although the rows' are not
    with pytest.raises(ValueError, match="needs 2 rows, got 1"):
        parameter_gaussian(weights[:1], 1, rng=rng)


def test_the_same_stream_gives_the_same_rows():
    weights = torch.eye(5)

    def draw(seed):
        rng = torch.Generator().manual_seed(seed)
        return torch.cat(
            [
                add_noise(weights, 1.0, rng=rng),
                average_rows(weights, 3, of=2, rng=rng),
                parameter_gaussian(weights, 3, rng=rng),
            ]
        )

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))

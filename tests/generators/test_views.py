import pytest
import torch

from novelweights.errors import InputError
from novelweights.generators.parts.views import Views
from novelweights.networks.mlp import OneHiddenMLP

NETWORK = OneHiddenMLP(5, 4, 3, "tanh")


def views(rng, **changed):
    asked = {"permutations": 0, "noise": 0.0, "erasing": 0.0, **changed}
    return Views.of(NETWORK.layout, NETWORK.symmetry, rng=rng, **asked)


def test_views_compute_the_same_function_and_never_flip_signs(rng):
    weights = torch.rand(6, NETWORK.layout.size, generator=rng) + 0.1  # all positive
    for pool in (0, 3):
        moved = views(rng, permutations=pool).draw(weights, rng)
        x = torch.randn(7, 5, generator=rng)
        assert torch.allclose(NETWORK.forward(weights, x), NETWORK.forward(moved, x), atol=1e-5)
        assert (moved > 0).all()
        assert torch.allclose(moved.sort(dim=1).values, weights.sort(dim=1).values)
        assert not torch.equal(moved, weights)


def test_a_pool_holds_so_many_orders(rng):
    weights = torch.arange(NETWORK.layout.size).float().expand(200, -1)
    few = views(rng, permutations=3).draw(weights, rng)
    many = views(rng).draw(weights, rng)
    assert len(few.unique(dim=0)) <= 3
    assert len(many.unique(dim=0)) == 24  # 4!


def test_noise_has_its_deviation(rng):
    weights = torch.zeros(500, NETWORK.layout.size)
    assert float(views(rng, noise=0.3).draw(weights, rng).std()) == pytest.approx(0.3, rel=0.03)


def test_erasing_zeroes_one_block_of_half_the_checkpoints(rng):
    weights = torch.ones(2000, NETWORK.layout.size)
    erased = views(rng, erasing=0.5).draw(weights, rng) == 0
    touched = erased.any(dim=1)
    assert float(touched.float().mean()) == pytest.approx(0.5, abs=0.05)
    edges = erased.float().diff(dim=1, prepend=torch.zeros(2000, 1)) == 1
    assert edges.sum(dim=1).max() == 1  # one block, not several
    share = erased[touched].float().mean(dim=1)
    assert float(share.max()) < 0.36
    assert float(share.mean()) == pytest.approx((0.02 + 0.33) / 2, abs=0.02)


def test_a_population_without_symmetry_is_refused(rng):
    with pytest.raises(InputError, match="which axes count neurons"):
        Views.of(NETWORK.layout, None, permutations=0, noise=0.0, erasing=0.0, rng=rng)


def test_a_table_of_other_networks_is_refused(rng):
    other = OneHiddenMLP(5, 4, 3).symmetry.only(["hidden.bias"])
    with pytest.raises(InputError, match="a table that is not theirs"):
        Views.of(NETWORK.layout, other, permutations=0, noise=0.0, erasing=0.0, rng=rng)

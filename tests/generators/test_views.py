import pytest
import torch
from refused import refused

from novelweights.generators.parts.views import Views
from novelweights.networks.mlp import OneHiddenMLP

NETWORK = OneHiddenMLP(5, 4, 3, "tanh")


def views(rng, **changed):
    settings = {"permutations": 0, "noise": 0.0, "erasing": 0.0, **changed}
    symmetry = settings.pop("symmetry", NETWORK.symmetry)
    return Views.of(NETWORK.layout, symmetry, rng=rng, **settings)


def test_views_compute_the_same_function_and_never_flip_signs(rng):
    weights = torch.rand(6, NETWORK.layout.size, generator=rng) + 0.1  # all positive
    for pool in (0, 3):
        varied = views(rng, permutations=pool).draw(weights, rng)
        x = torch.randn(7, 5, generator=rng)
        assert torch.allclose(NETWORK.forward(weights, x), NETWORK.forward(varied, x), atol=1e-5)
        assert (varied > 0).all()
        assert torch.allclose(varied.sort(dim=1).values, weights.sort(dim=1).values)
        assert not torch.equal(varied, weights)


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


def test_no_symmetry_and_that_of_other_networks_are_refused(rng):
    with refused("unsuited", "population.json"):
        views(rng, symmetry=None)
    with refused("wrong-symmetry", "population.json"):
        views(rng, symmetry=OneHiddenMLP(5, 4, 3).symmetry.only(["hidden.bias"]))

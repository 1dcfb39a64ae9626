import pytest
import torch
from torch import Tensor

from novelweights.tasks import decision_regions
from novelweights.tasks.decision_regions import MAX_INPUTS, principal_plane

INPUTS = 1_100


@pytest.fixture
def images(rng) -> Tensor:
    """Two strong directions in noise, pixels of different means and deviations."""
    strong = torch.randn(80, 2, generator=rng) * torch.tensor([3.0, 2.0])
    common = strong @ torch.randn(2, INPUTS, generator=rng)
    noise = torch.randn(80, INPUTS, generator=rng)
    scale, mean = torch.rand(2, 1, INPUTS, generator=rng)
    return (common + noise) * (0.1 + scale) + mean


def directions(plane: Tensor, images: Tensor) -> Tensor:
    """Unit vectors along both sides of the grid, pixels standardized."""
    deviation = images.double().std(dim=0, correction=0)
    sides = torch.stack([plane[0, -1] - plane[0, 0], plane[-1, 0] - plane[0, 0]])
    return torch.nn.functional.normalize(sides.double() / deviation)


def test_many_inputs_have_the_plane_of_their_covariance(images, monkeypatch):
    plane = principal_plane(images, resolution=7)
    assert plane.shape == (7, 7, INPUTS)
    monkeypatch.setattr(decision_regions, "MAX_COVARIANCE_INPUTS", INPUTS)
    by_covariance = principal_plane(images, resolution=7)
    torch.testing.assert_close(plane, by_covariance, rtol=0, atol=2e-6)
    assert (plane - by_covariance.flip(1)).abs().max() > 0.1  # another sign would be seen


def test_the_plane_is_that_of_a_singular_value_decomposition(images):
    wide = images.double()
    standard = (wide - wide.mean(dim=0)) / wide.std(dim=0, correction=0)
    *_, components = torch.linalg.svd(standard, full_matrices=False)
    plane = principal_plane(images, resolution=5)
    found = directions(plane, images)
    cosines = (found @ components[:2].T).abs()
    torch.testing.assert_close(cosines, torch.eye(2).double(), rtol=0, atol=1e-5)
    corner = (plane[0, 0].double() - wide.mean(dim=0)) / wide.std(dim=0, correction=0)
    torch.testing.assert_close(
        found @ corner, (standard @ found.T).amin(dim=0) - 1, rtol=1e-5, atol=1e-4
    )


def test_the_same_images_give_the_same_orientation(images):
    plane = principal_plane(images, resolution=3)
    assert torch.equal(plane, principal_plane(images, resolution=3))
    found = directions(plane, images)
    largest = found.gather(1, found.abs().argmax(dim=1, keepdim=True))
    assert (largest > 0).all()
    mirrored = directions(principal_plane(-images, resolution=3), images)
    torch.testing.assert_close(mirrored, found, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("limit", "solver"), [(8, "covariance_eigh"), (7, "arpack")])
def test_no_covariance_is_formed_of_many_inputs(images, monkeypatch, limit, solver):
    solvers = []

    class Recorded(decision_regions.PCA):
        def fit_transform(self, X, y=None):
            solvers.append(self.svd_solver)
            return super().fit_transform(X, y)

    monkeypatch.setattr(decision_regions, "PCA", Recorded)
    monkeypatch.setattr(decision_regions, "MAX_COVARIANCE_INPUTS", limit)
    principal_plane(images[:, :8], resolution=2)
    assert solvers == [solver]


def test_no_plane_is_fitted_to_more_inputs_than_fit_into_memory():
    assert principal_plane(torch.eye(4, MAX_INPUTS), resolution=2).isfinite().all()
    with pytest.raises(ValueError, match="10001 inputs, at most to 10000"):
        principal_plane(torch.zeros(4, MAX_INPUTS + 1))

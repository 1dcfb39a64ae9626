import numpy as np
import pytest
import torch
from refused import refused
from scipy.spatial import cKDTree
from solids import n_bodies, volume

from novelweights.networks.neural_field import OccupancyField
from novelweights.tasks import field_volume
from novelweights.tasks.surfaces import LEVEL, RESOLUTION, dense_surface, surface

VOXEL = 1 / 95  # at resolution 96


class Analytic:
    """A field with a formula instead of weights; counts the points it is asked for."""

    def __init__(self, formula):
        self.formula, self.points = formula, 0

    def on_grid(self, weights, axis):
        def logits(indices):
            self.points += len(indices)
            return self.formula(*axis[indices].unbind(1)).float()

        return logits


NOTHING = torch.zeros(0)  # weights of an analytic field


def sphere(radius, center=(0.0, 0.0, 0.0), steepness=100.0):
    def formula(x, y, z):
        a, b, c = center
        r = ((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2).sqrt()
        return LEVEL + steepness * (radius - r)

    return formula


def slab(half, normal, offset=0.0, half_side=0.33):
    """A thin square plate at an angle."""
    n = np.array(normal) / np.linalg.norm(normal)

    def formula(x, y, z):
        away = (x * n[0] + y * n[1] + z * n[2] - offset).abs()
        side = torch.maximum(torch.maximum(x.abs(), y.abs()), z.abs())
        return LEVEL + 300 * torch.minimum(half - away, half_side - side)

    return formula


def torus(x, y, z):
    ring = ((x**2 + y**2).sqrt() - 0.3) ** 2 + z**2
    return LEVEL + 50 * (0.03 - ring.sqrt())


def union(*formulas):
    return lambda x, y, z: torch.stack([f(x, y, z) for f in formulas]).amax(dim=0)


FIELDS = {
    "sphere": sphere(0.31),
    "plate of 1.5 voxels": slab(0.75 * VOXEL, (0, 0, 1), 0.4 * VOXEL),
    "the same, moved": slab(0.75 * VOXEL, (0, 0, 1), 2.1 * VOXEL),
    "the same, at an angle": slab(0.75 * VOXEL, (0.2, 0.4, 1), 0.03),
    "a plate thinner than a voxel": slab(0.4 * VOXEL, (0, 0.1, 1), 0.02),
    "two components": union(sphere(0.2, (-0.2, 0.0, 0.1)), sphere(1.2 * VOXEL, (0.3, 0.2, -0.3))),
    "fuselage and swept wings": union(
        slab(0.75 * VOXEL, (0.05, 0.0, 1)),
        slab(VOXEL, (1, 0.3, 0.1)),
        sphere(0.15),
    ),
    "torus": torus,
    "open at the border of the cube": sphere(0.56),
    "a hole in a full cube": lambda x, y, z: 2 * LEVEL - sphere(0.2, (0.1, 0.0, 0.0))(x, y, z),
    "steep": sphere(0.21, steepness=1e5),
    "nearly infinite": sphere(0.21, steepness=1e38),
    "saturated": lambda x, y, z: 20 * torch.tanh(3 * sphere(0.21)(x, y, z)),
}


@pytest.mark.parametrize("name", FIELDS)
def test_coarse_to_fine_equals_dense(name):
    field, whole = Analytic(FIELDS[name]), Analytic(FIELDS[name])
    mesh, expected = surface(field, NOTHING, 96), dense_surface(whole, NOTHING, 96)
    assert not expected.is_empty
    assert np.array_equal(mesh.faces, expected.faces)
    assert np.abs(mesh.vertices - expected.vertices).max() < 1e-6
    assert field.points < whole.points == 96**3


@pytest.mark.parametrize("resolution", [2, 3, 7, 32, 33, 34, 35, 36, 37, 50])
def test_any_resolution(resolution):
    field = Analytic(sphere(0.37, (0.07, 0.0, 0.03)))
    mesh, expected = (of(field, NOTHING, resolution) for of in (surface, dense_surface))
    assert np.array_equal(mesh.vertices, expected.vertices)
    assert np.array_equal(mesh.faces, expected.faces)


def test_the_surface_is_where_the_formula_says_and_faces_outward():
    mesh = surface(Analytic(sphere(0.3, (0.05, -0.1, 0.15))), NOTHING, 80)
    assert n_bodies(mesh) == 1
    radii = np.linalg.norm(mesh.vertices - [0.05, -0.1, 0.15], axis=1)
    assert np.abs(radii - 0.3).max() < 1e-4
    assert volume(mesh) == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.01)


def test_components_of_every_place_are_found():
    places = np.random.default_rng(0).uniform(-0.42, 0.42, (40, 3))
    kept = [p for i, p in enumerate(places) if all(np.abs(p - places[:i]).max(axis=1) > 0.06)]
    field = Analytic(union(*(sphere(0.9 * VOXEL, tuple(p)) for p in kept)))
    assert len(kept) > 20
    assert n_bodies(surface(field, NOTHING, 96)) == len(kept)


def test_a_surface_is_followed_out_of_what_was_suspected(monkeypatch):
    """A needle steeper than any step around its far part: only its root can be seen."""

    def needle(x, y, z):
        r = (y**2 + z**2).sqrt()
        thread = torch.where((r < 0.6 * VOXEL) & (x.abs() < 0.4), 1.0, -1.0)
        return LEVEL + torch.maximum(thread, torch.sign(0.08 - (x**2 + r**2).sqrt()))

    monkeypatch.setattr(field_volume, "MARGIN", 0.0)
    shifted = Analytic(lambda x, y, z: needle(x, y - 1.5 * VOXEL, z - 1.5 * VOXEL))
    mesh, expected = surface(shifted, NOTHING, 96), dense_surface(shifted, NOTHING, 96)
    assert np.array_equal(mesh.faces, expected.faces)
    assert mesh.vertices[:, 0].max() > 0.39  # far out of the first box, which ends near 0.15
    monkeypatch.setattr(field_volume.FieldVolume, "close", lambda volume: True)
    assert surface(shifted, NOTHING, 96).vertices[:, 0].max() < 0.2


def test_a_margin_is_needed(monkeypatch):
    """Without it a plate between the points evaluated first is lost."""
    plate = Analytic(slab(0.75 * VOXEL, (0, 0, 1), 2.5 * VOXEL))
    monkeypatch.setattr(field_volume, "MARGIN", 0.0)
    assert surface(plate, NOTHING, 96).is_empty
    monkeypatch.undo()
    assert not surface(plate, NOTHING, 96).is_empty


def test_fields_of_networks(rng):
    field = OccupancyField(width=16)
    weights = 3 * torch.stack([field.initial(rng) for _ in range(3)])
    for row in weights:
        values = field.forward(row[None], torch.rand(500, 3, generator=rng) - 0.5)
        level = values.median().item()
        mesh, expected = (of(field, row, 64, level) for of in (surface, dense_surface))
        assert len(expected.vertices) > 1000
        near, _ = cKDTree(mesh.vertices).query(expected.vertices)
        back, _ = cKDTree(expected.vertices).query(mesh.vertices)
        assert max(near.max(), back.max()) < 1e-4 / 63
        off = []
        for shift in (0, 0.5 / 63):
            points = torch.from_numpy(mesh.vertices + shift).float()
            off.append((field.forward(row[None], points) - level).abs().mean())
        assert off[0] < 0.1 * off[1]


def test_a_field_without_surface_gives_an_empty_mesh():
    for constant in (-5.0, 5.0):
        field = Analytic(lambda x, y, z, c=constant: torch.full_like(x, c))
        for of in (surface, dense_surface):
            mesh = of(field, NOTHING, 40)
            assert mesh.is_empty
            assert mesh.vertices.shape == (0, 3)
    near = Analytic(lambda x, y, z: LEVEL - 0.01 - 0.0099 * torch.sin(50 * x))
    assert surface(near, NOTHING, 40).is_empty
    assert near.points > 40**3 / 2  # it looked


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_not_finite_are_refused(broken):
    field = Analytic(lambda x, y, z: torch.where(x > 0.2, broken, sphere(0.3)(x, y, z)))
    for of in (surface, dense_surface):
        with refused("not-finite"):
            of(field, NOTHING, 40)


def test_a_grid_needs_two_points():
    with pytest.raises(ValueError, match="at least 2 points"):
        surface(Analytic(torus), NOTHING, 1)


def test_settings_are_the_published_ones():
    assert RESOLUTION == 356
    assert pytest.approx(0.8, abs=1e-4) == 1 / (1 + np.exp(-LEVEL))

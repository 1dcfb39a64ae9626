import numpy as np
import pytest
from refused import refused
from shape_files import (
    HELDOUT,
    LONG,
    MISSING,
    NAN,
    OPEN,
    PROBLEMATIC,
    TEST,
    WHOLE,
    put_shapenet,
)
from solids import volume

from novelweights.shapes.shape_points import occupancy_points
from novelweights.shapes.shape_sets import SHAPENET, load_shapes

POINTS = np.random.default_rng(0).uniform(-0.5, 0.5, (2000, 3)).astype(np.float32)


def load(n, role="train"):
    return load_shapes(SHAPENET, n, role, seed=0)


def test_shapes_of_files_are_placed_and_what_cannot_be_used_is_told(tmp_path, monkeypatch):
    put_shapenet(tmp_path, monkeypatch)
    shapes = load(5)
    assert list(shapes.names) == [LONG, OPEN, WHOLE]
    assert len(shapes) == 3
    assert list(shapes.left_out) == [MISSING, NAN]
    assert all(why.startswith("model_normalized.obj: ") for why in shapes.left_out.values())
    assert str(tmp_path) not in str(shapes.left_out)
    assert not shapes.records
    for row in range(3):
        mesh = shapes.mesh(row)
        assert volume(mesh) > 0
        assert np.abs(mesh.vertices).max() == pytest.approx(0.475)
    long = 0.475 * np.array([1, 0.25, 0.25])
    away = np.abs(np.abs(POINTS) - long).min(axis=1) > 0.05  # two cells of the repair
    expected = (np.abs(POINTS) < long).all(axis=1)
    assert np.array_equal(shapes.is_inside(0, POINTS)[away], expected[away])
    made = occupancy_points(
        shapes.mesh(1), lambda p: shapes.is_inside(1, p), 0, n_near=500, n_uniform=500
    )
    assert 0.1 < made.is_inside[:500].double().mean() < 0.9


def test_only_as_many_as_asked_for_are_read_and_parts_are_apart(tmp_path, monkeypatch):
    put_shapenet(tmp_path, monkeypatch)
    assert list(load(1).names) == [LONG]
    assert list(load(1).left_out) == [MISSING]
    assert list(load(1, "heldout").names) == [HELDOUT]
    assert list(load(2, "test").names) == TEST
    assert PROBLEMATIC not in load(5).left_out


@pytest.mark.parametrize("n", [0, 6])
def test_more_shapes_than_there_are_is_refused(n, tmp_path, monkeypatch):
    put_shapenet(tmp_path, monkeypatch)
    with refused("too-few", 5, n):
        load(n)


def test_a_set_that_is_not_there_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path))
    with refused("no-data", "02691156", tmp_path):
        load(1)
    with refused("no-data", "novelweights data fetch real-airplanes"):
        load_shapes("real-airplanes", 1, "train", seed=0)
    with refused("unknown-name", "airplanes"):
        load_shapes("airplane", 1, "train", seed=0)


def test_lists_of_other_sizes_than_the_published_ones_are_refused(tmp_path, monkeypatch):
    folder = put_shapenet(tmp_path, monkeypatch)
    (folder / "test_split.lst").write_text(f"{TEST[0]}.obj\n")
    with refused("wrong-content", "test", 2):
        load(1)


def test_procedural_shapes_have_parameters_and_no_names():
    shapes = load_shapes("airplanes", 2, "train", seed=0)
    assert len(shapes) == 2
    assert not shapes.names
    assert not shapes.left_out
    other = load_shapes("airplanes", 2, "heldout", seed=0)
    assert shapes.records.keys() == other.records.keys()
    assert shapes.records != other.records

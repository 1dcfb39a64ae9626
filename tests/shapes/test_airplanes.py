import numpy as np
import pytest
import torch
from refused import refused
from skimage.measure import marching_cubes
from solids import n_bodies, volume

from novelweights.shapes.airplane_classes import CLASSES, COLUMNS
from novelweights.shapes.airplane_frame import GRID, MIN_THICKNESS, airframe, placement
from novelweights.shapes.airplane_shape import signed_distance
from novelweights.shapes.airplanes import Airplanes, airplane_mesh, draw

COLUMN = {name: i for i, name in enumerate(COLUMNS)}


@pytest.fixture(scope="module")
def airplanes():
    return draw(200, seed=11)


@pytest.fixture
def points(rng):
    return torch.rand(2000, 3, generator=rng) - 0.5


def changed(airplane, **columns):
    parameters = airplane.clone()
    for name, value in columns.items():
        parameters[COLUMN[name]] = value
    return parameters


@pytest.mark.parametrize("n", [12, pytest.param(200, marks=pytest.mark.integration)])
def test_every_airplane_is_one_closed_body_in_its_place(airplanes, n):
    wrong, furthest, means = [], [], []
    for name, parameters in zip(airplanes.classes[:n], airplanes.parameters, strict=False):
        mesh = airplane_mesh(parameters)
        if not (n_bodies(mesh) == 1 and volume(mesh) > 5e-4):
            wrong.append(name)
        furthest.append(np.abs(mesh.vertices).max())
        means.append(np.abs(mesh.vertices.mean(axis=0)).max())
    assert not wrong
    spacing = 1 / (GRID - 1)
    assert max(furthest) <= 0.475 + 0.1 * spacing
    assert min(furthest) >= 0.475 - 1.5 * spacing  # marching cubes cuts sharp noses
    assert max(means) < 0.06


@pytest.mark.parametrize("name", CLASSES)
def test_sought_surface_is_that_of_all_points(name):
    parameters = draw(1, [name], seed=4).parameters[0]
    n = 50
    axis = torch.linspace(-0.5, 0.5, n)
    values = signed_distance(parameters[None], torch.cartesian_prod(axis, axis, axis))[0]
    vertices, faces, _, _ = marching_cubes(
        values.reshape(n, n, n).numpy(), 0.0, spacing=(1 / (n - 1),) * 3
    )
    mesh = airplane_mesh(parameters, n)
    assert len(mesh.faces) == len(faces)
    order, ours = (v[np.lexsort(v.round(4).T)] for v in (vertices - 0.5, mesh.vertices))
    assert np.abs(order - ours).max() < 2e-5


def test_distances_never_exceed_the_way_and_are_alike_on_both_sides(airplanes, rng):
    points = torch.rand(500, 3, generator=rng, dtype=torch.float64) - 0.5
    near = points + 0.003 * torch.randn(500, 3, generator=rng, dtype=torch.float64)
    table = airplanes.parameters[:60]
    here, there = signed_distance(table, points), signed_distance(table, near)
    assert here.isfinite().all()
    assert ((here - there).abs() <= (near - points).norm(dim=1) * (1 + 1e-9)).all()
    mirrored = points * torch.tensor([1.0, -1.0, 1.0])
    assert torch.equal(signed_distance(table, mirrored), here)


def test_batches_and_own_points_change_nothing(airplanes, points):
    table = airplanes.parameters[:7]
    together = signed_distance(table, points)
    assert together.dtype == torch.float32
    alone = torch.cat([signed_distance(row[None], points) for row in table])
    assert torch.equal(together, alone)
    own = torch.stack([points.roll(i, dims=0) for i in range(7)])
    rolled = signed_distance(table, own)
    assert torch.equal(rolled, torch.stack([d.roll(i) for i, d in enumerate(together)]))


def at(parameters, *places):
    """Signed distances at places given in lengths of the fuselage."""
    center, scale = placement(parameters[None])
    points = (torch.tensor(places, dtype=torch.float64) - center) * scale
    return signed_distance(parameters[None], points)[0] / scale


def test_parts_are_where_the_parameters_say():
    airliner = changed(draw(1, ["airliner"], seed=0).parameters[0], wing_engines=1, rear_engines=0)
    frame = airframe(airliner[None])
    half_span, width = airliner[COLUMN["span"]] / 2, airliner[COLUMN["width"]]
    tip = frame.wing_z + frame.wing.rise * half_span
    tip_x = frame.wing.quarter + frame.wing.lean * half_span - frame.wing.tip / 4
    fin_top = frame.fin_z + frame.fin.last
    fin_x = frame.fin.quarter + (frame.fin.lean * frame.fin.last) - frame.fin.tip / 4
    nose, side, wing_tip, top, ahead = at(
        airliner,
        [0.5, 0.0, 0.0],
        [0.2, width / 2, 0.0],
        [tip_x, half_span, tip],
        [fin_x, 0.0, fin_top],
        [0.6, 0.0, 0.0],
    ).tolist()
    assert (nose, side, wing_tip, top) == pytest.approx((0, 0, 0, 0), abs=1e-6)
    assert ahead == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("airliner", {"tail_span": 0.0}),
        ("turboprop", {"wing_engines": 0.0}),
        ("turboprop", {"wing_propeller": 0.0}),
        ("ga-single", {"nose_propeller": 0.0}),
        ("ga-single", {"canopy_height": 0.0}),
        ("biplane", {"second_gap": 0.0}),
    ],
)
def test_parts_can_be_left_out_and_are_missed(name, without):
    parameters = draw(1, [name], seed=1).parameters[0]
    volumes = []
    for each in (parameters, changed(parameters, **without)):
        mesh = airplane_mesh(each)
        volumes.append(volume(mesh) / placement(each[None])[1].item() ** 3)
    assert volumes[1] < 0.995 * volumes[0]


def test_wings_are_as_thick_as_the_grid_needs(airplanes):
    scale = placement(airplanes.parameters)[1]
    thickness = 2 * airframe(airplanes.parameters).wing.half[:, 0] * scale
    assert (thickness >= MIN_THICKNESS * (1 - 1e-9)).all()


def test_draws_stay_in_their_ranges_and_begin_alike(airplanes):
    assert airplanes.classes[:7] == (*CLASSES, "airliner")
    fewer = draw(20, seed=11)
    assert torch.equal(fewer.parameters, airplanes.parameters[:20])
    spans = draw(600, ["airliner"], seed=0).parameters[:, COLUMN["span"]]
    assert spans.min() >= 0.67
    assert spans.max() <= 1.10
    assert spans.median() == pytest.approx(0.88, abs=0.02)
    assert spans.std() == pytest.approx(0.43 / 4, rel=0.2)
    engines = draw(600, ["airliner"], seed=0).parameters[:, COLUMN["wing_engines"]]
    assert [(engines == k).double().mean().item() for k in (0, 1, 2)] == pytest.approx(
        [0.11, 0.77, 0.12], abs=0.05
    )


def test_every_range_is_in_order_and_every_column_used():
    named = set()
    for of in CLASSES.values():
        for variant in of.variants:
            for column, limits in (of.ranges | variant.ranges).items():
                named.add(column)
                if isinstance(limits, tuple):
                    assert limits[0] < limits[1] < limits[2], column
        assert sum(variant.share for variant in of.variants) == pytest.approx(1)
    assert named == set(COLUMNS)


def test_splits_and_seeds_share_no_airplane():
    drawn = [
        draw(50, seed=seed, split=split).parameters
        for seed in (0, 1)
        for split in ("train", "validation", "test")
    ]
    rows = {tuple(row) for table in drawn for row in table.tolist()}
    assert len(rows) == 300


def test_records_give_every_parameter_by_name(airplanes):
    records = airplanes.records
    assert list(records) == list(COLUMNS)
    assert records["span"] == airplanes.parameters[:, 0].tolist()


@pytest.mark.parametrize(
    ("call", "code", "named"),
    [
        (lambda: draw(1, ["glyder"], seed=0), "unknown-name", "glider"),
        (lambda: draw(1, seed=0, split="heldout"), "unknown-name", "heldout"),
        (lambda: draw(0, seed=0), "too-few", 6),
        (lambda: draw(1, [], seed=0), "too-few", 0),
        (lambda: airplane_mesh(draw(1, seed=0).parameters[0], 4), "too-few", 8),
        (lambda: Airplanes(("zeppelin",), draw(1, seed=0).parameters), "unknown-name", "zeppelin"),
        (lambda: Airplanes(("glider",), draw(1, seed=0).parameters * np.nan), "not-finite", ""),
    ],
)
def test_what_the_family_cannot_give_is_said(call, code, named):
    with refused(code, named):
        call()

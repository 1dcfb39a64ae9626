import numpy as np
import pytest
import torch

from novelweights.shapes.airplane_parts import (
    Ball,
    Panel,
    disc_distance,
    panel_distance,
    round_cone,
    smooth_union,
)


def each(value):
    return torch.tensor([[value]], dtype=torch.float64)


@pytest.fixture
def points(rng):
    return torch.randn(4000, 3, generator=rng, dtype=torch.float64)


def axes(points):
    return tuple(points[None, :, i] for i in range(3))


WING = Panel(*(each(v) for v in (0.2, 0.5, 0.2, -0.6, 0.1, -1.0, 1.2, 0.05)))


def test_round_cone_is_the_distance_to_the_nearest_of_many_balls(points):
    start = Ball(each(-0.5), each(0.1), each(0.0), each(0.2))
    end = Ball(each(0.6), each(-0.2), each(0.3), each(0.45))
    found = round_cone(*axes(points), start, end)[0]
    t = torch.linspace(0, 1, 2001, dtype=torch.float64)
    center = torch.tensor([-0.5, 0.1, 0.0]) + t[:, None] * torch.tensor([1.1, -0.3, 0.3])
    radius = 0.2 + t * 0.25
    balls = (torch.cdist(points, center.double()) - radius).amin(dim=1)
    assert (found - balls).abs().max() < 1e-4


def test_panel_holds_what_lies_between_its_edges_and_faces(points):
    s, x = points[:, 1], points[:, 0]
    chord = 0.5 - 0.3 * s / 1.2
    quarter = 0.2 - 0.6 * s
    apart = (points[:, 2] - 0.1 * s).abs()
    ahead, behind = quarter + chord / 4 - x, x - (quarter - 0.75 * chord)
    half = torch.minimum(torch.tensor(0.05), 0.02 + torch.minimum(ahead, 0.4 * behind))
    expected = (ahead > 0) & (behind > 0) & (s < 1.2) & (s > -1) & (apart < half)
    found = panel_distance(WING, *axes(points))[0] < 0
    assert 20 < expected.sum() < 400
    assert torch.equal(found, expected)


def test_panel_knows_its_middle():
    s = np.linspace(0, 1.2, 20_001)
    chord = 0.5 - 0.25 * s
    area = chord.mean() * 1.2
    assert WING.area.item() == pytest.approx(area, rel=1e-4)
    x, at = WING.middle
    assert at.item() == pytest.approx((s * chord).mean() / chord.mean(), rel=1e-4)
    middle = 0.2 - 0.6 * s - 0.25 * chord
    assert x.item() == pytest.approx((middle * chord).mean() / chord.mean(), abs=2e-3)


def test_no_part_claims_more_room_than_there_is(points):
    near = points + 1e-3 * torch.randn(points.shape, dtype=points.dtype).sign()
    moved = (near - points).norm(dim=1)
    cone = (
        (each(0.1), each(0.0), each(0.2), each(0.3)),
        (each(0.9), each(0.0), each(0.0), each(0.1)),
    )
    parts = {
        "panel": lambda p: panel_distance(WING, *axes(p)),
        "cone": lambda p: round_cone(*axes(p), Ball(*cone[0]), Ball(*cone[1])),
        "disc": lambda p: disc_distance(
            axes(p)[0], p[None, :, 1:].norm(dim=-1), each(0.1), each(0.5), each(0.1)
        ),
    }
    parts["union"] = lambda p: smooth_union(parts["panel"](p), parts["cone"](p), each(0.3))
    for name, part in parts.items():
        change = (part(points) - part(near)).abs()[0]
        assert (change <= moved * (1 + 1e-9)).all(), name


def test_smooth_union_adds_at_most_a_quarter_of_its_width(rng):
    first, second = torch.randn(2, 1, 500, generator=rng, dtype=torch.float64)
    union = smooth_union(first, second, each(0.2))
    plain = torch.minimum(first, second)
    assert ((plain - union) >= 0).all()
    assert (plain - union).max() <= 0.05 + 1e-12
    apart = (first - second).abs() >= 0.2
    assert torch.equal(union[apart], plain[apart])

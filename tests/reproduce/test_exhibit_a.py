"""Shared and independent draws: planted samples, and the plan's seeds."""

import pytest
from planted_tables import planted, texts

from novelweights.reproduce.exhibits import exhibit_a
from novelweights.reproduce.plan import plan_of


def table():
    rows = []
    for fit in (0, 1):
        for kind, sampler, seed, n in (
            ("training", "", 0, 4),
            ("heldout", "", 0, 3),
            ("generated", "shared", 0, 8),
            ("generated", "shared", 1, 8),
            ("generated", "independent", 0, 8),
            ("generated", "independent", 1, 8),
        ):
            rows += [
                {
                    "kind": kind,
                    "sampler": sampler,
                    "fit": fit,
                    "seed": seed,
                    "accuracy": 50 + i,
                    "distance": 1.0 + fit + seed,
                    "overlap": 90.0,
                    "row": i % 2,
                }
                for i in range(n)
            ]
    return planted(rows)


def test_every_draw_of_every_fit_is_shown_with_its_number_of_checkpoints():
    said = texts(exhibit_a, table())
    for fit in (0, 1):
        assert f"training, fit {fit} (n = 4)" in said
        for draw in (0, 1):
            assert f"shared, draw {draw}, fit {fit} (n = 8)" in said
            assert f"independent, draw {draw}, fit {fit} (n = 8)" in said
    assert exhibit_a.claims(table()) == []


def test_nearest_checkpoints_that_differ_are_counted():
    figure = exhibit_a.picture(table())
    widths = sorted({round(float(bar.get_width()), 6) for bar in figure.axes[-1].patches})
    assert widths == pytest.approx([100 * 2 / 8, 100 * 2 / 4, 100 * 2 / 3], abs=1e-4)


def test_the_first_draw_is_that_of_the_audit_and_every_seed_is_another_node():
    runs = plan_of("smoke").methods["hyper-representations"]
    assert {(one.sampler, one.fit, one.seed) for one in runs.draws} == {
        (sampler, fit, seed)
        for sampler in ("shared", "independent")
        for fit in (0, 1)
        for seed in (0, 1)
    }
    assert len({one.overlaps.key for one in runs.draws}) == 8
    assert runs.draws[0].overlaps.key == runs.overlaps.key
    assert runs.draws[0].overlaps.inputs["samples"].key == runs.samples.key
    independent = runs.other_audits["independent"].inputs["samples"]
    assert independent.key in {one.overlaps.inputs["samples"].key for one in runs.draws}

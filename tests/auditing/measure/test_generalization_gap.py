"""Quantities of what samples say of their generator."""

import numpy as np
import pytest

from novelweights.auditing.measure.generalization_gap import gap_quantities
from novelweights.generators.parts.gap import gap_level
from novelweights.weights.provenance import GapLevel, GeneralizationGap, Provenance

LEVEL = GapLevel(25, 0.1, 0.4, (0.3, 0.2, 0.4), (4.0, 3.0, 5.0))


def made_by(*levels: GapLevel, timesteps: int = 500) -> Provenance:
    gap = GeneralizationGap(64, 32, timesteps, 0.95, levels)
    return Provenance("hyperdiffusion", parameters=3_000, values_in_training=1_000, gap=gap)


def test_the_gap_is_a_ratio_with_limits_per_noise_level():
    first, second, size = gap_quantities(made_by(LEVEL, GapLevel(**{**vars(LEVEL), "timestep": 9})))
    assert [first.key, second.key, size.key] == [
        "generalization_gap_25",
        "generalization_gap_9",
        "parameters_over_values",
    ]
    assert (first.value, first.lower, first.upper, first.level) == (4.0, 3.0, 5.0, 0.95)
    assert (first.n, size.value) == (96, 3.0)
    assert "noise level 5%" in first.label
    assert "64 training runs (0.1)" in first.definition
    assert {first.group, second.group, size.group} == {"generalization gap"}


def test_an_autoencoder_has_a_reconstruction_loss_and_no_noise_level():
    level = GapLevel(0, 0.1, 0.2, (None,) * 3, (2.0, 1.5, 2.5))
    [found, _] = gap_quantities(made_by(level, timesteps=1))
    assert found.key == "generalization_gap_0"
    assert "Reconstruction loss" in found.label
    assert "noise" not in found.label + found.definition
    assert (found.value, found.lower, found.upper) == (2.0, 1.5, 2.5)


def test_limits_are_left_out_where_they_are_not_known():
    [found, _] = gap_quantities(made_by(GapLevel(25, 0.1, 0.4, (None,) * 3, (4.0, None, None))))
    assert found.value == 4.0
    assert found.lower is found.upper is found.level is None
    assert "Bootstrap" not in found.definition


def test_what_is_not_known_is_no_quantity():
    assert gap_quantities(None) == gap_quantities(Provenance("noise")) == []
    without = Provenance("p-diff", parameters=3, values_in_training=1)
    assert [quantity.key for quantity in gap_quantities(without)] == ["parameters_over_values"]


def test_what_a_fit_measures_is_a_quantity():
    rng = np.random.default_rng(0)
    level = gap_level(25, rng.random(9), rng.random(9) + 1)
    assert level is not None
    found = gap_quantities(made_by(level))[0]
    assert (found.value, found.lower, found.upper) == (
        pytest.approx(level.ratio[0], rel=1e-5),
        *level.ratio[1:],
    )

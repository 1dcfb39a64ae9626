import numpy as np
import pytest

from novelweights.auditing.controls.matching import match_noise


def test_the_noise_is_found_on_a_known_curve():
    # similarity falls from 1 as 1 / (1 + std^2); 0.2 is reached at std 2
    found = match_noise(
        0.2,
        lambda std: np.array([1 / (1 + std**2)] * 3),
        largest=10.0,
        higher_is_novel=False,
    )
    assert found.std == pytest.approx(2, rel=0.01)
    assert found.reached == pytest.approx(0.2, abs=2e-3)
    assert found.reached <= 0.2
    assert "standard deviation" in found.note


def test_and_where_novelty_rises():
    found = match_noise(9.0, lambda std: np.array([std**2]), largest=100.0, higher_is_novel=True)
    assert found.std == pytest.approx(3, rel=1e-3)
    assert found.reached >= 9


@pytest.mark.parametrize("target", [0.01, 0.1, 0.3, 6.0])
def test_every_scale_up_to_the_largest_is_searched(target):
    found = match_noise(target, lambda std: np.array([std]), largest=7.0, higher_is_novel=True)
    assert found.std == pytest.approx(target, rel=1e-3)


def test_the_median_decides():
    def novelty_at(std):
        return np.array([-1e9, std, 1e9])

    found = match_noise(0.5, novelty_at, largest=4.0, higher_is_novel=True)
    assert found.std == pytest.approx(0.5, rel=0.01)


def test_generated_that_are_no_more_novel_than_copies_need_no_noise():
    found = match_noise(
        1.0, lambda std: np.exp(-std * np.ones(3)), largest=4.0, higher_is_novel=False
    )
    assert found.std == 0
    assert found.reached == 1
    assert "no more novel than unchanged" in found.note


def test_an_unreachable_novelty_is_said_to_be():
    found = match_noise(
        0.1, lambda std: np.array([0.3 + 0.7 / (1 + std)]), largest=4.0, higher_is_novel=False
    )
    assert found.std is None
    assert found.reached == pytest.approx(0.3 + 0.7 / 5)
    assert "no noise up to 4" in found.note


def test_a_step_is_bracketed():
    calls = []

    def novelty_at(std):
        calls.append(std)
        return np.array([float(std > 0.7)])

    found = match_noise(0.5, novelty_at, largest=4.0, higher_is_novel=True)
    assert found.std == pytest.approx(0.7, rel=1e-3)
    assert found.std > 0.7
    assert len(calls) < 40


@pytest.mark.parametrize(
    ("novelty", "target", "higher_is_novel"),
    [
        (lambda std: std**2, 0.3, True),
        (lambda std: np.hypot(0.1, std), 0.5, True),
        (lambda std: 1 / (1 + std**2), 0.6, False),
        (lambda std: np.expm1(5 * std), 20.0, True),
        (lambda std: np.tanh(8 * std), 0.95, True),
    ],
)
def test_few_evaluations_are_needed_where_novelty_is_smooth(novelty, target, higher_is_novel):
    calls = []

    def novelty_at(std):
        calls.append(std)
        return np.array([novelty(std)])

    found = match_noise(target, novelty_at, largest=4.0, higher_is_novel=higher_is_novel)
    assert found.reached == pytest.approx(target, rel=1e-3)
    assert len(calls) == len(set(calls)) <= 12  # bisection takes about twice as many


def test_destroyed_networks_of_infinite_novelty_are_no_obstacle():
    found = match_noise(
        0.7,
        lambda std: np.array([std if std < 1 else np.inf]),
        largest=4.0,
        higher_is_novel=True,
    )
    assert found.std == pytest.approx(0.7, rel=1e-3)


@pytest.mark.parametrize("known_below", [0.0, 0.3, 9.0])
def test_novelty_that_is_not_a_number_is_not_enough(known_below):
    found = match_noise(
        0.5,
        lambda std: np.array([std if std <= known_below else np.nan]),
        largest=4.0,
        higher_is_novel=True,
    )
    if known_below < 0.5:
        assert found.std is None
        assert "no noise up to 4" in found.note
    else:
        assert found.std == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("target", [0.0, np.nan])
def test_a_target_of_nothing_is_not_met_by_what_is_no_number(target):
    found = match_noise(target, lambda std: np.array([np.nan]), largest=4.0, higher_is_novel=True)
    assert found.std is None


def test_weights_without_spread_have_no_noise():
    found = match_noise(0.5, lambda std: np.array([std]), largest=0.0, higher_is_novel=True)
    assert (found.std, found.reached) == (None, 0.0)

import copy

import matplotlib as mpl
import pytest
from matplotlib.colors import to_hex

from novelweights.report.generalization_gap import draw_gap, has_noise_levels
from novelweights.report.style import BLUE, STYLE, TEAL, finish

LEVELS = (25, 100, 250, 400)


def settings_of(losses=lambda step, t: (1 / step, 1.0), levels=LEVELS, steps=range(100, 2001, 100)):
    rows = [[step, t, *losses(step / 100, t)] for step in steps for t in levels]
    gap = {
        "n_train": 64,
        "n_heldout": 60,
        "timesteps": 500,
        "confidence": 0.95,
        "levels": [
            {"timestep": t, "loss_train": 0.05, "loss_heldout": 1.0, "ratio": [20, 18, 22]}
            for t in levels
        ],
        "history": rows,
    }
    return {"generator": {"method": "hyperdiffusion", "gap": gap}}


def drawn(settings):
    with mpl.rc_context(STYLE):
        made = draw_gap(settings)
        assert made is not None
        figure, alt = made
        return figure, finish(figure, alt)


def test_every_level_has_a_panel_with_training_in_blue_and_held_out_in_teal():
    figure, drawing = drawn(settings_of())
    assert len(figure.axes) == 4
    for ax in figure.axes:
        curves = {to_hex(line.get_color()).upper(): line.get_ydata() for line in ax.get_lines()}
        assert set(curves) == {BLUE, TEAL}
        assert curves[BLUE][-1] == pytest.approx(0.05)
        assert curves[TEAL][-1] == 1.0
        assert ax.get_yscale() == "log"
    assert "over 2,000 steps" in drawing.alt
    assert "noise level 5%: training 0.0500, held-out 1, ratio 20" in drawing.alt
    assert figure.axes[3].get_title() == "noise level 80%, ratio 20"


def test_an_autoencoder_gets_one_panel_without_a_noise_level():
    settings = settings_of(levels=(0,))
    settings["generator"]["gap"]["timesteps"] = 1
    figure, drawing = drawn(settings)
    [ax] = figure.axes
    assert (ax.get_title(), ax.get_ylabel()) == ("ratio 20", "reconstruction loss")
    assert "own reconstruction loss on training and held-out checkpoints over" in drawing.alt
    assert "At the end: training 0.0500, held-out 1, ratio 20." in drawing.alt
    assert "noise" not in drawing.alt
    assert not has_noise_levels({"generated": {"settings": settings}})
    for made in (None, {}, {"settings": settings_of()}, {"settings": {}}):
        assert has_noise_levels({"generated": made})


def test_equal_settings_give_equal_bytes():
    one, other = (drawn(settings_of())[1] for _ in range(2))
    assert (one.svg, one.png) == (other.svg, other.png)


def test_losses_of_one_size_are_drawn_from_zero():
    figure, _ = drawn(settings_of(lambda step, t: (0.5, 0.6)))
    assert figure.axes[0].get_yscale() == "linear"
    assert figure.axes[0].get_ylim()[0] == 0


def test_more_levels_than_panels_are_thinned_and_one_look_is_enough():
    figure, _ = drawn(settings_of(levels=tuple(range(0, 500, 50))))
    assert [ax.get_title()[:15] for ax in figure.axes] == [
        *("noise level 0%,", "noise level 30%", "noise level 60%", "noise level 90%")
    ]
    drawn(settings_of(steps=[1], levels=(0,)))


def test_without_a_history_there_is_no_figure():
    settings = settings_of()
    assert draw_gap({}) is None
    assert draw_gap({"generator": [1, 2]}) is None
    for history in ([], None, [[1, 2, 3]], [[1, 7, 1.0, 1.0]]):
        without = copy.deepcopy(settings)
        without["generator"]["gap"]["history"] = history
        assert draw_gap(without) is None

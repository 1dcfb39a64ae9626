"""Distributions of single weights, with planted populations."""

from types import SimpleNamespace

import numpy as np
import pytest

from novelweights.report.style import finish
from novelweights.reproduce import distribution_exhibits
from novelweights.reproduce.distribution_exhibits import concentration
from novelweights.reproduce.drawing import styled
from novelweights.reproduce.exhibits import figure_07, figure_16, figure_17
from novelweights.reproduce.plan import plan_of
from novelweights.reproduce.runs import Runs

N_TRAINING, N_GENERATED, N_WEIGHTS = 60, 40, 50
RNG = np.random.default_rng(0)
ENTRIES = RNG.permutation(128)[:N_WEIGHTS]
TRAINING = RNG.normal(ENTRIES, 1.0, (N_TRAINING, N_WEIGHTS)).astype(np.float32)


def audit_of(generated):
    """An audit whose training values of weight i lie about i."""
    whole = SimpleNamespace(value=0.5, lower=0.4, upper=None)
    result = SimpleNamespace(
        about={"first_parameter": "layer4.1.bn1.weight"}, quantity=lambda key: whole
    )
    arrays = {
        "entry_parameters": ENTRIES,
        "entry_training": TRAINING,
        "entry_generated": generated.astype(np.float32),
    }
    return SimpleNamespace(result=result, plot_data=arrays)


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """The table of an exhibit of planted generated values, through its file."""

    def make(exhibit, generated):
        monkeypatch.setattr(
            distribution_exhibits, "audit_at", lambda runs, node: audit_of(generated)
        )
        monkeypatch.setattr(distribution_exhibits, "about", lambda audit: {"data": "planted"})
        table = exhibit.numbers(Runs(tmp_path), plan_of("smoke"))
        table.write(tmp_path, "figure")
        return type(table).read(tmp_path / "figure.json")

    return make


def test_concentration_is_the_ratio_of_mean_absolute_deviations():
    generated = TRAINING[:N_GENERATED] * 0.5
    means = [sum(map(float, column)) / N_TRAINING for column in TRAINING.T]
    ratios = [
        (sum(abs(float(v) - mean) for v in ours) / N_GENERATED)
        / (sum(abs(float(v) - mean) for v in theirs) / N_TRAINING)
        for mean, ours, theirs in zip(means, generated.T, TRAINING.T, strict=True)
    ]
    found = concentration(TRAINING, generated)
    assert found["deviation_ratio"] == pytest.approx(float(np.median(ratios)), rel=1e-5)
    assert found["nearer_share"] == np.mean(np.array(ratios) < 1)


def test_averages_concentrate_and_draws_of_the_same_distribution_do_not(drawn):
    averages = RNG.permuted(np.tile(TRAINING, (16, 1)), axis=0)[: 16 * N_GENERATED]
    averages = averages.reshape(16, N_GENERATED, N_WEIGHTS).mean(axis=0)
    table = drawn(figure_17, averages)
    assert table.about["deviation_ratio"] == pytest.approx(0.25, abs=0.05)
    assert table.about["nearer_share"] == 1
    same = RNG.normal(ENTRIES, 1.0, (N_GENERATED, N_WEIGHTS))
    assert drawn(figure_17, same).about["deviation_ratio"] == pytest.approx(1, abs=0.1)


def test_figures_draw_five_and_fifty_weights_in_order_with_n_and_no_claim(drawn):
    for exhibit, n in ((figure_07, 5), (figure_16, 5), (figure_17, 50)):
        table = drawn(exhibit, TRAINING[:N_GENERATED])
        names = [f"weight {entry}" for entry in sorted(ENTRIES[:n])]
        assert list(table.rows.columns) == [*names, "kind"]
        for place, entry in enumerate(ENTRIES[:n]):
            values = table.values(f"weight {entry}", kind="training")
            assert values == pytest.approx(TRAINING[:, place], rel=1e-5)
        with styled():
            figure = exhibit.picture(table)
            assert finish(figure, table.title).png[:4] == b"\x89PNG"
        titles = [ax.get_title() for ax in figure.axes]
        assert titles == [str(entry) for entry in sorted(ENTRIES[:n])]
        words = " ".join(text.get_text() for text in figure.texts)
        assert f"n = {N_TRAINING} training and {N_GENERATED} generated" in words
        assert exhibit.claims(table) == []
        plan = plan_of("smoke")
        assert exhibit.needs(plan) == [plan.methods["p-diff"].audit]


def test_figure_16_draws_the_weights_of_figure_7_as_histograms(drawn):
    seven, sixteen = (drawn(exhibit, TRAINING[:8]) for exhibit in (figure_07, figure_16))
    assert seven.rows.equals(sixteen.rows)
    with styled():
        smooth, raw = figure_07.picture(seven), figure_16.picture(sixteen)
    assert smooth.axes[0].get_lines()[0].get_xdata().size > 100
    assert len(raw.axes[0].get_lines()) == 1

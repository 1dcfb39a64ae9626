"""Networks from scratch beside P-diff's checkpoints: figure 15, tables 3 and 4."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from novelweights.report.style import finish
from novelweights.reproduce.drawing import styled
from novelweights.reproduce.exhibits import figure_15, table_03, table_04
from novelweights.reproduce.outcomes import Outcome
from novelweights.reproduce.plan import plan_of
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table
from novelweights.zoos import find_zoo

RNG = np.random.default_rng(0)
KINDS = {"training": 20, "generated": 8, "from_scratch": 3, "heldout": 2}
ROWS = {kind: RNG.normal(size=(n, 64)).astype(np.float32) for kind, n in KINDS.items()}
PAPER = {
    "pairs_training": 6.9,
    "pairs_training_generated": 6.3,
    "pairs_from_scratch": 46.1,
    "nearest_training": 0.3,
    "nearest_generated": 5.4,
    "nearest_from_scratch": 44.1,
}
FIXED = ("pairs_training", "nearest_training")
SETTINGS = {
    "training": {
        "epochs": 30,
        "batch_size": 128,
        "learning_rate": 5e-4,
        "weight_decay": 0.001,
        "augmentation": "crop",
    },
    "data": {"name": "cifar-10-jpeg"},
}


def audit_of(values, n_scratch=3):
    """An audit with these numbers, each with an interval of a tenth about it."""

    def quantity(key, value):
        n = n_scratch if "from_scratch" in key else 40
        lower, upper = (None, None) if key in FIXED else (0.9 * value, 1.1 * value)
        return SimpleNamespace(key=key, value=value, lower=lower, upper=upper, n=n)

    result = SimpleNamespace(
        about={"from_scratch": {"n": n_scratch, "settings": SETTINGS}},
        quantities=[quantity(key, value) for key, value in values.items()],
        training=SimpleNamespace(quality=np.array([76.6, 77.0])),
        from_scratch=SimpleNamespace(quality=np.array([75.1, 75.7])),
    )
    arrays = {f"row_{kind}": values for kind, values in ROWS.items()}
    return SimpleNamespace(
        result=result, plot_data=arrays | {"row_parameters": np.arange(0, 640, 10)}
    )


@pytest.fixture
def read(monkeypatch, tmp_path):
    """The table of an exhibit of a planted audit, through its file."""

    def make(exhibit, audit):
        monkeypatch.setattr(exhibit, "audit_at", lambda runs, node: audit)
        told = {"data": "CIFAR-10 (JPEG copy)", "network": "resnet18-16: bn1", "training_runs": 1}
        monkeypatch.setattr(exhibit, "about", lambda audit: told)
        plan = plan_of("smoke")
        assert exhibit.needs(plan) == [plan.methods["p-diff"].audit]
        table = exhibit.numbers(Runs(tmp_path), plan)
        table.write(tmp_path, "exhibit")
        table = Table.read(tmp_path / "exhibit.json")
        with styled():
            figure = exhibit.picture(table)
            assert finish(figure, table.title).png[:4] == b"\x89PNG"
        return table, figure

    return make


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_figure_15_shows_the_same_weights_of_every_kind(read):
    table, figure = read(figure_15, audit_of(PAPER))
    shown = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    order = ["training", "generated", "from_scratch", "heldout"]
    for image, kind in zip(shown, order, strict=True):
        assert np.array(image) == pytest.approx(ROWS[kind], rel=1e-5)
    expected = float(np.median(ROWS["from_scratch"].std(axis=0)))
    assert table.about["spread"]["from_scratch"] == pytest.approx(expected)
    assert figure_15.claims(table) == []


def test_table_3_tells_our_recipe_beside_the_papers(read):
    table, figure = read(table_03, audit_of(PAPER))
    ours = dict(zip(table.values("setting"), table.values("ours"), strict=True))
    assert ours["learning rate"] == "5e-4"
    assert ours["weight decay"] == "1e-3"
    assert ours["training epochs"] == "30"
    assert ours["networks"] == "3"
    assert ours["network"] == "resnet18-16"
    assert ours["accuracy of these networks"].startswith("75.4% \u00b1 0.30%")
    assert {"300", "RandomResizedCrop & RandAug (9, 0.5)"} <= set(texts(figure))
    assert table_03.claims(table) == []


def test_table_3_knows_the_words_of_every_recipe():
    names = ("cifar-100-resnet18", "cifar-10-jpeg-resnet18", "photo-patch-10-resnet18")
    used = {find_zoo(name).recipe.augmentation for name in names}
    assert used <= set(table_03.AUGMENTATIONS)


def test_table_4_agrees_with_itself(read):
    table, figure = read(table_04, audit_of(PAPER))
    claims = table_04.claims(table)
    assert [claim.outcome for claim in claims] == [Outcome.AGREES] * 5
    for claim in claims:
        assert claim.effect.value == pytest.approx(claim.paper.effect)
        assert claim.effect.lower < claim.effect.value < claim.effect.upper
    pairs, mixed = claims[0].effect, claims[1].effect
    assert (pairs.lower, pairs.upper) == pytest.approx(
        (1 - 6.9 / (0.9 * 46.1), 1 - 6.9 / (1.1 * 46.1))
    )
    assert mixed.lower == pytest.approx(1 - 1.1 * 6.3 / (0.9 * 46.1))
    assert {"46.1", "46.1  [41.5, 50.7]", "76.8% \u00b1 0.2%"} <= set(texts(figure))


def test_table_4_disagrees_where_networks_from_scratch_are_no_farther_apart(read):
    values = PAPER | {"pairs_from_scratch": 6.0, "nearest_from_scratch": 0.2}
    *narrower, apart = table_04.claims(read(table_04, audit_of(values))[0])
    assert [claim.outcome for claim in narrower] == [Outcome.DISAGREES] * 4
    assert apart.outcome is Outcome.AGREES


def test_table_4_is_too_small_to_tell_where_the_interval_holds_half_the_papers_effect(read):
    values = PAPER | {"pairs_from_scratch": 6.9 / (1 - 0.41), "nearest_generated": 0.3 / 0.55}
    first, *_, apart = table_04.claims(read(table_04, audit_of(values))[0])
    assert first.outcome is Outcome.TOO_SMALL
    assert apart.outcome is Outcome.TOO_SMALL


def test_table_4_of_two_networks_from_scratch_claims_nothing_of_them(read):
    table, _ = read(table_04, audit_of(PAPER, n_scratch=2))
    [apart] = table_04.claims(table)
    assert apart.paper.effect == pytest.approx(1 - 0.3 / 5.4)
    assert pd.isna(table.values("n", key="nearest_from_scratch")).sum() == 0
    assert not len(table.values("lower", key="nearest_from_scratch"))

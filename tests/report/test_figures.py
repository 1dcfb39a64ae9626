"""The figures of a report: which are drawn from what, and what their text alternatives say."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import write_run

from novelweights.audit.result import AuditResult
from novelweights.report.figures import draw
from novelweights.report.look import BLUE, RED, TEAL, groups_of
from novelweights.report.trade_off import draw_trade_off


def _result(folder: Path) -> AuditResult:
    return AuditResult.from_json(json.loads((folder / "audit.json").read_text()))


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> AuditResult:
    return _result(write_run(tmp_path_factory.mktemp("figures") / "run"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> AuditResult:
    return _result(write_run(tmp_path_factory.mktemp("figures") / "run", "bare"))


def test_one_color_per_population(copies: AuditResult):
    groups = groups_of(copies)
    assert [group.color for group in groups[:3]] == [BLUE, TEAL, RED]
    assert len({group.color for group in groups}) == len(groups)
    assert len({group.marker for group in groups}) == len(groups)


def test_without_task_heldout_and_pictures_the_rest_is_drawn(bare: AuditResult):
    assert set(draw(bare, {})) == {"distances", "cosines", "nearest"}
    with pytest.raises(ValueError, match="task"):
        draw_trade_off(bare)


def test_alternative_texts_state_the_medians(copies: AuditResult):
    drawn = draw(copies, {})
    median = np.median(copies.generated.distance)
    assert f"generated, n = 200, median {median:.3f}" in drawn["distances"].alt
    assert "held-out, n = 100" in drawn["cosines"].alt
    assert "generated 0.96" in drawn["sources"].alt


def test_counts_of_nearest_runs_are_exact(copies: AuditResult):
    hits = np.bincount(copies.generated.neighbor_rows[:, 0], minlength=300)
    alt = draw(copies, {})["nearest"].alt
    assert f"most: {hits.max()} of 200. {(hits == 0).sum()} of 300 never are." in alt


def test_agreement_of_regions_is_exact(copies: AuditResult):
    regions = np.zeros((1, 2, 100, 100), np.uint8)
    regions[0, 1, :25] = 3
    pictures = {"regions": regions, "region_rows": np.array([4])}
    assert "same class on 75.0%" in draw(copies, pictures)["regions"].alt


def test_close_up_only_where_outliers_hide_the_rest(copies: AuditResult):
    assert "trade_off_zoom" in draw(copies, {})
    without = replace(copies, baselines={"noise": copies.baselines["noise"]})
    assert "trade_off_zoom" not in draw(without, {})


def test_equal_input_gives_equal_bytes_and_well_formed_svg(copies: AuditResult):
    first, second = draw(copies, {}), draw(copies, {})
    assert first == second
    for drawing in first.values():
        ElementTree.fromstring(drawing.svg)
        assert drawing.png.startswith(b"\x89PNG")


def test_odd_names_do_not_break_a_figure(copies: AuditResult):
    names = list(copies.training.names)
    nearest = copies.generated.neighbor_rows[:, 0]
    for row in np.unique(nearest):
        names[row] = f"$\\frac{{{row}$ \u7db2\u8def " + "x" * 80
    training = replace(copies.training, names=names)
    drawn = draw(replace(copies, training=training), {})
    assert "nearest" in drawn


def test_one_checkpoint_or_equal_distances_can_be_drawn(copies: AuditResult):
    found = copies.generated
    one = {
        name: values[:1]
        for name, values in vars(found).items()
        if isinstance(values, np.ndarray | list)
    }
    one["neighbor_distances"] = np.zeros((1, 3))  # an exact copy
    result = replace(copies, generated=replace(found, **one), heldout=None)
    assert "generated, n = 1, median 0" in draw(result, {})["distances"].alt

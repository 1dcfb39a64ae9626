"""The figures of a report: which are drawn from what, and what their text alternatives say."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import write_run

from novelweights.auditing.result import AuditResult
from novelweights.report.figures import draw, draw_distances, draw_regions
from novelweights.report.layers import draw_layers
from novelweights.report.one_run_figures import draw_entries
from novelweights.report.run_folder import RunFolder, read_run_folder
from novelweights.report.sources import draw_made_of
from novelweights.report.style import BLUE, RED, TEAL, Drawing, finish, groups_of
from novelweights.report.trade_off import draw_trade_off, needs_zoom


def _result(folder: Path) -> AuditResult:
    return AuditResult.from_json(json.loads((folder / "audit.json").read_text()))


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> AuditResult:
    return _result(write_run(tmp_path_factory.mktemp("figures") / "run"))


@pytest.fixture(scope="module")
def drawn(copies: AuditResult) -> dict[str, Drawing]:
    return draw(copies, {})


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> AuditResult:
    return _result(write_run(tmp_path_factory.mktemp("figures") / "run", "bare"))


@pytest.fixture(scope="module")
def mosaic(tmp_path_factory: pytest.TempPathFactory) -> AuditResult:
    return _result(write_run(tmp_path_factory.mktemp("figures") / "run", "mosaic"))


@pytest.fixture(scope="module")
def one_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return read_run_folder(write_run(tmp_path_factory.mktemp("figures") / "run", "one_run"))


def test_one_color_per_population(copies: AuditResult):
    groups = groups_of(copies)
    assert [group.color for group in groups[:3]] == [BLUE, TEAL, RED]
    assert len({group.color for group in groups}) == len(groups)
    assert len({group.marker for group in groups}) == len(groups)


def test_no_picture_ends_a_page(copies: AuditResult, monkeypatch: pytest.MonkeyPatch):
    def degenerate(*given: object, **options: object) -> None:
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr("novelweights.report.figures.draw_cosines", degenerate)
    monkeypatch.setattr("novelweights.report.figures.draw_gap", degenerate)
    found = draw(copies, {})
    assert "singular" in found["cosines"].alt
    assert "singular" in found["generalization_gap"].alt
    assert "singular" not in found["distances"].alt


def test_no_picture_of_one_run_or_of_shapes_ends_a_page(
    one_run: RunFolder, monkeypatch: pytest.MonkeyPatch
):
    def degenerate(*given: object) -> None:
        raise np.linalg.LinAlgError("singular")

    points = {"tsne_points": np.zeros((2, 2)), "tsne_groups": np.zeros(2, dtype=int)}
    monkeypatch.setattr("novelweights.report.one_run_figures.draw_map", degenerate)
    monkeypatch.setattr("novelweights.report.shape_drawing.draw_pairs", degenerate)
    monkeypatch.setattr("novelweights.report.shape_drawing.shape_pairs", lambda _: {"random": []})
    found = draw(one_run.result, points, one_run.verdict)
    assert "singular" in found["map"].alt
    assert "singular" in found["shapes"].alt
    assert "singular" not in found["distances"].alt


def test_densities_of_equal_values_are_lines():
    """The float32 mean of values that are all the same is not quite any of them."""
    rng = np.random.default_rng(0)
    values = np.full((10, 4), 0.1, dtype=np.float32)
    nearly = (values * (1 + 1e-7 * rng.standard_normal(values.shape))).astype(np.float32)
    for same in (values, nearly):
        figure, alt = draw_entries(np.arange(4), same, rng.standard_normal((6, 4)))
        finish(figure, alt)


def test_without_task_heldout_and_pictures_the_rest_is_drawn(bare: AuditResult):
    assert set(draw(bare, {})) == {"distances", "cosines", "nearest"}
    with pytest.raises(ValueError, match="task"):
        draw_trade_off(bare)


def test_alternative_texts_state_the_medians(copies: AuditResult, drawn: dict[str, Drawing]):
    median = np.median(copies.generated.distance)
    assert f"generated, n = 200, median {median:.3f}" in drawn["distances"].alt
    assert "held-out, n = 100" in drawn["cosines"].alt
    assert "generated 0.96" in drawn["sources"].alt


def test_counts_of_nearest_runs_are_exact(copies: AuditResult, drawn: dict[str, Drawing]):
    hits = np.bincount(copies.generated.neighbor_rows[:, 0], minlength=300)
    alt = drawn["nearest"].alt
    assert f"most: {hits.max()} of 200. {(hits == 0).sum()} of 300 never are." in alt


def test_agreement_of_regions_is_exact(copies: AuditResult):
    regions = np.zeros((1, 2, 100, 100), np.uint8)
    regions[0, 1, :25] = 3
    assert "same class on 75.0%" in draw_regions(copies, regions, np.array([4]))[1]
    figure, _ = draw_regions(copies, regions, np.array([4]))
    assert len(figure.legends) == 1
    many = np.arange(2 * 20 * 20).reshape(1, 2, 20, 20) % 40
    assert draw_regions(copies, many, np.array([4]))[0].legends == []


def test_close_up_only_where_outliers_hide_the_rest(copies: AuditResult):
    assert needs_zoom(copies)
    without = replace(copies, baselines={"noise": copies.baselines["noise"]}, controls={})
    assert not needs_zoom(without)


@pytest.mark.integration
def test_equal_input_gives_equal_bytes_and_well_formed_svg(
    copies: AuditResult, drawn: dict[str, Drawing]
):
    assert draw(copies, {}) == drawn
    for drawing in drawn.values():
        ElementTree.fromstring(drawing.svg)
        assert drawing.png.startswith(b"\x89PNG")


@pytest.mark.integration
def test_odd_names_do_not_break_a_figure(copies: AuditResult):
    names = list(copies.training.names)
    nearest = copies.generated.neighbor_rows[:, 0]
    for row in np.unique(nearest):
        names[row] = f"$\\frac{{{row}$ \u7db2\u8def " + "x" * 80
    training = replace(copies.training, names=names)
    drawn = draw(replace(copies, training=training), {})
    assert {"nearest", "layers", "made_of"} <= set(drawn)


@pytest.mark.integration
def test_one_checkpoint_or_equal_distances_can_be_drawn(copies: AuditResult):
    found = copies.generated
    one = {
        name: values[:1]
        for name, values in vars(found).items()
        if isinstance(values, np.ndarray | list)
    }
    one["neighbor_distances"] = np.zeros((1, 3))  # an exact copy
    result = replace(copies, generated=replace(found, **one), heldout=None)
    result = replace(result, p_values={}, controls={})
    assert "generated, n = 1, median 0" in draw(result, {})["distances"].alt


def test_layers_of_copies_are_of_one_run_and_those_of_mosaics_are_not(
    copies: AuditResult, mosaic: AuditResult
):
    copied, mixed = (draw_layers(result)[1] for result in (copies, mosaic))
    assert "Map of 2 layers of 60 generated checkpoints" in copied
    assert (
        "beyond held-out runs: 60; of these 60 have one run in all layers, 0 have several" in copied
    )
    assert (
        "beyond held-out runs: 60; of these 0 have one run in all layers, 60 have several" in mixed
    )


def test_layers_are_pale_where_a_fresh_run_is_as_near(mosaic: AuditResult):
    p_values = {**mosaic.p_values, "layers_all_near": np.ones(200)}
    figure, alt = draw_layers(replace(mosaic, p_values=p_values))
    assert "beyond held-out runs: 0" in alt
    cells = figure.axes[0].images[0].get_array()
    full = draw_layers(mosaic)[0].axes[0].images[0].get_array()
    assert cells is not None
    assert full is not None
    assert (np.asarray(cells) > np.asarray(full)).any()
    unranked = draw_layers(replace(mosaic, p_values={}))[0].axes[0].images[0].get_array()
    assert np.array_equal(np.asarray(unranked), np.asarray(full))


def test_runs_without_a_color_differ_in_shade_within_a_checkpoint(copies: AuditResult):
    found = copies.generated.select(np.arange(3))
    rows = np.array([[0, 0], [1, 2], [3, 4]])  # a copy and two mosaics, each run once or twice
    result = replace(copies, generated=replace(found, layer_rows=rows), p_values={})
    image = draw_layers(result)[0].axes[0].images[0].get_array()
    cells = np.asarray(image)
    order = np.argsort(found.distance, kind="stable").tolist()
    for sample, is_same in ((0, True), (1, False), (2, False)):
        x = order.index(sample)
        assert np.array_equal(cells[0, x], cells[1, x]) is is_same


def test_layers_or_sources_that_were_not_measured_are_not_drawn(bare: AuditResult):
    with pytest.raises(ValueError, match="every layer"):
        draw_layers(bare)
    with pytest.raises(ValueError, match="closest mixtures"):
        draw_made_of(bare)


def test_sources_are_named_sample_by_sample(copies: AuditResult):
    figure, alt = draw_made_of(copies)
    nearest = int(copies.generated.distance.argmin())
    source = copies.training.names[copies.generated.source_rows[nearest, 0]]
    assert f"25 samples nearest to training. sample-{nearest:04d}: {source} 0.96" in alt
    assert f"{source}  0.96" in {text.get_text() for text in figure.axes[0].texts}


def test_narrow_sources_are_not_named(copies: AuditResult):
    n = len(copies.generated)
    found = replace(copies.generated, source_weights=np.tile([0.11, 0.04, 0.01], (n, 1)))
    texts = draw_made_of(replace(copies, generated=found))[0].axes[0].texts
    assert len(texts) == 25
    assert all("0.11" not in text.get_text() for text in texts)  # the name alone fits


def test_noise_ladder_is_a_line_through_medians(copies: AuditResult, bare: AuditResult):
    figure, alt = draw_trade_off(copies)
    rungs = [planted for planted in copies.controls.values() if planted.noise is not None]
    [line] = [line for line in figure.axes[0].lines if len(line.get_xydata()) > 1]
    assert len(line.get_xydata()) == len(rungs)
    assert "noise ladder, least noise first" in alt
    without = {key: p for key, p in copies.controls.items() if p.noise is None}
    assert "noise ladder" not in draw_trade_off(replace(copies, controls=without))[1]


def test_one_run_is_shown_below_the_band_of_fresh_runs(one_run: RunFolder):
    drawn = draw(one_run.result, {}, one_run.verdict)
    assert "controls" in drawn
    assert "training, within the run, n = 300, median 0.2" in drawn["distances"].alt
    assert "held-out, last steps, n = 100, median 17.7" in drawn["distances"].alt
    assert one_run.verdict.has_few_runs(one_run.result)
    assert not one_run.verdict.has_few_runs(replace(one_run.result, n_runs=None))
    zeros = replace(one_run.result.generated, neighbor_distances=np.zeros((200, 3)))
    with_copies = replace(one_run.result, generated=zeros)
    assert draw_distances(with_copies, few_runs=True)[0].axes[0].get_xscale() == "linear"
    assert draw_distances(one_run.result, few_runs=True)[0].axes[0].get_xscale() == "log"


@pytest.mark.integration
def test_generalization_gap_is_drawn_where_the_samples_tell_of_it(
    bare: AuditResult, drawn: dict[str, Drawing]
):
    assert "1,000 steps" in drawn["generalization_gap"].alt
    for about in ({}, {"generated": None}, {"generated": {"settings": 3}}):
        assert "generalization_gap" not in draw(replace(bare, about=about), {})

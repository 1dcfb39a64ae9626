"""Images of meshes against brute force, and the page's section on shapes."""

import json
import shutil
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import page_of, text_of, unbalanced
from refused import refused
from shape_data import NOTHING, box, shape_arrays
from synthetic import edit_json

from novelweights.report.figures import draw
from novelweights.report.page import build_report
from novelweights.report.run_folder import read_run_folder
from novelweights.report.shape_drawing import apart, caption
from novelweights.report.shape_pairs import SHAPE_ARRAYS, shape_pairs
from novelweights.report.shape_raster import AMBIENT, joint_frame, render, rotation
from novelweights.report.trade_off import draw_trade_off

pytestmark = pytest.mark.integration

LEVEL_VIEW = rotation(0.0, 0.0)
SIZE = (24, 32)


def _triangle(*corners: tuple[float, float, float]) -> np.ndarray:
    return np.array(corners)


def _covered(
    corners: np.ndarray, view: np.ndarray, frame: tuple[float, float, float]
) -> np.ndarray:
    """Which of the (twice as fine) pixels have their center in a triangle, and how near it is."""
    height, width = 2 * SIZE[0], 2 * SIZE[1]
    right, up, across = frame
    seen = corners @ view.T
    depth = np.full((height, width), -np.inf)
    for y in range(height):
        for x in range(width):
            point = np.array(
                [
                    right + ((x + 0.5) / width - 0.5) * across,
                    up - ((y + 0.5) / height - 0.5) * across * height / width,
                ]
            )
            system = np.vstack([seen[:, :2].T, np.ones(3)])
            weights = np.linalg.solve(system, np.append(point, 1.0))
            if weights.min() >= 0:
                depth[y, x] = weights @ seen[:, 2]
    return depth


def test_a_view_is_a_rotation():
    for turn, tilt in ((0.0, 0.0), (0.7, -0.3), (-2.0, 1.5)):
        view = rotation(turn, tilt)
        np.testing.assert_allclose(view @ view.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(view) == pytest.approx(1)
    np.testing.assert_allclose(LEVEL_VIEW @ [0, 0, 1], [0, 1, 0])  # z is up
    np.testing.assert_allclose(LEVEL_VIEW @ [0, -1, 0], [0, 0, 1])  # seen from -y
    np.testing.assert_allclose(rotation(0.0, np.pi / 2) @ [0, 0, 1], [0, 0, 1], atol=1e-12)


def test_of_two_crossing_triangles_the_nearer_is_seen_in_every_pixel():
    first = _triangle((-0.4, 0.3, -0.35), (0.45, -0.3, -0.3), (0.0, 0.0, 0.4))
    second = _triangle((-0.4, -0.3, 0.3), (0.4, 0.25, 0.33), (0.05, 0.02, -0.4))
    view, frame = rotation(0.2, 0.3), (0.0, 0.0, 1.1)
    depths = [_covered(corners, view, frame) for corners in (first, second)]
    faces = np.array([[0, 1, 2]])
    alone = [render(corners, faces, view, frame, SIZE) for corners in (first, second)]
    both = render(
        np.concatenate([first, second]), np.array([[0, 1, 2], [3, 4, 5]]), view, frame, SIZE
    )
    shades = [image[image < 1].min() for image in alone]  # flat triangles: one brightness
    assert shades[0] != pytest.approx(shades[1], abs=0.02)
    fine = np.ones((2 * SIZE[0], 2 * SIZE[1]))
    nearer = np.where(depths[0] > depths[1], shades[0], shades[1])
    fine = np.where(np.maximum(*depths) > -np.inf, nearer, fine)
    assert (depths[0] > depths[1]).any()
    assert (np.isfinite(depths[0]) & (depths[0] < depths[1])).any()
    wanted = fine.reshape(SIZE[0], 2, SIZE[1], 2).mean(axis=(1, 3))
    np.testing.assert_allclose(both, wanted, atol=1e-9)


def test_the_silhouette_of_a_closed_body_has_no_holes():
    steps, faces = box(0.3, 0.2, 0.1)
    vertices = steps / 65_535 - 0.5
    frame = joint_frame([vertices], LEVEL_VIEW, SIZE[1] / SIZE[0])
    image = render(vertices, faces, LEVEL_VIEW, frame, SIZE)
    inside = image < 1
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    assert inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert len(columns) / len(rows) == pytest.approx(3, rel=0.15)
    assert len(columns) >= 0.9 * SIZE[1]


def test_the_inner_side_of_a_face_is_darker():
    corners = _triangle((-0.4, 0.0, -0.4), (0.4, 0.0, -0.4), (0.0, 0.0, 0.4))
    outer, inner = (
        render(corners, np.array([face]), LEVEL_VIEW, (0.0, 0.0, 1.0), SIZE).min()
        for face in ([0, 1, 2], [0, 2, 1])
    )
    assert AMBIENT < inner < outer < 1


def test_no_mesh_and_degenerate_faces_leave_an_image_white():
    nothing = np.zeros((0, 3))
    assert joint_frame([nothing, nothing], LEVEL_VIEW, 1.5) == (0.0, 0.0, 1.0)
    faces = np.zeros((0, 3), np.uint16)
    assert (render(nothing, faces, LEVEL_VIEW, (0.0, 0.0, 1.0), SIZE) == 1).all()
    line = _triangle((-0.4, 0.0, -0.4), (0.0, 0.0, 0.0), (0.4, 0.0, 0.4))
    assert (render(line, np.array([[0, 1, 2]]), LEVEL_VIEW, (0.0, 0.0, 1.0), SIZE) == 1).all()


@pytest.fixture(scope="module")
def shapes(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with shapes in place of decision regions, and its page."""
    folder = tmp_path_factory.mktemp("shapes") / "run"
    shutil.copytree(runs["copies"], folder)
    data = json.loads((folder / "audit.json").read_text())
    measures = {
        "quality": data["quality"] | {"name": "to test", "unit": "", "higher_is_better": False},
        "novelty": data["novelty"] | {"name": "to training", "higher_is_better": True},
    }
    edit_json(folder / "audit.json", **measures)
    _save(folder, shape_arrays())
    build_report(folder)
    return folder


def test_pairs_come_back_as_they_were_stored():
    arrays = shape_arrays()
    pairs = shape_pairs(arrays)
    assert {group: len(found) for group, found in pairs.items()} == {
        "random": 3,
        "further": 9,
        "percentile": 5,
    }
    np.testing.assert_array_equal(pairs["random"][2].generated.steps, box(0.4, 0.12, 0.05)[0])
    assert pairs["random"][1].generated.is_empty
    assert [pair.percentile for pair in pairs["percentile"]] == [0, 25, 50, 75, 100]
    assert [pair.row for pair in pairs["further"]] == arrays["shape_rows"][3:12].tolist()
    steps, faces = pairs["random"][0].generated.data
    decoded = np.frombuffer(b64decode(steps), "<u2").reshape(-1, 3)
    np.testing.assert_array_equal(decoded, pairs["random"][0].generated.steps)
    assert len(b64decode(faces)) == 2 * 3 * 12
    assert shape_pairs({}) == {}


@pytest.mark.integration
def test_the_page_shows_shapes_where_classifiers_have_regions(shapes: Path):
    page = page_of(shapes)
    text = text_of(page)
    for said in (
        "logit is 1.386",
        "a grid of 96 points per axis",
        "on a grid of 356",
        "no surface",
        "have other shapes than those it learned from",
        "After figure 13 of the paper",
        "After figure 14 of the paper",
    ):
        assert said in text
    assert "decision regions" not in text
    assert page.count("<canvas") == 5  # three pairs, one shape without surface
    assert unbalanced(page) == []
    made = {path.name for path in (shapes / "figures").glob("shapes*")}
    stems = ("shapes", "shapes_further", "shapes_percentile")
    assert made == {f"{stem}.{suffix}" for stem in stems for suffix in ("svg", "png")}


def test_pages_without_shapes_have_no_section_and_no_script_for_them(runs: dict[str, Path]):
    page = page_of(runs["copies"])
    assert "<canvas" not in page
    assert "Uint16Array" not in page


@pytest.mark.integration
def test_alternative_texts_name_pairs_distances_and_missing_surfaces(shapes: Path):
    run = read_run_folder(shapes)
    pair = shape_pairs(run.plot_data)["random"][1]
    said = caption(pair, run.result)
    assert said.endswith("no surface: generated")
    assert "Chamfer" not in apart(pair, run.result)
    drawn = draw(run.result, run.plot_data, run.verdict)
    assert said in drawn["shapes"].alt
    assert "percentile 100, " in drawn["shapes_percentile"].alt
    assert drawn == draw(run.result, run.plot_data, run.verdict)


@pytest.mark.integration
def test_a_run_of_empty_fields_can_be_drawn(shapes: Path, tmp_path: Path):
    folder = Path(shutil.copytree(shapes, tmp_path / "run"))
    _save(folder, shape_arrays([(NOTHING, NOTHING)] * 17))
    build_report(folder)
    page = page_of(folder)
    assert page.count(">no surface<") >= 6
    assert "<canvas" not in page


def test_directions_of_the_trade_off_are_those_of_the_measures(shapes: Path):
    result = read_run_folder(shapes).result
    axes = draw_trade_off(result)[0].axes[0]
    assert axes.get_xlabel().split() == ["to", "training", "more", "novel", "\u2192"]
    assert axes.get_ylabel().split() == ["to", "test", "\u2190", "better"]
    assert result.quality is not None
    better = replace(result, quality=replace(result.quality, higher_is_better=True))
    assert draw_trade_off(better)[0].axes[0].get_ylabel().split()[-2:] == ["better", "\u2192"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"shape_sizes": None}, ("shape_sizes",)),
        ({"shape_faces": np.zeros((9, 3), np.uint16)}, ("shape_faces",)),
        ({"shape_vertices": np.zeros((264, 3), np.int64)}, ("shape_vertices", "int64")),
        ({"shape_vertices": np.zeros((264, 2), np.uint16)}, ("shape_vertices",)),
        ({"shape_faces": np.full((396, 3), 8, np.uint16)}, ("shape_faces",)),
        ({"shape_groups": np.full(17, 3)}, ("shape_groups", "3")),
        ({"shape_groups": np.full(17, 1)}, ("shape_percentiles",)),
        ({"shape_rows": np.full(17, 200)}, ("shape_rows", "200")),
        ({"shape_chamfer": np.zeros(17, int)}, ("shape_chamfer", "int64")),
        ({"shape_level": np.zeros(2)}, ("shape_level",)),
        ({"shape_resolutions": np.zeros((16, 2), int)}, ("shape_resolutions",)),
    ],
)
def test_damaged_shapes_are_an_input_error(
    run: Path, change: dict[str, np.ndarray | None], named: tuple[str, ...]
):
    arrays = shape_arrays() | change
    _save(run, {key: values for key, values in arrays.items() if values is not None})
    with refused("damaged", "plot_data.npz", *named):
        build_report(run)
    assert set(shape_arrays()) == set(SHAPE_ARRAYS)


def _save(folder: Path, arrays: dict[str, Any]) -> None:
    np.savez(folder / "plot_data.npz", **arrays)

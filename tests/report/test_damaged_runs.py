"""Run folders that a report refuses, with what is wrong in which file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refused import refused
from synthetic import edit_csv, edit_json

from novelweights.errors import InputError
from novelweights.report.page import build_report


@pytest.mark.parametrize("name", ["audit.json", "checkpoints.csv", "manifest.json"])
def test_missing_file_is_an_input_error(run: Path, name: str):
    (run / name).unlink()
    with refused("not-found", name):
        build_report(run)


def test_missing_folder_is_an_input_error(tmp_path: Path):
    with refused("not-found", "nowhere"):
        build_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name", ["audit.json", "checkpoints.csv", "manifest.json", "plot_data.npz"]
)
@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe\x00half", b"PK\x03\x04broken"])
def test_corrupt_file_is_an_input_error(run: Path, name: str, content: bytes):
    (run / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        build_report(run)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda run: edit_json(run / "audit.json", schema_version=99), "99"),
        (lambda run: edit_json(run / "audit.json", training=None), "audit.json"),
        (lambda run: edit_json(run / "audit.json", verdict={}), "population"),
        (lambda run: edit_json(run / "audit.json", verdict="replica"), "audit.json"),
        (lambda run: edit_json(run / "audit.json", about=[]), "audit.json"),
        (lambda run: edit_json(run / "manifest.json", inputs=[]), "manifest.json"),
        (lambda run: edit_csv(run / "checkpoints.csv", "distance", "far"), "far"),
        (lambda run: edit_csv(run / "checkpoints.csv", "cosine", "x"), "checkpoints.csv"),
        (lambda run: edit_csv(run / "checkpoints.csv", "verdict", "guilty"), "guilty"),
        (lambda run: _save(run, regions=np.zeros((1, 2, 9, 9), np.uint8)), "regions"),
        (
            lambda run: _save(run, inputs_without_regions=np.array([20_000])),
            "inputs_without_regions",
        ),
        (lambda run: _save(run, inputs_without_regions=np.array(2e4)), "float64"),
        (lambda run: _save(run, heatmap_values=np.zeros((1, 3, 64))), "heatmap_values"),
        (lambda run: _save(run, region_rows=np.array([0]), regions=np.zeros(3)), "regions"),
        (
            lambda run: _save(run, region_rows=[900], regions=np.zeros((1, 2, 9, 9), np.uint8)),
            "200",
        ),
    ],
)
def test_files_that_do_not_fit_are_an_input_error(
    run: Path, damage: Callable[[Path], object], named: str
):
    damage(run)
    with refused("damaged", named):
        build_report(run)


def test_another_number_of_rows_is_an_input_error(run: Path):
    table = run / "checkpoints.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with refused("other-rows", "checkpoints.csv", 200, 199):
        build_report(run)


def test_neighbors_that_do_not_exist_are_an_input_error(run: Path):
    data = json.loads((run / "audit.json").read_text())
    data["generated"]["neighbor_rows"][0][0] = 300
    (run / "audit.json").write_text(json.dumps(data))
    with refused("damaged", "neighbor_rows", 300):
        build_report(run)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda data: data["generated"].update(layer_rows=[[0, 300]] * 200), "layer_rows"),
        (lambda data: data["generated"].update(layer_rows=[[0]] * 200), "2 layers"),
        (
            lambda data: data["controls"]["mosaic"]["measured"].update(names=["a"]),
            "control mosaic",
        ),
        (
            lambda data: data["controls"]["mosaic"]["p_values"].update(cosine_near=[0.1]),
            "cosine_near",
        ),
        (lambda data: data["controls"].pop("mosaic"), "controls, mosaic"),
        (lambda data: data["verdict"].pop("controls"), "controls"),
        (lambda data: data["verdict"].pop("largest_noise_seen"), "largest_noise_seen"),
        (lambda data: data["verdict"]["controls"][0].update(right=41), "copies"),
        (lambda data: data["verdict"]["controls"][0].update(n=41), "copies"),
        (lambda data: data["verdict"]["controls"][0]["counts"].update(novel=1), "copies"),
        (lambda data: data["verdict"]["controls"][0]["counts"].update(guilty=0), "guilty"),
        (lambda data: data["verdict"]["controls"][0].update(expected=["guilty"]), "guilty"),
        (lambda data: data["verdict"]["controls"][0].pop("distance"), "distance"),
        (lambda data: data.update(n_runs="one"), "n_runs"),
        (lambda data: data.pop("layers"), "layers"),
    ],
)
def test_layers_and_controls_that_do_not_fit_are_an_input_error(
    runs: dict[str, Path], tmp_path: Path, change: Callable[[dict[str, Any]], object], named: str
):
    folder = tmp_path / "run"
    folder.mkdir()
    data = json.loads((runs["copies"] / "audit.json").read_text())
    change(data)
    (folder / "audit.json").write_text(json.dumps(data))
    with refused("damaged", "audit.json", named):
        build_report(folder)


def test_table_without_kinds_is_an_input_error(run: Path):
    lines = (run / "checkpoints.csv").read_text()
    (run / "checkpoints.csv").write_text(lines.replace(",kind,", ",sort,", 1))
    with refused("damaged", "checkpoints.csv", "kind"):
        build_report(run)


def _save(run: Path, **arrays: object) -> None:
    made: dict[str, Any] = {key: np.asarray(values) for key, values in arrays.items()}
    np.savez(run / "plot_data.npz", **made)

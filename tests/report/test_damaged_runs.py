"""Run folders that a report refuses, with what is wrong in which file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import edit_csv, edit_json

from novelweights.errors import InputError
from novelweights.report.page import build_report


@pytest.mark.parametrize("name", ["audit.json", "checkpoints.csv", "manifest.json"])
def test_missing_file_is_an_input_error(run: Path, name: str):
    (run / name).unlink()
    with pytest.raises(InputError, match=rf"{name}.*expected.*not there.*again"):
        build_report(run)


def test_missing_folder_is_an_input_error(tmp_path: Path):
    with pytest.raises(InputError, match="expected a run folder"):
        build_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name", ["audit.json", "checkpoints.csv", "manifest.json", "plot_data.npz"]
)
@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe\x00half", b"PK\x03\x04broken"])
def test_corrupt_file_is_an_input_error(run: Path, name: str, content: bytes):
    (run / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}.*expected.*again"):
        build_report(run)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: edit_json(run / "audit.json", schema_version=99), "schema version 99"),
        (lambda run: edit_json(run / "audit.json", training=None), "audit.json"),
        (lambda run: edit_json(run / "audit.json", verdict={}), "no entry 'population'"),
        (lambda run: edit_json(run / "audit.json", verdict="replica"), "a verdict"),
        (lambda run: edit_json(run / "audit.json", about=[]), "audit.json"),
        (lambda run: edit_json(run / "manifest.json", inputs=[]), "a manifest"),
        (lambda run: edit_csv(run / "checkpoints.csv", "distance", "far"), "far"),
        (lambda run: edit_csv(run / "checkpoints.csv", "cosine", "x"), "x"),
        (lambda run: edit_csv(run / "checkpoints.csv", "verdict", "guilty"), "guilty"),
        (lambda run: _drop_last_line(run / "checkpoints.csv"), "200 checkpoints.*got 199"),
        (lambda run: _save(run, regions=np.zeros((1, 2, 9, 9), np.uint8)), "only some of"),
        (lambda run: _save(run, inputs_without_regions=np.array([20_000])), "axes"),
        (lambda run: _save(run, inputs_without_regions=np.array(2e4)), "holds float64"),
        (lambda run: _save(run, heatmap_values=np.zeros((1, 3, 64))), "does not fit"),
        (lambda run: _save(run, region_rows=np.array([0]), regions=np.zeros(3)), "axes"),
        (
            lambda run: _save(run, region_rows=[900], regions=np.zeros((1, 2, 9, 9), np.uint8)),
            "beyond the 200",
        ),
    ],
)
def test_files_that_do_not_fit_are_an_input_error(
    run: Path, damage: Callable[[Path], object], said: str
):
    damage(run)
    with pytest.raises(InputError, match=rf"(?s){said}.*again"):
        build_report(run)


def test_neighbors_that_do_not_exist_are_an_input_error(run: Path):
    data = json.loads((run / "audit.json").read_text())
    data["generated"]["neighbor_rows"][0][0] = 300
    (run / "audit.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="neighbor_rows beyond the 300"):
        build_report(run)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data["generated"].update(layer_rows=[[0, 300]] * 200), "layer_rows beyond"),
        (lambda data: data["generated"].update(layer_rows=[[0]] * 200), "for 2 layers"),
        (
            lambda data: data["controls"]["mosaic"]["measured"].update(names=["a"]),
            "control mosaic: 40",
        ),
        (lambda data: data["controls"]["mosaic"]["p_values"].update(cosine_near=[0.1]), "40 rows"),
        (lambda data: data["controls"].pop("mosaic"), "no entry 'controls, mosaic'"),
        (lambda data: data["verdict"].pop("controls"), "no entry 'controls'"),
        (lambda data: data["verdict"].pop("largest_noise_seen"), "no entry 'largest_noise_seen'"),
        (lambda data: data["verdict"]["controls"][0].update(right=41), "counts do not fit"),
        (lambda data: data["verdict"]["controls"][0].update(n=41), "counts do not fit"),
        (lambda data: data["verdict"]["controls"][0]["counts"].update(novel=1), "do not fit"),
        (lambda data: data["verdict"]["controls"][0]["counts"].update(guilty=0), "guilty"),
        (lambda data: data["verdict"]["controls"][0].update(expected=["guilty"]), "guilty"),
        (lambda data: data["verdict"]["controls"][0].pop("distance"), "no entry 'distance'"),
        (lambda data: data.update(n_runs="one"), "n_runs"),
        (lambda data: data.pop("layers"), "no entry 'layers'"),
    ],
)
def test_layers_and_controls_that_do_not_fit_are_an_input_error(
    runs: dict[str, Path], tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
):
    folder = tmp_path / "run"
    folder.mkdir()
    data = json.loads((runs["copies"] / "audit.json").read_text())
    change(data)
    (folder / "audit.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=rf"(?s)audit.json.*{said}.*again"):
        build_report(folder)


def test_table_without_kinds_is_an_input_error(run: Path):
    lines = (run / "checkpoints.csv").read_text()
    (run / "checkpoints.csv").write_text(lines.replace(",kind,", ",sort,", 1))
    with pytest.raises(InputError, match=r"no entry 'kind'"):
        build_report(run)


def _drop_last_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def _save(run: Path, **arrays: object) -> None:
    made: dict[str, Any] = {key: np.asarray(values) for key, values in arrays.items()}
    np.savez(run / "plot_data.npz", **made)

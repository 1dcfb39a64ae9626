from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from written import NETWORK, a_state, row_of

from novelweights.readers import read_checkpoints
from novelweights.readers.source import Reading

ROWS = torch.stack([row_of(a_state(i)) for i in range(4)])


def write_matrix(path: Path, rows: torch.Tensor = ROWS) -> Path:
    """The rows in a file, in the form that its ending names."""
    if path.suffix == ".npy":
        np.save(path, rows.numpy())
    elif path.suffix == ".npz":
        np.savez_compressed(path, weights=rows.numpy())
    elif path.suffix == ".safetensors":
        save_file({"weights": rows}, path)
    else:
        torch.save(rows, path)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".pt"])
def test_a_matrix_with_a_layout_beside_it_is_a_population(tmp_path: Path, suffix: str) -> None:
    path = write_matrix(tmp_path / f"w{suffix}")
    (tmp_path / "layout.csv").write_text(NETWORK.layout.to_csv())
    population = read_checkpoints(path)
    assert torch.equal(population.weights, ROWS)
    assert population.layout == NETWORK.layout
    assert population.info.symmetry is not None
    assert list(population.records.run) == [f"row-{i:05d}" for i in range(4)]


def test_a_layout_of_names_and_shapes_alone_and_rows_by_a_table(tmp_path: Path) -> None:
    path = write_matrix(tmp_path / "w.npy", ROWS.double())
    shapes = "".join(f"{n},{'x'.join(map(str, s))}\n" for n, s in NETWORK.layout.shapes)
    (tmp_path / "my.csv").write_text("parameter,shape\n" + shapes)
    (tmp_path / "rows.csv").write_text(
        "row,run,step\n" + "".join(f"{i:05d},r{i // 2},{i % 2}\n" for i in range(4))
    )
    reading = Reading(layout=tmp_path / "my.csv", records=tmp_path / "rows.csv")
    population = read_checkpoints(path, reading=reading)
    assert torch.equal(population.weights, ROWS)
    assert list(population.records.run) == ["r0", "r0", "r1", "r1"]


def test_columns_may_be_major_and_bytes_swapped(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.asfortranarray(ROWS.numpy()).astype(">f8"))
    (tmp_path / "layout.csv").write_text(NETWORK.layout.to_csv())
    assert torch.equal(read_checkpoints(tmp_path / "w.npy").weights, ROWS)

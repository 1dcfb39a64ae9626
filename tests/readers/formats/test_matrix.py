import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from refused import refused
from safetensors.torch import save_file
from written import NETWORK, a_state, row_of

from novelweights.readers import read_checkpoints
from novelweights.readers.formats.array_files import open_npy, read_npz
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


@pytest.mark.parametrize(
    ("array", "code", "named"),
    [
        (np.zeros(23, np.float32), "wrong-shape", "23 of float32"),
        (np.zeros((2, 2, 2)), "wrong-shape", "2x2x2 of float64"),
        (np.zeros((2, 23), np.int64), "wrong-type", "int64"),
        (np.zeros((2, 23), np.complex64), "wrong-type", "complex64"),
        (np.zeros((0, 23)), "wrong-shape", "0x23"),
        (np.zeros((2, 22)), "other-network", "23 columns"),
        (np.array([["a"]]), "wrong-type", "<U1"),
        (np.array([[None]]), "unsafe", "object"),
    ],
    ids=itertools.count(),
)
def test_an_array_that_is_no_matrix_of_weights_is_refused(
    tmp_path: Path, array: np.ndarray, code: str, named: str
) -> None:
    np.save(tmp_path / "w.npy", array, allow_pickle=True)
    (tmp_path / "layout.csv").write_text(NETWORK.layout.to_csv())
    with refused(code, "w.npy", named):
        read_checkpoints(tmp_path / "w.npy")


def test_a_matrix_without_a_layout_or_with_a_wrong_one_is_refused(tmp_path: Path) -> None:
    path = write_matrix(tmp_path / "w.npy")
    with refused("not-found", "--layout"):
        read_checkpoints(path)
    (tmp_path / "layout.csv").write_bytes(b"parameter,shape\n\xff,3\n")
    with refused("damaged", "layout.csv"):
        read_checkpoints(path)
    (tmp_path / "layout.csv").write_text("parameter\nw\n")
    with refused("wrong-content"):
        read_checkpoints(path)


def test_several_arrays_are_no_matrix(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=ROWS.numpy(), b=ROWS.numpy())
    with refused("wrong-type", "2 arrays"):
        read_checkpoints(tmp_path / "w.npz")


def test_what_is_announced_beyond_the_limit_is_not_unpacked(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", w=np.zeros((4000, 1000), np.float32))
    assert (tmp_path / "bomb.npz").stat().st_size < 30_000
    with refused("too-large", "16,000,128", "--max-bytes"):
        read_npz(tmp_path / "bomb.npz", max_bytes=10**6)
    content = bytearray(write_matrix(tmp_path / "w.npy").read_bytes())
    huge = content.replace(b"(4, 23), }  ", b"(10**9, 23),}").replace(b"10**9", b"99999")
    (tmp_path / "huge.npy").write_bytes(huge)
    with refused("too-large"):
        open_npy(tmp_path / "huge.npy", max_bytes=10**6)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_damaged_arrays_give_one_message(tmp_path: Path, suffix: str) -> None:
    content = write_matrix(tmp_path / f"w{suffix}").read_bytes()
    (tmp_path / "layout.csv").write_text(NETWORK.layout.to_csv())
    damaged = tmp_path / f"d{suffix}"
    for end in range(1, len(content) - 1, 7):
        damaged.write_bytes(content[:end])
        with refused("damaged"):
            read_checkpoints(damaged)

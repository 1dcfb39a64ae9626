import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from written import NETWORK, a_state, row_of

from novelweights.errors import InputError
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
    ("array", "says"),
    [
        (np.zeros(23, np.float32), "got 23 of float32"),
        (np.zeros((2, 2, 2)), "got 2x2x2 of float64"),
        (np.zeros((2, 23), np.int64), "of int64"),
        (np.zeros((2, 23), np.complex64), "of complex64"),
        (np.zeros((0, 23)), "got 0x23"),
        (np.zeros((2, 22)), "expected 23 columns"),
        (np.array([["a"]]), "which only a pickle could hold|expected numbers"),
        (np.array([[None]]), "which only a pickle could hold"),
    ],
    ids=itertools.count(),
)
def test_an_array_that_is_no_matrix_of_weights_is_refused(
    tmp_path: Path, array: np.ndarray, says: str
) -> None:
    np.save(tmp_path / "w.npy", array, allow_pickle=True)
    (tmp_path / "layout.csv").write_text(NETWORK.layout.to_csv())
    with pytest.raises(InputError, match=says):
        read_checkpoints(tmp_path / "w.npy")


def test_a_matrix_without_a_layout_or_with_a_wrong_one_is_refused(tmp_path: Path) -> None:
    path = write_matrix(tmp_path / "w.npy")
    with pytest.raises(InputError, match="--layout"):
        read_checkpoints(path)
    (tmp_path / "layout.csv").write_bytes(b"parameter,shape\n\xff,3\n")
    with pytest.raises(InputError, match="UTF-8"):
        read_checkpoints(path)
    (tmp_path / "layout.csv").write_text("parameter\nw\n")
    with pytest.raises(InputError, match="expected columns parameter, shape"):
        read_checkpoints(path)


def test_several_arrays_are_no_matrix(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=ROWS.numpy(), b=ROWS.numpy())
    with pytest.raises(InputError, match="got 2 arrays"):
        read_checkpoints(tmp_path / "w.npz")


def test_what_is_announced_beyond_the_limit_is_not_unpacked(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", w=np.zeros((4000, 1000), np.float32))
    assert (tmp_path / "bomb.npz").stat().st_size < 30_000
    with pytest.raises(InputError, match=r"announces 16,000,128 once unpacked.*--max-bytes"):
        read_npz(tmp_path / "bomb.npz", max_bytes=10**6)
    content = bytearray(write_matrix(tmp_path / "w.npy").read_bytes())
    huge = content.replace(b"(4, 23), }  ", b"(10**9, 23),}").replace(b"10**9", b"99999")
    (tmp_path / "huge.npy").write_bytes(huge)
    with pytest.raises(InputError, match=r"truncated|announces|damaged"):
        open_npy(tmp_path / "huge.npy", max_bytes=10**6)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_damaged_arrays_give_one_message(tmp_path: Path, suffix: str) -> None:
    content = write_matrix(tmp_path / f"w{suffix}").read_bytes()
    (tmp_path / "layout.csv").write_text(NETWORK.layout.to_csv())
    damaged = tmp_path / f"d{suffix}"
    for end in range(1, len(content) - 1, 7):
        damaged.write_bytes(content[:end])
        with pytest.raises(InputError, match="d"):
            read_checkpoints(damaged)

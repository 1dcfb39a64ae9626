import numpy as np
import pytest
from refused import refused
from scipy.io import savemat

from novelweights.data import mat5
from novelweights.data.mat5 import read_mat5

NUMBERS = {
    "X": np.arange(2 * 3 * 2 * 5, dtype=np.uint8).reshape(2, 3, 2, 5),
    "y": np.array([[1], [2], [300]], np.uint16),
    "whole": np.array([[-1, 2, 3]], np.int64),
    "real": np.array([[0.5, np.nan], [np.inf, -3.0]]),
    "short": np.array([[1.5]], np.float32),
    "empty": np.zeros((0, 3), np.int32),
}
OTHERS = {
    "text": "word",
    "z": np.array([[1j]]),
    "record": {"a": 1},
    "cell": np.array(["a", 1], dtype=object),
}


def saved(folder, variables, *, compressed=True):
    path = folder / "x.mat"
    savemat(path, variables, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_numbers_are_read_and_all_else_is_skipped(tmp_path, compressed):
    path = saved(tmp_path, {**OTHERS, **NUMBERS, "more": np.ones(3)}, compressed=compressed)
    found = read_mat5(path, [*OTHERS, *NUMBERS, "none"])
    assert found.keys() == NUMBERS.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, NUMBERS[name])
        assert array.dtype == NUMBERS[name].dtype


@pytest.mark.integration  # a process for each file
@pytest.mark.parametrize("compressed", [True, False])
def test_damaged_files_never_raise_anything_else(tmp_path, compressed):
    path = saved(tmp_path, {"X": NUMBERS["X"], "y": NUMBERS["y"]}, compressed=compressed)
    content = path.read_bytes()
    for end in (130, 200, len(content) - 20):
        path.write_bytes(content[:end])
        with refused("damaged", path):
            read_mat5(path, ["X", "y"])
    path.write_bytes(content[:136] + b"\xff" * 40 + content[176:])
    with refused("damaged", path):
        read_mat5(path, ["X", "y"])


@pytest.mark.parametrize(
    "does", ["import os; os.abort()", "while True: pass"], ids=["crashes", "hangs"]
)
def test_what_ends_the_reader_does_not_end_the_caller(tmp_path, monkeypatch, does):
    path = saved(tmp_path, NUMBERS)
    monkeypatch.setattr(mat5, "READ", does)
    monkeypatch.setattr(mat5, "TIMEOUT_SECONDS", 2)
    with refused("damaged", path):
        read_mat5(path, ["X"])


def test_the_reader_cannot_take_all_memory(tmp_path, monkeypatch):
    path = saved(tmp_path, {"X": np.zeros((1000, 1000), np.uint8)})
    monkeypatch.setattr(mat5, "MAX_MEMORY", 1 << 20)
    with refused("damaged", path):
        read_mat5(path, ["X"])


def test_other_formats_and_missing_files_are_refused(tmp_path):
    path = saved(tmp_path, NUMBERS)
    content = path.read_bytes()
    big_endian = content[:124] + content[124:128][::-1] + content[128:]
    for other in (b"", b"\x89HDF\r\n", content[:127], big_endian):
        path.write_bytes(other)
        with refused("not-recognized", path):
            read_mat5(path, ["X"])
    with refused("not-found", tmp_path / "none.mat"):
        read_mat5(tmp_path / "none.mat", ["X"])


def test_too_much_is_given_up(tmp_path, monkeypatch):
    path = saved(tmp_path, {"X": np.zeros((1000, 1000), np.uint8)})
    assert path.stat().st_size < 2000
    monkeypatch.setattr(mat5, "MAX_BYTES", 100_000)
    with refused("damaged", path, 1_000_000, 100_000):
        read_mat5(path, ["X"])
    monkeypatch.setattr(mat5, "MAX_BYTES", 1000)
    with refused("too-large", path, 1000):
        read_mat5(path, ["X"])

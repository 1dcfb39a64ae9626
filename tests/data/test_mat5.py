import contextlib
import io
import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from novelweights.data import mat5
from novelweights.data.mat5 import read_mat5
from novelweights.errors import InputError

NUMBERS = {
    "X": np.arange(2 * 3 * 2 * 5, dtype=np.uint8).reshape(2, 3, 2, 5),
    "y": np.array([[1], [2], [300]], np.uint16),
    "whole": np.array([[-1, 2, 3]], np.int64),
    "real": np.array([[0.5, np.nan], [np.inf, -3.0]]),
    "short": np.array([[1.5]], np.float32),
    "empty": np.zeros((0, 3), np.int32),
}
COMPRESSED = pytest.mark.parametrize("compressed", [True, False])


def saved(variables: dict, *, compressed: bool) -> bytes:
    out = io.BytesIO()
    savemat(out, variables, do_compression=compressed)
    return out.getvalue()


@COMPRESSED
def test_numbers_read_as_scipy_reads_them(compressed):
    content = saved(NUMBERS, compressed=compressed)
    expected = loadmat(io.BytesIO(content))
    found = read_mat5(content, "x.mat", list(NUMBERS))
    assert found.keys() == NUMBERS.keys()
    for name, array in found.items():
        assert np.array_equal(array, expected[name], equal_nan=array.dtype.kind == "f")
        assert array.dtype == expected[name].dtype == NUMBERS[name].dtype


@COMPRESSED
def test_what_was_not_asked_for_or_is_no_array_of_numbers_is_skipped(compressed):
    others = {"text": "word", "z": np.array([[1j]]), "record": {"a": 1}, "cell": np.array([None])}
    others["cell"] = np.array(["a", 1], dtype=object)
    content = saved({**others, **NUMBERS}, compressed=compressed)
    assert read_mat5(content, "x.mat", [*others, "y", "none"]).keys() == {"y"}


@COMPRESSED
def test_every_cut_is_refused(compressed):
    content = saved({"X": NUMBERS["X"], "y": NUMBERS["y"]}, compressed=compressed)
    for end in range(len(content)):
        with contextlib.suppress(InputError):
            found = read_mat5(content[:end], "x.mat", ["X", "y"])
            # only between two variables, or inside the zeros behind the last
            assert end >= 128
            assert found.keys() < {"X", "y"} or end > len(content) - 8


@COMPRESSED
def test_damaged_bytes_never_raise_anything_else(compressed):
    content = saved({"X": NUMBERS["X"], "y": NUMBERS["y"]}, compressed=compressed)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        damaged = bytearray(content)
        for place in rng.integers(120, len(content), 2):
            damaged[place] = rng.integers(256)
        with contextlib.suppress(InputError):
            read_mat5(bytes(damaged), "x.mat", ["X", "y"])


def test_other_formats_are_refused():
    content = saved(NUMBERS, compressed=False)
    big_endian = content[:124] + content[124:128][::-1] + content[128:]
    for other in (b"", b"\x89HDF\r\n", content[:127], big_endian):
        with pytest.raises(InputError, match="expected a little-endian MATLAB 5 file"):
            read_mat5(other, "x.mat", ["X"])


def test_a_variable_that_unpacks_to_too_much_is_given_up(monkeypatch):
    content = saved({"X": np.zeros((1000, 1000), np.uint8)}, compressed=True)
    assert len(content) < 2000
    monkeypatch.setattr(mat5, "MAX_BYTES", 100_000)
    with pytest.raises(InputError, match="takes more than 100000 bytes"):
        read_mat5(content, "x.mat", ["X"])


def test_a_compressed_element_holds_one_variable():
    header = saved({}, compressed=False)[:128]
    for inside in (b"", bytes(16)):
        packed = zlib.compress(inside)
        element = np.array([15, len(packed)], "<u4").tobytes() + packed
        with pytest.raises(InputError, match="damaged MATLAB file"):
            read_mat5(header + element, "x.mat", ["X"])

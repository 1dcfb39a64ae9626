import contextlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from true_formats import cifar_pickle, some_images, text

from novelweights.data.array_pickle import read_array_pickle
from novelweights.errors import InputError

LABELS = np.arange(3)
GOOD = cifar_pickle(some_images(3, 32), LABELS)


def test_batch_reads_as_unpickling_would():
    found = read_array_pickle(GOOD, "batch")
    expected = pickle.loads(GOOD, encoding="bytes")
    assert found.keys() == expected.keys()
    assert np.array_equal(found.pop(b"data"), expected.pop(b"data"))
    assert found == expected


def test_array_in_column_order_reads_as_unpickling_would():
    content = GOOD.replace(b"\x89T", b"\x88T")  # its flag for Fortran order
    expected = pickle.loads(content, encoding="bytes")[b"data"]
    assert np.array_equal(read_array_pickle(content, "batch")[b"data"], expected)


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("data", [some_images(3, 32).reshape(3, -1), np.zeros((2, 0), np.uint8)])
def test_what_python_3_pickled_again_reads_too(protocol, data):
    content = pickle.dumps({"data": data, "labels": [3, 1, 2], "f\xfcr": "\xe9"}, protocol=protocol)
    found = read_array_pickle(content, "batch")
    assert np.array_equal(found.pop(b"data"), data)
    assert found == {b"labels": [3, 1, 2], "f\xfcr".encode(): "\xe9".encode()}
    alone = pickle.dumps(
        {"data": data}, protocol=protocol
    )  # one item has an instruction of its own
    assert np.array_equal(read_array_pickle(alone, "batch")[b"data"], data)


def test_other_names_are_refused_in_every_protocol():
    for protocol in (3, 4):
        content = pickle.dumps({"data": np.zeros(3, np.float32)}, protocol=protocol)
        with pytest.raises(InputError, match="array of another type"):
            read_array_pickle(content, "batch")
        content = pickle.dumps({"data": np.float64(3)}, protocol=protocol)
        with pytest.raises(InputError, match=r"it names 'numpy.*scalar'"):
            read_array_pickle(content, "batch")


class Touch:
    """Unpickling it makes the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.open, (str(self.path), os.O_CREAT | os.O_WRONLY)


def hostile(canary: Path, form: str) -> bytes:
    path = text(str(canary).encode())
    flags = b"K\x41"  # O_CREAT | O_WRONLY
    match form:
        case "call":
            return b"\x80\x02cposix\nopen\n(" + path + flags + b"tR."
        case "inst":
            return b"\x80\x02(" + path + flags + b"iposix\nopen\n."
        case "in a batch":
            return GOOD[:-2] + text(b"x") + b"cposix\nopen\n(" + path + flags + b"tRu."
        case "before a batch":
            return GOOD[:2] + b"cposix\nopen\n(" + path + flags + b"tR0" + GOOD[2:]
        case "builtins":
            code = f"open({str(canary)!r}, 'w').close()"
            return b"\x80\x02c__builtin__\nexec\n(" + text(code.encode()) + b"tR."
        case _:
            return pickle.dumps({b"data": Touch(canary)}, protocol=int(form))


FORMS = ["call", "inst", "in a batch", "before a batch", "builtins", "0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize("form", FORMS)
def test_hostile_pickle_is_refused_and_runs_nothing(tmp_path, form):
    canary = tmp_path / "canary"
    content = hostile(canary, form)
    with pytest.raises(InputError, match="nothing of it was run"):
        read_array_pickle(content, "batch")
    assert not canary.exists()


@pytest.mark.parametrize("form", FORMS)
def test_the_hostile_pickles_would_have_run(tmp_path, form):
    canary = tmp_path / "canary"
    pickle.loads(hostile(canary, form), encoding="latin-1")
    assert canary.exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"ndarray\n", b"memmap\n", r"it names 'numpy\.memmap'"),
        (b"multiarray\n_reconstruct", b"multiarray\nfromfile", r"names 'numpy\.core.*fromfile'"),
        (text(b"u1"), text(b"O8"), "array of another type"),
        (b"\x89T", b"NT", "without bytes"),
        (b"M\x00\x0c\x86", b"N\x86", "without a shape"),
        (b"M\x00\x0c\x86", b"M\x01\x0c\x86", "damaged"),
        (text(b"labels"), b"N", "key that is not text"),
        (b"cnumpy.core.multiarray\n_reconstruct\n", b"K\x01", "calls something without a name"),
        (b"]q\x04(", b"Nq\x04(", "changes a NoneType"),
        (b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\ndtype\n", "no array"),
        (b"tbU", b"t0U", "the instruction POP"),
    ],
)
def test_anything_but_a_byte_array_is_refused(old, new, message):
    assert old in GOOD
    with pytest.raises(InputError, match=message):
        read_array_pickle(GOOD.replace(old, new), "batch")


def test_no_pickle_no_dict_and_every_cut_are_refused():
    for content in (b"", b"no pickle", b"\x80\x02]."):
        with pytest.raises(InputError, match=r"expected a pickle|not hold a dict"):
            read_array_pickle(content, "batch")
    for end in [*range(200), *range(len(GOOD) - 200, len(GOOD))]:
        with pytest.raises(InputError, match="batch: expected a pickle"):
            read_array_pickle(GOOD[:end], "batch")


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")  # in the damage
def test_damaged_bytes_never_raise_anything_else():
    rng = np.random.default_rng(0)
    for _ in range(400):
        content = bytearray(GOOD)
        for place in rng.choice([*range(300), *range(len(GOOD) - 100, len(GOOD))], 3):
            content[place] = rng.integers(256)
        with contextlib.suppress(InputError):
            read_array_pickle(bytes(content), "batch")

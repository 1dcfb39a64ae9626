from functools import partial

import numpy as np
import pytest
from refused import refused
from true_formats import (
    cifar_100_binary,
    cifar_100_pickle,
    cifar_binary,
    cifar_pickle,
    some_images,
    stl_pixels,
    text,
    write_svhn,
)

from novelweights.data import user_formats
from novelweights.data.user_formats import (
    read_cifar_binary,
    read_cifar_pickle,
    read_stl,
    read_svhn,
)

LABELS, FINE = np.array([0, 9, 3, 1]), np.array([99, 20, 0, 55])
SMALL, LARGE = some_images(4, 32), some_images(4, 96)
BINARY = partial(read_cifar_binary, highest=(9,))
PICKLED = cifar_pickle(SMALL, LABELS)
PICKLE = partial(read_cifar_pickle, key="labels", highest=9)
BINARY_100 = partial(read_cifar_binary, highest=(19, 99))
PICKLE_100 = partial(read_cifar_pickle, key="fine_labels", highest=99)


def test_svhn_comes_back_upright_and_ten_is_the_digit_zero(tmp_path):
    write_svhn(tmp_path / "train_32x32.mat", SMALL, LABELS)
    images, labels = read_svhn(tmp_path / "train_32x32.mat")
    assert np.array_equal(images, SMALL)
    assert labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("read", "content", "expected"),
    [
        (BINARY, cifar_binary(SMALL, LABELS), LABELS),
        (PICKLE, cifar_pickle(SMALL, LABELS), LABELS),
        (BINARY_100, cifar_100_binary(SMALL, FINE), FINE),
        (PICKLE_100, cifar_100_pickle(SMALL, FINE), FINE),
    ],
    ids=["10-binary", "10-python", "100-binary", "100-python"],
)
def test_both_versions_of_cifar_hold_the_same(tmp_path, read, content, expected):
    (tmp_path / "batch").write_bytes(content)
    images, labels = read(tmp_path / "batch")
    assert np.array_equal(images, SMALL)
    assert labels.tolist() == expected.tolist()


def test_stl_comes_back_upright_with_labels_from_zero(tmp_path):
    (tmp_path / "X").write_bytes(stl_pixels(LARGE))
    (tmp_path / "y").write_bytes((LABELS + 1).astype(np.uint8).tobytes())
    images, labels = read_stl(tmp_path / "X", tmp_path / "y")
    assert np.array_equal(images, LARGE)
    assert labels.tolist() == LABELS.tolist()
    first = (tmp_path / "X").read_bytes()[:97]
    assert first[1] == LARGE[0, 1, 0, 0]  # the second byte is one pixel further down
    assert first[96] == LARGE[0, 0, 1, 0]


X = SMALL.transpose(1, 2, 3, 0)
Y = np.full((4, 1), 10, np.uint8)


@pytest.mark.parametrize(
    ("variables", "code", "named"),
    [
        ({"X": X}, "not-found", ""),
        ({"y": Y}, "not-found", ""),
        ({"X": X.astype(float), "y": Y}, "wrong-shape", "float64"),
        ({"X": X[:31], "y": Y}, "wrong-shape", 31),
        ({"X": X[..., 0], "y": Y}, "wrong-shape", "(32, 32, 3)"),
        ({"X": X, "y": Y[:3]}, "wrong-shape", "(3, 1)"),
        ({"X": X, "y": Y * 0}, "wrong-content", "got 0"),
        ({"X": X, "y": Y + 1}, "wrong-content", 11),
        ({"X": X, "y": Y / 4}, "wrong-content", 2.5),
        ({"X": X, "y": Y * np.nan}, "wrong-content", "nan"),
    ],
)
def test_other_matlab_content_is_refused(tmp_path, monkeypatch, variables, code, named):
    monkeypatch.setattr(user_formats, "read_mat5", lambda path, names: variables)
    with refused(code, tmp_path / "x.mat", named):
        read_svhn(tmp_path / "x.mat")


@pytest.mark.parametrize(
    ("read", "content", "code", "named"),
    [
        (BINARY, b"", "damaged", 3073),
        (BINARY, cifar_binary(SMALL, LABELS)[:-1], "damaged", 12291),
        (BINARY, cifar_binary(SMALL, LABELS) + b"\0", "damaged", 12293),
        (BINARY, cifar_binary(SMALL, LABELS + 1), "wrong-content", 10),
        (BINARY_100, b"", "damaged", 3074),
        (BINARY_100, cifar_100_binary(SMALL, FINE)[:-1], "damaged", 12295),
        (BINARY_100, cifar_binary(SMALL, FINE), "damaged", 3074),
        (BINARY_100, cifar_100_binary(SMALL, FINE + 1), "wrong-content", 100),
        (BINARY_100, b"\x14" + cifar_100_binary(SMALL, FINE)[1:], "wrong-content", "got 20"),
        (PICKLE, cifar_pickle(SMALL, LABELS).replace(b"labels", b"labelz"), "not-found", "labels"),
        (
            PICKLE,
            cifar_pickle(SMALL, LABELS).replace(b"\x04data", b"\x04date"),
            "not-found",
            "data",
        ),
        (PICKLE, cifar_pickle(SMALL, LABELS[:3]), "wrong-shape", "3x3072"),
        (PICKLE, cifar_pickle(SMALL[:0], LABELS[:0]), "wrong-shape", "0x3072"),
        (PICKLE, cifar_pickle(SMALL, LABELS + 1), "wrong-content", 10),
        (PICKLE, PICKLED.replace(b"(K\0K\x09", b"(NK\x09"), "wrong-type", ""),
        (PICKLE_100, cifar_pickle(SMALL, LABELS), "not-found", "fine_labels"),
        (PICKLE_100, cifar_100_pickle(SMALL, FINE + 1), "wrong-content", 100),
        (PICKLE_100, cifar_100_pickle(SMALL, FINE)[:-9], "damaged", ""),
        (PICKLE_100, b"\x80\x02cposix\nsystem\n(" + text(b"true") + b"tR.", "unsafe", "posix"),
    ],
)
def test_other_batches_of_cifar_are_refused(tmp_path, read, content, code, named):
    (tmp_path / "batch").write_bytes(content)
    with refused(code, tmp_path / "batch", named):
        read(tmp_path / "batch")


@pytest.mark.parametrize(
    ("x", "y", "code", "named"),
    [
        (stl_pixels(LARGE)[:-1], b"\1\2\3\4", "damaged", "X: expected records of 27648"),
        (stl_pixels(LARGE), b"\1\2\3", "other-rows", "y: expected 4"),
        (stl_pixels(LARGE), b"\1\2\3\0", "wrong-content", "got 0"),
        (stl_pixels(LARGE), b"\1\2\3\x0b", "wrong-content", 11),
        (b"", b"", "damaged", "X"),
    ],
)
def test_other_stl_files_are_refused(tmp_path, x, y, code, named):
    (tmp_path / "X").write_bytes(x)
    (tmp_path / "y").write_bytes(y)
    with refused(code, tmp_path, named):
        read_stl(tmp_path / "X", tmp_path / "y")


@pytest.mark.parametrize("read", [read_svhn, BINARY, PICKLE_100])
def test_a_file_that_cannot_be_opened_is_named(tmp_path, read):
    for path in (tmp_path / "none", tmp_path):
        with refused("not-found", path):
            read(path)

import pickle

import numpy as np
import pytest
from scipy.io import savemat
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

from novelweights.data.user_formats import (
    read_cifar_100_binary,
    read_cifar_100_pickle,
    read_cifar_binary,
    read_cifar_pickle,
    read_stl,
    read_svhn,
)
from novelweights.errors import InputError

LABELS = np.array([0, 9, 3, 1])
SMALL, LARGE = some_images(4, 32), some_images(4, 96)


def test_svhn_comes_back_upright_and_ten_is_the_digit_zero(tmp_path):
    write_svhn(tmp_path / "train_32x32.mat", SMALL, LABELS)
    images, labels = read_svhn(tmp_path / "train_32x32.mat")
    assert np.array_equal(images, SMALL)
    assert labels.tolist() == LABELS.tolist()


def test_both_versions_of_cifar_hold_the_same(tmp_path):
    (tmp_path / "binary").write_bytes(cifar_binary(SMALL, LABELS))
    (tmp_path / "pickle").write_bytes(cifar_pickle(SMALL, LABELS))
    for images, labels in (
        read_cifar_binary(tmp_path / "binary"),
        read_cifar_pickle(tmp_path / "pickle"),
    ):
        assert np.array_equal(images, SMALL)
        assert labels.tolist() == LABELS.tolist()


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
    ("variables", "message"),
    [
        ({"X": X}, "expected X and y"),
        ({"y": Y}, "expected X and y"),
        ({"X": X.astype(float), "y": Y}, "uint8 and 32x32x3xN, got float64"),
        ({"X": X[:31], "y": Y}, "32x32x3xN"),
        ({"X": X[..., 0], "y": Y}, "32x32x3xN"),
        ({"X": X, "y": Y[:3]}, "y of 4x1"),
        ({"X": X, "y": Y * 0}, "labels from 1 to 10, got 0"),
        ({"X": X, "y": Y + 1}, "labels from 1 to 10, got 11"),
        ({"X": X, "y": Y / 4}, "labels from 1 to 10, got 2.5"),
        ({"X": X, "y": Y * np.nan}, "labels from 1 to 10, got nan"),
        ({"X": X, "y": "text"}, "expected X and y"),
        ({"X": {"a": 1}, "y": Y}, "expected X and y"),
    ],
)
def test_other_matlab_content_is_refused(tmp_path, variables, message):
    savemat(tmp_path / "x.mat", variables)
    with pytest.raises(InputError, match=message):
        read_svhn(tmp_path / "x.mat")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "records of 3073 bytes, got 0"),
        (cifar_binary(SMALL, LABELS)[:-1], "records of 3073 bytes, got 12291 bytes"),
        (cifar_binary(SMALL, LABELS) + b"\0", "records of 3073 bytes"),
        (cifar_binary(SMALL, LABELS + 1), "labels from 0 to 9, got 10"),
    ],
)
def test_other_binary_batches_are_refused(tmp_path, content, message):
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_cifar_binary(tmp_path / "batch")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (cifar_pickle(SMALL, LABELS).replace(b"labels", b"labelz"), "`data` and `labels`"),
        (cifar_pickle(SMALL, LABELS).replace(b"\x04data", b"\x04date"), "`data` and `labels`"),
        (pickle.dumps({"data": X.astype(float), "labels": [1]}), "`data` and `labels`"),
        (pickle.dumps([X]), "`data` and `labels`"),
        (cifar_pickle(SMALL, LABELS[:3]), "data of 3x3072 for 3 labels"),
        (cifar_pickle(SMALL[:0], LABELS[:0]), "data of 0x3072"),
        (cifar_pickle(SMALL, LABELS + 1), "labels from 0 to 9, got 10"),
        (cifar_pickle(SMALL, LABELS).replace(b"(K\x00K\x09", b"(NK\x09"), "whole numbers"),
    ],
)
def test_other_pickled_batches_are_refused(tmp_path, content, message):
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_cifar_pickle(tmp_path / "batch")


FINE = np.array([99, 20, 0, 55])


@pytest.mark.parametrize(
    ("read", "write"),
    [(read_cifar_100_binary, cifar_100_binary), (read_cifar_100_pickle, cifar_100_pickle)],
)
def test_cifar_100_reads_its_fine_labels(tmp_path, read, write):
    (tmp_path / "train").write_bytes(write(SMALL, FINE))
    images, labels = read(tmp_path / "train")
    assert np.array_equal(images, SMALL)
    assert labels.tolist() == FINE.tolist()


def with_coarse(label):
    content = bytearray(cifar_100_binary(SMALL, FINE))
    content[2 * 3074] = label
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "records of 3074 bytes, got 0"),
        (cifar_100_binary(SMALL, FINE)[:-1], "records of 3074 bytes, got 12295 bytes"),
        (cifar_binary(SMALL, FINE), "records of 3074 bytes"),
        (cifar_100_binary(SMALL, FINE + 1), "labels from 0 to 99, got 100"),
        (with_coarse(20), "labels from 0 to 19, got 20"),
    ],
)
def test_other_binary_files_of_cifar_100_are_refused(tmp_path, content, message):
    (tmp_path / "train.bin").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_cifar_100_binary(tmp_path / "train.bin")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (cifar_pickle(SMALL, LABELS), "`data` and `fine_labels`"),
        (cifar_100_pickle(SMALL, FINE[:3]), "data of 3x3072 for 3 labels"),
        (cifar_100_pickle(SMALL, FINE + 1), "labels from 0 to 99, got 100"),
        (cifar_100_pickle(SMALL, FINE)[:-9], "damaged"),
        (b"\x80\x02cposix\nsystem\n(" + text(b"true") + b"tR.", "nothing of it was run"),
    ],
)
def test_other_pickles_of_cifar_100_are_refused(tmp_path, content, message):
    (tmp_path / "train").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_cifar_100_pickle(tmp_path / "train")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (stl_pixels(LARGE)[:-1], b"\1\2\3\4", "X: expected records of 27648 bytes"),
        (stl_pixels(LARGE), b"\1\2\3", "y: expected 4 labels, as many as X"),
        (stl_pixels(LARGE), b"\1\2\3\0", "y: expected labels from 1 to 10, got 0"),
        (stl_pixels(LARGE), b"\1\2\3\x0b", "got 11"),
        (b"", b"", "X: expected records"),
    ],
)
def test_other_stl_files_are_refused(tmp_path, x, y, message):
    (tmp_path / "X").write_bytes(x)
    (tmp_path / "y").write_bytes(y)
    with pytest.raises(InputError, match=message):
        read_stl(tmp_path / "X", tmp_path / "y")


@pytest.mark.parametrize("read", [read_svhn, read_cifar_binary, read_cifar_100_pickle])
def test_a_file_that_cannot_be_opened_is_named(tmp_path, read):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match=f"{path}: could not be read"):
            read(path)

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from refused import refused
from true_formats import (
    TINY_CIFAR,
    TINY_CIFAR_100,
    TINY_STL,
    TINY_SVHN,
    cifar_100_binary,
    cifar_100_pickle,
    cifar_binary,
    cifar_pickle,
    some_images,
    stl_pixels,
    write_svhn,
)

from novelweights.data.user_files import CIFAR_10, CIFAR_100, STL_10, SVHN, load_user_set

FINE = np.array([99, 0, 20, 55, 1, 98])


def rows(of):
    return load_user_set(of).as_rows()


def labels_of(n):
    return np.arange(n) % 10


@pytest.fixture
def svhn(cache):
    (cache / "svhn").mkdir()
    for part, n in (("train", 7), ("test", 3)):
        write_svhn(cache / "svhn" / f"{part}_32x32.mat", some_images(n, 32), labels_of(n))


def put_cifar(cache, write, suffix=""):
    """Five training batches of two images, of classes 0 to 9 in their order."""
    images, folder = some_images(10, 32), cache / "cifar-10"
    folder.mkdir(exist_ok=True)
    for batch in range(5):
        some = slice(2 * batch, 2 * batch + 2)
        path = folder / f"data_batch_{batch + 1}{suffix}"
        path.write_bytes(write(images[some], labels_of(10)[some]))
    (folder / f"test_batch{suffix}").write_bytes(write(images[:2], labels_of(2)))


@pytest.fixture
def stl(cache):
    folder = cache / "stl-10"
    folder.mkdir()
    for part, n in (("train", 4), ("test", 3)):
        (folder / f"{part}_X.bin").write_bytes(stl_pixels(some_images(n, 96)))
        (folder / f"{part}_y.bin").write_bytes((labels_of(n) + 1).astype(np.uint8).tobytes())
    return folder


def test_svhn_is_gray_cropped_and_scaled_and_its_images_are_always_the_same(svhn):
    data, whole = rows(TINY_SVHN), rows(replace(TINY_SVHN, n_used=7))
    assert data.name == "svhn"
    assert data.image_shape == (28, 28)
    assert data.train_x.shape == (5, 784)
    assert data.test_x.shape == (3, 784)
    assert data.test_y.tolist() == [0, 1, 2]
    assert "5 of 7" in data.source
    for row, image in zip(data.test_x, some_images(3, 32), strict=True):
        expected = np.asarray(Image.fromarray(image).convert("L"))[2:30, 2:30] / 255
        assert np.allclose(row.numpy().reshape(28, 28), (expected - 0.5) / 0.5, atol=1e-6)
    assert whole.train_y.tolist() == list(range(7))
    assert data.train_y.tolist() == sorted(set(data.train_y.tolist()))  # file order, no row twice
    assert torch.equal(whole.train_x[data.train_y], data.train_x)


@pytest.mark.parametrize(("write", "suffix"), [(cifar_binary, ".bin"), (cifar_pickle, "")])
def test_cifar_is_resized_and_standardized_by_what_is_trained_on(cache, write, suffix):
    put_cifar(cache, write, suffix)
    data = rows(TINY_CIFAR)
    assert data.image_shape == (3, 28, 28)
    assert data.train_x.shape == (8, 3 * 784)
    assert data.test_y.tolist() == [0, 1]
    channels = data.train_x.double().view(8, 3, 784)
    assert channels.mean((0, 2)).abs().max() < 1e-6
    assert (channels.std((0, 2), correction=0) - 1).abs().max() < 1e-6
    # the test images are training images 0 and 1: the same constants for both
    for test_row, label in enumerate(data.test_y):
        if label in data.train_y:
            train_row = data.train_y.tolist().index(label)
            assert torch.equal(data.test_x[test_row], data.train_x[train_row])
    small = np.asarray(Image.fromarray(some_images(1, 32)[0]).resize((28, 28), 2))  # 2: bilinear
    first = data.test_x[0].view(3, 28, 28).double()
    slope = np.polyfit(small[..., 1].ravel(), first[1].ravel().numpy(), 1)
    assert np.allclose(np.polyval(slope, small[..., 1]), first[1].numpy(), atol=1e-5)


def test_both_versions_of_cifar_give_the_same_images(cache):
    put_cifar(cache, cifar_pickle)
    python = rows(TINY_CIFAR)
    put_cifar(cache, cifar_binary, ".bin")
    binary = rows(TINY_CIFAR)  # preferred: nothing to unpickle
    assert torch.equal(python.train_x, binary.train_x)
    assert torch.equal(python.test_y, binary.test_y)
    assert "Python" in python.source
    assert "binary" in binary.source
    assert python.sha256 != binary.sha256


def test_stl_is_resized_and_standardized(stl):
    data = rows(TINY_STL)
    assert data.image_shape == (3, 28, 28)
    assert data.train_y.tolist() == [0, 1, 2, 3]
    assert data.test_x.shape == (3, 3 * 784)
    assert "all 4" in data.source


@pytest.mark.parametrize("names", [("train.bin", "test.bin"), ("train", "test")])
def test_cifar_100_is_read_from_either_version(cache, names):
    write = cifar_100_binary if names[0].endswith(".bin") else cifar_100_pickle
    folder = cache / "cifar-100"
    folder.mkdir()
    (folder / names[0]).write_bytes(write(some_images(6, 32), FINE))
    (folder / names[1]).write_bytes(write(some_images(3, 32, seed=1), FINE[:3]))
    data = load_user_set(TINY_CIFAR_100)
    assert np.array_equal(data.train, some_images(6, 32))
    assert np.array_equal(data.test, some_images(3, 32, seed=1))
    assert data.train_y.tolist() == FINE.tolist()
    assert data.test_y.tolist() == FINE[:3].tolist()
    assert (data.name, data.classes) == ("cifar-100", 100)
    assert data.mean == (0.5071, 0.4867, 0.4408)
    assert data.std == (0.2675, 0.2565, 0.2761)
    for of, n, found in ((CIFAR_100, 50_000, 6), (replace(TINY_CIFAR_100, n_test=9), 9, 3)):
        with refused("other-rows", "cifar-100", n, found):
            load_user_set(of)


def test_only_what_is_missing_is_called_missing(stl):
    (stl / "test_y.bin").unlink()
    with refused("no-data", "missing: test_y.bin)"):
        load_user_set(STL_10)


def test_other_numbers_of_images_than_published_are_refused(cache, svhn, stl):
    put_cifar(cache, cifar_binary, ".bin")
    for of, tiny in ((SVHN, TINY_SVHN), (CIFAR_10, TINY_CIFAR), (STL_10, TINY_STL)):
        with refused("other-rows", of.name, of.n_train, tiny.n_train):
            load_user_set(of)
        with refused("other-rows", of.name, 99, tiny.n_test):
            load_user_set(replace(tiny, n_test=99))


def test_published_numbers():
    assert (SVHN.n_train, SVHN.n_test, SVHN.n_used) == (73_257, 26_032, 60_000)
    assert (CIFAR_10.n_train, CIFAR_10.n_test, CIFAR_10.n_used) == (50_000, 10_000, 42_000)
    assert (CIFAR_100.n_train, CIFAR_100.n_test, CIFAR_100.n_used) == (50_000, 10_000, 50_000)
    for files, _ in CIFAR_10.versions.values():
        assert len(files) == 6

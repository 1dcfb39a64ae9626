from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from true_formats import (
    TINY_CIFAR,
    TINY_STL,
    TINY_SVHN,
    cifar_binary,
    cifar_pickle,
    some_images,
    stl_pixels,
    write_svhn,
)

from novelweights.data.images import DATA, load_data
from novelweights.data.user_files import (
    CIFAR_10,
    SVHN,
    load_cifar_10,
    load_stl_10,
    load_svhn,
)
from novelweights.errors import InputError

NAMES = ("svhn", "cifar-10", "stl-10")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path))
    for name in NAMES:
        (tmp_path / name).mkdir()
    return tmp_path


def labels_of(n):
    return np.arange(n) % 10


def put_svhn(cache, n_train=7, n_test=3):
    for part, n in (("train", n_train), ("test", n_test)):
        write_svhn(cache / "svhn" / f"{part}_32x32.mat", some_images(n, 32), labels_of(n))


def put_cifar(cache, write, suffix=""):
    """Five training batches of two images, of classes 0 to 9 in their order."""
    images = some_images(10, 32)
    for batch in range(5):
        rows = slice(2 * batch, 2 * batch + 2)
        path = cache / "cifar-10" / f"data_batch_{batch + 1}{suffix}"
        path.write_bytes(write(images[rows], labels_of(10)[rows]))
    (cache / "cifar-10" / f"test_batch{suffix}").write_bytes(write(images[:2], labels_of(2)))


def put_stl(cache):
    for part, n in (("train", 4), ("test", 3)):
        (cache / "stl-10" / f"{part}_X.bin").write_bytes(stl_pixels(some_images(n, 96)))
        labels = (labels_of(n) + 1).astype(np.uint8)
        (cache / "stl-10" / f"{part}_y.bin").write_bytes(labels.tobytes())


def test_svhn_is_gray_cropped_and_scaled(cache):
    put_svhn(cache)
    data = load_svhn(TINY_SVHN)
    assert data.name == "svhn"
    assert data.image_shape == (28, 28)
    assert data.train_x.shape == (5, 784)
    assert data.test_x.shape == (3, 784)
    assert data.test_y.tolist() == [0, 1, 2]
    assert "5 of 7 training images" in data.source
    for row, image in zip(data.test_x, some_images(3, 32), strict=True):
        expected = np.asarray(Image.fromarray(image).convert("L"))[2:30, 2:30] / 255
        assert np.allclose(row.numpy().reshape(28, 28), (expected - 0.5) / 0.5, atol=1e-6)


def test_training_images_used_are_always_the_same_and_keep_their_labels(cache):
    put_svhn(cache)
    used = load_svhn(TINY_SVHN)
    whole = load_svhn(replace(TINY_SVHN, n_used=7))
    assert torch.equal(load_svhn(TINY_SVHN).train_x, used.train_x)
    assert used.train_y.tolist() == sorted(set(used.train_y.tolist()))  # file order, no row twice
    assert torch.equal(whole.train_x[used.train_y], used.train_x)
    assert whole.train_y.tolist() == list(range(7))


@pytest.mark.parametrize(("write", "suffix"), [(cifar_binary, ".bin"), (cifar_pickle, "")])
def test_cifar_is_resized_and_standardized_by_what_is_trained_on(cache, write, suffix):
    put_cifar(cache, write, suffix)
    data = load_cifar_10(TINY_CIFAR)
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
    python = load_cifar_10(TINY_CIFAR)
    put_cifar(cache, cifar_binary, ".bin")
    binary = load_cifar_10(TINY_CIFAR)  # preferred: nothing to unpickle
    assert torch.equal(python.train_x, binary.train_x)
    assert torch.equal(python.test_y, binary.test_y)
    assert "Python version" in python.source
    assert "binary version" in binary.source
    assert python.sha256 != binary.sha256


def test_stl_is_resized_and_standardized(cache):
    put_stl(cache)
    data = load_stl_10(TINY_STL)
    assert data.image_shape == (3, 28, 28)
    assert data.train_y.tolist() == [0, 1, 2, 3]
    assert data.test_x.shape == (3, 3 * 784)
    assert "all 4 training images, " not in data.source
    assert "all 4 training images; resized to 28x28, mean 0." in data.source


@pytest.mark.parametrize(
    ("name", "files", "substitute"),
    [
        ("svhn", ["train_32x32.mat", "test_32x32.mat"], "digits-on-photo"),
        ("cifar-10", ["data_batch_5.bin", "test_batch.bin", "data_batch_1,"], "photo-patch-10"),
        ("stl-10", ["train_X.bin", "test_y.bin"], "photo-patch-10"),
    ],
)
def test_missing_files_are_named_with_what_to_do(cache, name, files, substitute):
    with pytest.raises(InputError, match="cannot be fetched here") as caught:
        load_data(name)
    message = str(caught.value)
    assert all(file in message for file in [*files, str(cache / name), substitute])
    assert substitute in DATA


def test_only_what_is_missing_is_called_missing(cache):
    put_stl(cache)
    (cache / "stl-10" / "test_y.bin").unlink()
    with pytest.raises(InputError, match=r"\(missing: test_y\.bin\)"):
        load_data("stl-10")


def test_other_numbers_of_images_than_published_are_refused(cache):
    put_svhn(cache)
    put_cifar(cache, cifar_binary, ".bin")
    put_stl(cache)
    for name, n in (("svhn", 73257), ("cifar-10", 50000), ("stl-10", 5000)):
        with pytest.raises(InputError, match=f"{name}: expected {n} training images .*, got "):
            load_data(name)
    for load, tiny in (
        (load_svhn, TINY_SVHN),
        (load_cifar_10, TINY_CIFAR),
        (load_stl_10, TINY_STL),
    ):
        with pytest.raises(InputError, match="expected 99 test images"):
            load(replace(tiny, n_test=99))


def test_published_numbers():
    assert (SVHN.n_train, SVHN.n_test, SVHN.n_used) == (73_257, 26_032, 60_000)
    assert (CIFAR_10.n_train, CIFAR_10.n_test, CIFAR_10.n_used) == (50_000, 10_000, 42_000)
    assert len(CIFAR_10.versions["binary"]) == len(CIFAR_10.versions["Python"]) == 6

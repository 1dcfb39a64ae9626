from dataclasses import replace

import numpy as np
import pytest
import torch
from photos import needs_photos
from true_formats import TINY_CIFAR_100, cifar_100_binary, cifar_100_pickle, some_images

from novelweights.data import images, pixel_sets
from novelweights.data.fetch import FETCHABLE
from novelweights.data.pixel_data import PixelData, standardized
from novelweights.data.pixel_sets import PIXELS, load_pixels
from novelweights.data.substitutes import photo_patches
from novelweights.data.user_files import CIFAR_100, load_cifar_100
from novelweights.errors import InputError

PATCHES_SHA256 = "cdbb73b7411b23c2f06f2bfa131540d138683e28815b48057801b5f8fa0797d2"
FINE = np.array([99, 0, 20, 55, 1, 98])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path))
    return tmp_path


def some_data(**changed):
    of = {
        "name": "some",
        "source": "a test",
        "sha256": "",
        "train": some_images(4, 8),
        "train_y": np.array([0, 1, 2, 0]),
        "test": some_images(2, 8),
        "test_y": np.array([2, 1]),
        "mean": (0.5, 0.25, 0.125),
        "std": (0.25, 0.5, 1.0),
        "classes": 3,
    }
    return PixelData(**(of | changed))


def test_standardized_takes_mean_and_deviation_out_of_each_channel():
    data = some_data()
    found = standardized(data.train[1:3], data.mean, data.std)
    assert found.dtype == torch.float32
    expected = (data.train[1:3] / 255 - data.mean) / data.std
    assert np.allclose(found.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_y": np.array([0, 1, 2])}, "differ in number|train_y"),
        ({"test": some_images(3, 8)}, "differ in number|test_y"),
        ({"mean": (0.5,)}, "each channel"),
        ({"classes": 2}, "not within 0 to 1"),
        ({"test_y": np.array([0, -1])}, "not within 0 to 2"),
    ],
)
def test_pixels_that_do_not_fit_together_are_refused(changed, message):
    # a ValueError of ours; under the suite's type checks shapes in the signature come first
    with pytest.raises((ValueError, TypeError), match=message):
        some_data(**changed)


def test_unknown_name_gets_the_closest():
    with pytest.raises(InputError, match="did you mean 'cut-paste-100'"):
        load_pixels("cut-paste")


@pytest.mark.parametrize("names", [("train.bin", "test.bin"), ("train", "test")])
def test_cifar_100_is_read_from_either_version(cache, names):
    write = cifar_100_binary if names[0].endswith(".bin") else cifar_100_pickle
    folder = cache / "cifar-100"
    folder.mkdir()
    (folder / names[0]).write_bytes(write(some_images(6, 32), FINE))
    (folder / names[1]).write_bytes(write(some_images(3, 32, seed=1), FINE[:3]))
    data = load_cifar_100(TINY_CIFAR_100)
    assert np.array_equal(data.train, some_images(6, 32))
    assert np.array_equal(data.test, some_images(3, 32, seed=1))
    assert data.train_y.tolist() == FINE.tolist()
    assert data.test_y.tolist() == FINE[:3].tolist()
    assert (data.name, data.classes) == ("cifar-100", 100)
    assert data.mean == (0.5071, 0.4867, 0.4408)
    assert data.std == (0.2675, 0.2565, 0.2761)
    with pytest.raises(InputError, match=r"cifar-100: expected 50000 training images .*, got 6"):
        load_pixels("cifar-100")
    with pytest.raises(InputError, match=r"cifar-100: expected 10000 test images .*, got 3"):
        load_cifar_100(replace(TINY_CIFAR_100, n_test=10_000))


def test_published_numbers_of_cifar_100():
    assert (CIFAR_100.n_train, CIFAR_100.n_test, CIFAR_100.n_used) == (50_000, 10_000, 50_000)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cifar-100", ["train.bin, test.bin", "train, test", "use cut-paste-100"]),
        ("cut-paste-100", ["expected 100 files", "novelweights data fetch tuxpaint-stamps"]),
        ("fashion-mnist", ["expected 4 files", "novelweights data fetch fashion-mnist"]),
    ],
)
def test_missing_files_say_what_to_do(cache, name, words):
    with pytest.raises(InputError, match=f"^{name}: expected ") as caught:
        load_pixels(name)
    message = str(caught.value)
    assert all(word in message for word in words)
    assert len(message) < 500


def test_fashion_mnist_lies_in_the_middle_of_zeros(monkeypatch):
    given = some_images(5, 28)[..., 0]
    parts = {"train": (given, FINE[:5] % 10), "t10k": (given[:2], FINE[:2] % 10)}
    parts = {key: (x, y.astype(np.uint8)) for key, (x, y) in parts.items()}
    monkeypatch.setattr(pixel_sets, "read_fetched", lambda name: parts)
    data = load_pixels("fashion-mnist")
    assert data.train.shape == (5, 32, 32, 1)
    assert np.array_equal(data.train[:, 2:30, 2:30, 0], given)
    assert data.train.sum() == given.sum()
    assert data.test_y.tolist() == [9, 0]
    assert (data.mean, data.std) == ((images.FASHION_MEAN,), (images.FASHION_STD,))
    assert "dataset-fashion-mnist" in data.source


@needs_photos
def test_photo_patches_are_the_same_bytes_everywhere_with_one_mean_and_contrast():
    data = load_pixels("photo-patch-10")
    assert data.sha256 == PATCHES_SHA256
    assert np.bincount(data.train_y).tolist() == [600] * 10
    assert np.bincount(data.test_y).tolist() == [150] * 10
    means, deviations = data.train.mean((1, 2)), data.train.std((1, 2))
    assert np.abs(np.median(means) - 128) < 0.5
    assert np.abs(np.median(deviations) - 40) < 1
    assert (np.abs(means - 128) < 6).all()  # rounding, and what was clipped
    crops = photo_patches()["train"][0].astype(float)
    scaled = (crops - crops.mean((1, 2), keepdims=True)) * 40
    contrast = crops.std((1, 2), keepdims=True)
    clear = (contrast > 2).all((1, 2, 3))
    expected = (scaled[clear] / contrast[clear] + 128).clip(0, 255)
    assert np.abs(data.train[clear] - expected).max() < 0.51
    inputs = standardized(data.train[:1000], data.mean, data.std)
    assert inputs.mean().abs() < 0.05


def test_every_set_of_pixels_can_be_had_somehow():
    assert set(PIXELS) == {"cifar-100", "cut-paste-100", "fashion-mnist", "photo-patch-10"}
    assert {"fashion-mnist", "tuxpaint-stamps"} <= FETCHABLE.keys()

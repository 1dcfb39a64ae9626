import numpy as np
import pytest
from PIL import Image
from true_formats import some_images

from novelweights.data.pixels import (
    centre_crop,
    gray,
    gray_middle,
    moments,
    normalized,
    resized,
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


def test_gray_middles_lie_between_minus_one_and_one():
    levels = np.array([0, 255, 51], np.uint8)[:, None, None, None]
    middle = gray_middle(np.broadcast_to(levels, (3, 32, 32, 3)))
    assert middle.shape == (3, 28, 28, 1)
    rows = normalized(middle, 0.5, 0.5)
    assert rows.dtype == np.float32
    assert np.array_equal(rows[:, 5, 9, 0], np.array([-1.0, 1.0, -0.6], np.float32))


def test_resized_covers_the_whole_image_and_keeps_its_mean():
    ramp = np.broadcast_to(np.arange(96, dtype=np.uint8)[:, None, None], (2, 96, 96, 3))
    small = resized(ramp)
    assert small.shape == (2, 28, 28, 3)
    expected = (np.arange(28) + 0.5) * 96 / 28 - 0.5
    assert np.abs(small[1, 1:-1, 5, 2] - expected[1:-1]).max() <= 0.51
    assert np.array_equal(resized(small), small)


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
    means, deviations, words = moments(IMAGES)
    pixels = IMAGES / 255
    assert means == pytest.approx(pixels.mean((0, 1, 2)))
    assert deviations == pytest.approx(pixels.std((0, 1, 2)))
    assert [float(word) for word in words.split() if word[0].isdigit()] == pytest.approx(
        [*means, *deviations], abs=5e-5
    )


def test_moments_of_one_color_divide_by_something():
    means, deviations, _ = moments(np.full((2, 28, 28, 3), 200, np.uint8))
    assert means == pytest.approx([200 / 255] * 3)
    assert deviations == pytest.approx([1 / 255] * 3)

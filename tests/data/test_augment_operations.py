import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from true_formats import some_images

from novelweights.data.augment_operations import OPERATIONS

PIXELS = some_images(1, 20)[0]
BILINEAR = Image.Resampling.BILINEAR


def done(name, magnitude=9.0, *, pixels=PIXELS, negated=False, resampling=BILINEAR):
    image = Image.fromarray(pixels)
    changed = OPERATIONS[name](image, float(magnitude), negated=negated, resampling=resampling)
    assert changed.size == image.size
    assert changed.mode == image.mode
    return np.asarray(changed)


def test_there_are_the_fifteen_operations():
    assert len(OPERATIONS) == 15


def test_levels_change_as_described():
    levels = PIXELS.astype(int)
    assert np.array_equal(done("invert"), 255 - levels)
    assert np.array_equal(done("posterize", 9), levels // 32 * 32)  # 3 of 8 bits
    assert np.array_equal(done("posterize", 10), levels // 16 * 16)
    assert not done("posterize", 0).any()
    assert np.array_equal(done("solarize", 9), np.where(levels >= 230, 255 - levels, levels))
    assert np.array_equal(done("solarize", 0), 255 - levels)
    assert np.array_equal(done("solarize", 10), levels)
    assert np.array_equal(done("solarize_add", 9), np.where(levels < 128, levels + 99, levels))
    assert np.array_equal(done("solarize_add", 0), levels)


def test_autocontrast_and_equalize_use_all_levels_of_each_channel():
    dull = (some_images(1, 128)[0] // 4 + 60).astype(
        np.uint8
    )  # Pillow equalizes small ones roughly
    wide = done("autocontrast", pixels=dull)
    assert (wide.min((0, 1)) == 0).all()
    assert (wide.max((0, 1)) == 255).all()
    counts, _ = np.histogram(done("equalize", pixels=dull), 4, (0, 256))
    assert counts.max() < 1.2 * counts.min()


@pytest.mark.parametrize("name", ["color", "contrast", "brightness", "sharpness"])
def test_enhancements_change_nothing_at_five_and_go_both_ways(name):
    levels = PIXELS.astype(int)
    assert np.abs(done(name, 5) - levels).max() <= 1
    luma = PIXELS @ [0.299, 0.587, 0.114]
    nothing = {
        "color": np.repeat(luma[..., None], 3, axis=2),
        "contrast": np.full(PIXELS.shape, luma.mean()),
        "brightness": np.zeros(PIXELS.shape),
        "sharpness": smoothed(levels),
    }[name]
    for magnitude, factor in ((0, 0.1), (9, 1.72), (10, 1.9)):
        expected = (nothing + factor * (levels - nothing)).clip(0, 255)
        assert np.abs(done(name, magnitude) - expected).max() <= 2


def smoothed(levels):
    """Pillow's SMOOTH: a 3x3 kernel with 5 in the middle, borders as they are."""
    kernel = np.ones((3, 3, 1)) / 13
    kernel[1, 1] *= 5
    inner = ndimage.convolve(levels.astype(float), kernel)
    inner[[0, -1]], inner[:, [0, -1]] = levels[[0, -1]], levels[:, [0, -1]]
    return inner


def test_translation_is_a_share_of_the_side_and_uncovers_gray():
    pixels = 9  # 0.45 of 20
    for name, axis in (("translate_x", 1), ("translate_y", 0)):
        found, negated = done(name, 10), done(name, 10, negated=True)
        expected = np.roll(PIXELS, -pixels, axis)
        np.moveaxis(expected, axis, 0)[-pixels:] = 128
        assert np.array_equal(found, expected)
        expected = np.roll(PIXELS, pixels, axis)
        np.moveaxis(expected, axis, 0)[:pixels] = 128
        assert np.array_equal(negated, expected)


def test_shear_moves_rows_by_their_place():
    ramp = np.broadcast_to((np.arange(60) * 4)[None, :, None], (20, 60, 3)).astype(np.uint8)
    for negated, sign in ((False, 1), (True, -1)):
        found = done("shear_x", 10, pixels=ramp, negated=negated).astype(int)
        moved = found - ramp
        for row in (0, 7, 19):
            assert np.abs(moved[row, 10:50] - sign * 4 * 0.3 * (row + 0.5)).max() <= 1.01
        upright = np.ascontiguousarray(ramp.transpose(1, 0, 2))
        turned = done("shear_y", 10, pixels=upright, negated=negated)
        assert np.array_equal(turned.transpose(1, 0, 2), found)
    assert (done("shear_x", 10, pixels=ramp)[19, 56:] == 128).all()


def test_rotation_is_up_to_thirty_degrees_either_way():
    disc = np.hypot(*np.mgrid[-20:21, -20:21]) < 20
    smooth = ndimage.gaussian_filter(some_images(1, 41, seed=3)[0].astype(float), (3, 3, 0))
    smooth = ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)
    for negated, sign in ((False, 1), (True, -1)):
        expected = ndimage.rotate(smooth.astype(float), sign * 27, reshape=False, order=1)
        found = done("rotate", 9, pixels=smooth, negated=negated)
        assert np.abs(found - expected)[disc].max() < 3
        assert (found[0, 0] == 128).all()


def test_only_geometry_is_negated_or_resampled():
    for name in OPERATIONS:
        geometric = name.startswith(("rotate", "shear", "translate"))
        changed = not np.array_equal(done(name), done(name, negated=True))
        assert changed == geometric, name
        bicubic = done(name, 7.7, resampling=Image.Resampling.BICUBIC)
        assert np.array_equal(bicubic, done(name, 7.7)) != geometric, name


@pytest.mark.parametrize("name", OPERATIONS)
def test_gray_images_change_as_equal_channels_do(name):
    gray = PIXELS[..., 0]
    for magnitude in (0, 4.5, 10):
        three = done(name, magnitude, pixels=np.repeat(gray[..., None], 3, axis=2))
        one = done(name, magnitude, pixels=gray)
        assert np.array_equal(three, np.repeat(one[..., None], 3, axis=2))

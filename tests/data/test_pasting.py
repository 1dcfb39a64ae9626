import hashlib

import numpy as np
import pytest
from PIL import Image
from true_formats import some_images

from novelweights.data.pasting import OPAQUE, Placements, pasted, reduced
from novelweights.seeding import Draws

GRAY = np.full((1, 32, 32, 3), 90, np.uint8)
RED = (200, 20, 10)


def flag():
    """64 x 32 pixels: red, its upper left quarter blue."""
    cut_out = np.full((32, 64, 4), (*RED, 255), np.uint8)
    cut_out[:16, :32] = 10, 20, 200, 255
    return cut_out


def placed(cut_out, crop=GRAY, **how):
    """The cut-out on one crop, as it is but for what is given."""
    still = {"turns": 0, "scales": 1000, "flips": 0, "down": 0, "right": 0, "brightness": 1000}
    placements = Placements(**{key: np.array([n]) for key, n in (still | how).items()})
    return pasted(crop, reduced([cut_out]), np.array([0]), placements)[0]


def expected_flag(left, top, width, height):
    image = GRAY[0].copy()
    image[top : top + height, left : left + width] = RED
    image[top : top + height // 2, left : left + width // 2] = 10, 20, 200
    return image


def test_cut_out_lies_in_the_middle_its_longer_side_across_the_crop():
    assert np.array_equal(placed(flag()), expected_flag(0, 8, 32, 16))


def test_scale_shift_flip_and_brightness():
    assert np.array_equal(placed(flag(), scales=750), expected_flag(4, 10, 24, 12))
    moved = placed(flag(), scales=750, down=3 * 8, right=-2 * 8)
    assert np.array_equal(moved, expected_flag(2, 13, 24, 12))
    assert np.array_equal(placed(flag(), flips=1), expected_flag(0, 8, 32, 16)[:, ::-1])
    darker = placed(flag(), brightness=500)
    assert np.array_equal(darker[20, 20], [100, 10, 5])
    assert np.array_equal(darker[2, 2], [90, 90, 90])
    assert placed(flag(), brightness=1300)[20, 20].tolist() == [255, 26, 13]


def test_half_a_pixel_mixes_cut_out_and_crop():
    moved = placed(flag(), down=4)
    assert np.array_equal(moved[8, 20], (np.array(RED) + 90 + 1) // 2)
    assert np.array_equal(moved[24, 20], (np.array(RED) + 90 + 1) // 2)


def test_turning_is_counter_clockwise_as_pillow_turns():
    upright = Image.fromarray(placed(flag()))
    for quarters, degrees in ((360, 90), (-360, -90), (720, 180)):
        turned = placed(flag(), turns=quarters)
        expected = np.asarray(upright.rotate(degrees))
        inner = np.zeros((32, 32), bool)
        inner[1:-1, 1:-1] = True
        assert np.array_equal(turned[inner], expected[inner])


def test_small_turn_is_what_a_finer_grid_gives():
    fine = np.full((320, 320, 3), 90, np.uint8)
    fine[80:240] = np.kron(flag()[..., :3], np.ones((5, 5, 1), np.uint8))
    turned = Image.fromarray(fine).rotate(20, Image.Resampling.BICUBIC, fillcolor=(90, 90, 90))
    expected = np.asarray(turned.resize((32, 32), Image.Resampling.BOX)).astype(int)
    found = placed(flag(), turns=80).astype(int)
    assert np.abs(found - expected).mean() < 1.5
    assert np.abs(placed(flag(), turns=-80) - expected).mean() > 10


def test_transparent_parts_show_the_crop_and_margins_do_not_count():
    cut_out = np.zeros((100, 90, 4), np.uint8)
    cut_out[10:74, 5:37] = (*RED, 51)  # a fifth
    assert np.array_equal(
        placed(cut_out)[:, 8:24], np.broadcast_to((90 * 4 + np.array(RED)) // 5, (32, 16, 3))
    )
    assert (placed(cut_out)[:, :8] == 90).all()


def test_reduced_is_the_mean_of_the_area_weighted_by_opacity():
    image = some_images(1, 150)[0][:, :120]
    cut_out = np.concatenate([image, np.full((150, 120, 1), 255, np.uint8)], axis=2)
    stamps = reduced([cut_out], side=50)
    assert stamps.sides.tolist() == [[50, 40]]
    expected = np.asarray(Image.fromarray(image).resize((40, 50), Image.Resampling.BOX))
    assert (
        np.abs(stamps.pixels[0, :50, :40, :3] / 255 - expected).max() <= 1.01
    )  # Pillow rounds rows and columns
    assert (stamps.pixels[0, :50, :40, 3] == OPAQUE).all()
    assert not stamps.pixels[0, :, 40:].any()
    half = cut_out.copy()
    half[::2, :, 3] = 0
    half = reduced([half[1:-1]], side=74).pixels[0, :74, :59]
    assert half[..., 3].max() <= OPAQUE
    shares = half[..., :3].sum((0, 1)) / half[..., 3].sum()
    assert shares * 255 == pytest.approx(image[1::2].mean((0, 1)), abs=3)


def test_draws_fill_their_ranges_and_no_more():
    drawn = Placements.drawn(20_000, Draws("test"))
    ranges = {
        "turns": (-100, 100),
        "scales": (700, 1100),
        "flips": (0, 1),
        "down": (-32, 32),
        "right": (-32, 32),
        "brightness": (700, 1200),
    }
    for key, (low, high) in ranges.items():
        values = getattr(drawn, key)
        assert (values.min(), values.max()) == (low, high), key
        assert values.mean() == pytest.approx((low + high) / 2, abs=(high - low) * 0.02), key
    assert abs(np.corrcoef(drawn.down, drawn.right)[0, 1]) < 0.03


def test_pasted_bytes_are_the_same_everywhere():
    rng = np.random.default_rng(0)
    cut_outs = [rng.integers(0, 256, (70, 40, 4)).astype(np.uint8), flag()]
    which = np.arange(30) % 2
    images = pasted(
        some_images(30, 32), reduced(cut_outs), which, Placements.drawn(30, Draws("test"))
    )
    digest = hashlib.sha256(images.tobytes()).hexdigest()
    assert digest == "794578772c59c3cd7c50f5665d726a0cab614498588e5c125e60bce783076548"

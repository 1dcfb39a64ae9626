import math

import numpy as np
import pytest
import torch
from torch.nn import functional
from true_formats import some_images

from novelweights.data.augment import (
    rand_augment,
    random_boxes,
    random_resized_crop,
    resized_center,
)

USUAL = {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3)}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(n=40, c=3, h=32, w=32):
    return torch.randn(n, c, h, w, generator=rng(9))


def one_by_one(images, size, seed, antialias):
    """Each box cut out and resized by torch, then mirrored where that was drawn."""
    stream = rng(seed)
    boxes = random_boxes(len(images), *images.shape[2:], rng=stream, **USUAL)
    mirrored = torch.rand(len(images), generator=stream) < 0.5
    assert 0 < mirrored.sum() < len(images)
    parts = []
    for image, mirror, (top, left, height, width) in zip(
        images, mirrored, torch.stack(boxes, 1).tolist(), strict=True
    ):
        part = functional.interpolate(
            image[None, :, top : top + height, left : left + width],
            (size, size),
            mode="bilinear",
            align_corners=False,
            antialias=antialias,
        )
        parts.append(part.flip(3) if mirror else part)
    return torch.cat(parts)


@pytest.mark.parametrize(
    ("shape", "size", "antialias"),
    [
        ((40, 3, 32, 32), 32, False),  # enlarges only
        ((40, 1, 24, 40), 80, False),
        ((40, 3, 32, 32), 10, True),  # shrinks some, enlarges others
        ((40, 1, 24, 40), 24, True),
    ],
)
def test_crops_are_what_torch_gives_one_by_one(shape, size, antialias):
    images = noise(*shape)
    found = random_resized_crop(images, size, rng=rng(3))
    assert found.shape == (40, shape[1], size, size)
    assert found.dtype == torch.float32
    assert torch.allclose(found, one_by_one(images, size, 3, antialias), atol=3e-5)


def test_crops_are_drawn_anew_and_repeat_with_the_generator():
    images, stream = noise(), rng(1)
    first, second = (random_resized_crop(images, 32, rng=stream) for _ in range(2))
    assert not torch.allclose(first, second)
    assert torch.equal(random_resized_crop(images, 32, rng=rng(1)), first)


def test_whole_image_is_left_as_it_is_or_mirrored():
    images, whole = noise(), {"scale": (1.0, 1.0), "ratio": (1.0, 1.0)}
    assert torch.allclose(
        random_resized_crop(images, 32, rng=rng(), flip=False, **whole), images, atol=1e-6
    )
    flipped = random_resized_crop(images, 32, rng=rng(), **whole)
    same = (flipped - images).abs().amax((1, 2, 3)) < 1e-5
    assert 8 < same.sum() < 32
    assert torch.allclose(flipped[~same], images[~same].flip(3), atol=1e-6)


def test_boxes_have_the_areas_ratios_and_places_of_the_definition():
    n, side = 20_000, 400
    top, left, height, width = random_boxes(n, side, side, rng=rng(), **USUAL)
    area = (height * width / side**2).double()
    ratio = (width / height).double()
    assert area.min() > 0.079
    assert area.max() <= 1
    assert ratio.min() > 0.745
    assert ratio.max() < 1.345
    small = area < 0.7  # these fit at the first draw whatever their ratio
    for part, (low, high) in ((area[small], (0.08, 0.7)), (ratio[small].log(), (-0.2877, 0.2877))):
        shares = torch.histc(part, 4, low, high) / len(part)
        assert (shares - 0.25).abs().max() < 0.02
    for start, length in ((top, height), (left, width)):
        room = side - length
        assert (start >= 0).all()
        assert (start <= room).all()
        place = (start[room > 50] / room[room > 50]).double()
        assert place.mean().item() == pytest.approx(0.5, abs=0.01)
        assert place.std().item() == pytest.approx(1 / math.sqrt(12), abs=0.01)
    assert (
        abs(
            torch.corrcoef(torch.stack([top / (side + 1 - height), left / (side + 1 - width)]))[
                0, 1
            ]
        )
        < 0.03
    )


def test_every_place_of_a_box_occurs():
    top, left, height, width = random_boxes(
        3000, 4, 6, rng=rng(), scale=(6 / 24, 6 / 24), ratio=(2 / 3, 2 / 3)
    )
    assert set(height.tolist()) == {3}
    assert set(width.tolist()) == {2}
    places = torch.bincount(top * 5 + left)
    assert len(places) == 2 * 5
    assert places.min() > 230


@pytest.mark.parametrize(
    ("h", "w", "box"),
    [(10, 100, (0, 43, 10, 13)), (100, 10, (43, 0, 13, 10)), (30, 32, (0, 0, 30, 32))],
)
def test_without_a_box_that_fits_the_middle_is_taken(h, w, box):
    ratio = (3 / 4, 4 / 3)
    found = random_boxes(5, h, w, rng=rng(), scale=(1.1, 1.2), ratio=ratio)
    assert torch.stack(found, 1).tolist() == [list(box)] * 5


def test_center_of_the_resized_image():
    ramp = torch.arange(32.0).expand(2, 1, 32, 32)
    found = resized_center(ramp, 256, 224)
    assert found.shape == (2, 1, 224, 224)
    expected = (torch.arange(16, 240) + 0.5) / 8 - 0.5
    assert torch.allclose(found[1, 0, 7], expected.clamp(0, 31), atol=1e-4)
    wide = resized_center(noise(2, 3, 20, 30), 40, 36)
    enlarged = functional.interpolate(noise(2, 3, 20, 30), (40, 60), mode="bilinear")
    assert torch.allclose(wide, enlarged[:, :, 2:38, 12:48], atol=1e-5)
    with pytest.raises(ValueError, match="cannot cut 40 pixels from 36"):
        resized_center(ramp, 36, 40)


BYTES = some_images(300, 16)


def test_rand_augment_repeats_with_the_generator_and_leaves_its_input():
    before = BYTES.copy()
    stream = rng(1)
    first, second = (rand_augment(BYTES, rng=stream) for _ in range(2))
    assert np.array_equal(rand_augment(BYTES, rng=rng(1)), first)
    assert not np.array_equal(first, second)
    assert np.array_equal(BYTES, before)


@pytest.mark.parametrize(("layers", "share"), [(0, 1.0), (1, 0.5), (2, 0.25)])
def test_every_layer_acts_on_half_of_the_images(layers, share):
    found = rand_augment(BYTES, rng=rng(), layers=layers)
    same = (found == BYTES).all((1, 2, 3)).mean()
    # autocontrast, equalize and the like leave hardly any of these as they are
    assert same == pytest.approx(share, abs=0.12)
    assert same >= share - 0.06


def test_magnitude_is_drawn_around_the_given_one():
    still = {"layers": 1, "magnitude_std": 0.0}
    fixed = rand_augment(BYTES, rng=rng(), **still)
    varied = rand_augment(BYTES, rng=rng(), layers=1)
    differs = (fixed != varied).any((1, 2, 3))
    acted = (fixed != BYTES).any((1, 2, 3))
    assert 0.3 < differs[acted].mean() < 0.95  # three of fifteen have no magnitude
    assert not differs[~acted].mean() > 0.2
    beyond = rand_augment(BYTES, rng=rng(), magnitude=50.0, **still)
    assert np.array_equal(beyond, rand_augment(BYTES, rng=rng(), magnitude=10.0, **still))


def test_gray_images_stay_gray_and_others_are_refused():
    gray = BYTES[..., :1]
    found = rand_augment(gray, rng=rng())
    assert found.shape == gray.shape
    three = rand_augment(np.repeat(gray, 3, axis=3), rng=rng())
    assert np.array_equal(three, np.repeat(found, 3, axis=3))
    with pytest.raises(ValueError, match="1 or 3 channels, not 2"):
        rand_augment(np.ascontiguousarray(BYTES[..., :2]), rng=rng())

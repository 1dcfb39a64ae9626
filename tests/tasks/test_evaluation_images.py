import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from novelweights.data.augment import resized_center
from novelweights.data.image_data import PixelData, standardized
from novelweights.networks.resnet import ResNet18
from novelweights.tasks.evaluation_images import evaluation_images

NETWORK = ResNet18(width=2, image_size=32, classes=5)


def pixel_data(h: int = 32, w: int = 32, c: int = 3) -> PixelData:
    """23 test images of noise."""
    rng = np.random.default_rng(0)
    return PixelData(
        name="noise",
        source="made in a test",
        sha256="",
        train=np.zeros((0, h, w, c), np.uint8),
        train_y=np.zeros(0, np.int64),
        test=rng.integers(0, 256, (23, h, w, c)).astype(np.uint8),
        test_y=rng.integers(0, 5, 23),
        mean=(0.5, 0.4, 0.6)[:c],
        std=(0.25, 0.2, 0.3)[:c],
        classes=5,
    )


def test_test_images_are_standardized_and_resized_where_the_network_is_large():
    data = pixel_data()
    small = evaluation_images(NETWORK, data)
    pixels = torch.from_numpy(data.test).double() / 255
    expected = (pixels - torch.tensor(data.mean)) / torch.tensor(data.std)
    rows = expected.permute(0, 3, 1, 2).reshape(23, -1).float()
    assert torch.allclose(small.test_x, rows, atol=1e-5)
    assert small.test_y.tolist() == data.test_y.tolist()
    assert len(small.train_x) == 0
    large = evaluation_images(replace(NETWORK, image_size=224), data)
    assert large.image_shape == (3, 224, 224)
    images = large.test_x.reshape(23, 3, 224, 224)
    # 8 pixels for one: 16 of 256 are cut off at each side, so two of 32; centers stay
    middle = images[:, :, 3::8, 3::8][:, :, :28, :28]
    assert torch.allclose(middle, rows.reshape(23, 3, 32, 32)[:, :, 2:30, 2:30], atol=0.7)
    assert (middle - rows.reshape(23, 3, 32, 32)[:, :, :28, :28]).abs().mean() > 0.5
    with pytest.raises(ValueError, match="does not fit the images of noise"):
        evaluation_images(replace(NETWORK, channels=1), data)
    with pytest.raises(ValueError, match="does not fit the images of noise"):
        evaluation_images(replace(NETWORK, classes=4), data)


@pytest.mark.parametrize("at_once", [5, 256])
@pytest.mark.parametrize(
    ("shape", "size"),
    [((32, 32, 3), 32), ((28, 28, 1), 32), ((32, 32, 3), 224), ((40, 57, 3), 224)],
)
def test_blocks_hold_bit_for_bit_what_all_images_at_once_give(monkeypatch, at_once, shape, size):
    monkeypatch.setattr(sys.modules[evaluation_images.__module__], "IMAGES_AT_ONCE", at_once)
    data, network = pixel_data(*shape), replace(NETWORK, image_size=size, channels=shape[2])
    images = standardized(data.test, data.mean, data.std)
    if shape[0] != size:
        images = resized_center(images, {32: 32, 224: 256}[size], size)
    test_x = evaluation_images(network, data).test_x
    assert torch.equal(test_x, images.flatten(1))
    assert test_x.is_contiguous()

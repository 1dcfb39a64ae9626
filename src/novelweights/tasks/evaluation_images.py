"""Test images of a set of pixels, as a residual network is given them."""

import numpy as np
import torch

from novelweights.data.augment import resized_center
from novelweights.data.image_data import ImageData
from novelweights.data.pixel_data import PixelData, standardized
from novelweights.networks.resnet import ResNet18

RESIZED_TO = {32: 32, 224: 256}
"""Per network's image size, to which the images are brought before their middle is taken."""


def evaluation_images(network: ResNet18, data: PixelData) -> ImageData:
    """The test images as rows at the network's size, and no training images.

    At 224 they are resized to 256 and their middle is taken. Source: released code.
    """
    size = network.image_size
    blocks = []
    for start in range(0, len(data.test), 1024):
        images = standardized(data.test[start : start + 1024], data.mean, data.std)
        if images.shape[2:] != (size, size):
            images = resized_center(images, RESIZED_TO[size], size)
        blocks.append(images.flatten(1))
    test_x = torch.cat(blocks)
    if test_x.shape[1] != network.inputs or data.classes > network.classes:
        raise ValueError(f"{network.name} does not fit the images of {data.name}")
    return ImageData(
        name=data.name,
        source=data.source,
        sha256=data.sha256,
        train_x=test_x[:0],
        train_y=torch.empty(0, dtype=torch.int64),
        test_x=test_x,
        test_y=torch.from_numpy(data.test_y.astype(np.int64)),
        image_shape=(network.channels, size, size),
    )

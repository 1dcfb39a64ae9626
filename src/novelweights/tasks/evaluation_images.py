"""Test images of a set of pixels, as a residual network is given them."""

import numpy as np
import torch

from novelweights.data.augment import resized_center
from novelweights.data.image_data import ImageData, PixelData, standardized
from novelweights.networks.resnet import ResNet18

RESIZED_TO = {32: 32, 224: 256}
"""Per network's image size, to which the images are brought before their middle is taken."""
IMAGES_AT_ONCE = 256  # 200 MB where they are resized to 256 in color


def evaluation_images(network: ResNet18, data: PixelData) -> ImageData:
    """The test images as rows at the network's size, and no training images.

    At 224 they are resized to 256 and their middle is taken. Source: released code.

    The rows take examples x inputs x 4 bytes, 6 GB for 10,000 images of 224x224 in color, and are
    written into place block by block, so that little more is needed while they are made.

    Raises:
        ValueError: The network takes other channels, or tells fewer classes apart.
    """
    size, channels = network.image_size, network.channels
    if data.test.shape[3] != channels or data.classes > network.classes:
        raise ValueError(f"{network.name} does not fit the images of {data.name}")
    test = torch.empty(len(data.test), channels, size, size)
    for start in range(0, len(test), IMAGES_AT_ONCE):
        rows = slice(start, start + IMAGES_AT_ONCE)
        images = standardized(data.test[rows], data.mean, data.std)
        if images.shape[2:] != (size, size):
            images = resized_center(images, RESIZED_TO[size], size)
        test[rows] = images
    test_x = test.flatten(1)
    return ImageData(
        name=data.name,
        source=data.source,
        sha256=data.sha256,
        train_x=test_x[:0],
        train_y=torch.empty(0, dtype=torch.int64),
        test_x=test_x,
        test_y=torch.from_numpy(data.test_y.astype(np.int64)),
        image_shape=(channels, size, size),
    )

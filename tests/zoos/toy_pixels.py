"""A set of pixels that a tiny ResNet-18 learns in seconds, and zoos on it."""

from dataclasses import replace

import numpy as np

from novelweights.data.image_data import PixelData
from novelweights.networks.resnet import ResNet18
from novelweights.zoos import ZOOS
from novelweights.zoos.fine_tuning import FineTuning
from novelweights.zoos.resnet_training import AdamWRecipe
from novelweights.zoos.whole_networks import WholeNetworks

NETWORK = ResNet18(width=2, image_size=32, classes=4)
BASE = AdamWRecipe(epochs=2, batch_size=40, learning_rate=5e-3, augmentation="crop")


class Stop(Exception):
    """Stands for a kill."""


def toy() -> PixelData:
    """160 images of four brightnesses to train, 40 to test."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    pixels = rng.integers(0, 80, (200, 32, 32, 3)) + 50 * labels[:, None, None, None]
    images = pixels.astype(np.uint8)
    return PixelData(
        name="toy",
        source="made in a test",
        sha256="toy",
        train=images[:160],
        train_y=labels[:160],
        test=images[160:],
        test_y=labels[160:],
        mean=(0.45,) * 3,
        std=(0.25,) * 3,
        classes=4,
    )


_TUNED, _WHOLE = ZOOS["cut-paste-100-resnet18-bn"], ZOOS["cut-paste-100-resnet18"]
if not isinstance(_TUNED, FineTuning) or not isinstance(_WHOLE, WholeNetworks):
    raise TypeError("the zoos have other kinds")
TUNED = replace(
    _TUNED,
    network=NETWORK,
    data_name="toy",
    task_name="toy-resnet18-bn",
    base=BASE,
    recipe=replace(_TUNED.recipe, batch_size=40),
)
WHOLE = replace(_WHOLE, network=NETWORK, data_name="toy", task_name="toy-resnet18", recipe=BASE)
QUICK = replace(TUNED, base=replace(BASE, epochs=1, batch_size=160))
"""Its base is one step from an initialization."""

import numpy as np
import pytest
import torch
from true_formats import some_images

from novelweights.data.image_data import ImageData, PixelData, standardized


def some_data(**changed):
    of = {
        "name": "some",
        "source": "a test",
        "sha256": "",
        "train": some_images(4, 8),
        "train_y": np.array([0, 1, 2, 0]),
        "test": some_images(2, 8),
        "test_y": np.array([2, 1]),
        "mean": (0.5, 0.25, 0.125),
        "std": (0.25, 0.5, 1.0),
        "classes": 3,
    }
    return PixelData(**(of | changed))


def test_standardized_takes_mean_and_deviation_out_of_each_channel():
    data = some_data()
    found = standardized(data.train[1:3], data.mean, data.std)
    assert found.dtype == torch.float32
    expected = (data.train[1:3] / 255 - data.mean) / data.std
    assert np.allclose(found.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-6)


@pytest.mark.parametrize(("channels", "shape"), [(3, (3, 8, 8)), (1, (8, 8))])
def test_rows_hold_channel_after_channel(channels, shape):
    of = {part: some_images(n, 8)[..., :channels] for part, n in (("train", 4), ("test", 2))}
    data = some_data(**of, mean=(0.5,) * channels, std=(0.25,) * channels)
    rows = data.as_rows()
    assert (rows.name, rows.source, rows.image_shape) == ("some", "a test", shape)
    assert torch.equal(rows.test_x, standardized(data.test, data.mean, data.std).flatten(1))
    assert rows.train_x.shape == (4, 64 * channels)
    assert rows.train_y.tolist() == [0, 1, 2, 0]
    assert rows.train_y.dtype == torch.int64


@pytest.mark.parametrize(
    "changed",
    [
        {"train_y": np.array([0, 1, 2])},
        {"test": some_images(3, 8)},
        {"mean": (0.5,)},
        {"classes": 2},
        {"test_y": np.array([0, -1])},
    ],
)
def test_pixels_that_do_not_fit_together_are_a_mistake(changed):
    # a ValueError of ours; under the suite's type checks the shapes in the signature come first
    with pytest.raises((ValueError, TypeError)):
        some_data(**changed)


def test_rows_without_labels_are_a_mistake():
    x, y = torch.zeros(3, 4), torch.zeros(2, dtype=torch.int64)
    with pytest.raises((ValueError, TypeError)):
        ImageData("tiny", "none", "", x, y, x, y, (2, 2))

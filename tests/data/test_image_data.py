import numpy as np
import pytest
import torch

from novelweights.data.image_data import ImageData, image_data, split_rows


def test_images_without_labels_are_a_mistake():
    x, y = torch.zeros(3, 4), torch.zeros(2, dtype=torch.int64)
    # a ValueError of ours; under the suite's type checks the shapes in the signature come first
    with pytest.raises((ValueError, TypeError), match=r"differ in number|train_y"):
        ImageData("tiny", "none", "", x, y, x, y, (2, 2))


def test_rows_are_split_by_the_mask_and_labels_are_whole_numbers():
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    parts = split_rows(x, np.array([3, 1, 2, 0], np.uint8), np.array([True, False, True, False]))
    data = image_data(name="tiny", source="none", sha256="", **parts, image_shape=(1, 2))
    assert data.train_x.tolist() == [[0, 1], [4, 5]]
    assert data.test_y.tolist() == [1, 0]
    assert data.train_y.dtype == torch.int64

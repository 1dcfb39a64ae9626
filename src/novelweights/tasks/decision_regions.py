"""What a classifier answers on the plane of the test images' two principal components.

Source: paper, figure 5; the procedure is that of the released code: standardize each pixel, two
principal components, a rectangle one unit larger than the projected images, back to pixels.
"""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from novelweights.tasks.classification import Classification
from novelweights.weights.population import Population


def principal_plane(
    images: Float[Tensor, "examples inputs"], resolution: int
) -> Float[Tensor, "points inputs"]:
    """A regular grid on the plane of two principal components, as images, row by row."""
    scaler = StandardScaler()
    pca = PCA(2, svd_solver="covariance_eigh")
    projected = pca.fit_transform(scaler.fit_transform(images.double().numpy()))
    low, high = projected.min(axis=0) - 1, projected.max(axis=0) + 1
    x, y = np.meshgrid(
        np.linspace(low[0], high[0], resolution), np.linspace(low[1], high[1], resolution)
    )
    grid = pca.inverse_transform(np.stack([x.ravel(), y.ravel()], axis=1))
    return torch.from_numpy(scaler.inverse_transform(grid).astype(np.float32))


def decision_regions(
    task: Classification, population: Population, *, resolution: int = 100
) -> UInt8[np.ndarray, "n resolution resolution"]:
    """The class that each checkpoint predicts at every point of the plane."""
    logits = task.network.forward(
        task.weights_of(population), principal_plane(task.data.test_x, resolution)
    )
    classes = logits.argmax(dim=2).to(torch.uint8)
    return classes.reshape(len(population), resolution, resolution).numpy()

"""What a classifier answers on the plane of the test images' two principal components.

Source: paper, figure 5; the procedure is that of the released code: standardize each pixel, two
principal components, a rectangle one unit larger than the projected images, back to pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from novelweights.tasks.classification import Classification
from novelweights.weights.population import Population

MAX_COVARIANCE_INPUTS = 1_000
"""Up to here components come from the covariance of the inputs, above from the images by Lanczos
iterations: the same plane, but a covariance takes 8 x inputs^2 bytes. Ours."""
MAX_INPUTS = 10_000
"""Images with more inputs get no plane: of 10,000 images it takes some 200,000 bytes per input
(measured), 2 GB here and 30 GB at 224x224x3. Ours."""


def principal_plane(
    images: Float[Tensor, "examples inputs"], *, resolution: int = 100
) -> Float[Tensor, "rows columns inputs"]:
    """A regular grid on the plane of two principal components, `resolution` images each way.

    The same images give the same grid: a component's largest entry is positive.

    Args:
        images: At most `MAX_INPUTS` inputs each.
        resolution: Points along each side.

    Raises:
        ValueError: The images have more inputs.
    """
    inputs = images.shape[1]
    if inputs > MAX_INPUTS:
        raise ValueError(f"no plane is fitted to {inputs} inputs, at most to {MAX_INPUTS}")
    scaler = StandardScaler()
    solver = "covariance_eigh" if inputs <= MAX_COVARIANCE_INPUTS else "arpack"
    pca = PCA(2, svd_solver=solver, random_state=0)  # drawn: where the iterations start
    projected = pca.fit_transform(scaler.fit_transform(images.double().numpy()))
    low, high = projected.min(axis=0) - 1, projected.max(axis=0) + 1
    x, y = np.meshgrid(
        np.linspace(low[0], high[0], resolution), np.linspace(low[1], high[1], resolution)
    )
    grid = pca.inverse_transform(np.stack([x.ravel(), y.ravel()], axis=1))
    points = torch.from_numpy(scaler.inverse_transform(grid).astype(np.float32))
    return points.reshape(resolution, resolution, inputs)


def decision_regions(
    task: Classification,
    population: Population,
    plane: Float[Tensor, "rows columns inputs"],
    *,
    among: Sequence[int] | None = None,
) -> UInt8[np.ndarray, "n rows columns"]:
    """The class that each checkpoint predicts at every point of a plane.

    Args:
        among: The classes that compete; None: all.

    Raises:
        InputError: The population holds other networks.
    """
    logits = task.network.forward(task.weights_of(population), plane.flatten(0, 1))
    if among is None:
        among = range(logits.shape[2])
    names = torch.tensor(list(among), dtype=torch.uint8)
    classes = names[logits[:, :, names.long()].argmax(dim=2)]
    return classes.reshape(len(population), *plane.shape[:2]).numpy()

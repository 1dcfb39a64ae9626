"""What occupancy fields do: the surfaces they describe, as point clouds.

Source: paper, section 3.2, as its released evaluation does it: 2,048 points drawn by area from the
surface, each cloud moved to mean 0 and scaled to standard deviation 1, Chamfer distances.
Departures: all clouds are drawn from surfaces of fields on a grid that is not sheared, training
ones too (the released evaluation compares with clouds of the meshes that fields were fitted to).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from novelweights.metrics.point_clouds import nearest_clouds, normalized
from novelweights.networks.neural_field import OccupancyField
from novelweights.seeding import numpy_rng_for
from novelweights.shapes.mesh import Mesh, sample_surface
from novelweights.shapes.shape_sets import load_shapes
from novelweights.tasks.surfaces import LEVEL, RESOLUTION, surface
from novelweights.tasks.task import Measure, other_networks
from novelweights.weights.population import Population

POINTS = 2048
"""Of a cloud. Source: paper."""


@dataclass(frozen=True, eq=False)
class FieldShapes:
    """Fields judged by their surfaces.

    A field without a surface counts as a cloud of points that all lie in the middle, at a Chamfer
    distance of 3 and more from every normalized cloud.
    """

    name: str
    network: OccupancyField
    test: Float32[np.ndarray, "t points 3"]
    """Normalized clouds of test shapes, of which no field was fitted."""
    resolution: int = RESOLUTION
    """Grid points per axis."""
    level: float = LEVEL
    """Logit on the surface."""

    quality = Measure(
        "distance to the nearest test shape",
        "",
        higher_is_better=False,
        definition=f"Chamfer distance (squared, both ways added) of {POINTS:,} points on the "
        "surface, at standard deviation 1, to the nearest of the test shapes (paper, section 3.2).",
    )
    novelty = Measure(
        "distance to the nearest training shape",
        "",
        higher_is_better=True,
        definition="The same to the surface of the nearest training checkpoint. 0: the same shape; "
        "two draws of points from one surface are a little apart.",
    )

    def mesh(self, weights: Float[Tensor, " d"]) -> Mesh:
        """The surface of one checkpoint; empty where its field has none."""
        return surface(self.network, weights, self.resolution, self.level)

    def behave(self, population: Population) -> Float[Tensor, "n points 3"]:
        """The normalized cloud of every checkpoint.

        Raises:
            InputError: The population holds other networks, or a logit is not finite.
        """
        expected = self.network.layout
        if dict(population.layout.shapes) != dict(expected.shapes):
            raise other_networks(self.name, self.network.name, expected, population)
        ours = population.in_order_of(expected)
        return torch.from_numpy(
            np.stack([cloud_of(self.mesh(weights)) for weights in ours.weights])
            if len(ours)
            else np.zeros((0, POINTS, 3), np.float32)
        )

    def has_surface(self, behavior: Float[Tensor, "n points 3"]) -> Bool[Tensor, " n"]:
        """False for fields without a surface."""
        return (behavior != 0).flatten(1).any(dim=1)

    def score(self, behavior: Float[Tensor, "n points 3"]) -> Float[Tensor, " n"]:
        """Chamfer distance to the nearest test shape; smaller is better."""
        return torch.from_numpy(nearest_clouds(behavior, self.test).distances[:, 0])

    def novelty_against(
        self,
        behavior: Float[Tensor, "n points 3"],
        reference: Float[Tensor, "m points 3"],
        *,
        exclude: Bool[Tensor, "n m"] | None = None,
    ) -> Float[Tensor, " n"]:
        """Chamfer distance to the nearest reference checkpoint's shape that is not excluded."""
        banned = None if exclude is None else exclude.numpy()
        near = nearest_clouds(behavior, reference, exclude=banned)
        return torch.from_numpy(near.distances[:, 0])


def cloud_of(mesh: Mesh) -> Float32[np.ndarray, "points 3"]:
    """The normalized cloud of a surface; points in the middle where there is none.

    The same random numbers are drawn for every surface, so that equal ones give equal clouds.
    """
    if mesh.is_empty or mesh.areas.sum() == 0:
        return np.zeros((POINTS, 3), np.float32)
    points = sample_surface(mesh, POINTS, numpy_rng_for(0, "cloud"))
    return normalized(points[None])[0]


def judging_clouds(shapes: str, n: int) -> Float32[np.ndarray, "n points 3"]:
    """Normalized clouds of the test shapes of a set, always the same."""
    chosen = load_shapes(shapes, n, "test", seed=0)
    return np.stack([cloud_of(chosen.mesh(row)) for row in range(len(chosen))])

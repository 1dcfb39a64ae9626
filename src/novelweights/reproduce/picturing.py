"""Pictures of what pairs of checkpoints do: decision regions of classifiers, shapes of fields.

Source: paper, figures 5, 13 and 14; released code for the plane and the ten classes.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.auditing.measure.measurements import like
from novelweights.auditing.measure.shape_pictures import PICTURE_RESOLUTION
from novelweights.data.augment import resized_center
from novelweights.data.images import load_pixels
from novelweights.metrics.point_clouds import paired_chamfer
from novelweights.networks.parts import PartOfNetwork
from novelweights.report.shape_raster import joint_frame, render, rotation
from novelweights.seeding import numpy_rng_for
from novelweights.tasks import PART_TASKS
from novelweights.tasks.classification import Classification
from novelweights.tasks.decision_regions import MAX_INPUTS, decision_regions, principal_plane
from novelweights.tasks.evaluation_images import RESIZED_TO, evaluation_images
from novelweights.tasks.shapes import FieldShapes
from novelweights.tasks.surfaces import surface
from novelweights.weights.population import Population

N_CLASSES = 10
"""That compete where there are more. Source: paper, figure 5."""
SIDE = 100
"""Of a picture, in points of the plane; shapes are drawn at twice as many pixels. Ours."""
Pair = tuple[np.ndarray, np.ndarray, float | None]
"""Pictures of a sample and of its nearest, and how alike they are."""


def competing(classes: int) -> list[int]:
    """Ten classes at random, or all."""
    drawn = numpy_rng_for(0, "outputs", "classes").permutation(classes)[:N_CLASSES]
    return sorted(drawn.tolist())


def regions(
    task: Classification, generated: Population, neighbors: Population, classes: Sequence[int]
) -> list[Pair]:
    """Which of the classes is predicted where, as its place among them."""
    plane = plane_of(task, classes)
    places = np.zeros(task.network.classes, np.uint8)
    places[list(classes)] = np.arange(len(classes))
    different, where = _different(generated, neighbors)
    found = places[decision_regions(task, different, plane, among=classes)]
    samples, others = (found[rows] for rows in where)
    return [(a, b, float((a == b).mean())) for a, b in zip(samples, others, strict=True)]


def _different(
    generated: Population, neighbors: Population
) -> tuple[Population, tuple[Int[np.ndarray, " s"], Int[np.ndarray, " s"]]]:
    """Checkpoints that occur on either side, once, and where each side's are among them."""
    both = torch.cat([generated.weights, neighbors.weights])
    weights, rows = torch.unique(both, dim=0, return_inverse=True)
    first, second = rows.numpy()[: len(generated)], rows.numpy()[len(generated) :]
    return like(neighbors, weights), (first, second)


def plane_of(task: Classification, classes: Sequence[int]) -> Float[Tensor, "rows columns inputs"]:
    """The plane of two principal components of the test images of some classes.

    Of a residual network for images of 224x224 it is that of the images at 32x32, enlarged as test
    images are. Source: released code.
    """
    network, data = task.network, task.data
    small = None
    if isinstance(network, PartOfNetwork) and network.inputs > MAX_INPUTS:
        small = replace(network.network, image_size=32)
        data = evaluation_images(small, load_pixels(PART_TASKS[task.name]))
    among = torch.isin(data.test_y, torch.tensor(list(classes)))
    plane = principal_plane(data.test_x[among], resolution=SIDE)
    if small is None or not isinstance(network, PartOfNetwork):
        return plane
    size = network.network.image_size
    images = small.images(plane.flatten(0, 1))
    return resized_center(images, RESIZED_TO[size], size).reshape(SIDE, SIDE, -1)


def shapes(task: FieldShapes, generated: Population, neighbors: Population) -> list[Pair]:
    """Surfaces as gray pictures, those of a pair at one scale; white where there is none."""
    different, where = _different(generated, neighbors)
    ours, view = different.in_order_of(task.network.layout), rotation()
    clouds = task.behave(ours)
    surfaces = [surface(task.network, w, PICTURE_RESOLUTION, task.level) for w in ours.weights]
    pairs, size = list[Pair](), (2 * SIDE, 2 * SIDE)
    for pair in zip(*(rows.tolist() for rows in where), strict=True):
        chosen = clouds[list(pair)]
        alike = None
        if bool(task.has_surface(chosen).all()):
            alike = float(paired_chamfer(chosen[:1], chosen[1:])[0])
        meshes = [surfaces[row] for row in pair]
        frame = joint_frame([mesh.vertices for mesh in meshes], view, 1.0)
        sample, its_nearest = (
            np.rint(255 * render(mesh.vertices, mesh.faces, view, frame, size)).astype(np.uint8)
            for mesh in meshes
        )
        pairs.append((sample, its_nearest, alike))
    return pairs

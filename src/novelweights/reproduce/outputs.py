"""What samples and their nearest training checkpoints do, as pictures: decision regions or shapes.

The samples are those of the heatmaps, twelve drawn at random and five along the order of distance,
and nearest is meant as there. Source: paper, section 3.2, figures 5, 13 and 14.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import compress, decompress

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from novelweights.auditing.measure.shape_pictures import PICTURE_RESOLUTION
from novelweights.auditing.prepare import prepare
from novelweights.data.augment import resized_center
from novelweights.data.images import load_pixels
from novelweights.files import read_json, write_json
from novelweights.metrics.neighbors import nearest
from novelweights.metrics.point_clouds import paired_chamfer
from novelweights.networks.parts import PartOfNetwork
from novelweights.report.shape_raster import joint_frame, render, rotation
from novelweights.reproduce.comparing import AS_IN_THE_PAPER
from novelweights.reproduce.heatmaps import EVERY_STEP, PERCENTILES
from novelweights.reproduce.nodes import Tell
from novelweights.reproduce.stages import MEASURED, Measure, audit_inputs
from novelweights.seeding import numpy_rng_for
from novelweights.tasks import PART_TASKS
from novelweights.tasks.classification import Classification
from novelweights.tasks.decision_regions import MAX_INPUTS, decision_regions, principal_plane
from novelweights.tasks.evaluation_images import RESIZED_TO, evaluation_images
from novelweights.tasks.shapes import FieldShapes
from novelweights.tasks.surfaces import surface
from novelweights.weights.population import Population

N_RANDOM = 12
"""Three and nine. Source: paper, figures 5 and 13."""
N_CLASSES = 10
"""That compete where there are more. Source: paper, figure 5."""
SIDE = 100
"""Of a picture, in points of the plane; shapes are drawn at twice as many pixels. Ours."""
Pair = tuple[np.ndarray, np.ndarray, float | None]
"""Pictures of a sample and of its nearest, and how alike they are."""


def outputs_of(method: str) -> Measure:
    """What writes pictures of a method's samples and their nearest, see `read_outputs`."""

    def outputs(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
        given = prepare(audit_inputs(at, with_task=True))
        training, generated, task = given.train, given.generated, given.task
        if method in EVERY_STEP:
            training = given.all_training or training
        alignment = given.alignment if AS_IN_THE_PAPER.get(method) == "aligned" else None
        tell("nearest training checkpoints", 0, 1)
        near = nearest(generated.learned, training.learned, alignment=alignment)
        drawn = numpy_rng_for(0, "heatmaps", method).permutation(len(generated))[:N_RANDOM]
        order = np.argsort(near.distances[:, 0], kind="stable")
        along = [order[round(p / 100 * (len(order) - 1))] for p in PERCENTILES]
        rows = np.concatenate([drawn, along]).astype(np.int64)
        neighbors = near.rows[rows, 0]
        sides = generated.select(rows), training.select(neighbors)
        tell("outputs", 0, 1)
        if isinstance(task, Classification):
            classes = competing(task.network.classes)
            pairs, about = _regions(task, *sides, classes), {"classes": classes}
        elif isinstance(task, FieldShapes):
            pairs, about = _shapes(task, *sides), {"grid": PICTURE_RESOLUTION}
        else:
            raise TypeError(f"no pictures are drawn of what {type(task).__name__} judges")
        found = [
            {
                "names": [
                    generated.records[int(row)].run,
                    f"{training.records[int(other)].run}, step {training.records[int(other)].step}",
                ],
                "distance": float(near.distances[row, 0]),
                "alike": alike,
                "side": len(sample),
                "pictures": [packed(sample), packed(its_nearest)],
            }
            for row, other, (sample, its_nearest, alike) in zip(rows, neighbors, pairs, strict=True)
        ]
        told = {**about, "training": len(training), "generated": len(generated)}
        split = {"random": found[: len(drawn)], "percentiles": found[len(drawn) :]}
        write_json(folder / MEASURED, {"about": told, **split})

    return outputs


def read_outputs(folder: Path, kind: str) -> tuple[dict[str, Any], Sequence[Mapping[str, Any]]]:
    """What is told of all, and the pairs of one kind (random, percentiles).

    A pair has names, the distance of the weights, how alike the outputs are (share of the plane
    with the same class, or Chamfer distance; null where there is no shape) and two packed pictures.
    """
    found = read_json(folder / MEASURED)
    return found["about"], found[kind]


def packed(picture: UInt8[np.ndarray, "side side"]) -> str:
    """A picture as text."""
    return b64encode(compress(np.ascontiguousarray(picture).tobytes(), 9)).decode()


def unpacked(text: str, side: int) -> UInt8[np.ndarray, "side side"]:
    """The picture that `packed` made text of."""
    return np.frombuffer(decompress(b64decode(text)), np.uint8).reshape(side, side)


def competing(classes: int) -> list[int]:
    """Ten classes at random, or all."""
    drawn = numpy_rng_for(0, "outputs", "classes").permutation(classes)[:N_CLASSES]
    return sorted(drawn.tolist())


def _regions(
    task: Classification, generated: Population, neighbors: Population, classes: Sequence[int]
) -> list[Pair]:
    """Which of the classes is predicted where, as its place among them."""
    plane = plane_of(task, classes)
    places = np.zeros(task.network.classes, np.uint8)
    places[list(classes)] = np.arange(len(classes))
    samples, others = (
        places[decision_regions(task, population, plane, among=classes)]
        for population in (generated, neighbors)
    )
    return [(a, b, float((a == b).mean())) for a, b in zip(samples, others, strict=True)]


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


def _shapes(task: FieldShapes, generated: Population, neighbors: Population) -> list[Pair]:
    """Surfaces as gray pictures, those of a pair at one scale; white where there is none."""
    sides = [one.in_order_of(task.network.layout) for one in (generated, neighbors)]
    view, clouds = rotation(), [task.behave(one) for one in sides]
    seen = task.has_surface(clouds[0]) & task.has_surface(clouds[1])
    alike = np.full(len(seen), np.nan)
    alike[seen.numpy()] = paired_chamfer(clouds[0][seen], clouds[1][seen])
    pairs, size = list[Pair](), (2 * SIDE, 2 * SIDE)
    for row, distance in enumerate(alike.tolist()):
        weights = (
            one.in_order_of(task.network.layout).weights[row] for one in (generated, neighbors)
        )
        meshes = [surface(task.network, one, PICTURE_RESOLUTION, task.level) for one in weights]
        frame = joint_frame([mesh.vertices for mesh in meshes], view, 1.0)
        sample, nearest_one = (
            np.rint(255 * render(mesh.vertices, mesh.faces, view, frame, size)).astype(np.uint8)
            for mesh in meshes
        )
        pairs.append((sample, nearest_one, None if np.isnan(distance) else distance))
    return pairs

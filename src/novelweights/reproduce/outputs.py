"""What samples and their nearest training checkpoints do, as pictures: decision regions or shapes.

The samples are those of the heatmaps, twelve drawn at random and five along the order of distance,
and nearest is meant as there. Source: paper, section 3.2, figures 5, 13 and 14.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import compress, decompress

import numpy as np
from jaxtyping import UInt8

from novelweights.auditing.measure.shape_pictures import PICTURE_RESOLUTION
from novelweights.auditing.prepare import prepare
from novelweights.files import read_json, write_json
from novelweights.metrics.neighbors import nearest
from novelweights.reproduce.comparing import AS_IN_THE_PAPER
from novelweights.reproduce.heatmaps import EVERY_STEP, PERCENTILES
from novelweights.reproduce.nodes import Tell
from novelweights.reproduce.picturing import competing, regions, shapes
from novelweights.reproduce.stages import MEASURED, Measure, audit_inputs
from novelweights.seeding import numpy_rng_for
from novelweights.tasks.classification import Classification
from novelweights.tasks.shapes import FieldShapes

N_RANDOM = 12
"""Three and nine. Source: paper, figures 5 and 13."""


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
            pairs, about = regions(task, *sides, classes), {"classes": classes}
        elif isinstance(task, FieldShapes):
            pairs, about = shapes(task, *sides), {"grid": PICTURE_RESOLUTION}
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

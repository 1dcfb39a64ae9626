"""What samples and their nearest training checkpoints do, as pictures: decision regions or shapes.

The samples are those of the heatmaps, twelve drawn at random and five along the order of distance,
see `showing.py`. Source: paper, section 3.2, figures 5, 13 and 14.
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
from novelweights.reproduce.nodes import Tell
from novelweights.reproduce.picturing import competing, regions, shapes
from novelweights.reproduce.showing import Shown
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
        task, rng = given.task, numpy_rng_for(0, "heatmaps", method)
        tell("nearest training checkpoints", 0, 1)
        shown = Shown.of(method, given, N_RANDOM, rng=rng)
        rows = np.concatenate([shown.random, shown.percentiles])
        neighbors = shown.near.rows[rows, 0]
        sides = shown.generated.select(rows), shown.training.select(neighbors)
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
                "names": [shown.generated.records[int(row)].run, shown.name_of(int(other))],
                "distance": float(shown.near.distances[row, 0]),
                "alike": alike,
                "side": len(sample),
                "pictures": [packed(sample), packed(its_nearest)],
            }
            for row, other, (sample, its_nearest, alike) in zip(rows, neighbors, pairs, strict=True)
        ]
        n = len(shown.random)
        split = {"random": found[:n], "percentiles": found[n:]}
        write_json(folder / MEASURED, {"about": about | shown.counts, **split})

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

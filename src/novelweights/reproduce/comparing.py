"""What the exhibits compare: distances as the paper takes them, aligned, and at equal norm.

Shrinking alone moves a network towards the training checkpoints, so that samples of a smaller norm
look near without being copies. At equal norm every checkpoint is first scaled, from the mean of the
training checkpoints aligned to it, to the median norm of held-out runs. Source: ours.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from novelweights.auditing.prepare import Prepared, prepare
from novelweights.files import read_json, write_json
from novelweights.metrics.neighbors import nearest
from novelweights.metrics.sources import Alignable, find_directions, scaled_to_norm
from novelweights.reproduce.nodes import Tell
from novelweights.reproduce.stages import MEASURED, audit_inputs

MEASURES = ("plain", "aligned", "equal norm")
AS_IN_THE_PAPER = {"g-pt": "aligned"}
"""The distance of the paper, by method, where it is not plain L2."""


def distances(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
    """The distance of every checkpoint to its nearest training checkpoint, see `distances_of`."""
    found = distances_of(prepare(audit_inputs(at)), tell)
    write_json(folder / MEASURED, {"distances": found})


def distances_of(given: Prepared, tell: Tell) -> dict[str, dict[str, list[float]]]:
    """The distance of every checkpoint to its nearest training checkpoint, in three ways.

    Training checkpoints are compared with the others, not with themselves, as in the paper.

    Returns:
        By kind of checkpoint, then by measure.
    """
    training = given.train.learned
    plain, aligned = (Alignable.of(training, of) for of in (None, given.alignment))
    groups = {"generated": given.generated, "training": given.train, "heldout": given.heldout}
    reference = groups["heldout"] or groups["training"]
    own = np.eye(len(training), dtype=bool)
    norm = float(np.median(find_directions(reference.learned, aligned).norm))
    found: dict[str, dict[str, list[float]]] = {}
    for done, (kind, population) in enumerate(groups.items()):
        tell("distances", done, len(groups))
        if population is None:
            continue
        rows, exclude = population.learned, own if kind == "training" else None
        scaled = scaled_to_norm(rows, aligned, norm)
        found[kind] = {
            measure: nearest(of, training, exclude=exclude, alignment=by.alignment)
            .distances[:, 0]
            .tolist()
            for measure, of, by in zip(
                MEASURES, (rows, rows, scaled), (plain, aligned, aligned), strict=True
            )
        }
    return found


def read_distances(folder: Path) -> dict[str, dict[str, Float[np.ndarray, " n"]]]:
    """What `distances` left: by kind of checkpoint, then by measure."""
    found = read_json(folder / MEASURED)["distances"]
    return {
        kind: {measure: np.array(values) for measure, values in of.items()}
        for kind, of in found.items()
    }

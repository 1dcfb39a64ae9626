"""What heatmaps show: some weights of samples and of the training checkpoints nearest to them.

Eleven samples drawn at random and five along the order of distance, see `showing.py`; where neurons
may be reordered, training checkpoints are shown aligned to their sample. Source: paper, figures 2,
11 and 12.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from novelweights.auditing.prepare import prepare
from novelweights.files import read_json, write_json
from novelweights.metrics.alignment import aligned_to
from novelweights.reproduce.nodes import Tell
from novelweights.reproduce.showing import Shown
from novelweights.reproduce.stages import MEASURED, Measure, audit_inputs
from novelweights.seeding import numpy_rng_for

N_PARAMETERS, N_NEAREST = 64, 3
"""Source: paper, figure 2."""
N_RANDOM = 11
"""Three and eight. Source: paper, figures 2 and 11."""


def heatmaps_of(method: str) -> Measure:
    """What writes the heatmaps of a method into a folder, see `read_heatmaps`."""

    def heatmaps(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
        given = prepare(audit_inputs(at))
        tell("nearest training checkpoints", 0, 1)
        rng = numpy_rng_for(0, "heatmaps", method)
        shown = Shown.of(method, given, N_RANDOM, k=N_NEAREST, rng=rng)
        training, generated, near = shown.training, shown.generated, shown.near
        parameters = np.sort(rng.permutation(training.layout.learned.size)[:N_PARAMETERS])

        def panel(row: int) -> dict[str, Any]:
            """One sample above its nearest."""
            sample = generated.learned[row]
            others = training.learned[torch.from_numpy(near.rows[row])]
            if shown.alignment is not None:
                others = aligned_to(sample, others, shown.alignment)
            names = [shown.name_of(int(other)) for other in near.rows[row]]
            return {
                "names": [generated.records[row].run, *names],
                "distances": near.distances[row].tolist(),
                "norm": float(sample.double().norm()),
                "values": torch.cat([sample[None], others])[:, parameters].tolist(),
            }

        found = {
            "parameters": parameters.tolist(),
            **shown.counts,
            "random": [panel(int(row)) for row in shown.random],
            "percentiles": [panel(int(row)) for row in shown.percentiles],
        }
        write_json(folder / MEASURED, found)

    return heatmaps


def read_heatmaps(folder: Path, kind: str) -> tuple[dict[str, Any], Sequence[Mapping[str, Any]]]:
    """Parameters and numbers of checkpoints, and the panels of one kind (random, percentiles).

    A panel has the values of a sample and below of its nearest training checkpoints, their names,
    the distances of the latter and the norm of the sample, in weight units.
    """
    found = read_json(folder / MEASURED)
    return {key: found[key] for key in ("parameters", "training", "generated")}, found[kind]

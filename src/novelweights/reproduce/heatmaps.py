"""What heatmaps show: some weights of samples and of the training checkpoints nearest to them.

Eleven samples drawn at random and five along the order of distance, as in figures 2, 11 and 12 of
the paper: nearest under plain L2, for G.pt over reorderings of hidden neurons (training checkpoints
are then shown aligned to their sample), for Hyper-Representations among the reconstructions of all
epochs. Source: paper, section 3.1 and appendices A, B.1 and B.2.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from novelweights.auditing.prepare import prepare
from novelweights.files import read_json, write_json
from novelweights.metrics.alignment import aligned_to
from novelweights.metrics.neighbors import nearest
from novelweights.reproduce.comparing import AS_IN_THE_PAPER
from novelweights.reproduce.nodes import Tell
from novelweights.reproduce.stages import MEASURED, Measure, audit_inputs
from novelweights.seeding import numpy_rng_for

N_PARAMETERS, N_NEAREST = 64, 3
"""Source: paper, figure 2."""
N_RANDOM = 11
"""Three and eight. Source: paper, figures 2 and 11."""
PERCENTILES = (0, 25, 50, 75, 100)
"""Of samples by distance. Source: paper, figure 12."""
EVERY_STEP = ("hyper-representations",)
"""Whose neighbors are sought among all epochs; of others the last step of each run counts."""


def heatmaps_of(method: str) -> Measure:
    """What writes the heatmaps of a method into a folder, see `read_heatmaps`."""

    def heatmaps(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
        given = prepare(audit_inputs(at))
        training, generated = given.train, given.generated
        if method in EVERY_STEP:
            training = given.all_training or training
        alignment = given.alignment if AS_IN_THE_PAPER.get(method) == "aligned" else None
        tell("nearest training checkpoints", 0, 1)
        k = min(N_NEAREST, len(training))
        near = nearest(generated.learned, training.learned, k=k, alignment=alignment)
        rng = numpy_rng_for(0, "heatmaps", method)
        drawn = rng.permutation(len(generated))[:N_RANDOM]
        size = training.layout.learned.size
        parameters = np.sort(rng.permutation(size)[:N_PARAMETERS])

        def panel(row: int) -> dict[str, Any]:
            """One sample above its nearest."""
            sample = generated.learned[row]
            others = training.learned[torch.from_numpy(near.rows[row])]
            if alignment is not None:
                others = aligned_to(sample, others, alignment)
            records = [training.records[int(i)] for i in near.rows[row]]
            return {
                "names": [
                    generated.records[row].run,
                    *(f"{record.run}, step {record.step}" for record in records),
                ],
                "distances": near.distances[row].tolist(),
                "norm": float(sample.double().norm()),
                "values": torch.cat([sample[None], others])[:, parameters].tolist(),
            }

        order = np.argsort(near.distances[:, 0], kind="stable")
        places = [order[round(p / 100 * (len(order) - 1))] for p in PERCENTILES]
        found = {
            "parameters": parameters.tolist(),
            "training": len(training),
            "generated": len(generated),
            "random": [panel(int(row)) for row in drawn],
            "percentiles": [panel(int(row)) for row in places],
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

"""What the autoencoder of Hyper-Representations gives back, of networks and of their moved copies.

Source: paper, figures 3 and 9, by `studies/reconstruction`; held-out runs are ours.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from novelweights.files import read_json, write_json
from novelweights.generators.store import load_fitted
from novelweights.reproduce.nodes import Tell
from novelweights.reproduce.stages import MEASURED, populations, task_of
from novelweights.seeding import rng_for
from novelweights.studies.reconstruction.measure import reconstruct, some_runs
from novelweights.studies.reconstruction.pairs import table_of

NETWORKS = 200
"""At most so many training runs, and as many held-out ones."""


def reconstructions(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
    """Every pair of networks with what both do, and which neurons were moved."""
    fitted, method = load_fitted(at["model"])
    training, heldout = populations(at["zoo"])
    training = some_runs(training, NETWORKS, rng=rng_for(0, "reconstruct", "training"))
    if heldout is not None:
        heldout = some_runs(heldout, NETWORKS, rng=rng_for(0, "reconstruct", "heldout"))
    symmetry = training.info.symmetry
    pairs = reconstruct(
        fitted,
        training,
        task_of(training),
        method=method,
        symmetry=symmetry,
        rng=rng_for(0, "reconstruct", "moves"),
        heldout=heldout,
        progress=lambda done, total: tell("reconstructing", done, total),
    )
    write_json(
        folder / MEASURED,
        {
            "pairs": table_of(pairs).to_dict("list"),
            "reordered": [] if symmetry is None else sorted(symmetry.sizes(training.layout)),
            "flipped": [] if symmetry is None else sorted(symmetry.sign_groups),
        },
    )


def read_reconstructions(folder: Path) -> dict[str, Any]:
    """What `reconstructions` left."""
    return read_json(folder / MEASURED)

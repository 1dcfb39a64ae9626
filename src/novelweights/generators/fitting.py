"""Fitting a generator into a model folder, resumable."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from novelweights.errors import InputError
from novelweights.files import new_folder, require_new
from novelweights.generators.generator import FittedGenerator
from novelweights.generators.parts.gap import HasLoss, final_gap
from novelweights.generators.parts.training import Workspace
from novelweights.generators.store import save_fitted
from novelweights.seeding import rng_for
from novelweights.weights.population import Population

FIT_LOGS = ("loss.csv", "autoencoder_loss.csv", "gap.csv")
"""What a fit logs; gap.csv goes into the model folder only where the gap was measured."""
FIT_STATES = ("training_state.pt", "autoencoder_training_state.pt")
"""What an unfinished fit continues from; the second where an autoencoder is trained first."""


def fit_to_folder(
    folder: Path,
    method: str,
    settings: Any,
    training: Population,
    *,
    heldout: Population | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int, float], None] | None = None,
) -> FittedGenerator:
    """Fit a generator and write its model folder.

    The unfinished state lives in `folder` + ".partial"; with `resume` it is continued. From
    held-out runs nothing is learned: the loss on them is logged (gap.csv) and compared in the end
    with that on training checkpoints (generator.json), where the generator has a loss.

    Raises:
        InputError: The folder exists, an unfinished fit is there and `resume` is off, or the
            held-out checkpoints are of another network or not finite.
    """
    require_new(folder, kind="generator.json", overwrite=overwrite)
    partial = folder.with_name(folder.name + ".partial")
    if any((partial / state).exists() for state in FIT_STATES) and not resume:
        raise InputError(
            f"{partial}: an unfinished fit is there; add --resume to go on with it, "
            "or delete it to begin anew",
            "unfinished",
        )
    if partial.exists() and {path.name for path in partial.iterdir()} - {*FIT_LOGS, *FIT_STATES}:
        raise InputError(
            f"{partial}: the folder to work in holds other files; move them away", "exists"
        )
    partial.mkdir(parents=True, exist_ok=True)
    heldout = heldout if heldout is not None and len(heldout) else None
    fitted: FittedGenerator = settings.fit(
        training,
        rng=rng_for(seed, "fit", method),
        workspace=Workspace(partial, progress, watch=heldout),
    )
    gap = None
    if heldout is not None and isinstance(fitted, HasLoss):
        gap = final_gap(fitted, training, heldout, seed=seed)
    with new_folder(folder, kind="generator.json", overwrite=overwrite) as temporary:
        save_fitted(fitted, temporary, method=method, settings=settings, training=training, gap=gap)
        for log in FIT_LOGS:
            if (partial / log).exists() and (gap or log != "gap.csv"):
                shutil.copy(partial / log, temporary / log)
    shutil.rmtree(partial)
    return fitted

"""Building any zoo: each kind has its module, this one knows which."""

from collections.abc import Callable, Mapping
from pathlib import Path

from novelweights.data.images import load_pixels
from novelweights.zoos import fine_tuning, independent_runs, neural_fields, whole_networks
from novelweights.zoos.fine_tuning import FineTuning
from novelweights.zoos.independent_runs import IndependentRuns
from novelweights.zoos.network_builds import counts_of_ends
from novelweights.zoos.neural_fields import NeuralFields
from novelweights.zoos.whole_networks import WholeNetworks

Zoo = IndependentRuns | FineTuning | WholeNetworks | NeuralFields


def counts_of(
    zoo: Zoo,
    *,
    runs: int | None = None,
    heldout_runs: int | None = None,
    checkpoints: int | None = None,
    start_runs: int | None = None,
    seed: int = 0,
) -> Mapping[str, int]:
    """How many runs and checkpoints a build makes; all that can be refused beforehand is.

    Args are those of `build`.

    Raises:
        InputError: Numbers that cannot be, or the data have to be fetched first.
    """
    asked = {
        "runs": runs,
        "heldout_runs": heldout_runs,
        "checkpoints": checkpoints,
        "start_runs": start_runs,
    }
    if isinstance(zoo, IndependentRuns):
        return independent_runs.plan_build(zoo, **asked, seed=seed).counts
    if not isinstance(zoo, NeuralFields):
        load_pixels(zoo.data_name)
    if isinstance(zoo, FineTuning):
        return fine_tuning.counts_of(zoo, asked)
    return counts_of_ends(zoo, asked)


def build(
    zoo: Zoo,
    folder: Path,
    *,
    runs: int | None = None,
    heldout_runs: int | None = None,
    checkpoints: int | None = None,
    start_runs: int | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Train a zoo into a population folder.

    Args:
        zoo: What to train.
        folder: The population folder to write.
        runs: Training runs; the zoo's own number if None, as with the three that follow.
        heldout_runs: New runs of the same recipe.
        checkpoints: Kept of each run.
        start_runs: Initializations of yet other runs.
        seed: Root of all seeds.
        resume: Go on with an unfinished build.
        overwrite: Replace a finished folder.
        progress: Called with (work done, work in all).

    Raises:
        InputError: Numbers of runs or checkpoints that cannot be, the data or the folder do not
            allow it, or a run diverged.
    """
    asked = {
        "runs": runs,
        "heldout_runs": heldout_runs,
        "checkpoints": checkpoints,
        "start_runs": start_runs,
    }
    how = {"seed": seed, "resume": resume, "overwrite": overwrite, "progress": progress}
    if isinstance(zoo, IndependentRuns):
        return independent_runs.build(zoo, folder, **asked, **how)
    if isinstance(zoo, FineTuning):
        return fine_tuning.build(zoo, folder, fine_tuning.counts_of(zoo, asked), **how)
    if isinstance(zoo, NeuralFields):
        return neural_fields.build(zoo, folder, counts_of_ends(zoo, asked), **how)
    return whole_networks.build(zoo, folder, counts_of_ends(zoo, asked), **how)

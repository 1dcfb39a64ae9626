"""Building any zoo: what all kinds have in common; the rest is theirs."""

from collections.abc import Callable, Mapping
from pathlib import Path

from novelweights.files import require_new
from novelweights.zoos.builds import Build, planned_runs
from novelweights.zoos.fine_tuning import FineTuning
from novelweights.zoos.independent_runs import IndependentRuns
from novelweights.zoos.neural_fields import NeuralFields
from novelweights.zoos.whole_networks import WholeNetworks

Zoo = IndependentRuns | FineTuning | WholeNetworks | NeuralFields
_IF_NOT_SAID = {"runs": 1, "heldout_runs": 0, "checkpoints": 1, "start_runs": 0}
"""What a build makes of a kind of zoo that has no such number."""


def counts_of(zoo: Zoo, *, seed: int = 0, **asked: int | None) -> Mapping[str, int]:
    """How many runs and checkpoints a build makes; all that can be refused beforehand is.

    Args are those of `build`.

    Raises:
        InputError: Numbers that cannot be, or the data have to be fetched first.
    """
    counts = _counts(zoo, asked)
    planned_runs(seed, counts)
    zoo.data_for(counts)
    return counts


def build(
    zoo: Zoo,
    folder: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **asked: int | None,
) -> Path:
    """Train a zoo into a population folder.

    Args:
        zoo: What to train.
        folder: The population folder to write.
        seed: Root of all seeds; a run's seed depends on it and on the run's name only.
        resume: Go on with an unfinished build.
        overwrite: Replace a finished folder.
        progress: Called with (work done, work in all).
        asked: runs, heldout_runs, checkpoints (kept of each run) and start_runs (initializations of
            yet other runs); the zoo's own number if None.

    Raises:
        InputError: Numbers of runs or checkpoints that cannot be, the data or the folder do not
            allow it, or a run diverged.
    """
    counts = _counts(zoo, asked)
    planned_runs(seed, counts)
    require_new(folder, kind="population.json", overwrite=overwrite)
    return zoo.build(Build(folder, counts, seed, resume, overwrite, progress))


def _counts(zoo: Zoo, asked: Mapping[str, int | None]) -> dict[str, int]:
    if unknown := set(asked) - set(_IF_NOT_SAID):
        raise TypeError(f"a zoo has no number of {', '.join(sorted(unknown))}")
    counts = {name: getattr(zoo, name, number) for name, number in _IF_NOT_SAID.items()}
    return counts | {name: number for name, number in asked.items() if number is not None}

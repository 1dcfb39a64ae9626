"""The runs of a zoo before any is trained: names, seeds, and which of their steps are kept.

Everything follows from the root seed and a run's own name, so a run is the same alone or among
thousands, and a build that was stopped goes on as if it had not been.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from novelweights.errors import InputError
from novelweights.seeding import rng_for, seed_for

_STREAMS = {"train": "run", "heldout": "heldout", "start": "start"}  # of each split's seeds


@dataclass(frozen=True)
class PlannedRun:
    """One run, or for the split "start" only its initialization."""

    name: str
    split: str
    seed: int
    """Of initialization and data order."""


def planned_runs(seed: int, *, runs: int, heldout_runs: int, start_runs: int) -> list[PlannedRun]:
    """All runs of a zoo: training runs, held-out runs, initializations of yet other runs.

    Raises:
        InputError: No training run, or a negative number of others.
    """
    counts = {"train": runs, "heldout": heldout_runs, "start": start_runs}
    if runs < 1 or min(counts.values()) < 0:
        raise InputError(
            "expected at least 1 run, 0 or more held-out runs and 0 or more start runs, got "
            f"{runs}, {heldout_runs} and {start_runs}; give other numbers"
        )
    return [
        PlannedRun(f"{split}-{i:05d}", split, seed_for(seed, _STREAMS[split], i))
        for split, n in counts.items()
        for i in range(n)
    ]


def require_steps(checkpoints: int, last_step: int) -> None:
    """Refuse a number of checkpoints that a run does not have.

    Raises:
        InputError: Fewer than 1, or more than the steps of a run and its initialization.
    """
    if not 1 <= checkpoints <= last_step + 1:
        raise InputError(
            f"expected 1 to {last_step + 1} checkpoints of each run (it has {last_step} steps and "
            f"an initialization), got {checkpoints}; 1 keeps the last only"
        )


def kept_steps(run_seed: int, checkpoints: int, last_step: int) -> Int[Tensor, " saves"]:
    """The steps of a run that are kept, ascending.

    One: the last. More: the initialization (0), random steps between, each at most once, and the
    last.

    Source: G.pt's released checkpoints, 200 of each run.
    """
    if checkpoints == 1:
        return torch.tensor([last_step])
    between = torch.randperm(last_step - 1, generator=rng_for(run_seed, "steps")) + 1
    some = between[: checkpoints - 2].sort().values
    return torch.cat([torch.tensor([0]), some, torch.tensor([last_step])])


def require_epochs(checkpoints: int, epochs: int) -> None:
    """Refuse a number of last epochs that a run does not have.

    Raises:
        InputError: Fewer than 1, or more than the epochs of a run.
    """
    if not 1 <= checkpoints <= epochs:
        raise InputError(
            f"expected 1 to {epochs} checkpoints of each run (the ends of its last epochs), got "
            f"{checkpoints}; 1 keeps the last only"
        )


def ends_of_last_epochs(checkpoints: int, epochs: int, last_step: int) -> Int[Tensor, " saves"]:
    """The last steps of a run's last epochs, ascending.

    Source: the zoos of Hyper-Representations, epochs 21 to 25 of which are trained on.
    """
    return torch.arange(epochs - checkpoints + 1, epochs + 1) * (last_step // epochs)

"""What builds of every kind of zoo share: planned runs, the population's folder, unfinished state.

All of a run follows from the root seed and its own name, so a run is the same alone or among
thousands, and a build that was stopped goes on as if it had not been.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch

from novelweights.data.image_data import ImageData, PixelData
from novelweights.errors import InputError
from novelweights.files import replacing
from novelweights.networks.network import TargetNetwork
from novelweights.networks.neural_field import OccupancyField
from novelweights.seeding import seed_for
from novelweights.weights.population import PopulationInfo
from novelweights.weights.writer import PopulationWriter

Read = TypeVar("Read")
_STREAMS = {"train": "run", "heldout": "heldout", "start": "start"}  # of each split's seeds


@dataclass(frozen=True)
class PlannedRun:
    """One run, or for the split "start" only its initialization."""

    name: str
    split: str
    seed: int
    """Of initialization and data order."""


def planned_runs(seed: int, counts: Mapping[str, int]) -> list[PlannedRun]:
    """All runs of a zoo: training runs, held-out runs, initializations of yet other runs.

    Raises:
        InputError: No training run, or a negative number of others.
    """
    numbers = [counts[name] for name in ("runs", "heldout_runs", "start_runs")]
    if numbers[0] < 1 or min(numbers) < 0:
        raise InputError(
            "expected at least 1 run, 0 or more held-out runs and 0 or more start runs, got "
            f"{numbers[0]}, {numbers[1]} and {numbers[2]}; give other numbers",
            "too-few",
        )
    return [
        PlannedRun(f"{split}-{i:05d}", split, seed_for(seed, stream, i))
        for (split, stream), n in zip(_STREAMS.items(), numbers, strict=True)
        for i in range(n)
    ]


@dataclass
class Build:
    """One build of a zoo: where to, how much of it, how it goes on, and how far it is."""

    folder: Path
    """The population folder to write; unfinished state lies beside it."""
    counts: Mapping[str, int]
    """Of runs, heldout_runs, checkpoints of each run, and start_runs."""
    seed: int
    """Root of all seeds."""
    resume: bool
    overwrite: bool
    progress: Callable[[int, int], None] | None
    """Called with (work done, work in all)."""
    work: int = 0
    """Work in all, in the zoo's own unit, which is known when it begins."""
    done: int = 0

    @property
    def runs(self) -> list[PlannedRun]:
        """All runs, in the order of the rows."""
        return planned_runs(self.seed, self.counts)

    def tell(self, work: int) -> None:
        """So much more work is done."""
        self.done += work
        if self.progress is not None:
            self.progress(self.done, self.work)

    def writer(
        self,
        zoo: Any,
        network: TargetNetwork | OccupancyField,
        settings: Mapping[str, Any],
        n_rows: int,
        *,
        packages: tuple[str, ...] = (),
        **how: Any,
    ) -> PopulationWriter:
        """A writer of the population, which says all that is needed to build it again.

        Args:
            zoo: What is built.
            network: What a row holds the weights of: the zoo's network, or a part of it.
            settings: What the zoo says beside its network, the seed, counts and versions.
            n_rows: Rows in all.
            packages: Whose versions matter, beside torch's.
            how: Further arguments of the writer.
        """
        versions = {"novelweights": metadata.version("novelweights"), "torch": torch.__version__}
        versions |= {package: metadata.version(package) for package in packages}
        info = PopulationInfo(
            recipe=zoo.name,
            settings={
                "network": asdict(zoo.network),
                **settings,
                "seed": self.seed,
                **self.counts,
                "versions": versions,
            },
            architecture=network.name,
            symmetry=network.symmetry,
            task=zoo.task_name,
        )
        how = {"resume": self.resume, "overwrite": self.overwrite, **how}
        return PopulationWriter(self.folder, network.layout, info, n_rows, **how)

    @contextmanager
    def working_folder(self) -> Iterator[Path]:
        """Where unfinished state lies, `folder` + ".network.partial"; removed at the end.

        Raises:
            InputError: It, or an unfinished population, is there from before and `resume` is off.
        """
        work = self.folder.with_name(self.folder.name + ".network.partial")
        for kept in (work, self.folder.with_name(self.folder.name + ".partial") / "progress.json"):
            if not self.resume and (any(kept.iterdir()) if kept.is_dir() else kept.exists()):
                raise InputError(
                    f"{kept}: the state of an unfinished build is there; add --resume to go on "
                    "with it, or delete it to begin anew",
                    "unfinished",
                )
        work.mkdir(parents=True, exist_ok=True)
        yield work
        shutil.rmtree(work)


def require_ends(zoo: Any, counts: Mapping[str, int]) -> None:
    """Refuse what a zoo does not have that keeps the end of each run only.

    Raises:
        InputError: More than one checkpoint of a run, or initializations, are asked for.
    """
    if counts["checkpoints"] != 1 or counts["start_runs"]:
        raise InputError(
            f"{zoo.name} keeps the last checkpoint of each run and no initializations: leave "
            "--checkpoints and --start-runs out",
            "unsuited",
        )


def data_settings(data: ImageData | PixelData) -> dict[str, str]:
    """What a population says about the images that its networks were trained on."""
    return {"name": data.name, "source": data.source, "sha256": data.sha256}


def keep_state(path: Path, identity: str, **state: Any) -> None:
    """Save unfinished state; `identity` says of what."""
    with replacing(path) as temporary:
        torch.save({"identity": identity, **state}, temporary)


def kept_state(
    path: Path,
    identity: str,
    what: str,
    read: Callable[[dict[str, Any]], Read],
    *,
    remove: Path | str = "it",
) -> Read | None:
    """What `read` makes of state that `keep_state` saved; None if there is none.

    Args:
        path: The file.
        identity: What it must be the state of.
        what: It holds, for messages.
        read: Whatever it raises of a damaged file becomes a message.
        remove: What to delete to begin anew.

    Raises:
        InputError: The file cannot be read or lacks something, or is the state of something else.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["identity"] == identity:
            return read(state)
    except (RuntimeError, ValueError, TypeError, KeyError, EOFError, UnpicklingError) as error:
        raise InputError(
            f"{path}: expected the {what}, it cannot be read; delete {remove} to begin anew",
            "damaged",
        ) from error
    raise InputError(
        f"{path}: the {what} was begun with other settings or data; give the same to go on, or "
        f"delete {remove} to begin anew",
        "other-settings",
    )

"""What builds of large networks share: a folder for unfinished state, progress, settings."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from novelweights.data.image_data import PixelData
from novelweights.errors import InputError
from novelweights.networks.resnet import ResNet18


@contextmanager
def working_folder(folder: Path, *, resume: bool) -> Iterator[Path]:
    """Where the unfinished state of a build lies, `folder` + ".network.partial"; removed when the
    build is complete.

    Raises:
        InputError: It, or an unfinished population, is there from before and `resume` is off.
    """
    work = folder.with_name(folder.name + ".network.partial")
    for kept in (work, folder.with_name(folder.name + ".partial") / "progress.json"):
        if not resume and (any(kept.iterdir()) if kept.is_dir() else kept.exists()):
            raise InputError(
                f"{kept}: the state of an unfinished build is there; add --resume to go on with "
                "it, or delete it to begin anew"
            )
    work.mkdir(parents=True, exist_ok=True)
    yield work
    shutil.rmtree(work)


@contextmanager
def telling_damage(path: Path, what: str, *, remove: Path | str) -> Iterator[None]:
    """Reading kept state: whatever a damaged file raises becomes a message.

    Args:
        path: The file.
        what: It should hold.
        remove: What to delete to begin anew.

    Raises:
        InputError: It cannot be read, or lacks something.
    """
    try:
        yield
    except (RuntimeError, ValueError, TypeError, KeyError, EOFError, UnpicklingError) as error:
        raise InputError(
            f"{path}: expected the {what}, it cannot be read; delete {remove} to begin anew"
        ) from error


@dataclass
class Steps:
    """Counts the optimizer steps of a build for its progress bar."""

    progress: Callable[[int, int], None] | None
    total: int
    done: int = 0

    def tell(self, steps: int) -> None:
        """So many more are done."""
        self.done += steps
        if self.progress is not None:
            self.progress(self.done, self.total)


def own_or_asked(zoo: Any, asked: Mapping[str, int | None], *names: str) -> dict[str, int]:
    """The counts of these names that were asked for; the zoo's own number where None was."""
    counts = {}
    for name in names:
        given = asked[name]
        counts[name] = int(getattr(zoo, name)) if given is None else given
    return counts


def counts_of_ends(zoo: Any, asked: Mapping[str, int | None]) -> dict[str, int]:
    """How many of what a build makes that keeps the end of each run only.

    Args:
        zoo: What to train.
        asked: Runs, heldout_runs, checkpoints and start_runs; None: the zoo's own number.

    Raises:
        InputError: More than one checkpoint of a run, or initializations, are asked for.
    """
    if asked["checkpoints"] not in (None, 1) or asked["start_runs"]:
        raise InputError(
            f"{zoo.name} keeps the last checkpoint of each run and no initializations: leave "
            "--checkpoints and --start-runs out"
        )
    counts = own_or_asked(zoo, asked, "runs", "heldout_runs")
    return {**counts, "checkpoints": 1, "start_runs": 0}


def versions(*packages: str) -> dict[str, str]:
    """Versions of this package, of torch, and of further packages that a build rests on."""
    return {
        "novelweights": metadata.version("novelweights"),
        "torch": torch.__version__,
        **{package: metadata.version(package) for package in packages},
    }


def build_settings(
    network: ResNet18,
    data: PixelData,
    recipes: Mapping[str, Any],
    counts: Mapping[str, int],
    seed: int,
) -> dict[str, Any]:
    """What `population.json` says about a build: enough to repeat it.

    Args:
        network: Target network.
        data: What it is trained on.
        recipes: Recipes (dataclasses) by name.
        counts: Of runs and checkpoints.
        seed: Root of all seeds.
    """
    return {
        "network": asdict(network),
        **{name: asdict(recipe) for name, recipe in recipes.items()},
        "data": {"name": data.name, "source": data.source, "sha256": data.sha256},
        "seed": seed,
        **counts,
        "versions": versions(),
    }

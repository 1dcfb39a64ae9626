"""The runs of one calibration zoo, trained once and kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from novelweights.data.images import load_data
from novelweights.errors import InputError
from novelweights.files import replacing
from novelweights.seeding import rng_for, seed_for
from novelweights.studies.calibrate.zoos import CalibrationZoo, Sizes
from novelweights.tasks.classification import Classification
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.zoos.epoch_ends import train_to_epochs

Tell = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

EARLY = 0.25
"""Share of the epochs after which fresh runs count as stopped early."""
OTHER_EPOCHS = (0.5, 0.8)
"""Shares of the epochs at which training runs are also saved."""


@dataclass(frozen=True, eq=False)
class Pool:
    """All runs of a zoo and the task that judges them."""

    zoo: CalibrationZoo
    task: Classification
    training: tuple[Population, ...]
    """Disjoint training populations, their last checkpoints."""
    earlier: tuple[Mapping[float, Float[Tensor, "m d"]], ...]
    """The same runs at other shares of their epochs."""
    heldout: Population
    fresh: Population
    """Every run twice: stopped early, and finished."""

    @property
    def finished(self) -> Population:
        """Fresh runs, finished."""
        return self.fresh.select(self.fresh.records.step == self.fresh.records.step.max())


def make_pool(zoo: CalibrationZoo, sizes: Sizes, seed: int, folder: Path, tell: Tell) -> Pool:
    """Train what is not there yet, part by part.

    A run's seed depends on the root seed and on the run's name only; progress is in runs.

    Raises:
        InputError: A run diverged.
    """
    data = load_data(zoo.data_name)
    info = PopulationInfo(
        recipe=zoo.name,
        architecture=zoo.network.name,
        symmetry=zoo.network.symmetry,
        task=zoo.data_name,
    )
    per_epoch = zoo.recipe.steps(len(data.train_y)) // zoo.recipe.epochs
    start = zoo.network.initial(rng_for(seed, zoo.name, "start")) if zoo.is_shared else None

    def epochs(*shares: float) -> list[int]:
        return [max(1, round(share * zoo.recipe.epochs)) for share in shares]

    def trained(part: str, runs: int, *shares: float) -> Float[Tensor, "n saves d"]:
        def made() -> dict[str, np.ndarray]:
            weights = train_to_epochs(
                zoo.network,
                data,
                zoo.recipe,
                [seed_for(seed, zoo.name, part, i) for i in range(runs)],
                epochs(*shares),
                initial=start,
                on_epoch=lambda done, of: tell(f"{zoo.name}: training {part}", done, of),
            )
            if not weights.isfinite().all():
                raise InputError(
                    f"{zoo.name}: expected finite weights, but training diverged; lower the "
                    f"learning rate {zoo.recipe.learning_rate}",
                    "not-finite",
                )
            return {"weights": weights.numpy()}

        return torch.from_numpy(kept_arrays(folder / f"runs-{part}.npz", made)["weights"])

    def population(part: str, weights: Float[Tensor, "n d"], share: float = 1.0) -> Population:
        names = [f"{part}-{i:05d}" for i in range(len(weights))]
        records = Records.of(names, split=part, step=per_epoch * epochs(share)[0])
        return Population(weights.contiguous(), zoo.network.layout, records, info)

    training, earlier = [], []
    for i in range(sizes.populations):
        saved = trained(f"train-{i}", sizes.training_runs, *OTHER_EPOCHS, 1.0)
        training.append(population(f"train-{i}", saved[:, -1]))
        earlier.append({share: saved[:, j] for j, share in enumerate(OTHER_EPOCHS)})
    heldout = population("heldout", trained("heldout", sizes.heldout_runs, 1.0)[:, 0])
    saved = trained("fresh", sizes.fresh_runs, EARLY, 1.0)
    parts = [population("fresh", saved[:, j], share) for j, share in enumerate((EARLY, 1.0))]
    fresh = Population(
        torch.cat([part.weights for part in parts]),
        zoo.network.layout,
        Records.join([part.records for part in parts]),
        info,
    )
    task = Classification(zoo.data_name, zoo.network, data)
    return Pool(zoo, task, tuple(training), tuple(earlier), heldout, fresh)


def kept_arrays(
    path: Path, make: Callable[[], Mapping[str, Shaped[np.ndarray, "..."]]]
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """What `make` gives, from a file if it was made before; written in one step, without pickle.

    Raises:
        InputError: The file is damaged.
    """
    if not path.exists():
        arrays = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **dict(arrays))
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError) as problem:
        raise InputError(
            f"{path}: expected arrays, it is damaged ({problem}); delete it and run again",
            "damaged",
        ) from problem

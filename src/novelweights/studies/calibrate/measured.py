"""Every number of one zoo and training population, measured once and kept.

Repetitions only choose among these rows, so hundreds of audits cost little more than one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from novelweights.auditing.controls.planting import Plant
from novelweights.auditing.judge.p_values import NullDistribution
from novelweights.auditing.measure import measured
from novelweights.auditing.measure.measurements import (
    HELDOUT_BLOCK,
    Ladder,
    NearestIndex,
    ladder_of,
    like,
    measure,
)
from novelweights.auditing.prepare import AuditInputs, prepare
from novelweights.auditing.result import Measurements
from novelweights.metrics.alignment import Alignment
from novelweights.metrics.established import established_measures
from novelweights.seeding import numpy_rng_for
from novelweights.studies.calibrate.plants import plants
from novelweights.studies.calibrate.pool import Pool, Tell, kept_arrays
from novelweights.studies.calibrate.results import OTHERS
from novelweights.studies.calibrate.zoos import Sizes
from novelweights.weights.population import Population, sampled_records


@dataclass(frozen=True, eq=False)
class Kind:
    """Checkpoints of one origin, as rows of `Measured.planted`."""

    key: str
    label: str
    expected: tuple[str, ...]
    noise: float | None
    rows: slice
    flags: Bool[np.ndarray, "n 3"]
    """By `OTHERS`."""
    data_copying: float
    """The three-sample test C_T of the kind as a population, as published; NaN: not defined."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One training population and all that is compared with it."""

    audit: measured.Measured
    """Each run against the others, the whole pool of held-out runs, and as generated checkpoints
    all kinds, one after another."""
    kinds: tuple[Kind, ...]

    @property
    def training(self) -> Measurements:
        """Each run against the others."""
        return self.audit.training

    @property
    def null(self) -> NullDistribution:
        """The whole pool of held-out runs."""
        return self.audit.null

    @property
    def planted(self) -> Measurements:
        """All kinds."""
        return self.audit.generated

    @property
    def is_exact(self) -> bool:
        """Whether distances are minimal for certain; else achieved, with a certified bound."""
        return self.audit.given.distance.is_exact

    @property
    def certified(self) -> float:
        """Median certified lower bound of held-out runs' distances, over these; 1 where exact."""
        fresh = self.null.runs
        return float(np.median(fresh.distance_lower / fresh.distance))

    @property
    def spacing(self) -> float:
        """Median distance of held-out runs."""
        return float(np.median(self.null.runs.distance))


def measure_zoo(
    pool: Pool, index: int, sizes: Sizes, seed: int, folder: Path, tell: Tell
) -> Measured:
    """Measure one training population and everything planted from it; reads what is there."""
    zoo, training = pool.zoo, pool.training[index]
    alignment = Alignment.of(zoo.network.layout, zoo.network.symmetry)
    if alignment is None:
        raise ValueError(f"{zoo.name}: the study needs a network whose neurons may be reordered")
    reference = NearestIndex.of(training, alignment, pool.task)
    folder = folder / f"population-{index}"
    stage = f"{zoo.name}: population {index}"
    tell(f"{stage}, held-out runs", 0, 1)
    trained = _kept(
        folder / "training.npz",
        lambda: measure(
            "training",
            training,
            reference,
            exclude=np.eye(len(training), dtype=bool),  # one row per run
            behavior=reference.behavior,
            only_near=True,
        ),
    )
    heldout = _kept(folder / "heldout.npz", lambda: measure("heldout", pool.heldout, reference))
    null = NullDistribution(
        heldout,
        _ladder(folder / "ladder.npz", pool.heldout, reference, True, stage, tell),
        _ladder(folder / "raw-ladder.npz", pool.heldout, reference, False, stage, tell),
        pool.task.quality,
        pool.task.novelty,
    )
    spacing = float(np.median(heldout.distance))
    tell(f"{stage}, planting", 0, 1)
    made = plants(pool, index, sizes.planted, spacing=spacing, seed=seed)
    parts, kinds, start = [], [], 0
    for i, plant in enumerate(made):
        tell(f"{stage}, kinds", i, len(made))
        some = Population(
            plant.weights, training.layout, sampled_records(len(plant.weights)), training.info
        )
        path = folder / f"kind-{plant.key}.npz"
        parts.append(_kept(path, lambda some=some: measure("planted", some, reference)))
        flags, data_copying = _established(
            folder / f"others-{plant.key}.npz", plant, pool, index, seed
        )
        rows = slice(start, start + len(some))
        start = rows.stop
        kinds.append(
            Kind(plant.key, plant.label, plant.expected, plant.noise, rows, flags, data_copying)
        )
    tell(f"{stage}, kinds", len(made), len(made))
    planted = joined(parts)
    inputs = AuditInputs(
        train=training,
        generated=pool.finished,
        heldout=pool.heldout,
        task=pool.task,
        symmetry=zoo.network.symmetry,
    )
    audit = measured.Measured(
        given=prepare(inputs),
        reference=reference,
        training_rows=np.arange(len(training)),
        training=trained,
        heldout=heldout,
        generated=planted,
        scored=planted,
        from_scratch=None,
        null=null,
        originals=None,
        behavior={},
    )
    return Measured(audit, tuple(kinds))


def joined(parts: Sequence[Measurements]) -> Measurements:
    """The rows of all parts in order; what one part lacks is left out."""
    columns = {}
    for field in fields(Measurements):
        values = [getattr(part, field.name) for part in parts]
        if field.name == "label":
            columns["label"] = values[0]
        elif field.name == "names":
            columns["names"] = [name for some in values for name in some]
        elif all(some is not None for some in values):
            columns[field.name] = np.concatenate(values)
    return Measurements(**columns)


def _kept(path: Path, make: Callable[[], Measurements]) -> Measurements:
    """Measurements from a file, made and written first if it is not there."""

    def arrays() -> dict[str, np.ndarray]:
        return {name: np.array(value) for name, value in vars(make()).items() if value is not None}

    kept = kept_arrays(path, arrays)
    names = kept.pop("names").tolist()
    return Measurements(**{**kept, "label": str(kept["label"]), "names": names})


def _ladder(
    path: Path, heldout: Population, reference: NearestIndex, aligned: bool, stage: str, tell: Tell
) -> Ladder:
    """Held-out runs at other norms, block by block."""

    def made() -> dict[str, np.ndarray]:
        blocks = []
        for start in range(0, len(heldout), HELDOUT_BLOCK):
            tell(f"{stage}, {path.stem}", start, len(heldout))
            block = heldout.select(slice(start, start + HELDOUT_BLOCK))
            blocks.append(vars(ladder_of(block, reference, aligned=aligned)))
        return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}

    return Ladder(**kept_arrays(path, made))


def _established(
    path: Path, plant: Plant, pool: Pool, index: int, seed: int
) -> tuple[Bool[np.ndarray, "n 3"], float]:
    """What established measures say of one kind."""

    def made() -> dict[str, np.ndarray]:
        said = established_measures(
            pool.training[index].learned,
            pool.heldout.learned,
            like(pool.heldout, plant.weights).learned,
            rng=numpy_rng_for(seed, pool.zoo.name, "others", index, plant.key),
        )
        flags, data_copying = said.flags(), said.data_copying.published
        return {
            "flags": np.stack([flags[name] for name in OTHERS], axis=1),
            "data_copying": np.array(np.nan if data_copying is None else data_copying),
        }

    arrays = kept_arrays(path, made)
    return arrays["flags"], float(arrays["data_copying"])

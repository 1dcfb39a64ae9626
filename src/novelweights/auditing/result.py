"""What an audit found, as plain numbers: written once, drawn and judged as often as one likes.

`AuditResult` goes to `audit.json` and `checkpoints.csv`; everything a report shows is read from
there. Arrays are numpy, float64, one entry per checkpoint.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd

from novelweights.errors import Note
from novelweights.tasks.task import Measure

SCHEMA_VERSION = 4
SHARE = "share"
"""The unit of numbers in [0, 1]."""
TSNE_GROUPS = ("training", "heldout", "generated", "average of 16", "Gaussian", "noise")
"""Kinds of points in the map of weights of an audit of one run, by their number there."""


@dataclass(frozen=True)
class Quantity:
    """One reported number with its interval, the count behind it and its definition."""

    key: str
    """Stable name, e.g. copied_share."""
    label: str
    """For people."""
    value: float | None
    """None: it could not be had; `definition` or a warning says why."""
    n: int
    """Checkpoints (or runs) the number rests on."""
    definition: str
    lower: float | None = None
    upper: float | None = None
    level: float | None = None
    """Confidence level of [lower, upper]."""
    unit: str = ""
    group: str = ""
    """Which table of the report it stands in: "" (the audit's own), "established",
    "generalization gap", "one run"."""


@dataclass(frozen=True, eq=False)
class Measurements:
    """One population of n checkpoints measured against the training checkpoints.

    For the training checkpoints themselves, all rows of the checkpoint's own run are excluded.
    """

    label: str
    """training, heldout, generated, or a baseline."""
    names: list[str]
    """Run (or sample) of each row."""
    neighbor_rows: np.ndarray
    """(n, k) training rows, nearest first."""
    neighbor_distances: np.ndarray
    """(n, k) declared distance."""
    distance_lower: np.ndarray
    """(n,) certified lower bound of the nearest distance; equals it where the distance is exact."""
    raw_distance: np.ndarray
    """(n,) plain L2 to the nearest training checkpoint under plain L2."""
    cosine: np.ndarray
    """(n,) scale-free nearness: max_i cos(x - mu, t_i - mu), each t_i aligned to x."""
    norm: np.ndarray
    """(n,) |x - mu|, distance from the mean of the aligned training checkpoints."""
    hull_ratio: np.ndarray | None = None
    """(n,) distance to the convex hull of the aligned training checkpoints over `distance`."""
    raw_hull_ratio: np.ndarray | None = None
    """(n,) the same with nothing aligned: averages of unaligned checkpoints lie in that hull."""
    raw_norm: np.ndarray | None = None
    """(n,) distance from the plain mean of the training checkpoints."""
    source_rows: np.ndarray | None = None
    """(n, 3) training rows with the largest hull weights."""
    source_weights: np.ndarray | None = None
    """(n, 3) those weights; all weights of a checkpoint sum to 1."""
    sparse_ratio: np.ndarray | None = None
    """(n,) what 16 aligned training checkpoints with weights >= 0 leave unexplained of x - mu over
    what the best one leaves; near 0 for mixtures, 1 for a copy plus noise."""
    raw_sparse_ratio: np.ndarray | None = None
    """(n,) the same with nothing aligned."""
    pca_residual: np.ndarray | None = None
    """(n,) share of |x - mu| outside the leading principal components of the training checkpoints
    in one common frame, in [0, 1]; small for draws from their span."""
    raw_pca_residual: np.ndarray | None = None
    """(n,) the same with nothing aligned."""
    recentred_cosine: np.ndarray | None = None
    """(n,) max_i cos(x - mean of the other checkpoints of its population, t_i - mu) in the common
    frame: sees copies that a shared drift hides."""
    layer_distance: np.ndarray | None = None
    """(n, layers) declared distance to the nearest training checkpoint, each layer by itself."""
    layer_cosine: np.ndarray | None = None
    """(n, layers) the scale-free nearness, each layer by itself."""
    layer_rows: np.ndarray | None = None
    """(n, layers) the training row with that cosine."""
    neurons_any: np.ndarray | None = None
    """(n,) distance to a training checkpoint's neuron of the neuron that is nearest to one: 0 for a
    copy, 1 for as far as neurons of training checkpoints usually lie from those of others."""
    neurons_mean: np.ndarray | None = None
    """(n,) the same, mean over all neurons."""
    neurons_all: np.ndarray | None = None
    """(n,) the same of the neuron that is farthest from all."""
    canonical_distance: np.ndarray | None = None
    """(n,) declared distance to the nearest training checkpoint, both in canonical form: scales of
    neurons and the like removed (`novelweights.weights.canonical`)."""
    canonical_lower: np.ndarray | None = None
    """(n,) certified lower bound of it."""
    canonical_ratio: np.ndarray | None = None
    """(n,) it over the same distance to the second nearest; 1 where there is none."""
    canonical_rows: np.ndarray | None = None
    """(n,) the training row at that distance."""
    step_distance: np.ndarray | None = None
    """(n,) declared distance to the nearest of all training checkpoints, where there are more than
    one of each run: other steps, and what was recognized as the same run."""
    step_rows: np.ndarray | None = None
    """(n,) that checkpoint's row in the training population that was given."""
    quality: np.ndarray | None = None
    """(n,) the task's quality, in its unit."""
    novelty: np.ndarray | None = None
    """(n,) the task's novelty: maximum similarity to a training checkpoint's errors."""
    overlap: np.ndarray | None = None
    """(n,) share of test examples predicted as the nearest training checkpoint does."""
    expected_novelty: np.ndarray | None = None
    """(n,) error overlap with a training checkpoint expected by chance at their error rates."""
    has_surface: np.ndarray | None = None
    """(n,) False for a field that describes no shape; None for other networks."""

    @property
    def distance(self) -> np.ndarray:
        """(n,) declared distance to the nearest training checkpoint."""
        return self.neighbor_distances[:, 0]

    @property
    def hull_distance(self) -> np.ndarray | None:
        """(n,) distance to the convex hull of the aligned training checkpoints."""
        return None if self.hull_ratio is None else self.hull_ratio * self.distance

    @property
    def raw_hull_distance(self) -> np.ndarray | None:
        """(n,) the same with nothing aligned."""
        return None if self.raw_hull_ratio is None else self.raw_hull_ratio * self.raw_distance

    def __len__(self) -> int:
        return len(self.names)

    def select(self, rows: np.ndarray) -> "Measurements":
        """The findings of some checkpoints: indices or a mask."""
        names = np.array(self.names, dtype=object)[rows].tolist()
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        picked = {name: None if a is None else a[rows] for name, a in arrays.items()}
        return Measurements(**{"label": self.label, "names": names, **picked})


@dataclass(frozen=True, eq=False)
class Planted:
    """Checkpoints of known origin, measured and ranked as the generated ones are: a control."""

    label: str
    """For people, e.g. "copies + noise of 0.25"."""
    measured: Measurements
    p_values: Mapping[str, np.ndarray]
    """As `AuditResult.p_values`, for these checkpoints."""
    expected: tuple[str, ...]
    """The verdicts that are right for them."""
    can_veto: bool = False
    """Whether the audit withholds its verdict when these are misjudged."""
    noise: float | None = None
    """For copies with noise: its length over the median distance of held-out runs to training."""
    n_chance: int | None = None
    """For held-out runs: how many others they were ranked among (false alarms are chance)."""
    note: str = ""
    """How they were made."""


@dataclass(frozen=True, eq=False)
class AllSteps:
    """Every checkpoint of the held-out runs against the training checkpoints, beside their last."""

    n_runs: int
    distance: np.ndarray
    """(n,) declared distance to the nearest training checkpoint."""
    cosine: np.ndarray
    """(n,) scale-free nearness, as in `Measurements`."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "n_runs": self.n_runs,
            "distance": _list(self.distance),
            "cosine": _list(self.cosine),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "AllSteps":
        """What `to_json` gave."""
        distance, cosine = (np.array(data[name], dtype=float) for name in ("distance", "cosine"))
        return cls(int(data["n_runs"]), distance, cosine)


@dataclass(frozen=True)
class DistanceInfo:
    """The declared distance of an audit: the same for T-T, H-T and G-T."""

    name: str
    """In words, e.g. "L2, minimized over permutations of the 10 hidden neurons"."""
    is_exact: bool
    """Whether the minimum over the symmetry group is exact or an upper bound."""
    symmetry: str
    """What was declared, e.g. "permutations of h (10 neurons)" or "none"."""
    canonical: str = ""
    """What a second comparison in canonical form removes besides, e.g. "scales of neurons"."""


@dataclass(frozen=True, eq=False)
class AuditResult:
    """Every number of one audit."""

    training: Measurements
    """Training checkpoints against the other training checkpoints: all, or a random sample."""
    generated: Measurements
    heldout: Measurements | None
    baselines: Mapping[str, Measurements]
    """noise (matched novelty), average of 2, average of 16, Gaussian."""
    baseline_notes: Mapping[str, str]
    """How each baseline was made, e.g. the noise found, or why it could not be matched."""
    p_values: Mapping[str, np.ndarray]
    """Per generated checkpoint, its place among held-out runs, each in (0, 1]:
    distance, cosine, hull, pca and similarity from both sides (`_near`, `_far`, or `_high`,
    `_low`), quality_low, canonical_near (distance in canonical form), twin_near (nearest other
    sample, at equal norm; NaN for samples that are copies or mixtures), and the tests that judge:
    direction_near (cosine, distance at equal norm), mixture_near (hull, sparse, pca, each aligned
    and raw), large_mixture_near (the same of large effects), layers_any_near and layers_all_near
    (the nearest and the farthest layer, by cosine; `layers_*_distance_near` by distance),
    neurons_any_near, neurons_mean_near and neurons_all_near.
    Small = extreme on that side. Without held-out runs: among training runs, each against the
    others."""
    quantities: tuple[Quantity, ...]
    distance: DistanceInfo
    quality: Measure | None
    novelty: Measure | None
    layers: tuple[str, ...] = ()
    """Names of the layers, in the order of `Measurements.layer_distance`; empty if there is one."""
    controls: Mapping[str, Planted] = field(default_factory=dict)
    """Checkpoints of known origin, by a short key; what the audit sees of each is its power."""
    training_rows: np.ndarray | None = None
    """(n,) row of each training checkpoint in the population given; None: all, in order."""
    counted: np.ndarray | None = None
    """(m,) False for generated checkpoints that repeat another and are no further evidence; None:
    all count."""
    all_training: list[str] | None = None
    """Names of all training checkpoints, where `training` is a sample or they are steps of few
    runs (told apart here); None: it has them all."""
    n_runs: int | None = None
    """Independent training runs, as recognized; below 3 nothing can be identified. None: as many
    as training checkpoints."""
    warnings: tuple[Note, ...] = ()
    from_scratch: Measurements | None = None
    """Independently trained networks against the training checkpoints: distances, and the quality
    that their records tell."""
    heldout_steps: AllSteps | None = None
    """Where the training checkpoints are steps of one run: those of the held-out runs."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What was audited: architecture, task, data, seeds, and per population n, runs, recipe."""

    @property
    def training_names(self) -> list[str]:
        """Run of every training checkpoint; all rows in `Measurements` count these."""
        return self.training.names if self.all_training is None else self.all_training

    @property
    def through_codec(self) -> bool:
        """Whether reconstructions by a lossy codec stand in for training checkpoints."""
        return self.about.get("through_codec") is True

    def quantity(self, key: str) -> Quantity:
        """The quantity of that key.

        Raises:
            KeyError: There is none.
        """
        for quantity in self.quantities:
            if quantity.key == key:
                return quantity
        raise KeyError(key)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `audit.json`; what only some audits have is absent in the others."""
        scratch, steps = self.from_scratch, self.heldout_steps
        return {
            "schema_version": SCHEMA_VERSION,
            "about": dict(self.about),
            "distance": vars(self.distance),
            "quality": vars(self.quality) if self.quality else None,
            "novelty": vars(self.novelty) if self.novelty else None,
            "quantities": [vars(quantity) for quantity in self.quantities],
            "layers": list(self.layers),
            "training_rows": None if self.training_rows is None else _list(self.training_rows),
            "counted": None if self.counted is None else _list(self.counted),
            "all_training": self.all_training,
            "n_runs": self.n_runs,
            "controls": {key: _planted_json(planted) for key, planted in self.controls.items()},
            "warnings": [vars(note) for note in self.warnings],
            "training": _findings_json(self.training),
            "heldout": _findings_json(self.heldout) if self.heldout else None,
            "generated": _findings_json(self.generated),
            "baselines": {key: _findings_json(found) for key, found in self.baselines.items()},
            "baseline_notes": dict(self.baseline_notes),
            "p_values": _p_values_json(self.p_values),
            **({"from_scratch": _findings_json(scratch)} if scratch is not None else {}),
            **({"heldout_steps": steps.to_json()} if steps is not None else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "AuditResult":
        """The result in plain data written by `to_json`.

        Raises:
            KeyError, TypeError, ValueError: The data are not of this form.
        """
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {data['schema_version']}, expected {SCHEMA_VERSION}")
        heldout, rows = data["heldout"], data["training_rows"]
        scratch, steps = data.get("from_scratch"), data.get("heldout_steps")
        return cls(
            training=_findings(data["training"]),
            generated=_findings(data["generated"]),
            heldout=_findings(heldout) if heldout else None,
            baselines={key: _findings(found) for key, found in data["baselines"].items()},
            baseline_notes=data["baseline_notes"],
            p_values=_p_values(data["p_values"]),
            layers=tuple(data["layers"]),
            training_rows=None if rows is None else np.array(rows, dtype=np.int64),
            counted=None if data["counted"] is None else np.array(data["counted"], dtype=bool),
            all_training=data["all_training"],
            n_runs=data["n_runs"],
            controls={key: _planted(planted) for key, planted in data["controls"].items()},
            quantities=tuple(Quantity(**quantity) for quantity in data["quantities"]),
            distance=DistanceInfo(**data["distance"]),
            quality=Measure(**data["quality"]) if data["quality"] else None,
            novelty=Measure(**data["novelty"]) if data["novelty"] else None,
            warnings=tuple(Note(**note) for note in data["warnings"]),
            from_scratch=_findings(scratch) if scratch else None,
            heldout_steps=AllSteps.from_json(steps) if steps else None,
            about=data["about"],
        )

    @property
    def not_finite(self) -> dict[int, str]:
        """Generated checkpoints that hold no numbers, by their row: broken, and not measured."""
        found = self.about.get("not_finite")
        return {int(row): str(name) for row, name in dict(found or {}).items()}

    def table(self) -> pd.DataFrame:
        """One row per generated checkpoint: the numbers of `checkpoints.csv` before the verdict."""
        generated, trained = self.generated, self.training_names
        n_all, nearest = len(generated) + len(self.not_finite), generated.neighbor_rows[:, 0]
        rows = self.training_rows
        columns: dict[str, Any] = {
            "row": [row for row in range(n_all) if row not in self.not_finite],
            "name": generated.names,
            "nearest_row": nearest if rows is None else rows[nearest],
            "nearest_run": [trained[row] for row in nearest],
            "distance": generated.distance,
            "distance_lower": generated.distance_lower,
            "raw_distance": generated.raw_distance,
            "cosine": generated.cosine,
            "norm": generated.norm,
        }
        if generated.canonical_rows is not None:
            columns["canonical_run"] = [trained[row] for row in generated.canonical_rows]
        for name in _SHAPE_COLUMNS:
            values = getattr(generated, name)
            if values is not None:
                columns[name] = values
        if generated.source_rows is not None and generated.source_weights is not None:
            for j in range(generated.source_rows.shape[1]):
                columns[f"source_{j + 1}_run"] = [
                    trained[row] for row in generated.source_rows[:, j]
                ]
                columns[f"source_{j + 1}_weight"] = generated.source_weights[:, j]
        if generated.layer_distance is not None and generated.layer_rows is not None:
            for j, layer in enumerate(self.layers):
                columns[f"layer_{layer}_distance"] = generated.layer_distance[:, j]
                columns[f"layer_{layer}_run"] = [trained[row] for row in generated.layer_rows[:, j]]
        for name in ("quality", "novelty", "expected_novelty", "overlap", "has_surface"):
            values = getattr(generated, name)
            if values is not None:
                columns[name] = values.astype(np.int64) if values.dtype == np.bool_ else values
        columns |= {f"p_{name}": values for name, values in self.p_values.items()}
        return pd.DataFrame(columns)


_ARRAYS = {
    name: np.int64 if name.endswith("_rows") else np.bool_ if name == "has_surface" else np.float64
    for name in (one.name for one in fields(Measurements))
    if name not in ("label", "names")
}
"""The arrays of `Measurements` and what they hold."""
_SHAPE_COLUMNS = (
    "hull_ratio",
    "raw_hull_ratio",
    "sparse_ratio",
    "raw_sparse_ratio",
    "pca_residual",
    "raw_pca_residual",
    "recentred_cosine",
    "neurons_any",
    "neurons_mean",
    "neurons_all",
    "canonical_distance",
    "canonical_lower",
    "canonical_ratio",
    "step_distance",
    "step_rows",
)


def _list(values: np.ndarray) -> list:
    """Nested lists with 9 significant digits: far below any difference that is discussed."""
    if values.dtype.kind == "f":
        return np.vectorize(lambda x: float(f"{x:.9g}"), otypes=[float])(values).tolist()
    return values.tolist()


def _findings_json(measurements: Measurements) -> dict[str, Any]:
    arrays = {name: getattr(measurements, name) for name in _ARRAYS}
    data = {name: None if values is None else _list(values) for name, values in arrays.items()}
    return {"label": measurements.label, "names": measurements.names, **data}


def _findings(data: Mapping[str, Any]) -> Measurements:
    arrays = {
        name: None if data.get(name) is None else np.array(data[name], dtype=dtype)
        for name, dtype in _ARRAYS.items()
    }
    return Measurements(**{"label": data["label"], "names": list(data["names"]), **arrays})


def _p_values_json(p_values: Mapping[str, np.ndarray]) -> dict[str, list]:
    """None for checkpoints that a test was not made of."""
    return {
        key: [None if math.isnan(value) else value for value in _list(values)]
        for key, values in p_values.items()
    }


def _p_values(data: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {key: np.array(values, dtype=float) for key, values in data.items()}


def _planted_json(planted: Planted) -> dict[str, Any]:
    return {
        **vars(planted),
        "measured": _findings_json(planted.measured),
        "p_values": _p_values_json(planted.p_values),
        "expected": list(planted.expected),
    }


def _planted(data: Mapping[str, Any]) -> Planted:
    changed = {
        "measured": _findings(data["measured"]),
        "p_values": _p_values(data["p_values"]),
        "expected": tuple(data["expected"]),
    }
    return Planted(**{**data, **changed})

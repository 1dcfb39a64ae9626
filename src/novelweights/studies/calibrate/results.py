"""What the study found, as plain data: written once, rendered and drawn as often as one likes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from novelweights.errors import InputError
from novelweights.files import read_json
from novelweights.report.calibration import CALIBRATION_SCHEMA

OTHERS = {
    "ratio_rule": "ratio rule",
    "calibrated_l2": "calibrated L2",
    "not_authentic": "not authentic",
}
"""Established measures that flag single checkpoints, with their names."""


@dataclass(frozen=True)
class KindInfo:
    """One kind of checkpoints of known origin, over all training populations."""

    key: str
    label: str
    expected: list[str]
    """Verdicts that are right for it."""
    noise: float | None
    distance: float
    """Median distance to training over that of held-out runs."""
    quality: float
    """Mean quality."""
    others: dict[str, float]
    """Share that each established measure flags."""
    data_copying: float | None
    """The three-sample test C_T, mean over training populations; below -3 is read as copying."""


@dataclass(frozen=True)
class Outcome:
    """Verdicts on single checkpoints of one kind, mean shares over repetitions."""

    kind: str
    n_heldout: int
    m: int
    verdicts: dict[str, float]
    found: float
    """Replica or interpolation."""
    found_range: list[float]
    """2.5% and 97.5% quantile over repetitions."""
    right: float
    """Verdicts that are right for the kind."""


@dataclass(frozen=True)
class FalseAlarm:
    """Rate at which fresh runs lie beyond held-out runs."""

    test: str
    r: int
    n_heldout: int
    nominal: float
    """The rate expected; for being accused by any test, at most this."""
    rate: float
    lower: float
    upper: float


@dataclass(frozen=True)
class ShareLimits:
    """Limits of a copied share in mixtures of fresh runs and copies."""

    copies: str
    test: str
    share: float
    n_heldout: int
    m: int
    seen: float
    """Share of these copies that the test sees."""
    estimate: float
    lower: float
    upper: float
    """Means over repetitions."""
    lower_holds: float
    """Repetitions in which the lower limit is at most the share."""
    upper_holds: float
    """Repetitions in which the upper limit is at least the share of copies that are seen."""


@dataclass(frozen=True)
class PopulationOutcome:
    """Verdicts on whole populations of one kind: how many repetitions ended in each."""

    kind: str
    n_heldout: int
    m: int
    verdicts: dict[str, int]


@dataclass(frozen=True)
class ZooResult:
    """Everything found on one zoo."""

    name: str
    description: str
    architecture: str
    weights: int
    symmetry: str
    is_shared: bool
    data: str
    training: dict[str, Any]
    """The recipe."""
    quality: dict[str, float]
    """Mean quality of training, held-out and fresh runs."""
    spacing: list[float]
    """Median distance of held-out runs, per training population."""
    kinds: list[KindInfo]
    outcomes: list[Outcome]
    false_alarms: list[FalseAlarm]
    shares: list[ShareLimits]
    populations: list[PopulationOutcome]
    is_exact: bool = True
    """Whether distances are minimal for certain; else some permuted copy achieves them."""
    certified: float = 1.0
    """Median certified lower bound of held-out runs' distances, over these distances."""

    @property
    def labels(self) -> dict[str, str]:
        """Of the kinds, by key."""
        return {kind.key: kind.label for kind in self.kinds}


@dataclass(frozen=True)
class Target:
    """One target set beforehand, and what came."""

    text: str
    target: str
    reached: str
    is_met: bool
    misses: list[str]
    """Where it is not met, with the numbers."""


@dataclass(frozen=True)
class Calibration:
    """The whole study."""

    scale: str
    seed: int
    repetitions: int
    sizes: dict[str, Any]
    criteria: dict[str, Any]
    versions: dict[str, str]
    zoos: list[ZooResult]
    targets: list[Target]

    def to_json(self) -> dict[str, Any]:
        """Plain data for `calibration.json`."""
        return {"schema_version": CALIBRATION_SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Calibration":
        """The study in plain data written by `to_json`.

        Raises:
            KeyError, TypeError, ValueError: The data are not of this form.
        """
        if data["schema_version"] != CALIBRATION_SCHEMA:
            raise ValueError(
                f"schema version {data['schema_version']}, expected {CALIBRATION_SCHEMA}"
            )
        rest = {key: value for key, value in data.items() if key != "schema_version"}
        zoos = [_zoo(zoo) for zoo in data["zoos"]]
        return cls(**{**rest, "zoos": zoos, "targets": [Target(**one) for one in data["targets"]]})


def read_calibration(path: Path) -> Calibration:
    """The study in a `calibration.json`.

    Raises:
        InputError: The file is missing, or something else.
    """
    try:
        return Calibration.from_json(read_json(path))
    except (KeyError, TypeError, ValueError) as problem:
        raise InputError(
            f"{path}: expected the results of `novelweights calibrate`, got something else "
            f"({problem}); run it again",
            "damaged",
        ) from problem


def _zoo(data: Mapping[str, Any]) -> ZooResult:
    rows = {
        "kinds": KindInfo,
        "outcomes": Outcome,
        "false_alarms": FalseAlarm,
        "shares": ShareLimits,
        "populations": PopulationOutcome,
    }
    return ZooResult(**{**data, **{k: [row(**x) for x in data[k]] for k, row in rows.items()}})

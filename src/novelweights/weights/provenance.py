"""What a generator says of itself when it samples: its size, its codec, its generalization gap.

Samples carry it in the settings of their `population.json`, under "generator", and an audit, which
never sees a generator, reads it there. Anybody may write such a file, so whatever is not of the
expected form is left out; and nothing here is checked or judged, only passed on.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from typing import Any

MAX_HISTORY = 10_000
"""Rows; more are no log of a fit of ours."""

Interval = tuple[float | None, float | None, float | None]
"""A value and the limits of its interval; None: not known."""


@dataclass(frozen=True)
class GapLevel:
    """Losses of a fitted generator at one noise level, in its own unit; positive."""

    timestep: int
    loss_train: float
    loss_heldout: float
    difference: Interval
    """Held-out less training."""
    ratio: Interval
    """Held-out over training."""


@dataclass(frozen=True)
class GapPoint:
    """Losses at one step of training and one noise level; positive."""

    step: int
    timestep: int
    loss_train: float
    loss_heldout: float


@dataclass(frozen=True)
class GeneralizationGap:
    """A generator's losses on training and on held-out runs."""

    n_train: int
    n_heldout: int
    timesteps: int
    """Noise levels in all."""
    confidence: float | None
    """Of the intervals."""
    levels: tuple[GapLevel, ...]
    """By noise, least first; each timestep once."""
    history: tuple[GapPoint, ...] = ()
    """Points of those timesteps, by step."""

    @property
    def is_of_reconstruction(self) -> bool:
        """Whether nothing is noised: the losses are an autoencoder's."""
        return self.timesteps == 1

    def to_json(self) -> dict[str, Any]:
        """The gap as plain data."""
        return {**asdict(self), "history": [list(astuple(point)) for point in self.history]}

    @classmethod
    def from_json(cls, data: Any) -> "GeneralizationGap | None":
        """What `to_json` wrote; None where not even one level is of the expected form."""
        timesteps = _count(_entry(data, "timesteps"))
        n_train, n_heldout = _count(_entry(data, "n_train")), _count(_entry(data, "n_heldout"))
        if not (timesteps and n_train and n_heldout):
            return None
        levels: dict[int, GapLevel] = {}
        for entry in _list(_entry(data, "levels"), timesteps):
            level = _level(entry, timesteps)
            if level is not None:
                levels.setdefault(level.timestep, level)
        if not levels:
            return None
        points = map(_point, _list(_entry(data, "history"), MAX_HISTORY))
        history = {(p.step, p.timestep): p for p in points if p and p.timestep in levels}
        confidence = _number(_entry(data, "confidence"))
        return cls(
            n_train=n_train,
            n_heldout=n_heldout,
            timesteps=timesteps,
            confidence=confidence if confidence is not None and 0 < confidence < 1 else None,
            levels=tuple(levels[t] for t in sorted(levels)),
            history=tuple(history[key] for key in sorted(history)),
        )


@dataclass(frozen=True)
class Provenance:
    """The generator that made a population."""

    method: str | None = None
    sampler: str | None = None
    """How it was sampled, where there are several ways."""
    has_codec: bool = False
    """Whether it has a lossy codec, through which audits take training checkpoints."""
    parameters: int | None = None
    """Trained values."""
    values_in_training: int | None = None
    """Weights in all of its training checkpoints together."""
    gap: GeneralizationGap | None = None

    def to_json(self) -> dict[str, Any]:
        """The provenance as plain data."""
        return {
            "method": self.method,
            **({} if self.sampler is None else {"sampler": self.sampler}),
            **({"codec": True} if self.has_codec else {}),
            "parameters": self.parameters,
            "values_in_training": self.values_in_training,
            "gap": None if self.gap is None else self.gap.to_json(),
        }

    @classmethod
    def from_json(cls, data: Any) -> "Provenance | None":
        """What `to_json` wrote; None for what does not look like it."""
        known = {"method", "sampler", "codec", "parameters", "values_in_training", "gap"}
        if not isinstance(data, Mapping) or known.isdisjoint(data):
            return None
        method, sampler = data.get("method"), data.get("sampler")
        return cls(
            method=method if isinstance(method, str) else None,
            sampler=sampler if isinstance(sampler, str) else None,
            has_codec=data.get("codec") is True,
            parameters=_count(data.get("parameters")),
            values_in_training=_count(data.get("values_in_training")),
            gap=GeneralizationGap.from_json(data.get("gap")),
        )


def _level(entry: Any, timesteps: int) -> GapLevel | None:
    timestep = _count(_entry(entry, "timestep"), at_least=0)
    train, heldout = _loss(_entry(entry, "loss_train")), _loss(_entry(entry, "loss_heldout"))
    if timestep is None or timestep >= timesteps or train is None or heldout is None:
        return None
    if not math.isfinite(heldout / train):
        return None
    difference = _interval(entry.get("difference"))
    ratio = _interval(entry.get("ratio"), at_least=0.0)
    return GapLevel(timestep, train, heldout, difference, ratio)


def _interval(data: Any, *, at_least: float = -math.inf) -> Interval:
    """A value with its limits; limits that cannot be are left out."""
    numbers = [_number(x) for x in _list(data, 3)]
    if len(numbers) < 3:
        return None, None, None
    value, lower, upper = numbers
    if lower is None or upper is None or not at_least <= lower <= upper:
        return value, None, None
    return value, lower, upper


def _point(entry: Any) -> GapPoint | None:
    """A row (step, timestep, loss on training, loss on held-out)."""
    row = _list(entry, 4)
    if len(row) != 4:
        return None
    step, timestep = (_count(x, at_least=0) for x in row[:2])
    train, heldout = (_loss(x) for x in row[2:])
    if step is None or timestep is None or train is None or heldout is None:
        return None
    return GapPoint(step, timestep, train, heldout)


def _entry(data: Any, key: str) -> Any:
    return data.get(key) if isinstance(data, Mapping) else None


def _list(data: Any, at_most: int) -> list[Any]:
    """A list or tuple that is no longer than expected; else nothing."""
    return list(data) if isinstance(data, list | tuple) and len(data) <= at_most else []


def _number(data: Any) -> float | None:
    """A finite number."""
    if not isinstance(data, int | float) or isinstance(data, bool) or abs(data) > 1e300:
        return None  # the bound also keeps integers that no float can hold away
    return float(data) if math.isfinite(data) else None


def _loss(data: Any) -> float | None:
    """A finite number above 0."""
    number = _number(data)
    return number if number is not None and number > 0 else None


def _count(data: Any, *, at_least: int = 1) -> int | None:
    """A whole number that a file of ours could hold."""
    if not isinstance(data, int) or isinstance(data, bool):
        return None
    return data if at_least <= data < 1 << 53 else None

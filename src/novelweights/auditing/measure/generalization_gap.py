"""What a generator said of itself when it sampled: its own gap, and its size against its data.

An audit never sees a generator. Samples may carry, in the settings of their `population.json`,
the generator's loss on training and on held-out checkpoints, written by `novelweights fit` and
`sample`. Anybody may write such a file, so whatever is not of the expected form is passed over;
and nothing here is checked or judged, only told. Source: DESIGN section 5 (gap, ours); paper,
appendix H (parameters over values).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from novelweights.auditing.result import Quantity

GROUP = "own gap"
MAX_HISTORY = 10_000
"""Rows; more are no log of a fit of ours."""


@dataclass(frozen=True)
class GapLevel:
    """Losses of a fitted generator at one noise level, in its own unit."""

    timestep: int
    share: float
    """The timestep as a share of all, in [0, 1)."""
    loss_train: float
    loss_heldout: float
    lower: float | None
    """Limits of held-out over training; None where they are not known."""
    upper: float | None


@dataclass(frozen=True)
class GapPoint:
    """Losses at one step of training and one noise level; positive."""

    step: int
    timestep: int
    loss_train: float
    loss_heldout: float


@dataclass(frozen=True)
class OwnGap:
    """A generator's losses on training and held-out runs, as its samples tell."""

    levels: tuple[GapLevel, ...]
    """By noise, least first; each timestep once."""
    history: tuple[GapPoint, ...]
    """Points of those timesteps, by step."""
    n_train: int
    n_heldout: int
    confidence: float | None
    timesteps: int
    """Noise levels in all."""

    @property
    def is_of_reconstruction(self) -> bool:
        """Whether nothing is noised: the losses are an autoencoder's."""
        return self.timesteps == 1


def gap_quantities(settings: Mapping[str, Any]) -> list[Quantity]:
    """The generator's own gap per noise level, and its parameters over the values in training.

    Args:
        settings: `info.settings` of the generated population.

    Returns:
        What the settings tell; nothing for samples of unknown origin. Never raises.
    """
    gap = read_own_gap(settings)
    levels = [] if gap is None else [_quantity(gap, level) for level in gap.levels]
    return levels + _size(settings)


def read_own_gap(settings: Mapping[str, Any]) -> OwnGap | None:
    """The gap that a generated population's settings tell of; None if they tell of none.

    Never raises: levels, limits and points that are not of the expected form are left out.
    """
    gap = _entry(_entry(settings, "generator"), "gap")
    timesteps = _count(_entry(gap, "timesteps"))
    n_train, n_heldout = _count(_entry(gap, "n_train")), _count(_entry(gap, "n_heldout"))
    if not (timesteps and n_train and n_heldout):
        return None
    levels: dict[int, GapLevel] = {}
    for entry in _list(_entry(gap, "levels"), timesteps):
        level = _level(entry, timesteps)
        if level is not None:
            levels.setdefault(level.timestep, level)
    if not levels:
        return None
    points = (_point(entry) for entry in _list(_entry(gap, "history"), MAX_HISTORY))
    history = {(p.step, p.timestep): p for p in points if p is not None and p.timestep in levels}
    confidence = _number(_entry(gap, "confidence"))
    return OwnGap(
        levels=tuple(levels[t] for t in sorted(levels)),
        history=tuple(history[key] for key in sorted(history)),
        n_train=n_train,
        n_heldout=n_heldout,
        confidence=confidence if confidence is not None and 0 < confidence < 1 else None,
        timesteps=timesteps,
    )


def told_sampler(settings: Mapping[str, Any]) -> str | None:
    """The generator's method and the sampler that made these samples, where both are told."""
    told = _entry(settings, "generator")
    method, sampler = _entry(told, "method"), _entry(told, "sampler")
    if not (isinstance(method, str) and isinstance(sampler, str)):
        return None
    return f"{method}, sampler {sampler}"


def _quantity(gap: OwnGap, level: GapLevel) -> Quantity:
    at = f"{100 * level.share:.3g}%"
    label, loss = f"Loss on held-out over loss on training, noise level {at}", "loss"
    how = f", both noised to {at} of its timesteps with the same noise in pairs"
    if gap.is_of_reconstruction:
        label, loss = "Reconstruction loss on held-out over loss on training", "reconstruction loss"
        how = ""
    has_limits = None not in (gap.confidence, level.lower, level.upper)
    return Quantity(
        key=f"own_gap_{level.timestep}",
        label=label,
        value=level.loss_heldout / level.loss_train,
        lower=level.lower if has_limits else None,
        upper=level.upper if has_limits else None,
        level=gap.confidence if has_limits else None,
        n=gap.n_train + gap.n_heldout,
        definition=f"The generator's own mean {loss} on {gap.n_heldout} held-out runs "
        f"({level.loss_heldout:.3g}) over that on {gap.n_train} training runs "
        f"({level.loss_train:.3g}) at the end of its training{how}; as its samples tell. 1: it "
        "knows its training checkpoints no better than fresh runs. More: it has memorized, also "
        "where distances show nothing." + (" Bootstrap by run." if has_limits else ""),
        group=GROUP,
    )


def _size(settings: Any) -> list[Quantity]:
    """Parameters over values, where both are told."""
    told = _entry(settings, "generator")
    parameters = _count(_entry(told, "parameters"))
    values = _count(_entry(told, "values_in_training"))
    if not (parameters and values):
        return []
    return [
        Quantity(
            key="parameters_over_values",
            label="Parameters of the generator over values in training",
            value=parameters / values,
            n=values,
            definition=f"{parameters:,} trained parameters of the generator over {values:,} "
            "weights in all of its training checkpoints together (n); as its samples tell. Above "
            "1 it has room for them all; the paper's four generators have 31, 4.7, 14 and 8 "
            "(appendix H; P-diff's counted once).",
            group=GROUP,
        )
    ]


def _level(entry: Any, timesteps: int) -> GapLevel | None:
    timestep = _count(_entry(entry, "timestep"), at_least=0)
    train, heldout = _loss(_entry(entry, "loss_train")), _loss(_entry(entry, "loss_heldout"))
    if timestep is None or timestep >= timesteps or train is None or heldout is None:
        return None
    if not math.isfinite(heldout / train):
        return None
    ratio = [_number(x) for x in _list(_entry(entry, "ratio"), 3)]
    lower, upper = ratio[1:] if len(ratio) == 3 else (None, None)
    if lower is None or upper is None or not 0 <= lower <= upper:
        lower = upper = None
    return GapLevel(timestep, timestep / timesteps, train, heldout, lower, upper)


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

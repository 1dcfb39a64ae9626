"""Where a checkpoint lies among fresh runs: one rank per measure, and one per leg of the verdict.

A leg that rests on several measures (a mixture shows in any of six) is one number: each measure is
standardized by fresh runs, the most extreme counts, and that number is ranked among the same number
of fresh runs. So every leg has the false-alarm rate of a single test, without correction.
Source: ours (DESIGN section 5).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from novelweights.audit.calibration import rank_high, rank_low
from novelweights.audit.measure import Ladder
from novelweights.audit.result import Findings

N_EXTREME = 3
"""A measure's scale is how far this many most extreme fresh runs lie from their median."""
DIRECTION = ("cosine", "recentred", "matched_distance")
MIXTURE = ("hull", "hull_distance", "sparse", "pca")
UNMATCHED = ("unmatched_hull", "unmatched_hull_distance")
"""The hull without regard to the norm: shrunk honest runs lie near it too, so it accuses nobody,
but who lies there is not called novel; noisy mixtures do where norms differ widely."""


@dataclass(frozen=True)
class _Measure:
    column: str
    near: int
    """+1 where large values are near training, -1 where small ones are."""
    at_norm: Callable[[Ladder, np.ndarray], np.ndarray] | None = None
    """The measure of fresh runs at other norms, for those that shrinking changes."""
    is_raw: bool = False


MEASURES = {
    "distance": _Measure("distance", -1),
    "matched_distance": _Measure("distance", -1, Ladder.distance_at),
    "cosine": _Measure("cosine", 1),
    "recentred": _Measure("recentred_cosine", 1),
    "hull": _Measure("hull_ratio", -1, Ladder.hull_ratio_at),
    "raw_hull": _Measure("raw_hull_ratio", -1, Ladder.hull_ratio_at, is_raw=True),
    "hull_distance": _Measure("hull_distance", -1, Ladder.hull_distance_at),
    "raw_hull_distance": _Measure("raw_hull_distance", -1, Ladder.hull_distance_at, is_raw=True),
    "unmatched_hull": _Measure("hull_ratio", -1),
    "raw_unmatched_hull": _Measure("raw_hull_ratio", -1, is_raw=True),
    "unmatched_hull_distance": _Measure("hull_distance", -1),
    "raw_unmatched_hull_distance": _Measure("raw_hull_distance", -1, is_raw=True),
    "sparse": _Measure("sparse_ratio", -1),
    "raw_sparse": _Measure("raw_sparse_ratio", -1, is_raw=True),
    "pca": _Measure("pca_residual", -1),
    "raw_pca": _Measure("raw_pca_residual", -1, is_raw=True),
}


@dataclass(frozen=True, eq=False)
class Yardstick:
    """Fresh runs, among which checkpoints are ranked."""

    fresh: Findings
    ladder: Ladder
    """They at other norms."""
    raw_ladder: Ladder | None
    """The same with nothing aligned; None where nothing is to be aligned."""

    def select(self, rows: np.ndarray) -> "Yardstick":
        """Some of the fresh runs."""
        raw = None if self.raw_ladder is None else self.raw_ladder.select(rows)
        return Yardstick(self.fresh.select(rows), self.ladder.select(rows), raw)

    def ranks(self, found: Findings) -> dict[str, np.ndarray]:
        """Ranks of checkpoints among the fresh runs, each in (0, 1]; small is extreme.

        Args:
            found: Checkpoints measured against the same training checkpoints.

        Returns:
            By name, as in `AuditResult.ranks`; measures that either side lacks are left out.
        """
        ranks, fresh = {}, self.fresh
        for name in self._measures:
            sides = self._both_sides(found, name)
            if sides is None:
                continue
            ranks[f"{name}_near"] = sides[0]
            if name in ("distance", "cosine", "hull", "pca"):
                ranks[f"{name}_far"] = sides[1]
        for leg, parts in self._legs.items():
            scores = {part: self._scores(found, part) for part in parts if part in self._own}
            shown = {part: values for part, values in scores.items() if values is not None}
            if shown:
                own = np.max([self._own[part] for part in shown], axis=0)
                ranks[f"{leg}_near"] = rank_high(np.max(list(shown.values()), axis=0), own)
        for name, column, near in (
            ("layers", "layer_cosine", 1),
            ("layers_distance", "layer_distance", -1),
        ):
            ours, theirs = getattr(found, column), getattr(fresh, column)
            if ours is None or theirs is None:
                continue
            scores = _standardized(near * ours, near * theirs)
            own = _columns_left_out(near * theirs)
            prefix, suffix = name.partition("_")[::2]
            suffix = f"_{suffix}" if suffix else ""
            ranks[f"{prefix}_any{suffix}_near"] = rank_high(scores.max(axis=1), own.max(axis=1))
            ranks[f"{prefix}_all{suffix}_near"] = rank_high(scores.min(axis=1), own.min(axis=1))
        if found.quality is not None and fresh.quality is not None:
            ranks["quality_low"] = rank_low(found.quality, fresh.quality)
        if found.novelty is not None and fresh.novelty is not None:
            ranks["similarity_high"] = rank_high(found.novelty, fresh.novelty)
            ranks["similarity_low"] = rank_low(found.novelty, fresh.novelty)
        return ranks

    @property
    def _measures(self) -> dict[str, _Measure]:
        """Those that differ here."""
        raw = self.raw_ladder is not None
        return {name: m for name, m in MEASURES.items() if raw or not m.is_raw}

    @property
    def _legs(self) -> dict[str, tuple[str, ...]]:
        def raw(parts: tuple[str, ...]) -> tuple[str, ...]:
            return parts if self.raw_ladder is None else tuple(f"raw_{name}" for name in parts)

        def both(parts: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(dict.fromkeys((*parts, *raw(parts))))

        return {
            "direction": DIRECTION,
            "mixture": both(MIXTURE),
            "raw_mixture": raw(MIXTURE),
            "unmatched_mixture": both(UNMATCHED),
        }

    @cached_property
    def _own(self) -> dict[str, Float[np.ndarray, " n"]]:
        """Scores of the fresh runs themselves, each by the others."""
        scores = {}
        for name, measure in self._measures.items():
            values = getattr(self.fresh, measure.column)
            if values is None:
                continue
            others = self._at_norm(self.fresh, name)
            if others is None:
                scores[name] = _of_one(measure.near * values)
            else:
                scores[name] = _left_out(measure.near * values, measure.near * others)
        return scores

    def _both_sides(self, found: Findings, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Rank of one measure on the near and on the far side."""
        measure = MEASURES[name]
        ours, theirs = getattr(found, measure.column), getattr(self.fresh, measure.column)
        if ours is None or theirs is None:
            return None
        others = self._at_norm(found, name)
        if others is None:
            low, high = rank_low(ours, theirs), rank_high(ours, theirs)
        else:
            low, high = (
                (1 + beyond.sum(axis=0)) / (len(theirs) + 1)
                for beyond in (others <= ours, others >= ours)
            )
        return (high, low) if measure.near > 0 else (low, high)

    def _scores(self, found: Findings, name: str) -> Float[np.ndarray, " m"] | None:
        """How far on the near side of fresh runs each checkpoint lies, in robust deviations."""
        measure = MEASURES[name]
        ours, theirs = getattr(found, measure.column), getattr(self.fresh, measure.column)
        if ours is None or theirs is None:
            return None
        others = self._at_norm(found, name)
        if others is None:
            return _standardized(measure.near * ours, measure.near * theirs[:, None])
        return _standardized(measure.near * ours, measure.near * others)

    def _at_norm(self, found: Findings, name: str) -> Float[np.ndarray, "n m"] | None:
        """The measure of every fresh run if it had the norm of each checkpoint found."""
        measure = MEASURES[name]
        norm, ladder = found.norm, self.ladder
        if measure.is_raw:
            norm, ladder = found.raw_norm, self.raw_ladder
        if measure.at_norm is None or norm is None or ladder is None:
            return None
        return measure.at_norm(ladder, norm)


def _standardized(
    values: Float[np.ndarray, "*rows m"],
    fresh: Float[np.ndarray, "n_fresh _"],
    left_out: Int[np.ndarray, " m"] | None = None,
) -> Float[np.ndarray, "*rows m"]:
    """Each value's distance from the median of its column, over that of the most extreme runs.

    So measures with heavy tails weigh no more than others where several are combined.

    Args:
        values: Large is near training; one column per column of fresh runs.
        fresh: The same measure of fresh runs, in one column for all or a column for each.
        left_out: Per column, the place in ascending order of a run that does not count.
    """
    n = len(fresh)
    ordered = np.sort(fresh, axis=0)
    none = np.full(1, n)
    places, count = (none, n) if left_out is None else (left_out, n - 1)
    columns = np.arange(fresh.shape[1]) if fresh.shape[1] > 1 else 0

    def at(k: int) -> Float[np.ndarray, " m"]:
        return ordered[np.minimum(k + (k >= places), n - 1), columns]

    middle = (at((count - 1) // 2) + at(count // 2)) / 2
    top = range(max(count - N_EXTREME, 0), count)
    extreme = sum((at(k) for k in top), np.zeros(1)) / max(len(top), 1)
    return (values - middle) / np.maximum(extreme - middle, 1e-9 * np.abs(middle) + 1e-12)


def _left_out(
    values: Float[np.ndarray, " n"], fresh: Float[np.ndarray, "n _"]
) -> Float[np.ndarray, " n"]:
    """The same for the fresh runs themselves, each by the others."""
    if len(values) < 2:
        return _standardized(values, fresh)
    return _standardized(values, fresh, (fresh < values).sum(axis=0))


def _columns_left_out(fresh: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Columns of fresh runs, each run by the others."""
    return np.stack([_of_one(column) for column in fresh.T], axis=1)


def _of_one(fresh: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """One measure of fresh runs, each run by the others."""
    if len(fresh) < 2:
        return _standardized(fresh, fresh[:, None])
    return _standardized(fresh, fresh[:, None], np.searchsorted(np.sort(fresh), fresh))

"""Where a checkpoint lies among fresh runs: one rank per measure, and one per leg of the verdict.

A leg that rests on several measures (a mixture shows in any of eight) is one number: each measure
is standardized by all fresh runs and the checkpoint itself, the most extreme counts, and that
number is ranked among the same number of fresh runs. So a leg accuses fresh runs about as often as
a single test, without correction. Source: ours (DESIGN section 5); ranks among exchangeable runs
are conformal p-values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce

import numpy as np
from jaxtyping import Float

from novelweights.auditing.judge.statistics import rank_high, rank_low
from novelweights.auditing.measure.measurements import Ladder
from novelweights.auditing.result import Measurements
from novelweights.tasks.task import Measure

N_EXTREME = 3
"""A measure's scale is how far this many most extreme runs lie from the median."""
BLOCK = 512
"""Checkpoints ranked at a time."""
DIRECTION = ("cosine", "recentred", "matched_distance")
MIXTURE = ("hull", "hull_distance", "sparse", "pca")
UNMATCHED = ("unmatched_hull", "unmatched_hull_distance")
"""The hull without regard to the norm: shrunk honest runs lie near it too, so it accuses nobody,
but who lies there is not called novel; noisy mixtures do where norms differ widely."""


Scores = tuple[Float[np.ndarray, "n _"], Float[np.ndarray, " m"]]
"""Of the fresh runs (one column, or a column beside each checkpoint), and of the checkpoints."""


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
    "canonical": _Measure("canonical_distance", -1),
    "pca": _Measure("pca_residual", -1),
    "raw_pca": _Measure("raw_pca_residual", -1, is_raw=True),
}


@dataclass(frozen=True, eq=False)
class NullDistribution:
    """Fresh runs, among which checkpoints are ranked."""

    fresh: Measurements
    ladder: Ladder
    """They at other norms."""
    raw_ladder: Ladder | None
    """The same with nothing aligned; None where nothing is to be aligned."""
    quality: Measure | None
    novelty: Measure | None
    """Of the task, if there is one: which way is better, and newer."""

    def select(self, rows: np.ndarray) -> "NullDistribution":
        """Some of the fresh runs."""
        raw = None if self.raw_ladder is None else self.raw_ladder.select(rows)
        return replace(
            self, fresh=self.fresh.select(rows), ladder=self.ladder.select(rows), raw_ladder=raw
        )

    def p_values(self, found: Measurements) -> dict[str, np.ndarray]:
        """Ranks of checkpoints among the fresh runs, each in (0, 1]; small is extreme.

        Args:
            found: Checkpoints measured against the same training checkpoints.

        Returns:
            By name, as in `AuditResult.p_values`; measures that either side lacks are left out.
        """
        p_values, fresh = {}, self.fresh
        for name in self._measures:
            sides = self._both_sides(found, name)
            if sides is None:
                continue
            p_values[f"{name}_near"] = sides[0]
            if name in ("distance", "cosine", "hull", "pca"):
                p_values[f"{name}_far"] = sides[1]
        for leg, parts in self._legs.items():
            known = [partial(self._scores, name=part) for part in parts if self._has(found, part)]
            if known:
                [p_values[f"{leg}_near"]] = self._in_blocks(found, known, np.maximum)
        for suffix, column, near in (("", "layer_cosine", 1), ("_distance", "layer_distance", -1)):
            layers = [
                partial(self._layer_scores, column=column, near=near, layer=layer)
                for layer in range(self._n_layers(found))
            ]
            if layers:
                nearest, farthest = self._in_blocks(found, layers, np.maximum, np.minimum)
                p_values[f"layers_any{suffix}_near"] = nearest
                p_values[f"layers_all{suffix}_near"] = farthest
        if self.quality and found.quality is not None and fresh.quality is not None:
            low = rank_low if self.quality.higher_is_better else rank_high
            p_values["quality_low"] = low(found.quality, fresh.quality)
        if self.novelty and found.novelty is not None and fresh.novelty is not None:
            sides = rank_high(found.novelty, fresh.novelty), rank_low(found.novelty, fresh.novelty)
            if self.novelty.higher_is_better:  # a distance: the least is the most alike
                sides = sides[::-1]
            p_values["similarity_high"], p_values["similarity_low"] = sides
        return p_values

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

    def _n_layers(self, found: Measurements) -> int:
        ours, theirs = found.layer_cosine, self.fresh.layer_cosine
        return 0 if ours is None or theirs is None else ours.shape[1]

    def _has(self, found: Measurements, name: str) -> bool:
        """Whether both sides were measured."""
        column = MEASURES[name].column
        return getattr(found, column) is not None and getattr(self.fresh, column) is not None

    def _in_blocks(
        self,
        found: Measurements,
        parts: Sequence[Callable[[Measurements], Scores]],
        *combine: np.ufunc,
    ) -> list[Float[np.ndarray, " m"]]:
        """Ranks of the scores of several measures, combined in each way given, block by block."""
        n, m = len(self.fresh), len(found)
        p_values = [np.empty(m) for _ in combine]
        for start in range(0, m, BLOCK):
            rows = np.arange(start, min(start + BLOCK, m))
            block = found.select(rows)
            fresh_scores, scores = zip(*(part(block) for part in parts), strict=True)
            for out, how in zip(p_values, combine, strict=True):
                as_near = reduce(how, fresh_scores) >= reduce(how, scores)
                out[rows] = (1 + as_near.sum(axis=0)) / (n + 1)
        return p_values

    def _scores(self, found: Measurements, name: str) -> Scores:
        """How far on the near side lie the fresh runs, beside each checkpoint, and each of those.

        All are standardized by the fresh runs and the checkpoint together, so that none has a
        yardstick of its own. Measures that depend on the norm are standardized at the norm of each:
        a checkpoint by the fresh runs at its norm and itself, a fresh run by all at its own norm.
        """
        measure = MEASURES[name]
        ours = measure.near * getattr(found, measure.column)
        theirs = measure.near * getattr(self.fresh, measure.column)
        others = self._at_norm(found, name)
        if others is None:
            return _scores_together(theirs, ours)
        middle, scale = _scale(measure.near * others, ours)
        own_middle, own_scale = self._at_own_norm[name]
        return ((theirs - own_middle) / own_scale)[:, None], (ours - middle) / scale

    def _layer_scores(self, found: Measurements, column: str, near: int, layer: int) -> Scores:
        """The same for one layer by itself."""
        ours, theirs = (near * getattr(who, column)[:, layer] for who in (found, self.fresh))
        return _scores_together(theirs, ours)

    @cached_property
    def _at_own_norm(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Per measure that depends on the norm: median and scale at the norm of every fresh run."""
        found = {}
        for name, measure in self._measures.items():
            others = self._at_norm(self.fresh, name)
            if others is not None:
                found[name] = _scale(measure.near * others, None)
        return found

    def _both_sides(self, found: Measurements, name: str) -> tuple[np.ndarray, np.ndarray] | None:
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

    def _at_norm(self, found: Measurements, name: str) -> Float[np.ndarray, "n m"] | None:
        """The measure of every fresh run if it had the norm of each checkpoint found."""
        measure = MEASURES[name]
        norm, ladder = found.norm, self.ladder
        if measure.is_raw:
            norm, ladder = found.raw_norm, self.raw_ladder
        if measure.at_norm is None or norm is None or ladder is None:
            return None
        return measure.at_norm(ladder, norm)


def _scores_together(theirs: Float[np.ndarray, " n"], ours: Float[np.ndarray, " m"]) -> Scores:
    """Scores of fresh runs beside each checkpoint, and of the checkpoints."""
    middle, scale = _scale(np.repeat(theirs[:, None], len(ours), axis=1), ours)
    return (theirs[:, None] - middle) / scale, (ours - middle) / scale


def _scale(
    fresh: Float[np.ndarray, "n m"], checkpoints: Float[np.ndarray, " m"] | None
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Per column the median, and how far the most extreme lie from it on the near (large) side.

    So measures with heavy tails weigh no more than others where several are combined.

    Args:
        fresh: A measure of fresh runs, one column for each checkpoint.
        checkpoints: The checkpoint of each column, which counts too.
    """
    values = fresh if checkpoints is None else np.concatenate([fresh, checkpoints[None]])
    ordered, count = np.sort(values, axis=0), len(values)
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    extreme = ordered[-N_EXTREME:].mean(axis=0)
    return middle, np.maximum(extreme - middle, 1e-9 * np.abs(middle) + 1e-12)

"""Where a checkpoint lies among held-out runs: one p-value per measure, and one per test.

A test that rests on several measures (a mixture shows in any of eight) is one number: each measure
is standardized by all held-out runs and the checkpoint itself, the most extreme counts, and that
number is placed among the same number of held-out runs. So a test accuses held-out runs about as
often as a single measure would, without correction. Source: ours (DESIGN section 5); places among
exchangeable runs are conformal p-values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce

import numpy as np
from jaxtyping import Float

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.judge.statistics import rank_high, rank_low
from novelweights.auditing.measure.measurements import Ladder
from novelweights.auditing.measures import ALL_MEASURES, COMBINED, LARGE, Nearness
from novelweights.auditing.result import Measurements
from novelweights.tasks.task import Measure

N_EXTREME = 3
"""A measure's scale is how far this many most extreme runs lie from the median."""
BLOCK = 512
"""Checkpoints compared at a time."""

Scores = tuple[Float[np.ndarray, "n _"], Float[np.ndarray, " m"]]
"""Of the held-out runs (one column, or a column beside each checkpoint), and of the checkpoints."""


@dataclass(frozen=True, eq=False)
class NullDistribution:
    """Held-out runs, with which checkpoints are compared."""

    runs: Measurements
    ladder: Ladder
    """They at other norms."""
    raw_ladder: Ladder | None
    """The same with nothing aligned; None where nothing is to be aligned."""
    quality: Measure | None
    novelty: Measure | None
    """Of the task, if there is one: which way is better, and newer."""

    def select(self, rows: np.ndarray) -> "NullDistribution":
        """Some of the held-out runs."""
        raw = None if self.raw_ladder is None else self.raw_ladder.select(rows)
        return replace(
            self, runs=self.runs.select(rows), ladder=self.ladder.select(rows), raw_ladder=raw
        )

    def p_values(self, measurements: Measurements) -> dict[str, np.ndarray]:
        """Of checkpoints among the held-out runs, each in (0, 1]; small is extreme.

        Returns:
            By name, as in `AuditResult.p_values`; measures that either side lacks are left out.
        """
        p_values = {}
        measures = {
            name: m for name, m in self._measures.items() if self._has(measurements, m.column)
        }
        for name, measure in measures.items():
            near, far = self._both_sides(measurements, measure)
            p_values[f"{name}_near"] = near
            if measure.has_far:
                p_values[f"{name}_far"] = far
        for test in COMBINED:
            names = [name for name, measure in measures.items() if measure.test == test]
            kinds = {test: self._scores} | ({f"large_{test}": self._large} if test == LARGE else {})
            for kind, scores in kinds.items() if names else ():
                parts = [partial(scores, name=name) for name in names]
                [p_values[f"{kind}_near"]] = self._in_blocks(measurements, parts, np.maximum)
        for suffix, column, near in (("", "layer_cosine", 1), ("_distance", "layer_distance", -1)):
            if self._has(measurements, column):
                layers = [
                    partial(self._layer_scores, column=column, near=near, layer=layer)
                    for layer in range(getattr(measurements, column).shape[1])
                ]
                nearest, farthest = self._in_blocks(measurements, layers, np.maximum, np.minimum)
                p_values[f"layers_any{suffix}_near"] = nearest
                p_values[f"layers_all{suffix}_near"] = farthest
        return p_values | self._of_behavior(measurements)

    def _of_behavior(self, measurements: Measurements) -> dict[str, np.ndarray]:
        """How low quality is, and how like and unlike training checkpoints behavior is."""
        p_values, runs = {}, self.runs
        if self.quality and measurements.quality is not None and runs.quality is not None:
            low = rank_low if self.quality.higher_is_better else rank_high
            p_values["quality_low"] = low(measurements.quality, runs.quality)
        if self.novelty and measurements.novelty is not None and runs.novelty is not None:
            sides = (
                rank_high(measurements.novelty, runs.novelty),
                rank_low(measurements.novelty, runs.novelty),
            )
            if self.novelty.higher_is_better:  # a distance: the least is the most alike
                sides = sides[::-1]
            p_values["similarity_high"], p_values["similarity_low"] = sides
        return p_values

    @cached_property
    def _measures(self) -> dict[str, Nearness]:
        """Those that differ here."""
        raw = self.raw_ladder is not None
        return {name: m for name, m in ALL_MEASURES.items() if raw or not m.is_raw}

    def _has(self, measurements: Measurements, column: str) -> bool:
        """Whether both sides were measured."""
        return getattr(measurements, column) is not None and getattr(self.runs, column) is not None

    def _in_blocks(
        self,
        measurements: Measurements,
        parts: Sequence[Callable[[Measurements], Scores]],
        *combine: np.ufunc,
    ) -> list[Float[np.ndarray, " m"]]:
        """p-values of the scores of several measures, combined in each way given, in blocks."""
        n, m = len(self.runs), len(measurements)
        p_values = [np.empty(m) for _ in combine]
        for start in range(0, m, BLOCK):
            rows = np.arange(start, min(start + BLOCK, m))
            block = measurements.select(rows)
            null_scores, scores = zip(*(part(block) for part in parts), strict=True)
            for out, how in zip(p_values, combine, strict=True):
                as_near = reduce(how, null_scores) >= reduce(how, scores)
                out[rows] = (1 + as_near.sum(axis=0)) / (n + 1)
        return p_values

    def _scores(self, measurements: Measurements, name: str) -> Scores:
        """How far on the near side the runs lie, beside each checkpoint, and each of those.

        All are standardized by the held-out runs and the checkpoint together, so that all have one
        null distribution. Measures that depend on the norm are standardized at the norm of each:
        a checkpoint by the runs at its norm and itself, a run by all at its own norm.
        """
        measure = self._measures[name]
        ours = measure.near * getattr(measurements, measure.column)
        theirs = measure.near * getattr(self.runs, measure.column)
        others = self._at_norm(measurements, measure)
        if others is None:
            return _scores_together(theirs, ours)
        middle, scale = _scale(measure.near * others, ours)
        own_middle, own_scale = self._at_own_norm[name]
        return ((theirs - own_middle) / own_scale)[:, None], (ours - middle) / scale

    def _large(self, measurements: Measurements, name: str) -> Scores:
        """The same, but for checkpoints whose effect is not large: these lie before all runs.

        So their p-value is at least what it was, and as valid.
        """
        theirs, ours = self._scores(measurements, name)
        measure = self._measures[name]
        others = self._at_norm(measurements, measure)
        usual = np.median(getattr(self.runs, measure.column) if others is None else others, axis=0)
        is_large = getattr(measurements, measure.column) <= DEFAULT_CRITERIA.large_effect * usual
        return theirs, np.where(is_large, ours, -np.inf)

    def _layer_scores(
        self, measurements: Measurements, column: str, near: int, layer: int
    ) -> Scores:
        """The same for one layer by itself."""
        ours, theirs = (near * getattr(who, column)[:, layer] for who in (measurements, self.runs))
        return _scores_together(theirs, ours)

    @cached_property
    def _at_own_norm(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Per measure that depends on the norm: median and scale at the norm of every run."""
        others = {name: self._at_norm(self.runs, one) for name, one in self._measures.items()}
        return {
            name: _scale(self._measures[name].near * values, None)
            for name, values in others.items()
            if values is not None
        }

    def _both_sides(
        self, measurements: Measurements, measure: Nearness
    ) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """p-values of one measure on the near and on the far side."""
        ours, theirs = getattr(measurements, measure.column), getattr(self.runs, measure.column)
        others = self._at_norm(measurements, measure)
        if others is None:
            low, high = rank_low(ours, theirs), rank_high(ours, theirs)
        else:
            low, high = (
                (1 + beyond.sum(axis=0)) / (len(theirs) + 1)
                for beyond in (others <= ours, others >= ours)
            )
        return (high, low) if measure.near > 0 else (low, high)

    def _at_norm(
        self, measurements: Measurements, measure: Nearness
    ) -> Float[np.ndarray, "n m"] | None:
        """The measure of every held-out run if it had the norm of each checkpoint found."""
        norm, ladder = measurements.norm, self.ladder
        if measure.is_raw:
            norm, ladder = measurements.raw_norm, self.raw_ladder
        if not measure.at_norm or norm is None or ladder is None:
            return None
        return ladder.at(norm, measure.column.removeprefix("raw_"))


def _scores_together(theirs: Float[np.ndarray, " n"], ours: Float[np.ndarray, " m"]) -> Scores:
    """Scores of held-out runs beside each checkpoint, and of the checkpoints."""
    middle, scale = _scale(np.repeat(theirs[:, None], len(ours), axis=1), ours)
    return (theirs[:, None] - middle) / scale, (ours - middle) / scale


def _scale(
    runs: Float[np.ndarray, "n m"], checkpoints: Float[np.ndarray, " m"] | None
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Per column the median, and how far the most extreme lie from it on the near (large) side.

    So measures with heavy tails weigh no more than others where several are combined.

    Args:
        runs: A measure of held-out runs, one column for each checkpoint.
        checkpoints: The checkpoint of each column, which counts too.
    """
    values = runs if checkpoints is None else np.concatenate([runs, checkpoints[None]])
    ordered, count = np.sort(values, axis=0), len(values)
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    extreme = ordered[-N_EXTREME:].mean(axis=0)
    return middle, np.maximum(extreme - middle, 1e-9 * np.abs(middle) + 1e-12)

"""How good and how new checkpoints are, beside training checkpoints with noise.

Novelty is against every training checkpoint, of Hyper-Representations against all reconstructions
(all epochs), as in the paper. Beside the paper's amplitudes stands the one at which noise is as new
as the samples, found as an audit finds it. Source: paper, section 3.2, figure 6, appendix C.2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from novelweights.auditing.controls.baselines import noise_parents, noised
from novelweights.auditing.controls.matching import MatchedNoise, match_noise
from novelweights.auditing.prepare import Prepared, prepare
from novelweights.files import read_json, write_json
from novelweights.reproduce.nodes import Tell
from novelweights.reproduce.stages import MEASURED, Measure, audit_inputs
from novelweights.seeding import numpy_rng_for
from novelweights.tasks.task import Task
from novelweights.weights.population import Population

N_POINTS = 100
"""Checkpoints of each kind. Source: paper, figure 6."""
GROUPS = ("training", "heldout", "generated")
NOISE = "noise"


def noise_at(level: int) -> str:
    """The name of training checkpoints with noise of one of the paper's amplitudes."""
    return f"{NOISE} {level + 1}"


MATCHED = f"{NOISE} matched"


@dataclass(frozen=True, eq=False)
class _Bench:
    """Judges checkpoints against all training checkpoints."""

    task: Task
    parents: Population
    """What noise is added to."""
    reference: Tensor
    """Behavior of the training checkpoints."""
    n: int
    """Noised checkpoints of an amplitude."""

    @classmethod
    def of(cls, given: Prepared, training: Population) -> "_Bench":
        if given.task is None:
            raise ValueError("quality and novelty are judged by a task")
        parents = given.train if given.noise_from is None else given.noise_from
        n = min(N_POINTS, len(given.generated))
        return cls(given.task, parents, given.task.behave(training), n)

    def points(
        self, behavior: Tensor, *, exclude: np.ndarray | None = None
    ) -> dict[str, list[float]]:
        """Quality and novelty of checkpoints that behave so."""
        banned = None if exclude is None else torch.from_numpy(exclude)
        novelty = self.task.novelty_against(behavior, self.reference, exclude=banned)
        return {"quality": self.task.score(behavior).tolist(), "novelty": novelty.tolist()}

    def noised(self, std: float) -> Tensor:
        """Behavior of training checkpoints with noise of this standard deviation."""
        return self.task.behave(noised(self.parents, self.n, std, seed=0))

    def matched(self, target: float, what: str) -> MatchedNoise:
        """The noise whose median novelty is the target."""
        return match_noise(
            target,
            lambda std: self.task.novelty_against(self.noised(std), self.reference).numpy(),
            largest=4 * float(self.parents.learned.std()),
            higher_is_novel=self.task.novelty.higher_is_better,
            what=what,
        )


def beside_noise(amplitudes: Sequence[float]) -> Measure:
    """What measures samples beside noise of these amplitudes (weight units) and a matched one."""

    def trade_off(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
        given = prepare(audit_inputs(at, with_task=True))
        training = given.train
        if given.originals is not None and given.all_training is not None:
            training = given.all_training  # reconstructions, of all epochs
        tell("behavior", 0, 1)
        bench = _Bench.of(given, training)
        kinds = dict(zip(GROUPS, (training, given.heldout, given.generated), strict=True))
        points: dict[str, dict[str, list[float]]] = {}
        for kind, population in kinds.items():
            if population is None:
                continue
            rows = _some(len(population), kind)
            own = rows[:, None] == np.arange(len(training)) if kind == "training" else None
            behavior = (
                bench.reference[torch.from_numpy(rows)]
                if kind == "training"
                else bench.task.behave(population.select(rows))
            )
            points[kind] = bench.points(behavior, exclude=own)
        stds: dict[str, float | None] = {noise_at(i): std for i, std in enumerate(amplitudes)}
        what = noise_parents(given)
        matched = bench.matched(float(np.median(points["generated"]["novelty"])), what)
        stds[MATCHED] = matched.std
        for done, (kind, std) in enumerate(stds.items()):
            tell(kind, done, len(stds))
            if std is not None:
                points[kind] = bench.points(bench.noised(std))
        about = {
            "quality": _of(bench.task.quality),
            "novelty": _of(bench.task.novelty),
            "compared_with": len(training),
            "noise_std": stds,
            "noise_on": what,
            "matched": matched.note,
        }
        write_json(folder / MEASURED, {"points": points, **about})

    return trade_off


def read_trade_off(folder: Path) -> dict[str, Any]:
    """What `trade_off` left: `points` by kind, then `quality` and `novelty`; and what they are."""
    return read_json(folder / MEASURED)


def _some(n: int, kind: str) -> np.ndarray:
    """At most `N_POINTS` rows of n, at random, in order."""
    return np.sort(numpy_rng_for(0, "trade-off", kind).permutation(n)[:N_POINTS])


def _of(measure: Any) -> dict[str, Any]:
    return {"name": measure.name, "unit": measure.unit, "higher": measure.higher_is_better}

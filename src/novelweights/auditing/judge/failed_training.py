"""Whether training networks work as the task at all: else nothing that it says of behavior counts.

Wrong statistics, images on another scale, another order of classes, or the wrong task make every
network fail, training networks included; generated ones would then seem to be broken, or to work as
well as held-out runs do. Source: ours.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import binom
from torch import Tensor

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA, Criteria
from novelweights.auditing.prepare import Prepared
from novelweights.errors import Note
from novelweights.tasks.classification import Classification
from novelweights.tasks.task import Measure, ShapeTask, Task
from novelweights.weights.population import Population

N_RUNS = 100
"""Training runs that are looked at: they either work as a task or do not."""
RECORDED = "test_accuracy"
"""The score of training checkpoints that accuracy is compared with, in percent."""


def without_failed_task(prepared: Prepared, criteria: Criteria = DEFAULT_CRITERIA) -> Prepared:
    """The same without its task, and with a warning, if training networks do not work as it.

    Else with their behavior, if all of them were looked at.
    """
    task = prepared.task
    if task is None:
        return prepared
    rows, known = prepared.run_ends[:N_RUNS], prepared.originals or prepared.train
    runs = known.select(rows)
    behavior = task.behave(runs)
    why = why_failed(task, behavior, runs, criteria)
    if not why:
        are_all = known is prepared.train and np.array_equal(rows, np.arange(len(known)))
        return replace(prepared, behavior=behavior) if are_all else prepared
    note = Note(
        "failed-training",
        f"Training networks do not work as the task {task.name}: {why}. So no behavior is judged, "
        "nothing is called broken or novel, and the rest of this audit is as without a task. "
        "Check that the task is theirs: examples scaled and ordered as in training, classes in "
        "the same order, all of the network and its running statistics in the files.",
    )
    return replace(prepared, task=None, failed_task=task.name, warnings=(note, *prepared.warnings))


def why_failed(task: Task, behavior: Tensor, runs: Population, criteria: Criteria) -> str:
    """What shows that networks of known quality do not work as a task; empty if nothing does.

    Args:
        behavior: Of the last checkpoints of training runs.
        runs: These.
    """
    if isinstance(task, ShapeTask):
        n_shapes = int(task.has_surface(behavior).sum())
        few = 2 * n_shapes < len(behavior)
        return f"{n_shapes} of {len(behavior)} describe any shape" if few else ""
    if behavior.dtype != torch.uint8 or behavior.ndim != 2 or not _is_accuracy(task.quality):
        return ""
    accuracies = task.score(behavior).double().numpy()
    recorded = runs.records.scores.get(RECORDED)
    chance = chance_level(task) if isinstance(task, Classification) else None
    return why_inaccurate(accuracies, behavior.shape[1], chance, recorded, criteria)


def chance_level(task: Classification) -> float:
    """The accuracy of always naming the most frequent class, in percent."""
    counts = torch.bincount(task.data.test_y)
    return 100 * int(counts.max()) / len(task.data.test_y)


def why_inaccurate(
    accuracies: Float[np.ndarray, " n"],
    n_examples: int,
    chance: float | None,
    recorded: Float[np.ndarray, " n"] | None,
    criteria: Criteria,
) -> str:
    """Why the accuracies of training networks show that they do not work; empty if they do not.

    The median network is not beyond chance by a one-sided exact binomial test on the examples; or
    it lost more than half of what its recorded accuracy has beyond chance, and more than the
    examples explain by the same test.

    Args:
        accuracies: In percent.
        chance: See `chance_level`; None: not known.
        recorded: What their records say, in percent; NaN where they say nothing.
    """
    median, most = float(np.median(accuracies)), criteria.working_p_value
    n_right = round(median * n_examples / 100)
    if chance is not None and binom.sf(n_right - 1, n_examples, chance / 100) > most:
        return (
            f"the median accuracy of {len(accuracies)} is {median:.3g}% of {n_examples} examples, "
            f"and naming the most frequent class is right for {chance:.3g}%"
        )
    if recorded is None or not np.isfinite(recorded).any():
        return ""
    said, base = float(np.median(recorded[np.isfinite(recorded)])), chance or 0.0
    is_far_below = median - base < criteria.recorded_share * (said - base)
    is_below = binom.cdf(n_right, n_examples, min(said / 100, 1)) <= most
    if is_far_below and is_below:
        return (
            f"their median accuracy is {median:.3g}% of {n_examples} examples, and {said:.3g}% by "
            f"their records ({RECORDED})"
        )
    return ""


def _is_accuracy(quality: Measure) -> bool:
    return (quality.name, quality.unit) == ("accuracy", "%")

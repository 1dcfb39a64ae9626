"""What invented audits say of their numbers: quantities, verdicts, a generalization gap."""

from typing import Any

import numpy as np

from novelweights.auditing.judge.criteria import (
    DEFAULT_CRITERIA,
    CheckpointVerdict,
    ControlVerdict,
    PopulationVerdict,
    Verdict,
    Verdicts,
)
from novelweights.auditing.result import AuditResult, Measurements, Quantity


def quantities(
    generated: Measurements, training: Measurements, heldout: Measurements | None
) -> tuple[Quantity, ...]:
    n = len(generated)
    return (
        Quantity(
            "copied_share",
            "Copied share",
            None if heldout is None else 0.985,
            n,
            "Share of generated checkpoints nearer than the nearest held-out run, less chance.",
            None if heldout is None else 0.958,
            None if heldout is None else 1.0,
            None if heldout is None else 0.95,
            "share",
        ),
        Quantity(
            "median_distance",
            "Median distance, generated",
            float(np.median(generated.distance)),
            n,
            "Median over generated checkpoints of the distance to the nearest training one.",
            0.492,
            0.508,
            0.95,
        ),
        Quantity(
            "median_distance_training",
            "Median distance, training",
            float(np.median(training.distance)),
            len(training),
            "The same for training checkpoints; all rows of the checkpoint's own run excluded.",
        ),
        Quantity(
            "quality_difference",
            "Quality, generated less noise at equal novelty",
            None if generated.quality is None else 0.3712,
            n,
            "Difference of mean accuracy at matched novelty, bootstrap by run.",
            None if generated.quality is None else -0.1,
            None if generated.quality is None else 0.8,
            None if generated.quality is None else 0.95,
            "%",
        ),
        Quantity(
            "ratio_rule",
            "Ratio rule, share below 1/3",
            0.93,
            n,
            "Share of generated checkpoints whose nearest distance is below 1/3 of the second.",
            unit="share",
            group="established",
        ),
        Quantity(
            "gap_500",
            "Loss, held-out less training, t = 250",
            0.21,
            64,
            "Difference of the generator's loss at the end of its fit, paired by noise.",
            0.18,
            0.24,
            0.95,
            group="generalization gap",
        ),
    )


def verdicts_of(kind: str, n: int, result: AuditResult) -> Verdicts:
    if kind == "mosaic":
        mosaic = CheckpointVerdict(
            Verdict.INTERPOLATION, True, "layers beyond held-out runs, of 2 runs", "mosaic"
        )
        partial = CheckpointVerdict(
            Verdict.UNDECIDED, True, "one layer beyond held-out runs", "partial copy"
        )
        checkpoints = [partial if i % 50 == 0 else mosaic for i in range(n)]
        population = PopulationVerdict(
            Verdict.INTERPOLATION, "98% of the checkpoints are mosaics of training runs.", (), ()
        )
    elif kind in ("one_run", "withheld"):
        unclear = CheckpointVerdict(Verdict.UNDECIDED, True, "nothing to compare with")
        checkpoints = [unclear] * n
        sentence = {
            "one_run": "The training checkpoints come from 1 run.",
            "withheld": "Averages of 2 and permuted copies are not seen.",
        }
        population = PopulationVerdict(
            Verdict.UNDECIDED, sentence[kind], (), ("at least 3 training runs",)
        )
    elif kind == "novel":
        checkpoints = [CheckpointVerdict(Verdict.NOVEL, True, "inside the held-out range")] * n
        population = PopulationVerdict(
            Verdict.NOVEL,
            "Indistinguishable from held-out runs by these measures: copied share 0% [0%, 1.8%].",
            ("no measure lies outside the central 98% of held-out runs",),
            (),
        )
    elif kind == "bare":
        checkpoints = [CheckpointVerdict(Verdict.UNDECIDED, None, "no held-out runs")] * n
        population = PopulationVerdict(
            Verdict.UNDECIDED,
            "Undecided: there are no held-out runs to compare with.",
            ("200 of 200 checkpoints are nearer than any pair of training runs",),
            ("at least 20 held-out runs of the same recipe (--heldout)", "a task (--task)"),
        )
    else:
        copy = CheckpointVerdict(
            Verdict.REPLICA, True, "distance 0.50, under half of 17.8; one source of weight 0.96"
        )
        unclear = CheckpointVerdict(Verdict.UNDECIDED, True, "near, but two sources")
        checkpoints = [unclear if i % 40 == 0 else copy for i in range(n)]
        population = PopulationVerdict(
            Verdict.REPLICA,
            "98.5% [95.8%, 100%] of the generated checkpoints are copies of one training "
            "checkpoint each.",
            (
                "197 of 200 are nearer to a training checkpoint than every one of 100 held-out "
                "runs (1.98 expected by chance)",
                "their cosines are beyond those of held-out runs and one source dominates",
            ),
            (),
        )
    controls = control_verdicts(result, kind)
    return Verdicts(population, tuple(checkpoints), DEFAULT_CRITERIA, controls)


def control_verdicts(result: AuditResult, kind: str) -> tuple[ControlVerdict, ...]:
    """All judged rightly, but copies with much noise, mosaics, and what `kind` wants missed."""
    assert result.heldout is not None or not result.controls
    wrong = {"noise_0.75": 22, "noise_1": 38, "mosaic": 31, "heldout": 2}
    if kind == "withheld":
        wrong |= {"average_2": 40, "permuted": 12}
    told = []
    for key, planted in result.controls.items():
        n, missed = len(planted.measured), wrong.get(key, 0)
        counts = dict.fromkeys(map(str, Verdict), 0)
        counts[planted.expected[0]] = n - missed
        counts["interpolation" if key == "heldout" else "undecided"] += missed
        told.append(
            ControlVerdict(
                key=key,
                label=planted.label,
                n=n,
                right=n - missed,
                expected=planted.expected,
                counts=counts,
                passed=missed <= 0.1 * n,
                can_veto=planted.can_veto,
                noise=planted.noise,
                distance=float(np.median(planted.measured.distance)) / 17.8,
                note=planted.note,
            )
        )
    return tuple(told)


def gap_told() -> dict[str, Any]:
    """What samples tell of the fit of their generator: losses that part."""
    steps = range(0, 1001, 100)
    history = [
        [step, t, 0.9 * 0.5 ** (step / 200) + 0.02, 0.9 * 0.8 ** (step / 200) + 0.02]
        for step in steps
        for t in (25, 250)
    ]
    levels = [
        {"timestep": t, "loss_train": 0.05, "loss_heldout": 0.3, "ratio": [6.0, 5.0, 7.0]}
        for t in (25, 250)
    ]
    counts = {"timesteps": 500, "n_train": 64, "n_heldout": 64}
    return {**counts, "levels": levels, "history": history, "confidence": 0.95}

"""From numbers to words: one pure function, with stated thresholds.

The rules on single checkpoints are in `checkpoint_verdict.py`, what is said of all together in
`population_verdict.py`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from novelweights.auditing.judge.checkpoint_verdict import (
    equal_to_training,
    judge_checkpoints,
    works_of,
)
from novelweights.auditing.judge.criteria import (
    DEFAULT_CRITERIA,
    EQUAL,
    CheckpointVerdict,
    ControlVerdict,
    Criteria,
    PopulationVerdict,
    Verdict,
    Verdicts,
)
from novelweights.auditing.judge.population_verdict import (
    certain_first,
    judge_population,
    reasons_of,
    why_withheld,
)
from novelweights.auditing.judge.statistics import share_beyond
from novelweights.auditing.measures import ACCUSING
from novelweights.auditing.result import AuditResult, Measurements, Planted
from novelweights.errors import count
from novelweights.tasks.task import Measure


def judge(result: AuditResult, criteria: Criteria = DEFAULT_CRITERIA) -> Verdicts:
    """The verdict on every generated checkpoint, on every control and on all samples together.

    Pure: depends on the numbers and the thresholds alone. Source: ours.
    """
    null = result.heldout if result.heldout is not None else result.training
    names, quality = result.training_names, result.quality
    controls = tuple(
        _judge_control(key, planted, null, names, quality, criteria)
        for key, planted in result.controls.items()
    )
    run = "held-out run" if result.heldout is not None else "training run"
    withheld = why_withheld(result, criteria, controls)
    if withheld:
        works = works_of(result.generated, null, quality, criteria)
        certain = equal_to_training(result.generated, null, names, through=result.through_codec)
        checkpoints = tuple(
            CheckpointVerdict(Verdict.UNDECIDED, good, withheld[0])
            if equal is None
            else CheckpointVerdict(Verdict.REPLICA, good, equal, EQUAL)
            for good, equal in zip(works, certain, strict=True)
        )
        population = PopulationVerdict(
            Verdict.UNDECIDED, f"{withheld[0]}.", tuple(reasons_of(result)), (withheld[1],)
        )
    else:
        checkpoints = judge_checkpoints(
            result.generated,
            result.p_values,
            null,
            names,
            quality,
            criteria,
            through_codec=result.through_codec,
            run=run,
        )
        reason = _why_none_is_novel(result)
        if reason:
            checkpoints = tuple(
                replace(c, origin=Verdict.UNDECIDED, reason=reason)
                if c.origin is Verdict.NOVEL
                else c
                for c in checkpoints
            )
        population = judge_population(result, criteria, checkpoints)
    population = certain_first(population, checkpoints, through_codec=result.through_codec)
    sentence = population.sentence[:1].upper() + population.sentence[1:]
    n_broken = len(result.not_finite)
    if n_broken:
        all_of_them = count(n_broken + len(result.generated), "generated checkpoint")
        sentence += f" {n_broken} of {all_of_them} {'is' if n_broken == 1 else 'are'} not finite."
    population = replace(population, sentence=sentence)
    return Verdicts(population, checkpoints, criteria, controls, n_broken)


def _why_none_is_novel(result: AuditResult) -> str:
    """Why no checkpoint can be called novel, whatever it is; "" if one can."""
    if result.heldout is None:
        return "not near training; held-out runs are missing"
    if any(note.code == "codec-costs" for note in result.warnings):
        return "like held-out runs through the codec, which work worse than before it"
    return ""


def _judge_control(
    key: str,
    planted: Planted,
    null: Measurements,
    names: Sequence[str],
    quality: Measure | None,
    criteria: Criteria,
) -> ControlVerdict:
    """What the rules say of checkpoints of known origin, and whether they are right."""
    judged = judge_checkpoints(
        planted.measured,
        planted.p_values,
        null,
        names,
        quality,
        criteria,
        n_null=planted.n_chance,
    )
    origins = [str(verdict.origin) for verdict in judged]
    n, right = len(origins), sum(origin in planted.expected for origin in origins)
    if planted.n_chance is None:
        passed = right >= criteria.control_share * n
    else:  # the most extreme of held-out runs are beyond the others by chance
        chance = share_beyond(n - right, n, planted.n_chance, r=len(ACCUSING))
        passed = chance.p_value >= criteria.control_p_value
    return ControlVerdict(
        key=key,
        label=planted.label,
        n=n,
        right=right,
        expected=planted.expected,
        counts={str(kind): origins.count(str(kind)) for kind in Verdict},
        passed=passed,
        can_veto=planted.can_veto,
        noise=planted.noise,
        distance=float(
            np.median(planted.measured.distance) / max(np.median(null.distance), 1e-300)
        ),
        note=planted.note,
    )

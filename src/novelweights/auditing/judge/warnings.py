"""What a reader of an audit must know beside its numbers, in sentences with a remedy. Source: ours.

Who is whose copy is asked in `leakage.py`, of which recipe runs are in `recognition.py`.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.prepare import Prepared
from novelweights.auditing.result import Measurements
from novelweights.errors import Note, count


def audit_warnings(
    prepared: Prepared, first: Bool[np.ndarray, " n"], heldout: Measurements | None
) -> Iterator[Note]:
    """What weakens this audit, and what to give it next time."""
    generated, n_heldout = prepared.generated, 0 if heldout is None else len(heldout)
    yield from _about_heldout(n_heldout, prepared)
    n_scratch = 0 if prepared.from_scratch is None else len(prepared.from_scratch)
    if prepared.is_one_run and n_scratch < 2:
        yield Note(
            "few-from-scratch",
            f"{'Only one network' if n_scratch else 'No networks'} trained from scratch: give some "
            "with --from-scratch, since nothing else here shows how far apart independently "
            "trained networks lie.",
        )
    if not first.all():
        yield Note(
            "repeated-samples",
            f"{(~first).sum()} of the {len(first)} generated checkpoints repeat another one "
            "(nearly): those that are no copies of training checkpoints count as no further "
            "evidence.",
        )
    starts = generated.records.scores.get("start_row", np.empty(0))
    n_starts = len(np.unique(starts[np.isfinite(starts)]))
    if 0 < n_starts < len(generated):
        yield Note(
            "few-starts",
            f"{len(generated)} samples begin from only {count(n_starts, 'starting checkpoint')}: "
            "samples from one start are no independent evidence, so intervals are too narrow. "
            "Sample from more starts (a zoo with more --start-runs).",
        )
    if prepared.task is None and not prepared.failed_task:
        yield Note(
            "no-task",
            "No task was given: whether the generated networks work, and whether they behave "
            "differently, is not known, so broken ones cannot be told from others and nothing is "
            "called novel. Name one with --task, or give your network and labelled examples "
            "(--network, --data).",
        )
        if prepared.noise_from is not None:
            yield Note(
                "unused-noise-source",
                "What noise is added to (--noise-from) was given without a task and is not used: "
                "the noise baseline is matched by behavior.",
            )
    made_by = generated.info.provenance
    if made_by is not None and made_by.has_codec and prepared.originals is None:
        yield Note(
            "missing-reconstructions",
            "The samples come from a generator with a lossy codec and are compared with "
            "checkpoints that have not gone through it: what it does to all networks is taken for "
            "copying or novelty. Give training and held-out checkpoints through it with "
            "--reconstructions and --heldout-reconstructions.",
        )


def _about_heldout(n_heldout: int, prepared: Prepared) -> Iterator[Note]:
    """That there are too few held-out runs, or none: what they would show."""
    needed, code = DEFAULT_CRITERIA.min_heldout_runs, "few-heldout" if n_heldout else "no-heldout"
    if n_heldout >= needed:
        return
    whose = "the training run" if prepared.n_runs == 1 else f"the {prepared.n_runs} training runs"
    no_verdict = (
        f"They lead to no verdict, since that needs at least {DEFAULT_CRITERIA.min_runs} training "
        "runs."
    )
    if prepared.is_one_run and n_heldout:
        text = (
            f"Only {count(n_heldout, 'held-out run')} to show how far a new run of the recipe "
            f"lies from {whose}; more show it more exactly. {no_verdict}"
        )
    elif prepared.is_one_run:
        text = (
            f"No held-out runs were given, so nothing here shows how far a new run of the recipe "
            f"lies from {whose}. Train new runs of the same recipe and give them with --heldout: "
            f"they show this. {no_verdict}"
        )
    elif n_heldout:
        text = (
            f"Only {n_heldout} held-out runs; at least {needed} are needed for a verdict, "
            "100 to name single checkpoints."
        )
    else:
        text = (
            "No held-out runs were given: training runs stand in, each against the others. The "
            "numbers are exploratory and the verdict is never novel. Train new runs of the same "
            "recipe and give them with --heldout."
        )
    yield Note(code, text)

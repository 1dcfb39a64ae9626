"""Generated checkpoints with weights that are no numbers: broken, whatever else is asked of them.

They are counted and have no distances; the others are measured. Source: ours.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from novelweights.auditing.prepare import ABSURD, AuditInputs
from novelweights.errors import InputError, Note, count, first_few
from novelweights.weights.population import Population

BLOCK = 4096
"""Rows looked at together, of a memory map."""


def finite_alone(inputs: AuditInputs) -> AuditInputs:
    """The same audit of the generated checkpoints that are finite; the others are named.

    Raises:
        InputError: None is.
    """
    made = inputs.generated
    rows = _not_finite(made)
    if not len(rows):
        return inputs
    names = [str(made.records.run[row]) for row in rows]
    if len(rows) == len(made):
        raise InputError(
            f"generated: NaN or infinite weights in every checkpoint, {len(made)} in all "
            f"({first_few(names)}); expected some with finite numbers. Sample again",
            "not-finite",
        )
    note = Note(
        "not-finite-samples",
        f"{len(rows)} of {count(len(made), 'generated checkpoint')} hold NaN or infinite weights, "
        f"or such that their squares overflow ({first_few(names)}): not finite, so broken, and "
        "counted as such. All distances are of the others.",
    )
    return replace(
        inputs,
        generated=made.select(np.setdiff1d(np.arange(len(made)), rows)),
        not_finite=dict(zip(rows.tolist(), names, strict=True)),
        notes=(note, *inputs.notes),
    )


def _not_finite(population: Population) -> Int[np.ndarray, " k"]:
    """Rows with NaN, infinity, or weights beyond what squares of can be added."""
    blocks = population.weights.split(BLOCK)
    bad = [~(block.abs() <= ABSURD).all(dim=1).numpy() for block in blocks]
    return np.flatnonzero(np.concatenate(bad)) if bad else np.array([], dtype=np.int64)

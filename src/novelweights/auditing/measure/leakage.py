"""Held-out runs that are none: training runs, steps of these, or samples; all refused.

A codec may give different checkpoints back as nearly the same, so where reconstructions are
compared, who is whose copy is asked of the checkpoints themselves.
"""

import numpy as np
from jaxtyping import Float, Int

from novelweights.auditing.judge.recognition import TWINS
from novelweights.auditing.measure.originals import Originals
from novelweights.auditing.prepare import Prepared
from novelweights.auditing.result import Measurements
from novelweights.errors import InputError, first_few
from novelweights.metrics.neighbors import nearest
from novelweights.weights.population import Population

LEAKED = 0.25
"""Held-out runs nearer to training than this share of the median between training runs are no
held-out runs, unless training runs come about as near to one another: the nearest of 1,200 in
trials on real zoos lay at 0.75, but of 200 MNIST networks of ten hidden neurons, many of which end
up alike once aligned, at 0.20; there the nearest two training runs lay at 0.25."""
OF_LEAST = 0.5
"""Share of the least distance between two training runs, for the same."""


def leak_radius(among: Float[np.ndarray, " n"]) -> float:
    """The distance below which a held-out run is a training run, or nearly.

    Args:
        among: Of every training run to the nearest other.

    Returns:
        A distance; 0 if all training runs are equal.
    """
    usual = float(np.median(among))
    apart = among[among > TWINS * usual]
    return min(LEAKED * usual, OF_LEAST * float(apart.min())) if len(apart) else 0.0


def refuse_leaks(
    prepared: Prepared, measured: Measurements, trained: Measurements, originals: Originals | None
) -> None:
    """Refuse held-out runs that would hide copies, or make every sample look new.

    Raises:
        InputError: A held-out run is (nearly) a training checkpoint, or is a sample.
    """
    train, heldout, every = prepared.train, prepared.heldout, prepared.all_training
    if heldout is None:
        return
    _refuse_samples(heldout, prepared.generated)
    distances, rows, among = measured.distance, measured.neighbor_rows[:, 0], trained.distance
    if originals is not None and originals.heldout is not None:
        before = originals.heldout
        train, heldout, every = originals.train, before.population, prepared.all_originals
        distances, rows, among = before.distance, before.rows, originals.distance
        _refuse_samples(heldout, prepared.generated)
    radius = leak_radius(among)
    _refuse_training_runs(heldout, train, distances, rows, radius)
    if every is not None:
        _refuse_steps(heldout, every, radius)


def _refuse_training_runs(
    heldout: Population,
    train: Population,
    distances: Float[np.ndarray, " n"],
    rows: Int[np.ndarray, " n"],
    radius: float,
) -> None:
    """Held-out runs that are training runs, or nearly, would hide every copy."""
    leaked = np.flatnonzero((distances == 0) | (distances < radius))
    if len(leaked):
        pairs = [f"{heldout.records.run[i]} = {train.records.run[rows[i]]}" for i in leaked]
        raise InputError(
            f"heldout: {len(leaked)} held-out checkpoints are training checkpoints, or nearly "
            f"({first_few(pairs)}); expected runs that the generator never saw. Remove them",
            "leak",
        )


def _refuse_steps(heldout: Population, all_training: Population, radius: float) -> None:
    """Held-out runs that are earlier steps of training runs."""
    near = nearest(heldout.learned, all_training.learned)
    leaked = np.flatnonzero(near.distances[:, 0] < radius)
    if len(leaked):
        at = near.rows[leaked[0], 0]
        record = all_training.records[int(at)]
        raise InputError(
            f"heldout: {len(leaked)} held-out checkpoints are steps of training runs, or nearly "
            f"({heldout.records.run[leaked[0]]} = {record.run} at step {record.step}); expected "
            "runs that the generator never saw. Remove them",
            "leak",
        )


def _refuse_samples(heldout: Population, generated: Population) -> None:
    """Held-out runs that are among the samples would make every sample look new."""
    known = {row.tobytes(): i for i, row in enumerate(heldout.learned.numpy())}
    shared = [known[row.tobytes()] for row in generated.learned.numpy() if row.tobytes() in known]
    if shared:
        raise InputError(
            f"heldout: {len(shared)} generated checkpoints are held-out checkpoints (first: "
            f"{heldout.records.run[shared[0]]}); expected different ones. Give new runs of the "
            "training recipe as --heldout and samples as --generated",
            "leak",
        )

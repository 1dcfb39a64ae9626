"""Originals, reconstructions, and reconstructions of the same functions written otherwise.

Paper, figures 3 and 9: does a generator's autoencoder give networks back, and does it see that a
network with its neurons reordered, or with signs flipped around an odd activation, is the same one?
That these transformations preserve the function is not taken on trust: it is measured first.
Departure: pairs of different networks, as many as there are runs by two, take every run once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from novelweights.errors import InputError
from novelweights.generators.generator import FittedGenerator
from novelweights.metrics.agreement import prediction_overlap
from novelweights.studies.reconstruction.pairs import (
    HELDOUT,
    TRAINING,
    TRANSFORMED,
    Kind,
    Reconstructed,
)
from novelweights.tasks.task import Task
from novelweights.weights.population import (
    Population,
    last_of_each_run,
    require_finite,
    require_same_layout,
)
from novelweights.weights.symmetry import NeuronSymmetry, random_element, transform

LEAST_KEPT = 0.999
"""Share of predictions that a transformation must leave: rounding may turn a near tie."""


@runtime_checkable
class ErrorTask(Task, Protocol):
    """A task that knows which test examples a checkpoint gets wrong."""

    def errors(self, behavior: Tensor) -> Bool[Tensor, "n examples"]:
        """True where a checkpoint's prediction is wrong."""
        ...


@dataclass(frozen=True, eq=False)
class _Seen:
    """Networks with what they do."""

    population: Population
    predictions: Tensor
    errors: Tensor
    accuracy: Float[np.ndarray, " n"]

    def rows(self, rows: Tensor) -> "_Seen":
        """Some of them."""
        population, accuracy = self.population.select(rows.numpy()), self.accuracy[rows.numpy()]
        return _Seen(population, self.predictions[rows], self.errors[rows], accuracy)


def some_runs(population: Population, n: int, *, rng: torch.Generator) -> Population:
    """The last checkpoint of at most n runs, drawn at random where there are more."""
    rows = last_of_each_run(population.records)
    if len(rows) > n:
        rows = np.sort(rows[torch.randperm(len(rows), generator=rng)[:n].numpy()])
    return population.select(rows)


def reconstruct(
    fitted: FittedGenerator,
    training: Population,
    task: Task,
    *,
    method: str,
    symmetry: NeuronSymmetry | None,
    rng: torch.Generator,
    heldout: Population | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Reconstructed:
    """Send originals and their transformed copies through the codec and compare what they do.

    Args:
        fitted: A generator whose `as_reference` is a lossy codec.
        training: Training checkpoints, one of each run.
        task: Judges them; it must know errors.
        method: The generator's name, for messages.
        symmetry: Which transformations leave these networks the same functions.
        rng: Source of the transformations, and of who is compared with whom.
        heldout: Checkpoints of runs that the generator never saw, one of each.
        progress: Called with (networks done, networks in all).

    Raises:
        InputError: The generator gives checkpoints back as they are, or something that is not
            finite; the task judges other networks or knows no errors; no symmetry is known, or the
            one declared does not preserve the functions.
    """
    if not isinstance(task, ErrorTask):
        raise InputError(
            f"task {task.name} knows no errors: expected a classification; name one with --task "
            "(`novelweights ls tasks`)",
            "unsuited",
        )
    symmetry = _known(training, symmetry)
    kinds = TRANSFORMED if symmetry.sign_groups else TRANSFORMED[:1]
    parts = {TRAINING: training}
    if heldout is not None:
        parts[HELDOUT] = heldout.in_order_of(training.layout)
        require_same_layout(training, parts[HELDOUT], (TRAINING, HELDOUT))
    mean = training.weights.double().mean(dim=0)
    total, done = sum(map(len, parts.values())) * (2 + 2 * len(kinds)), 0

    def seen(some: Population, what: str) -> _Seen:
        nonlocal done
        require_finite(some, what)
        predictions = task.behave(some)
        done += len(some)
        if progress is not None:
            progress(done, total)
        accuracy = task.score(predictions).double().numpy()
        return _Seen(some, predictions, task.errors(predictions), accuracy)

    pairs = {}
    for split, population in parts.items():
        original = seen(population, f"{split} checkpoints")
        through = _through(fitted, population)
        if torch.equal(through.weights, population.weights):
            raise InputError(
                f"{method} gives checkpoints back as they are: expected a generator with a lossy "
                "codec, as hyper-representations has (`novelweights fit hyper-representations`)",
                "unsuited",
            )
        back = seen(through, f"reconstructions of {split} checkpoints")
        from_mean = (population.weights.double() - mean).norm(dim=1).numpy()
        pairs[Kind.RECONSTRUCTION, split] = _compare(original, back).assign(from_mean=from_mean)
        for kind in kinds:
            who = f"{kind} {split} checkpoints"
            copies = seen(_transformed(population, symmetry, kind, rng), who)
            kept = prediction_overlap(copies.predictions, original.predictions).numpy()
            _require_kept(kept, kind)
            of_copies = seen(_through(fitted, copies.population), f"reconstructions of {who}")
            pairs[kind, split] = _compare(back, of_copies).assign(kept=kept)
        order = torch.randperm(len(population), generator=rng)
        half = len(order) // 2
        one, other = order[:half], order[half : 2 * half]
        for kind, networks in ((Kind.ORIGINALS, original), (Kind.RECONSTRUCTIONS, back)):
            pairs[kind, split] = _compare(networks.rows(one), networks.rows(other))
    return pairs


def paired_error_iou(
    errors: Bool[Tensor, "n examples"], others: Bool[Tensor, "n examples"]
) -> Float[Tensor, " n"]:
    """Intersection over union of the error sets of each pair of rows; 1 where both are empty.

    Source: paper, Appendix C.1, Eq. 1; here of one partner each.
    """
    both, either = (errors & others).sum(dim=1).double(), (errors | others).sum(dim=1).double()
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)


def _known(population: Population, symmetry: NeuronSymmetry | None) -> NeuronSymmetry:
    """The table of symmetries, if it is of these networks and names neurons."""
    remedy = "give the population folder of a zoo (`novelweights zoo build`), which knows them"
    if symmetry is None:
        raise InputError(
            "expected checkpoints of which it is known which neurons may be reordered, got some "
            f"without; {remedy}",
            "not-traceable",
        )
    try:
        groups = symmetry.sizes(population.layout)
    except ValueError as error:
        raise InputError(
            f"expected symmetries of these networks, got a table that is not theirs ({error}); "
            f"{remedy}",
            "other-network",
        ) from error
    if not groups:
        raise InputError(
            f"expected neurons that may be reordered, the table names none; {remedy}", "unsuited"
        )
    return symmetry


def _transformed(
    population: Population, symmetry: NeuronSymmetry, kind: Kind, rng: torch.Generator
) -> Population:
    """Every network transformed by a random element of its group: order alone, or signs alone."""
    order, signs = random_element(len(population), population.layout, symmetry, rng=rng)
    elements = (order, None) if kind is Kind.PERMUTED else ({}, signs)
    weights = transform(population.weights, population.layout, symmetry, *elements)
    return population.with_weights(weights, split=str(kind))


def _through(fitted: FittedGenerator, population: Population) -> Population:
    """The population as the codec gives it back, its parameters in the order they had."""
    return fitted.as_reference(population).in_order_of(population.layout)


def _require_kept(kept: Float[np.ndarray, " n"], kind: Kind) -> None:
    if kept.mean() < LEAST_KEPT:
        raise InputError(
            f"{kind} networks predict as before on {100 * kept.mean():.2f}% of the test examples, "
            f"expected {100 * LEAST_KEPT:g}% or more: the declared symmetry does not fit the "
            "network. Repair it in population.json, or name the task of this network with --task",
            "wrong-symmetry",
        )


def _compare(one: _Seen, other: _Seen) -> pd.DataFrame:
    apart = one.population.weights.double() - other.population.weights.double()
    return pd.DataFrame(
        {
            "run": one.population.records.run.astype(str),
            "other": other.population.records.run.astype(str),
            "accuracy": one.accuracy,
            "other_accuracy": other.accuracy,
            "error_similarity": paired_error_iou(one.errors, other.errors).numpy(),
            "prediction_overlap": prediction_overlap(one.predictions, other.predictions).numpy(),
            "distance": apart.norm(dim=1).numpy(),
        }
    )

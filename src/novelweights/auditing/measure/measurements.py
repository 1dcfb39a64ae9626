"""Every number of one population against the training checkpoints: space, mixture, behavior."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from novelweights.auditing.result import Measurements
from novelweights.metrics.agreement import expected_iou, prediction_overlap
from novelweights.metrics.alignment import Alignment
from novelweights.metrics.frame import Frame
from novelweights.metrics.layers import Layers
from novelweights.metrics.neighbors import nearest
from novelweights.metrics.neurons import Neurons
from novelweights.metrics.sources import (
    Alignable,
    find_directions,
    find_sources,
    shrunk_towards_mean,
)
from novelweights.seeding import numpy_rng_for
from novelweights.tasks.task import ShapeTask, Task
from novelweights.weights.canonical import CanonicalForm
from novelweights.weights.population import Population, sampled_records

N_NEIGHBORS = 3
HELDOUT_BLOCK = 64
SHRINK_FACTORS = (0.02, 0.06, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0, 1.25)
"""Held-out runs are shrunk by these to compare hull ratios at equal norm (DESIGN section 5)."""


@dataclass(frozen=True, eq=False)
class NearestIndex:
    """The training checkpoints, their behavior, and the declared distance and task."""

    training: Population
    alignment: Alignment | None
    """Of what was learned: all distances leave running statistics out (`Population.learned`)."""
    task: Task | None
    behavior: Tensor | None
    whole: Alignment | None
    """Of whole checkpoints, whose statistics move with their neurons."""

    @classmethod
    def of(
        cls,
        training: Population,
        alignment: Alignment | None,
        task: Task | None,
        behavior: Tensor | None = None,
    ) -> "NearestIndex":
        """The reference for a training population, its behavior computed if it is not known."""
        learned = None if alignment is None else alignment.on(training.layout.learned)
        if behavior is None and task is not None:
            behavior = task.behave(training)
        return cls(training, learned, task, behavior, alignment)

    @cached_property
    def alignable(self) -> Alignable:
        """Ready to be aligned."""
        return Alignable.of(self.training.learned, self.alignment)

    @cached_property
    def canonical(self) -> "Canonical | None":
        """In canonical form; None where nothing continuous is declared."""
        if self.whole is None:
            return None
        form = CanonicalForm.of(self.training.layout, self.whole.symmetry)
        return None if form is None else Canonical.of(form, self.training.weights)

    @cached_property
    def raw(self) -> Alignable:
        """As they are."""
        weights = self.training.learned
        return self.alignable if self.alignment is None else Alignable.of(weights, None)

    @cached_property
    def frame(self) -> Frame:
        """In one common frame."""
        return Frame.of(self.training.learned, self.alignment)

    @cached_property
    def raw_frame(self) -> Frame:
        """Their principal components as they are."""
        return self.frame if self.alignment is None else Frame.of(self.training.learned, None)

    @cached_property
    def neurons(self) -> Neurons | None:
        """Neuron by neuron; None where there are none to tell apart."""
        return Neurons.of(self.frame, self.training.layout.learned)

    @cached_property
    def layers(self) -> Layers | None:
        """Layer by layer; None for a network of one layer."""
        layout = self.training.layout.learned
        return Layers.of(self.training.learned, layout, self.alignment)


@dataclass(frozen=True, eq=False)
class Canonical:
    """Training checkpoints without scales of neurons and other continuous moves.

    Whole checkpoints are brought into this form, since it needs their running statistics; what was
    learned is then compared.
    """

    form: CanonicalForm
    weights: Float[Tensor, "m e"]
    alignment: Alignment | None

    @classmethod
    def of(cls, form: CanonicalForm, training: Float[Tensor, "m d"]) -> "Canonical":
        """Those of training checkpoints."""
        alignment = Alignment.of(form.layout, form.symmetry)
        learned = None if alignment is None else alignment.on(form.layout.learned)
        return cls(form, _learned_of(form, training), learned)

    def nearness(
        self, queries: Float[Tensor, "n d"], exclude: Bool[np.ndarray, "n m"] | None
    ) -> dict[str, np.ndarray]:
        """Distances of checkpoints in the same form, by the name they have in `Measurements`."""
        allowed = len(self.weights) - (0 if exclude is None else int(exclude.sum(axis=1).max()))
        near = nearest(
            _learned_of(self.form, queries),
            self.weights,
            k=min(2, allowed),
            exclude=exclude,
            alignment=self.alignment,
        )
        first, second = near.distances[:, 0], near.distances[:, -1]
        ratio = np.ones_like(first)
        if allowed > 1:
            np.divide(first, second, out=ratio, where=second > 0)
        return {
            "canonical_distance": first,
            "canonical_lower": near.lower,
            "canonical_ratio": ratio,
            "canonical_rows": near.rows[:, 0],
        }


def _learned_of(form: CanonicalForm, weights: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
    """Whole checkpoints in canonical form, without the statistics that are left in it."""
    learned = form.apply(weights)
    return learned if form.layout.learned is form.layout else learned[:, form.layout.is_learned]


@dataclass(frozen=True, eq=False)
class Ladder:
    """Held-out runs at several norms: shrinking alone moves a network towards training and hull."""

    norms: Float[np.ndarray, "n factors"]
    """Distance from the mean of each run shrunk by each factor, ascending."""
    distances: Float[np.ndarray, "n factors"]
    """To the nearest training checkpoint."""
    hull_distances: Float[np.ndarray, "n factors"]
    """To the convex hull of the training checkpoints."""

    def at(self, norms: Float[np.ndarray, " m"], column: str) -> Float[np.ndarray, "n m"]:
        """What every run would have at other norms; constant beyond the ladder.

        Args:
            norms: Of checkpoints.
            column: distance, hull_distance or hull_ratio.
        """
        values = {"distance": self.distances, "hull_distance": self.hull_distances}.get(column)
        if values is None:
            values = hull_ratio(self.hull_distances, self.distances)
        pairs = zip(self.norms, values, strict=True)
        return np.stack([np.interp(norms, known, curve) for known, curve in pairs])

    def select(self, rows: np.ndarray) -> "Ladder":
        """The ladders of some runs."""
        return Ladder(self.norms[rows], self.distances[rows], self.hull_distances[rows])


def measure(
    label: str,
    population: Population,
    reference: NearestIndex,
    *,
    exclude: Bool[np.ndarray, "n m"] | None = None,
    behavior: Tensor | None = None,
    groups: Int[np.ndarray, " n"] | None = None,
    only_near: bool = False,
) -> Measurements:
    """All measures of a population against the training checkpoints.

    Args:
        exclude: True where a training checkpoint must not count for a row (its own run).
        behavior: The population's behavior, if it is known already.
        groups: Where several populations are measured as one: which each row belongs to.
        only_near: Distances, directions and behavior only: no mixtures, layers or components.
    """
    queries, trained = population.learned, reference.training.learned
    allowed = len(trained) - (0 if exclude is None else int(exclude.sum(axis=1).max()))
    k = min(N_NEIGHBORS, allowed)
    near = nearest(queries, trained, k=k, exclude=exclude, alignment=reference.alignment)
    raw = near
    if reference.alignment is not None:
        raw = nearest(queries, trained, k=1, exclude=exclude)
    if only_near:
        directions = find_directions(queries, reference.alignable, exclude=exclude)
        space = {"cosine": directions.cosine, "norm": directions.norm}
    else:
        distances = near.distances[:, 0], raw.distances[:, 0]
        space = _mixtures(queries, reference, distances, exclude)
        space |= _in_frame(queries, reference, exclude, groups)
        if reference.layers is not None:
            layers = reference.layers.nearness(queries, exclude=exclude)
            space |= {
                "layer_distance": layers.distance,
                "layer_cosine": layers.cosine,
                "layer_rows": layers.rows,
            }
    if reference.canonical is not None:
        space |= reference.canonical.nearness(population.weights, exclude)
    return Measurements(
        label=label,
        names=[str(run) for run in population.records.run],
        neighbor_rows=near.rows,
        neighbor_distances=near.distances,
        distance_lower=near.lower,
        raw_distance=raw.distances[:, 0],
        **space,
        **_behavior(population, reference, near.rows[:, 0], exclude, behavior),
    )


def _mixtures(
    queries: Float[Tensor, "n d"],
    reference: NearestIndex,
    distances: tuple[np.ndarray, np.ndarray],
    exclude: Bool[np.ndarray, "n m"] | None,
) -> dict[str, np.ndarray]:
    """Direction, hull and sparse reconstruction, aligned and raw."""
    sources = find_sources(queries, reference.alignable, exclude=exclude)
    plain = sources
    if reference.alignment is not None:
        plain = find_sources(queries, reference.raw, exclude=exclude)
    return {
        "cosine": sources.cosine,
        "norm": sources.norm,
        "hull_ratio": hull_ratio(sources.hull_distance, distances[0]),
        "raw_hull_ratio": hull_ratio(plain.hull_distance, distances[1]),
        "raw_norm": plain.norm,
        "sparse_ratio": sources.sparse_ratio,
        "raw_sparse_ratio": plain.sparse_ratio,
        "source_rows": sources.rows,
        "source_weights": sources.weights,
    }


def _in_frame(
    queries: Float[Tensor, "n d"],
    reference: NearestIndex,
    exclude: Bool[np.ndarray, "n m"] | None,
    groups: Int[np.ndarray, " n"] | None,
) -> dict[str, np.ndarray]:
    """Neuron by neuron, recentred cosines, and what lies outside the principal components."""
    columns, placed = {}, reference.frame.place(queries)
    if reference.neurons is not None:
        neurons = reference.neurons.nearness(placed, exclude=exclude)
        columns = {
            "neurons_any": neurons.least,
            "neurons_mean": neurons.mean,
            "neurons_all": neurons.greatest,
        }
    if exclude is not None:  # training checkpoints made mean and components: theirs mean nothing
        return columns
    groups = np.zeros(len(queries), np.int64) if groups is None else groups
    labels, sizes = np.unique(groups, return_counts=True)
    if sizes.min() > 1:
        cosines = np.empty(len(queries))
        for label in labels:
            rows = np.flatnonzero(groups == label)
            cosines[rows] = reference.frame.recentred_cosine(placed[torch.from_numpy(rows)])
        columns["recentred_cosine"] = cosines
    columns["pca_residual"] = reference.frame.residual(placed)
    if reference.alignment is not None:
        placed = reference.raw_frame.place(queries)
    columns["raw_pca_residual"] = reference.raw_frame.residual(placed)
    return columns


def _behavior(
    population: Population,
    reference: NearestIndex,
    nearest_rows: Int[np.ndarray, " n"],
    exclude: Bool[np.ndarray, "n m"] | None,
    behavior: Tensor | None,
) -> dict[str, np.ndarray]:
    """What the networks do, if there is a task."""
    task, trained = reference.task, reference.behavior
    if task is None or trained is None:
        return {}
    if behavior is None:
        behavior = task.behave(population)
    banned = None if exclude is None else torch.from_numpy(exclude)
    quality = task.score(behavior)
    columns = {
        "quality": quality.numpy(),
        "novelty": task.novelty_against(behavior, trained, exclude=banned).numpy(),
    }
    is_similarity = not task.novelty.higher_is_better  # of error sets, where there are classes
    if task.quality.unit == "%" and behavior.dtype == torch.uint8 and is_similarity:
        usual = 1 - task.score(trained).mean() / 100
        chance = expected_iou(1 - quality.double() / 100, usual.double().expand(len(quality)))
        columns["expected_novelty"] = chance.numpy()
    if isinstance(task, ShapeTask):
        columns["has_surface"] = task.has_surface(behavior).numpy()
    if behavior.dtype == torch.uint8:  # predicted classes
        partners = trained[torch.from_numpy(nearest_rows)]
        columns["overlap"] = prediction_overlap(behavior, partners).numpy()
    return columns


def hull_ratio(hull_distance: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Distance to the hull over nearest distance, in [0, 1]; 1 for an exact copy (0 over 0)."""
    ratio = np.ones_like(distance)
    np.divide(hull_distance, distance, out=ratio, where=distance > 1e-12)
    return np.minimum(ratio, 1.0)


def ladder_of(
    runs: Population,
    reference: NearestIndex,
    *,
    aligned: bool,
    exclude: Bool[np.ndarray, "n m"] | None = None,
) -> Ladder:
    """Every held-out run at several norms.

    Shrinking a network moves it towards the training checkpoints and their hull without copying or
    mixing anything, so a generated checkpoint is compared with held-out runs of its own norm: each
    is shrunk towards the mean by several factors, aligned and measured again.
    """
    prepared = reference.alignable if aligned else reference.raw
    n_factors = len(SHRINK_FACTORS)
    blocks: list[list[np.ndarray]] = []
    for start in range(0, len(runs), HELDOUT_BLOCK):
        block = runs.learned[start : start + HELDOUT_BLOCK]
        steps = shrunk_towards_mean(block, prepared, SHRINK_FACTORS)
        steps = steps.reshape(-1, steps.shape[2])  # (block factors, d)
        banned = None
        if exclude is not None:  # each run against the others, where training runs stand in
            banned = np.repeat(exclude[start : start + HELDOUT_BLOCK], n_factors, axis=0)
        sources = find_sources(steps, prepared, exclude=banned)
        near = nearest(
            steps, reference.training.learned, alignment=prepared.alignment, exclude=banned
        )
        columns = sources.norm, near.distances[:, 0], sources.hull_distance
        blocks.append([column.reshape(-1, n_factors) for column in columns])
    norms, distances, hull_distances = (np.concatenate(part) for part in zip(*blocks, strict=True))
    order = np.argsort(norms, axis=1, kind="stable")
    curves = (np.take_along_axis(c, order, 1) for c in (norms, distances, hull_distances))
    return Ladder(*curves)


def one_left_out(
    generated: Population,
    train: Population,
    seed: int,
    *,
    needed: Bool[np.ndarray, "n m"] | None = None,
) -> Bool[np.ndarray, "n m"]:
    """A random training checkpoint that does not count, for each generated one.

    Which one depends on the generated checkpoint alone, not on those beside it.

    Args:
        needed: True where a training checkpoint counts in any case.
    """
    exclude = np.zeros((len(generated), len(train)), dtype=bool)
    for row, content in enumerate(contents(generated.learned)):
        drawn = numpy_rng_for(seed, "leave one run out", content).random(len(train))
        exclude[row, np.argmax(drawn if needed is None else drawn - needed[row])] = True
    return exclude


def contents(weights: Float[Tensor, "n d"]) -> list[str]:
    """A digest of each checkpoint: what is drawn by it hangs on no other, and on no order."""
    return [hashlib.sha256(row.contiguous().numpy().tobytes()).hexdigest() for row in weights]


def like(train: Population, weights: Float[Tensor, "n d"]) -> Population:
    """Weights as generated checkpoints of the same network."""
    return Population(weights, train.layout, sampled_records(len(weights)), train.info)

"""Which checkpoints are not independent, though the records say so: copies, chains, leakage.

The parts of `lint` that need distances between checkpoints. Source: ours.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from novelweights.auditing.lint.rows import Finding, Named, error, note, scan, trained_rows, warning
from novelweights.auditing.measure.leakage import leak_radius
from novelweights.errors import count
from novelweights.metrics.alignment import alignment_of_learned, pair_distances
from novelweights.metrics.neighbors import nearest
from novelweights.metrics.relatives import related_groups, run_spacing
from novelweights.weights.population import Population, last_of_each_run
from novelweights.weights.shared_parameters import shared_parameters

NEARLY_EQUAL = 0.01
"""Below this share of the distance between runs: near-duplicates, as noise or rounding leaves."""
REORDERED = 1e-5
"""Below this share all difference is rounding: one network with its neurons in another order."""
MOST_RUNS = 5000
"""Distances between runs are looked at among this many at most."""
MOST_ALIGNED_PAIRS = 1_000_000
"""Pairs whose neurons are put in order; beyond, plain distances only."""


def check_independence(named: Named) -> Iterator[Finding]:
    """Checkpoints of different runs, by the records, that are not independent."""
    named = _finite(named)
    runs = named.population.records.run
    if len(set(runs)) == 1:
        yield _one_run("the checkpoints come from one run")
    repeated = _equal_rows(named.population.weights)
    step = named.population.records.step
    starts = [rows for rows in repeated if step.max() > 0 and not step[rows].any()]
    repeated = [rows for rows in repeated if step.max() == 0 or step[rows].any()]
    apart = [rows for rows in repeated if len(set(runs[rows])) > 1]
    inside = [rows for rows in repeated if len(set(runs[rows])) == 1]
    if apart:
        yield error(
            "equal-runs",
            f"{count(len(apart), 'checkpoint')} under several runs, "
            f"{sum(map(len, apart))} times in all",
            [" = ".join(named.of(rows[:3])) for rows in apart],
            "keep one of each: copies make the runs look more than they are",
        )
    if starts:
        yield note(
            "shared-start",
            f"{count(len(starts), 'initialization')} shared by several runs",
            [" = ".join(named.of(rows[:3])) for rows in starts],
        )
    if inside:
        yield warning(
            "equal-steps",
            f"{count(len(inside), 'checkpoint')} under several steps of one run: mislabeled steps",
            [" = ".join(named.of(rows[:3])) for rows in inside],
            "download or save them again; a learning rate of 0 would do this too",
        )
    extra = {row for rows in apart for row in rows[1:]}
    last = last_of_each_run(named.population.records)
    one_each = np.array([row for row in last if row not in extra], dtype=np.int64)
    if len(one_each) > MOST_RUNS:
        yield note(
            "some-runs",
            f"distances were looked at among the first {MOST_RUNS} of {len(one_each)} runs",
        )
    if len(one_each) > 1:
        yield from _shared_layers(named.select(one_each[:MOST_RUNS]))
        yield from _related_runs(named.select(one_each[:MOST_RUNS]))
    elif len(set(runs)) > 1:
        yield _one_run("all checkpoints are one")


def _shared_layers(named: Named) -> Iterator[Finding]:
    """Layers that some runs share bit by bit, among one checkpoint per run."""
    population = named.population
    found = shared_parameters(
        population.learned, population.layout.learned, list(population.records.run)
    )
    if found:
        yield warning(
            "shared-layers",
            f"{count(len(found), 'parameter')} the same in some runs and not in others",
            [
                f"{name}: {' = '.join(named.of(rows[:3]))}"
                for name, sets in found.items()
                for rows in sets
            ],
            "these runs are not independent: leave them out, or train them anew",
        )


def _related_runs(named: Named) -> Iterator[Finding]:
    """Near-duplicates, chains and reordered copies among one checkpoint per run."""
    weights = named.population.learned
    scale = run_spacing(weights)
    labels = related_groups(weights, scale=scale)
    near, chains = [], []
    for label in np.flatnonzero(np.bincount(labels) > 1):
        rows = np.flatnonzero(labels == label)
        members = weights[torch.from_numpy(rows)]
        spread = pair_distances(members[:1].expand_as(members), members).max()
        (near if spread <= NEARLY_EQUAL * scale else chains).append(rows)
    if near:
        yield warning(
            "near-duplicates",
            f"{count(len(near), 'set')} of nearly equal checkpoints (within {NEARLY_EQUAL:.0%} of "
            "the distance between runs)",
            [" ~ ".join(named.of(rows[:3])) for rows in near],
            "one run saved twice, or rounded? Keep one of each",
        )
    if chains:
        yield warning(
            "chained-runs",
            f"{sum(map(len, chains))} checkpoints of different runs, by the records, lie as near "
            f"as steps of one run: {count(len(chains), 'chain')}",
            [f"{named.names[rows[0]]} to {named.names[rows[-1]]} ({len(rows)})" for rows in chains],
            "tell run and step in the records, or keep the last of each chain",
        )
    if labels.max() == 0:
        yield _one_run("all checkpoints look like steps of one run")
    yield from _reordered(named.select(np.unique(labels, return_index=True)[1]), scale)


def _reordered(named: Named, scale: float) -> Iterator[Finding]:
    """One network twice, its neurons in another order."""
    population = named.population
    alignment = alignment_of_learned(population.layout, population.info.symmetry)
    n = len(named)
    if alignment is None or n < 2:
        return
    if n**2 > MOST_ALIGNED_PAIRS:
        text = f"networks with reordered neurons were not looked for among {n} runs: too many"
        yield note("unknown-reordered", text)
        return
    weights = population.learned
    near = nearest(weights, weights, exclude=np.eye(n, dtype=bool), alignment=alignment)
    pairs = [
        (i, int(j))
        for i, j in enumerate(near.rows[:, 0])
        if near.distances[i, 0] <= REORDERED * scale
    ]
    pairs = sorted({(min(pair), max(pair)) for pair in pairs})
    if pairs:
        yield warning(
            "reordered-copies",
            f"{count(len(pairs), 'pair')} of one network with its neurons in another order",
            [f"{named.names[i]} = {named.names[j]}" for i, j in pairs],
            "keep one of each; tell augmented copies of one run as one run in the records",
        )


def check_heldout(train: Named, heldout: Named) -> Iterator[Finding]:
    """Held-out checkpoints that are training checkpoints; or nearly, in any order of neurons, where
    they are the last of their run: initializations and early steps lie near each other in any zoo.
    """
    train, heldout = _finite(train), _finite(heldout)
    if not len(train) or not len(heldout):
        return
    trained, held = train.population, heldout.population.in_order_of(train.population.layout)
    if held.layout != trained.layout:
        yield error(
            "other-heldout",
            f"the held-out checkpoints are of another architecture ({held.layout.size} weights, "
            f"training {trained.layout.size})",
            heldout.names,
            "held-out runs must be new runs of the training recipe",
        )
        return
    alignment = alignment_of_learned(trained.layout, trained.info.symmetry)
    ends = trained_rows(held.records)
    if len(train) * len(ends) > MOST_ALIGNED_PAIRS:
        alignment = None
    last = trained.learned[torch.from_numpy(trained_rows(trained.records))]
    radius = 0.0
    if len(last) > 1:
        few = last[: MOST_RUNS if alignment is None else MOST_ALIGNED_PAIRS // len(last)]
        itself = np.eye(len(few), len(last), dtype=bool)
        among = nearest(few, last, exclude=itself, alignment=alignment)
        radius = leak_radius(among.distances[:, 0])
    neighbors = nearest(held.learned[torch.from_numpy(ends)], trained.learned, alignment=alignment)
    near = neighbors.distances[:, 0] <= radius
    leaked = _shared_rows(trained, held)
    leaked |= dict(zip(ends[near].tolist(), neighbors.rows[near, 0].tolist(), strict=True))
    if leaked:
        yield error(
            "leaked-heldout",
            f"{count(len(leaked), 'held-out checkpoint')} found in training, or nearly",
            [f"{heldout.names[i]} = {train.names[j]}" for i, j in sorted(leaked.items())],
            "they would hide every copy: remove them, or train new runs",
        )


def _shared_rows(trained: Population, held: Population) -> dict[int, int]:
    """Held-out rows that equal a training row, and which; common initializations are no leak."""
    known = {digest: row for row, digest in enumerate(_digests(trained.weights))}
    step = held.records.step
    return {
        row: known[digest]
        for row, digest in enumerate(_digests(held.weights))
        if digest in known and (step[row] or not step.any())
    }


def check_shared_runs(train: Named, heldout: Named) -> Iterator[Finding]:
    """Runs with checkpoints on both sides."""
    both = sorted(set(train.population.records.run) & set(heldout.population.records.run))
    if both:
        yield error(
            "shared-runs",
            f"{count(len(both), 'run')} with checkpoints both in training and held out",
            [f"run {run}" for run in both],
            "a held-out run is one that no generator saw: move whole runs",
        )


def _one_run(what: str) -> Finding:
    return warning(
        "single-run",
        f"{what}: copies cannot be told from its other steps",
        remedy="an audit will answer not identifiable; add checkpoints of other runs",
    )


def _finite(named: Named) -> Named:
    """The rows without NaN and infinity."""
    finite = scan(named.population.weights)[0]
    return named if finite.all() else named.select(np.flatnonzero(finite))


def _equal_rows(weights: Tensor) -> list[np.ndarray]:
    """Sets of rows that are equal, by a hash of their bytes."""
    known: dict[bytes, list[int]] = {}
    for row, digest in enumerate(_digests(weights)):
        known.setdefault(digest, []).append(row)
    return [np.array(rows) for rows in known.values() if len(rows) > 1]


def _digests(weights: Tensor) -> Iterator[bytes]:
    """A hash of the bytes of each row; -0 is 0."""
    for values in weights:
        yield hashlib.blake2b((values + 0.0).numpy().tobytes(), digest_size=16).digest()

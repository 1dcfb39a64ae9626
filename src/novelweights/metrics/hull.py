"""Is a checkpoint a mixture? Its nearest point in the convex hull of the training checkpoints.

gamma = distance to the hull over distance to the nearest checkpoint: about 0 for averages, 1 for a
copy plus noise, in between for fresh runs; the weights of the nearest point say who a checkpoint
is made of. Source: ours (DESIGN section 5, interpolation).
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float
from numba import njit


@njit(cache=True, nogil=True)
@no_type_check
def _simplex_least_squares(gram: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Weights w >= 0 with sum 1 that minimize w' gram w / 2 - w' target; exact active set."""
    n = len(target)
    scale = np.trace(gram) / n + 1e-300
    weights = np.zeros(n)
    active = np.zeros(n, np.bool_)
    first = np.argmin(np.diag(gram) / 2 - target)
    target = target - target[first]  # weights sum to 1: changes nothing but saves digits
    active[first] = True
    weights[first] = 1.0
    for _ in range(10 * n + 10):
        members = np.flatnonzero(active)
        size = len(members)
        system = np.zeros((size + 1, size + 1))
        right = np.ones(size + 1)
        for a in range(size):
            for b in range(size):
                system[a, b] = gram[members[a], members[b]]
            system[a, a] += 1e-12 * scale  # equal checkpoints would make it singular
            system[a, size] = scale
            system[size, a] = scale
            right[a] = target[members[a]]
        right[size] = scale
        solution = np.linalg.solve(system, right)
        if solution[:size].min() > 0:
            for a in range(size):
                weights[members[a]] = solution[a]
            multiplier = solution[size] * scale
            best, gain = -1, 1e-9 * scale
            for j in range(n):
                if not active[j]:
                    slope = target[j] - multiplier
                    for a in range(size):
                        slope -= gram[j, members[a]] * weights[members[a]]
                    if slope > gain:
                        best, gain = j, slope
            if best < 0:
                break
            active[best] = True
        else:  # walk towards the solution until the first weight reaches zero, and drop it
            step = 1.0
            for a in range(size):
                if solution[a] <= 0:
                    drop = weights[members[a]] - solution[a]
                    if drop > 0:
                        step = min(step, weights[members[a]] / drop)
            for a in range(size):
                weights[members[a]] += step * (solution[a] - weights[members[a]])
            for a in range(size):
                if weights[members[a]] <= 1e-14 and solution[a] <= 0:
                    weights[members[a]] = 0.0
                    active[members[a]] = False
    return weights / weights.sum()


def hull_weights(
    gram: Float[np.ndarray, "m m"], inner: Float[np.ndarray, " m"]
) -> Float[np.ndarray, " m"]:
    """Weights of the point of a convex hull that lies nearest to a target.

    Args:
        gram: Inner products of the hull's vertices, with any common origin subtracted.
        inner: Inner products of the vertices with the target, the same origin subtracted.

    Returns:
        Weights >= 0 that sum to 1.
    """
    gram = np.ascontiguousarray(gram, dtype=np.float64)
    return _simplex_least_squares(gram, np.ascontiguousarray(inner, dtype=np.float64))


@njit(cache=True, nogil=True)
@no_type_check
def _pursue(gram: np.ndarray, inner: np.ndarray, squared: float, atoms: int) -> np.ndarray:
    """Squared residual after each of `atoms` steps of non-negative orthogonal matching pursuit."""
    n = len(inner)
    lengths = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    chosen = np.empty(0, np.int64)
    left = np.empty(atoms)
    slope = inner.copy()  # inner products of the residual with every atom
    residual = squared
    for step in range(atoms):
        best, gain = -1, 1e-9 * np.sqrt(squared) + 1e-300
        for j in range(n):
            if slope[j] / lengths[j] > gain:
                best, gain = j, slope[j] / lengths[j]
        if best < 0:  # nothing with a positive weight helps any more
            left[step:] = residual
            break
        chosen = np.append(chosen, best)
        while len(chosen) > 0:  # least squares on the chosen; those that turn negative leave
            size = len(chosen)
            system = np.empty((size, size))
            right = np.empty(size)
            for a in range(size):
                for b in range(size):
                    system[a, b] = gram[chosen[a], chosen[b]]
                system[a, a] *= 1 + 1e-10  # equal checkpoints would make it singular
                right[a] = inner[chosen[a]]
            weights = np.linalg.solve(system, right)
            if weights.min() > 0:
                break
            chosen = chosen[weights > 0]
        fitted = squared
        slope = inner.copy()
        for a in range(len(chosen)):
            fitted -= weights[a] * inner[chosen[a]]
            for j in range(n):
                slope[j] -= weights[a] * gram[j, chosen[a]]
        for a in range(len(chosen)):
            slope[chosen[a]] = 0.0
        if fitted >= residual:  # atoms on one line but for rounding: leaving cost more than it won
            left[step:] = residual
            break
        residual = max(fitted, 0.0)
        left[step] = residual
    return left


def sparse_residuals(
    gram: Float[np.ndarray, "m m"], inner: Float[np.ndarray, " m"], squared: float, atoms: int
) -> Float[np.ndarray, " atoms"]:
    """What non-negative orthogonal matching pursuit leaves unexplained of a target, step by step.

    Args:
        gram: Inner products of the atoms (training checkpoints less their mean).
        inner: Inner products of the atoms with the target.
        squared: Squared norm of the target.
        atoms: Steps; the k-th entry is the squared residual with k atoms of positive weight (fewer
            where one would turn negative), >= 0.

    Source: ours (DESIGN section 5, sparse reconstruction); the pursuit is Pati et al. 1993.
    """
    gram = np.ascontiguousarray(gram, dtype=np.float64)
    return _pursue(gram, np.ascontiguousarray(inner, dtype=np.float64), float(squared), atoms)

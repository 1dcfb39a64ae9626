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

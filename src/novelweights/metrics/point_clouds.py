"""Chamfer distances between point clouds, and what is made of them: how good, how new, how varied.

A cloud's points lie on the surface of one shape. Distances come from direct differences in
float32 and sums in float64, so equal clouds are at exactly 0, and every result is exact: the
search leaves out only what provably changes nothing (`cloud_kernels.py`).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.spatial import KDTree
from torch import Tensor

from novelweights.errors import InputError
from novelweights.metrics.cloud_kernels import LEAF, Packed, distances_from, nearest_from
from novelweights.metrics.neighbors import Neighbors

GREATEST = 1e18
"""Coordinates beyond it have squares that float32 cannot hold."""

Clouds = Float[np.ndarray, "n p 3"] | Float[Tensor, "n p 3"]


def normalized(clouds: Clouds, *, least_points: int = 2) -> Float32[np.ndarray, "n p 3"]:
    """Every cloud moved to mean 0 and scaled to standard deviation 1, each by itself.

    Args:
        clouds: n clouds of p points, any unit.
        least_points: Fewer points per cloud are refused.

    Returns:
        Clouds less their mean point, over the standard deviation of all their 3p coordinates
        (one number per cloud, divisor 3p), so without unit.

    Raises:
        InputError: Too few points, coordinates that are not finite, or a cloud whose points are
            all the same; the clouds are named.

    Source: the paper's released evaluation.
    """
    checked = _checked(clouds, "clouds to be normalized")
    if checked.shape[1] < least_points:
        raise InputError(
            f"expected clouds of at least {least_points} points, got {checked.shape[1]}: draw more "
            "points from each surface",
            "too-few",
        )
    flat = (checked == checked[:, :1]).all(axis=(1, 2))
    if flat.any():
        raise InputError(
            f"expected clouds that have an extent, got only equal points in {_named(flat)}: leave "
            "shapes without a surface out",
            "wrong-mesh",
        )
    centered = checked - checked.mean(axis=1, keepdims=True, dtype=np.float64)
    return (centered / centered.std(axis=(1, 2), keepdims=True)).astype(np.float32)


def chamfer(
    a: Clouds, b: Float[np.ndarray, "m q 3"] | Float[Tensor, "m q 3"] | None = None
) -> Float[np.ndarray, "n m"]:
    """Chamfer distance of every cloud of a to every cloud of b.

    Args:
        a: n clouds of p points.
        b: m clouds of q points in the same unit; None: those of a, for half the work.

    Returns:
        Mean over a cloud's points of the squared distance to the other's nearest point, plus the
        same the other way round; in squared units of the coordinates, >= 0, 0 for equal clouds,
        and the same whichever cloud comes first. Exact up to 5e-7 of each distance (coordinates
        are taken as float32; squares below 1e-38 may count as 0).

    Raises:
        InputError: Clouds without points, coordinates that are not finite or beyond 1e18.

    Source: paper, section 3.2 (Chamfer Distance), as its released evaluation computes it.
    """
    ours = _packed(_checked(a, "first clouds"))
    theirs = ours if b is None else _packed(_checked(b, "second clouds"))
    out = np.zeros((len(ours.points), len(theirs.points)))

    def fill(row: int) -> None:
        start = row + 1 if b is None else 0
        distances_from(ours, row, theirs, start, out[row])

    _for_each_row(fill, len(out))
    return out + out.T if b is None else out


def paired_chamfer(
    a: Clouds, b: Float[np.ndarray, "n q 3"] | Float[Tensor, "n q 3"]
) -> Float[np.ndarray, " n"]:
    """Chamfer distance of each cloud of a to the cloud of b in the same place.

    Args:
        a: n clouds of p points.
        b: n clouds of q points, the same unit.

    Raises:
        InputError: As `chamfer`.
        ValueError: Not as many clouds of b as of a.
    """
    pairs = zip(a, b, strict=True)
    return np.array([chamfer(one[None], other[None])[0, 0] for one, other in pairs])


def nearest_clouds(
    queries: Clouds,
    references: Float[np.ndarray, "m q 3"] | Float[Tensor, "m q 3"],
    *,
    k: int = 1,
    exclude: Bool[np.ndarray, "n m"] | None = None,
) -> Neighbors:
    """The k references at the least Chamfer distance from every query.

    A reference is left as soon as the part of its distance that is known exceeds the k-th least;
    the most promising come first, judged by a sixteenth of the points.

    Args:
        queries: n clouds of p points.
        references: m clouds of q points, the same unit.
        k: Neighbors per query.
        exclude: True where a reference must not be a query's neighbor, e.g. is itself.

    Returns:
        Rows and Chamfer distances, nearest first, ties by row: exactly the least of `chamfer`.

    Raises:
        InputError: As `chamfer`; k below 1, or fewer than k references allowed for some query.

    Source: the distance is the paper's (section 3.2), the search is ours.
    """
    ours = _packed(_checked(queries, "queries"))
    theirs = _packed(_checked(references, "references"))
    n, m = len(ours.points), len(theirs.points)
    if exclude is not None and exclude.shape != (n, m):
        raise InputError(
            f"expected one mark of exclusion per query and reference, {n}x{m}, got "
            f"{'x'.join(map(str, exclude.shape))}: give a row per query",
            "wrong-shape",
        )
    excluded = np.zeros((n, m), bool) if exclude is None else np.ascontiguousarray(exclude)
    allowed = m - int(excluded.sum(axis=1).max(initial=0))
    if not 1 <= k <= allowed:
        raise InputError(
            f"expected between 1 and {allowed} neighbors (the references that every query may "
            f"have), got {k}: ask for fewer, or give more references",
            "wrong-option",
        )
    rows, distances = np.empty((n, k), np.int64), np.empty((n, k))

    def fill(row: int) -> None:
        nearest_from(ours, row, theirs, excluded[row], rows[row], distances[row])

    _for_each_row(fill, n)
    return Neighbors(rows, distances, distances[:, 0].copy())


def minimum_matching_distance(distances: Float[np.ndarray, "generated reference"]) -> float:
    """Mean over references of the distance to the nearest generated cloud; less is better.

    Args:
        distances: Chamfer distances; generated clouds are rows, references columns.

    Raises:
        InputError: No cloud, or a distance that is NaN, infinite or negative.

    Source: paper, section 4.2 (Minimum Matching Distance), over references.
    """
    return float(_distances(distances, "generated to reference").min(axis=0).mean())


def coverage(distances: Float[np.ndarray, "generated reference"]) -> float:
    """Share of references that are some generated cloud's nearest, in [0, 1]; more is better.

    Args:
        distances: Chamfer distances; generated clouds are rows, references columns. Of references
            that are equally near the first counts.

    Raises:
        InputError: As `minimum_matching_distance`.

    Source: the paper's released evaluation.
    """
    nearest = _distances(distances, "generated to reference").argmin(axis=1)
    return len(np.unique(nearest)) / distances.shape[1]


def one_nn_accuracy(
    generated: Float[np.ndarray, "n n"],
    reference: Float[np.ndarray, "m m"],
    across: Float[np.ndarray, "n m"],
) -> float:
    """How well the nearest other cloud tells generated from reference clouds; .5 is ideal.

    Of both sets together, each cloud in turn is said to belong where its nearest other cloud
    does. Both sets count alike: of the larger one the first clouds are taken, as many as the
    smaller has. A tie between the sets counts half.

    Args:
        generated: Chamfer distances between generated clouds; the diagonal is not read.
        reference: The same between references.
        across: Generated clouds are rows, references columns.

    Returns:
        Share told correctly, in [0, 1]: 1 for sets that lie apart, 0 for two sets of copies.

    Raises:
        InputError: Sizes that do not fit each other, fewer than two clouds in a set, or a distance
            that is NaN, infinite or negative.

    Source: the paper's released evaluation (1-NNA, equal set sizes); half for ties is ours.
    """
    n, m = len(generated), len(reference)
    shapes = generated.shape, reference.shape, across.shape
    if shapes != ((n, n), (m, m), (n, m)) or min(n, m) < 2:
        raise InputError(
            "expected distances n x n, m x m and n x m with n and m at least 2, got "
            f"{', '.join('x'.join(map(str, shape)) for shape in shapes)}: give those within the "
            "generated, within the reference, and across",
            "wrong-shape",
        )
    size = min(n, m)
    right = 0.0
    between = _distances(across, "generated to reference")[:size, :size]
    for within, other, name in (
        (generated, between, "between generated"),
        (reference, between.T, "between reference"),
    ):
        own = np.array(within[:size, :size], np.float64)
        np.fill_diagonal(own, 0)
        own = _distances(own, name)
        np.fill_diagonal(own, np.inf)
        nearest, nearest_other = own.min(axis=1), other.min(axis=1)
        right += (nearest < nearest_other).sum() + (nearest == nearest_other).sum() / 2
    return float(right / (2 * size))


def _packed(clouds: Float32[np.ndarray, "n p 3"]) -> Packed:
    """Clouds as the kernels want them."""
    n, count = clouds.shape[:2]
    leaves = -(-count // LEAF)
    points = np.empty((n, 3, leaves * LEAF), np.float32)

    def fill(row: int) -> None:
        order = KDTree(clouds[row], LEAF, compact_nodes=False).indices
        points[row, :, :count] = clouds[row, order].T
        points[row, :, count:] = points[row, :, count - 1 : count]

    _for_each_row(fill, n)
    by_leaf = points.reshape(n, 3, leaves, LEAF)
    of_each_leaf = list(np.moveaxis(by_leaf, 3, 0))  # reduced several times as fast as by_leaf
    lows, highs = np.minimum.reduce(of_each_leaf), np.maximum.reduce(of_each_leaf)
    centers = (lows.astype(np.float64) + highs) / 2
    outward = np.square(centers - centers.mean(axis=2, keepdims=True)).sum(axis=1)
    outermost_first = np.argsort(-outward, axis=1, kind="stable")
    chosen = np.minimum(np.arange(-(-leaves // LEAF) * LEAF), leaves - 1)
    few = np.ascontiguousarray(by_leaf[:, :, chosen, LEAF // 2])
    return Packed(points, lows, highs, outermost_first, few, count)


def _for_each_row(work: Callable[[int], None], n: int) -> None:
    """`work` of every row, over the threads that numba may use."""
    with ThreadPoolExecutor(numba.get_num_threads()) as threads:
        for _ in threads.map(work, range(n)):
            pass


def _checked(clouds: Clouds, name: str) -> Float32[np.ndarray, "n p 3"]:
    """Clouds in float32, contiguous, fit to be measured."""
    array = np.asarray(clouds.detach().cpu() if isinstance(clouds, Tensor) else clouds)
    if array.shape[1] == 0:
        raise InputError(
            f"{name}: expected clouds with points, got none: draw some from each", "too-few"
        )
    bad = np.asarray(~(np.abs(array) <= GREATEST).all(axis=(1, 2)))
    if bad.any():
        raise InputError(
            f"{name}: expected finite coordinates up to {GREATEST:g}, got others in {_named(bad)}: "
            "leave these shapes out, or mend them",
            "not-finite",
        )
    return np.ascontiguousarray(array, np.float32)


def _named(which: Bool[np.ndarray, " n"]) -> str:
    """The first few rows that are marked, in words."""
    rows = np.flatnonzero(which)
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"cloud {', '.join(map(str, rows[:5]))}{more} (of {len(which)}, from 0)"


def _distances(distances: Float[np.ndarray, "n m"], name: str) -> Float[np.ndarray, "n m"]:
    """Distances fit to be averaged."""
    if distances.size == 0 or not (np.isfinite(distances) & (distances >= 0)).all():
        raise InputError(
            f"distances {name}: expected at least one, all finite and >= 0, got "
            f"{'others' if distances.size else 'none'}: leave out shapes that gave no cloud",
            "not-finite",
        )
    return distances

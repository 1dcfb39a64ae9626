"""Established measures of memorization, to be shown beside ours; never the verdict.

Ratio rule, calibrated L2, authenticity, the data-copying test C_T and the DCR share, all under
plain L2, as they are published and used: nothing is aligned, so a copy with permuted neurons
looks novel to every one of them. Left out: measures of a density (FLD) and of images (SSCD).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from torch import Tensor

from novelweights.metrics.neighbors import nearest

MAX_RATIO = 1 / 3
"""Source: Yoon et al. 2023; Gu et al. 2025."""
CALIBRATION_NEIGHBORS = 50
CALIBRATION_ALPHA = 0.5
"""Both for CIFAR-10. Source: Carlini et al. 2023."""
N_CELLS = 3
CELL_DIMENSIONS = 64
MIN_GENERATED = 20
"""A cell counts if it holds more generated checkpoints than this (tau = 20/n). Source, of all
three: the wrappers in use (dgm-eval, fld)."""


class DataCopying(NamedTuple):
    """The data-copying test C_T; below 0: generated checkpoints are nearer than held-out ones."""

    published: float | None
    """Weighted mean of the cells' Z_U. Practice reads values below -3 as copying."""
    corrected: float | None
    """The same over the root of the sum of squared weights: unit variance under the null."""
    missing: str | None
    """Why there is no value, None where there is one."""


class CloserShare(NamedTuple):
    """Share of generated checkpoints strictly closer to training than to held-out ones."""

    share: float
    """All training and held-out checkpoints."""
    equal_sizes: float
    """The larger of the two populations subsampled to the size of the smaller. A copy of a row
    that was left out no longer counts as closer, other than by chance: the price of fairness."""
    note: str | None
    """A warning if the held-out population is so small that `share` is biased upwards."""

    @property
    def score(self) -> float:
        """Overfitting protection in [0, 1]; 1 = closer to training no more often than not."""
        return _protection(self.share)

    @property
    def score_equal_sizes(self) -> float:
        """The score of the share at equal sizes."""
        return _protection(self.equal_sizes)


@dataclass(frozen=True, eq=False)
class EstablishedMeasures:
    """What established measures say of n generated checkpoints."""

    ratio: Float[np.ndarray, " n"]
    """d1 / d2, in [0, 1]: distance to the nearest over that to the second nearest."""
    calibrated_l2: Float[np.ndarray, " n"]
    """Distance to the nearest over half the mean distance to the 50 nearest; in [0, 2]."""
    authentic: Bool[np.ndarray, " n"]
    """Farther from the nearest training checkpoint than that is from all others in training."""
    data_copying: DataCopying
    closer: CloserShare | None
    """The DCR share; None without held-out checkpoints."""

    def flags(self) -> dict[str, Bool[np.ndarray, " n"]]:
        """Per measure: True where a checkpoint is a copy according to it alone."""
        return {
            "ratio_rule": self.ratio < MAX_RATIO,
            "calibrated_l2": self.calibrated_l2 < 1,
            "not_authentic": ~self.authentic,
        }

    def shares(self) -> dict[str, float]:
        """Per measure: the share of generated checkpoints that it flags."""
        return {name: float(flagged.mean()) for name, flagged in self.flags().items()}


def established_measures(
    train: Float[Tensor, "m d"],
    heldout: Float[Tensor, "h d"] | None,
    generated: Float[Tensor, "n d"],
    *,
    rng: np.random.Generator,
) -> EstablishedMeasures:
    """Every measure of this file, from exact plain L2 distances.

    - Ratio rule: d1 / d2 < 1/3, the distances to the nearest and second nearest training
      checkpoint. It misses copies of checkpoints that have a near twin in training (d1 = d2),
      and averages. Departure: an exact copy (d1 = 0) has ratio 0 and is flagged even if d2 = 0;
      read strictly, the rule would call copies of a duplicated training checkpoint novel.
    - Calibrated L2: l = d1 / (alpha * mean of the distances to the n' nearest training
      checkpoints), n' = 50 (all if fewer), alpha = 0.5, memorized if l < 1. The n' are neighbors
      of the generated checkpoint and include the nearest; some public versions take those of
      the nearest training checkpoint, or other n' and thresholds. 0 if d1 = 0.
    - Authenticity: d1 > d(t, training without t), t the nearest training checkpoint. (The
      reference code, and synthcity still, compares distances of different checkpoints.) Honest
      fresh draws of a Gaussian are authentic at 0.83, not 1 (d = 2464, 300 training rows).
    - `data_copying_test`, and the share closer to training than to held-out checkpoints
      (`CloserShare`), whose score is min(1, 2 (1 - share)).

    Args:
        train: Checkpoints the generator was fitted on.
        heldout: Checkpoints of the same recipe that no generator saw; None leaves out the two
            measures that need them.
        generated: Checkpoints judged.
        rng: Draws the start of the cells and the subsample at equal sizes.

    Raises:
        ValueError: Fewer than two training checkpoints, an empty population, or weights that
            are not finite.

    Source: Yoon et al. 2023 and Gu et al. 2025; Carlini et al. 2023; Alaa et al. 2022; Meehan et
    al. 2020; sdmetrics, DCROverfittingProtection.
    """
    if len(train) < 2 or len(generated) < 1 or (heldout is not None and len(heldout) < 1):
        raise ValueError(
            "expected at least 2 training and 1 generated checkpoint, and held-out ones or None, "
            f"got {len(train)}, {len(generated)} and {None if heldout is None else len(heldout)}"
        )
    near = nearest(generated, train, k=min(CALIBRATION_NEIGHBORS, len(train)))
    first, second = near.distances[:, 0], near.distances[:, 1]
    if heldout is None:
        data_copying = DataCopying(None, None, "no held-out checkpoints")
        closer = None
    else:
        data_copying = data_copying_test(train, heldout, generated, rng=rng)
        closer = _closer_share(train, heldout, generated, rng)
    return EstablishedMeasures(
        ratio=_ratio(first, second),
        calibrated_l2=_ratio(first, CALIBRATION_ALPHA * near.distances.mean(axis=1)),
        authentic=first > _isolation(train, near.rows[:, 0]),
        data_copying=data_copying,
        closer=closer,
    )


def data_copying_test(
    train: Float[Tensor, "m d"],
    heldout: Float[Tensor, "h d"],
    generated: Float[Tensor, "n d"],
    *,
    rng: np.random.Generator,
) -> DataCopying:
    """The three-sample test C_T: are generated checkpoints nearer to training than held-out ones?

    Weights of more than 64 dimensions are projected on the first 64 principal components of
    training. k-means on training (k = 3, 10 starts) makes cells; in each,
    Z_U = (U - (g h / 2 - 1/2)) / sqrt(g h (g + h + 1) / 12), where U is Mann and Whitney's of the
    g generated against the h held-out distances to the nearest training checkpoint of that cell
    (the correction for continuity has one sign, the variance is not corrected for ties).
    C_T is the mean of Z_U over the cells with more than 20 generated checkpoints, weighted by the
    held-out checkpoints in each.

    That mean is no z-score: its standard deviation under the null is the root of the sum of
    squared weights, .58 for 3 equal cells (.45 for 5, .32 for 10), so a test at one-sided 5%
    rejects honest generators at .2% and misses copies. `corrected` divides by that root. Both
    take all checkpoints as independent: not so for several of one run.

    Args:
        train: Checkpoints the generator was fitted on.
        heldout: Checkpoints of the same recipe that no generator saw.
        generated: Checkpoints judged.
        rng: Draws the seed of the projection and of k-means.

    Returns:
        No value, and the reason, where the published code raises or has no cell left: a cell
        without held-out checkpoints, or none with more than 20 generated ones.

    Raises:
        ValueError: An empty population, or weights that are not finite.

    Source: Meehan, Chaudhuri and Dasgupta 2020; the correction is ours.
    """
    if not all(len(w) and w.isfinite().all() for w in (train, heldout, generated)):
        raise ValueError("the data-copying test needs three populations with finite weights")
    if not _has_different_rows(train, N_CELLS):
        reason = f"{N_CELLS} cells need as many different training checkpoints"
        return DataCopying(None, None, reason)
    seed = int(rng.integers(2**31))
    points = _project(train, heldout, generated, seed=seed)
    kmeans = KMeans(N_CELLS, n_init=10, random_state=seed)  # pyright: ignore[reportArgumentType]
    kmeans.fit(points[0].numpy())
    cells = [torch.from_numpy(kmeans.predict(some.numpy())) for some in points]
    counts = [np.bincount(cell, minlength=N_CELLS) for cell in cells]
    for population, count in zip(("training", "held-out"), counts[:2], strict=True):
        if not count.all():
            empty = int((count == 0).sum())
            reason = f"{empty} of {N_CELLS} cells without {population} checkpoints"
            return DataCopying(None, None, reason)
    used = np.flatnonzero(counts[2] > MIN_GENERATED)
    if len(used) == 0:
        reason = f"no cell with more than {MIN_GENERATED} of {len(generated)} generated checkpoints"
        return DataCopying(None, None, reason)
    scores = np.array(
        [
            _z_u(*(some[cell == int(i)] for some, cell in zip(points, cells, strict=True)))
            for i in used
        ]
    )
    weights = counts[1][used] / counts[1][used].sum()
    published = float(weights @ scores)
    return DataCopying(published, published / float(np.sqrt((weights**2).sum())), None)


def _z_u(
    train: Float[Tensor, "m d"], heldout: Float[Tensor, "h d"], generated: Float[Tensor, "n d"]
) -> float:
    """Z_U of one cell."""
    near, null = (nearest(w, train).distances[:, 0] for w in (generated, heldout))
    g, h = len(near), len(null)
    u = rankdata(np.concatenate([near, null]))[:g].sum() - g * (g + 1) / 2
    return float((u - (g * h / 2 - 0.5)) / np.sqrt(g * h * (g + h + 1) / 12))


def _project(
    train: Float[Tensor, "m d"],
    heldout: Float[Tensor, "h d"],
    generated: Float[Tensor, "n d"],
    *,
    seed: int,
) -> list[Float[Tensor, "_ components"]]:
    """All three on the principal components of training; as they are in few dimensions."""
    populations = (train, heldout, generated)
    if train.shape[1] <= CELL_DIMENSIONS:
        return [weights.double() for weights in populations]
    center = train.double().mean(dim=0)
    pca = PCA(min(CELL_DIMENSIONS, len(train)), random_state=seed)
    pca.fit((train.double() - center).float().numpy())
    onto = torch.from_numpy(np.asarray(pca.components_)).double().T  # (d, components)
    return [weights.double() @ onto for weights in populations]


def _closer_share(
    train: Float[Tensor, "m d"],
    heldout: Float[Tensor, "h d"],
    generated: Float[Tensor, "n d"],
    rng: np.random.Generator,
) -> CloserShare:
    """The DCR share, plain and at equal sizes."""

    def share(*reference: Tensor) -> float:
        training, fresh = (nearest(generated, weights).distances for weights in reference)
        return float((training < fresh).mean())

    size = min(len(train), len(heldout))
    drawn = [np.sort(rng.choice(len(w), size, replace=False)) for w in (train, heldout)]
    note = None
    if len(heldout) < len(train) / 2:
        note = (
            f"{len(heldout)} held-out for {len(train)} training checkpoints: "
            "the larger population is closer more often, copies or not"
        )
    return CloserShare(
        share=share(train, heldout),
        equal_sizes=share(train[torch.from_numpy(drawn[0])], heldout[torch.from_numpy(drawn[1])]),
        note=note,
    )


def _protection(share: float) -> float:
    """The sdmetrics score of a share."""
    return min(1.0, 2 * (1 - share))


def _ratio(
    distance: Float[np.ndarray, " n"], scale: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """distance / scale; 0 for distance 0, whatever the scale."""
    return np.divide(distance, scale, out=np.zeros_like(distance), where=distance > 0)


def _isolation(train: Float[Tensor, "m d"], rows: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Distance of training checkpoints to the rest of training, each row measured once.

    The nearest of a training checkpoint is itself or its twin at distance 0, so the second
    nearest is at the distance to the rest.
    """
    once, back = np.unique(rows, return_inverse=True)
    return nearest(train[torch.from_numpy(once)], train, k=2).distances[back, 1]


def _has_different_rows(weights: Float[Tensor, "m d"], n: int) -> bool:
    """Whether at least n rows differ from each other."""
    rest = weights
    for _ in range(n):
        if len(rest) == 0:
            return False
        rest = rest[(rest != rest[0]).any(dim=1)]
    return True

"""Audit results made by hand: numbers like those of fresh runs, unless a test says otherwise."""

from collections.abc import Mapping, Sequence

import numpy as np

from novelweights.auditing.result import AuditResult, DistanceInfo, Measurements, Planted, Quantity
from novelweights.errors import Note
from novelweights.tasks.task import Measure

ACCURACY = Measure("accuracy", "%", higher_is_better=True)
SIMILARITY = Measure("maximum similarity", "", higher_is_better=False)
ORDINARY = 0.5
"""A rank in the middle of the held-out runs."""
RANKS = (
    "distance_near",
    "distance_far",
    "direction_near",
    "cosine_far",
    "mixture_near",
    "large_mixture_near",
    "unmatched_mixture_near",
    "hull_far",
    "pca_far",
    "layers_all_near",
    "layers_any_near",
    "neurons_any_near",
    "neurons_mean_near",
    "neurons_all_near",
    "twin_near",
)
TASK_RANKS = ("quality_low", "similarity_high", "similarity_low")
QUANTITIES = {
    "distance_ratio": (1.0, 0.97, 1.03),
    "copied_share": (0.0, 0.0, 0.02),
    "aligned_share": (0.0, 0.0, 0.02),
    "mixed_share": (0.0, 0.0, 0.02),
    "mosaic_share": (0.0, 0.0, 0.02),
    "quality_difference": (0.0, -0.3, 0.3),
    "mean_quality_generated": (95.0, 94.8, 95.2),
    "mean_quality_training": (95.0, 94.8, 95.2),
    "median_novelty_generated": (0.5, 0.49, 0.51),
    "median_novelty_heldout": (0.5, 0.49, 0.51),
}


def invented_findings(
    label: str,
    n: int,
    *,
    distance: float | Sequence[float] = 10.0,
    sources: Sequence[float] | np.ndarray = (0.2, 0.15, 0.1),
    quality: float | Sequence[float] | None = 95.0,
    layer_rows: Sequence[int] = (0, 0),
    layer_distance: float | Sequence[float] = 5.0,
    neurons: float = 0.8,
) -> Measurements:
    """n checkpoints that are all alike."""
    layers = (n, len(layer_rows))
    first = np.broadcast_to(np.asarray(distance, dtype=float), n)
    rows = np.arange(3 * n).reshape(n, 3) % 3
    return Measurements(
        label=label,
        names=[f"{label}-{i}" for i in range(n)],
        neighbor_rows=rows,
        neighbor_distances=first[:, None] * np.array([1.0, 1.1, 1.2]),
        distance_lower=first.copy(),
        raw_distance=first * 1.2,
        cosine=np.full(n, 0.3),
        norm=np.full(n, 12.0),
        hull_ratio=np.full(n, 0.9),
        raw_hull_ratio=np.full(n, 0.9),
        raw_norm=np.full(n, 12.5),
        source_rows=rows,
        source_weights=np.broadcast_to(np.asarray(sources, dtype=float), (n, 3)).copy(),
        layer_distance=np.broadcast_to(np.asarray(layer_distance, dtype=float), layers).copy(),
        layer_cosine=np.full(layers, 0.3),
        layer_rows=np.tile(np.asarray(layer_rows), (n, 1)),
        neurons_any=np.full(n, 0.7),
        neurons_mean=np.full(n, 0.75),
        neurons_all=np.full(n, neurons),
        quality=None
        if quality is None
        else np.broadcast_to(np.asarray(quality, dtype=float), n).copy(),
        novelty=None if quality is None else np.full(n, 0.5),
        overlap=None if quality is None else np.full(n, 0.95),
    )


def invented_result(
    n: int = 8,
    *,
    n_heldout: int = 30,
    heldout: bool = True,
    task: bool = True,
    distance: float | Sequence[float] = 10.0,
    sources: Sequence[float] | np.ndarray = (0.2, 0.15, 0.1),
    quality: float | Sequence[float] = 95.0,
    p_values: Mapping[str, float | Sequence[float]] | None = None,
    quantities: Mapping[str, tuple[float, float | None, float | None]] | None = None,
    layer_rows: Sequence[int] = (0, 0),
    layer_distance: float | Sequence[float] = 5.0,
    heldout_layer_distance: float | Sequence[float] = 5.0,
    neurons: float = 0.8,
    controls: Mapping[str, Planted] | None = None,
    n_runs: int | None = None,
) -> AuditResult:
    """A result that is novel in every respect but those that are given.

    The fresh runs (held-out, or training without) number `n_heldout`; all lie at distance 10 and
    have quality 95.
    """
    names = [*RANKS, *(TASK_RANKS if task else ())]
    near = np.where(np.asarray(distance) < 10.0, 1 / (n_heldout + 1), ORDINARY)
    given = {"distance_near": near} | dict(p_values or {})
    assert set(given) <= set(names)
    numbers = {**QUANTITIES, **(quantities or {})}
    assert set(numbers) == set(QUANTITIES)
    fresh_quality = 95.0 if task else None
    return AuditResult(
        training=invented_findings("training", n_heldout, quality=fresh_quality),
        generated=invented_findings(
            "generated",
            n,
            distance=distance,
            sources=sources,
            quality=quality if task else None,
            layer_rows=layer_rows,
            layer_distance=layer_distance,
            neurons=neurons,
        ),
        heldout=invented_findings(
            "heldout",
            n_heldout,
            quality=fresh_quality,
            layer_rows=layer_rows,
            layer_distance=heldout_layer_distance,
        )
        if heldout
        else None,
        baselines={"Gaussian": invented_findings("Gaussian", 4)} if task else {},
        baseline_notes={"Gaussian": "one per parameter"} if task else {},
        p_values={
            name: np.broadcast_to(np.asarray(given.get(name, ORDINARY), dtype=float), n).copy()
            for name in names
        },
        quantities=tuple(
            Quantity(key, key, value, n, "by hand", lower, upper, 0.95)
            for key, (value, lower, upper) in numbers.items()
            if task or not ("quality" in key or "novelty" in key)
        ),
        distance=DistanceInfo("L2", True, "none"),
        quality=ACCURACY if task else None,
        novelty=SIMILARITY if task else None,
        layers=("hidden", "out", "last")[: len(layer_rows)],
        controls=controls or {},
        n_runs=n_runs,
        warnings=(Note("no-task", "by hand"),),
        about={"architecture": "none", "training": {"n": n_heldout}},
    )


def invented_control(
    n: int = 20,
    *,
    expected: tuple[str, ...] = ("replica",),
    distance: float | Sequence[float] = 1.0,
    p_values: Mapping[str, float | Sequence[float]] | None = None,
    can_veto: bool = True,
    noise: float | None = None,
    n_chance: int | None = None,
) -> Planted:
    """n planted checkpoints with one source, otherwise like fresh runs."""
    values: dict[str, float | Sequence[float] | np.ndarray] = dict.fromkeys(
        (*RANKS, *TASK_RANKS), ORDINARY
    )
    values["distance_near"] = np.where(np.asarray(distance) < 10.0, 1e-6, ORDINARY)
    values |= dict(p_values or {})
    return Planted(
        label=f"planted {'or '.join(expected)}",
        measured=invented_findings("controls", n, distance=distance, sources=(0.9, 0.05, 0.05)),
        p_values={
            k: np.broadcast_to(np.asarray(v, dtype=float), n).copy() for k, v in values.items()
        },
        expected=expected,
        can_veto=can_veto,
        noise=noise,
        n_chance=n_chance,
    )

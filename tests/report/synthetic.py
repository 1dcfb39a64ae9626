"""Run folders of invented audits, as an audit would leave them, for the tests of the report."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from synthetic_verdicts import gap_told, quantities, verdicts_of

from novelweights.auditing.result import AuditResult, DistanceInfo, Measurements, Planted
from novelweights.errors import Note
from novelweights.tasks.task import Measure

KINDS = ("copies", "novel", "mosaic", "withheld", "one_run", "bare")
LAYERS = ("hidden", "out")
RANKS = {
    "distance": "distance",
    "cosine": "cosine",
    "recentred": "recentred_cosine",
    "hull": "hull_ratio",
    "sparse": "sparse_ratio",
    "pca": "pca_residual",
}


def write_run(folder: Path, kind: str = "copies", *, n: int = 200, prefix: str = "sample") -> Path:
    """A run folder of an audit of `n` checkpoints.

    Args:
        folder: Where to write it.
        kind: "copies", "novel", "mosaic" (layers of several runs), "withheld" (as copies, with a
            control misjudged), "one_run" (training checkpoints of one run) or "bare" (no task, no
            held-out runs, no controls, no plot data).
        n: Generated checkpoints.
        prefix: Of their names.
    """
    rng = np.random.default_rng(7)
    is_bare, is_novel = kind == "bare", kind in ("novel", "mosaic")
    if kind == "one_run":
        training = _findings(rng, "training", 300, 0.3, 0.995, rng_quality=95.2, prefix="step")
    else:
        training = _findings(rng, "training", 300, 17.8, 0.35, rng_quality=95.2)
    heldout = None if is_bare else _findings(rng, "heldout", 100, 17.8, 0.35, rng_quality=95.1)
    generated = (
        _findings(rng, "generated", n, 17.75, 0.35, rng_quality=95.1, prefix=prefix)
        if is_novel
        else _findings(rng, "generated", n, 0.5, 0.985, rng_quality=95.3, prefix=prefix)
    )
    if kind == "mosaic":
        generated = _mosaic(generated)
    baselines = {
        "noise": _findings(rng, "noise, matched novelty", 100, 3.1, 0.97, rng_quality=94.9),
        "average_2": _findings(rng, "average of 2", 100, 8.9, 0.71, rng_quality=71.0),
        "average_16": _findings(rng, "average of 16", 100, 12.6, 0.3, rng_quality=38.0),
        "gaussian": _findings(rng, "Gaussian per parameter", 100, 21.4, 0.2, rng_quality=24.0),
    }
    if is_bare:
        for found in (training, generated):
            _without_task(found)
        baselines = {}
    result = AuditResult(
        training=training,
        generated=generated,
        heldout=heldout,
        baselines=baselines,
        baseline_notes={
            "noise": "isotropic noise of standard deviation 0.112",
            "average_2": "means of 2 distinct training checkpoints, aligned to the first",
            "average_16": "means of 16 distinct training checkpoints, aligned to the first",
            "gaussian": "an independent Gaussian per parameter",
            "average_99": "needs 990 training runs, there are 300",
        }
        if baselines
        else {},
        p_values={} if heldout is None else _ranks(generated, heldout),
        layers=() if is_bare else LAYERS,
        controls={} if heldout is None else _controls(rng, heldout, kind),
        n_runs=1 if kind == "one_run" else 300,
        quantities=quantities(generated, training, heldout),
        distance=DistanceInfo(
            "L2, minimized over permutations of the 10 hidden neurons",
            True,
            "permutations of hidden (10 neurons)",
        ),
        quality=None if is_bare else Measure("accuracy", "%", True),
        novelty=None if is_bare else Measure("maximum similarity", "", False),
        warnings=()
        if is_novel
        else (Note("other-recipe", "the training runs share one recipe; others were not tried"),),
        about={
            "generator": "diffusion over weights, 3.6M parameters",
            "architecture": "MLP 64-10-10, 760 weights",
            "task": "digits, 8x8 pixels, 360 test images",
            "data": "scikit-learn digits, in place of MNIST",
            "training": {"checkpoints": 300, "runs": 300, "recipe": "Adam, 20 epochs"},
            "seeds": {"audit": 0, "zoo": 1},
            "generated": {"settings": {"generator": {"parameters": 3600000, "gap": gap_told()}}}
            if kind == "copies"
            else None,
            "shared_initialization": {"novel": False, "withheld": True}.get(kind),
        },
    )
    verdicts = verdicts_of(kind, n, result)
    folder.mkdir(parents=True)
    data = result.to_json() | {"verdict": verdicts.to_json()}
    _write_json(folder / "audit.json", data)
    table = result.table()
    table["verdict"] = [str(checkpoint.origin) for checkpoint in verdicts.checkpoints]
    table["kind"] = [checkpoint.kind for checkpoint in verdicts.checkpoints]
    table["works"] = [checkpoint.works for checkpoint in verdicts.checkpoints]
    table["reason"] = [checkpoint.reason for checkpoint in verdicts.checkpoints]
    table.to_csv(folder / "checkpoints.csv", index=False)
    manifest = {
        "command": "novelweights audit --train zoo/train --generated zoo/generated -o runs/demo",
        "settings": {"task": "digits", "symmetry": "auto", "neighbors": 3},
        "seed": 0,
        "versions": {"novelweights": "0.1.0", "torch": "2.13.0", "numpy": "2.3.1"},
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "inputs": {
            "train": {"path": "zoo/train", "sha256": "ab" * 32, "rows": 300},
            "generated": {"path": "zoo/generated", "sha256": "cd" * 32, "rows": n},
        },
        "seconds": {"neighbors": 1.3712, "behavior": 0.42, "hull": 11.9},
    }
    _write_json(folder / "manifest.json", manifest)
    if not is_bare:
        arrays: dict[str, Any] = _plot_data(rng, is_novel)
        np.savez_compressed(folder / "plot_data.npz", **arrays)
    return folder


def edit_json(path: Path, **changes: object) -> None:
    """Replace some top-level entries of a JSON file."""
    _write_json(path, json.loads(path.read_text()) | changes)


def edit_csv(path: Path, column: str, value: str) -> None:
    """Set one column of the first row of a CSV file."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0][column] = value
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_json(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, allow_nan=False))


def _findings(
    rng: np.random.Generator,
    label: str,
    n: int,
    distance: float,
    cosine: float,
    *,
    rng_quality: float,
    prefix: str = "run",
) -> Measurements:
    is_near = distance < 2
    first = rng.normal(distance, 0.06 if is_near else 0.35, n).clip(0.1)
    distances = np.stack([first, rng.normal(17.9, 0.2, n), rng.normal(18.3, 0.2, n)], 1)
    distances.sort(axis=1)
    weights = np.array([0.96, 0.012, 0.008]) if is_near else np.array([0.21, 0.12, 0.09])
    if label.startswith("average of 2"):
        weights = np.array([0.5, 0.49, 0.005])
    rows = np.stack([rng.permutation(300)[:3] for _ in range(n)])
    if is_near:
        rows[:, 0] = (300 * rng.beta(1, 3, n)).astype(int)
    layer_rows = np.stack([rows[:, 0], rows[:, 0] if is_near else rng.integers(300, size=n)], 1)
    novelty = rng.normal(0.88 if is_near else 0.45 if distance > 5 else 0.86, 0.04, n)
    return Measurements(
        label=label,
        names=[f"{prefix}-{i:04d}" for i in range(n)],
        neighbor_rows=rows,
        neighbor_distances=distances,
        distance_lower=distances[:, 0],
        raw_distance=distances[:, 0] * 1.1,
        cosine=rng.normal(cosine, 0.03 * (1.02 - cosine) + 0.002, n).clip(-1, 1),
        norm=rng.normal(18, 0.5, n),
        hull_ratio=rng.normal(0.97, 0.01, n),
        raw_hull_ratio=rng.normal(0.98, 0.01, n),
        sparse_ratio=rng.normal(0.9, 0.02, n),
        raw_sparse_ratio=rng.normal(0.95, 0.02, n),
        pca_residual=rng.normal(0.6, 0.03, n),
        raw_pca_residual=rng.normal(0.7, 0.03, n),
        recentred_cosine=rng.normal(cosine, 0.01, n).clip(-1, 1),
        layer_distance=distances[:, :1] * np.array([0.8, 0.6]),
        layer_cosine=rng.normal(cosine, 0.01, (n, 2)).clip(-1, 1),
        layer_rows=layer_rows,
        source_rows=rows,
        source_weights=np.tile(weights, (n, 1)),
        quality=rng.normal(rng_quality, 0.6 if rng_quality > 90 else 7, n).clip(5, 99),
        novelty=novelty.clip(0, 1),
        overlap=rng.normal(0.985 if is_near else 0.94, 0.004, n),
        expected_novelty=rng.normal(0.03, 0.002, n).clip(0, 1),
    )


def _mosaic(found: Measurements) -> Measurements:
    """Each layer a copy of a layer of another of twelve runs."""
    n = np.arange(len(found))
    rows = np.stack([n % 12, (5 * n + 3) % 12], 1)
    return replace(found, layer_rows=rows, layer_cosine=np.full((len(found), 2), 0.99))


def _without_task(found: Measurements) -> None:
    names = ("quality", "novelty", "overlap", "expected_novelty", "hull_ratio", "source_rows")
    for name in (*names, "source_weights", "layer_distance", "layer_cosine", "layer_rows"):
        object.__setattr__(found, name, None)


def _ranks(generated: Measurements, heldout: Measurements) -> dict[str, np.ndarray]:
    p_values = {}
    for name, attribute in RANKS.items():
        mine, theirs = getattr(generated, attribute), getattr(heldout, attribute)
        near = mine[:, None] <= theirs if "cosine" in attribute else mine[:, None] >= theirs
        p_values[f"{name}_near"] = (1 + near.sum(axis=1)) / (len(heldout) + 1)
        p_values[f"{name}_far"] = (1 + (~near).sum(axis=1)) / (len(heldout) + 1)
    p_values["direction_near"] = np.minimum(p_values["cosine_near"], p_values["recentred_near"])
    p_values["mixture_near"] = np.minimum(p_values["hull_near"], p_values["pca_near"])
    p_values["large_mixture_near"] = p_values["mixture_near"]
    assert generated.layer_cosine is not None
    assert heldout.layer_cosine is not None
    for name, extreme in (("layers_any", np.max), ("layers_all", np.min)):
        mine, theirs = (extreme(found.layer_cosine, axis=1) for found in (generated, heldout))
        near = (mine[:, None] <= theirs).sum(axis=1)
        p_values[f"{name}_near"] = (1 + near) / (len(heldout) + 1)
    p_values["quality_low"] = np.linspace(0.1, 1, len(generated))
    p_values["similarity_high"] = np.linspace(0.2, 1, len(generated))
    return p_values


def _controls(rng: np.random.Generator, heldout: Measurements, kind: str) -> dict[str, Planted]:
    """Checkpoints of known origin; which verdicts they get is in `control_verdicts`."""

    def plant(label: str, distance: float, cosine: float, *expected: str, **more: Any) -> Planted:
        share = distance / 17.8
        quality, novelty = 95.3 - 30 * share**2, 0.98 - 0.6 * share
        found = _findings(rng, label, 40, max(distance, 0.2), cosine, rng_quality=quality)
        found = replace(found, novelty=rng.normal(novelty, 0.01, 40).clip(0, 1))
        return Planted(label, found, _ranks(found, heldout), expected, **more)

    noise = "a training checkpoint plus isotropic noise of this length over the median distance"
    ladder = {
        f"noise_{share:g}": plant(
            f"copies + noise of {share:g}",
            17.8 * share,
            1 - 0.4 * share,
            "replica",
            noise=share,
            can_veto=share == 0.1,
            note=noise,
        )
        for share in (0.1, 0.25, 0.5, 0.75, 1.0)
    }
    fresh = Planted(
        "held-out runs, half judged by the other half",
        heldout,
        _ranks(heldout, heldout),
        ("novel", "undecided", "broken"),
        can_veto=True,
        n_chance=len(heldout) - 1,
    )
    return {
        "copies": plant("exact copies", 0.0, 1.0, "replica", can_veto=True, noise=0.0),
        **ladder,
        "permuted": plant(
            "copies with permuted neurons",
            0.0,
            1.0,
            "replica",
            can_veto=True,
            note="moved by the declared symmetry group",
        ),
        "average_2": plant("averages of 2", 8.9, 0.7, "interpolation", can_veto=True),
        "mosaic": plant("mosaics", 12.0, 0.6, "interpolation", note="layers of two runs each"),
        "shrunk": plant("shrunk held-out runs", 14.0, 0.35, "novel", "undecided", "broken"),
        "heldout": fresh,
    }


def _plot_data(rng: np.random.Generator, is_novel: bool) -> dict[str, np.ndarray]:
    base = rng.normal(0, 0.6, (3, 1, 64)).astype(np.float32)
    values = rng.normal(0, 0.6, (3, 4, 64)).astype(np.float32)
    if not is_novel:
        values[:, :1] = base
        values[:, 1:2] = base + rng.normal(0, 0.02, (3, 1, 64)).astype(np.float32)
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 100), np.linspace(-1, 1, 100)), -1)
    regions = np.zeros((3, 2, 100, 100), np.uint8)
    for i in range(3):
        centers = rng.uniform(-1.2, 1.2, (10, 2))
        for j in range(2):
            moved = centers + rng.normal(0, 0.3 if is_novel else 0.01, (10, 2)) * j
            distance = ((grid[:, :, None] - moved) ** 2).sum(-1)
            bend = 0.15 * np.sin(6 * grid[:, :, :1] + np.arange(10))
            regions[i, j] = (distance + bend).argmin(-1)
    return {
        "heatmap_parameters": np.sort(rng.permutation(760)[:64]),
        "heatmap_values": values,
        "heatmap_rows": np.array([0, 1, 2]),
        "regions": regions,
        "region_rows": np.array([0, 1, 2]),
    }

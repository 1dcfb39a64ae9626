"""Reading the folder that an audit leaves: everything a report is made from, checked once, here.

A file that is missing or damaged is the user's to repair, so it ends in `InputError`; data that an
audit may lack (a task, held-out runs, pictures) are simply absent.
"""

import csv
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA, ControlVerdict, Verdict
from novelweights.auditing.result import SCHEMA_VERSION, TSNE_GROUPS, AuditResult, Measurements
from novelweights.errors import InputError
from novelweights.files import read_json
from novelweights.report.shape_pairs import FLOAT_SHAPE_ARRAYS, SHAPE_ARRAYS, shape_pairs

REMEDY = "run `novelweights audit` again, or restore the file"
TEXT_COLUMNS = ("verdict", "kind", "works", "reason", "name")
COLUMNS = (*TEXT_COLUMNS, "nearest_run", "distance", "distance_lower", "cosine")
PLOT_SHAPES = {
    "heatmap_parameters": ("p",),
    "heatmap_values": ("s", 4, "p"),
    "heatmap_rows": ("s",),
    "regions": ("r", 2, "y", "x"),
    "region_rows": ("r",),
    "inputs_without_regions": (),
    "entry_parameters": ("e",),
    "entry_training": ("et", "e"),
    "entry_generated": ("eg", "e"),
    "row_parameters": ("w",),
    "row_training": ("wt", "w"),
    "row_generated": ("wg", "w"),
    "row_from_scratch": ("ws", "w"),
    "row_heldout": ("wh", "w"),
    "tsne_points": ("t", 2),
    "tsne_groups": ("t",),
    **SHAPE_ARRAYS,
}
FLOATS = (
    "heatmap_values",
    "tsne_points",
    *(
        f"{what}_{kind}"
        for what in ("entry", "row")
        for kind in ("training", "generated", "from_scratch", "heldout")
    ),
    *FLOAT_SHAPE_ARRAYS,
)
PLOT_PARTNERS = (
    ("heatmap_parameters", "heatmap_values", "heatmap_rows"),
    ("regions", "region_rows"),
    ("entry_parameters", "entry_training", "entry_generated"),
    ("row_parameters", "row_training", "row_generated"),
    ("tsne_points", "tsne_groups"),
    tuple(SHAPE_ARRAYS),
)

T = TypeVar("T")


@dataclass(frozen=True)
class StoredVerdict:
    """The verdict on the population, as `audit.json` holds it."""

    origin: Verdict
    sentence: str
    reasons: tuple[str, ...]
    would_decide: tuple[str, ...]
    counts: Mapping[Verdict, int]
    criteria: Mapping[str, Any]
    controls: tuple[ControlVerdict, ...] = ()
    largest_noise_seen: float | None = None
    """Copies with up to this noise are found; None if none is."""
    is_only_certain: bool = False
    """Whether nothing is shown beyond single samples that are training checkpoints."""

    @property
    def withheld_by(self) -> tuple[ControlVerdict, ...]:
        """Controls that were misjudged, so that the audit cannot be trusted."""
        return tuple(c for c in self.controls if c.can_veto and not c.passed)

    @property
    def blind_spots(self) -> tuple[ControlVerdict, ...]:
        """Other controls that were misjudged."""
        return tuple(c for c in self.controls if not c.can_veto and not c.passed)

    def has_few_runs(self, result: AuditResult) -> bool:
        """Whether the training checkpoints come from too few runs to identify anything."""
        n_runs = len(result.training_names) if result.n_runs is None else result.n_runs
        return n_runs < self.criteria.get("min_runs", DEFAULT_CRITERIA.min_runs)


@dataclass(frozen=True)
class Manifest:
    """How the audit was run, as `manifest.json` holds it."""

    command: str
    settings: Mapping[str, Any]
    seed: int | None
    versions: Mapping[str, str]
    git_commit: str | None
    inputs: Mapping[str, Mapping[str, Any]]
    seconds: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class RunFolder:
    """Everything a report is made from."""

    result: AuditResult
    verdict: StoredVerdict
    checkpoints: list[dict[str, str]]
    """Lines of `checkpoints.csv`, as text, in row order."""
    manifest: Manifest
    plot_data: Mapping[str, np.ndarray]
    """Empty where the audit left no pictures."""


def read_run_folder(folder: Path) -> RunFolder:
    """The contents of a run folder.

    Raises:
        InputError: It is no run folder, or a file is missing, damaged or does not fit the others.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: expected a run folder, it is not there; "
            "name the folder that `novelweights audit` wrote with -o",
            "not-found",
        )
    audit_path, table_path = folder / "audit.json", folder / "checkpoints.csv"
    audit = _json(audit_path)
    if audit.get("schema_version") == SCHEMA_VERSION - 1:
        raise InputError(
            f"{audit_path}: written by an earlier version; bring it to this one with "
            f"`python -m novelweights.report.migrate {folder}`",
            "wrong-version",
        )
    result = _parsed(audit_path, "the result of an audit", lambda: _result(audit))
    verdict = _parsed(audit_path, "a verdict", lambda: _verdict(audit["verdict"], result))
    checkpoints = _parsed(table_path, "a table of checkpoints", lambda: _table(table_path))
    n = len(result.generated) + len(result.not_finite)
    if len(checkpoints) != n:
        raise InputError(
            f"{table_path}: expected the {n} checkpoints of audit.json, "
            f"got {len(checkpoints)}; {REMEDY}",
            "other-rows",
        )
    manifest_path, plot_path = folder / "manifest.json", folder / "plot_data.npz"
    manifest = _json(manifest_path)
    return RunFolder(
        result=result,
        verdict=verdict,
        checkpoints=checkpoints,
        manifest=_parsed(manifest_path, "a manifest", lambda: _manifest(manifest)),
        plot_data=_parsed(plot_path, "arrays to draw", lambda: _plot_data(plot_path, result)),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        data = read_json(path)
    except InputError as error:
        raise InputError(f"{error}; {REMEDY}", error.code) from error
    if not isinstance(data, dict):
        raise InputError(
            f"{path}: expected a JSON object, got {type(data).__name__}; {REMEDY}", "damaged"
        )
    return data


def _parsed(path: Path, expected: str, parse: Callable[[], T]) -> T:
    """What `parse` returns; what it stumbles over becomes a message about the file."""
    try:
        return parse()
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: expected this file, it is not there; {REMEDY}", "not-found"
        ) from error
    except KeyError as error:
        raise InputError(
            f"{path}: expected {expected}, got no entry {error}; {REMEDY}", "damaged"
        ) from error
    except (
        TypeError,
        ValueError,
        AttributeError,
        EOFError,
        OSError,
        csv.Error,
        zipfile.BadZipFile,
    ) as error:
        raise InputError(
            f"{path}: expected {expected}, got something else ({error}); {REMEDY}",
            "damaged",
        ) from error


def _result(data: Mapping[str, Any]) -> AuditResult:
    result = AuditResult.from_json(data)
    if not isinstance(result.about, Mapping):
        raise ValueError("'about' is not an object")
    if result.n_runs is not None and not isinstance(result.n_runs, int):
        raise ValueError("'n_runs' is not a count")
    populations = {"training": result.training, "generated": result.generated}
    populations |= dict(result.baselines)
    populations |= {f"control {key}": c.measured for key, c in result.controls.items()}
    if result.heldout is not None:
        populations["heldout"] = result.heldout
    if result.from_scratch is not None:
        populations["from_scratch"] = result.from_scratch
    if (steps := result.heldout_steps) is not None and steps.distance.shape != steps.cosine.shape:
        raise ValueError("heldout_steps: distances and cosines are not as many")
    for key, found in populations.items():
        _check(key, found, len(result.training_names), len(result.layers))
    _check_p_values(result.p_values, len(result.generated))
    for planted in result.controls.values():
        _check_p_values(planted.p_values, len(planted.measured))
    return result


def _check(key: str, measurements: Measurements, n_training: int, n_layers: int) -> None:
    """Refuse arrays that do not fit the names, or neighbors that do not exist."""
    for name, values in vars(measurements).items():
        if isinstance(values, np.ndarray) and len(values) != len(measurements.names):
            raise ValueError(
                f"{key}: {len(values)} {name} for {len(measurements.names)} checkpoints"
            )
    if (
        measurements.neighbor_rows.shape != measurements.neighbor_distances.shape
        or measurements.neighbor_rows.ndim != 2
    ):
        raise ValueError(f"{key}: neighbor_rows and neighbor_distances differ in shape")
    for name in ("layer_distance", "layer_cosine", "layer_rows"):
        values = getattr(measurements, name)
        if values is not None and n_layers and values.shape != (len(measurements), n_layers):
            raise ValueError(f"{key}: {name} has shape {values.shape} for {n_layers} layers")
    for name in ("neighbor_rows", "source_rows", "layer_rows"):
        rows = getattr(measurements, name)
        if rows is not None and rows.size and not 0 <= rows.min() <= rows.max() < n_training:
            raise ValueError(f"{key}: {name} beyond the {n_training} training checkpoints")


def _check_p_values(p_values: Mapping[str, np.ndarray], n: int) -> None:
    for name, values in p_values.items():
        if values.shape != (n,):
            raise ValueError(f"p_values {name!r}: {values.shape} for {n} rows")


def _verdict(data: Mapping[str, Any], result: AuditResult) -> StoredVerdict:
    population, noise = data["population"], data["largest_noise_seen"]
    return StoredVerdict(
        origin=Verdict(population["origin"]),
        sentence=str(population["sentence"]),
        reasons=tuple(map(str, population["reasons"])),
        would_decide=tuple(map(str, population["would_decide"])),
        counts={Verdict(key): int(count) for key, count in data["counts"].items()},
        criteria=dict(data["criteria"]),
        controls=tuple(_control(control, result) for control in data["controls"]),
        largest_noise_seen=None if noise is None else float(noise),
        is_only_certain=bool(population.get("is_only_certain")),
    )


def _control(data: Mapping[str, Any], result: AuditResult) -> ControlVerdict:
    changed = {
        "expected": tuple(str(Verdict(kind)) for kind in data["expected"]),
        "counts": {str(Verdict(kind)): int(count) for kind, count in data["counts"].items()},
        "noise": None if data["noise"] is None else float(data["noise"]),
        "distance": float(data["distance"]),
        **{name: str(data[name]) for name in ("key", "label", "note")},
    }
    control = ControlVerdict(**{**data, **changed})
    if control.key not in result.controls:
        raise KeyError(f"controls, {control.key}")
    n = len(result.controls[control.key].measured)
    if not control.n == n == sum(control.counts.values()) or not 0 <= control.right <= n:
        raise ValueError(f"control {control.key!r}: its counts do not fit its {n} checkpoints")
    return control


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        rows = list(reader)
    for column in COLUMNS:
        if column not in (reader.fieldnames or ()):
            raise KeyError(column)
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ValueError(f"line {line} has another number of columns than the header")
        Verdict(row["verdict"])
        for column, text in row.items():
            if column in TEXT_COLUMNS or column.endswith("_run"):
                continue
            # those that are not finite are broken and have no distance
            if text or (column == "distance" and row["verdict"] != Verdict.BROKEN):
                float(text)
    return rows


def _manifest(data: Mapping[str, Any]) -> Manifest:
    return Manifest(
        command=str(data["command"]),
        settings=dict(data["settings"]),
        seed=data["seed"],
        versions=dict(data["versions"]),
        git_commit=data["git_commit"],
        inputs={role: dict(entry) for role, entry in data["inputs"].items()},
        seconds={stage: float(seconds) for stage, seconds in data["seconds"].items()},
    )


def _plot_data(path: Path, result: AuditResult) -> dict[str, np.ndarray]:
    """The arrays to draw; none where the file is absent."""
    if not path.exists():
        return {}
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files if key in PLOT_SHAPES}
    sizes: dict[str | int, int] = {}
    for key, values in arrays.items():
        shape = PLOT_SHAPES[key]
        if len(shape) != values.ndim:
            raise ValueError(f"{key} has {values.ndim} axes, not {len(shape)}")
        if values.dtype.kind not in ("f" if key in FLOATS else "iu"):
            raise ValueError(f"{key} holds {values.dtype}")
        for axis, size in zip(shape, values.shape, strict=True):
            known = axis if isinstance(axis, int) else sizes.setdefault(axis, size)
            if size != known:
                raise ValueError(f"{key} has shape {values.shape}, which does not fit")
    for partners in PLOT_PARTNERS:
        if 0 < sum(key in arrays for key in partners) < len(partners):
            raise ValueError(f"only some of {', '.join(partners)}")
    for key in ("heatmap_rows", "region_rows", "shape_rows"):
        rows = arrays.get(key, np.zeros(0))
        if rows.size and not 0 <= rows.min() <= rows.max() < len(result.generated):
            raise ValueError(f"{key} beyond the {len(result.generated)} generated checkpoints")
    groups = arrays.get("tsne_groups", np.zeros(0))
    if groups.size and not 0 <= groups.min() <= groups.max() < len(TSNE_GROUPS):
        raise ValueError(f"tsne_groups beyond the {len(TSNE_GROUPS)} kinds")
    shape_pairs(arrays)  # refuses what does not fit
    return arrays

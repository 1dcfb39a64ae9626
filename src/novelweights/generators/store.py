"""The model folder of a fitted generator: generator.json, layout.csv and the method's own files.

loss.csv and gap.csv lie beside them where a fit logged them.
"""

import csv
import hashlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from novelweights.errors import InputError
from novelweights.files import read_json, sha256_of, telling_full_disk, write_json, write_text
from novelweights.generators import method_named, method_names
from novelweights.generators.generator import FittedGenerator
from novelweights.generators.parts.gap import GapRow, HasLoss, six_digits
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, weights_digest
from novelweights.weights.provenance import GeneralizationGap, Provenance
from novelweights.weights.store import info_from_json

SCHEMA_VERSION = 1


def save_fitted(
    fitted: FittedGenerator,
    folder: Path,
    *,
    method: str,
    settings: Any,
    training: Population,
    gap: GeneralizationGap | None = None,
) -> None:
    """Write a fitted generator into an existing folder.

    Args:
        training: The population it was fitted to; described, not stored.
        gap: Its generalization gap, where there were held-out runs.
    """
    info = training.info
    with telling_full_disk(folder):
        fitted.save(folder)
    write_text(folder / "layout.csv", training.layout.to_csv())
    write_json(
        folder / "generator.json",
        {
            "schema_version": SCHEMA_VERSION,
            "method": method,
            "settings": asdict(settings),
            "architecture": info.architecture,
            "symmetry": info.symmetry.to_json() if info.symmetry else None,
            "task": info.task,
            "training": {
                "rows": len(training),
                "recipe": info.recipe,
                "sha256": weights_digest(training),
            },
            "parameters": fitted.parameters if isinstance(fitted, HasLoss) else None,
            "values_in_training": training.weights.numel(),
            "gap": None if gap is None else gap.to_json(),
        },
    )


def load_fitted(folder: Path) -> tuple[FittedGenerator, str]:
    """A fitted generator and the name of its method.

    Raises:
        InputError: The folder is not a model folder, or a file of it is missing or damaged.
    """
    if not (folder / "generator.json").is_file():
        raise InputError(
            f"{folder}: expected the folder of a fitted generator (with generator.json); "
            "make one with `novelweights fit`",
            "not-found",
        )
    described = read_json(folder / "generator.json")
    version = described.get("schema_version") if isinstance(described, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{folder}: generator.json has schema version {version}, this program reads "
            f"{SCHEMA_VERSION}; use the version of novelweights that wrote it",
            "wrong-version",
        )
    name = str(described.get("method"))
    if name not in (known := method_names()):
        raise InputError(
            f"{folder}: made by method {name!r}, which is not installed; known are "
            f"{', '.join(sorted(known))}. Install the package that adds it",
            "not-installed",
        )
    method = method_named(name)
    layout_path = folder / "layout.csv"
    if not layout_path.is_file():
        raise InputError(
            f"{layout_path}: expected this file, it is missing; fit again", "not-found"
        )
    layout = WeightLayout.from_csv(layout_path.read_text(), str(layout_path))
    try:
        settings = type(next(iter(method.scales.values())))(**described["settings"])
        info = info_from_json({**described, "recipe": described["method"]})
        return method.fitted.load(folder, settings, layout, info), described["method"]
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
        raise InputError(
            f"{folder}: the fitted generator cannot be read ({error}); fit it again", "damaged"
        ) from error


def model_digest(folder: Path) -> str:
    """SHA-256 of a fitted generator, wherever its folder lies: its settings and its weights."""
    digest = hashlib.sha256()
    for path in sorted([folder / "generator.json", *folder.glob("*.safetensors")]):
        digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def training_digest(folder: Path) -> str | None:
    """`weights_digest` of what a generator was fitted to; None where its folder does not say."""
    training = read_json(folder / "generator.json").get("training")
    digest = training.get("sha256") if isinstance(training, dict) else None
    return digest if isinstance(digest, str) else None


def with_provenance(
    sampled: Population,
    folder: Path,
    *,
    sampler: str | None = None,
    fitted: FittedGenerator | None = None,
) -> Population:
    """Samples that say which generator made them, for an audit to read.

    Args:
        sampler: How it was sampled, where there are several ways.
        fitted: What the folder holds; None: it is loaded.

    Returns:
        The same checkpoints with `info.provenance`; the history of its gap is that of gap.csv.

    Raises:
        InputError: The folder is not a model folder.
    """
    described = read_json(folder / "generator.json")
    gap = described.get("gap")
    if isinstance(gap, dict):
        gap = {**gap, "history": _history(folder / "gap.csv")}
    one = sampled.select([0])
    has_codec = (fitted or load_fitted(folder)[0]).as_reference(one) is not one
    provenance = Provenance.from_json(
        {
            "method": described.get("method"),
            "sampler": sampler,
            "codec": has_codec,
            "parameters": described.get("parameters"),
            "values_in_training": described.get("values_in_training"),
            "gap": gap,
        }
    )
    return replace(sampled, info=replace(sampled.info, provenance=provenance))


def _history(path: Path) -> list[list[int | float | None]]:
    """The first four columns of gap.csv; nothing where the fit was not watched."""
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                [int(row["step"]), int(row["timestep"])]
                + [six_digits(float(row[name])) for name in ("loss_train", "loss_heldout")]
                for row in csv.DictReader(file)
            ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: expected columns {', '.join(GapRow._fields)}; {error}. Delete the file (the "
            "history of the gap is lost with it), or fit again",
            "damaged",
        ) from error

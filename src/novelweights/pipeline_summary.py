"""The summary of an evaluation, written from the files it left: read, checked, handed on."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from novelweights.errors import InputError
from novelweights.files import read_json
from novelweights.generators import method_named
from novelweights.generators.store import model_digest
from novelweights.pipeline_folder import (
    RESTORE,
    STAGES,
    entries,
    evaluation_marker,
    read_stages,
)
from novelweights.report.summary import (
    NOTHING_PRINTED,
    Evaluation,
    audit_folder,
    write_summary,
)
from novelweights.report.summary_page import RECONSTRUCTION, STEERING
from novelweights.reproduce.reported import REPORTED

ASKED: dict[str, type] = {
    **dict.fromkeys(("method", "zoo", "scale"), str),
    **dict.fromkeys(("runs", "heldout_runs", "checkpoints", "start_runs", "samples", "seed"), int),
}
"""What the settings of an evaluation hold."""


def summarize(folder: Path) -> Path:
    """Write the summary of an evaluation again, from its files alone.

    Returns:
        The path of summary.md.

    Raises:
        InputError: The folder is no evaluation, or a file in it is missing or damaged.
    """
    asked = _asked(folder)
    method = method_named(asked["method"])
    published = method.scales.get("paper")
    papers_own = None if published is None else asdict(published)
    model = _described(folder / "model" / "generator.json", papers_own or {})
    seconds, cores = read_stages(folder / STAGES)
    evaluation = Evaluation(
        settings=asked,
        generator=model,
        published=papers_own,
        seconds=seconds,
        cores=cores,
        steering=_study(folder, STEERING),
        reconstruction=_study(folder, RECONSTRUCTION),
        printed=REPORTED.get(asked["method"], NOTHING_PRINTED),
        samplers=method.samplers,
    )
    return write_summary(folder, evaluation)


def _described(path: Path, published: Mapping[str, Any]) -> dict[str, Any]:
    """generator.json, as far as a summary reads it."""
    sizes = dict.fromkeys(("parameters", "values_in_training"), int | None)
    described = entries(path, read_json(path), {"settings": dict, "training": dict, **sizes})
    entries(path, described["training"], {"rows": int})
    settings = described["settings"]
    entries(path, settings, dict.fromkeys(("steps", "batch_size"), int | None))
    if missing := [name for name in published if name not in settings]:
        raise InputError(
            f"{path}: expected all settings of the method, {', '.join(missing)} missing; {RESTORE}",
            "damaged",
        )
    return described


def audited_folders(folder: Path) -> list[Path]:
    """The run folders of an evaluation's audits, the published sampler's first.

    Raises:
        InputError: The folder is no evaluation.
    """
    samplers = method_named(_asked(folder)["method"]).samplers
    return [folder / audit_folder(sampler, samplers) for sampler in samplers or ("",)]


def _asked(folder: Path) -> dict[str, Any]:
    """What an evaluation was asked for."""
    marker = evaluation_marker(folder)
    if marker is None:
        raise InputError(
            f"{folder}: expected the folder of an evaluation, it has no evaluation.json; make one "
            "with `novelweights evaluate`",
            "not-found",
        )
    asked = entries(marker, read_json(marker), ASKED)
    try:
        method_named(asked["method"])
    except InputError as error:
        raise InputError(f"{marker}: {error}; {RESTORE}", "damaged") from error
    return asked


def _study(folder: Path, name: str) -> str | None:
    """What a study of this model says, in a sentence; of another model, or of none, nothing."""
    path = folder / name / f"{name}.json"
    if not path.is_file():
        return None
    study = entries(path, read_json(path), {"about": dict, "summary": dict})
    sentence = entries(path, study["summary"], {"sentence": str})["sentence"]
    is_of_this_model = study["about"].get("model_sha256") == model_digest(folder / "model")
    return sentence if is_of_this_model else None

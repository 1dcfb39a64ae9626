"""The summary of an evaluation: what was run, how long it took, and what came, as plain data.

summary.json holds the numbers, each already in an audit's files; summary.md is written from it
alone (`summary_page.py`). Numbers printed in the paper stand beside ours and are text.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from novelweights.auditing.measure.generalization_gap import GROUP as GAP
from novelweights.auditing.one_run.distances import DISTANCES
from novelweights.auditing.one_run.measure import GROUP as ONE_RUN
from novelweights.auditing.result import AuditResult, Quantity
from novelweights.files import write_json, write_text
from novelweights.report.findings import findings_on
from novelweights.report.run_folder import RunFolder, read_run_folder
from novelweights.report.summary_page import AUDIT, PRINTED_FACTS, markdown
from novelweights.report.tables import codec_told

SUMMARY_PAGE, SUMMARY_DATA = "summary.md", "summary.json"
SUMMARY_SCHEMA = 2
NUMBERS = (
    "mean_quality_generated",
    "mean_quality_training",
    "mean_quality_originals",
    "mean_quality_heldout",
    "quality_difference_training",
    "quality_difference_originals",
    "median_distance_generated",
    "median_distance_training",
    "median_distance_heldout",
    "mean_distance_generated",
    "mean_distance_training",
    "median_distance_generated_originals",
    "median_distance_training_originals",
    "median_distance_heldout_originals",
    "distance_ratio_training",
    "distance_ratio",
    "prediction_overlap_generated",
    "prediction_overlap_training",
    "disagreement_ratio",
    "novelty_ratio",
    "without_surface_generated",
    "minimum_matching_distance_generated",
    "minimum_matching_distance_training",
    "one_nn_accuracy_generated",
    "advantage_over_noise",
    "copied_share",
)
"""Quantities of the audit in the summary, in this order; the generalization gap follows."""
ONE_RUN_NUMBERS = (
    "mean_quality_training",
    "mean_quality_generated",
    "mean_quality_average_16",
    "mean_quality_gaussian",
    "mean_quality_noise",
    "mean_quality_heldout",
    "mean_quality_from_scratch",
    "quality_difference_training",
    "quality_difference_average_16",
    "quality_difference_gaussian",
    "advantage_over_noise",
    "median_novelty_training",
    "median_novelty_generated",
    "median_novelty_average_16",
    "median_novelty_gaussian",
    "median_novelty_noise",
    "median_novelty_heldout",
    "novelty_difference_average_16",
    "novelty_difference_gaussian",
    "prediction_overlap_generated",
    "prediction_overlap_training",
    "prediction_overlap_heldout",
    *DISTANCES,
    "distance_ratio",
    "center_ratio_generated",
    "center_ratio_average_16",
    "center_ratio_gaussian",
    "center_ratio_heldout",
    "nearer_center_generated",
    "spread_generated",
    "spread_average_16",
    "spread_gaussian",
    "shift_generated",
    "weight_difference_generated",
)
"""The same of an audit of one run."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation did besides its audit, as plain data."""

    settings: Mapping[str, Any]
    """What was asked for: method, zoo, scale, counts and seed."""
    generator: Mapping[str, Any]
    """`generator.json` of the model folder."""
    changed: Mapping[str, Sequence[Any]] | None
    """Settings of the method that are not the paper's: [here, in the paper]; None: none of the
    paper's is known."""
    seconds: Mapping[str, float]
    """Per stage."""
    cores: int | None
    """Of the machine that took them."""
    steering: str | None = None
    """What the steering found, in a sentence; None: not done."""
    reconstruction: str | None = None
    """What the reconstructions show, in a sentence; None: not done."""
    paper_setting: str = ""
    """What the paper's numbers are of."""
    paper: Mapping[str, Sequence[str]] | None = None
    """[number as printed, source], by key of a quantity; None: the paper prints none."""
    parameters_note: str = ""
    """What to know of the number of parameters that the paper prints."""
    counts_all_checkpoints: bool = False
    """Whether the paper's number of values counts all the generator learned from; else the
    checkpoints compared."""
    unknown: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the method that are not known from the paper, as they are here."""
    recovered: Sequence[str] = ()
    """Settings that are known from the paper's parameter counts alone."""
    samplers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What each way to sample the generator changes in its settings; empty: there is one."""


def audit_folder(sampler: str, samplers: Collection[str]) -> str:
    """The run folder of a sampler's audit in an evaluation; the first sampler's is `AUDIT`."""
    return AUDIT if sampler in ("", next(iter(samplers), "")) else f"{AUDIT}-{sampler}"


def write_summary(folder: Path, evaluation: Evaluation) -> Path:
    """Write summary.json and summary.md into the folder of an evaluation.

    Args:
        folder: Its audits lie in `audit_folder`.
        evaluation: The rest.

    Returns:
        The path of summary.md.

    Raises:
        InputError: A file of an audit is missing or damaged.
    """
    runs = {
        sampler: read_run_folder(folder / audit_folder(sampler, evaluation.samplers))
        for sampler in (evaluation.samplers or ("",))
    }
    data = summary(runs, evaluation)
    write_json(folder / SUMMARY_DATA, data)
    write_text(folder / SUMMARY_PAGE, markdown(data))
    return folder / SUMMARY_PAGE


def summary(runs: Mapping[str, RunFolder], evaluation: Evaluation) -> dict[str, Any]:
    """The content of summary.json.

    Args:
        runs: The audit of each sampler's checkpoints; of the only one by the name "".
        evaluation: The rest.

    Returns:
        What is common to all samplers, and the numbers of the first; those of others are in
        "others", each with its name in "sampler".
    """
    first, *others = runs
    run, paper = runs[first], evaluation.paper or {}
    result, told = run.result, _told(run, paper)
    data = {
        "schema_version": SUMMARY_SCHEMA,
        "command": run.manifest.command,
        "settings": dict(evaluation.settings),
        "data": result.about.get("data"),
        "architecture": result.about.get("architecture"),
        "weights": _weights(result) or None,
        "checkpoints": told.pop("checkpoints"),
        "distance": result.distance.name,
        "generator": _generator(result, evaluation.generator),
        "settings_not_of_the_paper": None
        if evaluation.changed is None
        else {name: list(pair) for name, pair in evaluation.changed.items()},
        "settings_not_known": dict(evaluation.unknown),
        "settings_recovered": list(evaluation.recovered),
        "versions": dict(run.manifest.versions),
        "git_commit": run.manifest.git_commit,
        "seconds": dict(evaluation.seconds),
        "cores": evaluation.cores,
        **told,
        "paper": None
        if evaluation.paper is None
        else {
            "setting": evaluation.paper_setting,
            "counts_all_checkpoints": evaluation.counts_all_checkpoints,
            **{key: list(paper[key]) for key in PRINTED_FACTS if key in paper},
            **({"note": evaluation.parameters_note} if evaluation.parameters_note else {}),
        },
        "findings": _findings(run),
        "steering": evaluation.steering,
        "reconstruction": evaluation.reconstruction,
    }
    if codec := codec_told(result):
        data["codec"] = codec
    if run.verdict.has_few_runs(result):
        data["training_runs"] = result.n_runs
    if evaluation.samplers:
        data["sampler"] = first
        data["samplers"] = {name: dict(how) for name, how in evaluation.samplers.items()}
        data["others"] = [
            {
                "sampler": name,
                "audit": audit_folder(name, evaluation.samplers),
                **_told(runs[name], paper),
                "findings": _findings(runs[name]),
            }
            for name in others
        ]
    return data


def _told(run: RunFolder, paper: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What one audit says, but for the findings."""
    result, verdict = run.result, run.verdict
    return {
        "checkpoints": _checkpoints(result),
        "verdict": {
            "origin": str(verdict.origin),
            "sentence": verdict.sentence,
            "counts": {str(kind): n for kind, n in verdict.counts.items()},
        },
        "warnings": [vars(note) for note in result.warnings],
        "numbers": [
            {
                "key": quantity.key,
                "label": quantity.label,
                "value": quantity.value,
                "lower": quantity.lower,
                "upper": quantity.upper,
                "level": quantity.level,
                "n": quantity.n,
                "unit": quantity.unit,
                "paper": list(paper[quantity.key]) if quantity.key in paper else None,
            }
            for quantity in _shown(result)
        ],
        "noise": result.baseline_notes.get("noise"),
    }


def _findings(run: RunFolder) -> list[dict[str, Any]]:
    return [finding._asdict() for finding in findings_on(run.result, run.verdict)]


def _checkpoints(result: AuditResult) -> dict[str, int]:
    """How many of each kind the audit compared."""
    counts = {"training": len(result.training_names), "generated": len(result.generated)}
    beside = {"held-out": result.heldout, "from-scratch": result.from_scratch}
    return counts | {kind: len(found) for kind, found in beside.items() if found is not None}


def _generator(result: AuditResult, generator: Mapping[str, Any]) -> dict[str, Any]:
    """Size of the generator and of what it was fitted to, free of any machine."""
    settings = dict(generator.get("settings") or {})
    rows = (generator.get("training") or {}).get("rows")
    drawn = None
    if settings.get("steps") and settings.get("batch_size"):
        drawn = settings["steps"] * settings["batch_size"]
    return {
        "parameters": generator.get("parameters"),
        "training_rows": rows,
        "values_in_training": generator.get("values_in_training"),
        "values_in_compared_training": len(result.training_names) * _weights(result),
        "optimizer_steps": settings.get("steps") if drawn else None,
        "batch_size": settings.get("batch_size") if drawn else None,
        "draws_per_training_row": drawn / rows if drawn and rows else None,
    }


def _weights(result: AuditResult) -> int:
    """Of one checkpoint; 0 where the audit does not say."""
    weights = result.about.get("weights")
    return weights if isinstance(weights, int) else 0


def _shown(result: AuditResult) -> list[Quantity]:
    known = {quantity.key: quantity for quantity in result.quantities}
    is_one_run = any(quantity.group == ONE_RUN for quantity in result.quantities)
    keys = ONE_RUN_NUMBERS if is_one_run else NUMBERS
    shown = [known[key] for key in keys if key in known]
    generalization_gap = [
        q for q in result.quantities if q.group == GAP and q.key.startswith("generalization_gap")
    ]
    return shown + generalization_gap

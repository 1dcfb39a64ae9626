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
from novelweights.report.tables import describe_codec

SUMMARY_PAGE, SUMMARY_DATA = "summary.md", "summary.json"
SUMMARY_SCHEMA = 2


def _of_each(prefix: str, *kinds: str) -> tuple[str, ...]:
    """The keys of one quantity of several kinds of checkpoints."""
    return tuple(f"{prefix}_{kind}" for kind in kinds)


NUMBERS = (
    *_of_each("mean_quality", "generated", "training", "originals", "heldout"),
    *_of_each("quality_difference", "training", "originals"),
    *_of_each("median_distance", "generated", "training", "heldout"),
    *_of_each("mean_distance", "generated", "training"),
    *(f"median_distance_{kind}_originals" for kind in ("generated", "training", "heldout")),
    "distance_ratio_training",
    "distance_ratio",
    "distance_ratio_equal_norm",
    *_of_each("prediction_overlap", "generated", "training"),
    "disagreement_ratio",
    "novelty_ratio",
    "without_surface_generated",
    *_of_each("minimum_matching_distance", "generated", "training"),
    "one_nn_accuracy_generated",
    "advantage_over_noise",
    "copied_share",
)
"""Quantities of the audit in the summary, in this order; the generalization gap follows."""
BASELINES = ("average_16", "gaussian")
ALL_KINDS = ("training", "generated", *BASELINES, "noise", "heldout")
ONE_RUN_NUMBERS = (
    *_of_each("mean_quality", *ALL_KINDS, "from_scratch"),
    *_of_each("quality_difference", "training", *BASELINES),
    "advantage_over_noise",
    *_of_each("median_novelty", *ALL_KINDS),
    *_of_each("novelty_difference", *BASELINES),
    *_of_each("prediction_overlap", "generated", "training", "heldout"),
    *DISTANCES,
    "distance_ratio",
    "distance_ratio_equal_norm",
    *_of_each("center_ratio", "generated", *BASELINES, "heldout"),
    "nearer_center_generated",
    *_of_each("spread", "generated", *BASELINES),
    "shift_generated",
    "weight_difference_generated",
)
"""The same of an audit of one run."""


@dataclass(frozen=True)
class Printed:
    """One number of the paper."""

    text: str
    """As printed, with its unit."""
    source: str
    """The table or section."""


@dataclass(frozen=True)
class PaperResult:
    """What the paper prints of one generator."""

    setting: str
    """Data and training runs."""
    numbers: Mapping[str, Printed]
    """By the key of the audit's quantity that measures the same; else by a name of its own."""
    counts_all_checkpoints: bool = False
    """Whether values_in_training counts all it learned from; else the checkpoints compared."""
    unknown_settings: tuple[str, ...] = ()
    """Settings of the method that neither the paper nor its code tells: ours are a choice."""
    parameters_note: str = ""
    """What to know of the printed number of parameters."""
    recovered_settings: tuple[str, ...] = ()
    """Settings recovered from the parameter counts that the paper prints."""


NOTHING_PRINTED = PaperResult("", {})


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation did besides its audit, as plain data."""

    settings: Mapping[str, Any]
    """What was asked for: method, zoo, scale, counts and seed."""
    generator: Mapping[str, Any]
    """`generator.json` of the model folder."""
    published: Mapping[str, Any] | None
    """The paper's settings of the method; None: none is known."""
    seconds: Mapping[str, float]
    """Per stage."""
    cores: int | None
    """Of the machine that took them."""
    steering: str | None = None
    """What the steering found, in a sentence; None: not done."""
    reconstruction: str | None = None
    """What the reconstructions show, in a sentence; None: not done."""
    printed: PaperResult = NOTHING_PRINTED
    """What the paper prints of such a generator."""
    samplers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What each way to sample the generator changes in its settings; empty: there is one."""


def audit_folder(sampler: str, samplers: Collection[str]) -> str:
    """The run folder of a sampler's audit in an evaluation; the first sampler's is `AUDIT`."""
    return AUDIT if sampler in ("", next(iter(samplers), "")) else f"{AUDIT}-{sampler}"


def write_summary(folder: Path, evaluation: Evaluation) -> Path:
    """Write summary.json and summary.md into the folder of an evaluation.

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

    Returns:
        What is common to all samplers, and the numbers of the first; those of others are in
        "others", each with its name in "sampler".
    """
    first, *others = runs
    run, printed = runs[first], evaluation.printed
    paper = {key: [one.text, one.source] for key, one in printed.numbers.items()}
    here, published = evaluation.generator.get("settings") or {}, evaluation.published
    result, audited = run.result, _of_audit(run, paper)
    data = {
        "schema_version": SUMMARY_SCHEMA,
        "command": run.manifest.command,
        "settings": dict(evaluation.settings),
        "data": result.about.get("data"),
        "architecture": result.about.get("architecture"),
        "weights": _weights(result) or None,
        "checkpoints": audited.pop("checkpoints"),
        "distance": result.distance.name,
        "generator": _generator(result, evaluation.generator),
        "settings_not_of_the_paper": None
        if published is None
        else {
            name: [here[name], value]
            for name, value in published.items()
            if here[name] != value and name not in printed.unknown_settings
        },
        "settings_not_known": {
            name: here[name] for name in printed.unknown_settings if name in here
        },
        "settings_recovered": list(printed.recovered_settings),
        "versions": dict(run.manifest.versions),
        "git_commit": run.manifest.git_commit,
        "seconds": dict(evaluation.seconds),
        "cores": evaluation.cores,
        **audited,
        "paper": {
            "setting": printed.setting,
            "counts_all_checkpoints": printed.counts_all_checkpoints,
            **{key: paper[key] for key in PRINTED_FACTS if key in paper},
            **({"note": printed.parameters_note} if printed.parameters_note else {}),
        }
        if paper
        else None,
        "findings": _findings(run),
        "steering": evaluation.steering,
        "reconstruction": evaluation.reconstruction,
    }
    if codec := describe_codec(result):
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
                **_of_audit(runs[name], paper),
                "findings": _findings(runs[name]),
            }
            for name in others
        ]
    return data


def _of_audit(run: RunFolder, paper: Mapping[str, Sequence[str]]) -> dict[str, Any]:
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
                "paper": paper.get(quantity.key),
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

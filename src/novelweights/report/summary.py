"""The summary of an evaluation: what was run, how long it took, and what came, on one short page.

summary.json holds the numbers, each already in an audit's files; summary.md is written from it
alone. Numbers printed in the paper stand beside ours and are text.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from novelweights.audit.own_gap import GROUP as OWN_GAP
from novelweights.audit.result import AuditResult, Quantity
from novelweights.audit.words import count
from novelweights.files import write_json, write_text
from novelweights.report.findings import paper_findings
from novelweights.report.run_folder import RunFolder, read_run_folder
from novelweights.report.tables import number, plain, quantity_rows

SUMMARY_PAGE, SUMMARY_DATA = "summary.md", "summary.json"
SCHEMA_VERSION = 1
AUDIT, STEERING = "audit", "steering"
"""Where an evaluation keeps the run folders of its audit and of its steering, if any."""
NUMBERS = (
    "mean_quality_generated",
    "mean_quality_training",
    "mean_quality_heldout",
    "quality_difference_training",
    "median_distance_generated",
    "median_distance_training",
    "median_distance_heldout",
    "mean_distance_generated",
    "mean_distance_training",
    "distance_ratio_training",
    "distance_ratio",
    "prediction_overlap_generated",
    "prediction_overlap_training",
    "disagreement_ratio",
    "advantage_over_noise",
    "copied_share",
)
"""Quantities of the audit in the summary, in this order; the generator's own gap follows."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation did besides its audit, as plain data."""

    settings: Mapping[str, Any]
    """What was asked for: method, zoo, scale, counts and seed."""
    generator: Mapping[str, Any]
    """`generator.json` of the model folder."""
    changed: Mapping[str, Sequence[Any]] | None
    """Settings of the method that are not the paper's: [here, in the paper]; None: the paper's are
    not known."""
    seconds: Mapping[str, float]
    """Per stage."""
    cores: int | None
    """Of the machine that took them."""
    steering: str | None = None
    """What the steering found, in a sentence; None: not done."""
    paper_setting: str = ""
    """What the paper's numbers are of."""
    paper: Mapping[str, Sequence[str]] | None = None
    """[number as printed, source], by key of a quantity; None: the paper prints none."""


def write_summary(folder: Path, evaluation: Evaluation) -> Path:
    """Write summary.json and summary.md into the folder of an evaluation.

    Args:
        folder: Its audit lies in `AUDIT`.
        evaluation: The rest.

    Returns:
        The path of summary.md.

    Raises:
        InputError: A file of the audit is missing or damaged.
    """
    data = summary(read_run_folder(folder / AUDIT), evaluation)
    write_json(folder / SUMMARY_DATA, data)
    write_text(folder / SUMMARY_PAGE, markdown(data))
    return folder / SUMMARY_PAGE


def summary(run: RunFolder, evaluation: Evaluation) -> dict[str, Any]:
    """The content of summary.json."""
    result, verdict = run.result, run.verdict
    paper = evaluation.paper or {}
    return {
        "schema_version": SCHEMA_VERSION,
        "command": run.manifest.command,
        "settings": dict(evaluation.settings),
        "data": result.about.get("data"),
        "architecture": result.about.get("architecture"),
        "weights": _weights(result) or None,
        "checkpoints": _checkpoints(result),
        "distance": result.distance.name,
        "generator": _generator(result, evaluation.generator),
        "settings_not_of_the_paper": None
        if evaluation.changed is None
        else {name: list(pair) for name, pair in evaluation.changed.items()},
        "versions": dict(run.manifest.versions),
        "git_commit": run.manifest.git_commit,
        "seconds": dict(evaluation.seconds),
        "cores": evaluation.cores,
        "verdict": {
            "origin": str(verdict.origin),
            "sentence": verdict.sentence,
            "counts": {str(kind): n for kind, n in verdict.counts.items()},
        },
        "warnings": list(result.warnings),
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
        "paper": None
        if evaluation.paper is None
        else {
            "setting": evaluation.paper_setting,
            **{key: list(paper[key]) for key in PRINTED_FACTS if key in paper},
        },
        "findings": [finding._asdict() for finding in paper_findings(result, verdict.criteria)],
        "steering": evaluation.steering,
    }


PRINTED_FACTS = ("parameters", "values_in_training")
"""What the paper prints of a generator's size."""


def _checkpoints(result: AuditResult) -> dict[str, int]:
    """How many of each kind the audit compared."""
    counts = {"training": len(result.training_names), "generated": len(result.generated)}
    return counts | ({"held-out": len(result.heldout)} if result.heldout is not None else {})


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
    shown = [known[key] for key in NUMBERS if key in known]
    own_gap = [q for q in result.quantities if q.group == OWN_GAP and q.key.startswith("own_gap")]
    return shown + own_gap


def markdown(data: Mapping[str, Any]) -> str:
    """summary.md, from the content of summary.json."""
    settings, verdict = data["settings"], data["verdict"]
    counts = ", ".join(f"{n:,} {kind}" for kind, n in verdict["counts"].items() if n)
    seconds = data["seconds"]
    parts = [
        f"# {settings['method']} on {settings['zoo']}",
        f"**{verdict['origin'].capitalize()}.** {verdict['sentence']}",
        f"Verdict on each checkpoint: {counts}. [The audit's page]({AUDIT}/report.html).",
        *_warnings(data["warnings"]),
        "## What was run",
        *_listed(_run_rows(data)),
        "## Numbers",
        _numbers(data),
    ]
    if data["noise"]:
        parts.append(f"Noise at matched novelty: {data['noise']}.")
    parts += [
        "## The paper's findings, on these checkpoints",
        _table(
            ("finding", "in the paper", "measured here", "outcome"),
            [
                (f["claim"], f["source"], f["measured"], f"**{f['outcome']}**")
                for f in data["findings"]
            ],
        ),
        f"What decides stands on [the audit's page]({AUDIT}/report.html#findings); the rules are "
        "ours.",
    ]
    if data["steering"]:
        parts += ["## Steering", f"{data['steering']} [Its page]({STEERING}/report.html)."]
    if seconds:
        cores = data["cores"]
        on = "" if cores is None else f" (on a machine with {cores} core{'s' * (cores != 1)})"
        rows = [(stage, number(s)) for stage, s in seconds.items()]
        rows.append(("total", number(sum(seconds.values()))))
        parts += ["## Time", _table(("stage", f"seconds{on}"), rows, numbers=(1,))]
    return "\n\n".join(parts) + "\n"


def _warnings(warnings: Sequence[str]) -> list[str]:
    """What a reader of the verdict must know, as on the audit's page."""
    if not warnings:
        return []
    return ["Keep in mind:", "\n".join(f"- {_text(warning)}" for warning in warnings)]


def _run_rows(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    settings, checkpoints = data["settings"], data["checkpoints"]
    kept = settings.get("checkpoints", 1)
    runs = " and ".join(f"{n:,} {kind}" for kind, n in checkpoints.items() if kind != "generated")
    rows = [
        ("command", f"`{data['command']}`"),
        ("data", _text(plain(data["data"]))),
        ("target network", _network(data)),
        (
            "zoo",
            f"{settings['zoo']}: {runs} runs{f', {kept} checkpoints of each' * (kept != 1)}",
        ),
        (
            "compared",
            f"{count(checkpoints['generated'], 'sample')}; distance: {_text(data['distance'])}",
        ),
        ("generator", f"{settings['method']}, scale {settings['scale']}{_size(data)}"),
        ("settings unlike the paper's", _changed(data)),
        ("seed", str(settings["seed"])),
        ("versions", _versions(data)),
    ]
    return rows


def _network(data: Mapping[str, Any]) -> str:
    told = "" if data["weights"] is None else f", {data['weights']:,} weights"
    return f"{_text(plain(data['architecture']))}{told}"


def _size(data: Mapping[str, Any]) -> str:
    """Parameters, over values, and passes, in words; beside the paper's where it prints them."""
    size, paper = data["generator"], data["paper"] or {}
    told = ""
    if size["parameters"]:
        told += f"; {size['parameters']:,} parameters"
        compared, every = size["values_in_compared_training"], size["values_in_training"]
        if compared:
            told += f", {number(size['parameters'] / compared)} per value"
            told += f" in the {data['checkpoints']['training']:,} training checkpoints compared"
            if all(key in paper for key in PRINTED_FACTS):
                printed = [paper[key][0] for key in PRINTED_FACTS]
                told += f" (paper: {printed[0]} parameters for {printed[1]} values)"
            if every and every != compared:
                told += f", {number(size['parameters'] / every)} per value in all it learned from"
    if size["draws_per_training_row"]:
        told += (
            f"; {size['optimizer_steps']:,} optimizer steps of batch {size['batch_size']:,}, "
            f"{number(size['draws_per_training_row'])} draws per training checkpoint"
        )
    return told


def _changed(data: Mapping[str, Any]) -> str:
    changed = data["settings_not_of_the_paper"]
    if changed is None:
        return "unknown"
    told = [f"{name} {_value(here)} ({_value(there)})" for name, (here, there) in changed.items()]
    return f"{', '.join(told)}; in brackets the paper's" if told else "none"


def _value(value: Any) -> str:
    """A setting with all its digits."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:,}" if is_number else plain(value)


def _versions(data: Mapping[str, Any]) -> str:
    versions = data["versions"]
    told = [f"{name} {versions[name]}" for name in ("novelweights", "torch") if name in versions]
    commit = data["git_commit"]
    return ", ".join([*told, *([f"commit {commit[:12]}"] if commit else [])])


def _numbers(data: Mapping[str, Any]) -> str:
    """The table of numbers, with a column for the paper's where it prints any."""
    known = [
        Quantity(
            definition="", **{k: row[k] for k in ("key", "label", "value", "n", "unit")}, **limits
        )
        for row in data["numbers"]
        for limits in [{k: row[k] for k in ("lower", "upper", "level")}]
    ]
    rows = [(row.label, row.value, row.interval, row.n) for row in quantity_rows(known)]
    header = ["", "value", "interval", "n"]
    if data["paper"] is not None:
        header.append(f"paper ({data['paper']['setting']})")
        printed = [row["paper"] for row in data["numbers"]]
        rows = [
            (*row, "" if there is None else f"{there[0]} ({there[1]})")
            for row, there in zip(rows, printed, strict=True)
        ]
    return _table(header, rows, numbers=(1, 2, 3))


def _listed(rows: Iterable[tuple[str, str]]) -> list[str]:
    return ["\n".join(f"- {name}: {text}" for name, text in rows)]


def _table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()
) -> str:
    """A table in Markdown; columns of numbers to the right."""
    marks = ["--:" if i in numbers else "---" for i in range(len(header))]
    lines = [list(header), marks, *([_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """Text that neither ends a cell nor becomes a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

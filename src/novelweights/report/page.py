"""One HTML page from the files of an audit: the verdict first, then what it rests on.

The page needs no network, no script and no other file. It shows numbers; it computes none but
counts. Equal run folders give equal bytes.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from novelweights.auditing.judge.criteria import MEANING, Verdict
from novelweights.auditing.one_run.distances import DISTANCES
from novelweights.auditing.one_run.measure import GROUP as ONE_RUN
from novelweights.auditing.result import AuditResult, Quantity
from novelweights.files import write_text
from novelweights.report import controls, tables
from novelweights.report.calibration import calibration_summary
from novelweights.report.claims import Outcome
from novelweights.report.figures import draw
from novelweights.report.findings import findings_on
from novelweights.report.generalization_gap import has_noise_levels
from novelweights.report.html import inline, template, write_figures
from novelweights.report.run_folder import RunFolder, read_run_folder
from novelweights.report.shape_drawing import SHAPE_FIGURES, turnable
from novelweights.report.style import VERDICT_COLORS, Drawing, groups_of
from novelweights.report.trade_off import has_ladder

MAX_ROWS = 200
"""Checkpoints listed on the page; all are in checkpoints.csv."""

HEADLINES = {
    Verdict.REPLICA: "The generator copies its training checkpoints",
    Verdict.INTERPOLATION: "The generator mixes its training checkpoints",
    Verdict.BROKEN: "The generated checkpoints do not work",
    Verdict.NOVEL: "The generated checkpoints look like new runs",
    Verdict.UNDECIDED: "This audit cannot decide",
}
HEADLINES_THROUGH_CODEC = HEADLINES | {
    kind: f"{HEADLINES[kind]} as its codec gives them back"
    for kind in (Verdict.REPLICA, Verdict.INTERPOLATION)
}
"""Where reconstructions stand in: the checkpoints themselves were not compared."""
SOME_EQUAL = "Some generated checkpoints are training checkpoints"
NOT_IDENTIFIABLE = "Not identifiable: the training checkpoints come from too few runs"
WITHHELD = "The verdict is withheld: this audit misjudged its controls"
INITIALIZATION_KEY = "shared_initialization"
SAID_IN_WORDS = (INITIALIZATION_KEY, "through_codec")
"""Entries of `about` that stand in sentences."""
INITIALIZATION = {
    True: "Training and held-out runs start from one shared initialization: they lie nearer to "
    "each other than networks that start apart, so read all distances here beside theirs.",
    False: "Training and held-out runs each start from an initialization of their own.",
    None: "Whether the runs share one initialization is not known; if they do, held-out runs lie "
    "nearer to training than networks that start apart.",
}
ONE_RUN_BEHAVIOR = ("mean_quality", "median_novelty", "quality_", "novelty_", "noise_")
"""How the keys of numbers of behavior begin in an audit of one run."""
FIGURE_NAMES = (
    "controls",
    "distances",
    "cosines",
    "weights",
    "layers",
    "trade_off",
    "trade_off_zoom",
    "regions",
    *SHAPE_FIGURES.values(),
    "densities",
    "densities_raw",
    "densities_all",
    "narrow",
    "map",
    "nearest",
    "sources",
    "made_of",
    "generalization_gap",
)


def build_report(folder: Path) -> Path:
    """Write `report.html` and `figures/` into a run folder, from the other files in it alone.

    Args:
        folder: What `novelweights audit` wrote: `audit.json`, `checkpoints.csv`, `manifest.json`
            and, for some of the figures, `plot_data.npz`.

    Returns:
        The path of the page.

    Raises:
        InputError: A file is missing or damaged.
    """
    run = read_run_folder(folder)
    drawings = draw(run.result, run.plot_data, run.verdict)
    page = render(run, drawings, calibration_summary())
    write_figures(folder / "figures", drawings, FIGURE_NAMES)
    path = folder / "report.html"
    write_text(path, page)
    return path


def render(
    run: RunFolder,
    drawings: dict[str, Drawing],
    calibration: tables.PlainTable | None = None,
) -> str:
    """The page as text.

    Args:
        calibration: How often audits were right on zoos of known truth; None: not shown.
    """
    content = _content(run, drawings)
    content["calibration"] = None if content["few_runs"] else calibration
    return template("page.html.jinja").render(content)


def _content(run: RunFolder, drawings: dict[str, Drawing]) -> dict[str, Any]:
    """Everything the template names."""
    result, verdict = run.result, run.verdict
    measured = [row for row in run.checkpoints if row["distance"]]  # all that are finite
    nearest_first = sorted(measured, key=lambda row: float(row["distance"]))
    manifest = run.manifest
    null = result.heldout or result.training
    accusing = controls.accusing_tests(result)
    few_runs = verdict.has_few_runs(result)
    too_little = few_runs or len(null) < verdict.criteria["min_heldout_runs"]
    withheld_by = () if too_little else verdict.withheld_by  # with too little all controls fail
    headlines = HEADLINES_THROUGH_CODEC if result.through_codec else HEADLINES
    headline = SOME_EQUAL if verdict.is_only_certain else headlines[verdict.origin]
    headline = WITHHELD if withheld_by else headline
    quantities = {"": [], "established": [], "generalization gap": [], ONE_RUN: []}
    for quantity in result.quantities:
        quantities[quantity.group if quantity.group in quantities else ""].append(quantity)
    return {
        "title": str(result.about.get("title", "Do the generated networks copy?")),
        "subject": _subject(result),
        "result": result,
        "verdict": verdict,
        "headline": NOT_IDENTIFIABLE if few_runs else headline,
        "withheld_by": withheld_by,
        "meaning": MEANING,
        "few_runs": few_runs,
        "first_parameter": result.about.get("first_parameter", ""),
        "n_runs": result.n_runs,
        "of_runs": _describe_runs(result, few_runs),
        "initialization": _initialization(result.about),
        "codec": tables.describe_codec(result),
        "has_noise_levels": has_noise_levels(result.about),
        "segments": [
            controls.Segment(kind, verdict.counts[kind], True)
            for kind in Verdict
            if verdict.counts.get(kind)
        ],
        "verdict_colors": VERDICT_COLORS,
        "counts": [
            (
                kind,
                verdict.counts[kind],
                tables.percent(verdict.counts[kind] / len(run.checkpoints)),
            )
            for kind in Verdict
            if verdict.counts.get(kind)
        ],
        "colors": {group.key: group.color for group in groups_of(result)},
        "figures": {name: inline(name, drawing) for name, drawing in drawings.items()},
        "compares_shapes": result.novelty is not None and result.novelty.higher_is_better,
        "shapes": turnable(result, run.plot_data),
        "inputs_without_regions": _inputs_without_regions(run),
        "nearer": _nearer_than_heldout(result),
        "bracket": _bracket(result),
        "never_nearest": len(result.training_names)
        - len(set(result.generated.neighbor_rows[:, 0])),
        "controls": controls.control_rows(verdict),
        "state_classes": {controls.PASS: "pass", controls.BLIND: "blind", controls.VETO: "veto"},
        "must_pass": [control.label for control in verdict.controls if control.can_veto],
        "control_share": tables.number(100 * float(verdict.criteria["control_share"])),
        "blind_spots": [c.label for c in verdict.blind_spots if c.noise is None],
        "misses_noise": any(c.noise is not None and not c.passed for c in verdict.controls),
        "noise_found": controls.describe_noise(verdict),
        "false_alarms": controls.describe_false_alarms(verdict, result),
        "has_ladder": has_ladder(result),
        "quantities": tables.quantity_rows(quantities[""]),
        "established": tables.quantity_rows(quantities["established"]),
        "generalization_gap": tables.quantity_rows(quantities["generalization gap"]),
        "one_run": _one_run_tables(quantities[ONE_RUN]),
        "not_made": [
            (key, note)
            for key, note in result.baseline_notes.items()
            if key not in result.baselines
        ],
        "paper_findings": findings_on(result, verdict),
        "outcome_classes": {Outcome.HOLDS: "holds", Outcome.FAILS: "fails", Outcome.OPEN: "open"},
        "populations": tables.population_columns(result, few_runs=few_runs),
        "columns": tables.checkpoint_columns(nearest_first[:MAX_ROWS], result),
        "shown": min(MAX_ROWS, len(nearest_first)),
        "criteria": tables.criteria_rows(verdict.criteria),
        "about": tables.plain_rows(_without_settings(result.about)),
        "recipes": _recipes(result.about),
        "data": data if isinstance(data := result.about.get("data"), str) else "",
        "manifest": manifest,
        "settings": tables.plain_rows(manifest.settings),
        "seconds": [(stage, tables.number(s)) for stage, s in manifest.seconds.items()],
        "total_seconds": tables.number(sum(manifest.seconds.values())),
        "csv_columns": tables.column_meanings(run.checkpoints[0] if run.checkpoints else ()),
        "accusing": accusing,
        "n_null": len(null),
        "by_chance": tables.number(len(accusing) * len(result.generated) / (1 + len(null)), 2),
    }


def _one_run_tables(quantities: Iterable[Quantity]) -> dict[str, list[tables.QuantityRow]]:
    """How far apart the checkpoints of one run lie, where beside its mean, and what they do."""
    tables_by_group = {"distances": [], "center": [], "behavior": []}
    for row in tables.quantity_rows(quantities):
        table = "behavior" if row.key.startswith(ONE_RUN_BEHAVIOR) else "center"
        if row.key in DISTANCES or row.key.startswith("weight_difference"):
            table = "distances"
        tables_by_group[table].append(row)
    return tables_by_group


def _without_settings(about: Mapping[str, Any]) -> dict[str, Any]:
    """What was audited, short: how each population was made is said apart."""
    return {
        key: {k: v for k, v in value.items() if k != "settings"}
        if isinstance(value, Mapping)
        else value
        for key, value in about.items()
        if key not in SAID_IN_WORDS
    }


def _describe_runs(result: AuditResult, few_runs: bool) -> str:
    """Of how many runs the training checkpoints are, where that is not one each."""
    n_runs = len(result.training_names) if result.n_runs is None else result.n_runs
    if n_runs == len(result.training_names) and not few_runs:
        return ""
    return ", all of one run" if n_runs == 1 else f", of {n_runs:,} runs"


def _initialization(about: Mapping[str, Any]) -> str:
    """Whether runs start from the same weights, in a sentence; "" if the audit does not say."""
    if INITIALIZATION_KEY not in about:
        return ""
    shared = about[INITIALIZATION_KEY]
    return INITIALIZATION[shared if isinstance(shared, bool) else None]


def _recipes(about: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Per population the settings that made it; equal settings are said once."""
    recipes: list[tuple[str, Any]] = []
    for role, value in about.items():
        settings = value.get("settings") if isinstance(value, Mapping) else None
        if not isinstance(settings, Mapping) or not settings:
            continue
        settings = _without_gap(settings)
        twin = next((i for i, (_, known) in enumerate(recipes) if known == settings), None)
        if twin is None:
            recipes.append((role, settings))
        else:
            recipes[twin] = (f"{recipes[twin][0]} and {role}", settings)
    return [(roles, tables.plain_rows(settings)) for roles, settings in recipes]


def _without_gap(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the log of a fit, which is drawn."""
    generator = settings.get("generator")
    if not isinstance(generator, Mapping):
        return dict(settings)
    return {**settings, "generator": {k: v for k, v in generator.items() if k != "gap"}}


def _subject(result: AuditResult) -> str:
    """What was audited, in one line."""
    keys = ("generator", "architecture", "weights", "task", "data")
    words = [
        f"{key}: {tables.plain(result.about[key])}"
        for key in keys
        if isinstance(result.about.get(key), str | int)
    ]
    line = "; ".join(words)
    return line[:1].upper() + line[1:]


def _inputs_without_regions(run: RunFolder) -> int | None:
    """Inputs of the task's images where they were too many for decision regions."""
    inputs = run.plot_data.get("inputs_without_regions")
    return None if inputs is None else int(inputs)


def _bracket(result: AuditResult) -> str:
    """The median of certified lower bound over distance, of checkpoints that are not copies."""
    generated = result.generated
    apart = generated.distance > 0
    if not apart.any():
        return "0%"
    return f"{100 * np.median(generated.distance_lower[apart] / generated.distance[apart]):.0f}%"


def _nearer_than_heldout(result: AuditResult) -> int | None:
    """Generated checkpoints nearer to a training checkpoint than every held-out run is."""
    if result.heldout is None or not len(result.heldout):
        return None
    return int((result.generated.distance < result.heldout.distance.min()).sum())

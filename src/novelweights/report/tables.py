"""The tables of a report, as text: numbers rounded for people, nothing else computed.

Every number shown here stands with more digits in `audit.json` or `checkpoints.csv`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from novelweights.auditing.judge.criteria import MEANING_OF_THRESHOLDS
from novelweights.auditing.measures import SHOWN, label_of
from novelweights.auditing.result import AllSteps, AuditResult, Measurements, Quantity

MISSING = "\u2013"
WITH_RUNS = ("training", "heldout", "from_scratch")
FROM_SCRATCH = "trained independently; accuracy, if any, as their records tell it"
SHARE_UNITS = ("share", "fraction")
"""Units of numbers in [0, 1] that are shown as percentages."""
COLUMNS = {
    "row": "place of the checkpoint in its file, from 0",
    "nearest_row": "training checkpoint at that distance, by its place",
    "distance": "declared distance to the nearest training checkpoint",
    "distance_lower": "certified lower bound of it; equal where the distance is exact",
    "canonical_distance": "the distance with scales of neurons and the like removed on both sides",
    "canonical_run": "run of the training checkpoint at that distance",
    "canonical_lower": "certified lower bound of it",
    "canonical_ratio": "it over the same distance to the second nearest",
    "raw_distance": "plain L2 to the nearest training checkpoint, nothing aligned",
    "cosine": "largest cosine to a training checkpoint, both less the training mean",
    "recentred_cosine": "the same less the mean of the other samples; sees copies that drift",
    "norm": "distance from the training mean",
    "hull_ratio": "distance to the closest mixture of training checkpoints over `distance`",
    "raw_hull_ratio": "the same, nothing aligned",
    "sparse_ratio": "what 16 training checkpoints leave unexplained over what the best one does",
    "raw_sparse_ratio": "the same, nothing aligned",
    "pca_residual": "share of the norm outside the leading principal components of training",
    "raw_pca_residual": "the same, nothing aligned",
    "expected_novelty": "error overlap with a training checkpoint expected by chance alone",
    "overlap": "share of test examples predicted as the nearest training checkpoint does",
    "has_surface": "whether the field describes a shape at all",
    "works": "no worse than held-out runs, less a margin",
    "kind": "of an interpolation: average or mosaic; of an undecided one: partial copy",
}
"""What the columns of checkpoints.csv hold whose names do not say it."""


class QuantityRow(NamedTuple):
    """One line of the table of numbers."""

    key: str
    label: str
    value: str
    interval: str
    n: str
    definition: str


class PlainTable(NamedTuple):
    """A table of text with a sentence above it."""

    note: str
    columns: list[str]
    rows: list[list[str]]


class Column(NamedTuple):
    """One column of the table of checkpoints."""

    title: str
    kind: str
    """What the page styles by."""
    cells: list[str]


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: `digits` significant digits, whole numbers whole, 2.5e-07 if tiny."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    if value == round(value):
        return f"{value:,.0f}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def percent(share: float | None) -> str:
    """A share in [0, 1] as a percentage; 0% and 100% are said only where they hold exactly."""
    if share is None or not math.isfinite(share):
        return MISSING
    if share in (0, 1):
        return f"{100 * share:.0f}%"
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{100 * share:.1f}%"


def with_unit(value: float | None, unit: str) -> str:
    """A number with its unit: "%" directly behind it, shares in [0, 1] as percentages."""
    if unit in SHARE_UNITS:
        return percent(value)
    text = number(value)
    if text == MISSING or not unit:
        return text
    return f"{text}%" if unit == "%" else f"{text} {unit}"


def short(name: str, length: int = 22) -> str:
    """A name that fits beside a bar: its middle left out where it is longer than `length`."""
    return name if len(name) <= length else f"{name[: length - 9]}\u2026{name[-8:]}"


def quantity_rows(quantities: Iterable[Quantity]) -> list[QuantityRow]:
    """All numbers of the audit, in its order."""
    return [
        QuantityRow(
            key=quantity.key,
            label=quantity.label,
            value="not available"
            if quantity.value is None
            else with_unit(quantity.value, quantity.unit),
            interval=_interval(quantity),
            n=f"{quantity.n:,}",
            definition=quantity.definition,
        )
        for quantity in quantities
    ]


def describe_codec(result: AuditResult) -> str:
    """That reconstructions stand in for checkpoints, and what the codec costs these; "" if not."""
    if result.about.get("through_codec") is not True:
        return ""
    who = "Training" if result.heldout is None else "Training and held-out"
    words = f"{who} checkpoints are compared as the generator's codec gives them back"
    known = {quantity.key: quantity for quantity in result.quantities}
    through, before = (known.get(f"mean_quality_{whose}") for whose in ("training", "originals"))
    if result.quality is not None and through is not None and before is not None:
        words += (
            f": the mean {result.quality.name} of training checkpoints is then "
            f"{with_unit(through.value, through.unit)}, before the codec "
            f"{with_unit(before.value, before.unit)}"
        )
    return f"{words}."


def population_columns(result: AuditResult, *, few_runs: bool = False) -> list[Column]:
    """Medians of every population, so that any two can be compared: its key and name come first."""
    populations: list[tuple[str, str, Measurements | AllSteps | None]] = [
        ("training", "training", result.training),
        ("heldout", "held-out", result.heldout),
        ("heldout", "held-out, all steps", result.heldout_steps),
        ("from_scratch", "from scratch", result.from_scratch),
        ("generated", "generated", result.generated),
        *((key, f.label.replace("_", " "), f) for key, f in result.baselines.items()),
    ]
    notes = {
        "training": "itself left out" if few_runs else "own run left out",
        "held-out": "the last checkpoint of each run" if few_runs else "",
        "held-out, all steps": "behavior not computed",
        "from scratch": FROM_SCRATCH if result.quality is not None else "",
    } | dict(result.baseline_notes)
    rows = [(key, label, found) for key, label, found in populations if found is not None]
    runs = [
        f"{found.n_runs if isinstance(found, AllSteps) else len(set(found.names)):,}"
        if key in WITH_RUNS
        else MISSING
        for key, _, found in rows
    ]
    columns = [
        Column("", "key", [key for key, *_ in rows]),
        Column("Population", "key", [label for _, label, _ in rows]),
        Column("n", "num", [f"{len(found.distance):,}" for *_, found in rows]),
        Column("runs", "num", runs),
    ]
    quality, novelty, made = result.quality, result.novelty, result.generated
    shown: list[tuple[str, str, Callable[[float | None], str]]] = [
        ("distance", "distance", number),
        ("cosine", "cosine", number),
        ("hull ratio", "hull_ratio", number),
    ]
    if quality is not None:
        shown.append((quality.name, "quality", partial(with_unit, unit=quality.unit)))
    if novelty is not None:
        shown.append((novelty.name, "novelty", partial(with_unit, unit=novelty.unit)))
        if made.expected_novelty is not None:
            shown.append(("by chance", "expected_novelty", partial(with_unit, unit=novelty.unit)))
    if made.overlap is not None:
        shown.append(("overlap", "overlap", percent))
    for name, column, text in shown:
        cells = [text(_median(getattr(found, column, None))) for *_, found in rows]
        columns.append(Column(name, "num", cells))
    cells = [notes.get(key if key in notes else label, "") for key, label, _ in rows]
    return [*columns, Column("note", "note", cells)]


def checkpoint_columns(rows: Sequence[Mapping[str, str]], result: AuditResult) -> list[Column]:
    """The table of checkpoints, one entry per row; columns that the rows lack are left out.

    Raises:
        ValueError: A cell that should be a number is not.
    """
    present = rows[0].keys() if rows else ()
    kinds = [row["kind"] for row in rows]
    works = {"True": "yes", "False": "no"}
    columns = [
        Column("verdict", "text", [row["verdict"] for row in rows]),
        *([Column("kind", "text", kinds)] if any(kinds) else []),
        Column("works", "text", [works.get(row["works"], MISSING) for row in rows]),
        Column("name", "text", [row["name"] for row in rows]),
        Column("nearest run", "text", [row["nearest_run"] for row in rows]),
        Column("distance", "number", [_distance(row) for row in rows]),
        Column("cosine", "number", [_fixed(row["cosine"], 3) for row in rows]),
    ]
    if "hull_ratio" in present:
        cells = [_fixed(row["hull_ratio"], 3) for row in rows]
        columns.append(Column("hull ratio", "number", cells))
    if "source_1_run" in present:
        columns.append(Column("sources (weight)", "text", [_sources(row) for row in rows]))
    for name, measure in (("quality", result.quality), ("novelty", result.novelty)):
        if name in present and measure is not None:
            cells = [with_unit(_float(row[name]), measure.unit) for row in rows]
            columns.append(Column(measure.name, "number", cells))
    if "overlap" in present:
        cells = [percent(_float(row["overlap"])) for row in rows]
        columns.append(Column("overlap", "number", cells))
    for name in SHOWN:
        if f"p_{name}" in present:
            cells = [_fixed(row[f"p_{name}"], 3) for row in rows]
            columns.append(Column(f"p-value: {label_of(name)}", "p-value", cells))
    columns.append(Column("reason", "text", [row["reason"] for row in rows]))
    return columns


def column_meanings(names: Iterable[str]) -> list[tuple[str, str]]:
    """Name and meaning of those columns of checkpoints.csv whose names do not say it."""
    words = []
    for name in names:
        p_value = name.removeprefix("p_")
        if p_value != name:
            words.append((name, f"p-value among held-out runs: {label_of(p_value)}"))
        elif name in COLUMNS:
            words.append((name, COLUMNS[name]))
    return words


def criteria_rows(criteria: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and meaning of each threshold."""
    rows = []
    for key, value in criteria.items():
        is_range = isinstance(value, list | tuple)
        text = " to ".join(map(plain, value)) if is_range else plain(value)
        rows.append((key, text, MEANING_OF_THRESHOLDS.get(key, "")))
    return rows


def plain_rows(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested plain data as lines of (what, value)."""
    rows: list[tuple[str, str]] = []
    for key, value in data.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            rows += plain_rows(value, prefix=f"{name}, ")
        else:
            rows.append((name, plain(value)))
    return rows


def plain(value: Any) -> str:
    """Plain data in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    return str(value)


def _interval(quantity: Quantity) -> str:
    if quantity.lower is None and quantity.upper is None:
        return MISSING
    unit = quantity.unit if quantity.unit in ("%", *SHARE_UNITS) else ""  # words are said once
    lower, upper = (
        MISSING if limit is None else with_unit(limit, unit)
        for limit in (quantity.lower, quantity.upper)
    )
    level = f" at {number(100 * quantity.level)}%" if quantity.level is not None else ""
    return f"[{lower}, {upper}]{level}"


def _median(values: np.ndarray | None) -> float | None:
    finite = np.zeros(0) if values is None else values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else None


def _float(text: str) -> float | None:
    return float(text) if text else None


def _fixed(text: str, decimals: int) -> str:
    """A number in [-1, 1], or near it, with fixed decimals, so that a column can be compared."""
    value = _float(text)
    return MISSING if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"


def _distance(row: Mapping[str, str]) -> str:
    """The distance, with its lower bound where that differs."""
    upper, lower = number(_float(row["distance"])), number(_float(row["distance_lower"]))
    return upper if lower in (upper, MISSING) else f"{upper} (at least {lower})"


def _sources(row: Mapping[str, str]) -> str:
    parts = []
    for j in range(1, 4):
        weight = _float(row.get(f"source_{j}_weight", ""))
        if weight is not None and weight >= 0.01:
            parts.append(f"{row[f'source_{j}_run']} ({weight:.2f})")
    return ", ".join(parts) or MISSING

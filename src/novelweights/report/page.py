"""One HTML page from the files of an audit: the verdict first, then what it rests on.

The page needs no network, no script and no other file. It shows numbers; it computes none but
counts. Equal run folders give equal bytes.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from novelweights.audit.criteria import MEANING, Verdict
from novelweights.audit.result import AuditResult
from novelweights.files import replacing, write_text
from novelweights.report import tables
from novelweights.report.figures import draw
from novelweights.report.look import Drawing, groups_of
from novelweights.report.run_folder import RunFolder, read_run_folder

MAX_ROWS = 200
"""Checkpoints listed on the page; all are in checkpoints.csv."""

HEADLINES = {
    Verdict.REPLICA: "The generator copies its training checkpoints",
    Verdict.INTERPOLATION: "The generator mixes its training checkpoints",
    Verdict.BROKEN: "The generated checkpoints do not work",
    Verdict.NOVEL: "The generated checkpoints look like fresh runs",
    Verdict.UNDECIDED: "This audit cannot decide",
}
FIGURE_NAMES = (
    "distances",
    "cosines",
    "weights",
    "trade_off",
    "trade_off_zoom",
    "regions",
    "nearest",
    "sources",
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
    drawings = draw(run.result, run.plot_data)
    page = render(run, drawings)
    _write_figures(folder / "figures", drawings)
    path = folder / "report.html"
    write_text(path, page)
    return path


def render(run: RunFolder, drawings: dict[str, Drawing]) -> str:
    """The page as text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html.jinja")
    return template.render(_content(run, drawings))


def _content(run: RunFolder, drawings: dict[str, Drawing]) -> dict[str, Any]:
    """Everything the template names."""
    result, verdict = run.result, run.verdict
    nearest_first = sorted(run.checkpoints, key=lambda row: float(row["distance"]))
    manifest = run.manifest
    yardstick = result.heldout or result.training
    return {
        "title": str(result.about.get("title", "Do the generated networks copy?")),
        "subject": _subject(result),
        "result": result,
        "verdict": verdict,
        "headline": HEADLINES[verdict.origin],
        "meaning": MEANING,
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
        "figures": {name: _inline(name, drawing) for name, drawing in drawings.items()},
        "nearer": _nearer_than_heldout(result),
        "never_nearest": len(result.training) - len(set(result.generated.neighbor_rows[:, 0])),
        "quantities": tables.quantity_rows(result.quantities),
        "not_made": [
            (key, note)
            for key, note in result.baseline_notes.items()
            if key not in result.baselines
        ],
        "populations": tables.population_rows(result),
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
        "by_chance": tables.number(2 * len(result.generated) / (1 + len(yardstick))),
    }


def _without_settings(about: Mapping[str, Any]) -> dict[str, Any]:
    """What was audited, short: how each population was made is said apart."""
    return {
        key: {k: v for k, v in value.items() if k != "settings"}
        if isinstance(value, Mapping)
        else value
        for key, value in about.items()
    }


def _recipes(about: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Per population the settings that made it; equal settings are said once."""
    found: list[tuple[str, Any]] = []
    for role, value in about.items():
        settings = value.get("settings") if isinstance(value, Mapping) else None
        if not isinstance(settings, Mapping) or not settings:
            continue
        twin = next((i for i, (_, known) in enumerate(found) if known == settings), None)
        if twin is None:
            found.append((role, settings))
        else:
            found[twin] = (f"{found[twin][0]} and {role}", settings)
    return [(roles, tables.plain_rows(settings)) for roles, settings in found]


def _subject(result: AuditResult) -> str:
    """What was audited, in one line."""
    keys = ("generator", "architecture", "weights", "task", "data")
    told = [
        f"{key}: {tables.plain(result.about[key])}"
        for key in keys
        if isinstance(result.about.get(key), str | int)
    ]
    line = "; ".join(told)
    return line[:1].upper() + line[1:]


def _nearer_than_heldout(result: AuditResult) -> int | None:
    """Generated checkpoints nearer to a training checkpoint than every held-out run is."""
    if result.heldout is None or not len(result.heldout):
        return None
    return int((result.generated.distance < result.heldout.distance.min()).sum())


def _inline(name: str, drawing: Drawing) -> Markup:
    """A figure as part of the page: a text alternative, and ids that no other figure has."""
    svg = drawing.svg[drawing.svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)  # HTML knows them
    svg = re.sub(r"\n\s*", "\n", svg)
    label = escape(drawing.alt)
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))


def _write_figures(folder: Path, drawings: dict[str, Drawing]) -> None:
    """Each figure as SVG and PNG; figures of an earlier report that no longer apply are removed."""
    folder.mkdir(exist_ok=True)
    for name in FIGURE_NAMES:
        for suffix in ("svg", "png"):
            path = folder / f"{name}.{suffix}"
            if name not in drawings:
                path.unlink(missing_ok=True)
                continue
            drawing = drawings[name]
            content = drawing.svg.encode() if suffix == "svg" else drawing.png
            with replacing(path) as temporary:
                temporary.write_bytes(content)

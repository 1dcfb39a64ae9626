"""What the studies of a fitted generator share: numbers with intervals, files and the page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import matplotlib as mpl
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from novelweights.auditing.judge.criteria import Verdict
from novelweights.auditing.measure.estimates import Estimate
from novelweights.auditing.result import Quantity
from novelweights.errors import InputError
from novelweights.files import read_json, write_json, write_text
from novelweights.generators.parts.gap import six_digits
from novelweights.report.html import inline, template, write_figures
from novelweights.report.style import STYLE, VERDICT_COLORS, finish
from novelweights.report.tables import plain_rows

SCHEMA_VERSION = 1

T = TypeVar("T")


def quantity(
    words: Sequence[str],
    value: float,
    draws: Float[np.ndarray, " draws"] | None,
    *,
    unit: str,
    n: int,
    units: int,
) -> Quantity:
    """A number with its interval; without one where it is not finite for all draws.

    Args:
        words: Its key, label and definition.
        value: NaN: it does not exist.
        draws: What it is when its units are drawn again with replacement; None: no interval.
        unit: Of the value.
        n: How many values it rests on.
        units: How many independent units were drawn, 2 or more where there are draws.
    """
    if draws is not None and not np.isfinite(draws).all():
        draws = None
    estimate = Estimate(value if np.isfinite(value) else None, n, draws)
    return estimate.quantity(*words, missing=words[-1], unit=unit, units=units)


def in_words(quantity: Quantity, *, scale: float = 1.0, unit: str = "") -> str:
    """Value and interval, in brackets."""
    if quantity.value is None:
        return "not available"
    value, lower, upper = (
        None if x is None else f"{scale * x:.3g}{unit}"
        for x in (quantity.value, quantity.lower, quantity.upper)
    )
    return f"{value} [{lower}, {upper}]" if lower and upper else f"{value}"


@dataclass(frozen=True)
class Summary:
    """What a study shows."""

    answers: Mapping[str, Any]
    """By name, as plain data."""
    sentence: str
    quantities: Mapping[str, Quantity]
    """By key."""
    criteria: Any
    """A dataclass of thresholds."""

    def __getitem__(self, key: str) -> Quantity:
        return self.quantities[key]

    def to_json(self) -> dict[str, Any]:
        """Plain data, numbers with 6 digits."""
        rounded = [
            vars(one)
            | {
                name: None if (x := getattr(one, name)) is None else six_digits(x)
                for name in ("value", "lower", "upper")
            }
            for one in self.quantities.values()
        ]
        return {
            **self.answers,
            "sentence": self.sentence,
            "quantities": rounded,
            "criteria": asdict(self.criteria),
        }


def read_summary(data: Mapping[str, Any], criteria: type, answers: Mapping[str, Any]) -> Summary:
    """The summary in plain data.

    Raises:
        KeyError, TypeError, ValueError: An entry is missing or of another kind.
    """
    thresholds = {field.name: data["criteria"][field.name] for field in fields(criteria)}
    quantities = map(_quantity, data["quantities"])
    return Summary(
        answers, str(data["sentence"]), {q.key: q for q in quantities}, criteria(**thresholds)
    )


def _quantity(entry: Mapping[str, Any]) -> Quantity:
    words: dict[str, Any] = {
        name: str(entry[name]) for name in ("key", "label", "definition", "unit")
    }
    numbers: dict[str, Any] = {
        name: None if entry[name] is None else float(entry[name])
        for name in ("value", "lower", "upper", "level")
    }
    return Quantity(**words, **numbers, n=int(entry["n"]))


def write_study(
    folder: Path,
    name: str,
    summary: Summary,
    rows: pd.DataFrame,
    about: Mapping[str, Any],
    **more: Any,
) -> None:
    """Write NAME.json and NAME.csv into an existing folder."""
    numbers = rows.select_dtypes("float").columns
    rounded = {column: [six_digits(x) for x in rows[column]] for column in numbers}
    write_json(
        folder / f"{name}.json",
        {
            "schema_version": SCHEMA_VERSION,
            "about": dict(about),
            "summary": summary.to_json(),
            **more,
            "rows": rows.assign(**rounded).to_dict(orient="records"),
        },
    )
    write_text(folder / f"{name}.csv", rows.to_csv(index=False, float_format="%.9g"))


def read_study(folder: Path, name: str, parse: Callable[[Mapping[str, Any]], T]) -> T:
    """What NAME.json holds.

    Args:
        folder: The run folder.
        name: Of the study.
        parse: Reads the plain data; may raise KeyError, TypeError, AttributeError and ValueError.

    Raises:
        InputError: The file is missing or damaged.
    """
    path, remedy = folder / f"{name}.json", "run the command that made it again, or restore it"
    data = read_json(path)
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: has schema version {version}, this program reads {SCHEMA_VERSION}; {remedy}",
            "wrong-version",
        )
    try:
        return parse(data)
    except KeyError as error:
        raise InputError(
            f"{path}: expected an entry {error}, it has none; {remedy}", "damaged"
        ) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: expected what such a study leaves, got something else ({error}); {remedy}",
            "damaged",
        ) from error


def write_page(
    folder: Path,
    name: str,
    draw: Callable[[], Mapping[str, tuple[Figure, str]]],
    *,
    summary: Summary,
    about: Mapping[str, Any],
    answer: str,
    tones: Mapping[Any, Verdict],
    **content: Any,
) -> Path:
    """Write `report.html` and `figures/` into the run folder of a study.

    Args:
        folder: The run folder.
        name: Of the study, and of its template.
        draw: Draws the figures, by name, each with its text alternative.
        summary: What the study shows.
        about: How it was made.
        answer: The answer that the page is headed with.
        tones: For every answer the verdict whose color it has.
        content: What else the template names.

    Returns:
        The path of the page.
    """
    with mpl.rc_context(STYLE):
        drawings = {key: finish(*drawn) for key, drawn in draw().items()}
    write_figures(folder / "figures", drawings, drawings)
    page = template(f"{name}/page.html.jinja", Path(__file__).parent).render(
        name=name,
        method=about.get("method", "a generator"),
        about=about,
        sentence=summary.sentence,
        criteria=summary.criteria,
        badge=answer,
        kind=answer.replace(" ", "-"),
        verdict_colors={one.replace(" ", "-"): VERDICT_COLORS[tone] for one, tone in tones.items()},
        figures={key: inline(key, drawing) for key, drawing in drawings.items()},
        about_rows=plain_rows({k: v for k, v in about.items() if k != "command"}),
        **content,
    )
    write_text(folder / "report.html", page)
    return folder / "report.html"

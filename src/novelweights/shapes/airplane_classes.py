"""What airplanes of six classes measure, and the columns that describe one.

The table in `airplane_classes.tsv` has the meaning of each column, its range in each class, and
what differs in the variants of a class ("class / variant / share"). Each number is a range of real
aircraft: low, middle, high. For airliners span, fuselage width, aspect ratio, chord and sweep are
those of 35 types in OpenAP's tables; the other classes' spans, aspect ratios and widths are from
the published dimensions of some types each:

- turboprop: ATR 42 and 72, Dash 8, Fokker 50, An-24, C-130, Twin Otter
- ga-single: Cessna 172, PA-28, Bonanza, SR22, DA40, Cub
- glider: ASK 13 and 21, Grob 103, PW-5, Discus, Schweizer 2-33
- delta-fighter: Mirage III and 2000, F-102, F-106, Draken, Viggen, Gripen, Typhoon, Rafale
- biplane: Stearman, Tiger Moth, Pitts, Camel, Po-2, An-2

Shapes of noses, tails and cabins are by eye. Only such facts are used, no file.
"""

import csv
from importlib import resources
from typing import NamedTuple

Range = tuple[float, float, float] | float
"""Low, middle, high of a normal cut off at both ends, or one value for all."""


class Variant(NamedTuple):
    """A kind within a class, with its share and the columns that differ."""

    name: str
    share: float
    ranges: dict[str, Range]


class AirplaneClass(NamedTuple):
    """Ranges of all airplanes of a class; columns not named are 0."""

    ranges: dict[str, Range]
    variants: list[Variant]


def _classes(rows: list[dict[str, str]]) -> dict[str, AirplaneClass]:
    classes: dict[str, AirplaneClass] = {}
    for header in list(rows[0])[2:]:
        cells = {row["column"]: tuple(map(float, row[header].split())) for row in rows}
        ranges: dict[str, Range] = {
            column: (cell[0], cell[1], cell[2]) if len(cell) == 3 else cell[0]
            for column, cell in cells.items()
            if cell
        }
        name, *variant = header.split(" / ")
        if variant:
            classes[name].variants.append(Variant(variant[0], float(variant[1]), ranges))
        else:
            classes[name] = AirplaneClass(ranges, [])
    return classes


with (resources.files("novelweights.shapes") / "airplane_classes.tsv").open(
    encoding="utf-8"
) as _file:
    _ROWS = list(csv.DictReader(_file, delimiter="\t"))
COLUMNS = {row["column"]: row["meaning"] for row in _ROWS}
"""Names and meanings, in the order of the columns of a parameter table.

Lengths are in units of the fuselage's length. A station is a share of it behind the nose.
"""
CLASSES = _classes(_ROWS)
"""By name."""

"""Tables planted for exhibits."""

from collections.abc import Mapping, Sequence

import pandas as pd

from novelweights.report.style import finish
from novelweights.reproduce.drawing import styled
from novelweights.reproduce.table import Table


def planted(rows: Sequence[Mapping], about: Mapping | None = None) -> Table:
    """A table of these rows."""
    return Table("planted", pd.DataFrame(rows), about or {})


def texts(exhibit, table: Table) -> list[str]:
    """What the picture of an exhibit says in words."""
    with styled():
        figure = exhibit.picture(table)
        finish(figure, table.title)
    found = [text.get_text() for part in (figure, *figure.axes) for text in part.texts]
    for ax in figure.axes:
        found += [ax.get_xlabel(), ax.get_ylabel(), ax.get_title()]
        found += [label.get_text() for label in (*ax.get_xticklabels(), *ax.get_yticklabels())]
        legend = ax.get_legend()
        found += [text.get_text() for text in legend.get_texts()] if legend else []
    return [text for text in found if text]

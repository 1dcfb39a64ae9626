"""The exhibits of the paper by name; each is a module of this package."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from matplotlib.figure import Figure

from novelweights.errors import look_up
from novelweights.reproduce.exhibits import (
    exhibit_a,
    exhibit_d,
    figure_02,
    figure_03,
    figure_04,
    figure_05,
    figure_06,
    figure_07,
    figure_08,
    figure_09,
    figure_11,
    figure_12,
    figure_13,
    figure_14,
    figure_15,
    figure_16,
    figure_17,
    table_01,
    table_02,
    table_03,
    table_04,
)
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.outcomes import ClaimRow
from novelweights.reproduce.plan import Plan
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.table import Table


@runtime_checkable
class Exhibit(Protocol):
    """What a module of this package has."""

    @property
    def TITLE(self) -> str:
        """What it shows."""
        ...

    def needs(self, plan: Plan) -> list[Node]:
        """The runs it stands on."""
        ...

    def numbers(self, runs: Runs, plan: Plan) -> Table:
        """What it shows, taken from the runs."""
        ...

    def picture(self, table: Table) -> Figure:
        """The same drawn, from the table alone."""
        ...

    def claims(self, table: Table) -> Sequence[ClaimRow]:
        """The claims of the paper that it bears on."""
        ...


EXHIBITS: dict[str, Exhibit] = {
    "figure-2": figure_02,
    "figure-3": figure_03,
    "figure-4": figure_04,
    "figure-5": figure_05,
    "figure-6": figure_06,
    "figure-7": figure_07,
    "figure-8": figure_08,
    "figure-9": figure_09,
    "figure-11": figure_11,
    "figure-12": figure_12,
    "figure-13": figure_13,
    "figure-14": figure_14,
    "figure-15": figure_15,
    "figure-16": figure_16,
    "figure-17": figure_17,
    "table-1": table_01,
    "table-2": table_02,
    "table-3": table_03,
    "table-4": table_04,
    "exhibit-a": exhibit_a,
    "exhibit-d": exhibit_d,
}


def find_exhibit(name: str) -> Exhibit:
    """An exhibit by its name in `EXHIBITS`.

    Raises:
        InputError: Unknown name; the closest is suggested.
    """
    return look_up("exhibit", name, EXHIBITS)

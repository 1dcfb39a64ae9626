"""A reader: recognizes a format by its content, and describes what is there before reading it.

This one reads a table: a CSV file that begins with `run` and has a weight in every further column,
named by parameter and place, such as `hidden.weight[3,1]`; a checkpoint is a row.
"""

import csv
import re
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from novelweights.errors import InputError
from novelweights.readers.source import Reading, Source
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import PopulationInfo, Records

COLUMN = re.compile(r"(?P<parameter>.+)\[(?P<place>\d*(?:,\d+)*)\]")


class WeightTable:
    """Tables of weights with a header."""

    summary = "CSV file with a column for the run and one for each weight, hidden.weight[3,1]"

    def recognizes(self, path: Path) -> bool:
        """Whether the first line is such a header."""
        header = _header(path)
        return header[:1] == ["run"] and len(header) > 1 and all(map(COLUMN.fullmatch, header[1:]))

    def open(self, path: Path, reading: Reading) -> Source:
        """The checkpoints there, with all parameters; weights come when they are asked for.

        Raises:
            InputError: The header is another, or its columns are not in row-major order.
        """
        if not self.recognizes(path):
            raise InputError(
                f"{path}: expected a table with columns run, hidden.weight[0,0] and so on; give "
                "the table another header"
            )
        header = _header(path)
        layout = _layout_of(header[1:], path)
        runs = _runs(path)

        def read(start: int, stop: int, faults: list[str]) -> Tensor:
            block = torch.zeros(stop - start, layout.size)
            with path.open(encoding="utf-8", newline="") as file:
                for i, row in enumerate(islice(csv.reader(file), 1 + start, 1 + stop)):
                    name = f"row {start + i} (run {runs[start + i]})"
                    if len(row) != 1 + layout.size:
                        faults.append(f"{name}: {len(row) - 1} weights, expected {layout.size}")
                        continue
                    try:
                        block[i] = torch.tensor([float(value) for value in row[1:]])
                    except ValueError as error:
                        faults.append(f"{name}: {error}")
            return block

        return Source(
            format="template-csv",
            path=path,
            names=tuple(f"row {i}" for i in range(len(runs))),
            layout=layout,
            records=Records.of(runs, split="unknown"),
            read=read,
            info=PopulationInfo(recipe=f"table {path.name}"),
        )


def _header(path: Path) -> list[str]:
    """The first line of a file; nothing where there is no text."""
    if not path.is_file() or path.suffix.lower() != ".csv":
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error):
        return []


def _runs(path: Path) -> list[str]:
    """The first column."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row[0] for row in islice(csv.reader(file), 1, None) if row]


def _layout_of(columns: list[str], path: Path) -> WeightLayout:
    """The parameters that the columns are of, in order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for column in columns:
        match = COLUMN.fullmatch(column)
        if match is not None:  # the last place of a parameter says how large it is
            place = [int(i) for i in match["place"].split(",") if i]
            shapes[match["parameter"]] = tuple(i + 1 for i in place)
    layout = WeightLayout(tuple(shapes.items()))
    if header_of(layout)[1:] != columns:
        raise InputError(
            f"{path}: expected the columns of a parameter side by side and row after row "
            "([0,0], [0,1], ...); write them in this order"
        )
    return layout


def header_of(layout: WeightLayout) -> list[str]:
    """The header of a table of such checkpoints."""
    header = ["run"]
    for name, shape in layout.shapes:
        places = torch.ones(shape).nonzero().tolist() if shape else [[]]
        header += [f"{name}[{','.join(map(str, place))}]" for place in places]
    return header

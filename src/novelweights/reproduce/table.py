"""The numbers of one exhibit, as rows; its picture is drawn from them alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from novelweights.errors import InputError
from novelweights.files import read_json, write_json, write_text


@dataclass(frozen=True, eq=False)
class Table:
    """What an exhibit shows."""

    title: str
    rows: pd.DataFrame
    """One row per thing that is shown, with names of columns that say what they hold."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Plain data: of each method its data, network, seeds and numbers of checkpoints."""
    notes: Sequence[str] = ()
    """What a reader must know beside the numbers."""
    caption: str = ""
    """Scale and data of the runs that it is made of."""

    def values(self, column: str, **where: str) -> np.ndarray:
        """One column of the rows in which other columns hold these values, NaN left out."""
        chosen = np.ones(len(self.rows), dtype=bool)
        for name, value in where.items():
            chosen &= (self.rows[name] == value).to_numpy()
        return self.rows.loc[chosen, column].dropna().to_numpy()

    def write(self, folder: Path, name: str, **more: Any) -> None:
        """NAME.json and NAME.csv into a folder; `more` is further plain data for the former."""
        data = {
            "exhibit": name,
            "title": self.title,
            **more,
            "about": dict(self.about),
            "notes": list(self.notes),
            "caption": self.caption,
            "columns": list(self.rows.columns),
            "rows": [[_cell(value) for value in row] for row in self.rows.itertuples(index=False)],
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{name}.json", data)
        write_text(folder / f"{name}.csv", self.rows.to_csv(index=False))

    @classmethod
    def read(cls, path: Path) -> "Table":
        """What `write` left in NAME.json.

        Raises:
            InputError: The file is missing or of another form.
        """
        data = read_json(path)
        try:
            rows = pd.DataFrame(data["rows"], columns=data["columns"])
            return cls(data["title"], rows, data["about"], tuple(data["notes"]), data["caption"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: expected the numbers of an exhibit, got something else ({error}); make "
                "it again by `novelweights reproduce`",
                "damaged",
            ) from error


def _cell(value: Any) -> Any:
    """A number or text as JSON has it; six digits, and null for what is no number."""
    if isinstance(value, str | bool) or value is None:
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    number = float(value)
    return float(f"{number:.6g}") if np.isfinite(number) else None

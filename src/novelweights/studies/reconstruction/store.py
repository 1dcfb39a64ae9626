"""The files of a reconstruction run: reconstruction.json, of which its page is made, and a CSV."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from novelweights.files import write_json, write_text
from novelweights.generators.parts.gap import six_digits
from novelweights.studies.reconstruction.pairs import Reconstructed
from novelweights.studies.reconstruction.summary import Summary

SCHEMA_VERSION = 1


def write_reconstruction(
    folder: Path,
    found: Reconstructed,
    summary: Summary,
    about: Mapping[str, Any],
    *,
    paper: Mapping[str, Any] | None = None,
) -> None:
    """Write reconstruction.json and reconstruction.csv into an existing folder.

    Args:
        folder: Where to.
        found: The pairs.
        summary: What they show.
        about: How they were made, as plain data.
        paper: What the paper prints, as text: its setting, and numbers by their names.
    """
    table = found.table()
    numbers = table.select_dtypes("number").columns
    rounded = {name: [six_digits(x) for x in table[name]] for name in numbers}
    write_json(
        folder / "reconstruction.json",
        {
            "schema_version": SCHEMA_VERSION,
            "about": dict(about),
            "summary": summary.to_json(),
            "paper": None if paper is None else dict(paper),
            "rows": table.assign(**rounded).to_dict(orient="records"),
        },
    )
    write_text(folder / "reconstruction.csv", table.to_csv(index=False, float_format="%.9g"))

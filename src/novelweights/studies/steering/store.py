"""The files of a steering run: steering.json, from which its page is made, and steering.csv."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from novelweights.files import write_json, write_text
from novelweights.generators.parts.gap import six_digits
from novelweights.studies.steering.samples import Steering
from novelweights.studies.steering.summary import Summary

SCHEMA_VERSION = 1


def write_steering(
    folder: Path, steering: Steering, summary: Summary, about: Mapping[str, Any]
) -> None:
    """Write steering.json and steering.csv into an existing folder.

    Args:
        folder: Where to.
        steering: The samples.
        summary: What they show.
        about: How they were made, as plain data.
    """
    table = steering.table()
    numbers = ("prompt", "start_loss", "achieved", "accuracy")
    rounded = {name: [six_digits(x) for x in table[name]] for name in numbers}
    rows = table.assign(**rounded).to_dict(orient="records")
    least, greatest = map(six_digits, steering.loss_range)
    write_json(
        folder / "steering.json",
        {
            "schema_version": SCHEMA_VERSION,
            "about": dict(about),
            "loss_range": [least, greatest],
            "summary": summary.to_json(),
            "rows": rows,
        },
    )
    write_text(folder / "steering.csv", table.to_csv(index=False, float_format="%.9g"))

"""Kept results in the keys of today: `python -m novelweights.report.migrate FOLDER...`.

Rewrites every audit.json, summary.json and calibration.json of the schema before, and nothing else:
numbers stay to the last digit. Pages are drawn again by `novelweights report`.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from novelweights.auditing.result import SCHEMA_VERSION
from novelweights.errors import Note
from novelweights.files import read_json, write_json
from novelweights.report.calibration import CALIBRATION_SCHEMA
from novelweights.report.summary import SUMMARY_SCHEMA

QUANTITIES = {"own_gap_": "generalization_gap_"}
GROUPS = {"own gap": "generalization gap", "common use": "established"}
CONTROLS = {"copies_moved": "copies_permuted"}
SENTENCES = {
    "on each leg and on any": "by each test and by any",
    r"\bleg(s?)\b": r"test\1",
    "copies moved by the symmetry": "permuted copies",
}
CODES = {
    "^Only .* held-out run": "few-heldout",
    "^No held-out runs": "no-heldout",
    "trained from scratch: give some": "few-from-scratch",
    "^No task was given": "no-task",
    "plain L2": "no-symmetry",
    "repeat another one": "repeated-samples",
    "starting checkpoint": "few-starts",
    "--noise-from": "unused-noise-source",
    "with different names come from": "related-runs",
    "^Held-out runs (differ|were trained)": "other-recipe",
    "far worse than the others: ": "failed-heldout",
    "have not gone through it": "missing-reconstructions",
    "codec costs quality": "codec-costs",
    "codec gives held-out runs back": "codec-differs",
    "far worse than the others after": "failed-after-codec",
}
"""What warnings of before say, as patterns, and their code."""


def migrate(folder: Path) -> list[Path]:
    """Rewrite the files in a folder and the folders below it.

    Returns:
        The files that were rewritten.

    Raises:
        InputError: A file is unreadable.
        ValueError: A warning is none of those that were ever written.
    """
    changed = []
    for name, version, change in (
        ("audit.json", SCHEMA_VERSION, audit_of_today),
        ("summary.json", SUMMARY_SCHEMA, summary_of_today),
        ("calibration.json", CALIBRATION_SCHEMA, calibration_of_today),
    ):
        for path in sorted(folder.rglob(name)):
            data = read_json(path)
            if data.get("schema_version") == version - 1:
                write_json(path, {**change(data), "schema_version": version})
                changed.append(path)
    return changed


def audit_of_today(data: Mapping[str, Any]) -> dict[str, Any]:
    """The content of an audit.json in the keys of today."""
    verdict = {**data["verdict"]}
    verdict["controls"] = [
        _renamed({**one, "key": CONTROLS.get(one["key"], one["key"])}, wanted="expected")
        for one in verdict["controls"]
    ]
    controls = {
        CONTROLS.get(key, key): _renamed(one, found="measured", ranks="p_values", wanted="expected")
        for key, one in data["controls"].items()
    }
    changed = {
        **data,
        "quantities": [_quantity(one) for one in data["quantities"]],
        "controls": controls,
        "warnings": [_warning(text) for text in data["warnings"]],
        "verdict": verdict,
    }
    return _renamed(changed, ranks="p_values")


def summary_of_today(data: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a summary.json in the keys of today."""
    changed = {
        **data,
        "warnings": [_warning(text) for text in data["warnings"]],
        "numbers": [_quantity(one) for one in data["numbers"]],
    }
    if "others" in data:
        changed["others"] = [summary_of_today(one) for one in data["others"]]
    return changed


def calibration_of_today(data: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a calibration.json in the keys of today."""

    def rows(zoo: Mapping[str, Any], part: str, key: str) -> list[dict[str, Any]]:
        named = [{**row, key: CONTROLS.get(row[key], row[key])} for row in zoo[part]]
        return [_renamed(row, wanted="expected") for row in named]

    parts = {"kinds": "key", "outcomes": "kind", "populations": "kind"}
    zoos = [
        {
            **zoo,
            **{part: rows(zoo, part, key) for part, key in parts.items()},
            **{p: [_renamed(r, leg="test") for r in zoo[p]] for p in ("false_alarms", "shares")},
        }
        for zoo in data["zoos"]
    ]
    targets = [
        {**line, **{part: _said(line[part]) for part in ("text", "target", "reached")}}
        for line in data["wanted"]
    ]
    return {**_renamed({**data, "zoos": zoos}, wanted="targets"), "targets": targets}


def _said(text: str) -> str:
    """A line of the calibration in the words of today."""
    for old, new in SENTENCES.items():
        text = re.sub(old, new, text)
    return text


def _renamed(data: Mapping[str, Any], **keys: str) -> dict[str, Any]:
    """The same under other keys, in the same order."""
    return {keys.get(key, key): value for key, value in data.items()}


def _quantity(data: Mapping[str, Any]) -> dict[str, Any]:
    changed = {**data}
    for old, new in QUANTITIES.items():
        if changed["key"].startswith(old):
            changed["key"] = new + changed["key"].removeprefix(old)
    if "group" in changed:
        changed["group"] = GROUPS.get(changed["group"], changed["group"])
    return changed


def _warning(text: str) -> dict[str, str]:
    for pattern, code in CODES.items():
        if re.search(pattern, text):
            return vars(Note(code, text))
    raise ValueError(f"no warning that was ever written: {text!r}")


if __name__ == "__main__":
    for place in sys.argv[1:]:
        for path in migrate(Path(place)):
            sys.stdout.write(f"{path}\n")

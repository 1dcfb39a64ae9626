"""How often audits were right on zoos of known truth: the few numbers a page has room for.

Read from the results of `novelweights calibrate` that come with the package; the whole study is
`docs/calibration.md`.
"""

from pathlib import Path

from novelweights.errors import InputError
from novelweights.files import read_json
from novelweights.report.tables import PlainTable, percent

COMMITTED = Path(__file__).with_name("calibration.json")
CALIBRATION_SCHEMA = 2
SHOWN = {
    "fresh": "fresh runs",
    "shrunk": "fresh runs, shrunk",
    "early": "fresh runs, stopped early",
    "copies": "exact copies",
    "copies_noise_0.25": "copies + noise of 0.25",
    "copies_noise_0.5": "copies + noise of 0.5",
    "copies_noise_1": "copies + noise of 1",
    "copies_permuted": "copies, neurons moved",
    "average_2": "averages of 2",
    "average_4": "averages of 4",
    "average_16": "averages of 16",
    "average_16_noise": "averages of 16 + noise",
    "mosaic": "mosaics",
}
"""Kinds on the page, with short names."""


def calibration_summary(path: Path = COMMITTED) -> PlainTable | None:
    """Share of each kind of checkpoints that was called replica or interpolation, zoo by zoo.

    Returns:
        One row per kind, one column per zoo; None if the file is not there.

    Raises:
        InputError: The file is something else.
    """
    if not path.is_file():
        return None
    study = read_json(path)
    try:
        zoos = study["zoos"]
        n = min(study["sizes"]["n_heldout"])
        shares = {
            zoo["name"]: {o["kind"]: o["found"] for o in zoo["outcomes"] if o["n_heldout"] == n}
            for zoo in zoos
        }
        met = sum(line["is_met"] for line in study["targets"])
        note = (
            f"Share called replica or interpolation in {study['repetitions']} audits of "
            f"{len(zoos)} zoo{'s' * (len(zoos) != 1)} of known truth with {n} held-out runs each; "
            "of honest runs none should be, of copies and mixtures all. Noise: its length over the "
            f"median distance of held-out runs. {met} of {len(study['targets'])} targets set "
            "beforehand were met; docs/calibration.md tells all."
        )
        rows = [
            [short, *(percent(kinds[key]) for kinds in shares.values())]
            for key, short in SHOWN.items()
        ]
    except (KeyError, TypeError, ValueError) as problem:
        raise InputError(
            f"{path}: expected the results of `novelweights calibrate`, got something else "
            f"({problem}); run it again",
            "damaged",
        ) from problem
    return PlainTable(note, ["checkpoints", *shares], rows)

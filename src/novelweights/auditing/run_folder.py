"""Writing the run folder of an audit: numbers, table, pictures' data and provenance.

Format: DESIGN section 3. Everything a report shows is in these four files.
"""

import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from novelweights.auditing.judge.criteria import NOT_FINITE, Verdict, Verdicts
from novelweights.auditing.result import AuditResult
from novelweights.files import replacing, write_json, write_text

PACKAGES = ("novelweights", "torch", "numpy", "scipy", "scikit-learn", "diffusers")


def write_run(
    folder: Path,
    result: AuditResult,
    verdicts: Verdicts,
    pictures: Mapping[str, np.ndarray],
    manifest: Mapping[str, Any],
) -> None:
    """Write audit.json, checkpoints.csv, plot_data.npz and manifest.json into a folder."""
    write_json(folder / "audit.json", audit_json(result, verdicts))
    table = checkpoint_table(result, verdicts)
    write_text(folder / "checkpoints.csv", table.to_csv(index=False, float_format="%.9g"))
    with replacing(folder / "plot_data.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **pictures)
    write_json(folder / "manifest.json", manifest)


def audit_json(result: AuditResult, verdicts: Verdicts) -> dict[str, Any]:
    """The content of audit.json: every number, and what they were judged to mean."""
    return {**result.to_json(), "verdict": verdicts.to_json()}


def checkpoint_table(result: AuditResult, verdicts: Verdicts) -> pd.DataFrame:
    """The rows of checkpoints.csv: one for each generated checkpoint, with its verdict."""
    table = result.table()
    table["verdict"] = [str(one.origin) for one in verdicts.checkpoints]
    table["kind"] = [one.kind for one in verdicts.checkpoints]
    table["works"] = ["" if one.works is None else one.works for one in verdicts.checkpoints]
    table["reason"] = [one.reason for one in verdicts.checkpoints]
    if not result.not_finite:
        return table
    broken = pd.DataFrame(
        {
            "row": [*result.not_finite],
            "name": [*result.not_finite.values()],
            "verdict": str(Verdict.BROKEN),
            "works": False,
            "reason": NOT_FINITE,
        }
    )
    # whole numbers stay whole beside cells that are empty
    whole = {name: "Int64" for name, kind in table.dtypes.items() if kind == np.int64}
    return pd.concat([table.astype(whole), broken.astype({"row": "Int64"})], ignore_index=True)


def describe_run(
    *,
    command: str,
    settings: Mapping[str, Any],
    seed: int,
    inputs: Mapping[str, Mapping[str, Any]],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The manifest of a run: what made it, with versions and the commit of the code."""
    return {
        "command": command,
        "settings": dict(settings),
        "seed": seed,
        "versions": versions_used(),
        "git_commit": git_commit(),
        "inputs": {role: dict(entry) for role, entry in inputs.items()},
        "seconds": dict(seconds),
    }


def versions_used() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    used = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **used}


def git_commit() -> str | None:
    """The commit of a source checkout of this package, None if it is installed otherwise."""
    here = Path(__file__).resolve()

    def git(*words: str) -> str | None:
        try:
            answer = subprocess.run(
                ["git", "-C", str(here.parent), *words],
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None

    # an installed copy may lie inside somebody else's checkout, whose commit would be wrong
    if git("ls-files", "--error-unmatch", here.name) is None:
        return None
    return git("rev-parse", "HEAD")

"""A guard for refactorings: numbers, verdicts and exit codes of audits and commands, frozen.

    python -m benchmarks.golden record    writes benchmarks/golden.json
    python -m benchmarks.golden check     computes everything again; exit code 1 if anything differs
    ... check --quick                     only the cases of `QUICK`
    ... check --only NAME ...             only some

Everything goes through the command line, so code may move freely behind it. Weights are drawn from
seeded streams, or are a stored population of `results/`; nothing is trained. Kept of an audit: all
numbers of `audit.json`, lists of them as root mean square and weighted mean; all columns of
`checkpoints.csv` but the reasons, row by row; verdicts and exit codes. Of texts only the codes in
`CODES` and how many there are; what is null counts as absent. Ignored: seconds, versions, settings,
paths, commits, commands, pages, figures.

On one machine numbers agree to 1e-9 of the largest in their list. On another, where searches take
other turns in the last digit, give `check --tolerance 1e-4`: verdicts, counts and codes must still
agree.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

for _name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"  # sums do not depend on who shares them

from benchmarks.golden_cases import CASES, QUICK  # noqa: E402

FILE = Path(__file__).with_suffix(".json")
RENAMED: dict[str, str] = {
    "found": "measured",
    "ranks": "p_values",
    "wanted": "expected",
    "copies_moved": "copies_permuted",
    **{f"own_gap_{timestep}": f"generalization_gap_{timestep}" for timestep in (50, 200, 500, 800)},
    "rows/reference": "reconstructions",
    "rows/heldout-reference": "heldout_reconstructions",
    "rows/noise-from": "noise_from",
    "rows/from-scratch": "from_scratch",
}
"""Ends of recorded paths ("heldout", or "verdict/controls") by what their last part is now."""
FLOOR = 1e-12
"""Differences below this are none."""


def computed(name: str) -> tuple[str, float, dict[str, Any]]:
    """A case, its seconds of a processor and what it gives, in an empty folder."""
    before, start = Path.cwd(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            found = CASES[name]()
        finally:
            os.chdir(before)
    return name, time.process_time() - start, json.loads(json.dumps(found))


def differences(
    expected: Any, found: Any, tolerance: float, path: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Path, expected and found where two records differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in expected | found:
            there = expected.get(key, "absent"), found.get(key, "absent")
            yield from differences(*there, tolerance, f"{path}/{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        size = max((abs(x) for x in expected if isinstance(x, int | float)), default=0.0)
        for i, pair in enumerate(zip(expected, found, strict=True)):
            if not _close(*pair, tolerance, size):
                yield f"{path}/{i}", *pair
    elif not _close(expected, found, tolerance, 0.0):
        yield path, expected, found


def _close(expected: Any, found: Any, tolerance: float, size: float) -> bool:
    kinds = {type(expected), type(found)}
    if not kinds <= {int, float}:
        return len(kinds) == 1 and expected == found
    size = max(size, abs(expected), abs(found))
    return abs(expected - found) <= tolerance * size + FLOOR


def renamed(recorded: Any, path: str = "") -> Any:
    """A record with the names of today."""
    if not isinstance(recorded, dict):
        return recorded
    found = {}
    for key, value in recorded.items():
        here = f"{path}/{key}"
        news = [new for old, new in RENAMED.items() if f"/{here}".endswith(f"/{old}")]
        found[news[0] if news else key] = renamed(value, here)
    return found


def main() -> int:
    """Record or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("do", choices=["record", "check"])
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--only", nargs="+", choices=list(CASES), metavar="NAME")
    parser.add_argument("--tolerance", type=float, default=1e-9)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    names = options.only or (QUICK if options.quick else list(CASES))
    recorded = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    n_different, start = 0, time.perf_counter()
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for name, seconds, found in pool.map(computed, names):
            differing = []
            if options.do == "check":
                expected = renamed(recorded.get(name, "not recorded"))
                differing = list(differences(expected, found, options.tolerance))
            print(
                f"{name}: {seconds:.1f} s" + f", {len(differing)} differ" * bool(differing),
                flush=True,
            )
            for path, was, now in differing[:20]:
                print(f"  {path}: expected {was!r:.200}, got {now!r:.200}")
            n_different += len(differing)
            recorded[name] = found
    if options.do == "record":
        text = json.dumps({name: recorded[name] for name in CASES if name in recorded})
        FILE.write_text(text.replace('}, "', '},\n"') + "\n", encoding="utf-8")
    print(f"{len(names)} cases in {time.perf_counter() - start:.0f} s, {n_different} differences")
    return int(n_different > 0)


if __name__ == "__main__":
    raise SystemExit(main())

"""What is wrong with checkpoints, before anyone judges them: every finding, with its remedy.

Looks at files, weights and records alone; no network is run, so units that never fire on real
inputs are found only where their weights are zero. Source: ours.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from novelweights.auditing.lint import rows
from novelweights.auditing.lint.rows import Finding, Named, Severity
from novelweights.auditing.lint.runs import check_heldout, check_independence, check_shared_runs
from novelweights.errors import count
from novelweights.readers import PLAIN
from novelweights.readers.source import Reading
from novelweights.readers.tolerant import Examined, examine
from novelweights.weights.population import Population


@dataclass(frozen=True)
class Lint:
    """All findings of a folder, errors first."""

    n: int
    """Checkpoints that could be read, of one architecture."""
    n_runs: int
    """Runs by the records."""
    n_weights: int
    """Numbers per checkpoint."""
    findings: tuple[Finding, ...]

    def counts(self) -> dict[str, int]:
        """How many findings of each severity."""
        kinds = [finding.severity for finding in self.findings]
        return {str(kind): kinds.count(kind) for kind in Severity}

    def lines(self) -> list[str]:
        """The findings as text for a terminal."""
        words = ", ".join(count(n, kind) for kind, n in self.counts().items())
        lines = [
            f"{count(self.n, 'checkpoint')} of {count(self.n_runs, 'run')}, "
            f"{count(self.n_weights, 'weight')} each: {words}"
        ]
        for finding in self.findings:
            names = ", ".join(finding.examples)
            more = finding.count - len(finding.examples)
            where = f": {names}{f' and {more} more' if more > 0 else ''}" if names else ""
            lines.append(f"{finding.severity:8} {finding.what}{where}")
            if finding.remedy:
                lines.append(f"{'':8} -> {finding.remedy}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"counts": self.counts()}


def lint_folder(folder: Path, *, heldout: Path | None = None, reading: Reading = PLAIN) -> Lint:
    """Everything that is wrong with a folder of checkpoints.

    Args:
        folder: Checkpoints in any form that is read.
        heldout: Held-out runs in a folder of their own; those inside a population folder are told
            by its records.
        reading: How they are to be read.

    Raises:
        InputError: There is no folder of checkpoints at all.
    """
    examined = examine(folder, reading)
    examined_heldout = None if heldout is None else examine(heldout, reading)
    train = _named(examined)
    findings = list(_files(examined))
    if train is not None:
        findings += lint(train)
    if examined_heldout is not None:
        held = _named(examined_heldout)
        others = [*_files(examined_heldout), *(rows.check_rows(held) if held is not None else ())]
        findings += [replace(finding, what=f"held-out: {finding.what}") for finding in others]
        if train is not None and held is not None:
            findings += check_heldout(_training(train), held)
    order = list(Severity)
    return Lint(
        n=0 if train is None else len(train),
        n_runs=0 if train is None else len(set(train.population.records.run)),
        n_weights=0 if train is None else train.population.layout.size,
        findings=tuple(sorted(findings, key=lambda finding: order.index(finding.severity))),
    )


def lint(checkpoints: Named | Population) -> tuple[Finding, ...]:
    """Everything that is wrong with checkpoints in memory, in the order of the checks."""
    named = checkpoints if isinstance(checkpoints, Named) else Named.rows_of(checkpoints)
    if not len(named):
        return ()
    findings = list(rows.check_rows(named))
    train, held = _training(named), _split(named, "heldout")
    findings += check_independence(train)
    if len(held) and len(train) < len(named):
        findings += check_shared_runs(train, held)
        findings += check_heldout(train, held)
    return tuple(findings)


def _split(named: Named, split: str) -> Named:
    return named.select(np.flatnonzero(named.population.records.split == split))


def _training(named: Named) -> Named:
    """The training rows where the records tell roles apart, else all."""
    train = _split(named, "train")
    return train if len(train) else named


def _named(examined: Examined) -> Named | None:
    population = examined.population
    if population is None or not len(population):
        return None
    return Named(population, examined.names) if examined.names else Named.rows_of(population)


def _files(examined: Examined) -> Iterator[Finding]:
    """What is wrong with files."""
    if examined.unsafe:
        yield rows.error(
            "unsafe-files",
            f"{count(len(examined.unsafe), 'file')} refused: needs code to be read, and a pickle "
            "can run anything",
            list(examined.unsafe),
            "save the state dict alone: torch.save(model.state_dict(), path)",
        )
    if examined.damaged:
        yield rows.error(
            "damaged-files",
            f"{count(len(examined.damaged), 'file')} damaged, changed or no checkpoint",
            [f"{name} ({reason})" for name, reason in examined.damaged.items()],
            "restore them from a copy, or leave them out",
        )
    if examined.foreign:
        yield rows.error(
            "other-files",
            f"{count(len(examined.foreign), 'file')} of another architecture than most",
            [f"{name} ({difference})" for name, difference in examined.foreign.items()],
            "keep checkpoints of one architecture in one folder",
        )
    if examined.broken_foreign:
        yield rows.error(
            "not-finite-weights",
            "NaN or infinite weights in files of another architecture",
            examined.broken_foreign,
            "remove them, or find out why their training diverged",
        )
    for kind, names in sorted(examined.dtypes.items()):
        if kind == "float64":
            yield rows.note(
                "double-precision",
                f"{count(len(names), 'file')} in float64: read as float32",
                names,
            )
        elif kind != "float32":
            yield rows.warning(
                "rounded-files",
                f"{count(len(names), 'file')} in {kind}: rounding is a part of every distance",
                names,
                "save float32, and the same kind for training, held-out and generated checkpoints",
            )
    for text, names in examined.told.items():
        yield rows.note("left-out", text, names)
    if examined.passed_over:
        yield rows.note(
            "passed-over",
            f"{count(len(examined.passed_over), 'file')} of other kinds not read",
            examined.passed_over,
            "convert them to .safetensors if they are checkpoints",
        )

"""Folders of P-diff: its training checkpoints, and those that it generated.

The files hold the parameters of two batch normalizations and nothing else, under names that begin
with "model.". Training checkpoints are steps of one training run, with step, accuracy and seed
in their names; generated ones are numbered.

Source: the code of P-diff (Wang et al., 2024) as vendored by the paper's authors.
"""

import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from novelweights.errors import InputError, count, first_few, naming
from novelweights.readers.formats.state_dicts import source_of_units
from novelweights.readers.source import Reading, Source, as_percent
from novelweights.readers.units import Unit, listed
from novelweights.weights.population import Records

TRAINED = re.compile(r"(\d{4,9})_acc(\d{1,3}\.\d{4})_(seed\d{4,9}_.+)\.pth", re.ASCII)
GENERATED = re.compile(r"generated_.+_\d{3,9}\.pth", re.ASCII)
STRAY = "generated_model.pth"
"""Written among the generated ones while the generator is trained, but not a sample of it."""
PREFIX = "model."


@dataclass(frozen=True)
class PDiffFolder:
    """Reads folders of P-diff's."""

    summary: str = "P-diff's folder: 0001_acc0.7650_seed0040_NAME.pth, or generated_NAME_001.pth"

    def recognizes(self, path: Path) -> bool:
        """Whether all `.pth` files of a folder are named as P-diff names them."""
        try:
            names = [p.name for p in path.iterdir() if p.suffix == ".pth" and p.name != STRAY]
        except OSError:
            return False
        return bool(names) and (
            all(map(TRAINED.fullmatch, names)) or all(map(GENERATED.fullmatch, names))
        )

    def open(self, path: Path, reading: Reading) -> Source:
        """The checkpoints of a folder: training ones by run and step, or generated ones by name.

        Raises:
            InputError: No file is named so, an accuracy is impossible, or the first file cannot
                be read.
        """
        files = {p.name: p for p in listed(path) if p.suffix == ".pth"}
        trained = [match for name in files if (match := TRAINED.fullmatch(name))]
        if trained:
            trained.sort(key=lambda match: (match[3], int(match[1])))
            names = [match.string for match in trained]
            best = max(trained, key=lambda match: float(match[2])).string
            with naming(path / best):
                records, note, runs_note = _trained(trained)
        else:
            names = [name for name in files if GENERATED.fullmatch(name)]
            records = Records.of([Path(name).stem for name in names], split="generated")
            note = f"{len(names):,} generated checkpoints of P-diff"
            runs_note = "each is a run of its own"
        if not names:
            raise InputError(
                f"{path}: expected files named 0001_acc0.7650_seed0040_NAME.pth or "
                "generated_NAME_001.pth (P-diff), found none; read them as a folder of state dicts",
                "not-found",
            )
        notes, taken = [note], set(names)
        if left := [name for name in files if name not in taken]:
            notes.append(f"left out, as P-diff names no checkpoint so: {first_few(left)}")
        units = [Unit(Path(name).stem, (files[name],)) for name in names]
        read = partial(source_of_units, records=records, runs_note=runs_note, format_name="p-diff")
        source = read(path, units, reading)
        if not reading.prefix and all(name.startswith(PREFIX) for name, _ in source.layout.shapes):
            source = read(path, units, replace(reading, prefix=PREFIX))
            notes.append(f'"{PREFIX}" is left off the names of parameters')
        recipe = f"P-diff folder of {len(names):,} checkpoints"
        return replace(source, info=replace(source.info, recipe=recipe), notes=tuple(notes))


def _trained(matches: list[re.Match[str]]) -> tuple[Records, str, str]:
    """Records of training checkpoints by their file names, and what was taken from them."""
    percents, unit = as_percent([float(match[2]) for match in matches])
    runs = [match[3] for match in matches]
    records = Records.of(
        runs,
        split="train",
        step=[int(match[1]) for match in matches],
        scores={"test_accuracy": percents.tolist()},
    )
    return (
        records,
        f"{len(matches):,} training checkpoints of {count(len(set(runs)), 'run')} of P-diff",
        f"runs, steps and accuracies ({unit}) by the file names",
    )

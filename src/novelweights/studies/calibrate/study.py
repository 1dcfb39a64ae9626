"""The calibration study: the audit judged on zoos of known truth.

Train, plant, measure once, then audit hundreds of times. Trained runs and measured rows are kept
in `work/`, so that an interrupted study goes on where it was; the audits themselves take minutes
and are done anew. Source: ours (DESIGN section 5).
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.errors import InputError, look_up
from novelweights.files import read_json, write_json, write_text
from novelweights.studies.calibrate.judging import judge_zoo
from novelweights.studies.calibrate.markdown import render_markdown
from novelweights.studies.calibrate.measured import measure_zoo
from novelweights.studies.calibrate.pool import Tell, make_pool
from novelweights.studies.calibrate.results import Calibration, ZooResult
from novelweights.studies.calibrate.targets import targets_of
from novelweights.studies.calibrate.zoos import (
    DEFAULT_ZOOS,
    SCALES,
    CalibrationZoo,
    Sizes,
    find_zoos,
)

RESULTS, PAGE, WORK = "calibration.json", "calibration.md", "work"


def calibrate(
    folder: Path,
    *,
    scale: str = "full",
    zoos: Sequence[str] = (),
    repetitions: int | None = None,
    seed: int = 0,
    resume: bool = False,
    tell: Tell | None = None,
) -> Calibration:
    """Run the study and write `calibration.json` and `calibration.md` into a folder.

    Args:
        folder: The folder to write; trained runs and measured rows are kept in its `work/`.
        scale: Sizes: a key of `SCALES`.
        zoos: Names of zoos; those of the scale if empty.
        repetitions: Audits per zoo and number of held-out runs, if not the scale's.
        seed: Root of all randomness.
        resume: Go on with the folder of an earlier, perhaps unfinished study of the same settings.
        tell: Told about the progress.

    Raises:
        InputError: An unknown name, a folder that holds something, or one of other settings.
    """
    sizes = look_up("scale", scale, SCALES)
    if repetitions is not None:
        if repetitions < 2:
            raise InputError(
                f"expected at least 2 repetitions, got {repetitions}; give more", "wrong-option"
            )
        sizes = replace(sizes, repetitions=repetitions)
    chosen = find_zoos(zoos or DEFAULT_ZOOS[scale])
    if folder.is_file():
        raise InputError(
            f"{folder}: expected a folder to write to, it is a file; name another", "exists"
        )
    if not resume and folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            f"{folder}: expected a new or empty folder, it holds files; name another with -o, or "
            "add --resume to go on with the study in it",
            "exists",
        )
    for zoo in chosen:
        _claim(folder / WORK / zoo.name, zoo, sizes, seed)
    tell = tell or (lambda stage, done, total: None)
    results = [_of_zoo(zoo, sizes, seed, folder / WORK / zoo.name, tell) for zoo in chosen]
    study = Calibration(
        scale=scale,
        seed=seed,
        repetitions=sizes.repetitions,
        sizes=_plain(asdict(sizes)),
        criteria=_plain(asdict(DEFAULT_CRITERIA)),
        versions={name: metadata.version(name) for name in ("novelweights", "torch", "numpy")},
        zoos=results,
        targets=targets_of(results),
    )
    write_json(folder / RESULTS, study.to_json())
    write_text(folder / PAGE, render_markdown(study))
    return study


def _of_zoo(zoo: CalibrationZoo, sizes: Sizes, seed: int, folder: Path, tell: Tell) -> ZooResult:
    pool = make_pool(zoo, sizes, seed, folder, tell)
    measured = [
        measure_zoo(pool, index, sizes, seed, folder, tell) for index in range(sizes.populations)
    ]
    return judge_zoo(pool, measured, sizes, seed, tell)


def _claim(folder: Path, zoo: CalibrationZoo, sizes: Sizes, seed: int) -> None:
    """Note what a work folder holds, and refuse one that holds something else."""
    kept = ("populations", "training_runs", "heldout_runs", "fresh_runs", "planted")
    settings = {
        "zoo": zoo.name,
        "network": zoo.network.name,
        "recipe": asdict(zoo.recipe),
        "seed": seed,
        **{name: getattr(sizes, name) for name in kept},
    }
    marker = folder / "settings.json"
    if marker.exists():
        if read_json(marker) != settings:
            raise InputError(
                f"{folder}: a study with other settings is there; expected the same scale and "
                "seed. Name another folder with -o",
                "other-settings",
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_json(marker, settings)


def _plain(settings: dict) -> dict:
    """Tuples as lists, as JSON has them."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}

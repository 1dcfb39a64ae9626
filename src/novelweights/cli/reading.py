"""The options that say how somebody's checkpoints are to be read, and the command that copies them.

The options are the same wherever checkpoints are taken: in audits, by lint and by import.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from novelweights.cli.show import progress_bar, say
from novelweights.errors import InputError, unknown_name

if TYPE_CHECKING:
    from novelweights.readers.source import Reading

Include = Annotated[
    list[str] | None,
    typer.Option(
        help="Parameters that are the checkpoint, e.g. 'layer4.1.bn*'; the rest is shared. "
        "May be repeated. [all]"
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(help="Parameters that are not. May be repeated."),
]
Prefix = Annotated[
    str,
    typer.Option(help="Left off the beginning of parameter names, e.g. 'model.'."),
]
Pattern = Annotated[
    str | None,
    typer.Option(help="How names tell runs and steps, e.g. '{run}_step{step}'. [recognized]"),
]
RecordsTable = Annotated[
    Path | None,
    typer.Option(help="CSV with file, run, step, split and scores. [records.csv beside the files]"),
]
Layout = Annotated[
    Path | None,
    typer.Option(help="CSV with parameter and shape, for a matrix. [layout.csv beside it]"),
]
Shared = Annotated[
    Path | None,
    typer.Option(help="File with the rest of the network, where checkpoints are parts of it."),
]
MaxBytes = Annotated[
    str,
    typer.Option(help="Files that announce more are refused, e.g. 16GiB."),
]
DEFAULT_MAX = "4GiB"
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def reading_of(
    *,
    include: list[str] | None = None,
    exclude: list[str] | None = None,
    prefix: str = "",
    pattern: str | None = None,
    records: Path | None = None,
    layout: Path | None = None,
    shared: Path | None = None,
    max_bytes: str = DEFAULT_MAX,
) -> "Reading":
    """The options as one value.

    Raises:
        InputError: A size that is none.
    """
    from novelweights.readers.source import Reading

    return Reading(
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        prefix=prefix,
        pattern=pattern,
        records=records,
        layout=layout,
        shared=shared,
        max_bytes=size_in_bytes(max_bytes),
    )


def told_options(reading: "Reading") -> str:
    """The options as they are given on the command line, for the manifest; none that is usual."""
    from novelweights.readers.source import MAX_BYTES

    said = [f"--include '{pattern}'" for pattern in reading.include]
    said += [f"--exclude '{pattern}'" for pattern in reading.exclude]
    for name in ("prefix", "pattern", "records", "layout", "shared"):
        if value := getattr(reading, name):
            said.append(f"--{name} '{value}'")
    if reading.max_bytes != MAX_BYTES:
        said.append(f"--max-bytes {reading.max_bytes}")
    return " ".join(said)


def size_in_bytes(text: str) -> int:
    """A size such as 16GiB or 8e9.

    Raises:
        InputError: It is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d{1,2})?)\s*([a-z]*)\s*", text, re.IGNORECASE)
    if match is None or match[2].upper() not in UNITS:
        raise InputError(f"expected a size in bytes, such as 8e9 or 16GiB, got {text!r}")
    return int(float(match[1]) * UNITS[match[2].upper()])


def import_checkpoints(
    format_name: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", help="See `novelweights ls readers`; auto: whichever knows it."
        ),
    ],
    source: Annotated[Path, typer.Argument(help="The checkpoints: a folder or a file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Population folder to write.")],
    split: Annotated[
        str | None,
        typer.Option(help="What they are, where their format does not tell: train, heldout, ..."),
    ] = None,
    steps: Annotated[str, typer.Option(help="Of each run: all, or the last.")] = "all",
    task: Annotated[
        str | None, typer.Option(help="Judges them in audits: see `novelweights ls tasks`.")
    ] = None,
    include: Include = None,
    exclude: Exclude = None,
    prefix: Prefix = "",
    pattern: Pattern = None,
    records: RecordsTable = None,
    layout: Layout = None,
    shared: Shared = None,
    max_bytes: MaxBytes = DEFAULT_MAX,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what the same command wrote before.")
    ] = False,
) -> None:
    """Copy checkpoints of any known form into a population folder; no code in them is run.

    A population is opened as a memory map, so that audits of many checkpoints begin at once.
    """
    from novelweights.files import require_new
    from novelweights.readers import open_source
    from novelweights.readers.importing import SPLITS, STEPS, import_source

    if split is not None and split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if steps not in STEPS:
        raise unknown_name("choice of steps", steps, STEPS)
    require_new(output, kind="population.json", overwrite=overwrite)
    reading = reading_of(
        include=include,
        exclude=exclude,
        prefix=prefix,
        pattern=pattern,
        records=records,
        layout=layout,
        shared=shared,
        max_bytes=max_bytes,
    )
    found = open_source(source, format_name=format_name, reading=reading)
    for note in found.told():
        say(note)
    with progress_bar() as tell:
        n = import_source(
            found,
            output,
            reading=reading,
            split=split,
            steps=steps,
            task=task,
            resume=resume,
            overwrite=overwrite,
            progress=lambda done, total: tell("copying", done, total),
        )
    say(f"{output}: {n} checkpoints of {found.layout.size} weights written")

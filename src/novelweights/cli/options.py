"""Options that several commands take, each declared once."""

import functools
import inspect
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from novelweights.errors import InputError

if TYPE_CHECKING:
    from novelweights.readers.source import Reading

Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what the same command wrote before.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")]
Seed = Annotated[int, typer.Option(help="Root of all randomness.")]


def _look_into(folder: Path | None) -> None:
    """Makes a folder the first that is looked into for data sets, here and in child processes."""
    from novelweights.data.cache import DATA_DIR

    if folder is None:
        return
    if not folder.is_dir():
        raise InputError(
            f"{folder}: expected a folder that holds data sets by their names "
            "(`novelweights ls data`), it is none; name another by --data-dir",
            "not-found",
        )
    os.environ[DATA_DIR] = str(folder.resolve())


DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        callback=_look_into,
        expose_value=False,
        help="Folder that is looked into first for data sets. [NOVELWEIGHTS_DATA, then the cache]",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Plain JSON instead of text.")]
Task = Annotated[
    str,
    typer.Option(
        help="Judges behavior: `novelweights ls tasks`, or your own, my_module:MyTask; auto: "
        "--data, else the population's own; none."
    ),
]
Samples = Annotated[int, typer.Option("--samples", "-n", min=1, help="Checkpoints to generate.")]
Runs = Annotated[int | None, typer.Option(min=1, help="Training runs. [the zoo's own number]")]
HeldoutRuns = Annotated[
    int | None,
    typer.Option(
        min=0, help="Held-out runs: same recipe, never learned from. [the zoo's own number]"
    ),
]
KeptCheckpoints = Annotated[
    int | None,
    typer.Option(
        "--checkpoints",
        min=1,
        help="Kept of each run: 1, the last; more: the initialization, random steps, the last; in "
        "zoos of small convolutional networks the ends of the last epochs; in zoos of fine-tuning "
        "consecutive steps. [the zoo's own number]",
    ),
]
StartRuns = Annotated[
    int | None,
    typer.Option(
        min=0, help="Initializations of yet other runs, to begin sampling from. [the zoo's own]"
    ),
]
Init = Annotated[
    Path | None,
    typer.Option(
        "--init",
        help="A pre-trained ResNet-18 (a state dict in timm's names) that the base network of a "
        "zoo ...-resnet18-bn begins from. [random]",
    ),
]
Network = Annotated[
    str | None,
    typer.Option(
        "--network",
        help="The network: a name (`novelweights ls networks`) or your own, my_module:MyNetwork; "
        "its symmetry is derived and proven.",
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option(
        "--input-shape",
        help="Shape of one example of that network, e.g. 3x32x32. [the network's own input_shape]",
    ),
]
DataFile = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Labelled test examples for --network, as it takes them: a .npz, .safetensors or .pt "
        "file with x and y. Judges behavior, unless --task names something else.",
    ),
]
RecalibrateStatistics = Annotated[
    bool,
    typer.Option(
        "--recalibrate-statistics",
        help="Run --network with running statistics of normalizations recomputed on --data for "
        "every checkpoint, in place of those that files hold; for files that lack them.",
    ),
]

# how the files of somebody's checkpoints are to be read
Include = Annotated[
    list[str] | None,
    typer.Option(
        help="Parameters that are the checkpoint, e.g. 'layer4.1.bn*'; the rest is shared. "
        "May be repeated. [all]"
    ),
]
Exclude = Annotated[
    list[str] | None, typer.Option(help="Parameters that are not. May be repeated.")
]
Prefix = Annotated[
    str, typer.Option(help="Left off the beginning of parameter names, e.g. 'model.'.")
]
Pattern = Annotated[
    str | None,
    typer.Option(help="How names give runs and steps, e.g. '{run}_step{step}'. [recognized]"),
]
RecordsTable = Annotated[
    Path | None,
    typer.Option(help="CSV with file, run, step, split and scores. [records.csv beside the files]"),
]
LayoutTable = Annotated[
    Path | None,
    typer.Option(
        help="CSV with parameter and shape, for a matrix or flat vectors. [layout.csv beside them]"
    ),
]
Shared = Annotated[
    Path | None,
    typer.Option(help="File with the rest of the network, where checkpoints are parts of it."),
]
MaxBytes = Annotated[str, typer.Option(help="Files that announce more are refused, e.g. 16GiB.")]
DEFAULT_MAX = "4GiB"
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


Key = Annotated[
    str | None,
    typer.Option(
        help="Which network, where a file holds several, e.g. 'ema'. [the only one, or the usual]"
    ),
]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format", help="How files are read: see `novelweights ls readers`. [recognized]"
    ),
]


def reading_of(
    *,
    key: Key = None,
    include: Include = None,
    exclude: Exclude = None,
    prefix: Prefix = "",
    pattern: Pattern = None,
    records: RecordsTable = None,
    layout: LayoutTable = None,
    shared: Shared = None,
    max_bytes: MaxBytes = DEFAULT_MAX,
    format_name: FormatName = None,
) -> "Reading":
    """The options as one value: each is a field of `Reading`.

    Raises:
        InputError: A size that is none.
    """
    from novelweights.readers.source import Reading

    return Reading(
        key=key,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        prefix=prefix,
        pattern=pattern,
        records=records,
        layout=layout,
        shared=shared,
        max_bytes=size_in_bytes(max_bytes),
        format=format_name,
    )


def with_reading(
    *, without: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command that takes `reading` the options of `reading_of` in place of it.

    Args:
        without: Options that the command has no use for, or of its own.
    """

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command).parameters
        added = {
            name: option
            for name, option in inspect.signature(reading_of).parameters.items()
            if name not in without
        }
        kept = [option for name, option in own.items() if name != "reading"]
        keyword = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in kept]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            chosen = {name: values.pop(name) for name in added}
            command(**values, reading=reading_of(**chosen))

        run.__signature__ = inspect.Signature([*keyword, *added.values()])  # pyright: ignore[reportAttributeAccessIssue]
        run.__annotations__ = {
            option.name: option.annotation for option in (*kept, *added.values())
        }
        return run

    return decorated


def as_flags(reading: "Reading") -> str:
    """The options as they are given on the command line, for the manifest; no default ones."""
    from novelweights.readers.source import MAX_BYTES

    flags = [f"--include '{pattern}'" for pattern in reading.include]
    flags += [f"--exclude '{pattern}'" for pattern in reading.exclude]
    for name in ("key", "prefix", "pattern", "records", "layout", "shared", "format"):
        if value := getattr(reading, name):
            flags.append(f"--{name} '{value}'")
    if reading.max_bytes != MAX_BYTES:
        flags.append(f"--max-bytes {reading.max_bytes}")
    return " ".join(flags)


def size_in_bytes(text: str) -> int:
    """A size such as 16GiB or 8e9.

    Raises:
        InputError: It is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d{1,2})?)\s*([a-z]*)\s*", text, re.IGNORECASE)
    if match is None or match[2].upper() not in UNITS:
        raise InputError(
            f"expected a size in bytes, such as 8e9 or 16GiB, got {text!r}", "wrong-option"
        )
    return int(float(match[1]) * UNITS[match[2].upper()])

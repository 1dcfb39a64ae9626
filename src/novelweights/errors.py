"""Refusals, warnings and notes, each with a code that stays when its sentence is reworded.

What a user can repair is an `InputError`, as opposed to a programmer's mistake (`ValueError`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")

SHOWN = 3
"""Names in a message, before "and so many more"."""

REFUSALS = {
    "not-found": "E001",  # a file, folder, row or entry that should be there
    "exists": "E002",  # the output is there already
    "unfinished": "E003",  # a run that was interrupted is there: --resume, or delete it
    "other-settings": "E004",  # it was begun with other settings
    "unknown-name": "E005",  # not in a registry: a zoo, a task, a method, a verdict
    "wrong-option": "E006",  # a value or a combination of options or arguments
    "not-recognized": "E007",  # no reader knows this content
    "damaged": "E008",  # truncated, not its checksum, not the format it claims
    "unsafe": "E009",  # would run code, or leave its folder
    "too-large": "E010",  # beyond a limit of bytes, depth or number
    "wrong-shape": "E011",
    "wrong-type": "E012",  # dtype, or kind of object
    "not-finite": "E013",  # NaN or infinity
    "other-network": "E014",  # parameters, layout or architecture differ between checkpoints
    "other-rows": "E015",  # things that belong together differ in number or order
    "too-few": "E016",  # checkpoints, runs, classes, points
    "leak": "E017",  # held-out runs or controls that are training checkpoints
    "wrong-records": "E018",  # runs, steps, splits, labels or scores of checkpoints
    "wrong-symmetry": "E019",  # a declared symmetry that changes what a network does
    "not-traceable": "E020",  # a network whose symmetry cannot be derived
    "network-failed": "E021",  # code of the user's network or task raised, or returned nonsense
    "wrong-plugin": "E022",  # a generator, task, reader or network that lacks what is called
    "no-data": "E023",  # a data set that must be fetched or put in place first
    "not-fetched": "E024",  # fetching failed
    "not-installed": "E025",  # a program or an optional package
    "wrong-version": "E026",  # written by another version of the schema
    "wrong-mesh": "E027",
    "unsuited": "E028",  # sound, but not what this method, task or command works on
    "wrong-content": "E029",  # a value, name or entry inside a file that cannot be meant
}
"""Codes of refusals, by name; a number is never given to another one."""

WARNINGS = {
    "few-heldout": "W001",  # too few held-out runs to judge, or to say how far apart runs lie
    "no-heldout": "W002",
    "few-from-scratch": "W003",  # a single training run, and nothing independent to compare with
    "no-task": "W004",
    "no-symmetry": "W005",  # plain L2: reordered copies look new
    "repeated-samples": "W006",
    "few-starts": "W007",  # several samples begin from one starting checkpoint
    "unused-noise-source": "W008",
    "related-runs": "W009",  # checkpoints of several names come from one run
    "other-recipe": "W010",  # held-out runs differ from training runs
    "failed-heldout": "W011",  # some work far worse than the others
    "missing-reconstructions": "W012",  # a codec made the samples, and nothing else went through it
    "codec-costs": "W013",  # networks work worse after the codec
    "codec-differs": "W014",  # it gives held-out runs back better or worse than training runs
    "failed-after-codec": "W015",  # some held-out runs work far worse after it
    "missing-statistics": "W016",  # a role lacks running statistics: left out for all alike
    "recomputed-statistics": "W017",  # behavior is judged with others than the files hold
    "failed-training": "W018",  # training networks do not work as this task: no behavior is judged
    "unknown-symmetry": "W019",  # parts of the network of which it is not known what may move
    "not-finite-samples": "W020",  # some generated checkpoints are no numbers: broken, counted
    "scaled-samples": "W021",  # a common factor separates samples from training and held-out runs
    "other-rest": "W022",  # parts of networks whose rest is not that of the training checkpoints
    # findings of lint
    "not-finite-weights": "W101",
    "constant-weights": "W102",
    "equal-runs": "W103",
    "other-heldout": "W104",
    "leaked-heldout": "W105",
    "shared-runs": "W106",
    "unsafe-files": "W107",
    "damaged-files": "W108",
    "other-files": "W109",
    "constant-parameter": "W110",
    "dead-units": "W111",
    "outlying-norm": "W112",
    "near-duplicates": "W113",
    "chained-runs": "W114",
    "reordered-copies": "W115",
    "single-run": "W116",
    "rounded-files": "W117",
    "unknown-dead-units": "W118",
    "outlying-score": "W119",
    "shared-start": "W120",
    "equal-steps": "W121",
    "some-runs": "W122",
    "unknown-reordered": "W123",
    "double-precision": "W124",
    "passed-over": "W125",
    "shared-layers": "W126",  # parameters that some runs share bit by bit; told by audits too
    "left-out": "W130",
}
"""Codes of warnings and notes, by name; a number is never given to another one."""


class InputError(Exception):
    """Wrong input from outside: a file, a flag, a layout, missing data.

    The message is for the user: what was expected, what came, what to do. The command line prints
    it with its code and exits with code 2, without a traceback. It is one line, whatever a file
    name in it holds.
    """

    def __init__(self, message: str, code: str = "wrong-content") -> None:
        super().__init__("".join(c if c.isprintable() else " " for c in message))
        self.code, self.number = code, REFUSALS[code]


@contextmanager
def naming(what: object) -> Iterator[None]:
    """Begins the message of an `InputError` from inside with what it is about: a file, a row."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{what}: {error}", error.code) from error


@dataclass(frozen=True)
class Note:
    """A warning or a note: a sentence for the reader, and a code for programs."""

    code: str
    """A key of `WARNINGS`."""
    text: str

    def __post_init__(self) -> None:
        if self.code not in WARNINGS:
            raise ValueError(f"{self.code!r} is no code of a warning")

    def __str__(self) -> str:
        return self.text

    @property
    def label(self) -> str:
        """Number and name: "W012 shared-initialization"."""
        return f"{WARNINGS[self.code]} {self.code}"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a registry, with the closest match if there is one."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    known_ones = f"known are {', '.join(names)}" if names else "there is none"
    return InputError(f"unknown {kind} {name!r}: {hint}{known_ones}", "unknown-name")


def look_up(kind: str, name: str, known: Mapping[str, T]) -> T:
    """What a registry has under a name.

    Raises:
        InputError: Unknown name.
    """
    if name not in known:
        raise unknown_name(kind, name, known)
    return known[name]


def first_few(names: Sequence[str], separator: str = ", ", *, shown: int = SHOWN) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return separator.join(names[:shown]) + more


def count(n: int, what: str) -> str:
    """A number with its noun: "1 run", "3 runs"."""
    return f"{n} {what}{'s' * (n != 1)}"

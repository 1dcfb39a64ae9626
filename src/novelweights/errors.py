"""What a user can repair, as opposed to a programmer's mistake (which raises `ValueError`)."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

SHOWN = 3
"""Names in a message, before "and so many more"."""


class InputError(Exception):
    """Wrong input from outside: a file, a flag, a layout, missing data.

    The message is for the user: what was expected, what came, what to do. The command line prints
    it and exits with code 2, without a traceback. It is one line, whatever a file name in it holds.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else " " for c in message))


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a registry, with the closest match if there is one."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return InputError(f"unknown {kind} {name!r}: {hint}known are {', '.join(names)}")


def first_few(names: Sequence[str], separator: str = ", ") -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return separator.join(names[:SHOWN]) + more

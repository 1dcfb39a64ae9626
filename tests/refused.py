"""What is refused: by its code and the things that its message names, never by its sentence."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from novelweights.errors import InputError, Note


@contextmanager
def refused(code: str, *named: object) -> Iterator[pytest.ExceptionInfo[InputError]]:
    """What runs inside must raise an `InputError` of this code, in one line, that names these."""
    with pytest.raises(InputError) as caught:
        yield caught
    message = str(caught.value)
    assert caught.value.code == code, message
    assert "\n" not in message
    for name in named:
        assert str(name) in message, message


def noted(notes: Iterable[Note], code: str, *named: object) -> list[str]:
    """The texts of the warnings and notes of this code, each of which must name these."""
    texts = [note.text for note in notes if note.code == code]
    for text in texts:
        for name in named:
            assert str(name) in text, text
    return texts

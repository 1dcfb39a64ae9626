"""What is refused: by its code and the things that its message names, never by its sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from novelweights.errors import InputError


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

"""Safetensors files as state dicts, checked by the library."""

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from novelweights.errors import InputError
from novelweights.readers.units import content_of

LENGTH = 8  # bytes that say how long the header is


def read_safetensors(path: Path, *, max_bytes: int) -> dict[str, Tensor]:
    """The tensors in a file by name, in the order of their data.

    Raises:
        InputError: It is damaged, larger than `max_bytes`, or holds tensors of a kind that torch
            has not.
    """
    content = bytes(content_of(path, max_bytes))
    try:
        tensors = load(content)
        header = content[LENGTH : LENGTH + int.from_bytes(content[:LENGTH], "little")]
        described = json.loads(header)
    except (SafetensorError, ValueError, RecursionError) as error:
        raise InputError(
            f"expected a sound safetensors file, it is damaged or truncated ({error}); copy it "
            "again",
            "damaged",
        ) from error
    except KeyError as error:
        raise InputError(
            f"expected numbers that torch knows, got {error.args[0]}; save it as float32",
            "wrong-type",
        ) from error
    order = sorted(tensors, key=lambda name: (described[name]["data_offsets"], name))
    return {name: tensors[name] for name in order}

"""Safetensors files as state dicts, checked by the library."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from novelweights.errors import InputError
from novelweights.readers.units import content_of

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""Types of weights, by their names in a file."""
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
        raise _damaged(error) from error
    except KeyError as error:
        raise InputError(
            f"expected numbers that torch knows, got {error.args[0]}; save it as float32",
            "wrong-type",
        ) from error
    order = sorted(tensors, key=lambda name: (described[name]["data_offsets"], name))
    return {name: tensors[name] for name in order}


def shapes_of_safetensors(path: Path) -> dict[str, Tensor]:
    """Tensors without values, of the shapes and types that a file announces.

    Raises:
        InputError: It is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {
                name: torch.empty(
                    part.get_shape(), dtype=DTYPES.get(part.get_dtype(), torch.uint8), device="meta"
                )
                for name, part in parts.items()
            }
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> InputError:
    return InputError(
        f"expected a sound safetensors file, it is damaged or truncated ({error}); copy it again",
        "damaged",
    )

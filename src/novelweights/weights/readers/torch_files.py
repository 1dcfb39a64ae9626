"""Torch files as plain values and tensors, none of their code run."""

import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from novelweights.errors import InputError


@dataclass(frozen=True)
class TorchFiles:
    """Reads files one after the other."""

    max_bytes: int
    """Larger files are refused."""

    def read(self, path: Path) -> Any:
        """What a file holds.

        Raises:
            InputError: It is damaged, too large, or needs code to be read.
        """
        with path.open("rb") as file:
            if not file.read(2).startswith((b"PK", b"\x80")):
                raise InputError(f"{path.name}: damaged or not a torch file; copy it again")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise InputError(
                f"{path.name}: needs code to be read, and a pickle can run anything: refused. "
                "Save the state dict alone: torch.save(model.state_dict(), path)"
            ) from error
        except Exception as error:  # torch meets damage with a dozen kinds of errors
            raise InputError(f"{path.name}: damaged or truncated; copy it again") from error

"""Labelled examples of the user's own, from one file; nothing in it is run, nothing is normalized.

Source: ours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.data.image_data import ImageData
from novelweights.errors import InputError, naming
from novelweights.files import sha256_of
from novelweights.readers.formats.checkpoint_files import CheckpointFiles
from novelweights.readers.source import MAX_BYTES

EXAMPLES, LABELS = ("x", "images", "test_x"), ("y", "labels", "test_y")
SUFFIXES = (".npz", ".safetensors", ".pt", ".pth")


@dataclass(frozen=True, eq=False)
class OwnData:
    """Examples as the network takes them, and their classes."""

    path: Path
    x: Float[Tensor, "examples ..."]
    y: Int[Tensor, " examples"]
    described: str
    """What the numbers are, and that they are used as given."""

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.x.shape[1:])

    def shaped(self, shape: tuple[int, ...]) -> "OwnData":
        """The same examples in another shape.

        Raises:
            InputError: It holds another number of numbers.
        """
        if math.prod(shape) != self.x[0].numel():
            raise InputError(
                f"{self.path}: expected examples of {_times(shape)} (--input-shape), got "
                f"{_times(self.example_shape)}; leave --input-shape out, or give that of the data",
                "wrong-shape",
            )
        return OwnData(self.path, self.x.reshape(-1, *shape), self.y, self.described)

    def as_images(self, name: str) -> ImageData:
        """For a classification: rows of test examples, and none to train with."""
        x = self.x.flatten(1)
        return ImageData(
            name=name,
            source=f"{self.path.name}, {self.described}",
            sha256=sha256_of(self.path),
            train_x=x[:0],
            train_y=self.y[:0],
            test_x=x,
            test_y=self.y,
            image_shape=self.example_shape,
        )


def read_own_data(path: Path, *, max_bytes: int = MAX_BYTES) -> OwnData:
    """The examples (x, images or test_x) and their classes (y, labels or test_y) in a file.

    Args:
        path: .npz, .safetensors, .pt or .pth; of these nothing is unpickled that needs code.
        max_bytes: A file that announces more is refused.

    Raises:
        InputError: No such file, damaged, other names, numbers of another kind or number, NaN, or
            classes that do not count from 0.
    """
    if not path.is_file():
        what = f"a file with examples and classes, one of {', '.join(SUFFIXES)}; there is none"
        raise _refused(path, what, "not-found")
    if path.suffix not in SUFFIXES:
        raise _refused(path, f"one of {', '.join(SUFFIXES)}", "not-recognized")
    with naming(path):
        content = CheckpointFiles(max_bytes).content(path)
    if not isinstance(content, Mapping):
        raise _refused(path, f"x and y by name, got {type(content).__name__}", "wrong-type")
    x, y = _named(content, EXAMPLES, path), _named(content, LABELS, path)
    if x.ndim < 2 or 0 in x.shape:
        what = f"examples along the first axis of x, got {_times(tuple(x.shape))}"
        raise _refused(path, what, "wrong-shape")
    if 4 * x.numel() > max_bytes:
        what = f"at most {max_bytes:,} bytes, x takes {4 * x.numel():,}"
        raise _refused(path, what, "too-large")
    if y.shape != x.shape[:1]:
        what = f"the number of a class for each of the {len(x)} examples"
        raise _refused(path, f"{what}, got y of {_times(tuple(y.shape))}", "other-rows")
    if x.dtype != torch.uint8 and not x.is_floating_point():
        what = f"x of floating-point numbers or uint8, as the network takes it, got {_kind(x)}"
        raise _refused(path, what, "wrong-type")
    numbers = x.float()
    if not numbers.isfinite().all():
        raise _refused(path, "finite numbers in x, got NaN or infinite ones", "not-finite")
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise _refused(path, f"y of integers, classes from 0, got {_kind(y)}", "wrong-type")
    if int(y.min()) < 0:
        raise _refused(path, f"classes from 0, got {int(y.min())}", "wrong-content")
    kind = "numbers 0 to 255" if x.dtype == torch.uint8 else "numbers"
    described = f"{len(x)} examples of {_times(tuple(x.shape[1:]))}, {kind} as given"
    return OwnData(path, numbers, y.long(), f"{described}, not normalized")


def _named(content: Mapping, names: tuple[str, ...], path: Path) -> Tensor:
    """The one entry that has one of the names, as a tensor."""
    there = [name for name in names if name in content]
    if len(there) != 1:
        got = " and ".join(there) or ", ".join(map(str, list(content)[:5])) or "nothing"
        raise _refused(path, f"one of {', '.join(names)}, got {got}", "not-found")
    value = content[there[0]]
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        native = np.ascontiguousarray(value.astype(value.dtype.newbyteorder("=")))
        is_wide = native.dtype.kind == "u" and native.itemsize > 1  # torch lacks these
        value = torch.from_numpy(native.astype(np.int64) if is_wide else native)
    if not isinstance(value, Tensor) or value.is_complex():
        raise _refused(path, f"numbers in {there[0]}, got {type(value).__name__}", "wrong-type")
    return value


def _refused(path: Path, expected: str, code: str) -> InputError:
    """The error for a file, which says how to write one."""
    return InputError(
        f"{path}: expected {expected}; save both by numpy.savez(path, x=examples, y=classes)", code
    )


def _kind(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "single numbers"

"""Order, names and shapes of the parameters inside a weight vector.

A checkpoint is a state dict to its owner and a vector to a generator; `WeightLayout` is the
bridge, in both directions, for one checkpoint or for a whole population at once.
"""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from novelweights.errors import InputError

STATISTICS = ("running_mean", "running_var")
"""Last part of the names of a normalization's running statistics: measured, not learned."""


COUNT = "num_batches_tracked"
"""Last part of the name of a normalization's count of batches, which no output depends on."""


def is_statistic(name: str) -> bool:
    """Whether a name is that of a running statistic."""
    return name.rpartition(".")[2] in STATISTICS


def without_counts(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without counts of batches, of whatever kind: averaging makes floats of them."""
    return {name: value for name, value in state.items() if name.rpartition(".")[2] != COUNT}


@dataclass(frozen=True)
class WeightLayout:
    """Order, names and shapes of the parameters in a weight vector; buffers only if listed.

    Source: ours; the file form is DESIGN section 3, `layout.csv`.
    """

    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        names = [name for name, _ in self.shapes]
        if len(set(names)) != len(names):
            raise ValueError(f"a layout names each parameter once, got {names}")

    @property
    def size(self) -> int:
        """Number of weights in the vector (d)."""
        return sum(math.prod(shape) for _, shape in self.shapes)

    @property
    def slices(self) -> dict[str, slice]:
        """Where each parameter lies in the vector."""
        where, start = {}, 0
        for name, shape in self.shapes:
            end = start + math.prod(shape)
            where[name] = slice(start, end)
            start = end
        return where

    @cached_property
    def learned(self) -> "WeightLayout":
        """The parameters without running statistics; itself where it holds none, or nothing else.

        Statistics are what the data make of the parameters. They belong to what a network does, and
        are no sign of who learned from whom.
        """
        kept = tuple((name, shape) for name, shape in self.shapes if not is_statistic(name))
        return self if len(kept) in (0, len(self.shapes)) else WeightLayout(kept)

    def of_size(self, n_weights: int) -> "WeightLayout":
        """The layout of vectors of so many weights: `learned` where these hold no running
        statistics, else itself."""
        return self.learned if self.learned.size == n_weights else self

    @cached_property
    def is_learned(self) -> Bool[Tensor, " d"]:
        """True where the vector holds what `learned` names."""
        kept = dict(self.learned.shapes)
        mask = torch.zeros(self.size, dtype=torch.bool)
        for name, where in self.slices.items():
            mask[where] = name in kept
        return mask

    def flatten(self, state: Mapping[str, Tensor]) -> Float[Tensor, " d"]:
        """The weight vector of a state dict, float32, row-major.

        Raises:
            InputError: A parameter is missing, or has another shape than the layout says.
        """
        weights = torch.empty(self.size)
        self.flatten_into(weights, state)
        return weights

    def flatten_into(self, weights: Float[Tensor, " d"], state: Mapping[str, Tensor]) -> None:
        """Write the weight vector of a state dict into one that is there.

        Raises:
            InputError: As `flatten`; nothing is written then.
        """
        shapes = dict(self.shapes)
        if {name: tuple(value.shape) for name, value in state.items()} != shapes:
            faults = [f"{name} is missing" for name in shapes if name not in state]
            for name, value in state.items():
                if name not in shapes:
                    faults.append(f"{name} is not in the layout")
                elif value.shape != shapes[name]:
                    faults.append(f"{name} has shape {tuple(value.shape)}, expected {shapes[name]}")
            raise InputError(
                f"the state dict does not fit the layout: {'; '.join(faults)}: give checkpoints of "
                "one architecture",
                "other-network",
            )
        start = 0
        for name in shapes:
            value = state[name]
            weights[start : start + value.numel()] = value.detach().reshape(-1)
            start += value.numel()

    def unflatten(self, weights: Float[Tensor, "*batch d"]) -> dict[str, Tensor]:
        """Views of the parameters, each with the leading axes of `weights` kept."""
        if weights.shape[-1] != self.size:
            raise ValueError(f"expected {self.size} weights, got {weights.shape[-1]}")
        leading = weights.shape[:-1]
        return {
            name: weights[..., where].reshape((*leading, *shape))
            for (name, shape), where in zip(self.shapes, self.slices.values(), strict=True)
        }

    def to_csv(self) -> str:
        """The text of `layout.csv`: parameter, shape (10x784), start, end."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["parameter", "shape", "start", "end"])
        for (name, shape), where in zip(self.shapes, self.slices.values(), strict=True):
            writer.writerow([name, "x".join(map(str, shape)), where.start, where.stop])
        return out.getvalue()

    @classmethod
    def read(cls, file: Path) -> "WeightLayout":
        """The layout in a `layout.csv`.

        Raises:
            InputError: As `from_csv`; or it cannot be read.
        """
        if file.exists() and not file.is_file():  # a pipe would be waited for without end
            raise InputError(
                f"{file}: expected a layout, it is a folder, a pipe or a device; restore it, or "
                "give one with --layout",
                "damaged",
            )
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{file}: expected a layout in UTF-8 (columns parameter, shape, start, end), "
                f"cannot read it ({error}); restore it, or give one with --layout",
                "not-found" if isinstance(error, OSError) else "damaged",
            ) from error
        return cls.from_csv(text, str(file))

    @classmethod
    def from_csv(cls, text: str, source: str = "layout.csv") -> "WeightLayout":
        """The layout in the text of a `layout.csv`; start and end may be left out.

        Raises:
            InputError: A column is missing, or start and end do not follow from the shapes.
        """
        try:
            rows = list(csv.DictReader(io.StringIO(text)))
            if any(not _is_shape(row["shape"]) for row in rows):
                raise ValueError("a shape is a product of whole numbers")
            shapes = [tuple(int(n) for n in row["shape"].split("x") if n) for row in rows]
            names = [row["parameter"] for row in rows]
            layout = cls(tuple(zip(names, shapes, strict=True)))
            has_ends = bool(rows) and {"start", "end"} <= rows[0].keys()
            ends = [slice(int(row["start"]), int(row["end"])) for row in rows if has_ends]
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{source}: expected columns parameter, shape (10x784), start, end; "
                f"could not read them ({error}); write them so",
                "wrong-content",
            ) from error
        if has_ends and ends != list(layout.slices.values()):
            raise InputError(
                f"{source}: start and end do not follow from the shapes; leave them out",
                "wrong-content",
            )
        if not layout.shapes:
            raise InputError(
                f"{source}: no parameters listed; write a row for each", "wrong-content"
            )
        return layout


def _is_shape(text: str) -> bool:
    """Whether a text is lengths with an x between them, none for a scalar."""
    return all(part.strip().isdecimal() and len(part) < 20 for part in text.split("x") if part)

"""Which weights of a vector are the checkpoint: `--include` and `--exclude` as columns."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.errors import InputError
from novelweights.weights.chain import symmetry_of_layout
from novelweights.weights.layout import WeightLayout
from novelweights.weights.readers.source import Reading
from novelweights.weights.symmetry import NeuronSymmetry


@dataclass(frozen=True, eq=False)
class Chosen:
    """The parameters that are taken of a whole vector."""

    layout: WeightLayout
    """Those parameters."""
    size: int
    """Weights of the whole vector."""
    columns: Int[Tensor, " k"] | None
    """Where they lie in it; None for all of it."""
    symmetry: NeuronSymmetry | None
    """How the moves of the whole network act on them, where names and shapes tell."""

    def of(self, weights: Float[Tensor, "... d"]) -> Float[Tensor, "... k"]:
        """The chosen columns of whole vectors."""
        return weights if self.columns is None else weights[..., self.columns]


def chosen(whole: WeightLayout, reading: Reading, path: Path) -> Chosen:
    """The parameters that `reading` takes of a vector.

    Raises:
        InputError: It takes none of them.
    """
    found = symmetry_of_layout(whole)
    symmetry = None if isinstance(found, str) else found
    names = [name for name, _ in whole.shapes if reading.takes(name)]
    if len(names) == len(whole.shapes):
        return Chosen(whole, whole.size, None, symmetry)
    if not names:
        shown = ", ".join(name for name, _ in whole.shapes)
        raise InputError(
            f"{path}: expected parameters that --include and --exclude leave, they leave none of "
            f"{shown}; give other patterns"
        )
    where = whole.slices
    return Chosen(
        WeightLayout(tuple((name, shape) for name, shape in whole.shapes if name in set(names))),
        whole.size,
        torch.cat([torch.arange(where[name].start, where[name].stop) for name in names]),
        None if symmetry is None else symmetry.only(names),
    )


def layout_from(file: Path, size: int, path: Path) -> WeightLayout:
    """The layout in a CSV of the user's, for vectors of `size` weights.

    Raises:
        InputError: It cannot be read, or has another number of weights.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file}: expected a layout (columns parameter, shape, start, end), cannot read it "
            f"({error}); give the file with --layout"
        ) from error
    layout = WeightLayout.from_csv(text, str(file))
    if layout.size != size:
        raise InputError(
            f"{file}: expected a layout of {size:,} weights, as the checkpoints of {path} have, "
            f"got one of {layout.size:,}; give the layout of this network"
        )
    return layout

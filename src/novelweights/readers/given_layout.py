"""The layout that somebody gives for vectors whose format does not tell what their columns are."""

from pathlib import Path

from novelweights.errors import InputError
from novelweights.weights.layout import WeightLayout


def read_layout(file: Path) -> WeightLayout:
    """The layout in a CSV of the user's.

    Raises:
        InputError: It cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file}: expected a layout in UTF-8 (columns parameter, shape, start, end), cannot "
            f"read it ({error}); give the file with --layout"
        ) from error
    return WeightLayout.from_csv(text, str(file))


def layout_from(file: Path, size: int, path: Path) -> WeightLayout:
    """The layout in a CSV of the user's, for vectors of `size` weights.

    Raises:
        InputError: It cannot be read, or has another number of weights.
    """
    layout = read_layout(file)
    if layout.size != size:
        raise InputError(
            f"{file}: expected a layout of {size:,} weights, as the checkpoints of {path} have, "
            f"got one of {layout.size:,}; give the layout of this network"
        )
    return layout

"""The layout that somebody gives for vectors whose format does not tell what their columns are."""

from pathlib import Path

from novelweights.errors import InputError
from novelweights.weights.layout import WeightLayout


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

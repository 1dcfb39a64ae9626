"""What the columns of matrices, and the places of weight vectors, are. Source: ours."""

from pathlib import Path

from novelweights.errors import InputError
from novelweights.readers.source import Reading
from novelweights.weights.layout import WeightLayout

LAYOUT = "layout.csv"
"""The layout of weights without names, where it lies beside them."""


def columns_of(folder: Path, reading: Reading, n_weights: int) -> tuple[WeightLayout, str]:
    """The parameters of a vector of n weights, and how they are known.

    Raises:
        InputError: They are not, or are others than so many.
    """
    where = reading.layout or folder / LAYOUT
    if reading.layout is not None or where.exists():
        layout, note = WeightLayout.read(where), f"columns by {where.name}"
    elif reading.columns is None or _is_sorted_by_name(reading.columns):
        why = f"there is no {where}"
        if reading.columns is not None:
            why = (
                "the training checkpoints' own order is that of safetensors, which sorts names, "
                "and says nothing of weights without names"
            )
        raise InputError(
            f"expected a layout that says which parameters its {n_weights} columns are: {why}; "
            "give one with --layout (CSV with parameter, shape such as 10x784), in the order of "
            "the columns",
            "not-found",
        )
    else:
        layout = reading.columns.of_size(n_weights)
        note = "columns taken to be those of the training checkpoints"
    if layout.size != n_weights:
        raise InputError(
            f"expected {layout.size} columns ({note}), got {n_weights}; give the layout of these "
            "checkpoints",
            "other-network",
        )
    return layout, note


def _is_sorted_by_name(layout: WeightLayout) -> bool:
    """Whether a bias comes before its weight, which no module has so."""
    place = {name: i for i, (name, _) in enumerate(layout.shapes)}
    biases = [name for name in place if name.endswith("bias")]
    return any(place[name] < place.get(f"{name[:-4]}weight", -1) for name in biases)

"""Nearness layer by layer: sees a checkpoint whose layers were copied from different runs.

Each layer (the parameters of one module) is a small network of its own, aligned and measured by
itself with the same distance and the same scale-free nearness. Source: ours (DESIGN section 5,
mosaic).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from novelweights.metrics.alignment import Alignment
from novelweights.metrics.brackets import Framed
from novelweights.metrics.sources import Alignable, find_directions
from novelweights.weights.layout import WeightLayout


@dataclass(frozen=True, eq=False)
class LayerNearness:
    """Nearness of n checkpoints, each layer by itself."""

    distance: Float[np.ndarray, "n layers"]
    """To the nearest training checkpoint, the layer aligned by itself: exactly if it holds one
    group of neurons; if it lies between two, by a descent from the frame of the layers and one from
    that of the whole networks, where a copy of a whole network keeps its place."""
    cosine: Float[np.ndarray, "n layers"]
    """The largest cosine to a training checkpoint, both less the mean of the aligned."""
    rows: Int[np.ndarray, "n layers"]
    """The training row with that cosine."""


@dataclass(frozen=True, eq=False)
class _Layer:
    columns: Int[Tensor, " k"]
    reference: Alignable
    in_whole: Alignable | None
    """Of a layer between two groups: in the frame of the whole networks."""


@dataclass(frozen=True, eq=False)
class Layers:
    """The training checkpoints, split by layer, each layer ready to be aligned."""

    names: tuple[str, ...]
    parts: tuple[_Layer, ...]
    whole: Framed | None
    """The whole networks in one frame, where they have several groups of neurons."""

    @classmethod
    def of(
        cls, reference: Float[Tensor, "m d"], layout: WeightLayout, alignment: Alignment | None
    ) -> "Layers | None":
        """Split by module; None for a network that is one module, whose layer is the whole."""
        groups = modules_of(layout)
        if len(groups) < 2:
            return None
        parts, places, shapes = [], torch.arange(layout.size), dict(layout.shapes)
        whole = None
        if alignment is not None and not alignment.is_exact:
            whole = Framed.of(reference, alignment)
        for names in groups.values():
            columns = torch.cat([places[layout.slices[name]] for name in names])
            part = WeightLayout(tuple((name, shapes[name]) for name in names))
            own = None if alignment is None else alignment.on(part)
            weights, in_whole = reference[:, columns].contiguous(), None
            if whole is not None and own is not None and not own.is_one_assignment:
                there = whole.weights[:, columns].contiguous()
                in_whole = Alignable.in_frame(Framed.given(there, own))
            parts.append(_Layer(columns, Alignable.of(weights, own), in_whole))
        return cls(tuple(groups), tuple(parts), whole)

    def nearness(
        self,
        queries: Float[Tensor, "n d"],
        *,
        exclude: Bool[np.ndarray, "n m"] | None = None,
    ) -> LayerNearness:
        """Nearness of every query, layer by layer.

        Args:
            queries: Checkpoints of the same layout.
            exclude: True where a training checkpoint does not count for a query.
        """
        distances, cosines, rows = [], [], []
        placed = queries if self.whole is None else self.whole.place(queries)
        for part in self.parts:
            mine = queries[:, part.columns].contiguous()
            columns = find_directions(mine, part.reference, exclude=exclude)
            distance, cosine, row = columns.distance, columns.cosine, columns.row
            if part.in_whole is not None:  # the better of what is found from two frames
                there = placed[:, part.columns].contiguous()
                other = find_directions(there, part.in_whole, exclude=exclude)
                distance = np.minimum(distance, other.distance)
                row = np.where(other.cosine > cosine, other.row, row)
                cosine = np.maximum(cosine, other.cosine)
            distances.append(distance)
            cosines.append(cosine)
            rows.append(row)
        return LayerNearness(*(np.stack(columns, axis=1) for columns in (distances, cosines, rows)))


def modules_of(layout: WeightLayout) -> dict[str, list[str]]:
    """Parameters by module (the name before the last dot; a name without one is its own)."""
    groups: dict[str, list[str]] = {}
    for name, _ in layout.shapes:
        groups.setdefault(name.rpartition(".")[0] or name, []).append(name)
    return groups

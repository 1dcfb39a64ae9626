"""Some parameters of networks as the checkpoints; the rest, which all share, as their shared state.

A generator such as P-diff makes two normalizations of a network and nothing else. What it made can
only be compared with the same parameters of the networks it learned from, and only be run inside
the rest of them. Source: ours.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError, first_few
from novelweights.readers.formats.checkpoint_files import CheckpointFiles
from novelweights.readers.source import BLOCK_BYTES, Reading, Source, told_faults
from novelweights.weights.layout import WeightLayout


def part_of(source: Source, reading: Reading) -> Source:
    """The chosen parameters of each checkpoint; all, if none are chosen.

    The rest is taken from the file that is named for it, else from the first checkpoint, and must
    then be the same in all of them.

    Raises:
        InputError: Nothing or everything is left out, or the file with the rest cannot be read.
    """
    given = None if reading.shared is None else _given(reading.shared, reading, source.layout)
    if not reading.chooses:
        return source if given is None else replace(source, shared=_without(given, source.layout))
    slices, shapes = source.layout.slices, dict(source.layout.shapes)
    chosen = [name for name in shapes if reading.takes(name)]
    left = [name for name in shapes if not reading.takes(name)]
    if not chosen:
        raise InputError(
            f"{source.path}: no parameter is left by --include and --exclude; there are "
            f"{first_few(list(shapes))}: choose among these"
        )
    if not left:
        return source if given is None else replace(source, shared=_without(given, source.layout))
    layout = WeightLayout(tuple((name, shapes[name]) for name in chosen))
    columns = torch.cat([torch.arange(slices[n].start, slices[n].stop) for n in chosen])
    faults: list[str] = []
    first = source.read(0, 1, faults)[0]
    if faults:
        raise InputError(told_faults(source.path, faults, len(source)))
    shared = {**source.buffers, **(source.shared or {})}
    shared |= {name: first[slices[name]].reshape(shapes[name]).clone() for name in left}

    n_whole = max(1, BLOCK_BYTES // (4 * source.layout.size))

    def read(start: int, stop: int, faults: list[str]) -> Float[Tensor, "n d"]:
        """A few whole networks at a time, however many of their parts are wanted."""
        parts = torch.empty(stop - start, layout.size)
        for row in range(start, stop, n_whole):
            whole = source.read(row, min(row + n_whole, stop), faults)
            if given is None and not faults:
                _add_differences(faults, source, whole, first, left, row)
            parts[row - start : row - start + len(whole)] = whole[:, columns]
        return parts

    return replace(
        source,
        layout=layout,
        read=read,
        shared=_without(given, layout) if given is not None else shared,
        info=replace(source.info, symmetry=None),  # what moves would have to move in the rest too
        notes=(*source.notes, f"{len(chosen)} of {len(shapes)} parameters: {first_few(chosen)}"),
    )


def _add_differences(
    faults: list[str],
    source: Source,
    whole: Float[Tensor, "n d"],
    first: Float[Tensor, " d"],
    left: list[str],
    start: int,
) -> None:
    """Name the checkpoints whose rest is not that of the first."""
    slices = source.layout.slices
    for name in left:
        same = (whole[:, slices[name]] == first[slices[name]]).all(dim=1)
        for row in (~same).nonzero()[:, 0].tolist():
            faults.append(
                f"{source.names[start + row]}: {name} differs from that of {source.names[0]}; "
                "expected networks that differ in the chosen parameters alone: choose it too, or "
                "name the rest that they share with --shared"
            )
        if faults:
            return


def _given(path: Path, reading: Reading, layout: WeightLayout) -> Mapping[str, Tensor]:
    """The rest of the network in a file, whose names may carry a prefix more than the parts'."""
    if not path.is_file():
        raise InputError(
            f"{path}: expected a file with the rest of the network, there is none; name one"
        )
    try:
        state = CheckpointFiles(reading.max_bytes).state(path)
    except InputError as error:
        raise InputError(f"{path.parent}: {error}") from error
    for before in dict.fromkeys((reading.prefix, "", "model.")):
        stripped = {n.removeprefix(before): v for n, v in state.items() if n.startswith(before)}
        if len(stripped) == len(state) and any(n in stripped for n, _ in layout.shapes):
            return stripped
    return state


def _without(state: Mapping[str, Tensor], layout: WeightLayout) -> dict[str, Tensor]:
    own = dict(layout.shapes)
    return {name: value for name, value in state.items() if name not in own}

"""Some parameters of networks as the checkpoints; the rest, which all share, as their shared state.

A generator such as P-diff makes two normalizations of a network and nothing else. What it made can
only be compared with the same parameters of the networks it learned from, and only be run inside
the rest of them. Source: ours.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError, first_few, naming
from novelweights.readers.formats.checkpoint_files import CheckpointFiles
from novelweights.readers.source import BLOCK_BYTES, Fault, Reading, Source, refusal_of
from novelweights.weights.layout import WeightLayout


def part_of(source: Source, reading: Reading) -> Source:
    """The chosen parameters of each checkpoint; all, if none are chosen.

    The rest is taken from the file that is named for it, else from the first checkpoint, and must
    then be the same in all of them.

    Raises:
        InputError: Nothing is chosen, or the file with the rest cannot be read.
    """
    slices, shapes = source.layout.slices, dict(source.layout.shapes)
    chosen = [name for name in shapes if reading.takes(name)]
    left = [name for name in shapes if not reading.takes(name)]
    if not chosen:
        raise InputError(
            f"{source.path}: no parameter is left by --include and --exclude; there are "
            f"{first_few(list(shapes))}: choose among these",
            "wrong-option",
        )
    shared = None if reading.shared is None else _shared_of(reading.shared, reading, chosen, shapes)
    if not left:
        if shared is None:
            return source
        if not shared:
            note = f"{reading.shared} holds nothing that the checkpoints lack, and is not used"
            return replace(source, notes=(*source.notes, note))
        return replace(source, shared=shared)
    layout = WeightLayout(tuple((name, shapes[name]) for name in chosen))
    columns = torch.cat([torch.arange(slices[n].start, slices[n].stop) for n in chosen])
    faults: list[str] = []
    first = source.read(0, 1, faults)[0]
    if faults:
        raise refusal_of(faults, len(source), source.path)
    is_given = shared is not None
    twins = _twins(source.layout, first, chosen, left)
    if shared is None:
        rest = {
            name: first[slices[name]].reshape(shapes[name]).clone()
            for name in left
            if name not in twins
        }
        shared = {**(source.shared or {}), **rest}
    n_whole = max(1, BLOCK_BYTES // (4 * source.layout.size))

    def read(start: int, stop: int, faults: list[str]) -> Float[Tensor, "n d"]:
        """A few whole networks at a time, however many of their parts are asked for."""
        parts = torch.empty(stop - start, layout.size)
        for row in range(start, stop, n_whole):
            whole = source.read(row, min(row + n_whole, stop), faults)
            if not is_given and not faults:
                _add_differences(faults, source, whole, first, left, row, twins)
            parts[row - start : row - start + len(whole)] = whole[:, columns]
        return parts

    again = [f"{name} is {other} once more, and is left out" for name, other in twins.items()]
    return replace(
        source,
        layout=layout,
        read=read,
        shared=shared,
        info=replace(source.info, symmetry=None),  # the rest would have to be permuted, too
        notes=(
            *source.notes,
            f"{len(chosen)} of {len(shapes)} parameters: {first_few(chosen)}",
            *again,
        ),
    )


def _twins(
    layout: WeightLayout, first: Float[Tensor, " d"], chosen: Collection[str], left: Collection[str]
) -> dict[str, str]:
    """What is left out and is a chosen parameter under another name, by the first checkpoint."""
    slices, shapes = layout.slices, dict(layout.shapes)
    twins = {}
    for name in left:
        value = first[slices[name]]
        if not len(value) or bool((value == value[0]).all()):  # zeros and ones are equal anyhow
            continue
        for other in chosen:
            if shapes[other] == shapes[name] and torch.equal(first[slices[other]], value):
                twins.setdefault(name, other)
    return twins


def _add_differences(
    faults: list[str],
    source: Source,
    whole: Float[Tensor, "n d"],
    first: Float[Tensor, " d"],
    left: list[str],
    start: int,
    twins: Mapping[str, str],
) -> None:
    """Name the checkpoints whose rest is not that of the first, nor chosen under another name."""
    slices = source.layout.slices
    for name in left:
        expected, of = first[slices[name]], f"that of {source.names[0]}"
        if name in twins:
            expected, of = whole[:, slices[twins[name]]], f"{twins[name]}, which it is elsewhere"
        same = (whole[:, slices[name]] == expected).all(dim=1)
        for row in (~same).nonzero()[:, 0].tolist():
            error = InputError(
                f"{name} differs from {of}; expected networks that differ in the chosen parameters "
                "alone: choose it too, or name the rest that they share with --shared",
                "other-network",
            )
            faults.append(Fault(source.names[start + row], error))
        if faults:
            return


def _shared_of(
    path: Path, reading: Reading, chosen: Collection[str], names: Collection[str]
) -> dict[str, Tensor]:
    """The rest of the network in a file, whose names may carry a prefix more than the parts'."""
    with naming(path):
        state = _whole(path, reading)
    for before in dict.fromkeys((reading.prefix, "", "model.")):
        stripped = {n.removeprefix(before): v for n, v in state.items() if n.startswith(before)}
        if len(stripped) == len(state) and any(name in stripped for name in names):
            state = stripped
            break
    return {name: value for name, value in state.items() if name not in chosen}


def _whole(path: Path, reading: Reading) -> dict[str, Tensor]:
    """The network in a file, at the key that is asked for if it is there."""
    try:
        return CheckpointFiles(reading.max_bytes, key=reading.key).state(path)
    except InputError as error:
        if error.code != "wrong-option":
            raise
        return CheckpointFiles(reading.max_bytes).state(path)

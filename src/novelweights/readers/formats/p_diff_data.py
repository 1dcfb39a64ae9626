"""The one file that P-diff's own code trains on: parts of a network as rows, and the rest once.

`pdata` holds a row for each checkpoint of one training run, in the order of saving; `train_layer`
names the parameters that the rows are, in the order of the network; `model` is the whole network,
as a state dict or as an object, which is not run: its tensors are found in its attributes.

Source: the code of P-diff (Wang et al., 2024): the data that its task saves for its generator.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from novelweights.errors import InputError, first_few, naming
from novelweights.readers.formats.checkpoint_files import CheckpointFiles
from novelweights.readers.formats.places import is_matrix, is_numbers
from novelweights.readers.formats.state_dicts import layout_of_state, learned
from novelweights.readers.formats.torch_files import TorchFiles
from novelweights.readers.pickle.values import Stub, shown
from novelweights.readers.source import Reading, Source, as_percent
from novelweights.readers.units import are_checkpoints
from novelweights.weights.chain import known_symmetry
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import PopulationInfo, Records

ROWS, PARTS, WHOLE, ACCURACIES = "pdata", "train_layer", "model", "performance"
SUMMARIES = ("mean", "std", "cfg")
"""What else P-diff's code puts there: of the rows, or its settings."""
DEEPEST = 50
"""Modules inside each other."""


@dataclass(frozen=True)
class PDiffData:
    """Reads P-diff's file of trained parts."""

    summary: str = "P-diff's file of trained parts (pdata, train_layer, model)"

    def recognizes(self, path: Path) -> bool:
        """Whether a file, or the only one in a folder, holds rows with names of parts."""
        try:
            file = _file(path)
            content = None if file is None else CheckpointFiles(2**62).described(file)
        except InputError:
            return False
        return isinstance(content, Mapping) and PARTS in content and is_matrix(content.get(ROWS))

    def open(self, path: Path, reading: Reading) -> Source:
        """The rows as steps of one run, the rest of the network as what they share.

        Raises:
            InputError: The file is damaged, or its parts are not those of its network.
        """
        file = _file(path)
        if file is None:
            raise InputError(
                f"{path}: expected one file with {ROWS} and {PARTS} (P-diff), got several or none; "
                "name the file",
                "not-found",
            )
        with naming(file):
            content = TorchFiles(reading.max_bytes, stubs=True).read(file)
            rows = content.get(ROWS) if isinstance(content, Mapping) else None
            if not isinstance(rows, Tensor) or not is_matrix(rows):
                raise InputError(
                    f"expected a matrix of checkpoints by weights as {ROWS} (P-diff); give the "
                    "file that its code saves",
                    "not-recognized",
                )
            network = _tensors(content.get(WHOLE))
            layout = _layout(network, content.get(PARTS), rows.shape[1])
            scores, notes = _scores(content, len(rows))
        shared = {name: value for name, value in network.items() if name not in dict(layout.shapes)}
        names = tuple(f"{row:05d}" for row in range(len(rows)))
        left = [shown(k) for k in content if k not in (ROWS, PARTS, WHOLE, ACCURACIES, *SUMMARIES)]
        if left:
            notes.append(f"left out beside them: {first_few(left)}")

        def read(start: int, stop: int, faults: list[str]) -> Float[Tensor, "n d"]:
            return rows[start:stop].to(torch.float32)

        return Source(
            format="p-diff-data",
            path=path,
            names=names,
            layout=layout,
            records=Records.of(
                ["run"] * len(rows),
                split="train",
                step=list(range(len(rows))),
                scores=scores,
            ),
            read=read,
            info=PopulationInfo(
                recipe=f"P-diff data of {len(rows):,} checkpoints",
                symmetry=None if learned(shared) else known_symmetry(layout),
            ),
            shared=shared,
            notes=(
                f"{len(rows):,} checkpoints of {len(layout.shapes)} parameters; the rest of the "
                f"network ({len(shared)} tensors) is shared",
                *notes,
            ),
            runs_note="the rows are taken for steps of one run, as P-diff saves them; if each is a "
            "run of its own, say so with --pattern '{run}'",
        )


def _file(path: Path) -> Path | None:
    """The file itself, or the only checkpoint in a folder."""
    if not path.is_dir():
        return path
    files = are_checkpoints(path)
    return files[0] if len(files) == 1 else None


def _tensors(network: Any) -> dict[str, Tensor]:
    """The floating-point tensors of a state dict, or of a network that was saved as an object.

    Raises:
        InputError: There are none.
    """
    found: dict[str, Tensor] = {}
    waiting = [("", network, 0)]
    while waiting:
        before, value, depth = waiting.pop()
        inside = value.state if isinstance(value, Stub) else value
        if not isinstance(inside, Mapping) or depth > DEEPEST:
            continue
        groups = [inside.get(name) for name in ("_parameters", "_buffers")]
        for group in groups if isinstance(value, Stub) else [inside]:
            if isinstance(group, Mapping):
                found |= {f"{before}{k}": v for k, v in group.items() if is_numbers(v)}
        modules = inside.get("_modules") if isinstance(value, Stub) else None
        if isinstance(modules, Mapping):
            waiting += [(f"{before}{k}.", m, depth + 1) for k, m in reversed(list(modules.items()))]
    found = {k: v for k, v in found.items() if isinstance(v, Tensor) and v.is_floating_point()}
    if not found:
        raise InputError(
            f"expected the whole network as {WHOLE}, no tensors are in it; save its state dict "
            "there",
            "wrong-type",
        )
    return found


def _layout(network: Mapping[str, Tensor], parts: Any, n_weights: int) -> WeightLayout:
    """The parameters that a row is: those named, in the order of the network.

    Raises:
        InputError: The network has not all of them, or they have another number of weights.
    """
    parameters = learned(network)
    if parts == "all":
        parts = list(parameters)
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise InputError(f"expected names of parameters as {PARTS}; save a list", "wrong-type")
    if missing := [part for part in parts if part not in parameters]:
        raise InputError(
            f"expected all of {PARTS} in {WHOLE}, {first_few(missing)} are not; save the network "
            "whose parts these are",
            "other-network",
        )
    chosen = {name: value for name, value in parameters.items() if name in set(parts)}
    layout = layout_of_state(chosen)
    if layout.size != n_weights:
        raise InputError(
            f"expected {layout.size:,} weights in a row of {ROWS}, as {PARTS} has in {WHOLE}, got "
            f"{n_weights:,}; save the network whose parts these are",
            "other-network",
        )
    return layout


def _scores(content: Mapping, n: int) -> tuple[dict[str, list[float]], list[str]]:
    """Accuracies of the rows, as far as they are known, and how."""
    values = content.get(ACCURACIES)
    if values is None:
        return {}, []
    numbers = values.tolist() if isinstance(values, Tensor) else values
    is_listed = isinstance(numbers, list | tuple) and len(numbers) == n
    if not is_listed or not all(type(one) in (int, float) for one in numbers):
        return {}, [f"{ACCURACIES} is left out: it is not a number for each row"]
    percents, unit = as_percent([float(one) for one in numbers])
    return {"test_accuracy": percents.tolist()}, [f"test_accuracy is {ACCURACIES} ({unit})"]

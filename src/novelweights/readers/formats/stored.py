"""Population folders as a source, for those who take parts of them or copy them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from novelweights.readers.source import Reading, Source
from novelweights.weights.store import is_population_folder, open_population


@dataclass(frozen=True)
class PopulationFolder:
    """The format of our own."""

    summary: str = "a population folder, as `novelweights import` and `zoo build` write it"

    def recognizes(self, path: Path) -> bool:
        """Whether it is one, finished or not."""
        return path.is_dir() and (is_population_folder(path) or (path / "progress.json").exists())

    def open(self, path: Path, reading: Reading) -> Source:
        """Its checkpoints, with all that it says of them.

        Raises:
            InputError: Unfinished, damaged, or of another version.
        """
        stored = open_population(path)

        def read(start: int, stop: int, faults: list[str]) -> Float[Tensor, "n d"]:
            return stored.load(np.arange(start, stop)).weights

        return Source(
            format="population",
            path=path,
            names=tuple(f"{row:05d}" for row in range(len(stored))),
            layout=stored.layout,
            records=stored.records,
            read=read,
            info=stored.info,
            shared=stored.shared,
        )

"""Sampling a fitted generator into a population folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from novelweights.generators import sampled_by
from novelweights.generators.generator import FittedGenerator
from novelweights.generators.store import with_provenance
from novelweights.seeding import rng_for
from novelweights.weights.population import Population, require_finite
from novelweights.weights.writer import save_population


def sample_to_folder(
    folder: Path,
    fitted: FittedGenerator,
    method: str,
    n: int,
    *,
    model: Path,
    start: Population | None = None,
    sampler: str | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **more: Any,
) -> None:
    """Write n checkpoints of a fitted generator, which say what made them.

    Args:
        folder: The population folder to write.
        fitted: What is sampled.
        method: Its name.
        n: How many checkpoints.
        model: The folder that it was read from.
        start: What a conditional generator begins from.
        sampler: Way to sample, where the method has several.
        seed: Root of all that is drawn.
        overwrite: Replace a population that is there.
        progress: Called with (done, total).
        more: Further arguments of the generator's `sample`.

    Raises:
        InputError: No such sampler, samples that are not finite, or what `sample` refuses.
    """
    drawn = fitted if sampler is None else sampled_by(fitted, method, sampler)
    sampled = drawn.sample(n, rng=rng_for(seed, "sample"), start=start, progress=progress, **more)
    require_finite(sampled, f"samples of {method}")
    described = with_provenance(sampled, model, sampler=sampler, fitted=fitted)
    save_population(described, folder, overwrite=overwrite)

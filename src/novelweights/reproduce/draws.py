"""Samples of one generator drawn in every way that it has, of several fits and seeds."""

from dataclasses import dataclass

from novelweights.generators import method_named
from novelweights.reproduce.nodes import Node
from novelweights.reproduce.overlapping import overlaps
from novelweights.reproduce.settings import Setting
from novelweights.reproduce.stages import measured_node, model_node, samples_node

SEEDS = (0, 1)
"""Of sampling."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Samples of one sampler, of one fit, with one seed."""

    sampler: str
    fit: int
    seed: int
    overlaps: Node
    """With their nearest training checkpoints, see `overlapping.overlaps`."""


def draws_of(method: str, first: Node, of: Setting) -> list[Draws]:
    """Samples of every sampler, every fit and every seed; the first are those of the audits.

    Args:
        first: The model of the first fit.
    """
    zoo, settings = first.inputs["zoo"], first.settings["generator"]
    models = [
        model_node(first.name, method, settings, zoo, seed=fit, cost=of.costs[1])
        for fit in range(of.fits)
    ]
    found = []
    for fit, model in enumerate(models):
        for sampler in method_named(method).samplers:
            for seed in SEEDS:
                samples = samples_node(
                    f"{method}-samples-{sampler}",
                    model,
                    of.samples,
                    sampler=sampler,
                    seed=seed,
                    cost=of.costs[2],
                )
                sampled = {"zoo": zoo, "model": model, "samples": samples}
                agreeing = measured_node(f"{method}-overlaps", overlaps, sampled)
                found.append(Draws(sampler, fit, seed, agreeing))
    return found

"""`python -m benchmarks.running_statistics`: fresh runs with and without their running statistics.

The zoo of residual networks of the calibration study, trained anew or taken from the work folder of
`novelweights calibrate --scale deep` (--work, the subfolder of this zoo): fresh runs, fresh runs
shrunk and fresh runs stopped early are judged among held-out runs, once by all that a checkpoint
holds and once by what was learned alone.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from novelweights.auditing.controls import SHRINK
from novelweights.auditing.measure import Reference, ladder_of, measure
from novelweights.auditing.ranks import Yardstick
from novelweights.auditing.verdict import judge_checkpoints
from novelweights.calibrate.pool import EARLY, Pool, make_pool
from novelweights.calibrate.zoos import find_sizes, find_zoos
from novelweights.metrics.alignment import Alignment
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population

ZOO, SCALE = "digits-resnet-independent", "deep"
ACCUSING = {"replica", "interpolation"}


def main() -> None:
    """Print how many of each kind are called copies or mixtures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="work folder of the study, with its runs")
    parser.add_argument("--heldout", type=int, default=60, help="held-out runs")
    parser.add_argument("--judged", type=int, default=20, help="checkpoints of each kind")
    given = parser.parse_args()
    [zoo] = find_zoos([ZOO])
    with tempfile.TemporaryDirectory() as folder:
        pool = make_pool(zoo, find_sizes(SCALE), 0, given.work or Path(folder), _tell)
    for label, kept in (
        ("all weights", [name for name, _ in zoo.network.layout.shapes]),
        ("without", [n for n, _ in zoo.network.layout.shapes if "running" not in n]),
    ):
        _judge(label, kept, pool, given.heldout, given.judged)


def _tell(stage: str, done: int, total: int) -> None:
    if done == total:
        print(f"{stage}: {total}")


def _judge(label: str, kept: list[str], pool: Pool, n_heldout: int, n: int) -> None:
    network = pool.zoo.network
    layout = WeightLayout(tuple((k, s) for k, s in network.layout.shapes if k in kept))
    columns = torch.cat([torch.arange(network.layout.size)[network.layout.slices[k]] for k in kept])

    def part(population: Population, rows: int, factor: float = 1.0) -> Population:
        weights = factor * population.weights[:rows][:, columns]
        some = population.select(np.arange(rows))
        return Population(weights.contiguous(), layout, some.records, some.info)

    training = part(pool.training[0], len(pool.training[0]))
    alignment = Alignment.of(layout, network.symmetry.only(kept))
    reference = Reference.of(training, alignment, None)
    heldout = part(pool.heldout, n_heldout)
    fresh = measure("heldout", heldout, reference)
    aligned, raw = (ladder_of(heldout, reference, aligned=how) for how in (True, False))
    yardstick = Yardstick(fresh, aligned, raw, None, None)
    finished = pool.finished
    early = pool.fresh.select(pool.fresh.records.step < pool.fresh.records.step.max())
    for kind, some in (
        ("fresh runs", part(finished, n)),
        (f"fresh runs x {SHRINK:g}", part(finished, n, SHRINK)),
        (f"stopped after {EARLY:.0%} of their epochs", part(early, n)),
    ):
        found = measure("fresh", some, reference)
        names = [str(run) for run in training.records.run]
        judged = judge_checkpoints(found, yardstick.ranks(found), fresh, names, None)
        accused = sum(str(verdict.origin) in ACCUSING for verdict in judged)
        print(f"{label}, {kind}: {accused} of {n} called copies or mixtures")


if __name__ == "__main__":
    main()

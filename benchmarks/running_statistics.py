"""`python -m benchmarks.running_statistics`: honest runs whose running statistics drift.

The zoo of residual networks of the calibration study, trained anew or taken from the work folder of
`novelweights calibrate --scale deep` (--work, the subfolder of this zoo): fresh runs, fresh runs
shrunk and fresh runs stopped early are judged among held-out runs as an audit does it, by what was
learned alone. When running statistics counted as weights, most that stopped early were accused
(`docs/verdict.md`).
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from novelweights.auditing.controls.planting import SHRINK
from novelweights.auditing.judge.checkpoint_verdict import judge_checkpoints
from novelweights.auditing.judge.p_values import NullDistribution
from novelweights.auditing.measure.measurements import NearestIndex, ladder_of, measure
from novelweights.metrics.alignment import Alignment
from novelweights.studies.calibrate.pool import EARLY, Pool, make_pool
from novelweights.studies.calibrate.zoos import SCALES, find_zoos
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
        pool = make_pool(zoo, SCALES[SCALE], 0, given.work or Path(folder), _tell)
    _judge(pool, given.heldout, given.judged)


def _tell(stage: str, done: int, total: int) -> None:
    if done == total:
        print(f"{stage}: {total}")


def _judge(pool: Pool, n_heldout: int, n: int) -> None:
    network = pool.zoo.network

    def some(population: Population, rows: int, factor: float = 1.0) -> Population:
        part = population.select(np.arange(rows))
        return part.with_weights(factor * part.weights, split="fresh")

    training = pool.training[0]
    alignment = Alignment.of(network.layout, network.symmetry)
    reference = NearestIndex.of(training, alignment, None)
    heldout = some(pool.heldout, n_heldout)
    fresh = measure("heldout", heldout, reference)
    aligned, raw = (ladder_of(heldout, reference, aligned=how) for how in (True, False))
    null = NullDistribution(fresh, aligned, raw, None, None)
    finished = pool.finished
    early = pool.fresh.select(pool.fresh.records.step < pool.fresh.records.step.max())
    for kind, judged in (
        ("fresh runs", some(finished, n)),
        (f"fresh runs x {SHRINK:g}", some(finished, n, SHRINK)),
        (f"stopped after {EARLY:.0%} of their epochs", some(early, n)),
    ):
        found = measure("fresh", judged, reference)
        names = [str(run) for run in training.records.run]
        verdicts = judge_checkpoints(found, null.p_values(found), fresh, names, None)
        accused = sum(str(verdict.origin) in ACCUSING for verdict in verdicts)
        print(f"{kind}: {accused} of {n} called copies or mixtures")


if __name__ == "__main__":
    main()

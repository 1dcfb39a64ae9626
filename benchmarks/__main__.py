"""`python -m benchmarks [NAME ...]`: run all benchmarks, or those named."""

import os
import platform
import sys
from collections.abc import Callable

import torch

from benchmarks import (
    aligned_neighbors,
    audit_speed,
    checkpoint_reading,
    cnn_evaluation,
    cnn_training,
    convolutional_networks,
    g_pt_step,
    paper_steps,
    part_evaluation,
    planted_moves,
    point_clouds,
    population_evaluation,
    released_shapes,
    surfaces,
    zoo_training,
    zoo_trajectories,
)

BENCHMARKS: dict[str, Callable[[], None]] = {
    "zoo-training": zoo_training.main,
    "zoo-trajectories": zoo_trajectories.main,
    "population-evaluation": population_evaluation.main,
    "cnn-training": cnn_training.main,
    "cnn-evaluation": cnn_evaluation.main,
    "convolutional-networks": convolutional_networks.main,
    "aligned-neighbors": aligned_neighbors.main,
    "planted-moves": planted_moves.main,
    "checkpoint-reading": checkpoint_reading.main,
    "audit": audit_speed.main,
    "g-pt-step": g_pt_step.main,
    "paper-steps": paper_steps.main,
    "part-evaluation": part_evaluation.main,
    "surfaces": surfaces.main,
    "point-clouds": point_clouds.main,
    "released-shapes": released_shapes.main,
}


def main(names: list[str]) -> int:
    """Run the named benchmarks in the order of `BENCHMARKS`; 2 if a name is unknown."""
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        print(f"unknown benchmark {', '.join(unknown)}: known are {', '.join(BENCHMARKS)}")
        return 2
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"{os.cpu_count()} cores, {platform.machine()}, {capability}, torch {torch.__version__}")
    for name, run in BENCHMARKS.items():
        if not names or name in names:
            run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

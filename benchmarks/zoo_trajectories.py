"""What it costs to keep, write and score 200 checkpoints of each run instead of the last alone.

The paper's MNIST target network by G.pt's whole recipe (25 epochs of 60,000 images, batches of
128), on MNIST if it was fetched, else on noisy copies of MNIST-5k of the same size. Few runs are
measured; the published number of runs is extrapolated. Written below the current folder, removed
at the end.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.timing import take_turns
from benchmarks.zoo_training import like_mnist
from novelweights.data.images import ImageData, load_data
from novelweights.errors import InputError
from novelweights.networks.mlp import MNIST_MLP
from novelweights.tasks.classification import loss_and_accuracy
from novelweights.weights.population import PopulationInfo, Records
from novelweights.weights.store import open_population
from novelweights.weights.writer import PopulationWriter
from novelweights.zoos.independent_runs import kept_steps
from novelweights.zoos.training import Recipe, Trajectories, train_batched, train_trajectories

RUNS, CHECKPOINTS = 8, 200
PUBLISHED_RUNS = 10_728  # G.pt: 10,228 to train, 500 to test


def main() -> None:
    """Print seconds per run of each part and what the published population would take."""
    data, recipe = _data(), Recipe()
    last = recipe.steps(len(data.train_y))
    steps = torch.stack([kept_steps(seed, CHECKPOINTS, last) for seed in range(RUNS)])
    train_batched(MNIST_MLP, data, Recipe(epochs=1, batch_size=30_000), [0])  # compiles
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:

        def last_only() -> Tensor:
            return train_batched(MNIST_MLP, data, recipe, range(RUNS))

        def kept() -> Trajectories:
            return train_trajectories(MNIST_MLP, data, recipe, range(RUNS), steps)

        made = kept()

        def written() -> Path:
            return _write(made, steps, Path(folder) / "zoo")

        def scored() -> list[tuple[Tensor, Tensor]]:
            return [
                loss_and_accuracy(MNIST_MLP, run, data.test_x, data.test_y) for run in made.weights
            ]

        (a, alone), (b, again), (c, path), (d, _) = take_turns(last_only, kept, written, scored)
        if not torch.equal(alone, again.weights[:, -1]):
            raise ValueError("the last checkpoints differ with and without the others")
        if not torch.equal(open_population(path).load().weights, made.weights.flatten(0, 1)):
            raise ValueError("other checkpoints were read back than written")
        size = sum(file.stat().st_size for file in path.iterdir())
    a, b, c, d = (seconds / RUNS for seconds in (a, b, c, d))
    hours = (b + c + d) * PUBLISHED_RUNS / 3600
    print(
        f"trajectories: {RUNS} {MNIST_MLP.name}, {data.name}, {last} steps, {CHECKPOINTS} "
        f"checkpoints each, medians of 3, seconds a run\n"
        f"  trained {a:.3f}, with checkpoints kept {b:.3f}, written {c:.3f} "
        f"({size / RUNS / 1e6:.1f} MB), scored on {len(data.test_y)} images {d:.3f}\n"
        f"  keeping and writing cost {100 * (b + c - a) / a:.1f} % of training, scoring "
        f"{100 * d / a:.1f} %; equal last checkpoints, equal when read back\n"
        f"  extrapolated to {PUBLISHED_RUNS} runs: {hours:.1f} h, "
        f"{size / RUNS * PUBLISHED_RUNS / 1e9:.1f} GB"
    )


def _data() -> ImageData:
    try:
        return load_data("mnist")
    except InputError:
        data = like_mnist()
        x, y = data.test_x.repeat(10, 1), data.test_y.repeat(10)
        return replace(data, name="15 noisy mnist-5k", test_x=x, test_y=y)


def _write(made: Trajectories, steps: Tensor, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    names = [f"train-{run:05d}" for run in range(RUNS) for _ in range(CHECKPOINTS)]
    scores = {
        "batch_loss": made.batch_loss.flatten().tolist(),
        "batch_accuracy": made.batch_accuracy.flatten().tolist(),
    }
    records = Records.of(names, split="train", step=steps.flatten().tolist(), scores=scores)
    info = PopulationInfo("benchmark", {}, MNIST_MLP.name, MNIST_MLP.symmetry, "mnist")
    with PopulationWriter(folder, MNIST_MLP.layout, info, len(records)) as writer:
        writer.append(made.weights.flatten(0, 1), records)
        return writer.finish()


if __name__ == "__main__":
    main()

"""A zoo of ResNet-18 trained from scratch, one after another: the control for P-diff.

Source: paper, appendix D.1 and table 3.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from novelweights.data.images import load_pixels
from novelweights.files import require_new
from novelweights.networks.resnet import ResNet18
from novelweights.tasks.classification import loss_and_accuracy
from novelweights.tasks.evaluation_images import evaluation_images
from novelweights.weights.population import PopulationInfo, Records
from novelweights.weights.writer import PopulationWriter
from novelweights.zoos.network_builds import (
    Steps,
    build_settings,
    working_folder,
)
from novelweights.zoos.planned_runs import planned_runs
from novelweights.zoos.resnet_training import AdamWRecipe, train_network


@dataclass(frozen=True)
class WholeNetworks:
    """A zoo of independent networks, of each the last epoch."""

    name: str
    network: ResNet18
    data_name: str
    recipe: AdamWRecipe
    task_name: str
    """The task that judges the checkpoints."""
    description: str
    runs: int = 20
    """Training runs if not said otherwise. Source: paper, appendix D.1."""
    heldout_runs: int = 0
    """Held-out runs if not said otherwise."""


def build(
    zoo: WholeNetworks,
    folder: Path,
    counts: Mapping[str, int],
    *,
    seed: int,
    resume: bool,
    overwrite: bool,
    progress: Callable[[int, int], None] | None,
) -> Path:
    """Train a zoo's networks into a population folder.

    A row is a whole network: parameters and running statistics. Scores are test_accuracy (percent)
    and test_loss (nats). The unfinished state of the network that is being trained lies in
    `folder` + ".network.partial".

    Args:
        zoo: What to train.
        folder: The population folder to write.
        counts: What `counts_of_ends` gave.
        seed: Root of all seeds; a run's seed depends on it and on the run's name only.
        resume: Go on with an unfinished build.
        overwrite: Replace a finished folder.
        progress: Called with (optimizer steps done, of all runs).

    Raises:
        InputError: The data have to be fetched first, the folder does not allow it, or a run
            diverged.
    """
    require_new(folder, kind="population.json", overwrite=overwrite)
    data = load_pixels(zoo.data_name)
    planned = planned_runs(
        seed, runs=counts["runs"], heldout_runs=counts["heldout_runs"], start_runs=0
    )
    info = PopulationInfo(
        recipe=zoo.name,
        settings=build_settings(zoo.network, data, {"training": zoo.recipe}, counts, seed),
        architecture=zoo.network.name,
        symmetry=zoo.network.symmetry,
        task=zoo.task_name,
    )
    test, per_run = evaluation_images(zoo.network, data), zoo.recipe.steps(len(data.train))
    layout = zoo.network.layout
    with (
        PopulationWriter(
            folder, layout, info, len(planned), resume=resume, overwrite=overwrite
        ) as writer,
        working_folder(folder, resume=resume) as work,
    ):
        steps = Steps(progress, len(planned) * per_run, writer.rows_done * per_run)
        for run in planned[writer.rows_done :]:
            state_file = work / f"{run.name}.pt"  # its own: a kill may leave the last run's behind
            trained = train_network(
                zoo.network,
                data,
                test,
                zoo.recipe,
                run.seed,
                keep_best=False,
                state_file=state_file,
                tell=steps.tell,
            )
            weights = trained.weights[None]
            loss, accuracy = loss_and_accuracy(zoo.network, weights, test.test_x, test.test_y)
            scores = {"test_accuracy": accuracy.tolist(), "test_loss": loss.tolist()}
            records = Records.of([run.name], split=run.split, step=per_run, scores=scores)
            writer.append(weights, records)
            state_file.unlink()
        return writer.finish()

"""A zoo of ResNet-18 trained from scratch, one after another: the control for P-diff.

Source: paper, appendix D.1 and table 3.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from novelweights.data.image_data import PixelData
from novelweights.data.images import load_pixels
from novelweights.networks.resnet import ResNet18
from novelweights.tasks.classification import loss_and_accuracy
from novelweights.tasks.evaluation_images import evaluation_images
from novelweights.weights.population import Records
from novelweights.zoos.builds import Build, data_settings, require_ends
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

    def data_for(self, counts: Mapping[str, int]) -> PixelData:
        """What to train on, if these counts can be.

        Raises:
            InputError: They cannot, or the data have to be fetched first.
        """
        require_ends(self, counts)
        return load_pixels(self.data_name)

    def build(self, how: Build) -> Path:
        """Train the networks one after another into a population folder.

        A row is a whole network: parameters and running statistics. Scores are test_accuracy
        (percent) and test_loss (nats). Progress is in optimizer steps of all runs.

        Raises:
            InputError: As `zoos.building.build`.
        """
        data = self.data_for(how.counts)
        test, per_run = evaluation_images(self.network, data), self.recipe.steps(len(data.train))
        settings = {"training": asdict(self.recipe), "data": data_settings(data)}
        with (
            how.writer(self, self.network, settings, len(how.runs)) as writer,
            how.working_folder() as work,
        ):
            how.work, how.done = len(how.runs) * per_run, writer.rows_done * per_run
            for run in how.runs[writer.rows_done :]:
                state_file = work / f"{run.name}.pt"  # its own: a kill may leave the last run's
                trained = train_network(
                    self.network,
                    data,
                    test,
                    self.recipe,
                    run.seed,
                    keep_best=False,
                    state_file=state_file,
                    tell=how.tell,
                )
                weights = trained.weights[None]
                loss, accuracy = loss_and_accuracy(self.network, weights, test.test_x, test.test_y)
                scores = {"test_accuracy": accuracy.tolist(), "test_loss": loss.tolist()}
                records = Records.of([run.name], split=run.split, step=per_run, scores=scores)
                writer.append(weights, records)
                state_file.unlink()
            return writer.finish()

"""P-diff's populations: consecutive steps of fine-tuning a few parameters of one network.

One base network is trained; then only the generated parameters go on, at a constant learning rate,
and every step is kept. Training runs and held-out runs begin from the same base and differ in the
order and the crops of their images. A row holds the generated parameters only; the rest of the base
is the population's shared state. Source: paper, appendix A; P-diff's released code.

Departures: the base is trained from a random initialization where no network that was pre-trained
on ImageNet is given (`--init`); steps are in float32, not bf16.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from novelweights.data.image_data import ImageData, PixelData
from novelweights.data.images import load_pixels
from novelweights.errors import InputError
from novelweights.networks.network import working_device
from novelweights.networks.parts import (
    LAST_TWO_NORMALIZATIONS,
    PartOfNetwork,
    shared_state,
    split_at,
)
from novelweights.networks.resnet import ResNet18, require_sound_convolutions
from novelweights.seeding import rng_for, seed_for
from novelweights.tasks.classification import inputs_of, scores
from novelweights.tasks.evaluation_images import evaluation_images
from novelweights.weights.population import Records
from novelweights.zoos.builds import Build, PlannedRun, data_settings, keep_state, kept_state
from novelweights.zoos.pre_trained import PreTrained
from novelweights.zoos.resnet_training import (
    AdamWRecipe,
    Tell,
    Trained,
    augmented,
    batches_of_epoch,
    train_network,
)

FIRST_KEPT = 2
"""The step after which the first checkpoint is kept. Source: released code."""
STATE_FILE, BASE_FILE = "training_state.pt", "base.pt"
MODES = ("released", "training")


@dataclass(frozen=True)
class FineTuningRecipe:
    """How the generated parameters go on from the base network: AdamW at a constant rate.

    Source: released code.
    """

    batch_size: int = 128
    learning_rate: float = 0.03
    weight_decay: float = 5e-4
    """Decoupled."""
    normalization: str = "released"
    """released: the network is put into evaluation mode when the first checkpoint is saved and
    never back, so that from the third step on batch normalization uses running statistics, which
    the first two steps changed a little. training: the statistics of each batch throughout. Scores
    are those of networks with the base's running statistics, in both."""

    def __post_init__(self) -> None:
        if self.normalization not in MODES:
            raise ValueError(f"normalization {self.normalization!r} is none of {MODES}")


@dataclass(frozen=True)
class FineTuning:
    """A zoo of fine-tuning runs that begin from one base network."""

    name: str
    network: ResNet18
    data_name: str
    base: AdamWRecipe
    """How the base network is trained; its best epoch on the test images is taken, as released."""
    recipe: FineTuningRecipe
    task_name: str
    """The task that judges the checkpoints."""
    description: str
    runs: int = 1
    """Training runs if not said otherwise."""
    heldout_runs: int = 8
    """Held-out runs if not said otherwise."""
    checkpoints: int = 300
    """Kept of each run if not said otherwise: consecutive steps, from the second on."""
    init: PreTrained | None = None
    """What the base network begins from; None: a random initialization."""

    def __post_init__(self) -> None:
        if self.init is not None:
            self.init.fitted_to(self.network)

    def data_for(self, counts: Mapping[str, int]) -> PixelData:
        """What to train on, if these counts can be.

        Raises:
            InputError: Initializations are asked for, of which there is one, or no checkpoint; or
                the data have to be fetched first.
        """
        if counts["start_runs"]:
            raise InputError(
                f"{self.name}: all runs begin from one base network; leave --start-runs out",
                "unsuited",
            )
        if counts["checkpoints"] < 1:
            raise InputError(
                "expected at least 1 checkpoint of each run, got "
                f"{counts['checkpoints']}; give more",
                "too-few",
            )
        return load_pixels(self.data_name)

    def build(self, how: Build) -> Path:
        """Train the base network and fine-tune it into a population folder.

        Rows are run after run, each ascending by step; the last row, of the split "start", is the
        base itself. Scores are test_accuracy (percent) and test_loss (nats) with the shared state,
        which has the base's running statistics (as the released code evaluates). Progress is in
        optimizer steps, of the base and all runs.

        Raises:
            InputError: As `zoos.building.build`.
        """
        data, kept, network = self.data_for(how.counts), how.counts["checkpoints"], self.network
        test, per_run = evaluation_images(network, data), kept + FIRST_KEPT - 1
        base_steps, n_runs = self.base.steps(len(data.train)), len(how.runs)
        with how.working_folder() as work:
            how.work = base_steps + n_runs * per_run
            base = _base(self, data, test, seed_for(how.seed, "base"), work, how.tell)
            module = network.module()
            module.load_state_dict(network.layout.unflatten(base.weights), strict=False)
            shared = shared_state(module, LAST_TWO_NORMALIZATIONS)
            part = PartOfNetwork(network, shared, LAST_TWO_NORMALIZATIONS)
            taken = {"epoch_taken": base.epoch, "test_accuracy": base.accuracy}
            if self.init is not None:
                taken["init"] = {"file": self.init.name, "sha256": self.init.sha256}
            settings = {
                "base": asdict(self.base) | taken,
                "fine_tuning": asdict(self.recipe),
                "data": data_settings(data),
            }
            inputs, n_rows = inputs_of(part, test.test_x), n_runs * kept + 1
            with how.writer(self, part, settings, n_rows, shared=shared) as writer:

                def write(run: PlannedRun, weights: Float[Tensor, "n d"], first: int) -> None:
                    loss, accuracy = scores(part, weights, inputs, test.test_y)
                    records = Records.of(
                        [run.name] * len(weights),
                        split=run.split,
                        step=list(range(first, first + len(weights))),
                        scores={"test_accuracy": accuracy.tolist(), "test_loss": loss.tolist()},
                    )
                    writer.append(weights, records)

                how.done = base_steps + writer.rows_done // kept * per_run
                for run in how.runs[writer.rows_done // kept :]:
                    made = fine_tune(self, data, base.weights, run.seed, kept, how.tell)
                    write(run, made, FIRST_KEPT)
                if writer.rows_done == n_runs * kept:
                    write(PlannedRun("base", "start", 0), part.taken_from(base.weights)[None], 0)
                return writer.finish()


def _base(
    zoo: FineTuning, data: PixelData, test: ImageData, seed: int, work: Path, tell: Tell
) -> Trained:
    """The base network; trained, or read if it had been."""
    finished = work / BASE_FILE
    identity = f"{asdict(zoo.network)} {asdict(zoo.base)} {data.sha256} {seed}"
    identity += "" if zoo.init is None else f" {zoo.init.sha256}"
    trained = kept_state(
        finished,
        identity,
        "base network of an unfinished build",
        lambda state: Trained(*state["trained"]),
        remove=work,
    )
    if trained is not None:
        tell(zoo.base.steps(len(data.train)))
        return trained
    trained = train_network(
        zoo.network,
        data,
        test,
        zoo.base,
        seed,
        init=zoo.init,
        keep_best=True,
        state_file=work / STATE_FILE,
        tell=tell,
    )
    keep_state(finished, identity, trained=tuple(trained))
    (work / STATE_FILE).unlink()
    return trained


def fine_tune(
    zoo: FineTuning,
    data: PixelData,
    base: Float[Tensor, " d_network"],
    seed: int,
    kept: int,
    tell: Tell,
) -> Float[Tensor, "kept d"]:
    """The generated parameters after each of the steps that are kept.

    `base` is the whole state of the base network; of consecutive steps, from the second on,
    `kept` are kept.

    Raises:
        InputError: Training diverged.
    """
    network, recipe = zoo.network, zoo.recipe
    require_sound_convolutions(network)
    device = working_device()
    module = network.module().train().to(device)
    module.load_state_dict(network.layout.unflatten(base), strict=False)
    trunk, tail = split_at(module, LAST_TWO_NORMALIZATIONS)
    module.requires_grad_(False)
    own = [module.get_parameter(name).requires_grad_() for name in LAST_TWO_NORMALIZATIONS]
    optimizer = torch.optim.AdamW(own, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    saved = []
    for step, (rows, rng) in enumerate(_endless(len(data.train), recipe.batch_size, seed), start=1):
        images = augmented(data, rows, "crop", network.image_size, rng)
        labels = torch.from_numpy(data.train_y[rows.numpy()])
        with torch.no_grad():
            activations = trunk(images.to(device))
        loss = F.cross_entropy(tail(*activations), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        tell(1)
        if step < FIRST_KEPT:
            continue
        saved.append(torch.cat([parameter.detach().flatten() for parameter in own]).cpu())
        if step == FIRST_KEPT and recipe.normalization == "released":
            for half in (trunk, tail):
                half.eval()
        if len(saved) == kept:
            break
    weights = torch.stack(saved)
    if not weights.isfinite().all():
        raise InputError(
            f"{zoo.name}: expected finite weights, but fine-tuning diverged; lower the learning "
            f"rate {recipe.learning_rate}",
            "not-finite",
        )
    return weights


def _endless(
    n_examples: int, batch_size: int, seed: int
) -> Iterator[tuple[Int[Tensor, " batch"], torch.Generator]]:
    """Batches of one pass after another, with the generator that their crops are drawn from."""
    epoch = 0
    while True:
        rng = rng_for(seed, "epoch", epoch)
        for rows in batches_of_epoch(n_examples, batch_size, rng):
            yield rows, rng
        epoch += 1

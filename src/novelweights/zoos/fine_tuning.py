"""P-diff's populations: consecutive steps of fine-tuning a few parameters of one network.

One base network is trained; then only the generated parameters go on, at a constant learning rate,
and every step is kept. Training runs and held-out runs begin from the same base and differ in the
order and the crops of their images. A row holds the generated parameters only; the rest of the base
is the population's shared state. Source: paper, appendix A; P-diff's released code.

Departures: the base is trained from a random initialization, not pre-trained on ImageNet; steps are
in float32, not bf16.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from novelweights.data.image_data import ImageData, PixelData
from novelweights.data.images import load_pixels
from novelweights.errors import InputError
from novelweights.files import replacing, require_new
from novelweights.networks.network import working_device
from novelweights.networks.parts import (
    LAST_TWO_NORMALIZATIONS,
    PartOfNetwork,
    shared_state,
    split_at,
)
from novelweights.networks.resnet import (
    ResNet18,
    require_sound_convolutions,
)
from novelweights.seeding import rng_for, seed_for
from novelweights.tasks.classification import Inputs, inputs_of, scores
from novelweights.tasks.evaluation_images import evaluation_images
from novelweights.weights.population import PopulationInfo, Records
from novelweights.weights.writer import PopulationWriter
from novelweights.zoos.network_builds import (
    Steps,
    build_settings,
    own_or_asked,
    telling_damage,
    working_folder,
)
from novelweights.zoos.planned_runs import PlannedRun, planned_runs
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


def counts_of(zoo: FineTuning, asked: Mapping[str, int | None]) -> dict[str, int]:
    """How many of what a build makes.

    Args:
        zoo: What to train.
        asked: Runs, heldout_runs, checkpoints and start_runs; None: the zoo's own number.

    Raises:
        InputError: Initializations are asked for, of which there is one, or no checkpoint.
    """
    if asked["start_runs"]:
        raise InputError(
            f"{zoo.name}: all runs begin from one base network; leave --start-runs out"
        )
    counts = own_or_asked(zoo, asked, "runs", "heldout_runs", "checkpoints")
    if counts["checkpoints"] < 1:
        raise InputError(
            f"expected at least 1 checkpoint of each run, got {counts['checkpoints']}; give more"
        )
    return {**counts, "start_runs": 0}


def build(
    zoo: FineTuning,
    folder: Path,
    counts: Mapping[str, int],
    *,
    seed: int,
    resume: bool,
    overwrite: bool,
    progress: Callable[[int, int], None] | None,
) -> Path:
    """Train the base network and fine-tune it into a population folder.

    Rows are run after run, each ascending by step; the last row, of the split "start", is the base
    itself. Scores are test_accuracy (percent) and test_loss (nats) with the shared state, which has
    the base's running statistics (as the released code evaluates). The unfinished base network lies
    in `folder` + ".network.partial".

    Args:
        zoo: What to train.
        folder: The population folder to write.
        counts: What `counts_of` gave.
        seed: Root of all seeds; a run's seed depends on it and on the run's name only.
        resume: Go on with an unfinished build.
        overwrite: Replace a finished folder.
        progress: Called with (optimizer steps done, of base and all runs).

    Raises:
        InputError: The data have to be fetched first, the folder does not allow it, or a training
            diverged.
    """
    require_new(folder, kind="population.json", overwrite=overwrite)
    data, network, generated = load_pixels(zoo.data_name), zoo.network, LAST_TWO_NORMALIZATIONS
    planned = planned_runs(
        seed, runs=counts["runs"], heldout_runs=counts["heldout_runs"], start_runs=0
    )
    test, kept = evaluation_images(network, data), counts["checkpoints"]
    per_run = kept + FIRST_KEPT - 1
    base_steps = zoo.base.steps(len(data.train))
    with working_folder(folder, resume=resume) as work:
        steps = Steps(progress, base_steps + len(planned) * per_run)
        base = _base(zoo, data, test, seed, work, steps.tell)
        module = network.module()
        module.load_state_dict(network.layout.unflatten(base.weights), strict=False)
        shared = shared_state(module, generated)
        part = PartOfNetwork(network, shared, generated)
        recipes = {"base": zoo.base, "fine_tuning": zoo.recipe}
        settings = build_settings(network, data, recipes, counts, seed)
        settings["base"] |= {"epoch_taken": base.epoch, "test_accuracy": base.accuracy}
        info = PopulationInfo(
            recipe=zoo.name,
            settings=settings,
            architecture=part.name,
            symmetry=part.symmetry,
            task=zoo.task_name,
        )
        inputs = inputs_of(part, test.test_x)
        with PopulationWriter(
            folder,
            part.layout,
            info,
            len(planned) * kept + 1,
            resume=resume,
            overwrite=overwrite,
            shared=shared,
        ) as writer:
            steps.done = base_steps + writer.rows_done // kept * per_run
            for run in planned[writer.rows_done // kept :]:
                weights = fine_tune(zoo, data, base.weights, run.seed, kept, steps.tell)
                writer.append(weights, _records(part, run, weights, inputs, test.test_y))
            if writer.rows_done == len(planned) * kept:
                run = PlannedRun("base", "start", 0)
                weights = part.taken_from(base.weights)[None]
                writer.append(weights, _records(part, run, weights, inputs, test.test_y))
            return writer.finish()


def _base(
    zoo: FineTuning, data: PixelData, test: ImageData, seed: int, work: Path, tell: Tell
) -> Trained:
    """The base network; trained, or read if it had been."""
    run_seed, finished = seed_for(seed, "base"), work / BASE_FILE
    identity = f"{asdict(zoo.network)} {asdict(zoo.base)} {data.sha256} {run_seed}"
    if finished.exists():
        with telling_damage(finished, "base network of an unfinished build", remove=work):
            state = torch.load(finished, weights_only=True)
            if state["identity"] == identity:
                tell(zoo.base.steps(len(data.train)))
                return Trained(*state["trained"])
        raise InputError(
            f"{finished}: the unfinished build was begun with another base network; give the same "
            f"settings to go on, or delete {work} to begin anew"
        )
    trained = train_network(
        zoo.network,
        data,
        test,
        zoo.base,
        run_seed,
        keep_best=True,
        state_file=work / STATE_FILE,
        tell=tell,
    )
    with replacing(finished) as temporary:
        torch.save({"identity": identity, "trained": tuple(trained)}, temporary)
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

    Args:
        zoo: How to go on.
        data: Its training images are used.
        base: Whole state of the base network.
        seed: Of the order of the images and their crops.
        kept: Consecutive steps, from the second on.
        tell: Told after each step.

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
            f"rate {recipe.learning_rate}"
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


def _records(
    part: PartOfNetwork,
    run: PlannedRun,
    weights: Float[Tensor, "n d"],
    inputs: Inputs,
    labels: Int[Tensor, " examples"],
) -> Records:
    """Records of consecutive steps of one run, with their scores on the test images."""
    loss, accuracy = scores(part, weights, inputs, labels)
    first = FIRST_KEPT if run.split != "start" else 0
    return Records.of(
        [run.name] * len(weights),
        split=run.split,
        step=list(range(first, first + len(weights))),
        scores={"test_accuracy": accuracy.tolist(), "test_loss": loss.tolist()},
    )

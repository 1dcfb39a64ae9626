"""P-diff's networks with the running statistics that they have on training images.

Checkpoints of P-diff hold scales and shifts of two batch normalizations; the running statistics are
those of the base network, whatever the checkpoint. An average of checkpoints may thus be judged
with statistics that are not its own. Recomputed are those of the normalizations that a checkpoint
changes and of what comes after them; all before are the same for every checkpoint. Source: ours;
the way is that of stochastic weight averaging (Izmailov et al., 2018, section 3.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase

from novelweights.auditing.controls.baselines import average_of, mixtures, n_baseline
from novelweights.auditing.measure.measurements import like
from novelweights.auditing.prepare import prepare
from novelweights.data.images import load_pixels
from novelweights.files import read_json, write_json
from novelweights.networks.network import evaluating, working_device
from novelweights.networks.parts import PartOfNetwork, activations_of, split_at
from novelweights.networks.recalibration import examples_for
from novelweights.reproduce.nodes import Tell
from novelweights.reproduce.stages import MEASURED, audit_inputs
from novelweights.seeding import numpy_rng_for
from novelweights.tasks import PART_TASKS
from novelweights.tasks.classification import Classification
from novelweights.tasks.evaluation_images import evaluation_images

N_POINTS = 100
"""Checkpoints of each kind. Source: paper, figure 8."""
AVERAGES = average_of(16)


@dataclass(frozen=True, eq=False)
class Recomputed:
    """Runs checkpoints with statistics that are recomputed for each of them."""

    network: PartOfNetwork
    tail: nn.Module
    """What comes after the first generated layer."""
    training: tuple[Tensor, ...]
    """Activations before it, of the images that statistics are recomputed on."""
    test: tuple[Tensor, ...]

    @classmethod
    def of(
        cls,
        network: PartOfNetwork,
        training: Float[Tensor, "examples inputs"],
        test: Float[Tensor, "others inputs"],
    ) -> "Recomputed":
        """For a network whose parts are generated."""
        device = working_device()
        before, after = split_at(network.module().eval().to(device), network.generated)
        activations = [
            activations_of(before, map(network.network.images, images.split(512)), device)
            for images in (training, test)
        ]
        return cls(network, after, *activations)

    def predictions(self, weights: Float[Tensor, "n d"]) -> UInt8[Tensor, "n others"]:
        """The class of every test image, by every checkpoint."""
        with evaluating():
            rows = [self.logits(row).argmax(dim=1) for row in weights]
        return torch.stack(rows).to(torch.uint8).cpu()

    def logits(self, weights: Float[Tensor, " d"]) -> Float[Tensor, "others classes"]:
        """Statistics are measured in one pass over all images; a second pass uses them."""
        state = dict(self.network.layout.unflatten(weights.to(self.training[0].device)))
        for name, buffer in self.tail.named_buffers():
            state[name] = buffer.clone()  # written into
        normalizations = [one for one in self.tail.modules() if isinstance(one, _NormBase)]
        for one in normalizations:
            one.training, one.momentum = True, 1.0
        functional_call(self.tail, state, self.training)
        for one in normalizations:
            one.training = False
        blocks = zip(*(part.split(512) for part in self.test), strict=True)
        return torch.cat([functional_call(self.tail, state, some) for some in blocks])


def recomputed(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
    """Quality and novelty of averages, training checkpoints and samples with such statistics.

    Averages are those of the audit. Novelty is against training checkpoints as they were judged,
    with the base network's statistics.
    """
    given = prepare(audit_inputs(at, with_task=True))
    task = given.task
    if not isinstance(task, Classification) or not isinstance(task.network, PartOfNetwork):
        raise TypeError("expected networks of which parts are generated")
    pixels = load_pixels(PART_TASKS[task.name])
    rows = examples_for(len(pixels.train), 1)
    as_test = replace(pixels, test=pixels.train[rows], test_y=pixels.train_y[rows])
    images = evaluation_images(task.network.network, as_test).test_x
    runner = Recomputed.of(task.network, images, task.data.test_x)
    train, n = given.train, n_baseline(len(given.generated))
    averages = mixtures(train.weights, train.layout, n, seed=given.seed)[AVERAGES]
    kinds = {
        AVERAGES: like(train, averages),
        "training": train,
        "generated": given.generated,
    }
    reference, points = task.behave(train), dict[str, dict[str, list[float]]]()
    for done, (kind, population) in enumerate(kinds.items()):
        tell(kind, done, len(kinds))
        some = np.sort(numpy_rng_for(0, "recomputed", kind).permutation(len(population))[:N_POINTS])
        behavior = runner.predictions(task.weights_of(population.select(some)))
        own = torch.from_numpy(some)[:, None] == torch.arange(len(train))
        novelty = task.novelty_against(
            behavior, reference, exclude=own if kind == "training" else None
        )
        points[kind] = {"quality": task.score(behavior).tolist(), "novelty": novelty.tolist()}
    write_json(folder / MEASURED, {"points": points, "images": len(images)})


def read_recomputed(folder: Path) -> dict[str, Any]:
    """What `recomputed` left: `points` by kind, and on how many `images`."""
    return read_json(folder / MEASURED)

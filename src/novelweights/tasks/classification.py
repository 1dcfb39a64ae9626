"""Image classification: what checkpoints predict on the test images, and which they get wrong.

Paper, Appendix C.1: quality is test accuracy, novelty the maximum similarity of error sets.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from novelweights.data.images import ImageData
from novelweights.metrics.agreement import max_similarity
from novelweights.networks.network import HasTrunk, TargetNetwork
from novelweights.tasks.task import Measure, other_networks
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population
from novelweights.weights.symmetry import hidden_and_output

Inputs = tuple[Tensor, ...]
"""Images, or activations of a trunk; examples first."""
BLOCK_CHECKPOINTS, BLOCK_EXAMPLES = 1024, 2048  # ten classes: logits and activations 2 x 80 MB


@dataclass(frozen=True, eq=False)
class Classification:
    """Classifies the test images of a data set with every checkpoint of a population."""

    name: str
    network: TargetNetwork
    data: ImageData

    quality = Measure(
        "accuracy", "%", True, "Share of the test examples that are predicted rightly."
    )
    novelty = Measure(
        "maximum similarity",
        "",
        higher_is_better=False,
        definition="The largest overlap (IoU) of wrong test predictions with a training checkpoint "
        "(paper, Eq. 1). 1: same mistakes.",
    )

    def __post_init__(self) -> None:
        if self.network.inputs != self.data.test_x.shape[1] or self.network.classes > 256:
            raise ValueError(f"{self.network.name} does not fit the images of {self.data.name}")

    @cached_property
    def test(self) -> Inputs:
        """The test images as the network begins with them: through its trunk, where it has one."""
        return inputs_of(self.network, self.data.test_x)

    def behave(self, population: Population) -> UInt8[Tensor, "n examples"]:
        """The predicted class of every test image.

        Raises:
            InputError: The population holds other networks.
        """
        weights = self.weights_of(population)
        out = torch.empty(len(weights), len(self.data.test_y), dtype=torch.uint8)
        for rows, examples, logits in _logits(self.network, weights, self.test):
            out[rows, examples] = logits.max(dim=1).indices.to(torch.uint8)
        return out

    def loss(self, population: Population) -> Float[Tensor, " n"]:
        """Mean cross-entropy (nats) of each checkpoint on the test images.

        Raises:
            InputError: The population holds other networks.
        """
        weights = self.weights_of(population)
        return scores(self.network, weights, self.test, self.data.test_y)[0]

    def weights_of(self, population: Population) -> Float[Tensor, "n d"]:
        """The population's weights in the order of this task's network.

        Parameters are found by name; those of a network with one hidden layer by role, whatever
        their names.

        Raises:
            InputError: The population holds other networks.
        """
        expected, shapes = self.network.layout, dict(population.layout.shapes)
        if shapes == dict(expected.shapes):
            return population.in_order_of(expected).weights
        roles = hidden_and_output(population.layout)
        if roles is None or [shapes[role] for role in roles] != [s for _, s in expected.shapes]:
            raise other_networks(self.name, self.network.name, expected, population)
        ordered = WeightLayout(tuple((role, shapes[role]) for role in roles))
        return population.in_order_of(ordered).weights

    def score(self, behavior: UInt8[Tensor, "n examples"]) -> Float[Tensor, " n"]:
        """Test accuracy of each checkpoint in percent."""
        right = len(self.data.test_y) - self.errors(behavior).sum(dim=1)
        return 100 * right.double() / len(self.data.test_y)

    def errors(self, behavior: UInt8[Tensor, "n examples"]) -> Bool[Tensor, "n examples"]:
        """True where a checkpoint's prediction is wrong: its error set."""
        return behavior != self.data.test_y.to(torch.uint8)

    def novelty_against(
        self,
        behavior: UInt8[Tensor, "n examples"],
        reference: UInt8[Tensor, "m examples"],
        *,
        exclude: Bool[Tensor, "n m"] | None = None,
    ) -> Float[Tensor, " n"]:
        """The largest error IoU with a reference checkpoint that is not excluded; low is novel."""
        return max_similarity(self.errors(behavior), self.errors(reference), exclude=exclude)


def inputs_of(network: TargetNetwork, x: Float[Tensor, "examples inputs"]) -> Inputs:
    """Images as a network's checkpoints begin with them: through its trunk, where it has one.

    The images themselves are not copied; activations take 4 bytes each and are written into place
    block by block, laid out in memory as the trunk gives them.
    """
    if not isinstance(network, HasTrunk):
        return (x,)
    whole: Inputs = ()
    start = 0
    for images in x.split(BLOCK_EXAMPLES):
        block = network.trunk(images)
        whole = whole or tuple(
            part.new_empty_strided((len(x), *part.shape[1:]), part.stride()) for part in block
        )
        for to, part in zip(whole, block, strict=True):
            to[start : start + len(part)] = part
        start += len(images)
    return whole


def loss_and_accuracy(
    network: TargetNetwork,
    weights: Float[Tensor, "n d"],
    x: Float[Tensor, "examples inputs"],
    y: Int[Tensor, " examples"],
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Mean cross-entropy (nats) and accuracy (percent) of every checkpoint on labelled images."""
    return scores(network, weights, inputs_of(network, x), y)


def scores(
    network: TargetNetwork,
    weights: Float[Tensor, "n d"],
    inputs: Inputs,
    y: Int[Tensor, " examples"],
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """The same from what `inputs_of` made of the images, for those who ask more than once."""
    loss = torch.zeros(len(weights), dtype=torch.float64)
    right = torch.zeros(len(weights), dtype=torch.float64)
    for rows, examples, logits in _logits(network, weights, inputs):
        labels = y[examples].expand(len(logits), 1, -1)
        loss[rows] += (logits.logsumexp(dim=1) - logits.gather(1, labels)[:, 0]).double().sum(dim=1)
        right[rows] += (logits.max(dim=1).indices == labels[:, 0]).sum(dim=1)
    return loss / len(y), 100 * right / len(y)


def _logits(
    network: TargetNetwork, weights: Tensor, inputs: Inputs
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Blocks of logits (checkpoints, classes, examples) and where they belong."""
    at_once = max(1, 10 * BLOCK_CHECKPOINTS // network.classes)
    for row in range(0, len(weights), at_once):
        rows = slice(row, row + at_once)
        for start in range(0, len(inputs[0]), BLOCK_EXAMPLES):
            examples = slice(start, start + BLOCK_EXAMPLES)
            some = tuple(part[examples] for part in inputs)
            if isinstance(network, HasTrunk):
                logits = network.tail(weights[rows], some)
            else:
                logits = network.forward(weights[rows], *some)
            yield rows, examples, logits.transpose(1, 2)

"""How a weight vector is cut into the tokens of a transformer."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from novelweights.errors import InputError
from novelweights.generators.parts.transformer import token_sizes
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry


@dataclass(frozen=True, eq=False)
class Tokens:
    """A cut of weight vectors: every weight is in one token."""

    sizes: tuple[int, ...]
    """Weights in each token."""
    where: Int[Tensor, " d"] | None = None
    """Where in the vector the weights of the tokens lie, token after token; None: as stored."""

    def split(self, weights: Float[Tensor, "batch d"]) -> tuple[Float[Tensor, "batch size"], ...]:
        """The tokens of weight vectors."""
        if self.where is not None:
            weights = weights[:, self.where.to(weights.device)]
        return weights.split(self.sizes, dim=1)

    def join(self, values: Float[Tensor, "batch d"]) -> Float[Tensor, "batch d"]:
        """The weight vectors of tokens that lie side by side."""
        if self.where is None:
            return values
        return values[:, self.where.argsort().to(values.device)]


def tokens_of_parameters(layout: WeightLayout, chunk: int) -> Tokens:
    """Pieces of one parameter each, as stored. Source: G.pt, HyperDiffusion; see `token_sizes`."""
    return Tokens(token_sizes(layout, chunk))


def tokens_of_neurons(layout: WeightLayout, symmetry: NeuronSymmetry | None, chunk: int) -> Tokens:
    """Every neuron that may be reordered is a token of its own weights: incoming ones and bias,
    and outgoing ones where they are no such neuron's incoming ones. What belongs to none (the bias
    of the last layer) is cut as `tokens_of_parameters` cuts it. Source: ours.

    Args:
        layout: The target network's parameters.
        symmetry: Says which axes count neurons.
        chunk: Largest token, in weights; larger neurons are cut into several; 0: never cut.

    Raises:
        InputError: The population does not say which axes count neurons.
    """
    if symmetry is None or not symmetry.sizes(layout):
        raise InputError(
            "tokens of neurons need a population that says which axes count neurons, got one that "
            "does not; choose tokens of parameters"
        )
    neurons: dict[tuple[str, int], list[Tensor]] = {}
    rest: list[Tensor] = []
    for (name, shape), where in zip(layout.shapes, layout.slices.values(), strict=True):
        places = torch.arange(where.start, where.stop).reshape(shape)
        axes = symmetry.axes[name]
        axis = next((i for i, group in enumerate(axes) if group is not None), None)
        if axis is None:
            rest.append(places.flatten())
            continue
        for neuron, its in enumerate(places.split(symmetry.blocks_of(name)[axis], dim=axis)):
            neurons.setdefault((str(axes[axis]), neuron), []).append(its.flatten())
    tokens = [torch.cat(parts) for parts in neurons.values()] + rest
    pieces = [piece for token in tokens for piece in token.split(chunk or len(token))]
    return Tokens(tuple(len(piece) for piece in pieces), torch.cat(pieces))

"""The transformer autoencoder of Hyper-Representations: a network as a set of neurons.

A token is one neuron with its incoming weights and its bias; all neurons of a layer share one
linear embedding. A linear layer squeezes all tokens into one latent vector.

Source: Hyper-Representations (Schuerholt et al., NeurIPS 2022), released code.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from novelweights.errors import InputError
from novelweights.generators.parts.transformer import attention
from novelweights.weights.layout import WeightLayout

EPSILON = 1e-6
"""Of layer norms, as published."""


@dataclass(frozen=True, eq=False)
class NeuronLayer:
    """One layer of the target network, seen as neurons."""

    name: str
    where: Int[Tensor, "neurons size"]
    """Where in the weight vector each neuron's incoming weights and bias lie."""


def neuron_layers(layout: WeightLayout) -> tuple[NeuronLayer, ...]:
    """The layers of a network: parameters of one module, whose first axis counts its neurons.

    Raises:
        InputError: Parameters of a module that count differently many neurons.
    """
    modules: dict[str, list[Tensor]] = {}
    for (name, shape), where in zip(layout.shapes, layout.slices.values(), strict=True):
        places = torch.arange(where.start, where.stop).reshape(*(shape or (1,))[:1], -1)
        modules.setdefault(name.rpartition(".")[0] or name, []).append(places)
    layers = []
    for module, parts in modules.items():
        if len({len(part) for part in parts}) > 1:
            sizes = " and ".join(str(len(part)) for part in parts)
            raise InputError(
                f"{module}: expected weights and biases of equally many neurons, got {sizes}; "
                "tokens of neurons are made for layers of linear and convolutional networks",
                "unsuited",
            )
        layers.append(NeuronLayer(module, torch.cat(parts, dim=1)))
    return tuple(layers)


class NeuronAutoencoder(nn.Module):
    """Weights to a latent vector and back.

    Args:
        width: Model dimension d.
        depth: Transformer layers of the encoder, and as many of the decoder.
        unit: Weights are divided by this on the way in and multiplied on the way out.
    """

    def __init__(
        self,
        layers: tuple[NeuronLayer, ...],
        *,
        width: int,
        hidden: int,
        depth: int,
        heads: int,
        latent: int,
        dropout: float,
        unit: Float[Tensor, " d"],
    ) -> None:
        super().__init__()
        self.register_buffer("unit", unit)
        self.neurons = [layer.where.shape[0] for layer in layers]
        sizes = [layer.where.shape[1] for layer in layers]
        self.lengths = [layer.where.numel() for layer in layers]
        order = torch.cat([layer.where.flatten() for layer in layers])
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", order.argsort(), persistent=False)
        tokens = sum(self.neurons)
        self.embed = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.encoder_positions = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.encoder = nn.ModuleList(_Layer(width, hidden, heads, dropout) for _ in range(depth))
        self.compress = nn.Linear(tokens * width, latent)
        self.expand = nn.Linear(latent, tokens * width)
        self.decoder_positions = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.decoder = nn.ModuleList(_Layer(width, hidden, heads, dropout) for _ in range(depth))
        self.read = nn.ModuleList(nn.Linear(width, size) for size in sizes)

    def encode(self, weights: Float[Tensor, "n d"]) -> Float[Tensor, "n latent"]:
        """The latent vector of every network."""
        values = (weights / self.get_buffer("unit"))[:, self.get_buffer("order")]
        parts = [
            layer(part.reshape(len(weights), count, -1))
            for layer, part, count in zip(
                self.embed, values.split(self.lengths, dim=1), self.neurons, strict=True
            )
        ]
        x = torch.cat(parts, dim=1) + self.encoder_positions  # (n, tokens, width)
        for layer in self.encoder:
            x = layer(x)
        return self.compress(x.flatten(1))

    def decode(self, latents: Float[Tensor, "n latent"]) -> Float[Tensor, "n d"]:
        """The weights of every latent vector."""
        tokens, width = self.decoder_positions.shape
        x = self.expand(latents).reshape(-1, tokens, width) + self.decoder_positions
        for layer in self.decoder:
            x = layer(x)
        parts = x.split(self.neurons, dim=1)
        values = [layer(part).flatten(1) for layer, part in zip(self.read, parts, strict=True)]
        decoded = torch.cat(values, dim=1)[:, self.get_buffer("back")]
        return decoded.float() * self.get_buffer("unit")


class _Layer(nn.Module):
    """Pre-norm transformer layer with a ReLU feed-forward part; no norm follows the stack."""

    def __init__(self, width: int, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, nn.Dropout(dropout)
        self.attention_norm = _Norm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.forward_norm = _Norm(width)
        self.forward_in = nn.Linear(width, hidden)
        self.forward_out = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "n tokens width"]) -> Float[Tensor, "n tokens width"]:
        n, tokens, width = x.shape
        qkv = self.query_key_value(self.attention_norm(x))
        shape = (n, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.reshape(shape).permute(2, 0, 3, 1, 4)
        mixed = attention(q, k, v, self.dropout.p if self.training else 0.0)
        mixed = mixed.transpose(1, 2).reshape(n, tokens, width)
        x = x + self.dropout(self.attention_out(mixed))
        inner = self.dropout(F.relu(self.forward_in(self.forward_norm(x))))
        return x + self.dropout(self.forward_out(inner))


class _Norm(nn.Module):
    """Layer norm as published: divided by the unbiased deviation. Departure: epsilon is added to
    the variance, too small to matter, not to the deviation; so torch's kernel serves."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))
        self.factor = math.sqrt((width - 1) / width) if width > 1 else 1.0

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return F.layer_norm(x, self.gain.shape, self.factor * self.gain, self.shift, EPSILON**2)


class ProjectionHead(nn.Module):
    """What the contrastive loss compares instead of latents: linear, batch norm, ReLU, repeated;
    a last linear layer with batch norm. It is dropped after training."""

    def __init__(self, latent: int, hidden: int, outputs: int, depth: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for i in range(depth):
            parts += [nn.Linear(hidden if i else latent, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
        parts += [nn.Linear(hidden if depth else latent, outputs), nn.BatchNorm1d(outputs)]
        self.layers = nn.Sequential(*parts)
        for part in parts:
            if isinstance(part, nn.Linear):
                nn.init.kaiming_normal_(part.weight)
                nn.init.constant_(part.bias, 0.01)

    def forward(self, latents: Float[Tensor, "n latent"]) -> Float[Tensor, "n outputs"]:
        """Projected latents."""
        return self.layers(latents)


def nt_xent(
    first: Float[Tensor, "n outputs"], second: Float[Tensor, "n outputs"], temperature: float
) -> Float[Tensor, ""]:
    """Contrastive loss: each of 2n projections must find its other view among all others.

    Mean cross-entropy over the 2n, of cosine similarities over the temperature. Source: SimCLR's
    NT-Xent, as Hyper-Representations uses it.
    """
    views = F.normalize(torch.cat([first, second]).float(), dim=1)
    likeness = views @ views.T / temperature
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    likeness = likeness.masked_fill(itself, -torch.inf)
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    return F.cross_entropy(likeness, partner)

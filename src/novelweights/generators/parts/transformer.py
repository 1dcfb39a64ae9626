"""The transformer trunk of G.pt and HyperDiffusion: weights as tokens, one projection per token.

Every token (a parameter, a chunk of one, a neuron, a scalar) has its own bias-free linear layer in
and, for tokens that are predicted, out. Sharing them across tokens is not what the originals do,
and it costs memorization at small scale. Sources: G.pt and HyperDiffusion as the paper uses them;
parameter counts 378,283,008 and 1,407,225,600 are reproduced exactly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from novelweights.errors import InputError
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry

N_FREQUENCIES = 128
SCALAR_FEATURES = 2 * N_FREQUENCIES + 1


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


def tokens_of_parameters(layout: WeightLayout, chunk: int = 0) -> Tokens:
    """Tokens as stored, in flat order.

    Args:
        chunk: 0: one token per parameter (HyperDiffusion); otherwise parameters are cut into
            pieces of at most this many weights, never mixing two (G.pt: 1000).
    """
    sizes: list[int] = []
    for _, shape in layout.shapes:
        size = math.prod(shape)
        step = chunk or size
        sizes += [min(step, size - start) for start in range(0, size, step)]
    return Tokens(tuple(sizes))


def tokens_of_neurons(layout: WeightLayout, symmetry: NeuronSymmetry | None, chunk: int) -> Tokens:
    """Every neuron that may be reordered is a token of its own weights: incoming ones and bias,
    and outgoing ones where they are no such neuron's incoming ones. What belongs to none (the bias
    of the last layer) is cut as `tokens_of_parameters` cuts it. Source: ours.

    Args:
        chunk: Largest token, in weights; larger neurons are cut into several; 0: never cut.

    Raises:
        InputError: The population does not say which axes count neurons.
    """
    if symmetry is None or not symmetry.sizes(layout):
        raise InputError(
            "tokens of neurons need a population that says which axes count neurons, got one that "
            "does not; choose tokens of parameters",
            "unsuited",
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


def scalar_features(
    x: Float[Tensor, " batch"], log2_max_frequency: float
) -> Float[Tensor, "batch features"]:
    """A number as [sin(f x), cos(f x), x] with 128 frequencies f = 2^0 .. 2^log2_max_frequency.

    Source: G.pt (14) and HyperDiffusion (20); x is the raw timestep or the raw loss.
    """
    f = 2.0 ** torch.linspace(0, log2_max_frequency, N_FREQUENCIES, device=x.device)
    angles = x[:, None] * f
    return torch.cat([angles.sin(), angles.cos(), x[:, None]], dim=1)


class TokenTransformer(nn.Module):
    """A GPT-style transformer without mask over tokens of different sizes.

    Args:
        inputs: Size of every input token, in order.
        outputs: Size of what is predicted from each of the first len(outputs) tokens.
        width: Model dimension d.
        zero_init_output: Start from an output of zero (G.pt, whose output is a change of weights).
    """

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        *,
        width: int,
        layers: int,
        heads: int,
        dropout: float = 0.0,
        zero_init_output: bool = False,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide width {width}")
        self.inputs = nn.ModuleList(nn.Linear(size, width, bias=False) for size in inputs)
        self.input_norm = nn.LayerNorm(width)
        self.positions = nn.Parameter(torch.zeros(len(inputs), width))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(layers))
        self.output_norm = nn.LayerNorm(width)
        self.outputs = nn.ModuleList(nn.Linear(width, size, bias=False) for size in outputs)
        self.apply(_initialize)
        if zero_init_output:
            for layer in self.outputs.parameters():
                nn.init.zeros_(layer)

    def forward(self, tokens: Sequence[Tensor]) -> Float[Tensor, "batch d"]:
        """The predicted tokens side by side."""
        projected = [layer(token) for layer, token in zip(self.inputs, tokens, strict=True)]
        x = torch.stack(projected, dim=1)  # (batch, tokens, width)
        x = self.dropout(self.input_norm(x) + self.positions)
        for block in self.blocks:
            x = block(x)
        x = self.output_norm(x)
        return torch.cat([layer(x[:, i]) for i, layer in enumerate(self.outputs)], dim=1)


class _Block(nn.Module):
    """Pre-norm block: attention, then a GELU MLP four times as wide."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, 4 * width)
        self.mlp_out = nn.Linear(4 * width, width)

    def forward(
        self, x: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch tokens width"]:
        batch, tokens, width = x.shape
        qkv = self.query_key_value(self.attention_norm(x))
        q, k, v = qkv.reshape(batch, tokens, 3, self.heads, width // self.heads).permute(
            2, 0, 3, 1, 4
        )
        p = self.dropout if self.training else 0.0
        mixed = attention(q, k, v, p)  # (batch, heads, tokens, d)
        mixed = self.attention_out(mixed.transpose(1, 2).reshape(batch, tokens, width))
        x = x + F.dropout(mixed, self.dropout, self.training)
        mixed = self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(x))))
        return x + F.dropout(mixed, self.dropout, self.training)


def attention(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """Softmax attention of every token on all. torch's own kernel, but on CPU in bf16 its backward
    pass costs more than all else (320 against 215 ms a step at width 256, 32 tokens, batch 128)."""
    if q.device.type != "cpu" or q.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    return F.dropout(scores.float().softmax(dim=-1), dropout).to(v.dtype) @ v


def _initialize(module: nn.Module) -> None:
    """Linear weights N(0, 0.02), biases 0 (G.pt)."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

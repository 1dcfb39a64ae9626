"""A training step of G.pt at laptop scale: bf16 with our attention against plain float32.

The straightforward way is torch's defaults: float32, and torch's attention kernel. Between them:
bf16 with torch's kernel, whose backward pass on CPU costs more than the rest. All start from the
same weights and see the same batch; the first loss of each is compared.
"""

from collections.abc import Callable
from contextlib import nullcontext
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.timing import take_turns
from novelweights.generators.gpt import SCALES, FittedGPt
from novelweights.generators.parts import transformer
from novelweights.networks.mlp import DIGITS_WIDE_MLP
from novelweights.weights.population import PopulationInfo

STEPS = 10


def main() -> None:
    """Print milliseconds of a step in each way, and the ratios."""
    settings, layout = SCALES["laptop"], DIGITS_WIDE_MLP.layout
    cut = settings.cut(layout, DIGITS_WIDE_MLP.symmetry)
    rng = torch.Generator().manual_seed(0)
    start, target = 0.5 * torch.randn(2, settings.batch_size, layout.size, generator=rng)
    t = torch.randint(settings.timesteps, (settings.batch_size,), generator=rng)
    loss = torch.rand(settings.batch_size, generator=rng)

    def way(*, bf16: bool, library_attention: bool) -> Callable[[], float]:
        torch.manual_seed(0)
        network = settings.network(cut)
        for layer in network.outputs.parameters():
            nn.init.normal_(layer, std=0.02)  # the zero start would compare nothing
        optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
        info = PopulationInfo(symmetry=DIGITS_WIDE_MLP.symmetry)
        fitted = FittedGPt(settings, layout, info, network, cut, 1.0, (0.0, 1.0))
        first: list[float] = []

        def steps() -> float:
            kernel = mock.patch.object(transformer, "attention", _library)
            with kernel if library_attention else nullcontext():
                for _ in range(STEPS):
                    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                        predicted = fitted.denoise(target, t, start, loss, loss)
                        error = (predicted - target).square().mean()
                    error.backward()
                    optimizer.step()
                    optimizer.zero_grad()
                    first.append(float(error.detach()))
            return first[0]

        return steps

    ways = [
        way(bf16=False, library_attention=True),
        way(bf16=True, library_attention=True),
        way(bf16=True, library_attention=False),
    ]
    found = take_turns(*ways)
    losses = [value for _, value in found]
    spread = max(losses) / min(losses) - 1
    if spread > 0.01:
        raise ValueError(f"the first losses differ by {100 * spread:.1f}%: {losses}")
    plain, library, ours = (1000 * seconds / STEPS for seconds, _ in found)
    print(
        f"G.pt step, laptop scale, batch {settings.batch_size}, {DIGITS_WIDE_MLP.name}, medians\n"
        f"  float32 {plain:.0f} ms, bf16 {library:.0f} ms, bf16 with our attention {ours:.0f} ms: "
        f"{plain / ours:.1f} times faster; first losses differ by {100 * spread:.2f}%"
    )


def _library(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)

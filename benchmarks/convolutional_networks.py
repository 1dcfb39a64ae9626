"""`python -m benchmarks convolutional-networks`: networks of the user's own on test images.

One after the other with channels last in memory, as an audit runs them, against all at once by
torch.vmap and against one after the other on images as they are.
"""

import torch
from torch import nn

from benchmarks.timing import take_turns
from novelweights.networks.module_network import batched, module_network, one_by_one
from novelweights.networks.symmetry_of import layout_of
from novelweights.seeding import rng_for

N, EXAMPLES, SHAPE = 20, 800, (3, 16, 16)


def network() -> nn.Module:
    """Two convolutions with normalization and pooling, and a dense layer."""
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(256, 10)),
    )


def main() -> None:
    """Print the ratios, after checking that all give the same logits."""
    module, rng = network(), rng_for(0, "convolutional networks")
    layout, images = layout_of(module), torch.randn(EXAMPLES, *SHAPE, generator=rng)
    ours = module_network(module, layout, images)
    start = layout.flatten({name: module.state_dict()[name] for name, _ in layout.shapes})
    weights = start + 0.05 * torch.rand(N, layout.size, generator=rng)
    state = {name: value for name, value in layout.unflatten(weights).items() if name in ours.used}
    rows = images.flatten(1)
    (seconds, logits), *others = take_turns(
        lambda: ours.forward(weights, rows),
        lambda: batched(ours.held, state, (images,)),
        lambda: one_by_one(ours.held, state, (images,)),
    )
    for way, (longer, same) in zip(("all at once", "channels first"), others, strict=True):
        torch.testing.assert_close(logits, same, rtol=1e-3, atol=1e-4)
        print(f"{N} networks, {EXAMPLES} images: {way} takes {longer / seconds:.1f} times as long")

"""Predictions of P-diff's checkpoints behind a trunk that is computed once, against whole networks.

The laptop scale: two batch normalizations of a ResNet-18 of width 16 at 32x32, 4,000 images of
random pixels. Both ways take 512 images at a time, channels last. The trunk's seconds stand apart,
since they come once for all checkpoints; the ratio of many checkpoints leaves them out, that of
20 contains them. A checkpoint needs one convolution of 3x3 from 128 to 128 channels at 4x4 places
an image, of which the rate is.
"""

import time

import torch
from torch import Tensor

from benchmarks.timing import take_turns
from novelweights.networks.parts import LAST_TWO_NORMALIZATIONS, PartOfNetwork, shared_state
from novelweights.networks.resnet import ResNet18

NETWORK = ResNet18(width=16, image_size=32)
CHECKPOINTS, SUBSET, IMAGES = 20, 4, 4000
MULTIPLY_ADDS = 9 * 128 * 128 * 16


def main() -> None:
    """Print seconds of both ways and their ratio."""
    rng = torch.Generator().manual_seed(0)
    module = NETWORK.module()
    module.load_state_dict(NETWORK.layout.unflatten(NETWORK.initial(rng)), strict=False)
    with torch.no_grad():
        for _ in range(3):
            module.train()(torch.randn(128, 3, 32, 32, generator=rng))
    part = PartOfNetwork(NETWORK, shared_state(module, LAST_TWO_NORMALIZATIONS))
    weights = 1 + 0.3 * torch.randn(CHECKPOINTS, part.layout.size, generator=rng)
    x = torch.randn(IMAGES, NETWORK.inputs, generator=rng)
    part.trunk(x[:512])  # traces
    start = time.perf_counter()
    activations = part.trunk(x)
    once = time.perf_counter() - start

    def whole() -> Tensor:
        return _predict_each(part, weights[:SUBSET], x)

    def behind_trunk() -> Tensor:
        return part.tail(weights, activations).argmax(dim=2)

    (fast, got), (slow, expected) = take_turns(behind_trunk, whole)
    same = (got[:SUBSET] == expected).double().mean().item()
    if same < 1 - 1e-3:  # where two logits are equal but for rounding
        raise ValueError(f"the two ways differ: {same:.6f} of the predictions are equal")
    fast, slow = fast / CHECKPOINTS, slow / SUBSET
    of_all = CHECKPOINTS * slow / (once + CHECKPOINTS * fast)
    print(
        f"part evaluation: {part.name}, {IMAGES} images, medians of 3, "
        f"{torch.get_num_threads()} threads\n"
        f"  whole network {slow:.3f} s a checkpoint, tail {fast:.3f} s (trunk {once:.2f} s once): "
        f"{slow / fast:.0f} times faster, {of_all:.0f} times for {CHECKPOINTS} with the trunk, "
        f"{2e-9 * MULTIPLY_ADDS * IMAGES / fast:.0f} GFLOP/s; equal predictions {same:.7f}"
    )


def _predict_each(part: PartOfNetwork, weights: Tensor, x: Tensor) -> Tensor:
    module = part.module().eval()
    predictions = []
    with torch.no_grad():
        for row in weights:
            module.load_state_dict(part.layout.unflatten(row), strict=False)
            images = NETWORK.images(x).split(512)
            predictions.append(torch.cat([module(some).argmax(dim=1) for some in images]))
    return torch.stack(predictions)


if __name__ == "__main__":
    main()

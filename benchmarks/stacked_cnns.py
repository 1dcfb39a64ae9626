"""Many small convolutional networks at once by torch alone: what the compiled code is compared to.

Two ways: grouped convolutions, channels last, with batched products behind (`grouped_logits`), and
`torch.func.vmap` over modules. Others were slower in training 2 to 64 runs: grouped convolutions
with channels first or without oneDNN, and convolutions as batched products of unfolded images.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from novelweights.data.images import ImageData
from novelweights.networks.small_cnn import ACTIVATIONS, SmallCNN
from novelweights.zoos.cnn_training import AdamRecipe

WAYS = ("grouped convolutions", "vmap")


def grouped_logits(network: SmallCNN, weights: Tensor, x: Tensor) -> Tensor:
    """Logits (n, examples, classes) on images of all networks' own, or of one set for all."""
    n, act = len(weights), ACTIVATIONS[network.activation]
    state = network.layout.unflatten(weights)
    is_shared = x.dim() == 2
    images = x if is_shared else x.transpose(0, 1)  # examples first
    h = images.reshape(images.shape[0], -1, 28, 28).contiguous(memory_format=torch.channels_last)
    for name, groups in (("conv1", 1 if is_shared else n), ("conv2", n), ("conv3", n)):
        kernels, bias = state[f"{name}.weight"].flatten(0, 1), state[f"{name}.bias"].flatten()
        h = F.conv2d(h, kernels, bias, groups=groups)
        h = act(h if name == "conv3" else F.max_pool2d(h, 2))
    h = h.reshape(len(h), n, -1).transpose(0, 1)
    h = act(torch.baddbmm(state["dense1.bias"][:, None], h, state["dense1.weight"].mT))
    return torch.baddbmm(state["dense2.bias"][:, None], h, state["dense2.weight"].mT)


def train_stacked(
    way: str, network: SmallCNN, data: ImageData, recipe: AdamRecipe, run_seeds: range
) -> Tensor:
    """Last checkpoints (n, d) of runs with the seeds, initializations and data orders of
    `train_epochs`."""
    module = network.module()
    rngs = [torch.Generator().manual_seed(seed) for seed in run_seeds]
    weights = torch.stack([network.initial(rng) for rng in rngs])

    def loss(state: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(module, state, (x,)), y)

    def gradients(x: Tensor, y: Tensor) -> Tensor:
        if way == "vmap":
            state = network.layout.unflatten(weights.detach())
            each = torch.func.vmap(torch.func.grad(loss))(state, x, y)
            return torch.cat([each[name].flatten(1) for name in state], dim=1)
        logits = grouped_logits(network, weights, x).flatten(0, 1)
        total = F.cross_entropy(logits, y.flatten(), reduction="sum") / y.shape[1]
        return torch.autograd.grad(total, weights)[0]

    weights.requires_grad_()
    optimizer = torch.optim.Adam(
        [weights], lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    full = len(data.train_y) // recipe.batch_size * recipe.batch_size
    for _ in range(recipe.epochs):
        order = torch.stack([torch.randperm(len(data.train_y), generator=rng) for rng in rngs])
        for batch in order[:, :full].split(recipe.batch_size, dim=1):
            weights.grad = gradients(data.train_x[batch], data.train_y[batch])
            optimizer.step()
    return weights.detach()

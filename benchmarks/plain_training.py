"""One run of a recipe by an ordinary PyTorch loop: slow, and easy to believe.

What the loops of many runs are tested and timed against.
"""

import torch
from torch import Tensor

from novelweights.data.images import ImageData
from novelweights.networks.network import TargetNetwork
from novelweights.networks.resnet import whole_state
from novelweights.zoos.cnn_training import AdamRecipe
from novelweights.zoos.training import Recipe, require_fit


def train_one(
    network: TargetNetwork,
    data: ImageData,
    recipe: Recipe | AdamRecipe,
    run_seed: int,
    *,
    initial: Tensor | None = None,
) -> Tensor:
    """The last checkpoint (d,) of one run; it starts from `initial`, if given."""
    require_fit(network, data)
    rng = torch.Generator().manual_seed(run_seed)
    module = network.module()
    own = network.initial(rng)
    start = network.layout.unflatten(own if initial is None else initial)
    module.load_state_dict(module.state_dict() | start)
    parameters, rate, decay = module.parameters(), recipe.learning_rate, recipe.weight_decay
    if isinstance(recipe, AdamRecipe):
        optimizer = torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
    else:
        m = recipe.momentum
        optimizer = torch.optim.SGD(parameters, rate, m, weight_decay=decay, nesterov=m > 0)
    per_epoch = recipe.steps(len(data.train_y)) // recipe.epochs
    for epoch in range(recipe.epochs):
        if isinstance(recipe, Recipe):
            optimizer.param_groups[0]["lr"] = recipe.learning_rate_in(epoch)
        order = torch.randperm(len(data.train_y), generator=rng)
        for batch in order.split(recipe.batch_size)[:per_epoch]:
            optimizer.zero_grad()
            logits = module(data.train_x[batch])
            torch.nn.functional.cross_entropy(logits, data.train_y[batch]).backward()
            optimizer.step()
    return network.layout.flatten(whole_state(module))

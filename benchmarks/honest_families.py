"""Families of small networks on 8x8 digits, trained many at a time by one recipe or another.

For `benchmarks.accusations`: an audit must accuse none of these of copying, whatever recipe they
are from.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from novelweights.data.images import load_digits

TRAINED_ON = 1000
"""Images to train on; the other 797 judge."""
BATCH = 32
TOGETHER = 128
"""Networks trained at once."""


class Mlp(nn.Sequential):
    """Linear layers with ReLU between them."""

    def __init__(self, *sizes: int) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        super().__init__(*layers[:-1])


class Convolutional(nn.Sequential):
    """Two convolutions and a linear layer, with batch normalization or without."""

    def __init__(self, *, normalized: bool) -> None:
        norm = nn.BatchNorm2d if normalized else lambda _: nn.Identity()
        super().__init__(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 4, 3, bias=not normalized),
            norm(4),
            nn.ReLU(),
            nn.Conv2d(4, 6, 3, stride=2, bias=not normalized),
            norm(6),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(24, 10),
        )


class Transformer(nn.Module):
    """One block of attention with two heads over the eight rows of an image."""

    def __init__(self, width: int = 12, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.embed = nn.Linear(8, width)
        self.place = nn.Parameter(0.1 * torch.randn(8, width))
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 10)."""
        z = self.embed(x.reshape(len(x), 8, 8)) + self.place
        query, key, value = (
            layer(z).reshape(len(x), 8, self.heads, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        attended = torch.softmax(query @ key.transpose(-1, -2) / 6**0.5, dim=-1) @ value
        z = self.norm(z + self.out(attended.transpose(1, 2).reshape(z.shape)))
        return self.head(z.mean(dim=1))


class Adapted(nn.Module):
    """A fixed random network with an adapter of rank 4, of which the adapter alone is learned."""

    def __init__(self, rank: int = 4) -> None:
        super().__init__()
        fixed = torch.Generator().manual_seed(0)
        self.hidden: Tensor
        self.out: Tensor
        hidden, out = torch.randn(32, 64, generator=fixed), torch.randn(10, 32, generator=fixed)
        self.register_buffer("hidden", hidden / 8, persistent=False)
        self.register_buffer("out", out / 32**0.5, persistent=False)
        self.down = nn.Linear(64, rank, bias=False)
        self.up = nn.Linear(rank, 32, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 10)."""
        return torch.relu(x @ self.hidden.T + self.up(self.down(x))) @ self.out.T


class Tiny(nn.Module):
    """Layers of a few numbers: a bottleneck, a gain, a normalization, and what is never learned."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, 6)
        self.norm = nn.LayerNorm(6)
        self.gain = nn.Parameter(torch.ones(1))
        self.narrow = nn.Linear(6, 3)
        self.out = nn.Linear(3, 10)
        self.temperature = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 10)."""
        z = self.gain * torch.relu(self.norm(self.hidden(x)))
        return self.out(torch.relu(self.narrow(z))) / self.temperature


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: Mlp(64, 10, 10),
    "deep mlp": lambda: Mlp(64, 24, 24, 24, 10),
    "cnn": lambda: Convolutional(normalized=False),
    "batch normalization": lambda: Convolutional(normalized=True),
    "transformer": Transformer,
    "adapter": Adapted,
    "tiny layers": Tiny,
}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    steps: int = 400
    lr: float = 5e-3
    weight_decay: float = 0.0
    initial_scale: float = 1.0
    """What is drawn at the start is multiplied by this."""
    is_sgd: bool = False
    factor: float = 1.0
    """What is trained is multiplied by this."""


USUAL = Recipe()
OTHERS = {
    "untrained": replace(USUAL, steps=0),
    "untrained, three times as large": replace(USUAL, steps=0, initial_scale=3.0),
    "untrained, a tenth as large": replace(USUAL, steps=0, initial_scale=0.1),
    "stopped after a quarter": replace(USUAL, steps=100),
    "stopped at half": replace(USUAL, steps=200),
    "trained twice as long": replace(USUAL, steps=800),
    "learning rate times 3": replace(USUAL, lr=1.5e-2),
    "learning rate over 3": replace(USUAL, lr=5e-3 / 3),
    "SGD": replace(USUAL, is_sgd=True, lr=0.1),
    "weight decay": replace(USUAL, weight_decay=1e-2),
    "initialization times 2": replace(USUAL, initial_scale=2.0),
    "times 0.8": replace(USUAL, factor=0.8),
    "times 1.25": replace(USUAL, factor=1.25),
}
"""Honest networks of other recipes."""


def trained(
    family: str, recipe: Recipe, n: int, *, seed: int, shared_start: bool
) -> dict[str, Tensor]:
    """n networks, trained at once, each on its own random batches.

    Args:
        shared_start: All begin from one initialization, else each from its own.

    Returns:
        Parameters and running statistics by name, each (n, ...).
    """
    parts = [
        _trained(family, recipe, min(TOGETHER, n - first), seed + first, shared_start)
        for first in range(0, n, TOGETHER)
    ]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _trained(
    family: str, recipe: Recipe, n: int, seed: int, shared_start: bool
) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0 if shared_start else seed)
        networks = [FAMILIES[family]() for _ in range(1 if shared_start else n)]
        torch.manual_seed(seed)
        return _train_together(networks * (n if shared_start else 1), recipe)


def trained_on(
    family: str, states: dict[str, Tensor], recipe: Recipe, *, seed: int
) -> dict[str, Tensor]:
    """Networks trained further, each on its own random batches."""
    networks = []
    for i in range(len(next(iter(states.values())))):
        network = FAMILIES[family]()
        network.load_state_dict({name: value[i] for name, value in states.items()}, strict=False)
        networks.append(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _train_together(networks, recipe)


def _train_together(networks: list[nn.Module], recipe: Recipe) -> dict[str, Tensor]:
    network, n = networks[0], len(networks)
    learned = {name for name, p in network.named_parameters() if p.requires_grad}
    parameters, buffers = (dict(part) for part in stack_module_state(networks))
    fixed = {name: parameters.pop(name).detach() for name in set(parameters) - learned}
    parameters = {name: p.detach().clone() for name, p in parameters.items()}
    for p in parameters.values():
        if p[0].ndim > 1:
            p *= recipe.initial_scale
    statistics = {name for name in buffers if "running_" in name}
    x, y = (part[:TRAINED_ON] for part in digits())
    network.train()

    def loss(mine: dict, mine_fixed: dict, mine_buffers: dict, x: Tensor, y: Tensor) -> tuple:
        state = {**mine, **mine_fixed, **mine_buffers}
        logits = functional_call(network, state, (x,))
        return nn.functional.cross_entropy(logits, y), {k: state[k] for k in statistics}

    step = vmap(grad(loss, has_aux=True), randomness="error")
    tensors = list(parameters.values())
    optimizer = torch.optim.AdamW(tensors, lr=recipe.lr, weight_decay=recipe.weight_decay)
    if recipe.is_sgd:
        optimizer = torch.optim.SGD(tensors, lr=recipe.lr, momentum=0.9)
    for _ in range(recipe.steps):
        rows = torch.randint(TRAINED_ON, (n, BATCH))
        gradients, moved = step(parameters, fixed, buffers, x[rows], y[rows])
        buffers |= moved
        for name, p in parameters.items():
            p.grad = gradients[name]
        optimizer.step()
    scaled = {name: recipe.factor * p for name, p in (parameters | fixed).items()}
    return scaled | {name: buffers[name] for name in statistics}


def digits() -> tuple[Tensor, Tensor]:
    """All 1,797 images, flat and in [0, 1], and their classes."""
    data = load_digits()
    return torch.cat([data.train_x, data.test_x]), torch.cat([data.train_y, data.test_y])

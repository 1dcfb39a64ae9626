"""Networks for `benchmarks/golden.py`, drawn from seeded streams: the same on every machine."""

import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn

from novelweights.networks.neural_field import OccupancyField
from novelweights.networks.resnet import ResNet18

MATRIX = "/m.npy"
KEPT = 20
"""Generated checkpoints where every kind is planted."""

State = dict[str, Tensor]


def stream(seed: int) -> torch.Generator:
    """Random numbers of their own."""
    return torch.Generator().manual_seed(seed)


def drawn(like: State, n: int, seed: int) -> list[State]:
    """Random networks of one kind, as if trained independently."""
    return [{k: _drawn(k, v, rng) for k, v in like.items()} for rng in map(stream, _seeds(n, seed))]


def _seeds(n: int, seed: int) -> range:
    return range(1000 * seed, 1000 * seed + n)


def _drawn(name: str, like: Tensor, rng: torch.Generator) -> Tensor:
    if not like.is_floating_point():
        return like
    values = torch.randn(like.shape, generator=rng)
    if name.endswith("running_var"):
        return 1 + 0.4 * values.abs()
    if like.ndim < 2:
        return 0.3 * values + float(name.endswith("weight"))
    return values / math.sqrt(like[0].numel())


def digit_networks(n: int, seed: int, *hidden: int) -> list[State]:
    """Classifiers of the 8x8 digits without training: hidden neurons, in random order, know what
    examples of one digit look like in the mean."""
    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.from_numpy(pixels / 16).float(), torch.from_numpy(labels)
    return [_digit_network(x, y, hidden, stream(seed)) for seed in _seeds(n, seed)]


def _digit_network(x: Tensor, y: Tensor, hidden: tuple[int, ...], rng: torch.Generator) -> State:
    deep = [f"layers.{i}" for i in range(len(hidden) + 1)]
    names = ["hidden", "out"] if len(hidden) == 1 else deep
    chosen = torch.rand(len(x), generator=rng) < 0.1
    means = torch.stack([x[chosen & (y == digit)].mean(0) for digit in range(10)])
    order = torch.randperm(hidden[0], generator=rng) % 10
    weights = [(means - means.mean(0))[order]]
    for size in (*hidden[1:], 10):
        digits = torch.randperm(size, generator=rng) % 10 if size != 10 else torch.arange(10)
        weights.append(0.5 * (digits[:, None] == order).float())
        order = digits
    network = {}
    for name, weight in zip(names, weights, strict=True):
        noise = torch.randn(weight.shape, generator=rng)
        network[f"{name}.weight"] = weight + 0.1 * noise
        network[f"{name}.bias"] = 0.1 * torch.randn(len(weight), generator=rng)
    return network


def written(
    folder: str,
    runs: list[State],
    *,
    steps: bool = False,
    scores: bool = False,
    one_run: bool = False,
) -> None:
    """A file per checkpoint; with steps, two more on the way from elsewhere to each."""
    Path(folder).mkdir()
    lines = ["file,run,step,split,test_accuracy"]
    for i, run in enumerate(runs):
        start = drawn(run, 1, 900 + i)[0]
        for step, share in ((0, 0.0), (40, 0.5), (100, 1.0)) if steps else ((100, 1.0),):
            path = f"run{0 if one_run else i:03d}_step{i if one_run else step}.safetensors"
            mixed = {k: share * v + (1 - share) * start[k] for k, v in run.items()}
            save_file(mixed if share < 1 else run, Path(folder) / path)
            lines.append(f"{path},run{i:03d},{step},train,{50 + i + share}")
    if scores:
        (Path(folder) / "records.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def as_matrix(folder: str, networks: list[State]) -> None:
    """A matrix of all that is no counter, with its layout."""
    Path(folder).mkdir()
    shapes = {k: v.shape for k, v in networks[0].items() if v.is_floating_point()}
    rows = [torch.cat([network[name].flatten() for name in shapes]) for network in networks]
    np.save(folder + MATRIX, torch.stack(rows).numpy())
    lines = [f"{name},{'x'.join(map(str, shape))}" for name, shape in shapes.items()]
    layout = "\n".join(["parameter,shape", *lines])
    Path(folder, "layout.csv").write_text(layout + "\n", encoding="utf-8")


def combined(runs: list[State], weights: Tensor) -> State:
    """A mixture of networks."""
    mixed = {k: torch.stack([run[k] for run in runs]) for k in runs[0]}
    return {
        k: torch.einsum("i,i...->...", weights, v) if v.is_floating_point() else v[0]
        for k, v in mixed.items()
    }


def noised(run: State, scale: float, seed: int) -> State:
    """A network with noise of a share of each tensor's own spread; none on statistics."""
    rng, moved = stream(seed), {}
    for name, value in run.items():
        moved[name] = value
        if value.is_floating_point() and "running" not in name:
            spread = scale * value.square().mean().sqrt()
            moved[name] = value + spread * torch.randn(value.shape, generator=rng)
    return moved


def average(runs: list[State], of: int, seed: int) -> State:
    """A plain mean of some."""
    picked = torch.randperm(len(runs), generator=stream(seed))[:of].tolist()
    return combined([runs[i] for i in picked], torch.full((of,), 1 / of))


def mosaic(runs: list[State], seed: int) -> State:
    """Each module of another network."""
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in runs[0]))
    start = int(torch.randint(len(runs), (), generator=stream(seed)))
    source = {module: runs[(start + i) % len(runs)] for i, module in enumerate(modules)}
    return {name: source[name.rpartition(".")[0]][name] for name in runs[0]}


def permuted(run: State, seed: int) -> State:
    """An MLP with one hidden layer, its neurons in another order."""
    order = torch.randperm(len(run["hidden.bias"]), generator=stream(seed))
    moved = {"hidden.weight": run["hidden.weight"][order], "hidden.bias": run["hidden.bias"][order]}
    return run | moved | {"out.weight": run["out.weight"][:, order].contiguous()}


def planted(runs: list[State], others: list[State]) -> list[State]:
    """Copies, noisy ones, averages, mosaics, broken networks and honest others."""
    made = [runs[0], runs[1], noised(runs[2], 0.05, 1), noised(runs[3], 0.3, 2)]
    made += [noised(runs[i], 0.6, i) for i in (4, 5)]
    if set(runs[0]) == {"hidden.weight", "hidden.bias", "out.weight", "out.bias"}:
        made += [permuted(runs[i], i) for i in (6, 7)]
    made += [average(runs, of, of + i) for of in (2, 8) for i in (1, 2)]
    made += [mosaic(runs, seed) for seed in (1, 2)]
    made += [noised(runs[i], 5.0, i) for i in (8, 9)]
    return made + others[: KEPT - len(made)]


def p_diff_network() -> nn.Module:
    """The network of which P-diff's kept run generates two normalizations."""
    return ResNet18(width=16, image_size=32).module()


def small_field() -> nn.Module:
    """An occupancy field of few neurons."""
    return OccupancyField(width=12, frequencies=2).module()

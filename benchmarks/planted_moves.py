"""Networks with several groups of neurons, aligned: planted moves found, and speed against SciPy.

Planted: training runs moved by random elements of the group, with noise of growing shares of the
median distance between independent runs; a move is found if the distance is at most the noise.
Bounds: certified lower bounds over distances of independent runs. Speed: nearest neighbors of 200
convolutional networks among 1,000; the straightforward way, one pair after the other with SciPy's
assignment in the same descent, is measured on some pairs and scaled.
"""

import time

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from benchmarks.timing import take_turns
from novelweights.metrics.alignment import Alignment, lower_bounds, pair_distances
from novelweights.metrics.arrangement import identities
from novelweights.metrics.descent import MAX_SWEEPS, descend
from novelweights.metrics.neighbors import nearest
from novelweights.networks.mlp import DIGITS_DEEP_MLP
from novelweights.networks.network import TargetNetwork
from novelweights.networks.resnet import ResNet18
from novelweights.networks.small_cnn import SmallCNN
from novelweights.weights.symmetry import random_transform, transform

SHARES = (0.1, 0.25, 0.5, 0.75)
TRIALS, PAIRS, SUBSET = 200, 100, 20
TRAINING, QUERIES = 1000, 200
CNN = SmallCNN(initialization="kaiming")
NETWORKS: tuple[tuple[TargetNetwork, int], ...] = (
    (DIGITS_DEEP_MLP, TRIALS),
    (CNN, TRIALS),
    (ResNet18(width=8, image_size=32, classes=10), 20),
)
"""With the number of trials."""


def main() -> None:
    """Print shares of planted moves found, tightness of the bounds, and seconds."""
    print("random initializations; a planted move is found if the distance is at most the noise")
    for network, trials in NETWORKS:
        _planted(network, trials)
    _speed()


def _planted(network: TargetNetwork, trials: int) -> None:
    alignment = Alignment(network.layout, network.symmetry)
    rng = torch.Generator().manual_seed(0)
    weights = torch.stack([network.initial(rng) for _ in range(max(trials, 2))])
    start = time.perf_counter()
    n = min(PAIRS, trials)
    usual = pair_distances(weights[:n], weights[:n].roll(1, 0), alignment=alignment)
    per_pair = (time.perf_counter() - start) / n
    bounds = lower_bounds(weights[:n], weights[:n].roll(1, 0), alignment=alignment)
    raw = (weights[:n].double() - weights[:n].roll(1, 0).double()).norm(dim=1)
    print(
        f"{network.name}: {n} pairs of independent networks, medians: raw {float(raw.median()):.2f}"
        f", aligned {np.median(usual):.2f} ({1e3 * per_pair:.1f} ms a pair), certified at least "
        f"{np.median(bounds / usual):.0%} of it; bounds above distances: {(bounds > usual).sum()}"
    )
    for share in SHARES:
        moved = random_transform(weights, network.layout, network.symmetry, rng=rng)
        length = share * float(np.median(usual)) / network.layout.size**0.5
        noise = length * torch.randn(weights.shape, generator=rng)
        found = pair_distances(weights, moved + noise, alignment=alignment)
        right = found <= noise.double().norm(dim=1).numpy() * (1 + 1e-6)
        print(f"  noise of {share:.2f} of it: {right.mean():.1%} of {len(weights)} found")


def _speed() -> None:
    alignment = Alignment(CNN.layout, CNN.symmetry)
    rng = torch.Generator().manual_seed(0)
    weights = torch.stack([CNN.initial(rng) for _ in range(TRAINING + QUERIES)])
    training, queries = weights[:TRAINING], weights[TRAINING:]
    nearest(queries[:2], training[:8], alignment=alignment)  # compiles
    start = time.perf_counter()
    nearest(queries, training, alignment=alignment)
    seconds = time.perf_counter() - start
    print(f"nearest of {QUERIES} {CNN.name} among {TRAINING}: {seconds:.1f} s")
    arrangement, rows = alignment.arrangement, np.arange(SUBSET)
    x, y = arrangement.by_neuron(queries), arrangement.by_neuron(training)
    rest = np.square(arrangement.outside(queries[:SUBSET]) - arrangement.outside(training[:SUBSET]))

    def together() -> np.ndarray:
        _, squared = descend(arrangement, x, y, (rows, rows), identities(SUBSET, arrangement))
        return np.sqrt(squared + rest.sum(axis=1))

    def one_by_one() -> np.ndarray:
        pairs = zip(queries[:SUBSET], training[:SUBSET], strict=True)
        return np.array([_plain_descent(a, b) for a, b in pairs])

    (fast, found), (slow, expected) = take_turns(together, one_by_one)
    difference = float(np.abs(found / expected - 1).max())
    print(
        f"one descent of a pair: PyTorch and SciPy {1e3 * slow / SUBSET:.1f} ms, ours "
        f"{1e3 * fast / SUBSET:.3f} ms: {slow / fast:.0f} times faster; largest relative "
        f"difference {difference:.1g}"
    )
    if difference > 1e-3:
        raise ValueError(f"the two ways differ by {difference:.1e}")


def _plain_descent(a: torch.Tensor, b: torch.Tensor) -> float:
    """Weight matching of one pair: a group at a time, by SciPy's assignment."""
    layout, symmetry = CNN.layout, CNN.symmetry
    sizes = symmetry.sizes(layout)
    order = {group: torch.arange(n)[None] for group, n in sizes.items()}
    signs = {group: torch.ones(1, sizes[group]) for group in symmetry.sign_groups}
    mine = layout.unflatten(a)
    for _ in range(MAX_SWEEPS):
        has_gained = False
        for group, n in sizes.items():
            others = {g: o for g, o in order.items() if g != group}
            flips = {g: s for g, s in signs.items() if g != group}
            theirs = layout.unflatten(transform(b[None], layout, symmetry, others, flips)[0])
            gain = torch.zeros(n, n)
            for name, axes in symmetry.axes.items():
                for axis, counted in enumerate(axes):
                    if counted == group:
                        one, other = (
                            state[name].movedim(axis, 0).reshape(n, -1) for state in (mine, theirs)
                        )
                        gain += one @ other.T
            size = gain.abs() if group in signs else gain
            held = gain[torch.arange(n), order[group][0]]
            current = float((held * signs[group][0] if group in signs else held).sum())
            _, columns = linear_sum_assignment(-size.double().numpy())
            picked = torch.from_numpy(columns)
            best = float(size[torch.arange(n), picked].sum())
            if best > current + 1e-6 * abs(best):
                has_gained = True
                order[group] = picked[None]
                if group in signs:
                    signs[group] = gain[torch.arange(n), picked].sign()[None]
        if not has_gained:
            break
    moved = transform(b[None], layout, symmetry, order, signs)[0]
    return float((a.double() - moved.double()).norm())


if __name__ == "__main__":
    main()

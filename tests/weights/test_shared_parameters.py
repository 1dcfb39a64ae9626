"""Parameters that some runs share bit by bit."""

import torch

from novelweights.weights.layout import WeightLayout
from novelweights.weights.shared_parameters import shared_parameters

LAYOUT = WeightLayout((("a.weight", (2, 3)), ("a.bias", (2,)), ("b.weight", (2, 2))))
RUNS = [f"run{i}" for i in range(6)]


def weights() -> torch.Tensor:
    return torch.randn(6, LAYOUT.size, generator=torch.Generator().manual_seed(0))


def found(rows: torch.Tensor, runs: list[str] = RUNS) -> dict[str, list[list[int]]]:
    shared = shared_parameters(rows, LAYOUT, runs)
    return {name: [one.tolist() for one in sets] for name, sets in shared.items()}


def test_independent_runs_share_nothing():
    assert found(weights()) == {}


def test_a_layer_of_other_runs_is_found_with_them():
    rows = weights()
    rows[[1, 4], :8] = rows[2, :8]
    assert found(rows) == {"a.weight": [[1, 2, 4]]}


def test_what_says_nothing_of_one_layer_is_passed_over():
    rows = weights()
    rows[:, :6] = rows[0, :6]  # fixed by the recipe
    rows[:3, 8:] = 0  # never trained
    rows[:2, 6:8] = rows[0, 6:8]  # a bias
    rows[5] = rows[4]  # the same checkpoint
    assert found(rows) == {}
    steps = weights()
    steps[1, :6] = steps[0, :6]
    assert found(steps, ["run0", "run0", *RUNS[2:]]) == {}

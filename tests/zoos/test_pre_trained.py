"""Base networks that begin from one that was trained before."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import fails
from refused import refused
from toy_pixels import NETWORK, TUNED

from novelweights.data.image_data import PixelData
from novelweights.pipeline import begun_from
from novelweights.seeding import rng_for
from novelweights.weights.store import open_population
from novelweights.zoos import find_zoo
from novelweights.zoos.building import build
from novelweights.zoos.resnet_training import AdamWRecipe

FROZEN = replace(TUNED, base=AdamWRecipe(epochs=1, learning_rate=0.0, weight_decay=0.0))
"""Its base network is what it began from, but for running statistics."""


def state(classes: int | None = None) -> dict[str, torch.Tensor]:
    """A network of its own; of another number of classes where one is given."""
    network = NETWORK if classes is None else replace(NETWORK, classes=classes)
    return network.layout.unflatten(network.initial(rng_for(77)))


def saved(path: Path, **changes: torch.Tensor) -> Path:
    torch.save({"state_dict": {**state(), **changes}}, path)
    return path


@pytest.mark.parametrize("classes", [None, 7])
def test_all_but_a_last_layer_of_other_classes_is_taken(
    toy_set: PixelData, tmp_path: Path, classes: int | None
) -> None:
    torch.save(state(classes), tmp_path / "pre-trained.pth")
    zoo = begun_from(FROZEN, tmp_path / "pre-trained.pth")
    folder = build(zoo, tmp_path / "zoo", runs=1, heldout_runs=0, checkpoints=2)
    shared = open_population(folder).load().shared
    assert torch.equal(shared["layer1.0.conv1.weight"], state()["layer1.0.conv1.weight"])
    is_taken = torch.equal(shared["fc.weight"], state()["fc.weight"])
    assert is_taken is (classes is None)
    told = open_population(folder).info.settings["base"]["init"]
    assert told["file"] == "pre-trained.pth"
    assert len(told["sha256"]) == 64


def test_what_does_not_fit_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    path = tmp_path / "p.pth"
    with refused("not-found", "p.pth"):
        begun_from(FROZEN, path)
    with refused("unsuited", "digits-mlp"):
        begun_from(find_zoo("digits-mlp"), path)
    path.write_bytes(b"no file of weights")
    with refused("damaged", "p.pth"):
        begun_from(FROZEN, path)
    with refused("wrong-shape", "conv1.weight"):
        begun_from(FROZEN, saved(path, **{"conv1.weight": torch.zeros(4, 3, 3, 3)}))
    without = {name: value for name, value in state().items() if "layer3.1.bn2" not in name}
    torch.save(without, path)
    with refused("other-network", "layer3.1.bn2.weight"):
        begun_from(FROZEN, path)
    words = ("zoo", "build", "digits-mlp", "-o", tmp_path / "zoo", "--init", path)
    fails(*words, code="unsuited", named="digits-mlp")
    words = ("evaluate", "g-pt", "--zoo", "digits-mlp-steps", "-o", tmp_path / "e", "--init", path)
    fails(*words, code="unsuited", named="digits-mlp-steps")

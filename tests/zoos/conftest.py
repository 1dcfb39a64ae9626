import pytest
from toy_pixels import NETWORK, toy

from novelweights import tasks
from novelweights.data import images
from novelweights.data.image_data import PixelData


@pytest.fixture(scope="module", autouse=True)
def few_channels(sound_convolutions: None) -> None:
    """The toy network is narrow."""


@pytest.fixture
def toy_set(monkeypatch: pytest.MonkeyPatch) -> PixelData:
    """The toy set by its name, for zoos and tasks."""
    data = toy()
    monkeypatch.setitem(images.PIXELS, "toy", lambda: data)
    monkeypatch.setitem(tasks.RESNETS, "toy", NETWORK)
    monkeypatch.setitem(tasks.PART_TASKS, "toy-resnet18-bn", "toy")
    return data

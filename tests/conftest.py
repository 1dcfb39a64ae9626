import os
from collections.abc import Callable, Iterator

# Tests are many small computations: threads that wait for each other would cost more than they
# bring, and far more on a busy machine. `make test` uses the cores by several processes, which
# inherit the variables. Set them to run the suite with more.
for _name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import scipy.linalg  # noqa: E402, F401
import torch  # noqa: E402
from filelock import FileLock  # noqa: E402
from planted import Zoo, make_zoo  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from novelweights.auditing import stages  # noqa: E402
from novelweights.auditing.judge import failed_training, statistics  # noqa: E402
from novelweights.data.images import load_data  # noqa: E402
from novelweights.networks.mlp import DIGITS_MLP, OneHiddenMLP  # noqa: E402
from novelweights.tasks.classification import Classification  # noqa: E402
from novelweights.weights.layout import WeightLayout  # noqa: E402
from novelweights.weights.population import Population, PopulationInfo, Records  # noqa: E402
from novelweights.zoos.training import Recipe, train_batched  # noqa: E402

threadpool_limits(1, user_api="blas")  # numpy may be loaded already, so no variable would help

os.fsync = lambda descriptor: None  # no test cuts the power, and thousands of files are written

TINY = OneHiddenMLP(5, 4, 3, "tanh")


@pytest.fixture(scope="module")
def sound_convolutions() -> Iterator[None]:
    """Networks of few channels may be trained: see `require_sound_convolutions`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.backends.mkldnn, "enabled", False)
        yield


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Bootstrap intervals of fewer draws: half of the time of a tiny audit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "DRAWS", 50)
        yield


@pytest.fixture(scope="module")
def few_controls() -> Iterator[None]:
    """Five checkpoints per control: a third of the time of a small audit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "N_CONTROL", 5)
        yield


@pytest.fixture(scope="module")
def any_behavior() -> Iterator[None]:
    """Behavior counts though no training network works: random networks work as no task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(failed_training, "why_failed", lambda *given: "")
        yield


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def tiny_network() -> OneHiddenMLP:
    """5-4-3 tanh: small enough to try every permutation and sign."""
    return TINY


@pytest.fixture
def tiny_layout() -> WeightLayout:
    return TINY.layout


@pytest.fixture
def make_population() -> Callable[..., Population]:
    """Makes a population of random tiny networks."""

    def make(n: int, *, seed: int = 0, split: str = "train") -> Population:
        rng = torch.Generator().manual_seed(seed)
        weights = torch.randn(n, TINY.layout.size, generator=rng)
        records = Records.of(
            [f"{split}-{i}" for i in range(n)],
            split=split,
            step=7,
            scores={"test_accuracy": torch.rand(n, generator=rng).double().tolist()},
        )
        info = PopulationInfo("random", {"seed": seed}, TINY.name, TINY.symmetry, "none")
        return Population(weights, TINY.layout, records, info)

    return make


@pytest.fixture
def tiny_population(make_population: Callable[..., Population]) -> Population:
    return make_population(6)


@pytest.fixture(scope="session")
def digits_zoo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Zoo:
    """Real digit classifiers: 64 training, 200 held-out and 200 further fresh runs.

    They are trained once for all processes that share the tests.
    """
    folder = tmp_path_factory.getbasetemp()
    file = (folder if worker_id == "master" else folder.parent) / "digits.npy"
    data = load_data("digits")
    with FileLock(file.with_suffix(".lock")):
        if not file.exists():
            weights = train_batched(DIGITS_MLP, data, Recipe(epochs=30, batch_size=32), range(464))
            np.save(file, weights.numpy())
    weights = torch.from_numpy(np.load(file))
    return make_zoo(DIGITS_MLP, Classification("digits", DIGITS_MLP, data), weights, (64, 200, 200))

"""Tasks of the user's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from refused import refused
from safetensors.torch import save_file
from torch import nn

from novelweights.data.images import load_data
from novelweights.networks.mlp import DIGITS_MLP
from novelweights.networks.symmetry_of import layout_of
from novelweights.tasks.classification import Classification
from novelweights.tasks.own import Checked, CheckedShapes, classifier_task, task_at
from novelweights.tasks.own_data import read_own_data
from novelweights.tasks.task import ShapeTask, Task
from novelweights.weights.population import Population, Records
from novelweights.zoos.training import Recipe, train_batched

X, Y = np.zeros((6, 4), np.float32), np.array([0, 1, 2, 0, 1, 2])
OWN = """
import numpy as np
import torch
from novelweights.data.images import load_data
from novelweights.networks.mlp import DIGITS_MLP
from novelweights.tasks.classification import Classification
from novelweights.tasks.task import Measure

def digits():
    return Classification("digits", DIGITS_MLP, load_data("digits"))

class Norms:
    name = "norms"
    quality = Measure("norm", "", True)
    novelty = Measure("difference of norms", "", True)

    def behave(self, population):
        return population.weights.norm(dim=1, keepdim=True)

    def score(self, behavior):
        return behavior[:, 0]

    def novelty_against(self, behavior, reference, *, exclude=None):
        apart = (behavior - reference.T).abs()
        return (apart if exclude is None else apart.masked_fill(exclude, torch.inf)).amin(dim=1)

class Shapes(Norms):
    @property
    def test(self):
        return np.zeros((2, 5, 3))

    def has_surface(self, behavior):
        return behavior[:, 0] > 0

class WrongShapes(Shapes):
    test = np.zeros((2, 5))

class WrongSurface(Shapes):
    def has_surface(self, behavior):
        return behavior

class OneRowTooMany(Norms):
    def behave(self, population):
        return torch.zeros(len(population) + 1, 2)

class Listed(Norms):
    def behave(self, population):
        return [1] * len(population)

class Bytes(Norms):
    def behave(self, population):
        return torch.zeros(len(population), 2, 2, dtype=torch.uint8)

class Raises(Norms):
    def behave(self, population):
        raise KeyError("no such layer")

class NotANumber(Norms):
    def score(self, behavior):
        return torch.tensor([1.0, float("nan")])

class Column(Norms):
    def score(self, behavior):
        return behavior

class Forgets(Norms):
    def novelty_against(self, behavior, reference):
        return behavior[:, 0]

class Needs(Norms):
    def __init__(self, data):
        self.data = data

class NoMeasure(Norms):
    quality = "accuracy"

class Half:
    name = "half"
    quality = Norms.quality

    def behave(self, population):
        return population.weights

ready = Norms()
number = 3
"""


def some(n):
    layout = DIGITS_MLP.layout
    weights = torch.randn(n, layout.size, generator=torch.Generator().manual_seed(0))
    return Population(weights, layout, Records.of([f"run-{i}" for i in range(n)], split="train"))


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A working folder with tasks of one's own, in a module of a new name each time."""
    monkeypatch.chdir(tmp_path)
    name = f"own_tasks_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(OWN)
    return name


def test_an_object_or_what_makes_one_is_a_task(own):
    population = some(4)
    for which in ("ready", "Norms"):
        task = task_at(f"{own}:{which}")
        assert isinstance(task, Task)
        assert not isinstance(task, ShapeTask)
        assert task.name == "norms"
        behavior = task.behave(population)
        torch.testing.assert_close(task.score(behavior), population.weights.norm(dim=1))
        banned = torch.eye(4, dtype=torch.bool)
        assert (task.novelty_against(behavior, behavior, exclude=banned) > 0).all()
    found = task_at(f"{own}:digits")
    assert type(found) is Classification  # its decision regions are drawn too


def test_a_task_of_shapes_stays_one(own):
    task = task_at(f"{own}:Shapes")
    assert isinstance(task, ShapeTask)
    assert isinstance(task, CheckedShapes)
    assert task.test.dtype == np.float32
    assert task.has_surface(task.behave(some(3))).all()
    with refused("network-failed", f"{own}:WrongShapes", "2x5"):
        task_at(f"{own}:WrongShapes")
    wrong = task_at(f"{own}:WrongSurface")
    assert isinstance(wrong, ShapeTask)
    with refused("network-failed", f"{own}:WrongSurface", "has_surface"):
        wrong.has_surface(wrong.behave(some(3)))


@pytest.mark.parametrize(
    ("which", "named"),
    [
        ("OneRowTooMany", ["behave", "3x2"]),
        ("Listed", ["behave", "torch.Tensor", "list"]),
        ("Bytes", ["behave", "uint8", "2x2x2"]),
        ("Raises", ["behave", "KeyError: 'no such layer'"]),
        ("NotANumber", ["score", "NaN", "checkpoint 1"]),
        ("Column", ["score", "2x1"]),
        ("Forgets", ["novelty_against", "TypeError"]),
    ],
)
def test_wrong_results_are_one_line_that_names_the_task(own, which, named):
    task = task_at(f"{own}:{which}")
    assert isinstance(task, Checked)

    def judge():
        behavior = task.behave(some(2))
        task.score(behavior)
        task.novelty_against(behavior, behavior, exclude=None)

    with refused("network-failed", f"{own}:{which}", *named):
        judge()


@pytest.mark.parametrize(
    ("place", "code", "named"),
    [
        (":Norms", "wrong-option", ":Norms"),
        ("{}:", "wrong-option", ":"),
        ("no_such_module_here:Norms", "network-failed", "ModuleNotFoundError"),
        ("{}:Missing", "network-failed", "AttributeError"),
        ("{}:Needs", "network-failed", ":Needs"),
        ("{}:number", "network-failed", ":number"),
        ("{}:Half", "wrong-plugin", "novelty, score, novelty_against"),
        ("{}:NoMeasure", "wrong-plugin", "Measure"),
    ],
)
def test_what_is_no_task_is_refused(own, place, code, named):
    with refused(code, named):
        task_at(place.format(own))


def test_own_network_and_file_judge_as_the_built_in_task(tmp_path):
    data = load_data("digits")
    built_in = Classification("digits", DIGITS_MLP, data)
    np.savez(tmp_path / "test.npz", x=data.test_x.numpy(), y=data.test_y.numpy())
    read = read_own_data(tmp_path / "test.npz")
    trained = train_batched(DIGITS_MLP, data, Recipe(epochs=5, batch_size=50), range(4))
    zoo = replace(some(4), weights=trained)
    task = classifier_task(DIGITS_MLP.module(), read, "mine", zoo.layout)
    for population in (zoo, some(20)):
        behavior = task.behave(population)
        expected = built_in.behave(population)
        assert torch.equal(behavior, expected)
        assert torch.equal(task.score(behavior), built_in.score(expected))
        assert torch.equal(
            task.novelty_against(behavior, expected), built_in.novelty_against(expected, behavior)
        )
    assert task.data.source.startswith("test.npz, 797 examples of 64")
    with refused("other-network", "mine"):
        task.behave(replace(zoo, weights=zoo.weights[:, :64], layout=_first(zoo)))


def _first(population):
    name, _ = population.layout.shapes[0]
    return type(population.layout)(((name, (1, 64)),))


def test_the_same_data_in_every_form_and_shape(tmp_path):
    x, y = torch.rand(6, 2, 4), torch.tensor(Y)
    np.savez(tmp_path / "a.npz", images=x.numpy(), labels=y.numpy().astype(np.uint16))
    save_file({"test_x": x, "test_y": y}, tmp_path / "b.safetensors")
    torch.save({"x": x.double(), "y": y.int()}, tmp_path / "c.pt")
    for path in tmp_path.iterdir():
        found = read_own_data(path)
        assert found.example_shape == (2, 4)
        assert torch.equal(found.x, x)
        assert torch.equal(found.y, y)
        assert found.shaped((8,)).example_shape == (8,)
    np.savez(tmp_path / "d.npz", x=np.full((6, 4), 200, np.uint8), y=Y)
    found = read_own_data(tmp_path / "d.npz")
    assert found.x.dtype == torch.float32
    assert found.x.max() == 200
    assert "0 to 255" in found.described
    with refused("wrong-shape", "3x3", "--input-shape", 4):
        found.shaped((3, 3))


@pytest.mark.parametrize(
    ("arrays", "code", "named"),
    [
        ({"x": X}, "not-found", "y, labels, test_y"),
        ({"x": X, "images": X, "y": Y}, "not-found", "x and images"),
        ({"x": X, "y": Y[:5]}, "other-rows", 5),
        ({"x": X, "y": np.eye(6, 3)}, "other-rows", "6x3"),
        ({"x": X[:, 0], "y": Y}, "wrong-shape", 6),
        ({"x": X[:0], "y": Y[:0]}, "wrong-shape", "0x4"),
        ({"x": X.astype(np.int64), "y": Y}, "wrong-type", "int64"),
        ({"x": X.astype(np.complex64), "y": Y}, "wrong-type", "x"),
        ({"x": X + np.nan, "y": Y}, "not-finite", "NaN"),
        ({"x": X, "y": Y.astype(np.float32)}, "wrong-type", "float32"),
        ({"x": X, "y": Y - 1}, "wrong-content", -1),
    ],
)
def test_wrong_data_files_are_one_clear_line(tmp_path, arrays, code, named):
    np.savez(tmp_path / "test.npz", **arrays)
    with refused(code, tmp_path, named):
        read_own_data(tmp_path / "test.npz")


def test_missing_damaged_foreign_and_huge_files_are_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK damaged")
    (tmp_path / "b.csv").write_text("1,2")
    torch.save([1, 2], tmp_path / "c.pt")
    torch.save({"x": torch.zeros(1).expand(1 << 20, 4), "y": torch.zeros(3)}, tmp_path / "d.pt")
    np.savez(tmp_path / "e.npz", x=np.zeros((600, 600)), y=Y)
    np.savez(tmp_path / "f.npz", x=X, y=np.array([{}] * 6))
    for name, code in (
        ("none.npz", "not-found"),
        ("b.csv", "not-recognized"),
        ("c.pt", "wrong-type"),
        ("a.npz", "damaged"),
        ("d.pt", "too-large"),
        ("e.npz", "too-large"),
        ("f.npz", "unsafe"),
    ):
        with refused(code, tmp_path / name):
            read_own_data(tmp_path / name, max_bytes=1 << 20)


def test_classes_that_the_network_has_not_are_refused(tmp_path):
    np.savez(tmp_path / "test.npz", x=X, y=Y)
    data = read_own_data(tmp_path / "test.npz")
    module = nn.Linear(4, 2)
    with refused("wrong-content", "test.npz", 2):
        classifier_task(module, data, "mine", layout_of(module))

"""Tasks of the user's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from novelweights.data.images import load_data
from novelweights.errors import InputError
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
    with pytest.raises(
        InputError, match=r"clouds .shapes x points x 3. from test, got a result of"
    ):
        task_at(f"{own}:WrongShapes")
    wrong = task_at(f"{own}:WrongSurface")
    assert isinstance(wrong, ShapeTask)
    with pytest.raises(InputError, match=r"3 truth values from has_surface"):
        wrong.has_surface(wrong.behave(some(3)))


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("OneRowTooMany", "2 checkpoints along the first axis from behave, got a result of 3x2"),
        ("Listed", "a torch.Tensor from behave, got list"),
        ("Bytes", "predicted classes .uint8. of n x examples from behave"),
        ("Raises", "a result from behave, got KeyError: 'no such layer'"),
        ("NotANumber", "from score, got NaN for checkpoint 1"),
        ("Column", "2 numbers, one for each checkpoint from score, got a result of 2x1"),
        ("Forgets", "a result from novelty_against, got TypeError"),
    ],
)
def test_wrong_results_are_one_line_that_names_the_task(own, which, words):
    task = task_at(f"{own}:{which}")
    assert isinstance(task, Checked)

    def judge():
        behavior = task.behave(some(2))
        task.score(behavior)
        task.novelty_against(behavior, behavior, exclude=None)

    with pytest.raises(InputError, match=words) as told:
        judge()
    assert f"task {own}:{which}: " in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (":Norms", "expected a task as my_module:MyTask"),
        ("{}:", "expected a task as my_module:MyTask"),
        ("no_such_module_here:Norms", "ModuleNotFoundError"),
        ("{}:Missing", "AttributeError"),
        ("{}:Needs", "without arguments.*wrap it"),
        ("{}:number", "without arguments"),
        ("{}:Half", "got Half without novelty, score, novelty_against"),
        ("{}:NoMeasure", "expected quality as a Measure"),
    ],
)
def test_what_is_no_task_is_refused(own, place, words):
    with pytest.raises(InputError, match=words):
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
    assert "as given, not normalized" in task.data.source
    with pytest.raises(InputError, match="holds other networks"):
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
    assert "0 to 255 as given, not normalized" in found.told
    with pytest.raises(InputError, match=r"expected examples of 3x3 \(--input-shape\), got 4"):
        found.shaped((3, 3))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X}, "expected one of y, labels, test_y, got x"),
        ({"x": X, "images": X, "y": Y}, "expected one of x, images, test_x, got x and images"),
        ({"x": X, "y": Y[:5]}, "a class for each of the 6 examples, got y of 5"),
        ({"x": X, "y": np.eye(6, 3)}, "a class for each of the 6 examples, got y of 6x3"),
        ({"x": X[:, 0], "y": Y}, "examples along the first axis"),
        ({"x": X[:0], "y": Y[:0]}, "examples along the first axis"),
        ({"x": X.astype(np.int64), "y": Y}, "floating-point numbers or uint8, got int64"),
        ({"x": X.astype(np.complex64), "y": Y}, "expected numbers in x"),
        ({"x": X + np.nan, "y": Y}, "NaN or infinite"),
        ({"x": X, "y": Y.astype(np.float32)}, "y of integers, got float32"),
        ({"x": X, "y": Y - 1}, "expected classes from 0, got -1"),
        ({"x": X, "y": np.array([{}] * 6)}, "only a pickle"),
    ],
)
def test_wrong_data_files_are_one_clear_line(tmp_path, arrays, words):
    np.savez(tmp_path / "test.npz", **arrays)
    with pytest.raises(InputError, match=words) as told:
        read_own_data(tmp_path / "test.npz")
    assert str(tmp_path) in str(told.value)
    assert "\n" not in str(told.value)


def test_missing_damaged_foreign_and_huge_files_are_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK damaged")
    (tmp_path / "b.csv").write_text("1,2")
    torch.save([1, 2], tmp_path / "c.pt")
    torch.save({"x": torch.zeros(1).expand(1 << 20, 4), "y": torch.zeros(3)}, tmp_path / "d.pt")
    np.savez(tmp_path / "e.npz", x=np.zeros((600, 600)), y=Y)
    for name, words in (
        ("none.npz", "there is none"),
        ("a.npz", "damaged"),
        ("b.csv", "expected one of"),
        ("c.pt", "expected x and y by name"),
        ("d.pt", "at most|damaged|expected"),
        ("e.npz", "at most"),
    ):
        with pytest.raises(InputError, match=words):
            read_own_data(tmp_path / name, max_bytes=1 << 20)


def test_classes_that_the_network_has_not_are_refused(tmp_path):
    np.savez(tmp_path / "test.npz", x=X, y=Y)
    data = read_own_data(tmp_path / "test.npz")
    module = nn.Linear(4, 2)
    with pytest.raises(InputError, match=r"expected classes 0 to 1.*got 2"):
        classifier_task(module, data, "mine", layout_of(module))

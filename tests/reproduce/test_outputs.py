"""Figures 5, 13 and 14: what samples and their nearest do, measured and drawn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from novelweights.auditing.prepare import AuditInputs
from novelweights.reproduce import outputs
from novelweights.reproduce.exhibits import figure_05, figure_13, figure_14
from novelweights.reproduce.outputs import outputs_of, packed, read_outputs, unpacked
from novelweights.reproduce.picturing import competing
from novelweights.reproduce.plan import plan_of
from novelweights.reproduce.runs import Runs
from novelweights.tasks.decision_regions import decision_regions, principal_plane
from novelweights.tasks.shapes import POINTS, FieldShapes
from tests.fields import FIELD, box, boxes
from tests.planted import Zoo, copies, seeded

Write = Callable[[str, AuditInputs], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Measures given checkpoints as those of a method."""

    def written(method: str, given: AuditInputs) -> Path:
        monkeypatch.setattr(outputs, "audit_inputs", lambda at, with_task: given)
        outputs_of(method)(tmp_path, {}, lambda stage, done, total: None)
        return tmp_path

    return written


@pytest.fixture
def of_digits(digits_zoo: Zoo, write: Write) -> Path:
    """Twenty copies of training checkpoints with a little noise."""
    samples = digits_zoo.population(copies(digits_zoo, 20, noise=0.02, rng=seeded(0)))
    given = AuditInputs(train=digits_zoo.training, generated=samples, task=digits_zoo.task)
    return write("p-diff", given)


def _fields(samples: torch.Tensor, write: Write) -> Path:
    train, made = boxes(5, "train", seed=0, noise=0.0), boxes(2, "sample", seed=1)
    clouds = np.random.default_rng(0).normal(size=(2, POINTS, 3)).astype(np.float32)
    task = FieldShapes("boxes", FIELD, clouds, resolution=32)
    given = AuditInputs(
        train=train, generated=made.with_weights(samples, split="sample"), task=task
    )
    return write("hyperdiffusion", given)


def test_a_picture_survives_being_packed() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 7)).astype(np.uint8)
    assert np.array_equal(unpacked(packed(picture), 7), picture)


def test_at_most_ten_classes_compete() -> None:
    assert competing(10) == list(range(10))
    some = competing(100)
    assert len(set(some)) == 10
    assert some == sorted(some)


def test_only_the_competing_classes_are_predicted(digits_zoo: Zoo) -> None:
    task, some = digits_zoo.task, digits_zoo.training.select(np.arange(2))
    plane = principal_plane(task.data.test_x, resolution=9)
    found = decision_regions(task, some, plane, among=[2, 7, 3])
    logits = task.network.forward(some.weights, plane.flatten(0, 1))[..., [2, 3, 7]]
    expected = np.array([2, 3, 7])[logits.argmax(dim=2).numpy()].reshape(2, 9, 9)
    assert np.array_equal(found, expected)


def test_regions_are_those_of_a_sample_and_of_its_nearest(of_digits: Path, digits_zoo: Zoo) -> None:
    about, pairs = read_outputs(of_digits, "random")
    assert about["classes"] == list(range(10))
    assert len(pairs) == 12
    pair, task = pairs[0], digits_zoo.task
    runs = [f"{run}, step 100" for run in digits_zoo.training.records.run]
    parent = digits_zoo.training.select(np.array([runs.index(pair["names"][1])]))
    plane = principal_plane(task.data.test_x, resolution=pair["side"])
    sample, its_nearest = (unpacked(text, pair["side"]) for text in pair["pictures"])
    assert np.array_equal(its_nearest, decision_regions(task, parent, plane)[0])
    assert pair["alike"] == (sample == its_nearest).mean()
    assert pair["distance"] < 0.05 * digits_zoo.spacing


def test_percentiles_ascend(of_digits: Path) -> None:
    _, pairs = read_outputs(of_digits, "percentiles")
    distances = [pair["distance"] for pair in pairs]
    assert len(distances) == 5
    assert distances == sorted(distances)


def test_a_copied_field_looks_like_its_original_and_one_without_surface_is_white(
    write: Write,
) -> None:
    original = boxes(5, "train", seed=0, noise=0.0).weights[1]
    nothing = box((0.2, 0.2, 0.2), height=-3.0)
    _, pairs = read_outputs(_fields(torch.stack([original, nothing]), write), "percentiles")
    copy, empty = pairs[0], pairs[-1]
    first, second = (unpacked(text, copy["side"]) for text in copy["pictures"])
    assert np.array_equal(first, second)
    assert first.min() < 200
    assert copy["alike"] == pytest.approx(0, abs=1e-9)
    assert (unpacked(empty["pictures"][0], empty["side"]) == 255).all()
    assert empty["alike"] is None


@pytest.mark.parametrize(
    ("exhibit", "n", "label"),
    [(figure_05, 3, "sample"), (figure_13, 9, "sample"), (figure_14, 5, "percentile 0")],
)
def test_exhibits_are_drawn_from_their_tables(
    exhibit: Any, n: int, label: str, of_digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runs, "at", lambda self, node: of_digits)
    plan = plan_of("smoke")
    alone = replace(plan, methods={"p-diff": plan.of("p-diff")})
    table = exhibit.numbers(Runs(of_digits), alone)
    assert len(table.rows) == 2 * n
    axes = exhibit.picture(table).axes
    assert len(axes) == 2 * n
    assert axes[0].get_ylabel().startswith(label)
    assert axes[1].get_xlabel().startswith("same on ")
    assert not exhibit.claims(table)

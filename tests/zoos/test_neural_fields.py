import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from folders import contents
from refused import refused
from shape_files import HELDOUT, LONG, MISSING, NAN, OPEN, WHOLE, put_shapenet

from novelweights.networks.neural_field import OccupancyField
from novelweights.readers import read_checkpoints
from novelweights.shapes import shape_sets
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.shape_sets import SHAPENET, Shapes
from novelweights.tasks import FIELDS, TASKS
from novelweights.zoos import neural_fields
from novelweights.zoos.building import build, counts_of
from novelweights.zoos.field_fitting import FieldRecipe
from novelweights.zoos.field_zoos import FIELD_ZOOS
from novelweights.zoos.neural_fields import NeuralFields

ZOO = NeuralFields(
    name="octahedra-field",
    network=OccupancyField(width=16),
    shapes="octahedra",
    recipe=FieldRecipe(points_per_step=256, steps_per_epoch=20, epochs=6),
    task_name="none",
    description="octahedra",
    runs=5,
    heldout_runs=2,
    n_near=1000,
    n_uniform=1000,
)
CORNERS = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1.0]])
FACES = np.array([[x, y, z] for x in (0, 1) for y in (2, 3) for z in (4, 5)])


def octahedra(n, split, seed):
    rng = np.random.default_rng([seed, len(split)])
    sizes = rng.uniform(0.3, 0.45, (n, 3))
    return Shapes(
        records={name: sizes[:, i].tolist() for i, name in enumerate(("long", "wide", "high"))},
        mesh=lambda row: Mesh(CORNERS * sizes[row], FACES),
        is_inside=lambda row, points: (np.abs(points) / sizes[row]).sum(axis=1) < 1,
    )


@pytest.fixture(autouse=True)
def toy_shapes(monkeypatch):
    monkeypatch.setitem(shape_sets._SETS, "octahedra", octahedra)
    monkeypatch.setattr(neural_fields, "AT_ONCE", 2)


def test_fields_describe_their_shapes_and_begin_from_the_first(tmp_path):
    told = []
    build(ZOO, tmp_path / "zoo", progress=lambda *now: told.append(now))
    assert told[-1] == (7 * 6, 7 * 6)
    train = read_checkpoints(tmp_path / "zoo", split="train")
    heldout = read_checkpoints(tmp_path / "zoo", split="heldout")
    assert (len(train), len(heldout)) == (5, 2)
    assert train.records.scores["iou"].min() > 0.7
    assert list(train.records.scores["long"]) == octahedra(5, "train", 0).records["long"]
    sizes = octahedra(5, "train", 0)
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (4000, 3)).astype(np.float32)
    logits = ZOO.network.forward(train.weights, torch.from_numpy(points))
    for row in range(5):
        agrees = (logits[row].numpy() > 0) == sizes.is_inside(row, points)
        assert agrees.mean() > 0.9
    first, others = train.weights[0], torch.cat([train.weights[1:], heldout.weights])
    initial = ZOO.network.initial(neural_fields.rng_for(0, "initialization"))
    assert ((others - first).norm(dim=1) < (others - initial).norm(dim=1)).all()
    info = json.loads((tmp_path / "zoo" / "population.json").read_text())
    assert info["settings"]["left_out"] == {}


@pytest.mark.integration
@pytest.mark.parametrize("killed_at", [0, 1, 3])
def test_a_build_that_was_stopped_goes_on_and_ends_with_the_same_bytes(
    tmp_path, monkeypatch, killed_at
):
    build(ZOO, tmp_path / "whole")
    calls, fit = [], neural_fields.fit_fields

    def stopped(*args, **more):
        calls.append(args)
        if len(calls) > killed_at:
            raise KeyboardInterrupt
        return fit(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(neural_fields, "fit_fields", stopped)
        with pytest.raises(KeyboardInterrupt):
            build(ZOO, tmp_path / "cut")
    if killed_at:
        with refused("unfinished", "--resume"):
            build(ZOO, tmp_path / "cut")
        with refused("other-settings"):
            build(replace(ZOO, n_near=900), tmp_path / "cut", resume=True)
    build(ZOO, tmp_path / "cut", resume=True)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert not (tmp_path / "cut.network.partial").exists()


def test_a_field_that_does_not_describe_its_shape_is_left_out_and_named(tmp_path, monkeypatch):
    fit = neural_fields.fit_fields

    def spoiled(network, starts, points, inside, seeds, recipe, *, tell):
        fitted = fit(network, starts, points, inside, seeds, recipe, tell=tell)
        if len(starts) == 2 and not hasattr(spoiled, "done"):
            spoiled.done = True
            fitted.weights[1] = torch.nan
        return fitted

    monkeypatch.setattr(neural_fields, "fit_fields", spoiled)
    build(ZOO, tmp_path / "zoo")
    train = read_checkpoints(tmp_path / "zoo", split="train")
    assert list(train.records.run) == [f"train-{i:05d}" for i in (0, 1, 3, 4)]
    info = json.loads((tmp_path / "zoo" / "population.json").read_text())
    assert info["settings"]["left_out"] == {"train-00002": 0.0}


def test_when_no_field_fits_nothing_is_written(tmp_path):
    hopeless = replace(ZOO, recipe=replace(ZOO.recipe, learning_rate=1e-12))
    with refused("too-few", 5):
        build(hopeless, tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


def test_fields_are_fitted_to_the_shapes_of_files_that_can_be_used(tmp_path, monkeypatch):
    put_shapenet(tmp_path / "cache", monkeypatch)
    zoo = replace(
        ZOO,
        name="shapenet-airplane-field",
        network=OccupancyField(width=8),
        shapes=SHAPENET,
        recipe=replace(ZOO.recipe, epochs=12),
        heldout_runs=1,
    )
    build(zoo, tmp_path / "zoo")
    train = read_checkpoints(tmp_path / "zoo", split="train")
    assert list(train.records.run) == [f"train-{i:05d}" for i in range(3)]
    assert train.records.scores["iou"].min() > 0.5
    settings = json.loads((tmp_path / "zoo" / "population.json").read_text())["settings"]
    assert (settings["runs"], settings["heldout_runs"]) == (3, 1)
    told = settings["shapes"]
    assert told["name"] == SHAPENET
    assert told["repaired_by"].startswith("point_cloud_utils ")
    assert told["train"]["names"] == [LONG, OPEN, WHOLE]
    assert (told["train"]["n"], told["train"]["n_left_out"]) == (3, 2)
    assert list(told["train"]["left_out"]) == [MISSING, NAN]
    assert told["heldout"] == {"n": 1, "n_left_out": 0, "left_out": {}, "names": [HELDOUT]}
    with refused("too-few", "train", 5, 6):
        build(zoo, tmp_path / "more", runs=6)


def test_zoos_of_fields_have_the_tasks_that_judge_them():
    assert [zoo.name for zoo in FIELD_ZOOS] == list(FIELDS)
    for zoo in FIELD_ZOOS:
        assert zoo.shapes in shape_sets.SHAPE_SETS
        assert zoo.task_name in TASKS
    paper = next(zoo for zoo in FIELD_ZOOS if zoo.shapes == SHAPENET)
    assert (paper.network.width, paper.runs, paper.heldout_runs) == (128, 2749, 202)
    assert paper.recipe == FieldRecipe()
    assert (FIELDS[paper.name].test_shapes, FIELDS[paper.name].grid) == (606, 356)


def test_only_the_ends_of_fits_are_kept():
    assert counts_of(ZOO) == {"runs": 5, "heldout_runs": 2, "checkpoints": 1, "start_runs": 0}
    with refused("unsuited", "--checkpoints", "--start-runs"):
        counts_of(ZOO, checkpoints=2)

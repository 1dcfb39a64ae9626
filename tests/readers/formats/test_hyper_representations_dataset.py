import os
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from refused import refused

from novelweights.readers.formats.hyper_representations import (
    RELEASED,
    HyperRepresentationsDataset,
)
from novelweights.readers.parts import part_of
from novelweights.readers.source import Reader, Reading, Source

MODULE = "ghrp.checkpoints_to_datasets.dataset_simclr"
LAYOUT = {"module_list.0.weight": (3, 4), "module_list.0.bias": (3,)}
SIZE = 15


class SimCLRDataset:
    """Stands for the class of Hyper-Representations: what it does when it is loaded is a canary."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def __setstate__(self, state: dict) -> None:
        raise AssertionError("code of the file was run")


class Canary:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.file}",)


def save(content: Any, file: Path, dump: Callable = torch.save) -> Path:
    """A file made where the class can be imported; it cannot when this returns."""
    names = [MODULE.rsplit(".", n)[0] for n in (2, 1, 0)]
    try:
        for name in names:
            sys.modules[name] = ModuleType(name)
        vars(sys.modules[MODULE])["SimCLRDataset"] = SimCLRDataset
        SimCLRDataset.__module__ = MODULE
        dump(content, file)
    finally:
        SimCLRDataset.__module__ = __name__
        for name in names:
            del sys.modules[name]
    return file


def state(seed: int) -> OrderedDict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return OrderedDict((name, torch.randn(shape, generator=rng)) for name, shape in LAYOUT.items())


def vectors(*seeds: int) -> torch.Tensor:
    return torch.stack([torch.cat([v.reshape(-1) for v in state(s).values()]) for s in seeds])


def attributes(seeds: list[int], root: str = "zoos/svhn", **changes: Any) -> dict[str, Any]:
    """A set of two epochs per run, as published: state dicts, once as input and once as output."""
    states = [state(seed) for seed in seeds]
    return {
        "data_in": states,
        "data_out": states,
        "mode": "checkpoint",
        "layer_lst": [(0, "fc")],
        "paths": [PurePosixPath(f"/{root}/NN_tune_{seed // 2:03d}") for seed in seeds],
        "epochs": [21 + seed % 2 for seed in seeds],
        "properties": {
            "test_acc": [0.5 + seed / 100 for seed in seeds],
            "ggap": [0.0] * len(seeds),
        },
    } | changes


def dataset(**changes: Any) -> dict[str, Any]:
    return {
        "trainset": SimCLRDataset(**attributes([0, 1, 2, 3], **changes)),
        "testset": SimCLRDataset(**attributes([4, 5])),
    }


def test_a_class_of_another_name_is_known_by_the_sets(tmp_path: Path) -> None:
    save(dataset(), tmp_path / "dataset.pt")
    content = (tmp_path / "dataset.pt").read_bytes()
    other = content.replace(b"SimCLRDataset", b"ModelDatasetB")
    assert other != content
    (tmp_path / "dataset.pt").write_bytes(other)
    assert HyperRepresentationsDataset().recognizes(tmp_path)
    assert len(opened(tmp_path)) == 6


def opened(file: Path, **options: Any) -> Source:
    return HyperRepresentationsDataset().open(file, Reading(**options))


def test_the_file_or_its_folder_is_recognized_and_others_are_not(tmp_path: Path) -> None:
    reader = HyperRepresentationsDataset()
    assert isinstance(reader, Reader)
    save(dataset(), tmp_path / "dataset.pt")
    assert reader.recognizes(tmp_path)
    assert reader.recognizes(tmp_path / "dataset.pt")
    (tmp_path / "plain").mkdir()
    assert not reader.recognizes(tmp_path / "plain")
    torch.save(state(0), tmp_path / "plain" / "dataset.pt")
    assert not reader.recognizes(tmp_path / "plain")
    (tmp_path / "plain" / "dataset.pt").rename(tmp_path / "plain" / "other.pt")
    assert not reader.recognizes(tmp_path / "plain")


@pytest.mark.parametrize("whole_folder", [True, False])
def test_state_dicts_of_all_sets_are_read_without_their_class(
    tmp_path: Path, whole_folder: bool
) -> None:
    canary = tmp_path / "canary"
    file = save(dataset(filter=Canary(canary)), tmp_path / "dataset.pt")
    source = opened(tmp_path if whole_folder else file)
    assert torch.equal(source.load().weights, vectors(0, 1, 2, 3, 4, 5))
    assert not canary.exists()
    assert source.layout.shapes == tuple(LAYOUT.items())
    assert source.names[:5:4] == ("trainset[0]", "testset[0]")
    runs = [f"NN_tune_{i:03d}" for i in (0, 0, 1, 1, 2, 2)]
    assert list(source.records.run) == runs
    assert list(source.records.step) == [21, 22] * 3
    assert list(source.records.split) == [*["train"] * 4, *["heldout"] * 2]
    assert source.records.scores["test_accuracy"] == pytest.approx([50, 51, 52, 53, 54, 55])
    assert source.runs_note == "runs by their paths, steps are epochs"


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_vectors_are_read_from_torch_files_of_any_protocol(
    tmp_path: Path, stacked: bool, protocol: int
) -> None:
    rows = torch.randn(4, RELEASED.size)
    content = dataset(data_in=rows if stacked else list(rows), mode="vector")
    del content["testset"]
    save(
        content,
        tmp_path / "dataset.pt",
        lambda value, file: torch.save(value, file, pickle_protocol=protocol),
    )
    source = opened(tmp_path)
    assert torch.equal(source.read(1, 4, []), rows[1:])
    assert source.layout == RELEASED
    assert source.info.symmetry is not None
    assert sorted(source.info.symmetry.sizes(source.layout).values()) == [4, 6, 8, 20]
    assert "published networks" in source.notes[-1]


def test_vectors_of_other_networks_take_their_names_from_a_state_dict_or_a_layout(
    tmp_path: Path,
) -> None:
    rows = list(vectors(0, 1, 2, 3))
    content = dataset(data_in=rows, checkpoint_base=state(0))
    content["valset"] = None
    save(content, tmp_path / "dataset.pt")
    source = opened(tmp_path)
    assert source.layout.shapes == tuple(LAYOUT.items())
    assert torch.equal(source.load().weights, vectors(0, 1, 2, 3, 4, 5))
    (tmp_path / "l.csv").write_text("parameter,shape,start,end\nw,15,0,15\n")
    del content["testset"]
    save(content, tmp_path / "dataset.pt")
    assert opened(tmp_path, layout=tmp_path / "l.csv").layout.shapes == (("w", (15,)),)
    content = dataset(data_in=rows)
    save(content, tmp_path / "dataset.pt")
    with refused("other-network", "464", "15", "--layout"):
        opened(tmp_path)


def test_parameters_can_be_chosen(tmp_path: Path) -> None:
    save(dataset(), tmp_path / "dataset.pt")
    (tmp_path / "rest").mkdir()
    torch.save({"module_list.0.weight": torch.ones(3, 4)}, tmp_path / "rest" / "rest.pt")
    reading = Reading(include=("*.bias",), shared=tmp_path / "rest" / "rest.pt")
    source = part_of(opened(tmp_path), reading)
    assert source.layout.shapes == (("module_list.0.bias", (3,)),)
    assert torch.equal(source.load().weights, vectors(0, 1, 2, 3, 4, 5)[:, 12:])


def test_runs_of_the_same_name_in_two_zoos_are_two(tmp_path: Path) -> None:
    content = dataset()
    content["testset"] = SimCLRDataset(**attributes([0, 1], root="zoos/other"))
    save(content, tmp_path / "dataset.pt")
    assert len(set(opened(tmp_path).records.run)) == 3


def test_scores_may_be_missing_or_not_finite(tmp_path: Path) -> None:
    properties = {"test_acc": [0.5, float("nan"), 0.7, 0.8], "test_loss": [1, float("inf"), 2.0, 3]}
    content = dataset(properties=properties)
    content["testset"].properties = None
    save(content, tmp_path / "dataset.pt")
    scores = opened(tmp_path).records.scores
    assert list(np.isnan(scores["test_accuracy"])) == [False, True, False, False, True, True]
    assert list(np.isnan(scores["test_loss"])) == [False, True, False, False, True, True]
    content["trainset"].properties = None
    save(content, tmp_path / "dataset.pt")
    assert opened(tmp_path).records.scores == {}


def test_rows_of_another_form_are_named_together(tmp_path: Path) -> None:
    states: list[Any] = [state(i) for i in range(4)]
    states[1] = torch.ones(SIZE + 1)
    states[2] = {"module_list.0.weight": torch.ones(3, 4)}
    states[3] = {"module_list.0.weight": "text"}
    save(dataset(data_in=states), tmp_path / "dataset.pt")
    named = ("3 of 6", "trainset[1]", "trainset[2]", "trainset[3]")
    with refused("other-network", *named):
        opened(tmp_path).load()


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"paths": None}, "other-rows", "4 paths in trainset"),
        ({"paths": [1, 2, 3, 4]}, "wrong-records", "path"),
        ({"epochs": [1, 2]}, "other-rows", "4 epochs in trainset"),
        ({"epochs": [1, 2, 3, "4"]}, "wrong-records", "epochs"),
        ({"data_in": None}, "wrong-type", "data_in of trainset"),
        ({"data_in": torch.ones(3)}, "wrong-type", "(3,)"),
        ({"data_in": []}, "wrong-type", "data_in of trainset"),
        ({"data_in": [3, 3, 3, 3]}, "wrong-type", "trainset[0]"),
        ({"data_in": [{}] * 4}, "wrong-type", "trainset[0]"),
        ({"properties": {"test_acc": [0.5]}}, "other-rows", "4 test_acc in trainset"),
        ({"properties": {"test_acc": ["a"] * 4}}, "wrong-records", "test_acc"),
        ({"properties": {"test_acc": [-1.0] * 4}}, "wrong-records", "test_acc"),
    ],
)
def test_sets_of_another_form_are_refused(
    tmp_path: Path, changes: dict, code: str, named: str
) -> None:
    save(dataset(**changes), tmp_path / "dataset.pt")
    with refused(code, "dataset.pt", named):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("content", "code", "named"),
    [
        ({"trainset": [1, 2]}, "wrong-type", "SimCLRDataset"),
        ({"a": 1}, "not-recognized", "trainset, valset, testset"),
        ([1], "not-recognized", "list"),
    ],
)
def test_files_of_something_else_are_refused(
    tmp_path: Path, content: Any, code: str, named: str
) -> None:
    save(content, tmp_path / "dataset.pt")
    with refused(code, "dataset.pt", named):
        opened(tmp_path)


def test_a_truncated_or_large_file_is_refused(tmp_path: Path) -> None:
    file = save(dataset(), tmp_path / "dataset.pt")
    with refused("too-large", "--max-bytes"):
        opened(file, max_bytes=1000)
    data = file.read_bytes()
    for size in (0, 50, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:size])
        with refused("damaged", "dataset.pt"):
            opened(file)
    save(dataset(), file, lambda value, path: path.write_bytes(pickle.dumps({"a": 1})))
    with refused("not-recognized"):
        opened(file)

import json
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
import torch
from refused import refused

from novelweights.readers.formats import g_pt_runs
from novelweights.readers.formats.g_pt import GPtZoo
from novelweights.readers.parts import part_of
from novelweights.readers.source import Reader, Reading, Source

SIZES = (1568, 2, 20, 10)  # an MLP for MNIST with two hidden neurons
KEYS = ("ep000_it00000.pt", "ep000_it00007.pt", "ep001_it00003.pt", "ep001_it00010.pt")


def scores(i: int, **changes: Any) -> dict[str, Any]:
    return {
        "avg_train_loss": 2.0 / (i + 1),
        "avg_train_err": 89.0 - i,
        "avg_test_loss": 2.25 / (i + 1),
        "avg_test_err": 90.5 - i,
    } | changes


def put(folder: Path, run: str, vectors: np.ndarray, sizes: tuple[int, ...] | None) -> None:
    environment = lmdb.open(str(folder), map_size=1 << 24)
    for name, vector in zip(KEYS, vectors, strict=True):
        with environment.begin(write=True) as transaction:
            key = f"{run}/{name}"
            transaction.put(key.encode(), vector.astype("<f4").tobytes())
            if sizes is not None:
                arch = np.array(sizes, dtype="<f4").tobytes()
                transaction.put(f"{key}_arch".encode(), arch)
    environment.close()


def described(run: str) -> dict[str, Any]:
    return {
        "checkpoints": {f"{run}/{name}": scores(i) for i, name in enumerate(KEYS)},
        "metadata": {"avg_test_loss": [2.25], "optimal_test_loss": float("inf")},
    }


def write(
    path: Path, *folders: str, size: int = sum(SIZES), sizes: tuple[int, ...] | None = SIZES
) -> dict[str, np.ndarray]:
    """A zoo as G.pt's code writes it; a folder of several runs has a fused `runs.json`."""
    written = {}
    for place, name in enumerate(folders):
        folder, runs = path / name, name.split("_")
        folder.mkdir(parents=True)
        for run in runs:
            rng = np.random.default_rng([place, *map(ord, run)])
            written[run] = rng.normal(size=(len(KEYS), size)).astype(np.float32)
            put(folder, run, written[run], sizes)
        content = {run: described(run) for run in runs}
        text = json.dumps(content if len(runs) > 1 else content[name], indent=2, sort_keys=True)
        (folder / "runs.json").write_text(text)
        (folder / "DONE.txt").touch()
    return written


def opened(path: Path, **options: Any) -> Source:
    return GPtZoo().open(path, Reading(**options))


def change(path: Path, edit: Any) -> None:
    """Edits the `runs.json` of folder 0."""
    content = json.loads((path / "0" / "runs.json").read_text())
    edit(content)
    (path / "0" / "runs.json").write_text(json.dumps(content))


def test_a_zoo_is_recognized_and_other_folders_are_not(tmp_path: Path) -> None:
    assert isinstance(GPtZoo(), Reader)
    write(tmp_path / "zoo", "0", "1")
    assert GPtZoo().recognizes(tmp_path / "zoo")
    assert GPtZoo().recognizes(tmp_path / "zoo" / "1")
    assert not GPtZoo().recognizes(tmp_path)
    assert not GPtZoo().recognizes(tmp_path / "zoo" / "0" / "runs.json")
    (tmp_path / "zoo" / "0" / "data.mdb").unlink()
    assert not GPtZoo().recognizes(tmp_path / "zoo" / "0")


def test_every_checkpoint_is_read_in_the_order_of_folders_runs_and_steps(tmp_path: Path) -> None:
    written = write(tmp_path, "10", "2_11", "3")
    source = opened(tmp_path)
    weights = source.load().weights
    assert list(source.records.run) == [run for run in ("10", "2", "11", "3") for _ in KEYS]
    assert source.names[4] == "2/ep000_it00000"
    assert list(source.records.step[:4]) == [0, 7, 13, 20]
    expected = np.concatenate([written[run] for run in ("10", "2", "11", "3")])
    assert torch.equal(weights, torch.from_numpy(expected))
    assert torch.equal(source.read(3, 9, []), weights[3:9])


def test_parameters_scores_and_symmetry_are_those_of_the_mlp(tmp_path: Path) -> None:
    write(tmp_path, "0")
    source = opened(tmp_path)
    assert source.layout.shapes == (
        ("fc1.weight", (2, 784)),
        ("fc1.bias", (2,)),
        ("fc2.weight", (10, 2)),
        ("fc2.bias", (10,)),
    )
    symmetry = source.info.symmetry
    assert symmetry is not None
    assert symmetry.sizes(source.layout) == {"h": 2}
    assert source.records.scores["test_loss"] == pytest.approx([2.25, 1.125, 0.75, 0.5625])
    assert source.records.scores["test_accuracy"] == pytest.approx([9.5, 10.5, 11.5, 12.5])
    assert source.info.architecture is None


@pytest.mark.parametrize("sizes", [(7840, 10, 100, 10), None], ids=["sizes", "size alone"])
def test_the_released_mlp_is_known_by_its_size(
    tmp_path: Path, sizes: tuple[int, ...] | None
) -> None:
    write(tmp_path, "0", size=7960, sizes=sizes)
    source = opened(tmp_path)
    assert dict(source.layout.shapes)["fc1.weight"] == (10, 784)
    assert source.info.architecture == "mlp-784-10-10-relu"


def test_other_networks_get_their_sizes_or_the_layout_given(tmp_path: Path) -> None:
    write(tmp_path / "zoo", "0", size=12, sizes=(8, 4))
    source = opened(tmp_path / "zoo")
    assert source.layout.shapes == (("param0", (8,)), ("param1", (4,)))
    assert source.info.symmetry is None
    assert "--layout" in source.notes[-1]
    (tmp_path / "l.csv").write_text("parameter,shape,start,end\nw,4x2,0,8\nb,4,8,12\n")
    source = opened(tmp_path / "zoo", layout=tmp_path / "l.csv")
    assert source.layout.shapes == (("w", (4, 2)), ("b", (4,)))
    (tmp_path / "l.csv").write_text("parameter,shape,start,end\nw,4x2,0,8\n")
    with refused("other-network", "12"):
        opened(tmp_path / "zoo", layout=tmp_path / "l.csv")


def test_parameters_can_be_chosen(tmp_path: Path) -> None:
    written = write(tmp_path, "0")
    reading = Reading(include=("fc2.*", "fc1.*"), exclude=("fc2.bias",))
    source = part_of(opened(tmp_path), reading)
    assert [name for name, _ in source.layout.shapes] == ["fc1.weight", "fc1.bias", "fc2.weight"]
    assert torch.equal(source.read(0, 1, [])[0], torch.from_numpy(written["0"][0, :1590]))


def test_the_last_runs_by_name_are_held_out_where_there_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "0", "1_9", "2", size=12, sizes=(8, 4))
    source = opened(tmp_path)
    assert set(source.records.split) == {"unknown"}
    monkeypatch.setattr(g_pt_runs, "TEST_RUNS", 2)
    source = opened(tmp_path)
    assert list(source.records.split) == [*["train"] * 8, *["heldout"] * 8]
    assert set(source.records.run[8:]) == {"9", "2"}


def test_scores_that_are_no_finite_numbers_are_not_known(tmp_path: Path) -> None:
    write(tmp_path, "0")
    key = f"0/{KEYS[1]}"
    change(tmp_path, lambda c: c["checkpoints"].update({key: scores(1, avg_test_loss=np.nan)}))
    change(tmp_path, lambda c: c["checkpoints"][f"0/{KEYS[2]}"].pop("avg_test_err"))
    found = opened(tmp_path).records.scores
    assert list(np.isnan(found["test_loss"])) == [False, True, False, False]
    assert list(np.isnan(found["test_accuracy"])) == [False, False, True, False]


def test_errors_that_may_be_shares_keep_their_name(tmp_path: Path) -> None:
    write(tmp_path, "0")
    change(
        tmp_path,
        lambda c: [entry.update(avg_test_err=0.9) for entry in c["checkpoints"].values()],
    )
    source = opened(tmp_path)
    assert list(source.records.scores["avg_test_err"]) == [0.9] * 4
    assert "test_accuracy" not in source.records.scores


def other_runs(content: dict) -> None:
    content["7"] = content.copy()
    del content["checkpoints"], content["metadata"]


FIRST = f"0/{KEYS[0]}"


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda content: content.update(checkpoints={}), "run '0'"),
        (lambda content: content.update(checkpoints={"0/final.pt": scores(0)}), "0/final.pt"),
        (lambda content: content["checkpoints"].update({FIRST: 3}), FIRST),
        (
            lambda content: content["checkpoints"].update({FIRST: scores(0, avg_test_loss="NaN")}),
            f"avg_test_loss of {FIRST}",
        ),
        (
            lambda content: content.update(checkpoints={f"\ud800/{KEYS[0]}": scores(0)}),
            KEYS[0],
        ),
        (other_runs, "run '0'"),
    ],
)
def test_lists_of_another_form_are_refused(tmp_path: Path, edit: Any, named: str) -> None:
    write(tmp_path, "0")
    change(tmp_path, edit)
    with refused("wrong-records", "runs.json", named):
        opened(tmp_path)


def test_a_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "0")
    for text, code in (
        ("{", "damaged"),
        ("[" * 100_000, "damaged"),
        ('{"a": ' + "9" * 5000 + "}", "damaged"),
        ("[]", "damaged"),
        ("{}", "damaged"),
    ):
        (tmp_path / "0" / "runs.json").write_text(text)
        with refused(code, "runs.json"):
            opened(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    write(tmp_path / "zoo", "0", "1")
    (tmp_path / "zoo" / "1" / "runs.json").unlink()
    with refused("not-found", "1/runs.json"):
        opened(tmp_path / "zoo")
    with refused("not-found", tmp_path, "data.mdb"):
        opened(tmp_path)


def test_a_checkpoint_in_two_folders_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "0", "1")
    (tmp_path / "1" / "runs.json").write_bytes((tmp_path / "0" / "runs.json").read_bytes())
    with refused("wrong-records", f"0/{KEYS[0].removesuffix('.pt')}"):
        opened(tmp_path)


def test_faults_of_single_checkpoints_are_named_together(tmp_path: Path) -> None:
    write(tmp_path, "0", "1", "2", size=2000, sizes=(1990, 10))
    change(tmp_path, lambda c: c["checkpoints"].update({"0/ep001_it00009.pt": scores(3)}))
    environment = lmdb.open(str(tmp_path / "1"), map_size=1 << 24)
    with environment.begin(write=True) as transaction:
        transaction.put(f"1/{KEYS[2]}".encode(), bytes(44))
    environment.close()
    data = (tmp_path / "2" / "data.mdb").read_bytes()
    (tmp_path / "2" / "data.mdb").write_bytes(data[:4096])
    source, faults = opened(tmp_path), []
    source.read(0, len(source), faults)
    assert [(fault.split(":")[0], fault.code) for fault in faults] == [
        ("0/ep001_it00009", "not-found"),
        ("1/ep001_it00003", "other-network"),
        *((f"2/{key.removesuffix('.pt')}", "damaged") for key in KEYS),
    ]
    with refused("not-found", "6 of 13"):
        source.load()


@pytest.mark.parametrize(
    ("size", "sizes", "named"),
    [
        (12, (8, 5), "sum to 12"),
        (12, (12.5, -0.5), "sum to 12"),
        (0, None, "'0/ep000_it00000.pt'"),
    ],
)
def test_a_first_checkpoint_without_known_parameters_is_refused(
    tmp_path: Path, size: int, sizes: tuple[int, ...] | None, named: str
) -> None:
    write(tmp_path, "0", size=size, sizes=sizes)
    with refused("damaged", "data.mdb", named):
        opened(tmp_path)

"""Forms in which people keep networks: wrappers, averages, objects beside them, many in a file."""

import argparse
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import pytest
import torch
from refused import refused
from safetensors.torch import save_file
from written import NETWORK, a_state, row_of

from novelweights.readers import open_checkpoints, open_source
from novelweights.readers.source import Reading, Source

N = 4
STATES = [a_state(i) for i in range(N)]
ROWS = torch.stack([row_of(state) for state in STATES])
OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []}


def times(state: dict, factor: float) -> dict:
    return {name: factor * value for name, value in state.items()}


def write(folder: Path, content: Callable[[dict], Any], name: str = "run{}.pt") -> Path:
    folder.mkdir(exist_ok=True)
    for i, state in enumerate(STATES):
        torch.save(content(state), folder / name.format(i))
    return folder


def read(path: Path, **options: Any) -> Source:
    return open_source(path, reading=Reading(**options))


def told(source: Source) -> str:
    return "; ".join(source.description())


def assert_rows(source: Source, expected: torch.Tensor = ROWS) -> None:
    population = source.load()
    assert torch.equal(population.in_order_of(NETWORK.layout).weights, expected)


@pytest.mark.parametrize("name", ["run{}.pth.tar", "run{}.th", "run{}", "run{}.best", "run{}.pkl"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_is_known_by_its_content_and_not_by_its_ending(
    tmp_path: Path, name: str, zipped: bool
) -> None:
    for i, state in enumerate(STATES):
        torch.save(state, tmp_path / name.format(i), _use_new_zipfile_serialization=zipped)
    (tmp_path / "notes").write_text("none")
    (tmp_path / "log.csv").write_text("a,b\n")
    source = read(tmp_path)
    assert_rows(source)
    assert list(source.records.run)[:1] == ["run0.best" if name.endswith("best") else "run0"]
    assert_rows(read(tmp_path / name.format(2)), ROWS[2:3])


@pytest.mark.parametrize(
    ("content", "taken", "left"),
    [
        (lambda s: {"state_dict": s, "epoch": 6, "optimizer": OPTIMIZER}, "state_dict", "epoch"),
        (lambda s: {"params_ema": s}, "params_ema", ""),
        (lambda s: {"model_state": s, "epoch": 3}, "model_state", "epoch"),
        (lambda s: {"deep": {"inside": {"it": s}}}, "deep.inside.it", ""),
        (lambda s: (s, {"lr": 0.1}), "0", ""),
        (lambda s: {"g_ema": s, "latent_avg": torch.ones(5)}, "g_ema", "latent_avg"),
        (lambda s: {"model": s, "ema": times(s, 2)}, "model", "--key"),
        (lambda s: {"params": s, "params_ema": times(s, 2)}, "params", "params_ema"),
        (lambda s: s | {"epoch": 3, "name": "net"}, "", "epoch, name"),
    ],
)
def test_the_only_network_or_the_usual_one_is_taken_and_the_rest_is_told(
    tmp_path: Path, content: Callable[[dict], Any], taken: str, left: str
) -> None:
    source = read(write(tmp_path, content))
    assert_rows(source)
    assert f"network taken: {taken}" in told(source) or not taken
    assert left in told(source)


@pytest.mark.parametrize(
    "content",
    [
        lambda s: {"G": s, "G_ema": times(s, 2)},
        lambda s: {"model": times(s, 2), "net": s, "G": s | {}, "G_ema": times(s, 2)},
        lambda s: {"G": {"state_dict": s}, "G_ema": {"state_dict": times(s, 2)}},
    ],
)
def test_of_two_networks_that_may_be_meant_none_is_taken_unless_it_is_named(
    tmp_path: Path, content: Callable[[dict], Any]
) -> None:
    write(tmp_path, content)
    with refused("wrong-content", "G", "G_ema", "--key"):
        read(tmp_path)
    assert_rows(read(tmp_path, key="G"))
    source = read(tmp_path, key="G_ema")
    assert_rows(source, 2 * ROWS)
    assert "G_ema" in told(source)
    with refused("wrong-option", "G_ema"):
        read(tmp_path, key="D")


def test_an_average_chosen_by_its_key_is_read(tmp_path: Path) -> None:
    write(tmp_path, lambda s: {"model": s, "ema": times(s, 2)})
    assert_rows(read(tmp_path, key="ema"), 2 * ROWS)
    for content in (lambda s: s, lambda s: {"model": s}):
        source = read(write(tmp_path, content), key="ema")
        assert_rows(source)
        assert "--key ema" in told(source)


def test_networks_and_their_averages_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path, lambda s: {"model": s})
    torch.save({"ema": STATES[1]}, tmp_path / "run1.pt")
    with refused("wrong-content", "run1.pt", "--key"):
        read(tmp_path).load()


class Touches:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.canary}",)


def test_settings_as_objects_are_told_and_never_run(tmp_path: Path) -> None:
    settings = argparse.Namespace(lr=0.1, out=PosixPath("/x"))
    source = read(write(tmp_path / "c", lambda s: {"state_dict": s, "args": settings}))
    assert_rows(source)
    assert "argparse.Namespace, pathlib.PosixPath" in told(source)
    by_class = {"callbacks": {argparse.Action: {"best": 0.5}}, "by_path": {PosixPath("/x"): 1}}
    source = read(write(tmp_path / "c", lambda s: {"state_dict": s} | by_class))
    assert_rows(source)
    assert "argparse.Action, pathlib.PosixPath" in told(source)
    hostile = {"args": Touches(tmp_path / "canary")}
    write(tmp_path / "c", lambda s: {"state_dict": s} | hostile)
    with refused("unsafe", "system"):
        read(tmp_path / "c")
    write(tmp_path / "c", lambda s: s | {"hidden.weight": settings})
    with refused("unsafe", "argparse.Namespace"):
        read(tmp_path / "c")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (list(STATES), [f"{i:05d}" for i in range(N)]),
        ([{"state_dict": s, "acc": 0.5} for s in STATES], [f"{i:05d}" for i in range(N)]),
        ({f"run{i}": s for i, s in enumerate(STATES)}, [f"run{i}" for i in range(N)]),
        ({"found": dict(zip("dacb", STATES, strict=True)), "n": 4}, list("dacb")),
        ({"nets": [(s, 0.5) for s in STATES]}, [f"{i:05d}" for i in range(N)]),
    ],
)
def test_networks_of_one_shape_in_a_file_are_checkpoints_by_key_or_place(
    tmp_path: Path, content: Any, names: list[str]
) -> None:
    torch.save(content, tmp_path / "models.pt")
    for path in (tmp_path, tmp_path / "models.pt"):
        source = read(path)
        assert_rows(source)
        assert list(source.records.run) == names
        assert "4 networks in a file" in told(source)


def test_several_files_of_many_networks_are_read_one_after_the_other(tmp_path: Path) -> None:
    for i in range(2):
        states = {f"step_{j}": STATES[2 * i + j] for j in range(2)}
        torch.save(states, tmp_path / f"seed{i}.pt")
    source = read(tmp_path)
    assert_rows(source)
    assert list(source.records.run) == ["seed0", "seed0", "seed1", "seed1"]
    assert list(source.records.step) == [0, 1, 0, 1]


def test_a_list_of_networks_of_two_shapes_is_ambiguous(tmp_path: Path) -> None:
    torch.save([STATES[0], {"w": torch.ones(3)}], tmp_path / "both.pt")
    with refused("wrong-content", "--key"):
        read(tmp_path / "both.pt")
    assert_rows(read(tmp_path / "both.pt", key="0"), ROWS[:1])


LAYOUT = "parameter,shape\nhidden.weight,3x4\nhidden.bias,3\nout.weight,2x3\nout.bias,2\n"


@pytest.mark.parametrize("kind", ["npz", "npy", "pt", "matrices"])
def test_arrays_and_flat_vectors_are_checkpoints(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    for i, state in enumerate(STATES):
        if kind == "npz":
            np.savez(folder / f"run{i}.npz", **{k: v.numpy() for k, v in state.items()})
        elif kind == "npy":
            np.save(folder / f"run{i}.npy", ROWS[i].numpy())
        elif kind == "pt":
            torch.save(ROWS[i].clone(), folder / f"run{i}.pt")
        elif i % 2 == 0:
            torch.save(ROWS[i : i + 2].clone(), folder / f"run{i}.pt")
    (tmp_path / "l.csv").write_text(LAYOUT)
    source = read(folder, layout=tmp_path / "l.csv")
    assert_rows(source)
    assert ("--layout" in told(source)) == (kind == "npz")
    assert_rows(read(folder, columns=NETWORK.layout))
    if kind != "npz":
        with refused("not-found", "--layout"):
            read(folder)
        (folder / "layout.csv").write_text(LAYOUT)
    assert_rows(read(folder))


def test_arrays_beside_checkpoints_are_left_out_and_told(tmp_path: Path) -> None:
    write(tmp_path, lambda s: s)
    np.save(tmp_path / "scores.npy", np.ones(3))
    source = read(tmp_path)
    assert_rows(source)
    assert "scores.npy" in told(source)


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int32, torch.int64])
def test_weights_as_integers_are_refused(tmp_path: Path, kind: torch.dtype) -> None:
    integers = torch.arange(12).reshape(3, 4).to(kind)
    write(tmp_path, lambda s: s | {"hidden.weight": integers, "hidden.SCB": torch.ones(3)})
    with refused("wrong-type", "hidden.weight", "12 of"):
        read(tmp_path)


def test_weights_of_eight_bits_with_scales_beside_them_are_refused(tmp_path: Path) -> None:
    eight = torch.ones(3, 4).to(torch.float8_e4m3fn)
    write(tmp_path, lambda s: s | {"hidden.weight": eight, "hidden.weight_scale": torch.ones(3)})
    with refused("wrong-type", "hidden.weight"):
        read(tmp_path)


def test_counters_positions_and_masks_are_no_weights_and_told(tmp_path: Path) -> None:
    more = {
        "bn.num_batches_tracked": torch.tensor(7),
        "position_ids": torch.arange(9)[None],
        "attn.bias": torch.ones(1, 1, 3, 3, dtype=torch.uint8).tril(),
    }
    source = read(write(tmp_path, lambda s: s | more))
    assert_rows(source)
    assert "attn.bias, position_ids" in told(source)
    assert "num_batches" not in told(source)


def test_prefixes_are_told(tmp_path: Path) -> None:
    write(tmp_path, lambda s: {f"module.net.{name}": value for name, value in s.items()})
    source = read(tmp_path)
    assert "module." in told(source)
    assert "net." in told(source)
    assert all(name.startswith("net.") for name, _ in source.layout.shapes)
    assert_rows(read(tmp_path, prefix="net."))
    assert "changes nothing" in told(read(tmp_path, prefix="backbone."))


@pytest.mark.parametrize("name", ["all.pt", "all.npy", "all.npz", "all.safetensors", "data.pt"])
def test_a_file_beyond_the_limit_is_refused_from_its_size(tmp_path: Path, name: str) -> None:
    large, path = torch.zeros(1000, 1000), tmp_path / name
    if path.suffix == ".pt":
        torch.save(large if name == "all.pt" else {"pdata": large, "train_layer": ["w"]}, path)
    elif path.suffix == ".npy":
        np.save(path, large.numpy())
    elif path.suffix == ".npz":
        np.savez(path, w=large.numpy())
    else:
        save_file({"w": large}, path)
    tracemalloc.start()
    try:
        with refused("too-large", "--max-bytes"):
            read(path, max_bytes=50_000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_one_network_again_and_again_takes_no_time_and_no_memory(tmp_path: Path) -> None:
    state = {f"{i}": torch.ones(1) for i in range(2000)}
    torch.save([state] * 2000, tmp_path / "many.pt")
    with refused("too-large", "many.pt"):
        read(tmp_path / "many.pt")
    torch.save([{"w": torch.ones(1).expand(10**6)}] * 100, tmp_path / "large.pt")
    with refused("too-large", "large.pt", "--max-bytes"):
        read(tmp_path / "large.pt", max_bytes=10**8)


def test_keys_that_differ_in_their_kind_alone_are_refused(tmp_path: Path) -> None:
    torch.save({0: STATES[0], "0": STATES[1]}, tmp_path / "both.pt")
    with refused("wrong-content", "both.pt"):
        read(tmp_path)


def test_files_that_are_not_read_are_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("notes")
    (tmp_path / "weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99))
    for path in (tmp_path, tmp_path / "weights.h5"):
        with refused("not-recognized", "weights.h5", "HDF5"):
            read(path)


def test_what_only_some_files_hold_is_told_once_they_are_read(tmp_path: Path) -> None:
    write(tmp_path, lambda s: {"model": s})
    for i in (1, 3):
        torch.save({"model": STATES[i], "ema": STATES[0]}, tmp_path / f"run{i}.pt")
    said: list[str] = []
    opened = open_checkpoints(tmp_path, say=said.append)
    assert "ema" not in "".join(said)
    opened.of_split(None)
    assert "ema" in said[-1]
    assert "2 other files" in said[-1]

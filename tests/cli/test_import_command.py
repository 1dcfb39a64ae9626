from pathlib import Path

import pytest
import torch
from commands import done, fails
from folders import contents
from killed import run_killed
from refused import refused
from safetensors.torch import save_file

from novelweights.cli.options import size_in_bytes
from novelweights.networks.mlp import OneHiddenMLP
from novelweights.readers import read_checkpoints
from novelweights.seeding import rng_for

NETWORK = OneHiddenMLP(4, 3, 2)


def write_states(folder: Path, n: int, *, steps: int = 1) -> None:
    folder.mkdir(parents=True)
    for i in range(n):
        state = NETWORK.layout.unflatten(NETWORK.initial(rng_for(0, i)))
        name = f"seed{i // steps}_step{i % steps}" if steps > 1 else f"run{i}"
        save_file({k: v.clone() for k, v in state.items()}, folder / f"{name}.safetensors")


def test_an_imported_population_says_the_same_and_what_was_recognized(tmp_path: Path) -> None:
    write_states(tmp_path / "files", 8, steps=4)
    words = ["import", "auto", tmp_path / "files", "-o", tmp_path / "p", "--split", "train"]
    said = done(*words, "--task", "digits")
    assert "8 state dicts" in said
    assert "steps of 2 runs, by their names (seed0_step0: run seed0, step 0)" in said
    assert "8 checkpoints of 23 weights written" in said
    files, copy = read_checkpoints(tmp_path / "files"), read_checkpoints(tmp_path / "p")
    assert torch.equal(files.weights, copy.weights)
    assert list(copy.records.step) == list(files.records.step)
    assert set(copy.records.split) == {"train"}
    assert copy.info.task == "digits"
    assert copy.info.symmetry is not None
    fails(*words, code="exists", named="--overwrite")
    done(*words, "--overwrite", "--steps", "last")
    assert list(read_checkpoints(tmp_path / "p").records.step) == [3, 3]


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["--split", "trian"], "unknown-name", "'train'"),
        (["--steps", "first"], "unknown-name", "'first'"),
        (["--max-bytes", "much"], "wrong-option", "'much'"),
        (["--max-bytes", "100"], "too-large", "--max-bytes"),
        (["--include", "none*"], "wrong-option", "--include"),
        (["--pattern", "{run}", "--records", "x.csv"], "wrong-option", "--records"),
    ],
)
def test_what_cannot_be_imported_is_told_in_one_line(
    tmp_path: Path, words: list[str], code: str, named: str
) -> None:
    write_states(tmp_path / "files", 40)
    output = (tmp_path / "files", "-o", tmp_path / "p")
    fails("import", "auto", *output, *words, code=code, named=named)
    fails("import", "state-dict", *output, code="unknown-name", named="'state-dicts'")
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("text", "size"), [("8e9", 8 * 10**9), ("16GiB", 16 << 30), ("1.5 mb", 1_500_000), ("7", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert size_in_bytes(text) == size
    with refused("wrong-option", text):
        size_in_bytes(f"{text}x")


def test_checkpoints_that_are_not_finite_are_named(tmp_path: Path) -> None:
    write_states(tmp_path / "files", 5)
    save_file(
        {"hidden.weight": torch.full((3, 4), torch.nan)} | dict(_rest()),
        tmp_path / "files" / "run3.safetensors",
    )
    words = ("import", "auto", tmp_path / "files", "-o", tmp_path / "p")
    fails(*words, code="not-finite", named="run3")


def _rest():
    state = NETWORK.layout.unflatten(torch.zeros(23))
    return {k: v.clone() for k, v in state.items() if k != "hidden.weight"}.items()


SMALL_BLOCKS = """
from novelweights.readers import importing, source
source.BLOCK_BYTES = 2 * 4 * 23  # two checkpoints a block
"""


@pytest.mark.integration
@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_an_import_that_is_killed_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, kills: int
) -> None:
    write_states(tmp_path / "files", 10 * (kills + 2))
    words = ["import", "auto", tmp_path / "files", "--split", "train"]
    done(*words, "-o", tmp_path / "whole")
    run_killed([*words, "-o", tmp_path / "killed", "--resume"], kills=kills, changes=SMALL_BLOCKS)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")

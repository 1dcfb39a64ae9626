import hashlib
from pathlib import Path

import pytest
import torch
from commands import done
from killed import run_killed
from safetensors.torch import save_file

from novelweights.cli.options import size_in_bytes
from novelweights.errors import InputError
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


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


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
    assert "--overwrite" in done(*words, code=2)
    done(*words, "--overwrite", "--steps", "last")
    assert list(read_checkpoints(tmp_path / "p").records.step) == [3, 3]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--split", "trian"], "did you mean 'train'"),
        (["--steps", "first"], "unknown choice of steps"),
        (["--max-bytes", "much"], "16GiB"),
        (["--max-bytes", "100"], "--max-bytes"),
        (["--include", "none*"], "no parameter is left"),
        (["--pattern", "{run}", "--records", "x.csv"], "leave one out"),
    ],
)
def test_what_cannot_be_imported_is_told_in_one_line(
    tmp_path: Path, words: list[str], says: str, capsys: pytest.CaptureFixture
) -> None:
    write_states(tmp_path / "files", 40)
    result = done("import", "auto", tmp_path / "files", "-o", tmp_path / "p", *words, code=2)
    [line] = [line for line in result.splitlines() if line.startswith("error:")]
    assert says in line
    assert not (tmp_path / "p").exists()


def test_an_unknown_format_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    write_states(tmp_path / "files", 2)
    said = done("import", "state-dict", tmp_path / "files", "-o", tmp_path / "p", code=2)
    assert "did you mean 'state-dicts'" in said


@pytest.mark.parametrize(
    ("text", "size"), [("8e9", 8 * 10**9), ("16GiB", 16 << 30), ("1.5 mb", 1_500_000), ("7", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert size_in_bytes(text) == size
    with pytest.raises(InputError):
        size_in_bytes(f"{text}x")


def test_checkpoints_that_are_not_finite_are_named(tmp_path: Path) -> None:
    write_states(tmp_path / "files", 5)
    save_file(
        {"hidden.weight": torch.full((3, 4), torch.nan)} | dict(_rest()),
        tmp_path / "files" / "run3.safetensors",
    )
    said = done("import", "auto", tmp_path / "files", "-o", tmp_path / "p", code=2)
    assert "NaN or infinite weights in run3;" in said


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
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")

"""`plan` and `lint` as a user gives them."""

import json
from pathlib import Path

import pytest
import torch
from commands import done, fails, run
from folders import write_states

from novelweights.readers import read_checkpoints


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checks") / "zoo"
    done("zoo", "build", "digits-mlp", "-o", folder, "--runs", 12, "--heldout-runs", 9)
    return folder


@pytest.fixture
def files(zoo: Path, tmp_path: Path) -> Path:
    """The training runs as a folder of state dicts."""
    train = read_checkpoints(zoo, split="train")
    return write_states(tmp_path / "files", train.layout, train.weights)


def test_plan_tells_what_is_in_reach(zoo: Path) -> None:
    result = done("plan", "--train", zoo, "--heldout-runs", 200, "--samples", 200)
    assert "12 training checkpoints of 12 runs" in result
    assert "permutations of the 10 hidden neurons" in result
    assert "NO " not in result
    assert "With 200 held-out runs and 200 samples, copies of 2.4% of them" in result


def test_plan_counts_the_held_out_runs_of_the_folder(zoo: Path, files: Path) -> None:
    planned = json.loads(run("plan", "--train", zoo, "--samples", 50, "--json").stdout)
    assert (planned["n_train"], planned["n_heldout"], planned["m"]) == (12, 9, 50)
    assert planned["limits"].startswith("with 9 held-out runs and 50 samples")
    planned = json.loads(run("plan", "--train", files, "--json").stdout)
    assert (planned["n_train"], planned["n_heldout"], planned["m"]) == (12, 100, 200)
    text = run("plan", "--train", files, "--heldout-runs", 0).stdout
    assert "for want of held-out runs" in text
    assert "With 12 training runs and 200 samples" in text


def test_plan_says_that_one_run_is_not_identifiable(tmp_path: Path) -> None:
    done("zoo", "build", "digits-mlp", "-o", tmp_path / "z", "--runs", 1)
    result = done("plan", "--train", tmp_path / "z")
    assert "1 training run: not identifiable; needs 3 training runs" in result


def test_plan_refuses_what_it_cannot_read(tmp_path: Path, files: Path) -> None:
    fails("plan", "--train", tmp_path / "none", code="not-found", named=tmp_path / "none")
    state = torch.load(files / "03.pt", weights_only=True)
    state["hidden.bias"][0] = float("nan")
    torch.save(state, files / "03.pt")
    fails("plan", "--train", files, code="not-finite", named="row 3")


def test_lint_of_a_clean_folder_ends_with_code_0(zoo: Path, files: Path) -> None:
    for folder in (zoo, files):
        result = done("lint", folder)
        assert "0 errors, 0 warnings, " in result
    done("lint", files, "--heldout", files, code=1)


def test_lint_of_a_broken_folder_tells_all_and_ends_with_code_1(files: Path) -> None:
    (files / "00.pt").write_bytes(b"broken")
    (files / "copy.pt").write_bytes((files / "01.pt").read_bytes())
    state = torch.load(files / "02.pt", weights_only=True)
    torch.save({k: v.half() for k, v in state.items()}, files / "02.pt")
    result = done("lint", files, code=1)
    assert "2 errors, 1 warning, 0 notes" in result
    for words in ("00.pt (expected", "01.pt = copy.pt", "1 file in float16"):
        assert words in result
    told = json.loads(run("lint", files, "--json").stdout)
    assert told["counts"] == {"error": 2, "warning": 1, "note": 0}
    assert told["findings"][0]["severity"] == "error"
    assert all(set(f) >= {"what", "count", "examples", "remedy"} for f in told["findings"])


def test_lint_with_warnings_only_ends_with_code_0(files: Path) -> None:
    state = torch.load(files / "02.pt", weights_only=True)
    torch.save({k: v.half() for k, v in state.items()}, files / "02.pt")
    done("lint", files)


def test_lint_refuses_what_holds_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fails("lint", tmp_path / "none", code="not-found", named=tmp_path / "none")
    fails("lint", tmp_path / "empty", code="not-recognized", named=tmp_path / "empty")
    (tmp_path / "empty" / "progress.json").write_text("{}")
    fails("lint", tmp_path / "empty", code="unfinished", named=tmp_path / "empty")

from pathlib import Path

import pytest
from folders import contents
from killed import run_killed

from novelweights.zoos import find_zoo, independent_runs
from novelweights.zoos.building import build

pytestmark = pytest.mark.integration

SMALL_BLOCKS = """
import novelweights.zoos.building
from novelweights.zoos import independent_runs
independent_runs.BLOCK_RUNS = 1
"""


@pytest.mark.parametrize(("kills", "runs"), [(2, 8), pytest.param(30, 140, marks=pytest.mark.slow)])
def test_a_build_that_is_killed_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int, runs: int
) -> None:
    monkeypatch.setattr(independent_runs, "BLOCK_RUNS", 1)
    build(find_zoo("digits-mlp"), tmp_path / "whole", runs=runs, heldout_runs=runs // 4)
    words = ["zoo", "build", "digits-mlp", "-o", tmp_path / "killed", "--resume"]
    words += ["--runs", runs, "--heldout-runs", runs // 4]
    run_killed(words, kills=kills, changes=SMALL_BLOCKS)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"killed", "whole"}

"""Run folders of invented audits with their reports, made once."""

import shutil
from pathlib import Path

import pytest
from pages import write_draft
from synthetic import KINDS, write_run

from novelweights.report.page import build_report


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run folder of each kind with its page; figures of the first kind alone, as they cost."""
    root = tmp_path_factory.mktemp("runs")
    folders = {kind: write_run(root / kind, kind) for kind in KINDS}
    for kind, folder in folders.items():
        (build_report if kind == KINDS[0] else write_draft)(folder)
    return folders


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    """A run folder that may be damaged."""
    return Path(shutil.copytree(runs["bare"], tmp_path / "run"))

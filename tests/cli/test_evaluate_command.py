"""`novelweights evaluate` as a user gives it, and the summary written again."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from novelweights.cli.main import app
from novelweights.evaluate import summarize


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "noise"
    words = ("evaluate", "noise", "--zoo", "digits-mlp", "-o", folder, "--runs", 20)
    result = run(*words, "--heldout-runs", 20, "-n", 20, "--seed", 1)
    assert result.exit_code == 0, result.output
    assert "verdict: " in result.stdout
    assert f"page: {folder / 'audit' / 'report.html'}" in result.stdout
    assert f"summary: {folder / 'summary.md'}" in result.stdout
    return folder


def test_everything_is_in_one_folder(evaluated: Path) -> None:
    names = {path.name for path in evaluated.iterdir()}
    assert names == {"zoo", "model", "samples", "audit", "evaluation.json", "stages.json"} | {
        "summary.md",
        "summary.json",
    }
    stages = json.loads((evaluated / "stages.json").read_text())
    assert list(stages["seconds"]) == ["zoo", "fit", "sample", "audit"]
    page = (evaluated / "summary.md").read_text()
    assert "novelweights evaluate noise --zoo digits-mlp --runs 20 --heldout-runs 20" in page
    assert "digits (scikit-learn" in page


def test_page_and_summary_are_made_again_from_the_files_alone(evaluated: Path) -> None:
    files = [evaluated / "summary.md", evaluated / "summary.json"]
    files.append(evaluated / "audit" / "report.html")
    before = [path.read_bytes() for path in files]
    for path in files:
        path.unlink()
    result = run("report", evaluated)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 2
    assert [path.read_bytes() for path in files] == before


def test_steering_done_later_comes_into_the_summary(evaluated: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated, tmp_path / "copy"))
    (folder / "steering").mkdir()
    told = {"summary": {"sentence": "The prompt steers."}}
    (folder / "steering" / "steering.json").write_text(json.dumps(told))
    assert "The prompt steers." in summarize(folder).read_text()


def test_damaged_evaluation_is_refused_in_one_line(evaluated: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated, tmp_path / "copy"))
    (folder / "evaluation.json").write_text("{}")
    result = run("report", folder)
    assert result.exit_code == 2
    assert "evaluation.json or generator.json lacks or misstates 'method'" in result.stderr

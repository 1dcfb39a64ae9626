"""`novelweights evaluate` as a user gives it, and the summary written again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import done, fails

from novelweights.generators.store import model_digest
from novelweights.pipeline_summary import summarize
from novelweights.studies.steering.page import write_steering
from novelweights.studies.steering.summary import Steering
from novelweights.studies.steering.summary import summarize as summarize_steering

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "noise"
    words = ("evaluate", "noise", "--zoo", "digits-mlp", "-o", folder, "--runs", 20)
    result = done(*words, "--heldout-runs", 20, "-n", 20, "--seed", 1)
    assert "verdict: " in result
    assert f"page: {folder / 'audit' / 'report.html'}" in result
    assert f"summary: {folder / 'summary.md'}" in result
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


def steered(folder: Path, **about: object) -> None:
    """Steering by a planted generator that follows its prompts, in the true files."""
    prompts, n_starts = np.array([0.0, 0.1, 0.5, 2.5]), 8
    asked = np.repeat(prompts, n_starts)
    steering = Steering(
        prompt=asked,
        start=np.tile(np.arange(n_starts), len(prompts)),
        start_loss=np.full(len(asked), 2.3),
        achieved=np.maximum(asked, 0.1),
        accuracy=np.full(len(asked), 90.0),
        loss_range=(0.1, 2.5),
    )
    told = summarize_steering(steering, rng=np.random.default_rng(0))
    folder.mkdir(exist_ok=True)
    write_steering(folder, steering, told, about)


def test_steering_done_later_comes_into_the_summary(evaluated: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated, tmp_path / "copy"))
    steered(folder / "steering", model_sha256=model_digest(evaluated / "model"))
    page = summarize(folder).read_text()
    assert "## Steering\n\nThe prompt steers: the lower of two prompts gave the lower loss" in page
    done("report", folder)
    assert (folder / "steering" / "report.html").exists()


@pytest.mark.parametrize("about", [{"model_sha256": "0" * 64}, {}])
def test_steering_of_another_model_is_left_out(
    evaluated: Path, tmp_path: Path, about: dict[str, object]
) -> None:
    folder = Path(shutil.copytree(evaluated, tmp_path / "copy"))
    steered(folder / "steering", **about)
    assert "Steering" not in summarize(folder).read_text()


def test_a_model_is_known_by_its_settings_and_weights(evaluated: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(evaluated / "model", tmp_path / "copy"))
    known = model_digest(evaluated / "model")
    assert model_digest(copy) == known
    [weights, *_] = copy.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert model_digest(copy) != known


class Changed(dict):
    """Entries of a file that are others."""


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("evaluation.json", {}),
        ("evaluation.json", [1]),
        ("evaluation.json", {"method": "g-pt"}),
        ("stages.json", {}),
        ("stages.json", [1]),
        ("stages.json", {"seconds": 3}),
        ("stages.json", {"seconds": {"zoo": "x"}}),
        ("stages.json", {"seconds": {"zoo": 1.5}, "cores": "two"}),
        ("model/generator.json", []),
        ("model/generator.json", {"method": "noise"}),
        ("steering/steering.json", {"summary": {"sentence": "The prompt steers."}}),
        ("steering/steering.json", [1]),
        ("evaluation.json", Changed(method="g-tp")),
        ("evaluation.json", Changed(seed=None)),
        ("model/generator.json", Changed(settings={"std": 0.1, "steps": "many"})),
        ("model/generator.json", Changed(settings={})),
        ("model/generator.json", Changed(training=[1])),
        ("model/generator.json", Changed(training={"rows": "many"})),
        ("model/generator.json", Changed(parameters="378M")),
    ],
)
def test_a_damaged_file_is_named_in_one_line(
    evaluated: Path, tmp_path: Path, file: str, content: object
) -> None:
    path = Path(shutil.copytree(evaluated, tmp_path / "copy")) / file
    path.parent.mkdir(exist_ok=True)
    if isinstance(content, Changed):
        content = json.loads(path.read_text()) | content
    path.write_text(json.dumps(content))
    fails("report", tmp_path / "copy", code="damaged", named=path)


def test_an_evaluation_goes_on_only_with_readable_times(evaluated: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated, tmp_path / "copy"))
    shutil.rmtree(folder / "audit")
    (folder / "stages.json").write_text("[1]")
    words = ("evaluate", "noise", "--zoo", "digits-mlp", "-o", folder, "--runs", 20)
    words = (*words, "--heldout-runs", 20, "-n", 20, "--seed", 1, "--resume")
    fails(*words, code="damaged", named="stages.json")
    (folder / "stages.json").unlink()
    done(*words)
    assert list(json.loads((folder / "stages.json").read_text())["seconds"]) == ["audit"]

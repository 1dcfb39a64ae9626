"""A generator that is sampled in several ways: by `evaluate`, `report`, `sample` and `audit`."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from commands import done, fails, run
from refused import refused

from novelweights.generators import sampled_by
from novelweights.generators.generator import DrawsFromSome, HasSamplers
from novelweights.generators.store import load_fitted
from novelweights.readers import read_checkpoints
from novelweights.weights.writer import save_population

pytestmark = pytest.mark.integration

WORDS = ("evaluate", "hyper-representations", "--zoo", "digits-mlp-steps", "--scale", "smoke")
SIZES = ("--runs", 20, "--heldout-runs", 20, "--checkpoints", 3, "-n", 8)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    result = done(*WORDS, "-o", folder, *SIZES)
    for told in (
        "verdict (shared): ",
        f"page: {folder / 'audit' / 'report.html'}",
        "verdict (independent): ",
        f"page: {folder / 'audit-independent' / 'report.html'}",
        f"summary: {folder / 'summary.md'}",
    ):
        assert told in result
    return folder


def stages(folder: Path) -> list[str]:
    return list(json.loads((folder / "stages.json").read_text())["seconds"])


def test_each_sampler_leaves_samples_and_an_audit(evaluated: Path) -> None:
    names = {path.name for path in evaluated.iterdir() if path.is_dir()}
    other = {"samples-independent", "audit-independent"}
    assert names == {"zoo", "model", "samples", "audit", *other}
    parts = ["sample", "audit", "sample-independent", "audit-independent"]
    assert stages(evaluated) == ["zoo", "fit", *parts]
    one, other = (read_checkpoints(evaluated / name) for name in ("samples", "samples-independent"))
    assert not torch.equal(one.weights, other.weights)
    assert one.info.provenance.sampler == "shared"
    assert other.info.settings["shared_draws"] is False
    page = (evaluated / "audit-independent" / "report.html").read_text()
    assert "hyper-representations, sampler independent" in page


def test_noise_is_added_to_reconstructions_of_what_the_generator_draws_from(
    evaluated: Path,
) -> None:
    fitted, _ = load_fitted(evaluated / "model")
    assert isinstance(fitted, DrawsFromSome)
    parents = fitted.parents(read_checkpoints(evaluated / "zoo", split="train"))
    about = json.loads((evaluated / "audit" / "audit.json").read_text())["about"]
    runs = len(set(parents.records.run))
    assert about["noise_from"] == {"n": len(parents), "runs": runs}
    assert about["through_codec"] is True
    page = (evaluated / "summary.md").read_text()
    assert f"chosen reconstructions ({len(parents)}, from {runs} runs)" in page
    assert "compared as the generator's codec gives them back" in page
    assert "| Reconstruction loss on held-out over loss on training | " in page


def test_pages_and_summary_are_made_again_from_the_files_alone(evaluated: Path) -> None:
    files = [evaluated / "summary.md", evaluated / "summary.json"]
    files += [evaluated / name / "report.html" for name in ("audit", "audit-independent")]
    before = [path.read_bytes() for path in files]
    for path in files:
        path.unlink()
    result = run("report", evaluated)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("page: ") == 2
    assert [path.read_bytes() for path in files] == before


def test_an_interrupted_evaluation_keeps_the_audit_that_is_complete(
    evaluated: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(evaluated, tmp_path / "copy"))
    for name in ("summary.md", "summary.json"):
        (folder / name).unlink()
    shutil.rmtree(folder / "audit-independent")
    kept = folder / "audit" / "audit.json"
    before = kept.stat().st_mtime_ns
    result = done(*WORDS, "-o", folder, *SIZES, "--resume")
    assert "verdict (shared): " in result
    assert kept.stat().st_mtime_ns == before
    audits = [path / "audit-independent" / "checkpoints.csv" for path in (folder, evaluated)]
    assert audits[0].read_bytes() == audits[1].read_bytes()
    assert (folder / "summary.md").is_file()


def test_a_sampler_is_chosen_by_name(evaluated: Path, tmp_path: Path) -> None:
    model = evaluated / "model"
    named = ("sample", model, "--sampler", "independent", "-n", 8, "-o", tmp_path / "samples")
    done(*named)
    one, other = (
        read_checkpoints(path) for path in (tmp_path / "samples", evaluated / "samples-independent")
    )
    assert torch.equal(one.weights, other.weights)
    assert one.info.settings == other.info.settings
    fails(
        *("sample", model, "--sampler", "independant", "-o", tmp_path / "never"),
        code="unknown-name",
        named="'independent'",
    )
    run("fit", "noise", "--population", evaluated / "zoo", "-o", tmp_path / "noise")
    fails(
        *("sample", tmp_path / "noise", "--sampler", "shared", "-o", tmp_path / "never"),
        code="wrong-option",
        named="--sampler shared",
    )
    assert not (tmp_path / "never").exists()


def test_only_generators_with_samplers_have_them(evaluated: Path) -> None:
    fitted, method = load_fitted(evaluated / "model")
    assert isinstance(fitted, HasSamplers)
    made = sampled_by(fitted, method, "independent").sample(1, rng=torch.Generator())
    assert made.info.settings["shared_draws"] is False
    with refused("wrong-option", "g-pt"):
        sampled_by(fitted, "g-pt", "shared")


def test_noise_is_added_to_the_checkpoints_of_a_folder(evaluated: Path, tmp_path: Path) -> None:
    train = read_checkpoints(evaluated / "zoo", split="train")
    save_population(train.select([2, 5, 8]), tmp_path / "chosen")
    words = ("audit", "--train", evaluated / "zoo", "--generated", evaluated / "samples")
    words = (*words, "--noise-from", tmp_path / "chosen", "--task", "none")
    words = (*words, "-o", tmp_path / "run")
    done(*words)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["inputs"]["noise_from"]["rows"] == 3
    assert f"--noise-from {tmp_path / 'chosen'}" in manifest["command"]
    audit = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert audit["about"]["noise_from"]["n"] == 3

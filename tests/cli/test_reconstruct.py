"""`novelweights reconstruct` from a zoo to the page at smoke scale."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from commands import done, fails, run
from planted import audit

from novelweights.cli.reconstruct import PARTS
from novelweights.files import require_new
from novelweights.generators.calling import reconstructed
from novelweights.generators.store import load_fitted, model_digest
from novelweights.pipeline_summary import _study
from novelweights.readers import read_checkpoints
from novelweights.reproduce.reported import REPORTED
from novelweights.seeding import rng_for
from novelweights.tasks import make_task


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small zoo, hyper-representations fitted to it, and one reconstruction run."""
    folder = tmp_path_factory.mktemp("reconstruct")
    for made in (
        run("zoo", "build", "digits-mlp", "-o", folder / "zoo", "--runs", 9, "--heldout-runs", 5),
        run(
            *("fit", "hyper-representations", "--population", folder / "zoo"),
            *("-o", folder / "model", "--scale", "smoke", "--steps", 3),
        ),
        run("reconstruct", folder / "model", "--population", folder / "zoo", "-o", folder / "run"),
    ):
        assert made.exit_code == 0, made.output
    return folder


def test_reconstruct_leaves_the_numbers_the_table_and_the_page(chain: Path) -> None:
    data = json.loads((chain / "run" / "reconstruction.json").read_text())
    about = data["about"]
    assert about["method"] == "hyper-representations"
    assert about["task"] == "digits"
    assert about["model_sha256"] == model_digest(chain / "model")
    assert about["is_of_fit"] is True
    assert {role: entry["rows"] for role, entry in about["inputs"].items()} == {
        "training": 9,
        "heldout": 5,
    }
    assert (about["reordered_groups"], about["flipped_groups"]) == (["h"], [])
    quantities = {entry["key"]: entry for entry in data["summary"]["quantities"]}
    assert quantities["kept_permuted"]["value"] == 1
    assert quantities["accuracy_original"]["value"] > 80
    assert quantities["accuracy_change_heldout"]["n"] == 5
    assert set(data["summary"]["answers"]) == {"permuted"}
    assert data["paper"]["numbers"]["error_similarity_permuted"]["text"] == "0.62"
    assert set(data["paper"]["numbers"]) < set(REPORTED["hyper-representations"].numbers)
    table = pd.read_csv(chain / "run" / "reconstruction.csv")
    assert len(table) == 2 * 9 + 2 * 4 + 2 * 5 + 2 * 2
    names = {path.name for path in (chain / "run").iterdir()}
    assert names == {"reconstruction.json", "reconstruction.csv", "report.html", "figures"}
    assert "No neurons of these networks may change" in (chain / "run/report.html").read_text()


@pytest.mark.integration
def test_equal_seeds_give_equal_pairs_and_overwrite_replaces(chain: Path, tmp_path: Path) -> None:
    words = ("reconstruct", chain / "model", "--population", chain / "zoo", "-o", tmp_path / "run")
    again = done(*words)
    assert "networks: 9 training and 5 held-out runs" in again
    assert "page: " in again
    one, other = (
        json.loads((folder / "run/reconstruction.json").read_text()) for folder in (chain, tmp_path)
    )
    assert one["rows"] == other["rows"]
    assert one["summary"] == other["summary"]
    fails(*words, code="exists")
    few = done(*words, "--networks", 4, "--seed", 1, "--overwrite")
    assert "networks: 4 training and 4 held-out runs" in few
    assert "4 training runs, of which 8 are needed" in few


@pytest.mark.integration
def test_what_cannot_be_reconstructed_ends_in_one_line(chain: Path, tmp_path: Path) -> None:
    model, zoo, out = chain / "model", chain / "zoo", tmp_path / "out"
    done("fit", "noise", "--population", zoo, "-o", tmp_path / "noise")
    words = ("zoo", "build", "digits-wide-mlp-steps", "--runs", 2, "--checkpoints", 2)
    words += ("-o", tmp_path / "wide", "--heldout-runs", 0, "--start-runs", 0)
    done(*words)
    for words, code, named in (
        ((tmp_path / "noise", "--population", zoo), "unsuited", "noise"),
        ((zoo, "--population", zoo), "not-found", zoo),
        ((model, "--population", tmp_path / "none"), "not-found", tmp_path / "none"),
        ((model, "--population", zoo, "--task", "digit"), "unknown-name", "'digits'"),
        ((model, "--population", zoo, "--task", "none"), "wrong-option", zoo),
        ((model, "--population", zoo, "--task", "mnist-5k"), "other-network", "mnist-5k"),
        ((model, "--population", tmp_path / "wide"), "other-network", "hidden.weight"),
    ):
        fails("reconstruct", *words, "-o", out, code=code, named=named)
        assert not out.exists()


@pytest.mark.integration
def test_without_heldout_runs_or_a_task_of_its_own_a_population_is_taken(
    chain: Path, tmp_path: Path
) -> None:
    words = ("zoo", "build", "digits-mlp", "-o", tmp_path / "zoo", "--runs", 3)
    done(*words, "--heldout-runs", 0)
    told = tmp_path / "zoo" / "population.json"
    described = json.loads(told.read_text()) | {"task": None, "symmetry": None}
    told.write_text(json.dumps(described))
    words = ("reconstruct", chain / "model", "--population", tmp_path / "zoo")
    made = done(*words, "-o", tmp_path / "run")
    assert "networks: 3 training runs; no held-out runs in" in made
    data = json.loads((tmp_path / "run/reconstruction.json").read_text())
    assert data["about"]["task"] == "digits"  # of the generator
    assert {row["split"] for row in data["rows"]} == {"training"}
    assert "these are not the checkpoints it was fitted to" in made
    assert data["about"]["is_of_fit"] is False


@pytest.mark.integration
def test_of_an_older_model_it_is_not_known_what_it_was_fitted_to(
    chain: Path, tmp_path: Path
) -> None:
    shutil.copytree(chain / "model", tmp_path / "model")
    told = tmp_path / "model" / "generator.json"
    described = json.loads(told.read_text())
    del described["training"]["sha256"]
    told.write_text(json.dumps(described))
    words = ("--population", chain / "zoo", "-o", tmp_path / "run")
    made = done("reconstruct", tmp_path / "model", *words)
    assert "not the checkpoints" not in made
    about = json.loads((tmp_path / "run/reconstruction.json").read_text())["about"]
    assert about["is_of_fit"] is None
    assert "never saw" not in (tmp_path / "run/report.html").read_text()


@pytest.mark.integration
def test_written_reconstructions_give_the_audit_inside_an_evaluation(
    chain: Path, tmp_path: Path
) -> None:
    written, population = tmp_path / "written", ("--population", chain / "zoo")
    words = ("reconstruct", chain / "model", *population, "--networks", 2, "--write", written)
    made = done(*words, "-o", tmp_path / "run")
    assert f"--noise-from {written / 'parents'}" in made.replace("\n", "")
    train, heldout = (read_checkpoints(chain / "zoo", split=s) for s in ("train", "heldout"))
    fitted, _ = load_fitted(chain / "model")
    task, generated = make_task("digits"), fitted.sample(9, rng=rng_for(0))
    inside: dict[str, Any] = dict(reconstructed(fitted, train, heldout))
    outside: dict[str, Any] = {
        role: read_checkpoints(written / part, split="heldout" if part == "heldout" else "train")
        for part, role in PARTS.items()
    }
    one, other = (
        audit(train, generated, heldout=heldout, task=task, n_controls=0, **given)
        for given in (inside, outside)
    )
    assert one.quantities == other.quantities
    assert one.about == other.about
    assert one.baseline_notes == other.baseline_notes
    fails(*words, "-o", tmp_path / "other", code="exists")
    inside_it = (tmp_path / "other" / "in", "-o", tmp_path / "other")
    fails(*words[:-1], *inside_it, code="wrong-option", named="--write")


@pytest.mark.integration
def test_an_evaluation_tells_what_the_reconstructions_of_its_model_show(
    chain: Path, tmp_path: Path
) -> None:
    for name, there in (("model", "model"), ("run", "reconstruction")):
        shutil.copytree(chain / name, tmp_path / there)
    told = json.loads((chain / "run/reconstruction.json").read_text())["summary"]["sentence"]
    assert _study(tmp_path, "reconstruction") == told
    (tmp_path / "evaluation.json").write_text("{}")
    require_new(tmp_path, kind="evaluation.json", overwrite=True)
    (tmp_path / "model" / "generator.json").write_text("{}")
    assert _study(tmp_path, "reconstruction") is None

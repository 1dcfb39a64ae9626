"""`novelweights reconstruct` from a zoo to the page at smoke scale."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from test_commands import fails, run

from novelweights.generators.store import model_digest
from novelweights.reproduce.reported import REPORTED


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


def test_equal_seeds_give_equal_pairs_and_overwrite_replaces(chain: Path, tmp_path: Path) -> None:
    words = ("reconstruct", chain / "model", "--population", chain / "zoo", "-o", tmp_path / "run")
    again = run(*words)
    assert again.exit_code == 0, again.output
    assert "networks: 9 training and 5 held-out runs" in again.stdout
    assert "page: " in again.stdout
    one, other = (
        json.loads((folder / "run/reconstruction.json").read_text()) for folder in (chain, tmp_path)
    )
    assert one["rows"] == other["rows"]
    assert one["summary"] == other["summary"]
    fails(*words, says="expected a new or empty folder")
    few = run(*words, "--networks", 4, "--seed", 1, "--overwrite")
    assert few.exit_code == 0, few.output
    assert "networks: 4 training and 4 held-out runs" in few.stdout
    assert "4 training runs, of which 8 are needed" in few.stdout


def test_report_draws_a_reconstruction_run_again(chain: Path, tmp_path: Path) -> None:
    shutil.copytree(chain / "run", tmp_path / "run")
    page = tmp_path / "run" / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert run("report", tmp_path / "run").exit_code == 0
    assert page.read_bytes() == before


def test_what_cannot_be_reconstructed_ends_in_one_line(chain: Path, tmp_path: Path) -> None:
    def attempt(
        *words: object,
        model: Path = chain / "model",
        population: Path = chain / "zoo",
        says: str,
    ) -> None:
        fails(
            "reconstruct",
            *(model, "--population", population, "-o", tmp_path / "out", *words),
            says=says,
        )
        assert not (tmp_path / "out").exists()

    fitted = run("fit", "noise", "--population", chain / "zoo", "-o", tmp_path / "noise")
    assert fitted.exit_code == 0
    attempt(model=tmp_path / "noise", says="noise gives checkpoints back as they are")
    attempt(model=chain / "zoo", says="expected the folder of a fitted generator")
    attempt(population=tmp_path / "none", says="there is nothing of that name")
    attempt("--task", "digit", says="did you mean 'digits'")
    attempt("--task", "none", says="expected one that knows errors")
    attempt("--task", "mnist-5k", says="name the task that fits it")
    built = ("zoo", "build", "digits-wide-mlp-steps", "--runs", 2, "--checkpoints", 2)
    words = ("-o", tmp_path / "wide", "--heldout-runs", 0, "--start-runs", 0)
    assert run(*built, *words).exit_code == 0
    attempt(population=tmp_path / "wide", says="hold different networks")


def test_without_heldout_runs_or_a_task_of_its_own_a_population_is_taken(
    chain: Path, tmp_path: Path
) -> None:
    words = ("zoo", "build", "digits-mlp", "-o", tmp_path / "zoo", "--runs", 3)
    assert run(*words, "--heldout-runs", 0).exit_code == 0
    told = tmp_path / "zoo" / "population.json"
    described = json.loads(told.read_text()) | {"task": None, "symmetry": None}
    told.write_text(json.dumps(described))
    made = run(
        *("reconstruct", chain / "model", "--population", tmp_path / "zoo"),
        *("-o", tmp_path / "run"),
    )
    assert made.exit_code == 0, made.output
    assert "networks: 3 training runs; no held-out runs in" in made.stdout
    data = json.loads((tmp_path / "run/reconstruction.json").read_text())
    assert data["about"]["task"] == "digits"  # of the generator
    assert {row["split"] for row in data["rows"]} == {"training"}

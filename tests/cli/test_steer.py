"""`novelweights steer` from a zoo to the page at smoke scale, and prompts given to `sample`."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from commands import done, fails, run

from novelweights.generators.store import model_digest
from novelweights.readers import read_checkpoints
from novelweights.tasks import make_task


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trajectory zoo with starts, g-pt fitted to it, and one steering run."""
    folder = tmp_path_factory.mktemp("steer")
    words = ("--runs", 4, "--heldout-runs", 0, "--checkpoints", 6, "--start-runs", 9)
    for made in (
        run("zoo", "build", "digits-mlp-steps", "-o", folder / "zoo", *words),
        run(
            *("fit", "g-pt", "--population", folder / "zoo", "-o", folder / "model"),
            *("--scale", "smoke", "--steps", 3),
        ),
        run(
            *("steer", folder / "model", "--start", folder / "zoo", "-o", folder / "run"),
            *("--prompts", 3, "--starts", 8),
        ),
    ):
        assert made.exit_code == 0, made.output
    return folder


def test_steer_leaves_the_numbers_the_table_and_the_page(chain: Path) -> None:
    data = json.loads((chain / "run" / "steering.json").read_text())
    assert data["about"]["method"] == "g-pt"
    assert data["about"]["task"] == "digits"
    assert data["about"]["model_sha256"] == model_digest(chain / "model")
    assert (data["about"]["samples"], data["about"]["starts"]) == (8 * 4, 8)
    assert data["about"]["inputs"]["start"]["rows"] == 9
    least, greatest = data["loss_range"]
    assert [row["prompt"] for row in data["rows"][:4]] == pytest.approx(
        [0, least, (least * greatest) ** 0.5, greatest], rel=1e-4
    )
    assert [row["seen"] for row in data["rows"][:4]] == [False, True, True, True]
    trained = read_checkpoints(chain / "zoo", split="train")
    assert least == pytest.approx(trained.records.scores["test_loss"].min(), rel=1e-4)
    names = {path.name for path in (chain / "run").iterdir()}
    assert names == {"steering.json", "steering.csv", "report.html", "figures"}
    assert "digits" in (chain / "run" / "report.html").read_text()


@pytest.mark.integration
def test_equal_seeds_give_equal_samples_and_overwrite_replaces(chain: Path, tmp_path: Path) -> None:
    words = ("steer", chain / "model", "--start", chain / "zoo", "--prompts", 3)
    again = done(*words, "-o", tmp_path / "run", "--starts", 8)
    assert "page: " in again
    one, other = (json.loads((f / "run/steering.json").read_text()) for f in (chain, tmp_path))
    assert one["rows"] == other["rows"]
    assert one["summary"] == other["summary"]
    fails(*words, "-o", tmp_path / "run", code="exists")
    more = done(*words, "-o", tmp_path / "run", "--starts", 16, "--overwrite")
    assert "starts: 9 found" in more
    about = json.loads((tmp_path / "run/steering.json").read_text())["about"]
    assert about["starts"] == 9


@pytest.mark.integration
def test_what_cannot_be_steered_ends_in_one_line(chain: Path, tmp_path: Path) -> None:
    def attempt(
        *words: object,
        model: Path = chain / "model",
        start: Path = chain / "zoo",
        code: str,
        named: object = "",
    ) -> None:
        out = ("-o", tmp_path / "out", "--prompts", 2, "--starts", 2)
        fails("steer", model, "--start", start, *out, *words, code=code, named=named)
        assert not (tmp_path / "out").exists()

    done("fit", "noise", "--population", chain / "zoo", "-o", tmp_path / "noise")
    attempt(model=tmp_path / "noise", code="unsuited", named="noise")
    attempt(model=chain / "zoo", code="not-found", named=chain / "zoo")
    attempt(start=tmp_path / "none", code="not-found", named=tmp_path / "none")
    attempt("--task", "digit", code="unknown-name", named="'digits'")
    attempt("--prompts", 100_000, code="wrong-option", named="100,000")
    attempt("--task", "none", code="wrong-option", named="none")
    attempt("--task", "mnist-5k", code="other-network", named="mnist-5k")
    built = ("zoo", "build", "digits-mlp-steps", "--runs", 1, "--checkpoints", 2)
    for name, heldout in (("train", 0), ("both", 1)):
        words = (*built, "-o", tmp_path / name, "--heldout-runs", heldout, "--start-runs", 0)
        done(*words)
    attempt(start=tmp_path / "train", code="wrong-records", named=tmp_path / "train")
    attempt(start=tmp_path / "both", code="not-found", named=tmp_path / "both")
    (tmp_path / "other").mkdir()
    torch.save({"other.weight": torch.zeros(2, 2)}, tmp_path / "other" / "0.pt")
    attempt(start=tmp_path / "other", code="other-network", named="start")
    nameless = Path(shutil.copytree(chain / "model", tmp_path / "nameless"))
    described = json.loads((nameless / "generator.json").read_text()) | {"task": None}
    (nameless / "generator.json").write_text(json.dumps(described))
    attempt(model=nameless, code="wrong-option", named=nameless)
    done("steer", chain / "model", "--start", chain / "zoo", "-o", "x", "--prompts", 1, code=2)


@pytest.mark.integration
def test_sample_takes_a_prompt_and_recursions_where_the_generator_does(
    chain: Path, tmp_path: Path
) -> None:
    def sampled(name: str, *words: object) -> torch.Tensor:
        given = ("sample", chain / "model", "--start", chain / "zoo", "-n", 2)
        done(*given, "-o", tmp_path / name, *words)
        found = read_checkpoints(tmp_path / name)
        told.append((found.info.settings["prompt"], found.info.settings["recursions"]))
        return found.weights

    told: list[tuple[float, int]] = []
    plain, zero = sampled("plain"), sampled("zero", "--prompt", 0)
    assert torch.equal(plain, zero)
    assert not torch.equal(plain, sampled("one", "--prompt", 1))
    assert not torch.equal(plain, sampled("twice", "--recursions", 2))
    assert told == [(0, 1), (0, 1), (1, 1), (0, 2)]


@pytest.mark.integration
def test_between_passes_the_true_loss_is_measured(
    chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    task = type(make_task("digits"))
    loss = task.loss
    monkeypatch.setattr(
        task, "loss", lambda self, some: measured.append(len(some)) or loss(self, some)
    )
    words = ("sample", chain / "model", "--start", chain / "zoo", "-n", 3, "-o")
    done(*words, tmp_path / "once")
    assert measured == []
    done(*words, tmp_path / "thrice", "--recursions", 3)
    assert measured == [3, 3]


@pytest.mark.integration
def test_generators_without_prompts_refuse_the_flags(chain: Path, tmp_path: Path) -> None:
    done("fit", "average", "--population", chain / "zoo", "-o", tmp_path / "m", "--of", 2)
    words = ("sample", tmp_path / "m", "-o", tmp_path / "s")
    fails(*words, "--prompt", 0, code="wrong-option", named="--prompt: average")
    fails(*words, "--recursions", 2, code="wrong-option", named="--recursions: average")
    given = ("sample", chain / "model", "--start", chain / "zoo", "-o", tmp_path / "s")
    fails(*given, "--prompt", "inf", code="wrong-option", named="--prompt")

"""The commands as a user gives them: the whole chain at smoke scale, and what goes wrong."""

import csv
import errno
import json
import shutil
from pathlib import Path

import pytest
import torch
from commands import done, fails, run
from folders import write_states

from novelweights import api, pipeline
from novelweights.auditing import stages
from novelweights.readers import read_checkpoints
from novelweights.seeding import rng_for
from novelweights.weights.symmetry import random_transform


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, quick: None, few_controls: None) -> Path:
    """A zoo, a fitted generator, its samples and the audit of them."""
    folder = tmp_path_factory.mktemp("chain")
    zoo, model, samples = folder / "zoo", folder / "model", folder / "samples"
    done("zoo", "build", "digits-mlp", "-o", zoo, "--runs", 30, "--heldout-runs", 25)
    done("fit", "noise", "--population", zoo, "-o", model, "--std", 0.01)
    done("sample", model, "-n", 40, "-o", samples)
    audited = done("audit", "--train", zoo, "--generated", samples, "-o", folder / "run")
    assert "verdict: replica" in audited
    return folder


def test_audit_leaves_the_numbers_the_table_and_the_page(chain: Path) -> None:
    audit = json.loads((chain / "run" / "audit.json").read_text())
    assert audit["verdict"]["population"]["origin"] == "replica"
    assert audit["about"]["heldout"]["n"] == 25
    controls = {control["key"]: control["n"] for control in audit["verdict"]["controls"]}
    assert controls["copies"] == controls["average_2"] == stages.N_CONTROL
    with (chain / "run" / "checkpoints.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    assert {row["verdict"] for row in rows} == {"replica"}
    manifest = json.loads((chain / "run" / "manifest.json").read_text())
    assert set(manifest["inputs"]) == {"train", "generated", "heldout"}
    assert manifest["inputs"]["train"]["rows"] == 30
    page = (chain / "run" / "report.html").read_text()
    assert "copies its training checkpoints" in page


@pytest.mark.integration
def test_zoo_keeps_as_many_checkpoints_of_a_run_as_asked_for(tmp_path: Path) -> None:
    words = ("zoo", "build", "digits-mlp-steps", "-o", tmp_path / "zoo", "--runs", 2)
    words += ("--heldout-runs", 1)
    done(*words, "--checkpoints", 4, "--start-runs", 5)
    with (tmp_path / "zoo" / "records.csv").open() as file:
        rows = list(csv.DictReader(file))
    splits = [row["split"] for row in rows]
    assert splits == ["train"] * 8 + ["heldout"] * 4 + ["start"] * 5
    assert [row["step"] for row in rows[::4]] == ["0", "0", "0", "0", "0"]
    assert len(read_checkpoints(tmp_path / "zoo", split="start")) == 5
    again = (*words, "--overwrite", "--checkpoints")
    fails(*again, 1862, code="wrong-option", named="1861")
    done(*again, 0, code=2)


def test_generator_never_sees_held_out_runs(chain: Path) -> None:
    model = json.loads((chain / "model" / "generator.json").read_text())
    assert model["training"]["rows"] == 30


def test_report_is_rebuilt_from_the_numbers_alone(chain: Path, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(chain / "run", copied)
    page = (copied / "report.html").read_bytes()
    (copied / "report.html").unlink()
    shutil.rmtree(copied / "figures")
    done("report", copied)
    assert (copied / "report.html").read_bytes() == page


@pytest.mark.integration
def test_fail_on_ends_with_code_1_only_for_the_named_verdicts(chain: Path, tmp_path: Path) -> None:
    words = ("audit", "--train", chain / "zoo", "--generated", chain / "samples")
    done(*words, "-o", tmp_path / "a", "--fail-on", "replica", code=1)
    done(*words, "-o", tmp_path / "b", "--fail-on", "novel,broken")


@pytest.mark.integration
def test_folder_of_state_dicts_is_audited(chain: Path, tmp_path: Path) -> None:
    samples = read_checkpoints(chain / "samples")
    write_states(tmp_path / "states", samples.layout, samples.weights[:3])
    result = done(
        "audit", "--train", chain / "zoo", "--generated", tmp_path / "states", "-o", tmp_path / "r"
    )
    assert "replica" in result


@pytest.mark.integration
def test_without_symmetry_and_task_the_page_says_what_is_missing(
    chain: Path, tmp_path: Path
) -> None:
    result = done(
        *("audit", "--train", chain / "zoo", "--generated", chain / "samples"),
        *("-o", tmp_path / "r", "--symmetry", "none", "--task", "none"),
    )
    warnings = json.loads((tmp_path / "r" / "audit.json").read_text())["warnings"]
    assert {"no-symmetry", "no-task"} <= {warning["code"] for warning in warnings}
    assert "behavior: not judged" in result
    page = (tmp_path / "r" / "report.html").read_text()
    assert page.index("No task was given") < page.index("<h3>Verdict on each of the")


@pytest.mark.integration
def test_hyperdiffusion_is_fitted_from_flags(chain: Path, tmp_path: Path) -> None:
    done(
        *("fit", "hyperdiffusion", "--population", chain / "zoo", "-o", tmp_path / "m"),
        *("--scale", "smoke", "--steps", 3, "--width", 16),
    )
    described = json.loads((tmp_path / "m" / "generator.json").read_text())
    assert described["settings"]["steps"] == 3
    assert described["settings"]["width"] == 16
    assert (tmp_path / "m" / "loss.csv").read_text().startswith("step,loss\n1,")
    done("sample", tmp_path / "m", "-n", 2, "-o", tmp_path / "s")
    assert len(read_checkpoints(tmp_path / "s")) == 2


def test_every_setting_has_a_flag_with_an_explanation() -> None:
    text = run("fit", "hyperdiffusion", "--help").stdout
    for flag in ("--width", "--sampling-steps", "--ema-decay", "--precision", "--resume"):
        assert flag in text
    assert "DDIM steps" in text


@pytest.mark.parametrize("what", ["zoos", "generators", "tasks", "data"])
def test_lists_name_what_there_is(what: str) -> None:
    result = run("ls", what)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) >= 3


@pytest.mark.integration
def test_demo_runs_at_smoke_scale_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["demo", "-o", tmp_path / "d", "--runs", 24, "--heldout-runs", 24, "--samples", 10]
    words += ["--scale", "smoke"]

    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "audited", interrupted)
        fails(*words, code=None, status=130)
    before = (tmp_path / "d" / "model" / "denoiser.safetensors").stat().st_mtime_ns
    fails(*words, code="unfinished", named="--resume")
    result = done(*words, "--resume")
    assert "verdict: broken" in result  # 20 steps teach a denoiser next to nothing
    with (tmp_path / "d" / "audit" / "checkpoints.csv").open() as file:
        assert {row["works"] for row in csv.DictReader(file)} == {"False"}
    assert (tmp_path / "d" / "model" / "denoiser.safetensors").stat().st_mtime_ns == before
    fails(*words, "--seed", 1, "--resume", code="other-settings")


def test_wrong_words_are_answered_with_the_closest_name(chain: Path, tmp_path: Path) -> None:
    zoo, out = chain / "zoo", tmp_path / "out"
    audit = ("audit", "--train", zoo, "--generated", chain / "samples", "-o", out)
    fit = ("fit", "hyperdiffusion", "--population", zoo, "-o", out)
    for words, named in (
        (("zoo", "build", "digit-mlp", "-o", out), "'digits-mlp'"),
        (("fit", "hyperdifusion"), "'hyperdiffusion'"),
        (("ls", "zoo"), "'zoos'"),
        (("data", "fetch", "mnits"), "mnist"),
        ((*audit, "--task", "digit"), "'digits'"),
        ((*audit, "--symmetry", "atuo"), "'auto'"),
        ((*audit, "--fail-on", "replicas"), "'replica'"),
        ((*fit, "--scale", "smok"), "'smoke'"),
    ):
        fails(*words, code="unknown-name", named=named)
    fails(*fit, "--width", 30, "--heads", 4, code="wrong-option", named=30)
    assert not out.exists()


def test_wrong_folders_are_refused_in_one_line(chain: Path, tmp_path: Path) -> None:
    zoo, samples, model = (chain / name for name in ("zoo", "samples", "model"))
    empty, absent, mine, new, out = (tmp_path / n for n in ("empty", "no", "mine", "new", "out"))
    partial = tmp_path / "new.partial"
    for folder in (empty, mine, partial):
        folder.mkdir()
    for folder in (mine, partial):
        (folder / "thesis.tex").write_text("years of work")
    audit = ("audit", "--train", zoo, "--generated")
    for words, code, named in (
        ((*audit, empty, "-o", out), "not-recognized", empty),
        ((*audit, absent, "-o", out), "not-found", absent),
        ((*audit, samples, "-o", zoo), "exists", "--overwrite"),
        (("audit", "--train", absent, "--generated", samples, "-o", out), "not-found", absent),
        (("sample", zoo, "-o", out), "not-found", "generator.json"),
        (("report", zoo), "not-found", "audit.json"),
        (("sample", model, "-o", chain / "run", "--overwrite"), "exists", chain / "run"),
        (("sample", model, "-o", mine, "--overwrite"), "exists", "thesis.tex"),
        (("fit", "noise", "--population", zoo, "-o", new), "exists", partial),
        (("zoo", "build", "digits-mlp", "--runs", 2, "-o", new), "exists", partial),
    ):
        fails(*words, code=code, named=named)
    for folder in (mine, partial):
        assert (folder / "thesis.tex").read_text() == "years of work"
    assert not out.exists()


def test_demo_removes_nothing_before_it_knows_its_settings(tmp_path: Path) -> None:
    (tmp_path / "d" / "zoo").mkdir(parents=True)
    (tmp_path / "d" / "demo.json").write_text("{}")
    words = ("demo", "-o", tmp_path / "d", "--overwrite", "--scale", "typo")
    fails(*words, code="unknown-name", named="typo")
    assert (tmp_path / "d" / "zoo").exists()


def test_folder_without_the_role_asked_for_is_refused(chain: Path, tmp_path: Path) -> None:
    zoo, out = chain / "zoo", tmp_path / "out"
    words = ("audit", "--train", zoo, "--generated", zoo, "-o", out)
    fails(*words, code="not-found", named="heldout and train")
    assert not out.exists()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("kind", "population"), [("safetensors", False), ("pt", True)], ids=["files", "population"]
)
def test_moved_copies_are_found_whatever_order_a_format_keeps(
    chain: Path, tmp_path: Path, kind: str, population: bool
) -> None:
    train = read_checkpoints(chain / "zoo", split="train")
    symmetry = train.info.symmetry
    assert symmetry is not None
    moved = random_transform(train.weights, train.layout, symmetry, rng=rng_for(0))
    folders = {"moved": moved, "train": train.weights}
    folders["heldout"] = read_checkpoints(chain / "zoo", split="heldout").weights
    for name, weights in folders.items():
        write_states(tmp_path / name, train.layout, weights, f"{name}-{{i}}.{kind}")
    result = done(
        *("audit", "--train", chain / "zoo" if population else tmp_path / "train"),
        *("--generated", tmp_path / "moved", "--heldout", tmp_path / "heldout"),
        *("--task", "digits", "-o", tmp_path / "run"),
    )
    assert "verdict: replica. 30 of 30" in result


@pytest.mark.integration
def test_damaged_nan_and_foreign_checkpoints_are_refused(chain: Path, tmp_path: Path) -> None:
    zoo, out = chain / "zoo", tmp_path / "out"

    def audit_fails(folder: Path, code: str, named: object) -> None:
        words = ("audit", "--train", zoo, "--generated", folder, "-o", out)
        fails(*words, code=code, named=named)

    flipped = tmp_path / "flipped"
    shutil.copytree(chain / "samples", flipped)
    [shard] = flipped.glob("*.safetensors")
    content = bytearray(shard.read_bytes())
    content[4000] ^= 1
    shard.write_bytes(content)
    audit_fails(flipped, "damaged", shard.name)
    shard.write_bytes(content[:-8])
    audit_fails(flipped, "damaged", shard.name)
    samples = read_checkpoints(chain / "samples")
    for name, change in (("nan", float("nan")), ("foreign", None)):
        (tmp_path / name).mkdir()
        state = {k: v.clone() for k, v in samples.layout.unflatten(samples.weights[0]).items()}
        if change is None:
            state = {"other.weight": torch.zeros(2, 2)}
        else:
            state["hidden.bias"][2] = change
        torch.save(state, tmp_path / name / "one.pt")
    audit_fails(tmp_path / "nan", "not-finite", "(one)")
    audit_fails(tmp_path / "foreign", "other-network", "hidden.weight")
    assert not out.exists()


@pytest.mark.integration
def test_one_training_run_is_too_few(chain: Path, tmp_path: Path) -> None:
    single = tmp_path / "single"
    done("zoo", "build", "digits-mlp", "-o", single, "--runs", 1)
    fails(
        *("audit", "--train", single, "--generated", chain / "samples", "-o", tmp_path / "out"),
        code="too-few",
        named=3,
    )


@pytest.mark.integration
def test_full_disk_is_one_line_and_loses_nothing(
    chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = (chain / "run" / "audit.json").read_bytes()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    monkeypatch.setattr(api, "write_run", full)
    fails(
        *("audit", "--train", chain / "zoo", "--generated", chain / "samples"),
        *("-o", chain / "run", "--overwrite"),
        code=None,
        named="somewhere",
    )
    assert (chain / "run" / "audit.json").read_bytes() == old
    assert not list(chain.glob(".run.*"))


@pytest.mark.integration
def test_unfinished_zoo_asks_for_resume_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from novelweights.zoos import independent_runs

    words = ("zoo", "build", "digits-mlp", "-o", tmp_path / "z", "--runs", 40, "--heldout-runs", 0)
    real = independent_runs.train_trajectories
    calls = []

    def second_call_is_interrupted(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patch:
        patch.setattr(independent_runs, "train_trajectories", second_call_is_interrupted)
        fails(*words, code=None, status=130)
    fails(*words, code="unfinished", named="--resume")
    done(*words, "--resume")
    assert len(read_checkpoints(tmp_path / "z")) == 40

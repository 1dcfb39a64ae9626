import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from refused import refused

from novelweights import pipeline, pipeline_folder
from novelweights.api import audited
from novelweights.auditing.prepare import AuditInputs
from novelweights.errors import InputError
from novelweights.generators.calling import reconstructed
from novelweights.pipeline import evaluate_method
from novelweights.readers import read_checkpoints
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.symmetry import NeuronSymmetry, random_transform
from novelweights.zoos import find_zoo
from novelweights.zoos.building import build


@pytest.mark.integration
def test_network_with_two_hidden_layers_is_audited_between_two_bounds(tmp_path: Path) -> None:
    layout = WeightLayout((("a", (3, 4)), ("b", (3, 3)), ("c", (2, 3))))
    symmetry = NeuronSymmetry({"a": ("g", None), "b": ("h", "g"), "c": (None, "h")})
    info = PopulationInfo(symmetry=symmetry)

    def runs(name: str, n: int, seed: int) -> Population:
        weights = torch.randn(n, layout.size, generator=torch.Generator().manual_seed(seed))
        records = Records.of([f"{name}-{i}" for i in range(n)], split=name)
        return Population(weights, layout, records, info)

    train = runs("train", 8, 0)
    rng = torch.Generator().manual_seed(2)
    moved = random_transform(train.weights, layout, symmetry, rng=rng)
    inputs = AuditInputs(
        train=train,
        generated=train.with_weights(moved, split="generated"),
        heldout=runs("heldout", 25, 1),
        symmetry=symmetry,
    )
    audit = audited(inputs, {}, command="test")
    audit.write(tmp_path / "run")
    assert audit.verdicts.counts()["replica"] == 8
    page = (tmp_path / "run" / "report.html").read_text()
    assert "permutations of 3 and 3 neurons" in page
    assert "The distance is that of the best alignment found, an upper bound" in page


@pytest.mark.integration
def test_g_pt_is_evaluated_on_trajectories_and_an_interrupted_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "g-pt"

    def go(**more: Any) -> Any:
        wanted = {"runs": 20, "heldout_runs": 20, "checkpoints": 3, "start_runs": 4, "samples": 8}
        zoo = "digits-mlp-steps"
        return evaluate_method(folder, "g-pt", **{"zoo": zoo, "scale": "smoke", **wanted, **more})

    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "audited", interrupted)
        with pytest.raises(KeyboardInterrupt):
            go()
    begun = json.loads((folder / "stages.json").read_text())["seconds"]
    assert list(begun) == ["zoo", "fit", "sample", "audit"]
    model = (folder / "model" / "denoiser.safetensors").stat().st_mtime_ns
    with refused("unfinished", "--resume"):
        go()
    with refused("other-settings", tmp_path):
        go(resume=True, checkpoints=4)
    [judged] = go(resume=True)
    assert sum(judged.verdicts.counts().values()) == 8
    assert (judged.sampler, judged.folder) == ("", folder / "audit")
    assert (folder / "model" / "denoiser.safetensors").stat().st_mtime_ns == model
    done = json.loads((folder / "stages.json").read_text())["seconds"]
    assert {stage: done[stage] for stage in ("zoo", "fit", "sample")} == {
        stage: begun[stage] for stage in ("zoo", "fit", "sample")
    }
    assert done["audit"] > begun["audit"]
    assert len(read_checkpoints(folder / "zoo", split="start")) == 4
    data = json.loads((folder / "summary.json").read_text())
    assert data["settings"]["start_runs"] == 4
    assert data["settings_not_of_the_paper"]["width"] == [32, 1536]
    assert data["paper"]["setting"] == "MNIST, 10,228 runs"
    compared = data["generator"]["values_in_compared_training"]
    assert data["generator"]["values_in_training"] == 3 * compared == 3 * 20 * 760


@pytest.mark.integration
@pytest.mark.parametrize(
    ("method", "more", "code", "named"),
    [
        ("g-tp", {}, "unknown-name", "'g-pt'"),
        ("g-pt", {"scale": "smok"}, "unknown-name", "'smoke'"),
        ("g-pt", {"zoo": "digit-mlp-steps"}, "unknown-name", "'digits-mlp-steps'"),
        ("g-pt", {"zoo": "digits-mlp"}, "unsuited", 1),
        ("g-pt", {"start_runs": 0}, "unsuited", 200),
        ("noise", {"zoo": "digits-mlp", "runs": 2}, "too-few", 3),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_is_written(
    tmp_path: Path, method: str, more: dict[str, Any], code: str, named: object
) -> None:
    with refused(code, named):
        evaluate_method(tmp_path / "new", method, **{"zoo": "digits-mlp-steps", **more})
    assert not (tmp_path / "new").exists()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("more", "code", "named"),
    [
        ({"checkpoints": 5000}, "wrong-option", 1861),
        ({"runs": 0}, "too-few", 1),
        ({"zoo": "mnist-mlp-steps"}, "no-data", "mnist"),
        ({"start_runs": 0}, "unsuited", 0),
    ],
)
@pytest.mark.parametrize("goes_on", ["overwrite", "resume"])
def test_what_is_refused_leaves_a_finished_evaluation_as_it_was(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: dict[str, Any],
    code: str,
    named: object,
    goes_on: str,
) -> None:
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path / "nothing fetched"))
    folder = tmp_path / "finished"
    (folder / "zoo").mkdir(parents=True)
    for name in ("evaluation.json", "summary.md", "zoo/population.json"):
        (folder / name).write_text("{}")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with refused(code, named):
        evaluate_method(folder, "g-pt", **{"zoo": "digits-mlp-steps", goes_on: True, **more})
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.integration
def test_a_task_of_which_the_data_are_missing_leaves_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise InputError(name, "no-data")

    monkeypatch.setattr(pipeline, "make_task", missing)
    (tmp_path / "evaluation.json").write_text("{}")
    with refused("no-data", "digits"):
        evaluate_method(tmp_path, "noise", zoo="digits-mlp", overwrite=True)
    assert (tmp_path / "evaluation.json").read_text() == "{}"


@pytest.mark.integration
def test_networks_from_scratch_are_checked_before_the_fit_and_may_be_added_later(
    tmp_path: Path,
) -> None:
    folder, scratch = tmp_path / "noise", tmp_path / "scratch"
    build(find_zoo("digits-mlp"), scratch, runs=4, heldout_runs=0, seed=1)
    build(
        find_zoo("digits-wide-mlp-steps"), tmp_path / "wide", runs=4, heldout_runs=0, start_runs=0
    )

    def go(**more: Any) -> Any:
        wanted = {"zoo": "digits-mlp", "runs": 8, "heldout_runs": 20, "samples": 4}
        return evaluate_method(folder, "noise", **{**wanted, **more})

    with refused("other-network", "from-scratch"):
        go(from_scratch=tmp_path / "wide")
    assert (folder / "zoo").exists()
    assert not (folder / "model").exists()
    go(overwrite=True)
    key = "median_distance_from_scratch"
    assert key not in (folder / "audit" / "audit.json").read_text()
    go(resume=True, from_scratch=scratch)
    assert key in (folder / "audit" / "audit.json").read_text()
    with refused("other-settings", folder):
        go(resume=True)
    with refused("other-settings", folder):
        go(resume=True, from_scratch=tmp_path / "wide")


@pytest.mark.integration
def test_seconds_add_up_only_where_a_stage_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(pipeline_folder.time, "perf_counter", lambda: now[0])
    for stage, goes_on in (("fit", True), ("audit", False)):
        for seconds in (3.0, 5.0):
            with pipeline_folder.timed(tmp_path, stage, goes_on=goes_on):
                now[0] += seconds
    assert json.loads((tmp_path / "stages.json").read_text())["seconds"] == {"fit": 8, "audit": 5}


@pytest.mark.integration
def test_a_lossy_codec_stands_in_for_training_and_held_out_runs(
    make_population: Callable[..., Population],
) -> None:
    class Codec:
        def as_reference(self, population: Population) -> Population:
            return population.with_weights(population.weights.round(), split="train")

        def sample(self, n: int, **_: object) -> Population:
            raise NotImplementedError

        def save(self, folder: Path) -> None:
            raise NotImplementedError

    class Plain(Codec):
        def as_reference(self, population: Population) -> Population:
            return population

    class Chooser(Codec):
        def parents(self, training: Population) -> Population:
            return training.select([2, 0])

    train, heldout = make_population(4), make_population(3, seed=1, split="heldout")
    assert reconstructed(Plain(), train, heldout) == {}
    through = reconstructed(Codec(), train, heldout)
    assert "noise_from" not in through
    for key, original in (("reconstructions", train), ("heldout_reconstructions", heldout)):
        population = through[key]
        assert population is not None
        assert torch.equal(population.weights, original.weights.round())
    parents = reconstructed(Chooser(), train, None)["noise_from"]
    assert parents is not None
    assert torch.equal(parents.weights, train.weights[[2, 0]].round())

"""Packages that add to novelweights by entry points: the template, installed, and broken ones."""

import json
import shutil
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest
import torch
from commands import done, fails, listed
from refused import refused
from torch import Tensor
from torch.nn import functional as F

import novelweights
from novelweights import api, plugins
from novelweights.auditing import stages
from novelweights.generators import make_generator, method_named
from novelweights.networks.registered import NETWORKS, network_named
from novelweights.networks.symmetry_of import layout_of, symmetry_of
from novelweights.readers.source import Reader, Reading
from novelweights.tasks import make_task
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.writer import save_population

TEMPLATE = Path(__file__).parents[1] / "examples" / "plugin-template"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip has installed the template into."""
    folder = tmp_path_factory.mktemp("template")
    shutil.copytree(TEMPLATE, folder / "source")  # building leaves files beside the source
    words = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    words += ["--target", str(folder / "site"), str(folder / "source")]
    made = subprocess.run(
        [sys.executable, "-m", "pip", "install", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return folder / "site"


@pytest.fixture
def template(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The template as if it were installed beside novelweights."""
    monkeypatch.syspath_prepend(str(installed))
    return installed


def trained(n: int, seed: int) -> tuple[Tensor, WeightLayout]:
    """Networks of the template, trained on moons."""
    network = import_module("novelweights_template.network").PointClassifier()
    x, y = import_module("novelweights_template.task").moons(200, seed=0)
    layout = layout_of(network)
    weights = torch.randn(n, layout.size, generator=torch.Generator().manual_seed(seed))
    weights.requires_grad_()
    optimizer = torch.optim.Adam([weights], lr=0.05)
    for _ in range(150):
        state = layout.unflatten(weights)
        hidden = x @ state["hidden.weight"].transpose(1, 2) + state["hidden.bias"][:, None]
        logits = hidden.tanh() @ state["out.weight"].transpose(1, 2) + state["out.bias"][:, None]
        optimizer.zero_grad()
        F.cross_entropy(logits.flatten(0, 1), y.repeat(n), reduction="sum").backward()
        optimizer.step()
    return weights.detach(), layout


def test_template_is_listed_fitted_sampled_and_audited(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pages and controls have tests of their own
    monkeypatch.setattr(api, "build_report", lambda folder: None)
    monkeypatch.setattr(stages, "measured_controls", lambda *given: {})
    told = listed("generators")["template-components"]
    assert told == "a Gaussian along the leading principal components; scales: default, flat"
    assert "template-components" in done("fit", "--help")
    assert "Principal components to draw along" in done("fit", "template-components", "--help")

    weights, layout = trained(44, seed=0)
    splits = ["train"] * 24 + ["heldout"] * 20
    parts = [Records.of([f"run-{i:02d}"], split=split) for i, split in enumerate(splits)]
    info = PopulationInfo("moons", symmetry=None, task="template-moons")
    save_population(Population(weights, layout, Records.join(parts), info), tmp_path / "zoo")

    zoo, model, samples = (tmp_path / name for name in ("zoo", "model", "samples"))
    done("fit", "template-components", "--population", zoo, "-o", model, "--components", 3)
    said = done("sample", model, "-n", 12, "-o", samples)
    assert "12 checkpoints by template-components written" in said
    said = done(
        *("audit", "--train", zoo, "--generated", samples, "-o", tmp_path / "run"),
        *("--network", "template-mlp"),
    )
    assert "verdict: " in said
    audit = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert audit["about"]["task"] == "template-moons"  # which the population names
    assert audit["distance"]["symmetry"] == "permutations and sign flips of the 8 hidden neurons"
    assert audit["verdict"]["counts"]["novel"] <= 1


@pytest.mark.integration
def test_template_is_seen_by_a_new_process(template: Path) -> None:
    code = "from novelweights.cli.main import main; main()"
    source = Path(novelweights.__file__).parents[1]
    made = subprocess.run(
        [sys.executable, "-c", code, "ls", "networks"],
        env={"PYTHONPATH": f"{source}:{template}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert "template-mlp" in made.stdout


def test_template_generator_draws_in_the_span_of_its_checkpoints(
    template: Path, tmp_path: Path, tiny_population: Population, rng: torch.Generator
) -> None:
    generator = make_generator("template-components", "flat")
    sampled = generator.fit(tiny_population, rng=rng).sample(5, rng=rng)
    assert sampled.layout == tiny_population.layout
    mean = tiny_population.weights.mean(dim=0)
    found = torch.linalg.lstsq((tiny_population.weights - mean).T, (sampled.weights - mean).T)
    rebuilt = (tiny_population.weights - mean).T @ found.solution
    torch.testing.assert_close(rebuilt.T, sampled.weights - mean, atol=1e-4, rtol=0)
    with refused("wrong-content", 8, 6):
        make_generator("template-components").fit(tiny_population, rng=rng)
    with refused("unknown-name", "speed"):
        make_generator("template-components", speed=3)


def test_template_network_needs_no_input_shape(template: Path) -> None:
    assert "hidden: 8 may be reordered, signs too" in done("symmetry", "template-mlp")
    assert listed("networks")["template-mlp"] == "inputs 2"


def test_template_task_scores_and_refuses_other_networks(
    template: Path, tiny_population: Population
) -> None:
    assert "Two moons" in listed("tasks")["template-moons"]
    task = make_task("template-moons")
    weights, layout = trained(4, seed=1)
    population = Population(weights, layout, Records.of(list("abcd"), split="train"))
    assert (task.score(task.behave(population)) > 75).all()
    with refused("other-network", "template-moons", "PointClassifier"):
        task.behave(tiny_population)


def test_template_reader_reads_what_a_table_holds(template: Path, tmp_path: Path) -> None:
    assert "CSV file" in listed("readers")["template-csv"]
    reader = plugins.load_all(plugins.READERS, Reader).found["template-csv"]
    module = import_module("novelweights_template.reader")
    weights, layout = trained(3, seed=2)
    path = tmp_path / "weights.csv"
    header = ",".join(f'"{name}"' for name in module.header_of(layout))
    rows = [",".join([f"seed {i}", *map(str, row)]) for i, row in enumerate(weights.tolist())]
    path.write_text("\n".join([header, *rows]))
    assert reader.recognizes(path)
    assert not reader.recognizes(tmp_path)
    read = reader.open(path, Reading()).load()
    assert read.layout == layout
    assert list(read.records.run) == ["seed 0", "seed 1", "seed 2"]
    assert torch.equal(read.weights, weights)
    for damaged in (rows[1].replace(",", ",x", 1), rows[1] + ",3", "seed 1,3"):
        path.write_text("\n".join([header, rows[0], damaged]))
        with refused("damaged", "row 1", "seed 1"):
            reader.open(path, Reading()).load()
    shuffled = [module.header_of(layout)[0], *reversed(module.header_of(layout)[1:])]
    path.write_text(",".join(f'"{name}"' for name in shuffled))
    with refused("wrong-content"):
        reader.open(path, Reading())


BROKEN = """
from torch import nn

class Empty:
    pass

class NoShape(nn.Linear):
    def __init__(self):
        super().__init__(2, 3)

class BadShape(NoShape):
    input_shape = (0, 2)

number = 3
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs a package that adds entry points; they are lines of entry_points.txt."""

    def install(*lines: str, name: str = "broken-pack") -> None:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "broken_things.py").write_text(BROKEN)
        (folder / "broken_import.py").write_text("import a_module_that_is_not_there")
        (folder / "broken_exit.py").write_text("raise SystemExit('bye\\n  for now')")
        about = folder / f"{name.replace('-', '_')}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(str(folder))

    yield install
    for module in ("broken_things", "broken_import", "broken_exit"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("broken_import:METHOD", "ModuleNotFoundError: No module named 'a_module_that_is_not"),
        ("broken_exit:METHOD", "SystemExit: bye for now"),
        ("broken_things:METHOD", "AttributeError: module 'broken_things' has no attribute"),
        ("broken_things:number", "TypeError: 'int' object is not callable"),
        ("broken_things:Empty", "expected a Method, got Empty"),
    ],
)
def test_broken_generator_is_one_line_and_listing_goes_on(package, value: str, reason: str) -> None:
    package("[novelweights.generators]", f"mine = {value}")
    words = ("fit", "mine", "--population", "zoo", "-o", "model")
    for named in ("broken-pack", f"mine = {value}", reason):
        fails(*words, code="wrong-plugin", named=named)
    rows = listed("generators")
    assert reason in rows["mine"]
    assert rows["noise"].startswith("training checkpoints plus")


def test_broken_packages_break_no_other_command(package) -> None:
    groups = ("generators", "tasks", "readers", "networks")
    package(*(f"[novelweights.{group}]\nmine = broken_exit:X" for group in groups))
    assert method_named("noise").summary
    assert make_task("digits").name == "digits"
    assert network_named("mlp-64-10-10-relu")[1] == (64,)
    assert "mine" not in done("fit", "--help")
    with refused("unknown-name", "'noise'"):
        method_named("noize")
    for group in groups:
        assert "cannot be loaded: SystemExit: bye for now" in listed(group)["mine"]


def test_names_of_our_own_are_taken(package) -> None:
    package(
        *("[novelweights.generators]", "noise = broken_things:Empty"),
        *("[novelweights.tasks]", "digits = broken_things:Empty"),
    )
    assert "Gaussian noise" in method_named("noise").summary
    for what, name in (("generators", "noise"), ("tasks", "digits")):
        rows = done("ls", what).splitlines()
        assert len([row for row in rows if row.split()[0] == name]) == 2
        [told] = [row for row in rows if "broken-pack" in row]
        assert f"{name} is a name of novelweights' own" in told


def test_two_packages_with_one_name_are_both_refused(package) -> None:
    package("[novelweights.tasks]", "mine = broken_things:Empty", name="one-pack")
    package("[novelweights.tasks]", "mine = broken_things:Empty", name="other-pack")
    with refused("wrong-plugin", "one-pack", "other-pack"):
        make_task("mine")


def test_what_a_task_lacks_is_named(package) -> None:
    package("[novelweights.tasks]", "mine = broken_things:Empty")
    with refused("wrong-plugin", "Empty", "name, quality, novelty"):
        make_task("mine")


def test_networks_without_a_shape_or_with_a_bad_one_are_told(package) -> None:
    package(
        *("[novelweights.networks]", "plain = broken_things:NoShape"),
        *("bad = broken_things:BadShape", "none = broken_things:Empty"),
    )
    assert listed("networks")["plain"] == "give --input-shape"
    fails("symmetry", "plain", code="wrong-option", named="--input-shape")
    done("symmetry", "plain", "--input-shape", "2")
    fails("symmetry", "bad", "--input-shape", 2, code="wrong-plugin", named="(0, 2)")
    fails("symmetry", "none", code="wrong-plugin", named="Empty")


def test_help_and_commands_without_plugins_read_no_metadata(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(**words: object) -> None:
        raise AssertionError("entry points were looked up")

    monkeypatch.setattr(metadata, "entry_points", fails)
    assert "audit" in done("--help")
    assert "--std" in done("fit", "noise", "--help")


def test_samples_of_a_method_that_is_gone_say_so(template: Path, tmp_path: Path) -> None:
    (tmp_path / "generator.json").write_text('{"schema_version": 1, "method": "gone"}')
    words = ("sample", tmp_path, "-o", tmp_path / "samples")
    for named in ("'gone'", "average", "template-components"):
        fails(*words, code="not-installed", named=named)


@pytest.mark.parametrize("name", [name for name in NETWORKS if not name.startswith("resnet18")])
def test_our_own_networks_run_on_their_input_shape(name: str) -> None:
    module, shape = network_named(name)
    assert shape is not None
    assert symmetry_of(module, torch.zeros(2, *shape)).sizes(layout_of(module))

"""What `benchmarks/golden.py` freezes: audits and commands, run in an empty folder."""

import csv
import importlib
import json
import math
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from benchmarks.golden_inputs import (
    KEPT,
    MATRIX,
    State,
    as_matrix,
    average,
    digit_networks,
    drawn,
    mosaic,
    noised,
    permuted,
    planted,
    stream,
    written,
)
from novelweights.cli.main import app
from novelweights.networks.registered import network_named

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "results" / "laptop"
TESTS = ("cli", "networks", "readers", "data", "")
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in TESTS]
WRONG_INPUTS = {
    "wrong_inputs": ["FILES"],
    "wrong_pickles": ["PICKLES"],
    "wrong_folders": ["PATHS", "FILES_BESIDE", "FOLDERS"],
}
"""Modules of the tests with tables of inputs that are refused."""
IGNORED = {"settings", "versions", "schema_version", "reason"}
CODES = {"replica", "interpolation", "broken", "novel", "undecided", "average", "mosaic"}
CODES |= {"partial copy", "error", "warning", "note", "True", "False", ""}
RUNS, FRESH = 18, 24
"""Training and held-out runs of a small audit."""


class Late(RuntimeError):
    """A command that does not end."""


def command(*words: object, seconds: int = 900) -> Result:
    """What a command says and its exit code; `Late` is its exception where it takes too long."""

    def late(*_: object) -> None:
        raise Late

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        return CliRunner().invoke(app, [str(word) for word in words])
    finally:
        signal.alarm(0)


# --- what is kept --------------------------------------------------------------------------------


def kept(found: Any) -> Any:
    """Numbers and codes of what a JSON holds, lists of numbers in short."""
    if isinstance(found, dict):
        some = {key: value for key, value in found.items() if key not in IGNORED}
        counted = {key: [None] * len(some[key]) for key in {"warnings"} & some.keys()}
        return {k: kept(value) for k, value in (some | counted).items() if value is not None}
    if isinstance(found, str):
        return found if found in CODES else "text"
    if isinstance(found, list) and found and all(isinstance(value, dict) for value in found):
        names = [str(value.get("key", i)) for i, value in enumerate(found)]
        return dict(zip(names, map(kept, found), strict=True))
    return short(found) if isinstance(found, list) else found


def short(values: list[Any]) -> dict[str, Any]:
    """Codes, and by how many values there are: the root mean square of the numbers, and their mean
    with weights that rise, so that their order counts."""
    flat = list(leaves(values))
    numbers = [float(value) for value in flat if isinstance(value, int | float)]
    codes = sorted(value for value in flat if isinstance(value, str) and value in CODES)
    found: dict[str, Any] = {"codes": " ".join(codes)} if codes else {}
    means = []
    if numbers:
        n = len(numbers)
        square = math.fsum(x * x for x in numbers) / n
        means = [math.sqrt(square), math.fsum((1 + i / n) * x for i, x in enumerate(numbers)) / n]
    return found | {str(len(flat)): [float(f"{x:.12g}") for x in means]}


def leaves(values: list[Any]) -> Iterator[Any]:
    """What nested lists hold."""
    for value in values:
        if isinstance(value, list):
            yield from leaves(value)
        else:
            yield value


def columns(path: Path) -> dict[str, list[Any]]:
    """The columns of a table, numbers as such."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [_value(row[name]) for row in rows] for name in rows[0] if name not in IGNORED}


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def audited(
    *words: object, table: bool = True, inside: str = "", controls: bool = False
) -> dict[str, Any]:
    """An audit of what lies in train/ and generated/, and in heldout/ if that is there.

    How controls are judged is kept always; all that is measured of them, with `controls`.
    """
    there = [role for role in ("train", "generated", "heldout") if Path(role).exists()]
    roles = [word for role in there for word in (f"--{role}", role + inside)]
    result = command("audit", *roles, *words, "-o", "out")
    if not Path("out/audit.json").exists():
        print(result.output[-300:], result.exception)
        return refused(result, "")
    found: dict[str, Any] = {
        "exit code": result.exit_code,
        "page": Path("out/report.html").exists(),
    }
    found["audit"] = kept(json.loads(Path("out/audit.json").read_text(encoding="utf-8")))
    if not controls:
        del found["audit"]["controls"]
    manifest = json.loads(Path("out/manifest.json").read_text(encoding="utf-8"))
    found["rows"] = {role: given["rows"] for role, given in manifest["inputs"].items()}
    rows = columns(Path("out/checkpoints.csv"))
    found["table"] = rows if table else {name: short(values) for name, values in rows.items()}
    rmtree("out")
    return found


def refused(result: Result, named: str) -> dict[str, Any]:
    """Exit code, lines of error, and whether one names the file."""
    lines = [line for line in result.output.splitlines() if line.startswith("error: ")]
    crash = (
        "" if isinstance(result.exception, SystemExit | None) else type(result.exception).__name__
    )
    named_there = any(named in line for line in lines)
    return {"exit code": result.exit_code, "lines": len(lines), "named": named_there} | (
        {"crash": crash} if crash else {}
    )


# --- cases


def digits(kind: str, *words: object, heldout: bool = True, n: int = KEPT) -> dict[str, Any]:
    """An audit of classifiers of digits of which one kind is generated."""
    runs, others = digit_networks(RUNS, 1, 10), digit_networks(n, 3, 10)
    made = {
        "planted": lambda: planted(runs, others),
        "replica": lambda: [noised(permuted(runs[i % RUNS], i), 0.05, i) for i in range(n)],
        "interpolation": lambda: [average(runs, 2, i) for i in range(n)],
        "mosaic": lambda: [mosaic(runs, i) for i in range(n)],
        "broken": lambda: [noised(other, 5.0, i) for i, other in enumerate(others)],
        "novel": lambda: others,
    }[kind]()
    written("train", runs)
    written("generated", made)
    if heldout:
        written("heldout", digit_networks(max(FRESH, n), 2, 10))
    return audited("--task", "digits", *words, table=n == KEPT)


def every_role() -> dict[str, Any]:
    """Runs with all their steps, networks from scratch, the noise baseline's own source."""
    runs, others = digit_networks(RUNS, 1, 10), digit_networks(KEPT, 3, 10)
    written("train", runs, steps=True, scores=True)
    written("heldout", digit_networks(FRESH, 2, 10), steps=True, scores=True)
    written("generated", planted(runs, others))
    written("scratch", digit_networks(6, 5, 10), scores=True)
    written("source", runs[:5])
    more = ["--from-scratch", "scratch", "--noise-from", "source", "--seed", 3]
    found = audited("--task", "digits", *more, "--fail-on", "replica,undecided", controls=True)
    return found | {"lint": linted("train", "--heldout", "heldout"), "plan": planned()}


def reconstructed() -> dict[str, Any]:
    """A generator with a lossy codec, which rounds."""
    runs, held = digit_networks(RUNS, 1, 10), digit_networks(FRESH, 2, 10)

    def coded(networks: list[State]) -> list[State]:
        return [{k: (5 * v).round() / 5 for k, v in run.items()} for run in networks]

    written("train", runs)
    written("heldout", held)
    written("reconstructions", coded(runs))
    written("heldout-reconstructions", coded(held))
    written("generated", planted(coded(runs), coded(digit_networks(KEPT, 3, 10))))
    codec = ["--reconstructions", "reconstructions"]
    codec += ["--heldout-reconstructions", "heldout-reconstructions"]
    return audited("--task", "digits", *codec)


def matrices() -> dict[str, Any]:
    """MLPs of two hidden layers, as matrices with a layout."""
    sets = {"train": digit_networks(RUNS, 1, 32, 32), "heldout": digit_networks(FRESH, 2, 32, 32)}
    sets["generated"] = planted(sets["train"], digit_networks(KEPT, 3, 32, 32))
    for role, networks in sets.items():
        as_matrix(role, networks)
    return audited("--task", "digits-deep", inside=MATRIX)


def family(
    network: str, shape: str | None, *words: object, controls: bool = False, inside: str = ""
) -> dict[str, Any]:
    """An audit of random networks of a family, their symmetry derived; matrices, where `inside`
    names one."""
    like, write = module_of(network).state_dict(), as_matrix if inside else written
    runs = drawn(like, RUNS, 1)
    write("train", runs)
    write("heldout", drawn(like, FRESH, 2))
    write("generated", planted(runs, drawn(like, KEPT, 3)))
    shaped = ["--input-shape", shape] if shape is not None else []
    return audited("--network", network, *shaped, *words, controls=controls, inside=inside)


def module_of(network: str) -> torch.nn.Module:
    """A network of the tests, or one by its name."""
    module, _, name = network.partition(":")
    return getattr(importlib.import_module(module), name)() if name else network_named(network)[0]


def examples(shape: tuple[int, ...], classes: int, n: int = 64) -> list[object]:
    """Options for labelled examples of no meaning."""
    x = torch.randn(n, *shape, generator=stream(7))
    y = torch.randint(classes, (n,), generator=stream(8))
    save_file({"x": x, "y": y}, "examples.safetensors")
    return ["--data", "examples.safetensors"]


def p_diff() -> dict[str, Any]:
    """P-diff's kept run: one training run of 300 steps; without its task, which takes minutes."""
    for role, folder in (("train", "zoo"), ("generated", "samples")):
        copytree(STORED / "p-diff" / folder, role)
        path = Path(role) / "population.json"
        told = json.loads(path.read_text(encoding="utf-8")) | {"task": None}
        path.write_text(json.dumps(told), encoding="utf-8")
    return audited(table=False) | {"lint": linted("train"), "plan": planned()}


def p_diff_parts() -> dict[str, Any]:
    """Some of its checkpoints, parts of a network whose rest is given, judged by what it does."""
    shapes = {f"layer4.1.bn{i}.{part}": (128,) for i in (1, 2) for part in ("weight", "bias")}
    steps = stored("p-diff/zoo", shapes)[276:300]
    written("train", steps, one_run=True)
    written("generated", stored("p-diff/samples", shapes)[:KEPT])
    written("scratch", drawn(steps[0], 4, 1), scores=True)
    network = ["--network", "benchmarks.golden_inputs:p_diff_network", "--input-shape", "3x8x8"]
    network += ["--shared", STORED / "p-diff/zoo/shared.safetensors"]
    return audited(*network, *examples((3, 8, 8), 100, 8), "--from-scratch", "scratch")


def g_pt() -> dict[str, Any]:
    """Networks that G.pt made, in three parts, with all kinds planted."""
    shapes = {"hidden.weight": (24, 64), "hidden.bias": (24,), "out.weight": (10, 24)}
    states = stored("g-pt/samples", shapes | {"out.bias": (10,)})
    written("train", states[:24])
    written("heldout", states[24:48])
    written("generated", planted(states[:24], states[48:]))
    return audited("--task", "digits-wide") | {"lint": linted("train")}


def stored(folder: str, shapes: dict[str, tuple[int, ...]]) -> list[State]:
    """The checkpoints of a kept population."""
    [rows] = load_file(STORED / folder / "weights-00001-of-00001.safetensors").values()
    parts = rows.split([math.prod(shape) for shape in shapes.values()], dim=1)
    named = zip(shapes.items(), parts, strict=True)
    whole = {name: part.reshape(-1, *shape) for (name, shape), part in named}
    return [{name: part[i].clone() for name, part in whole.items()} for i in range(len(rows))]


def linted(*words: object) -> dict[str, Any]:
    """What lint finds."""
    result = command("lint", *words, "--json")
    return {"exit code": result.exit_code} | kept(_json_of(result))


def planned() -> dict[str, Any]:
    """What plan says of the training checkpoints."""
    plan = ["plan", "--train", "train", "--json"]
    few = command(*plan, "--samples", 50, "--heldout-runs", 30)
    return {"few": kept(_json_of(few)), "own": kept(_json_of(command(*plan)))}


def _json_of(result: Result) -> Any:
    return json.loads(result.stdout[result.stdout.index("{") :])


def symmetries() -> dict[str, Any]:
    """The tables derived for networks of many families, with the names in them."""
    found = {}
    for network, shape in FAMILIES.items():
        words = ["--input-shape", shape] if shape is not None else []
        result = command("symmetry", network, *words, "-o", "table.json")
        there = Path("table.json").exists()
        table = json.loads(Path("table.json").read_text(encoding="utf-8")) if there else None
        found[network] = {"exit code": result.exit_code, "table": json.dumps(table)}
        Path("table.json").unlink(missing_ok=True)
    return found


def wrong_inputs() -> dict[str, Any]:
    """Every input of the tests' tables, by `audit`, `import` and `lint`."""
    found = {}
    for module, names in WRONG_INPUTS.items():
        tables = [getattr(importlib.import_module(module), name) for name in names]
        for kind, make in ((kind, make) for table in tables for kind, make in table.items()):
            with tempfile.TemporaryDirectory() as folder:
                found[f"{module}/{kind}"] = _wrong(make(Path(folder)), Path(folder))
    return found


def _wrong(wrong: Any, folder: Path) -> dict[str, Any]:
    how, words = wrong.reading, []
    for option in ("include", "exclude"):
        words += [word for pattern in getattr(how, option) for word in (f"--{option}", pattern)]
    for option in ("prefix", "pattern", "records", "layout", "shared"):
        if getattr(how, option):
            words += [f"--{option}", getattr(how, option)]
    limit = ["--max-bytes", how.max_bytes]
    named, out = wrong.named or wrong.path.name, ["-o", folder / "out"]
    both = ["--train", wrong.path, "--generated", wrong.path]
    results = {
        "audit": command("audit", *both, *words, *limit, *out, seconds=60),
        "import": command("import", "auto", wrong.path, *words, *limit, *out, seconds=60),
        "lint": command("lint", wrong.path, *limit, seconds=60),
    }
    return {name: refused(result, named) for name, result in results.items()}


def wrong_audits() -> dict[str, Any]:
    """Sound checkpoints that do not go together, and options that do not."""
    like = {"a.weight": torch.zeros(4, 3), "a.bias": torch.zeros(4), "b.weight": torch.zeros(2, 4)}
    runs, held = drawn(like, 6, 1), drawn(like, 20, 2)
    for folder, networks in {
        "runs": runs,
        "held": held,
        "samples": drawn(like, 4, 3),
        "one": runs[:1],
        "other": drawn(like | {"b.weight": torch.zeros(3, 4)}, 4, 3),
        "zeros": [{k: 0 * v for k, v in run.items()} for run in runs],
        "nan": [{k: v / 0 for k, v in run.items()} for run in runs],
        "copies": runs[:1] * 4,
    }.items():
        written(folder, networks)
    Path("table.json").write_text("{}", encoding="utf-8")
    found = {}
    for words in WRONG_AUDITS:
        train, generated, *more = words.split()
        result = command("audit", "--train", train, "--generated", generated, *more, "-o", "out")
        found[words] = refused(result, "")
        if Path("out/audit.json").exists():
            found[words]["audit"] = kept(json.loads(Path("out/audit.json").read_text())["verdict"])
            rmtree("out")
    return found


WRONG_AUDITS = [
    "runs samples",
    "runs samples --heldout runs",
    "runs samples --heldout zeros",
    "runs samples --heldout copies",
    "runs samples --heldout other",
    "runs samples --heldout nowhere",
    "runs other",
    "other samples",
    "runs nan",
    "nan samples",
    "one samples --heldout held",
    "zeros zeros --heldout held",
    "copies copies --heldout held",
    "runs runs --heldout held",
    "runs samples --reconstructions samples",
    "runs samples --heldout held --heldout-reconstructions held",
    "runs samples --heldout held --reconstructions runs --heldout-reconstructions samples",
    "runs samples --noise-from other",
    "runs samples --from-scratch other",
    "runs samples --from-scratch runs",
    "runs samples --task nothing",
    "runs samples --task digits",
    "runs samples --task no_module:Task",
    "runs samples --symmetry table.json",
    "runs samples --symmetry nowhere.json",
    "runs samples --network nothing",
    "runs samples --network no_module:Net",
    "runs samples --network network_families:lenet --input-shape 1x28x28",
    "runs samples --network network_families:lenet",
    "runs samples --input-shape 3",
    "runs samples --data table.json",
    "runs samples --fail-on nothing",
    "runs samples --max-bytes much",
    "runs samples --include nothing*",
    "runs samples --exclude *",
    "runs samples --pattern {nothing}",
    "runs samples --records nowhere.csv",
    "runs samples --shared nowhere.pt",
]
"""Training and generated checkpoints, and options."""

TESTS = "network_families"
FAMILIES: dict[str, str | None] = dict.fromkeys(
    [
        "mlp-64-10-10-relu",
        "mlp-64-32-32-10-relu",
        "cnn-1x28x28-8-6-4-20-10-tanh",
        "resnet-2x8-1x8x8-10",
        "field-27-128-128-128-1-relu",
    ]
) | {
    f"{TESTS}:{name}": shape
    for name, shape in {
        "lenet": "1x28x28",
        "ResNet": "3x8x8",
        "PreActivation": "3x6x6",
        "Bottleneck": "3x6x6",
        "MobileBlock": "3x12x12",
        "UNet": "1x8x8",
        "DenseNet": "3x6x6",
        "TiedAutoencoder": "6",
        "ResidualMlp": "5",
        "Mixer": "3x8x8",
        "Siren": "2",
        "VisionTransformer": "3x8x8",
        "FusedAttention": "5x4",
        "SqueezeExcite": "3x6x6",
        "conv_autoencoder": "1x8x8",
        "signal_network": "2x9",
        "Sliced": "4",
        "Gated": "4",
        "ChannelShuffle": "4x3x3",
        "Convolutional": "3x12x12",
        "PaddedShortcut": "3x8x8",
    }.items()
}
CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "digits": lambda: digits("planted"),
    "digits, every role": every_role,
    "digits, nothing held out": lambda: digits("planted", heldout=False),
    "digits, no symmetry": lambda: digits("planted", "--symmetry", "none"),
    "digits, reconstructions": reconstructed,
    "replicas": lambda: digits("replica", "--fail-on", "replica"),
    "interpolations": lambda: digits("interpolation", "--fail-on", "replica"),
    "mosaics": lambda: digits("mosaic"),
    "broken ones": lambda: digits("broken"),
    "novel ones": lambda: digits("novel", n=120),
    "matrices": matrices,
    "g-pt": g_pt,
    "p-diff": p_diff,
    "p-diff, parts": p_diff_parts,
    "small cnn": lambda: family(
        "cnn-1x28x28-8-6-4-20-10-tanh", None, "--task", "mnist-5k-cnn", controls=True
    ),
    "field": lambda: family("benchmarks.golden_inputs:small_field", "3"),
    "lenet": lambda: family(f"{TESTS}:lenet", "1x28x28", *examples((1, 28, 28), 5)),
    "resnet": lambda: family(
        f"{TESTS}:ResNet", "3x8x8", *examples((3, 8, 8), 5), controls=True, inside=MATRIX
    ),
    "attention": lambda: family(
        f"{TESTS}:FusedAttention", "5x4", *examples((5, 4), 3), "--symmetry", "none"
    ),
    "siren": lambda: family(f"{TESTS}:Siren", "2"),
    "gated": lambda: family(f"{TESTS}:Gated", "4"),
    "autoencoder": lambda: family(f"{TESTS}:TiedAutoencoder", "6"),
    "symmetries": symmetries,
    "wrong inputs": wrong_inputs,
    "wrong audits": wrong_audits,
}
QUICK = ["digits", "digits, every role", "p-diff, parts", "siren", "symmetries", "wrong inputs"]

import re
import signal
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from refused import refused
from safetensors.torch import save_file
from typer.testing import CliRunner
from wrong_folders import FILES_BESIDE, FOLDERS, PATHS
from wrong_inputs import FILES, Make, Wrong, bomb, state, torch_bytes
from wrong_pickles import PICKLES

from novelweights.cli.main import app
from novelweights.readers import open_source, read_checkpoints
from novelweights.readers.importing import import_source
from novelweights.readers.source import Reading

TABLE: dict[str, Make] = {**FILES, **PICKLES, **PATHS, **FILES_BESIDE, **FOLDERS}
CODES = dict(
    reversed(line.split(maxsplit=1))
    for line in Path(__file__).with_name("wrong_codes.txt").read_text().splitlines()
)
"""The code that each is refused with."""
CONSTANT = 24 << 20
"""Bytes that reading may take beside four times the size of the files."""
SECONDS = 20
ON_THE_COMMAND_LINE = [
    "a .pt cut short",
    "os.system in a .pt",
    "a .npz that is large once unpacked",
    "a pipe",
    "a name of two lines",
    "a checkpoint with a name of two lines",
    "an index that leads elsewhere",
    "a population of another checksum",
    "runs that are no JSON",
    "NaN",
]


def some(i: int, kind: str) -> object:
    """Every eighth is among the fast tests, and with it one of each kind of file."""
    return pytest.param(kind, marks=[pytest.mark.integration] * (i % 8 > 0))


@contextmanager
def in_time() -> Iterator[None]:
    """An alarm instead of a test that waits for ever."""

    def late(*_: object) -> None:
        raise TimeoutError(f"over {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def listed(root: Path) -> set[str]:
    return {str(path) for path in root.rglob("*")}


def size_of(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def peak() -> int:
    """The most memory of this process since `forget_peak`; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    text = status.read_text() if status.exists() else ""
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return 1024 * int(found[1]) if found else 0


def forget_peak() -> None:
    if (forget := Path("/proc/self/clear_refs")).exists():
        forget.write_text("5")


def check_message(message: str, wrong: Wrong) -> None:
    assert message.isprintable(), message
    assert len(message) < 2000
    assert (wrong.named or wrong.path.name) in message, message


def test_the_table_is_as_long_as_is_said() -> None:
    assert len(TABLE) >= 60
    assert len(TABLE) == sum(map(len, (FILES, PICKLES, PATHS, FILES_BESIDE, FOLDERS)))
    assert list(CODES) == list(TABLE)


def read(wrong: Wrong, output: Path) -> None:
    """As an audit reads it; what only an import refuses, as that does."""
    if wrong.is_read:
        source = open_source(wrong.path, reading=wrong.reading)
        import_source(source, output, reading=wrong.reading)
    else:
        read_checkpoints(wrong.path, reading=wrong.reading)


@pytest.mark.parametrize("kind", [some(i, kind) for i, kind in enumerate(TABLE)])
def test_a_wrong_input_is_refused_in_one_line_that_says_what_to_do(
    tmp_path: Path, kind: str
) -> None:
    wrong = TABLE[kind](tmp_path)
    before, allowed = listed(tmp_path), 4 * size_of(tmp_path) + CONSTANT
    forget_peak()
    resident = peak()
    tracemalloc.start()
    try:
        with in_time(), refused(CODES[kind]) as caught:
            read(wrong, tmp_path / "p")
        traced = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    check_message(str(caught.value), wrong)
    assert listed(tmp_path) == before
    assert traced < allowed
    assert peak() - resident < allowed


@pytest.mark.integration
@pytest.mark.parametrize("kind", ON_THE_COMMAND_LINE)
def test_the_command_line_tells_it_in_one_line_and_writes_nothing(
    tmp_path: Path, kind: str
) -> None:
    wrong = TABLE[kind](tmp_path)
    words = ["import", "auto", str(wrong.path), "-o", str(tmp_path / "p")]
    words += ["--max-bytes", str(wrong.reading.max_bytes)]
    before = listed(tmp_path)
    with in_time():
        result = CliRunner().invoke(app, words)
    assert result.exit_code == 2, result.output
    [line] = [line for line in result.stderr.splitlines() if not line.startswith("copying")]
    assert line.startswith("error: ")
    assert line.endswith(f" {CODES[kind]}]")
    check_message(line, wrong)
    assert listed(tmp_path) == before


def test_what_is_large_and_true_is_read_where_it_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "layout.csv").write_text("parameter,shape\nw,3x4\n")
    (tmp_path / "m.npz").write_bytes(bomb(1 << 21))
    with refused("too-large", "--max-bytes"):
        read_checkpoints(tmp_path / "m.npz", reading=Reading(max_bytes=1 << 20))
    read = read_checkpoints(tmp_path / "m.npz", reading=Reading(max_bytes=1 << 22))
    assert len(read) == (1 << 21) // 48
    assert not read.weights.any()
    expanded = torch_bytes({"w": torch.ones(1).expand(30_000, 12)})
    (tmp_path / "e.pt").write_bytes(expanded)
    with refused("too-large", "--max-bytes"):
        read_checkpoints(tmp_path / "e.pt", reading=Reading(max_bytes=1 << 20))
    assert read_checkpoints(tmp_path / "e.pt", reading=Reading(max_bytes=1 << 23)).weights.all()


ACCEPTED = {
    "bfloat16": lambda: {name: value.bfloat16() for name, value in state().items()},
    "float64": lambda: {name: value.double() for name, value in state().items()},
    "an integer buffer": lambda: state() | {"num_batches_tracked": torch.tensor(3)},
    "gradients": lambda: {n: torch.nn.Parameter(value) for n, value in state().items()},
    "transposed": lambda: {n: v.T.contiguous().T for n, v in state().items() if v.ndim == 2},
    "a wrapper": lambda: {"epoch": 3, "state_dict": state()},
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_what_only_looks_odd_is_read(tmp_path: Path, kind: str) -> None:
    content = ACCEPTED[kind]()
    torch.save(content, tmp_path / f"{'n' * 200}.pt")
    read = read_checkpoints(tmp_path)
    found = read.layout.unflatten(read.weights[0])
    expected = {n: v for n, v in content.get("state_dict", content).items() if n in found}
    assert expected
    for name, value in expected.items():
        assert torch.equal(found[name], value.detach().float())


def test_too_many_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("novelweights.readers.units.MAX_FOLDERS", 20)
    for i in range(30):
        (tmp_path / f"run{i}").mkdir()
        save_file(state(i), tmp_path / f"run{i}" / "a.safetensors")
    with refused("too-large", 20, tmp_path.name):
        read_checkpoints(tmp_path)

"""Every block of code on docs/library.md works as it stands."""

import re
from pathlib import Path

import pytest

from novelweights import api
from novelweights.auditing import stages
from novelweights.auditing.judge import statistics
from novelweights.cli.main import app

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [code for kind, code in BLOCKS if kind == language]


def test_python_runs_and_says_what_its_comments_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "build_report", lambda folder: None)
    monkeypatch.setattr(stages, "measured_controls", lambda *given: {})
    monkeypatch.setattr(statistics, "DRAWS", 50)
    code = "\n".join(blocks("python"))
    exec(compile(code, "library.md", "exec"), {"__name__": "library_page"})
    said = capsys.readouterr().out.splitlines()
    for promised in re.findall(r"^print\(.*\)  # (.+)$", code, flags=re.MULTILINE):
        assert promised in said
    assert said.count("replica") == 2
    assert (tmp_path / "run" / "checkpoints.csv").is_file()


def test_entry_points_are_those_of_the_template() -> None:
    [told] = blocks("toml")
    written = (ROOT / "examples" / "plugin-template" / "pyproject.toml").read_text(encoding="utf-8")
    for line in told.splitlines():
        assert line in written.splitlines()


def test_commands_exist() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    [told] = blocks("console")
    for line in told.splitlines():
        program, command = line.split()[:2]
        assert program == "pip" or command in known
    assert {kind for kind, _ in BLOCKS} == {"python", "toml", "console"}

"""Kept results of the schema before are read after one command, their numbers unchanged."""

import json
from pathlib import Path

import pytest
from refused import refused

from novelweights.auditing.result import SCHEMA_VERSION
from novelweights.report.migrate import migrate
from novelweights.report.run_folder import read_run_folder


def as_before(text: str) -> str:
    """An audit.json with the keys of the schema before."""
    data = json.loads(text)
    data["schema_version"] = SCHEMA_VERSION - 1
    data["warnings"] = ["The distance is plain L2: a copy whose neurons were reordered looks new."]
    text = json.dumps(data, indent=2)
    for new, old in {
        '"p_values"': '"ranks"',
        '"measured"': '"found"',
        '"expected"': '"wanted"',
        '"generalization_gap_': '"own_gap_',
        '"copies_permuted"': '"copies_moved"',
        '"generalization gap"': '"own gap"',
        '"established"': '"common use"',
    }.items():
        text = text.replace(new, old)
    return text


@pytest.mark.parametrize("kind", ["copies", "bare"])
def test_files_of_before_come_back_to_the_byte(runs: dict[str, Path], tmp_path: Path, kind: str):
    for file in runs[kind].iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "audit.json"
    path.write_text(as_before(path.read_text()))
    with refused("wrong-version", tmp_path):
        read_run_folder(tmp_path)
    today = json.loads((runs[kind] / "audit.json").read_text())
    assert migrate(tmp_path) == [path]
    data = json.loads(path.read_text())
    assert [note["code"] for note in data.pop("warnings")] == ["no-symmetry"]
    assert data == {key: value for key, value in today.items() if key != "warnings"}
    assert migrate(tmp_path) == []
    read_run_folder(tmp_path)


def test_kept_results_are_read():
    root = Path(__file__).parents[2] / "results"
    folders = [path.parent for path in root.rglob("audit.json")]
    assert len(folders) >= 9
    for folder in folders:
        assert read_run_folder(folder).verdict.origin

import hashlib
import json
import os

import pytest
from refused import refused

from novelweights.files import (
    new_folder,
    read_json,
    replacing,
    require_new,
    sha256_of,
    write_json,
    write_text,
)


class FullDisk(Exception):
    """What goes wrong in the middle."""


def write_half_of(path):
    path.write_text("half")
    raise FullDisk


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "notes.txt"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
    assert path.read_text() == "new"
    assert names(tmp_path) == ["notes.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "notes.txt"
    write_text(path, "old")
    with pytest.raises(FullDisk), replacing(path) as temporary:
        write_half_of(temporary)
    assert path.read_text() == "old"
    with pytest.raises(FullDisk), replacing(tmp_path / "other.txt"):
        raise FullDisk
    assert names(tmp_path) == ["notes.txt"]


def test_files_and_folders_get_the_usual_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == plain.stat().st_mode
    (tmp_path / "folder").mkdir()
    with new_folder(tmp_path / "new", kind="audit.json"):
        pass
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "folder").stat().st_mode
    mask = os.umask(0o022)
    os.umask(mask)  # asking for it did not change it
    assert mask == os.umask(mask)


def test_json_round_trip_and_no_nan(tmp_path):
    data = {"é": [1, 0.1, None, True], "nested": {"a": "b"}}
    write_json(tmp_path / "a.json", data)
    assert read_json(tmp_path / "a.json") == data
    assert "é" in (tmp_path / "a.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == data


def test_unreadable_json_is_named(tmp_path):
    with refused("not-found", "absent.json"):
        read_json(tmp_path / "absent.json")
    for content in (b"", b"{", b"\xff\xfe{}"):
        (tmp_path / "bad.json").write_bytes(content)
        with refused("damaged", "bad.json"):
            read_json(tmp_path / "bad.json")


def test_the_checksum_is_sha256(tmp_path):
    data = b"weights" * 100_000
    (tmp_path / "x").write_bytes(data)
    assert sha256_of(tmp_path / "x") == hashlib.sha256(data).hexdigest()


def test_a_folder_appears_when_it_is_complete(tmp_path):
    folder = tmp_path / "deep" / "run"
    with new_folder(folder, kind="audit.json") as temporary:
        (temporary / "audit.json").write_text("{}")
        assert not folder.exists()
    assert names(folder) == ["audit.json"]
    assert names(tmp_path / "deep") == ["run"]


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path):
    folder = tmp_path / "run"
    with new_folder(folder, kind="audit.json") as temporary:
        (temporary / "audit.json").write_text("old")
    with (
        pytest.raises(FullDisk),
        new_folder(folder, kind="audit.json", overwrite=True) as temporary,
    ):
        write_half_of(temporary / "audit.json")
    assert (folder / "audit.json").read_text() == "old"
    with pytest.raises(FullDisk), new_folder(tmp_path / "other", kind="audit.json"):
        raise FullDisk
    assert names(tmp_path) == ["run"]


def test_an_overwritten_folder_keeps_nothing_of_the_old(tmp_path):
    folder = tmp_path / "run"
    with new_folder(folder, kind="audit.json") as temporary:
        (temporary / "audit.json").write_text("old")
        (temporary / "report.html").write_text("old")
    with new_folder(folder, kind="audit.json", overwrite=True) as temporary:
        (temporary / "audit.json").write_text("new")
        assert (folder / "report.html").exists()
    assert names(folder) == ["audit.json"]
    assert (folder / "audit.json").read_text() == "new"
    assert names(tmp_path) == ["run"]


def test_an_output_folder_must_be_new_empty_or_ours(tmp_path):
    require_new(tmp_path / "absent", kind="audit.json")
    (tmp_path / "empty").mkdir()
    require_new(tmp_path / "empty", kind="audit.json")
    (tmp_path / "file").write_text("")
    with refused("exists", tmp_path / "file"):
        require_new(tmp_path / "file", kind="audit.json", overwrite=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").write_text("")
    with refused("exists", "--overwrite"):
        require_new(tmp_path / "full", kind="audit.json")
    with refused("exists", "photo.jpg"):
        require_new(tmp_path / "full", kind="audit.json", overwrite=True)
    (tmp_path / "full" / "audit.json").write_text("{}")  # a name alone does not make it ours
    with refused("exists", "photo.jpg"):
        require_new(tmp_path / "full", kind="audit.json", overwrite=True)
    (tmp_path / "full" / "photo.jpg").unlink()
    require_new(tmp_path / "full", kind="audit.json", overwrite=True)
    with refused("exists", "audit.json"):
        require_new(tmp_path / "full", kind="population.json", overwrite=True)

from functools import partial
from pathlib import Path

import pytest
from refused import refused
from safetensors.torch import save_file
from written import a_state

from novelweights.readers import open_checkpoints, open_source, read_checkpoints
from novelweights.readers.importing import import_source
from novelweights.readers.source import Reading


def write_folder(folder: Path, table: str = "") -> Path:
    folder.mkdir()
    for i in range(4):
        save_file(a_state(i), folder / f"{i}.safetensors")
    if table:
        (folder / "records.csv").write_text(table)
    return folder


SPLIT = "file,run,step,split\n0,a,1,train\n1,a,2,train\n2,a,3,heldout\n3,b,1,heldout\n"
"""Run a of training is another than run a that is held out."""


def test_the_last_of_each_run_is_that_of_its_split(tmp_path: Path) -> None:
    source = open_source(write_folder(tmp_path / "c", SPLIT))
    import_source(source, tmp_path / "p", reading=Reading(), steps="last")
    records = read_checkpoints(tmp_path / "p").records
    assert list(records.run) == ["a", "a", "b"]
    assert list(records.split) == ["train", "heldout", "heldout"]


def test_runs_that_are_refused_otherwise_leave_held_out_rows_held_out(tmp_path: Path) -> None:
    source = open_source(write_folder(tmp_path / "c", SPLIT))
    import_source(source, tmp_path / "p", reading=Reading())
    by_pattern = Reading(pattern="{run}")
    assert open_checkpoints(tmp_path / "p", reading=by_pattern).n_heldout == 2
    trained = read_checkpoints(str(tmp_path / "p"), split="train", reading=by_pattern)
    assert list(trained.records.run) == ["00000", "00001"]


def test_an_import_does_not_go_on_with_other_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(write_folder(tmp_path / "c"))
    monkeypatch.setattr("novelweights.readers.source.BLOCK_BYTES", 1)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    copy = partial(import_source, source, tmp_path / "p", reading=Reading())
    with pytest.raises(KeyboardInterrupt):
        copy(split="train", progress=stop)
    with refused("other-settings"):
        copy(split="heldout", resume=True)
    assert copy(split="train", resume=True) == 4


def test_a_table_helps_where_names_do_not_tell(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    for i, name in enumerate(("a_step1", "a_other")):
        save_file(a_state(i), folder / f"{name}.safetensors")
    with refused("wrong-records"):
        open_source(folder)
    assert list(open_source(folder, reading=Reading(pattern="{run}_*")).records.run) == ["a", "a"]

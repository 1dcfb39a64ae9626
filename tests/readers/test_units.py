import json
from pathlib import Path

import pytest
import torch
from refused import refused
from safetensors.torch import save_file
from written import a_state, row_of, write_state

from novelweights.readers import open_source, read_checkpoints
from novelweights.readers.source import Reading
from novelweights.readers.units import checkpoint_units


def write_shards(folder: Path, i: int = 0, suffix: str = ".safetensors") -> dict:
    """A model in two shards with an index, as the hub keeps large ones."""
    folder.mkdir(parents=True, exist_ok=True)
    state, index = a_state(i), {}
    stem = "model" if suffix == ".safetensors" else "pytorch_model"
    for shard, names in enumerate((list(state)[:2], list(state)[2:]), 1):
        name = f"{stem}-{shard:05d}-of-00002{suffix}"
        part = {key: state[key] for key in names}
        if suffix == ".safetensors":
            save_file(part, folder / name)
        else:
            torch.save(part, folder / name)
        index |= dict.fromkeys(names, name)
    text = json.dumps({"metadata": {"total_size": 92}, "weight_map": index})
    (folder / f"{stem}{suffix}.index.json").write_text(text)
    return state


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_shards_of_a_model_are_one_checkpoint(tmp_path: Path, suffix: str) -> None:
    state = write_shards(tmp_path / "model", suffix=suffix)
    population = read_checkpoints(tmp_path / "model")
    assert len(population) == 1
    found = population.layout.unflatten(population.weights[0])
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_a_folder_per_model_is_read_and_what_lies_beside_the_model_is_not(tmp_path: Path) -> None:
    written = {}
    for i, name in enumerate(("alice--net", "bob--net")):
        written[name] = write_state(tmp_path / name / "model.safetensors", i)
        write_state(tmp_path / name / "pytorch_model.bin", i)
        torch.save({"state": {0: {"exp_avg": torch.ones(3)}}}, tmp_path / name / "optimizer.pt")
        (tmp_path / name / "config.json").write_text("{}")
    written["carol--net"] = write_shards(tmp_path / "carol--net", 2)
    population = read_checkpoints(tmp_path)
    assert list(population.records.run) == sorted(written)
    for row, name in zip(population.weights, sorted(written), strict=True):
        found = population.layout.unflatten(row)
        assert torch.equal(row_of(found), row_of(written[name]))


def test_a_folder_with_a_configuration_is_one_model(tmp_path: Path) -> None:
    for name in ("model.safetensors", "other.pt"):
        write_state(tmp_path / name)
    assert [unit.name for unit in checkpoint_units(tmp_path)] == ["model", "other"]
    (tmp_path / "config.json").write_text("{}")
    assert [unit.name for unit in checkpoint_units(tmp_path)] == ["model"]


def test_files_in_a_folder_come_before_those_in_folders_below(tmp_path: Path) -> None:
    write_state(tmp_path / "a.pt")
    write_state(tmp_path / "old" / "b.pt")
    (tmp_path / "notes").mkdir()
    assert [unit.name for unit in checkpoint_units(tmp_path)] == ["a"]
    assert "old" in open_source(tmp_path).notes[-1]


def test_other_checkpoints_beside_a_model_are_checkpoints(tmp_path: Path) -> None:
    for name in ("model.pt", "epoch_0.pt", "epoch_1.pt"):
        write_state(tmp_path / "run1" / name)
    units = checkpoint_units(tmp_path)
    assert [unit.name for unit in units] == ["run1/epoch_0", "run1/epoch_1", "run1/model"]


def test_checkpoints_of_lightning_runs_are_found_with_run_and_step(tmp_path: Path) -> None:
    for run in range(2):
        for epoch in (0, 9, 10):
            folder = tmp_path / f"version_{run}" / "checkpoints"
            folder.mkdir(parents=True, exist_ok=True)
            state = {f"model.{name}": value for name, value in a_state(run).items()}
            content = {"epoch": epoch, "state_dict": state, "pytorch-lightning_version": "2.6.6"}
            torch.save(content, folder / f"epoch={epoch}-step={10 * (epoch + 1)}.ckpt")
    records = read_checkpoints(tmp_path).records
    assert sorted(set(records.run)) == ["version_0", "version_1"]
    assert sorted(records.step[records.run == "version_1"]) == [10, 100, 110]


def test_links_in_a_circle_end_and_a_file_counts_once(tmp_path: Path) -> None:
    write_state(tmp_path / "runs" / "a" / "net.pt")
    (tmp_path / "runs" / "a" / "again").symlink_to(tmp_path / "runs", target_is_directory=True)
    (tmp_path / "runs" / "twin").symlink_to(tmp_path / "runs" / "a", target_is_directory=True)
    assert [unit.name for unit in checkpoint_units(tmp_path / "runs")] == ["a/net"]


def test_shards_that_are_too_large_together_are_refused_before_they_are_read(
    tmp_path: Path,
) -> None:
    write_shards(tmp_path / "model")
    size = max(path.stat().st_size for path in (tmp_path / "model").glob("*.safetensors"))
    with refused("too-large", "--max-bytes"):
        read_checkpoints(tmp_path / "model", reading=Reading(max_bytes=size + 1))

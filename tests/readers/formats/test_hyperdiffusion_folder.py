from pathlib import Path
from typing import Any

import pytest
import torch
from refused import refused

from novelweights.readers.formats.hyperdiffusion_folder import HyperDiffusionFolder
from novelweights.readers.source import Reader, Reading, Source

SHAPES = {"layers.0": (4, 3), "layers.1": (4, 4), "layers.2": (1, 4)}
IDS = [f"{i}a04e3eab45ca15dd86060f189eb133" for i in range(6)]


def state(seed: int) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in SHAPES.items():
        made[f"{name}.weight"] = torch.randn(shape, generator=rng)
        made[f"{name}.bias"] = torch.randn(shape[0], generator=rng)
    return made


def vector(seed: int) -> torch.Tensor:
    return torch.cat([value.reshape(-1) for value in state(seed).values()])


def write(folder: Path) -> Path:
    """Networks of six shapes, two as folders; lists in the folder above."""
    folder.mkdir(parents=True)
    for seed, shape in enumerate(IDS):
        name = f"occ_{shape}_jitter_0_model_final"
        if seed in (1, 4):
            (folder / name / "checkpoints").mkdir(parents=True)
            torch.save(state(seed), folder / name / "checkpoints" / "model_current.pth")
        else:
            torch.save(state(seed), folder / f"{name}.pth")
    better = folder / f"occ_{IDS[1]}_jitter_0_model_final" / "checkpoints" / "model_final.pth"
    torch.save(state(11), better)
    return folder


def listed(folder: Path, **lists: list[int]) -> None:
    for part, shapes in lists.items():
        text = "".join(f"{IDS[i]}.obj\n" for i in shapes)
        (folder / f"{part}_split.lst").write_text(text)


def opened(path: Path, **options: Any) -> Source:
    return HyperDiffusionFolder().open(path, Reading(**options))


def test_folders_of_networks_are_recognized_and_ordinary_ones_are_not(tmp_path: Path) -> None:
    reader = HyperDiffusionFolder()
    assert isinstance(reader, Reader)
    assert reader.recognizes(write(tmp_path / "a" / "networks"))
    plain = tmp_path / "b" / "plain"
    plain.mkdir(parents=True)
    (plain / f"occ_{IDS[0]}.pth").touch()
    assert not reader.recognizes(plain)
    listed(tmp_path / "b", train=[0])
    assert reader.recognizes(plain)
    (plain / f"occ_{IDS[0]}.pth").rename(plain / "run_1.pth")
    assert not reader.recognizes(plain)
    assert not reader.recognizes(plain / "run_1.pth")


def test_every_network_is_read_from_its_file_or_folder(tmp_path: Path) -> None:
    source = opened(write(tmp_path / "n"))
    assert list(source.records.run) == IDS
    expected = torch.stack([vector(i) for i in (0, 11, 2, 3, 4, 5)])
    assert torch.equal(source.load().weights, expected)
    assert source.layout.shapes[:2] == (("layers.0.weight", (4, 3)), ("layers.0.bias", (4,)))
    assert source.info.symmetry is not None
    assert sorted(source.info.symmetry.sizes(source.layout).values()) == [4, 4]
    assert set(source.records.split) == {"unknown"}


@pytest.mark.parametrize("above", [True, False])
def test_lists_tell_splits_and_problematic_shapes_are_left_out(tmp_path: Path, above: bool) -> None:
    folder = write(tmp_path / "n")
    place = tmp_path if above else folder
    listed(place, train=[0, 1, 2], val=[3], test=[4])
    (place / "plane_problematic_shapes.txt").write_text(f"{IDS[1]}\n")
    source = opened(folder)
    assert list(source.records.run) == [IDS[i] for i in (0, 2, 3, 4, 5)]
    assert list(source.records.split) == ["train", "train", "heldout", "heldout", "unknown"]
    assert torch.equal(source.read(1, 3, []), torch.stack([vector(2), vector(3)]))
    assert IDS[5] in source.notes[1]
    assert len(source.notes) == 3


def test_moving_shapes_have_identifiers_of_two_fields(tmp_path: Path) -> None:
    (tmp_path / "n").mkdir()
    for name in ("occ_walk_003_x.pth", "occ_walk_004_x.pth"):
        torch.save(state(0), tmp_path / "n" / name)
    (tmp_path / "train_split.lst").write_text("walk_003\nwalk_004\n")
    assert list(opened(tmp_path / "n").records.run) == ["walk_003", "walk_004"]


def test_other_files_are_left_out_and_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "n")
    (folder / "notes.txt").touch()
    (folder / ".hidden").mkdir()
    source = opened(folder)
    assert len(source) == 6
    assert "notes.txt" in source.notes[-1]


NAME = f"occ_{IDS[4]}_jitter_0_model_final"
CURRENT = Path(NAME, "checkpoints", "model_current.pth")
FIRST = f"occ_{IDS[0]}_jitter_0_model_final.pth"
LIST = "train_split.lst"
PROBLEMS = "plane_problematic_shapes.txt"


@pytest.mark.parametrize(
    ("spoil", "code", "named"),
    [
        (lambda folder: (folder / LIST).write_text("\n"), "damaged", LIST),
        (lambda folder: (folder / LIST).write_bytes(b"\xff\xfe\x00"), "damaged", LIST),
        (lambda folder: listed(folder, train=[0, 1], test=[1]), "wrong-records", IDS[1]),
        (lambda folder: (folder / PROBLEMS).write_text("\n".join(IDS)), "not-found", ".pth"),
        (lambda folder: torch.save(state(0), folder / f"{NAME}.pth"), "other-rows", NAME),
        (lambda folder: (folder / CURRENT).unlink(), "not-found", NAME),
        (lambda folder: (folder / FIRST).write_bytes(b"PK"), "damaged", FIRST),
        (
            lambda folder: torch.save({"layers.0.weight": torch.ones(2)}, folder / CURRENT),
            "other-network",
            f"1 of 6 checkpoints: {CURRENT}: ",
        ),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, spoil: Any, code: str, named: str) -> None:
    folder = write(tmp_path / "n")
    spoil(folder)
    with refused(code, named):
        opened(folder).load()


def test_a_folder_without_networks_is_refused(tmp_path: Path) -> None:
    with refused("not-found", tmp_path):
        opened(tmp_path)
    (tmp_path / "file").touch()
    with refused("wrong-type", "file"):
        opened(tmp_path / "file")


def test_entries_that_share_a_word_are_runs_of_their_own(tmp_path: Path) -> None:
    for i in range(4):
        folder = tmp_path / f"mnist_png_training_{i % 2}_{1000 + i}" / "checkpoints"
        folder.mkdir(parents=True)
        torch.save(state(i), folder / "model_final.pth")
    records = opened(tmp_path).records
    assert sorted(records.run) == [f"mnist_png_training_{i % 2}_{1000 + i}" for i in (0, 2, 1, 3)]


def test_several_networks_of_one_shape_are_one_run(tmp_path: Path) -> None:
    for i in range(3):
        torch.save(state(i), tmp_path / f"occ_{IDS[0]}_jitter_{i}.pth")
    (tmp_path / "train_split.lst").write_text(f"{IDS[0]}.obj\n")
    assert list(opened(tmp_path).records.run) == [IDS[0]] * 3

from pathlib import Path

import pytest
import torch
from refused import refused

from novelweights.readers.formats.p_diff_folder import PDiffFolder
from novelweights.readers.parts import part_of
from novelweights.readers.source import Reader, Reading, Source

NAMES = [f"model.layer4.1.bn{i}.{part}" for i in (1, 2) for part in ("weight", "bias")]


def state(seed: int) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {name: torch.randn(5, generator=rng) for name in NAMES}


def write(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        torch.save(state(seed), folder / name)
    return folder


def trained(step: int, accuracy: str = "0.7650", seed: int = 40) -> str:
    return f"{step:04d}_acc{accuracy}_seed{seed:04d}_cifar100_resnet18.pth"


def opened(path: Path) -> Source:
    return PDiffFolder().open(path, Reading())


def test_only_folders_named_by_p_diff_are_recognized(tmp_path: Path) -> None:
    assert isinstance(PDiffFolder(), Reader)
    for place, (names, recognized) in enumerate(
        [
            ([trained(1), trained(2)], True),
            (["generated_cifar100_resnet18_001.pth", "generated_model.pth"], True),
            (["generated_model.pth"], False),
            ([trained(1), "other.pth"], False),
            (["1.pth", "2.pth"], False),
            ([trained(1).replace(".pth", ".pt")], False),
            ([], False),
        ]
    ):
        folder = tmp_path / str(place)
        folder.mkdir()
        for name in names:
            (folder / name).touch()
        assert PDiffFolder().recognizes(folder) == recognized, names
    assert not PDiffFolder().recognizes(tmp_path / "0" / trained(1))


def test_names_of_training_checkpoints_tell_run_step_and_accuracy(tmp_path: Path) -> None:
    names = [trained(10, "0.7600"), trained(2, "0.7512"), trained(3, "0.7000", seed=7)]
    source = opened(write(tmp_path / "c", *names))
    assert source.names == tuple(Path(names[i]).stem for i in (2, 1, 0))
    assert list(source.records.run) == [
        "seed0007_cifar100_resnet18",
        *["seed0040_cifar100_resnet18"] * 2,
    ]
    assert list(source.records.step) == [3, 2, 10]
    assert set(source.records.split) == {"train"}
    assert source.records.scores["test_accuracy"] == pytest.approx([70.0, 75.12, 76.0])
    assert source.layout.shapes == tuple((name.removeprefix("model."), (5,)) for name in NAMES)
    expected = torch.stack([torch.cat(list(state(i).values())) for i in (2, 1, 0)])
    assert torch.equal(source.load().weights, expected)
    assert "3 training checkpoints of 2 runs" in source.notes[0]
    assert '"model." is left off' in source.notes[-1]


def test_accuracies_above_1_are_percents(tmp_path: Path) -> None:
    source = opened(write(tmp_path / "c", trained(1, "76.5000"), trained(2, "0.9000")))
    assert list(source.records.scores["test_accuracy"]) == [76.5, 0.9]
    with refused("wrong-records", "101"):
        opened(write(tmp_path / "c", trained(3, "101.0000")))


def test_generated_checkpoints_are_runs_of_their_own(tmp_path: Path) -> None:
    names = [f"generated_cifar100_resnet18_{i:03d}.pth" for i in (1, 2, 10)]
    source = opened(write(tmp_path / "c", *names, "generated_model.pth"))
    assert source.names == tuple(Path(name).stem for name in names)
    assert list(source.records.run) == [Path(name).stem for name in names]
    assert set(source.records.split) == {"generated"}
    assert "generated_model.pth" in source.notes[1]


def test_parameters_can_be_chosen_and_a_prefix_given(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", trained(1), trained(2))
    reading = Reading(include=("layer4.1.bn1.*",), shared=folder / trained(2))
    source = part_of(PDiffFolder().open(folder, reading), reading)
    assert [name for name, _ in source.layout.shapes] == [
        "layer4.1.bn1.weight",
        "layer4.1.bn1.bias",
    ]
    assert torch.equal(source.read(1, 2, [])[0], torch.cat(list(state(1).values())[:2]))
    source = PDiffFolder().open(folder, Reading(prefix="model.layer4."))
    assert source.layout.shapes[0][0] == "1.bn1.weight"


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", *map(trained, range(1, 5)))
    (folder / trained(2)).write_bytes((folder / trained(2)).read_bytes()[:400])
    torch.save({"model.layer4.1.bn1.weight": torch.ones(6)}, folder / trained(4))
    with refused("damaged", f"2 of 4 checkpoints: {trained(2)}: ", trained(4)):
        opened(folder).load()


def test_a_first_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", trained(1))
    with refused("too-large", "--max-bytes"):
        PDiffFolder().open(folder, Reading(max_bytes=100))
    (folder / trained(1)).write_bytes(b"no")
    with refused("damaged", "0001_acc0.7650_seed0040"):
        opened(folder)
    (folder / trained(1)).rename(folder / "other.pth")
    with refused("not-found"):
        opened(folder)

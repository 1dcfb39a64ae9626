from pathlib import Path

import pytest
import torch
from refused import refused
from safetensors.torch import save_file
from written import NETWORK, a_state

from novelweights.readers import open_checkpoints, read_checkpoints
from novelweights.seeding import rng_for
from novelweights.weights.population import Population, Records
from novelweights.weights.writer import save_population


def write(folder: Path, suffix: str, *, wrapper: str | None = None) -> list[dict]:
    folder.mkdir()
    written = [a_state(i) for i in range(5)]
    for i, state in enumerate(written):
        path = folder / f"model_{i}{suffix}"
        if suffix == ".safetensors":
            save_file(state, path)
        else:
            torch.save({wrapper: state, "epoch": 3} if wrapper else state, path)
    return written


@pytest.mark.parametrize(
    ("suffix", "wrapper"),
    [
        (".safetensors", None),
        (".pt", None),
        (".pth", None),
        (".pt", "state_dict"),
        (".pt", "model"),
    ],
)
def test_folder_of_state_dicts_becomes_a_population(
    tmp_path: Path, suffix: str, wrapper: str | None
) -> None:
    written = write(tmp_path / "c", suffix, wrapper=wrapper)
    population = read_checkpoints(tmp_path / "c")
    assert list(population.records.run) == [f"model_{i}" for i in range(5)]
    for row, state in zip(population.weights, written, strict=True):
        found = population.layout.unflatten(row)
        assert all(torch.equal(found[name], value) for name, value in state.items())


def test_one_hidden_layer_is_recognized_and_its_permutations_known(tmp_path: Path) -> None:
    write(tmp_path / "c", ".pt")
    symmetry = read_checkpoints(tmp_path / "c").info.symmetry
    assert symmetry is not None
    assert symmetry.axes == NETWORK.symmetry.axes


def test_deeper_network_has_no_symmetry_by_itself(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    shapes = {"a.weight": (3, 4), "a.bias": (3,), "b.weight": (3, 3), "b.bias": (3,)}
    state = {name: torch.randn(shape) for name, shape in shapes.items()}
    state |= {"c.weight": torch.randn(2, 3), "c.bias": torch.randn(2)}
    torch.save(state, tmp_path / "c" / "deep.pt")
    assert read_checkpoints(tmp_path / "c").info.symmetry is None


def test_all_faults_are_collected_and_the_first_named(tmp_path: Path) -> None:
    write(tmp_path / "c", ".pt")
    for i in (1, 2, 3, 4):
        state = a_state()
        state["hidden.bias"] = torch.zeros(7)
        torch.save(state, tmp_path / "c" / f"model_{i}.pt")
    with refused("other-network", "4 of 5", "model_1.pt", "(7,)", "1 more"):
        read_checkpoints(tmp_path / "c")


def test_split_of_a_population_folder_is_chosen_by_role(tmp_path: Path) -> None:
    weights = torch.stack([NETWORK.initial(rng_for(1, i)) for i in range(5)])
    records = Records.join(
        [Records.of(["a", "b", "c"], split="train"), Records.of(["d", "e"], split="heldout")]
    )
    save_population(Population(weights, NETWORK.layout, records), tmp_path / "p")
    assert list(read_checkpoints(tmp_path / "p", split="train").records.run) == ["a", "b", "c"]
    assert list(read_checkpoints(tmp_path / "p", split="heldout").records.run) == ["d", "e"]
    assert len(read_checkpoints(tmp_path / "p")) == 5
    with refused("not-found"):
        read_checkpoints(tmp_path / "p", split="generated")
    assert open_checkpoints(tmp_path / "p").n_heldout == 2


def test_files_that_differ_only_in_their_ending_are_two_runs(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    for i in range(2):
        torch.save(a_state(i), tmp_path / "c" / ("a.pt" if i else "a.pth"))
    assert sorted(read_checkpoints(tmp_path / "c").records.run) == ["a.pt", "a.pth"]


@pytest.mark.parametrize("count", [torch.tensor(7), torch.tensor(7.0)], ids=["whole", "averaged"])
def test_running_statistics_are_kept_and_counts_of_batches_are_not(
    tmp_path: Path, count: torch.Tensor
) -> None:
    (tmp_path / "c").mkdir()
    for i in range(2):
        state = {"bn.weight": torch.ones(3), "bn.running_mean": torch.full((3,), float(i))}
        torch.save(state | {"bn.num_batches_tracked": count}, tmp_path / "c" / f"{i}.pt")
    found = read_checkpoints(tmp_path / "c")
    assert found.layout.shapes == (("bn.weight", (3,)), ("bn.running_mean", (3,)))
    assert found.layout.learned.shapes == (("bn.weight", (3,)),)
    assert found.weights[:, 3].tolist() == [0, 1]

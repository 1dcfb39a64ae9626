from dataclasses import replace
from pathlib import Path

import pytest
import torch
from refused import refused
from safetensors.torch import save_file
from written import NETWORK, a_state, row_of, write_state

from novelweights.readers import open_source, read_checkpoints
from novelweights.readers.source import Reading
from novelweights.weights.population import Population, Records
from novelweights.weights.writer import save_population

PART = Reading(include=("out.*",))


def write_parts(folder: Path, n: int = 3, **rest: torch.Tensor) -> list[dict]:
    """Networks that differ in their last layer alone, with running statistics of one layer."""
    base, written = a_state(99), []
    for i in range(n):
        changed = {name: v for name, v in a_state(i).items() if name.startswith("out")}
        state = {**base, "bn.running_mean": torch.ones(2), **changed, **rest}
        folder.mkdir(exist_ok=True)
        save_file(state, folder / f"{i}.safetensors")
        written.append(state)
    return written


def test_chosen_parameters_are_the_checkpoint_and_the_rest_is_shared(tmp_path: Path) -> None:
    written = write_parts(tmp_path / "c")
    population = read_checkpoints(tmp_path / "c", reading=PART)
    assert [name for name, _ in population.layout.shapes] == ["out.bias", "out.weight"]
    assert population.info.symmetry is None
    assert population.shared is not None
    assert sorted(population.shared) == ["bn.running_mean", "hidden.bias", "hidden.weight"]
    for row, state in zip(population.weights, written, strict=True):
        whole = {**population.shared, **population.layout.unflatten(row)}
        assert all(torch.equal(whole[name], value) for name, value in state.items())


def test_excluding_the_rest_is_the_same_as_including_the_part(tmp_path: Path) -> None:
    write_parts(tmp_path / "c")
    one = read_checkpoints(tmp_path / "c", reading=PART)
    other = read_checkpoints(tmp_path / "c", reading=Reading(exclude=("hidden.*", "bn.*")))
    assert torch.equal(one.weights, other.weights)


def test_a_population_folder_and_files_of_parts_alone_give_the_same(tmp_path: Path) -> None:
    states = [a_state(i) | {k: v for k, v in a_state(9).items() if "hidden" in k} for i in range(3)]
    rows = torch.stack([row_of(state) for state in states])
    records = Records.of(["a", "b", "c"], split="train")
    save_population(Population(rows, NETWORK.layout, records), tmp_path / "p")
    (tmp_path / "parts").mkdir()
    for i, state in enumerate(states):
        part = {name: v for name, v in state.items() if name.startswith("out")}
        save_file(part, tmp_path / "parts" / f"{i}.safetensors")
    whole = read_checkpoints(tmp_path / "p", reading=PART)
    parts = read_checkpoints(tmp_path / "parts", reading=PART)
    assert torch.equal(whole.weights, parts.in_order_of(whole.layout).weights)
    assert parts.shared is None
    save_file(states[0], tmp_path / "base.safetensors")
    with_rest = Reading(include=("out.*",), shared=tmp_path / "base.safetensors")
    given = read_checkpoints(tmp_path / "parts", reading=with_rest)
    assert given.shared is not None
    assert torch.equal(given.shared["hidden.weight"], states[0]["hidden.weight"])


@pytest.mark.parametrize("changed", ["hidden.weight", "bn.running_mean"])
def test_a_rest_that_differs_is_refused_unless_it_is_given(tmp_path: Path, changed: str) -> None:
    [state, *_] = write_parts(tmp_path / "c")
    save_file(state | {changed: state[changed] + 1}, tmp_path / "c" / "2.safetensors")
    with refused("other-network", "1 of 3", changed, "--shared"):
        read_checkpoints(tmp_path / "c", reading=PART)
    given = Reading(include=("out.*",), shared=tmp_path / "c" / "0.safetensors")
    assert len(read_checkpoints(tmp_path / "c", reading=given)) == 3


def test_patterns_that_leave_nothing_or_a_rest_that_is_not_there(tmp_path: Path) -> None:
    write_parts(tmp_path / "c")
    with refused("wrong-option"):
        open_source(tmp_path / "c", reading=Reading(include=("nothing*",)))
    with refused("not-found", "no.pt"):
        open_source(tmp_path / "c", reading=Reading(shared=tmp_path / "no.pt"))


def test_a_rest_that_nothing_lacks_is_told(tmp_path: Path) -> None:
    write_parts(tmp_path / "c")
    rest = tmp_path / "c" / "0.safetensors"
    said = " ".join(open_source(tmp_path / "c", reading=Reading(shared=rest)).description())
    assert f"{rest} holds nothing that the checkpoints lack, and is not used" in said
    part = open_source(tmp_path / "c", reading=replace(PART, shared=rest))
    assert "is not used" not in " ".join(part.description())


def test_prefixes_are_left_off(tmp_path: Path) -> None:
    for i, before in enumerate(("module.", "_orig_mod.", "module._orig_mod.")):
        state = {before + name: value for name, value in a_state(i).items()}
        path = tmp_path / str(i) / "net.pt"
        path.parent.mkdir()
        torch.save(state, path)
        found = read_checkpoints(path.parent)
        assert [name for name, _ in found.layout.shapes] == list(a_state())
    write_state(tmp_path / "plain" / "net.pt")
    as_they_are = read_checkpoints(tmp_path / "plain", reading=Reading(prefix="model."))
    assert [name for name, _ in as_they_are.layout.shapes] == list(a_state())
    with refused("wrong-option"):
        read_checkpoints(tmp_path / "plain", reading=Reading(prefix="hidden."))


def test_a_few_whole_networks_are_read_at_a_time_for_their_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write_parts(tmp_path / "c", n=5)
    monkeypatch.setattr("novelweights.readers.parts.BLOCK_BYTES", 1)
    population = read_checkpoints(tmp_path / "c", reading=PART)
    for row, state in zip(population.weights, written, strict=True):
        assert all(
            torch.equal(value, state[name])
            for name, value in population.layout.unflatten(row).items()
        )


def test_a_damaged_first_checkpoint_is_named_before_its_rest_is_shared(tmp_path: Path) -> None:
    write_parts(tmp_path / "c")
    (tmp_path / "c" / "0.safetensors").write_bytes(b"damaged")
    with refused("damaged", "0.safetensors"):
        open_source(tmp_path / "c", reading=PART)

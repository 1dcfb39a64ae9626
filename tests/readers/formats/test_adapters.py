"""Low-rank adapters are read as the products of their factors."""

import json

import pytest
import torch
from refused import refused
from safetensors.torch import save_file

from novelweights.checkpoints import load
from novelweights.readers import open_source, read_checkpoints
from novelweights.readers.source import Reading
from novelweights.readers.tolerant import examine

PLACE = "base_model.model.layers.{}.self_attn.q_proj.lora_{}.weight"
PRODUCT = "base_model.model.layers.{}.self_attn.q_proj.lora_BA.weight"


def adapter(rng, rank=2):
    """Two layers of 5 to 6."""
    return {
        PLACE.format(layer, letter): torch.randn(shape, generator=rng)
        for layer in (0, 1)
        for letter, shape in (("A", (rank, 5)), ("B", (6, rank)))
    }


def turned(state, rng):
    """The same adapter with another matrix between its factors."""
    made = dict(state)
    for layer in (0, 1):
        a, b = (PLACE.format(layer, letter) for letter in "AB")
        between = torch.randn(len(state[a]), len(state[a]), generator=rng)
        made[a], made[b] = between @ state[a], state[b] @ torch.linalg.inv(between)
    return made


def saved(folder, states, **config):
    """A folder for each adapter, as peft saves them."""
    for i, state in enumerate(states):
        place = folder / f"task{i}"
        place.mkdir(parents=True)
        save_file(
            {name: v.contiguous() for name, v in state.items()}, place / "adapter_model.safetensors"
        )
        if config:
            (place / "adapter_config.json").write_text(json.dumps(config))
    return folder


def product(state, layer):
    return state[PLACE.format(layer, "B")] @ state[PLACE.format(layer, "A")]


def test_the_product_of_each_pair_is_read_in_its_place(tmp_path, rng):
    states = [adapter(rng) for _ in range(3)]
    read = read_checkpoints(saved(tmp_path, states))
    assert read.layout.shapes == tuple((PRODUCT.format(layer), (6, 5)) for layer in (0, 1))
    for row, state in enumerate(states):
        for layer in (0, 1):
            where = read.layout.slices[PRODUCT.format(layer)]
            assert torch.allclose(read.weights[row, where].view(6, 5), product(state, layer))


def test_factors_turned_against_each_other_are_equal(tmp_path, rng):
    state = adapter(rng)
    read = read_checkpoints(saved(tmp_path, [state, turned(state, rng), adapter(rng, rank=3)]))
    assert torch.allclose(read.weights[0], read.weights[1], atol=1e-4)
    assert not torch.allclose(read.weights[0], read.weights[2], atol=0.1)


@pytest.mark.parametrize(
    ("config", "factor"),
    [
        ({"lora_alpha": 8, "r": 2}, 4.0),
        ({"lora_alpha": 8, "r": 2, "use_rslora": True}, 8 / 2**0.5),
        ({"lora_alpha": 8, "alpha_pattern": {"self_attn.q_proj": 1}}, 0.5),
        ({"lora_alpha": 8, "alpha_pattern": {"v_proj": 1}}, 4.0),
        ({"r": 2}, 1.0),
    ],
    ids=["alpha / r", "alpha / root of r", "of a layer", "of another layer", "not told"],
)
def test_products_are_scaled_as_the_configuration_says(tmp_path, rng, config, factor):
    state = adapter(rng)
    read = read_checkpoints(saved(tmp_path, [state], **config))
    assert torch.allclose(read.weights[0, :30].view(6, 5), factor * product(state, 0), atol=1e-5)


def test_checkpoints_without_a_configuration_are_scaled_as_the_others(tmp_path, rng):
    states = [adapter(rng) for _ in range(2)]
    path = saved(tmp_path, states, lora_alpha=6)
    (path / "task1" / "adapter_config.json").unlink()
    read = read_checkpoints(path)
    assert torch.allclose(read.weights[1, :30].view(6, 5), 3 * product(states[1], 0), atol=1e-5)
    (path / "task0" / "adapter_config.json").write_text(json.dumps({"lora_alpha": 4}))
    saved(tmp_path / "more", states[:1], lora_alpha=2)
    (tmp_path / "more" / "task0").rename(path / "task2")
    (tmp_path / "more").rmdir()
    with refused("wrong-content", "task1", "adapter_config.json"):
        read_checkpoints(path)


def test_other_roles_are_scaled_as_training_where_nothing_is_told(tmp_path, rng):
    state = adapter(rng)
    train = open_source(saved(tmp_path / "train", [state], lora_alpha=6))
    bare = saved(tmp_path / "generated", [state])
    read = read_checkpoints(bare, reading=Reading(scaling=train.scaling))
    assert torch.equal(read.weights, train.load().weights)
    in_memory = load([state], reading=Reading(scaling=train.scaling))
    assert torch.allclose(in_memory.weights, read.weights)
    # training without alpha: nobody's counts
    unknown = open_source(bare).scaling
    other = read_checkpoints(tmp_path / "train", reading=Reading(scaling=unknown))
    assert torch.allclose(other.weights, load([state]).weights)


def test_other_parameters_stay_and_what_may_move_is_known_of_products_only(tmp_path, rng):
    state = {**adapter(rng), "classifier.weight": torch.randn(3, 6, generator=rng)}
    table = read_checkpoints(saved(tmp_path, [state])).info.symmetry
    assert set(table.unknown) == {"classifier.weight"}
    assert not any(any(axes) for axes in table.axes.values())


def test_products_are_refused_from_their_size_before_they_are_made(tmp_path, rng):
    wide = {
        PLACE.format(0, "A"): torch.ones(1, 20_000),
        PLACE.format(0, "B"): torch.ones(20_000, 1),
    }
    path = saved(tmp_path, [wide])
    with refused("too-large", "1,600,000,000"):
        open_source(path, reading=Reading(max_bytes=10_000_000))
    small = adapter(rng)
    mixed = saved(tmp_path / "mixed", [small, wide])
    with refused("too-large", "task1"):
        read_checkpoints(mixed, reading=Reading(max_bytes=10_000_000))


def test_half_a_pair_or_one_that_does_not_fit_stays_as_it_is(tmp_path):
    odd = {
        PLACE.format(0, "A"): torch.ones(2, 5),
        PLACE.format(1, "A"): torch.ones(2, 5),
        PLACE.format(1, "B"): torch.ones(6, 3),
    }
    assert dict(read_checkpoints(saved(tmp_path, [odd])).layout.shapes).keys() == odd.keys()


def test_factors_stay_for_a_network_that_multiplies_them(tmp_path, rng):
    state = adapter(rng)
    read = read_checkpoints(saved(tmp_path, [state]), reading=Reading(as_factors=True))
    assert {name for name, _ in read.layout.shapes} == set(state)


def test_factors_of_embeddings_and_convolutions_are_pairs_too(tmp_path, rng):
    state = {
        "wte.lora_embedding_A": torch.randn(2, 7, generator=rng),
        "wte.lora_embedding_B": torch.randn(4, 2, generator=rng),
        "conv.lora_A.weight": torch.randn(2, 3, 3, 3, generator=rng),
        "conv.lora_B.weight": torch.randn(4, 2, 1, 1, generator=rng),
    }
    read = read_checkpoints(saved(tmp_path, [state]))
    assert dict(read.layout.shapes) == {
        "conv.lora_BA.weight": (4, 3, 3, 3),
        "wte.lora_embedding_BA": (4, 7),
    }
    x = torch.randn(1, 3, 5, 5, generator=rng)
    inside = torch.nn.functional.conv2d(x, state["conv.lora_A.weight"])
    expected = torch.nn.functional.conv2d(inside, state["conv.lora_B.weight"])
    kernel = read.layout.unflatten(read.weights[0])["conv.lora_BA.weight"]
    assert torch.allclose(torch.nn.functional.conv2d(x, kernel), expected, atol=1e-4)


@pytest.mark.parametrize("alpha", ["eight", True, float("inf"), [8]])
def test_an_alpha_that_is_no_number_is_refused(tmp_path, rng, alpha):
    with refused("wrong-content", "alpha"):
        read_checkpoints(saved(tmp_path, [adapter(rng)], lora_alpha=alpha))


def test_lint_sees_products_too(tmp_path, rng):
    examined = examine(saved(tmp_path, [adapter(rng) for _ in range(2)], lora_alpha=4))
    assert examined.population.layout.shapes[0] == (PRODUCT.format(0), (6, 5))
    assert not examined.foreign

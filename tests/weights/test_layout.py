import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refused import refused

from novelweights.weights.layout import WeightLayout

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=8)
SHAPES = st.lists(st.integers(1, 4), max_size=4).map(tuple)
TABLES = st.dictionaries(NAMES, SHAPES, min_size=1, max_size=5)


@given(table=TABLES, n=st.integers(1, 3))
def test_unflatten_then_flatten_is_the_identity(table, n):
    layout = WeightLayout(tuple(table.items()))
    weights = torch.arange(n * layout.size, dtype=torch.float32).reshape(n, layout.size)
    state = layout.unflatten(weights)
    assert {name: tuple(value.shape[1:]) for name, value in state.items()} == table
    for i in range(n):
        one = {name: value[i] for name, value in state.items()}
        assert torch.equal(layout.flatten(one), weights[i])
        assert torch.equal(layout.flatten(layout.unflatten(weights[i])), weights[i])


@given(table=TABLES)
def test_csv_round_trip_keeps_names_shapes_and_order(table):
    layout = WeightLayout(tuple(table.items()))
    assert WeightLayout.from_csv(layout.to_csv()) == layout


def test_the_flat_order_is_that_of_torch():
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    state = module.state_dict()
    layout = WeightLayout(tuple((name, tuple(value.shape)) for name, value in state.items()))
    flat = layout.flatten(dict(reversed(state.items())))
    assert torch.equal(flat, torch.nn.utils.parameters_to_vector(module.parameters()).detach())
    assert layout.slices["1.weight"] == slice(16, 24)
    assert layout.size == 26


def test_unflatten_copies_nothing():
    layout = WeightLayout((("a", (2, 2)), ("b", ())))
    weights = torch.zeros(3, 5)
    layout.unflatten(weights)["b"][1] = 7
    assert weights[1].tolist() == [0, 0, 0, 0, 7]


def test_the_csv_says_what_the_design_says():
    layout = WeightLayout((("out.weight", (10, 784)), ("scale", ())))
    assert layout.to_csv() == (
        "parameter,shape,start,end\nout.weight,10x784,0,7840\nscale,,7840,7841\n"
    )


def test_all_faults_of_a_state_dict_are_refused_at_once():
    layout = WeightLayout((("a", (2,)), ("b", (3,)), ("c", (1,))))
    state = {"a": torch.zeros(3), "b": torch.zeros(3), "extra": torch.zeros(1)}
    with refused("other-network") as caught:
        layout.flatten(state)
    message = str(caught.value)
    assert "a has shape (3,), expected (2,)" in message
    assert "c is missing" in message
    assert "extra is not in the layout" in message
    assert "b has" not in message


def test_weights_are_stored_as_float32():
    layout = WeightLayout((("a", (2,)),))
    assert layout.flatten({"a": torch.ones(2, dtype=torch.float64)}).dtype == torch.float32


def test_wrong_length_and_repeated_names_are_mistakes():
    with pytest.raises(ValueError, match="expected 2 weights, got 3"):
        WeightLayout((("a", (2,)),)).unflatten(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="each parameter once"):
        WeightLayout((("a", (2,)), ("a", (2,))))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "parameter,shape,start,end\n",
        "parameter,start,end\na,0,4\n",
        "parameter,shape,start,end\na,2xtwo,0,4\n",
        "parameter,shape,start,end\na,2x2,0,5\n",
        "parameter,shape,start,end\na,2,0,2\nb,2,3,5\n",
        "parameter,shape,start,end\na,2,0,2\na,2,2,4\n",
        "parameter,shape,start,end\na\n",
    ],
)
def test_a_wrong_layout_file_is_named(text):
    with refused("wrong-content", "folder/layout.csv"):
        WeightLayout.from_csv(text, "folder/layout.csv")


def test_a_pipe_is_no_layout(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "layout.csv")
    with refused("damaged", "layout.csv"):
        WeightLayout.read(tmp_path / "layout.csv")

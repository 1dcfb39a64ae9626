import pytest
import torch
from refused import refused
from torch import nn

from novelweights.networks.symmetry_of import layout_of
from novelweights.networks.tracing import proof
from novelweights.networks.tracing.proof import prove
from novelweights.weights.symmetry import NeuronSymmetry

RIGHT = {
    "0.weight": ("a", None),
    "0.bias": ("a",),
    "2.weight": ("b", "a"),
    "2.bias": ("b",),
    "4.weight": (None, "b"),
    "4.bias": (None,),
}


def prove_of(axes, activation=nn.Tanh, **more):
    module = nn.Sequential(
        nn.Linear(3, 5), activation(), nn.Linear(5, 4), activation(), nn.Linear(4, 2)
    ).double()
    example = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    prove(module, example, layout_of(module), NeuronSymmetry(axes, **more), positive=())


def test_a_right_table_is_proven():
    prove_of(RIGHT)
    prove_of(RIGHT, sign_groups=frozenset("ab"))
    prove_of(RIGHT, activation=nn.ReLU)


@pytest.mark.parametrize("name", [name for name, axes in RIGHT.items() if set(axes) != {None}])
def test_a_table_that_forgets_an_axis_is_refuted(name):
    for axis, group in enumerate(RIGHT[name]):
        if group is not None:
            axes = tuple(None if i == axis else g for i, g in enumerate(RIGHT[name]))
            with refused("wrong-symmetry", f" {group} ("):
                prove_of({**RIGHT, name: axes})


def test_only_the_wrong_group_and_its_layers_are_named():
    with refused("wrong-symmetry", "a (0.weight, 2.weight)") as caught:
        prove_of({**RIGHT, "0.bias": (None,)})
    assert "b (" not in str(caught.value)


def test_wrong_signs_are_refuted():
    with refused("wrong-symmetry", "a (", "b ("):
        prove_of(RIGHT, activation=nn.ReLU, sign_groups=frozenset("ab"))


@pytest.mark.parametrize("forgotten", range(8))
def test_no_draw_moves_nothing(forgotten, monkeypatch):
    # of two neurons, half of all orders are the old one
    monkeypatch.setattr(proof, "DRAWS", 1)
    layers = [layer for _ in range(9) for layer in (nn.Linear(2, 2), nn.Tanh())]
    module = nn.Sequential(*layers).double()
    axes = {}
    for i in range(9):
        out, into = f"h{i}" if i < 8 else None, f"h{i - 1}" if i else None
        axes |= {f"{2 * i}.weight": (out, into), f"{2 * i}.bias": (out,)}
    x = torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    layout = layout_of(module)
    signs = frozenset(f"h{i}" for i in range(8))
    prove(module, x, layout, NeuronSymmetry(axes, signs), positive=())
    axes[f"{2 * forgotten}.bias"] = (None,)
    with refused("wrong-symmetry", f" h{forgotten} ("):
        prove(module, x, layout, NeuronSymmetry(axes), positive=())

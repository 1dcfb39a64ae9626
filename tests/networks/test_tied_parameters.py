"""A parameter of several names is read, and counted once."""

import torch
from attention_families import Llama, TwoNames
from torch import nn

from novelweights.networks.symmetry_of import layout_of
from novelweights.networks.tied_parameters import counted_once
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records


def saved(module, n=4):
    """Checkpoints as torch's own state dicts of a network."""
    states = []
    for i in range(n):
        torch.manual_seed(i)
        with torch.no_grad():
            for value in module.parameters():
                value.copy_(torch.randn(value.shape))
        states.append({name: value.clone() for name, value in module.state_dict().items()})
    layout = WeightLayout(tuple((name, tuple(v.shape)) for name, v in states[0].items()))
    records = Records.of([f"run{i}" for i in range(n)], split="train")
    weights = torch.stack([layout.flatten(state) for state in states])
    return Population(weights, layout, records, PopulationInfo())


def with_values(population, name, row, value):
    weights = population.weights.clone()
    weights[row, population.layout.slices[name]] = value
    return Population(weights, population.layout, population.records, population.info)


def test_every_parameter_is_counted_once_under_its_first_name():
    for module in (Llama(), TwoNames()):
        population = saved(module)
        once, said = counted_once(population, module)
        assert once.layout == layout_of(module)
        assert once.layout.size < population.layout.size
        for name, _ in once.layout.shapes:
            whole = population.weights[:, population.layout.slices[name]]
            assert torch.equal(once.weights[:, once.layout.slices[name]], whole)
        assert "differ" not in said
        assert counted_once(once, module) == (once, "")


def test_other_values_under_the_last_name_count_and_are_said():
    module = Llama()
    population = with_values(saved(module), "head.weight", 2, 3.0)
    once, said = counted_once(population, module)
    assert (once.weights[2, once.layout.slices["wte.weight"]] == 3).all()
    assert "head.weight" in said
    assert "run2" in said
    loaded = Llama()
    loaded.load_state_dict(population.layout.unflatten(population.weights[2]))
    assert (loaded.wte.weight == 3).all()


def test_a_parameter_saved_under_its_last_name_alone_gets_the_first():
    module = Llama()
    population = saved(module)
    names = [name for name, _ in population.layout.shapes if name != "wte.weight"]
    layout = WeightLayout(tuple((n, s) for n, s in population.layout.shapes if n in names))
    columns = [population.weights[:, population.layout.slices[name]] for name in names]
    lacking = Population(torch.cat(columns, 1), layout, population.records, population.info)
    once, said = counted_once(lacking, module)
    assert {name for name, _ in once.layout.shapes} == {n for n, _ in layout_of(module).shapes}
    assert said == ""


def test_networks_without_tied_parameters_are_left_as_they_are():
    population = saved(nn.Linear(3, 2))
    assert counted_once(population, nn.Linear(3, 2))[0] is population

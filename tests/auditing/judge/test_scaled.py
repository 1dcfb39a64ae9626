"""A factor that separates all samples from all runs is named."""

import pytest
import torch
from planted import audit
from refused import noted
from tiny import NETWORK, drawn, named

from novelweights.auditing.judge.scaled import common_factor

TRAIN, HELDOUT = named(drawn(8, 1), "train"), named(drawn(20, 2), "heldout")
pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize("factor", [4.185, 0.2, -3.0])
def test_the_factor_is_found(factor: float):
    samples = named(factor * drawn(30, 3), "generated")
    result = audit(TRAIN, samples, heldout=HELDOUT, n_controls=0)
    [text] = noted(result.warnings, "scaled-samples", "factor")
    number = float(text.split("factor of ")[1].split()[0])
    medians = [torch.median(p.weights.norm(dim=1)) for p in (samples, TRAIN)]
    assert number == pytest.approx(float(medians[0] / medians[1]), rel=0.1)


def test_other_samples_have_none():
    others = [TRAIN.weights, HELDOUT.weights]
    some, layout = drawn(10, 3), NETWORK.layout
    first = layout.slices["hidden.weight"]
    one_layer = some.clone()
    one_layer[:, first] *= 30
    mixed = torch.cat([4 * some[:9], some[9:]])
    for samples in (some, one_layer, mixed, 4 * some[:1], torch.zeros_like(some)):
        assert common_factor(samples, others, layout) is None


def test_layers_that_runs_share_are_told():
    layers = TRAIN.weights.clone()
    first = NETWORK.layout.slices["hidden.weight"]
    layers[5, first] = layers[2, first]
    result = audit(
        named(layers, "train"), named(drawn(4, 3), "generated"), heldout=HELDOUT, n_controls=0
    )
    assert noted(result.warnings, "shared-layers", "train-002", "train-005", "hidden.weight")
    plain = audit(TRAIN, named(drawn(4, 3), "generated"), heldout=HELDOUT, n_controls=0)
    assert not noted(plain.warnings, "shared-layers")

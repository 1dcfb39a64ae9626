"""The symmetries of any torch network, derived from a run of it on an example.

`novelweights.networks.tracing` follows what the axes of all intermediate values count; the table
that results is then tried on random weights, and refused if the outputs change. Ours.
"""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from novelweights.errors import InputError
from novelweights.networks.tracing.continuous import continuous_symmetries
from novelweights.networks.tracing.follow import Follow
from novelweights.networks.tracing.proof import prove
from novelweights.networks.tracing.running import (
    few_threads,
    in_double,
    layers_noted,
    run,
    state_of,
    working_copy,
)
from novelweights.networks.tracing.table import normalizations_of, table_of
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry


def layout_of(module: nn.Module) -> WeightLayout:
    """A network's parameters, and the floating-point buffers that it saves (running statistics),
    in the order of its state dict. Counts of batches are left out, shared parameters listed once.

    Raises:
        InputError: A parameter is not of real floating-point numbers.
    """
    return WeightLayout(
        tuple((name, tuple(tensor.shape)) for name, tensor in state_of(module).items())
    )


def symmetry_of(
    module: nn.Module, example: Tensor | tuple | Mapping, *, logits: bool = False
) -> NeuronSymmetry:
    """The symmetries of a network: what leaves its outputs alone, in evaluation mode.

    Its neurons that may be reordered or change sign, and those that form a continuum: scales
    of neurons, lengths of normalized filters, coordinates inside attention heads.

    Derived from one run and proven on random weights. What is not understood is fixed, so the
    table may say less than holds, never more; `unknown` names those parameters. Groups have the
    name of the layer that produces them. Neither the network nor the state of torch's random
    numbers changes.

    Args:
        module: Any network, with any weights.
        example: Its input, or a tuple of its inputs, or a mapping of named ones; of any batch.
        logits: The outputs are logits of a softmax over their last axis: a number added to all
            logits of an example changes nothing either.

    Returns:
        The table of `layout_of(module)`; without groups where nothing may move.

    Raises:
        InputError: The network does not run on the example, is recurrent, takes branches that
            depend on values, or contradicts the table that was derived.

    Source: ours.
    """
    with few_threads(module):
        return _derived(working_copy(module), in_double(example), logits=logits)


def _derived(copied: nn.Module, inputs: object, *, logits: bool) -> NeuronSymmetry:
    """The symmetries of a working copy."""
    try:
        run(copied, inputs)
    except (
        RuntimeError,
        TypeError,
        ValueError,
        LookupError,
        AttributeError,
        AssertionError,
    ) as error:
        raise InputError(
            f"expected a network that runs on the example in evaluation mode, got "
            f"{type(error).__name__}: {error}; give an input as in use, with its batch",
            "network-failed",
        ) from error
    state = state_of(copied)
    parameters = dict(copied.named_parameters())
    follow = Follow(state, [name for name in state if name not in parameters])
    follow.hold(inputs)
    with layers_noted(copied, follow.layers):
        try:
            follow.hold(run(copied, inputs, follow))
        except RuntimeError as error:  # it ran before, so what torch cannot do is to follow it
            raise InputError(
                f"{follow.where}: expected code that can be followed, got {error}; replace "
                "torch.vmap by batches, or write the table (NeuronSymmetry) by hand",
                "not-traceable",
            ) from error
    table, layout = table_of(follow.weights, follow.notes), layout_of(copied)
    variances = follow.notes.variances
    if table.sizes(layout):
        prove(copied, inputs, layout, table, positive=variances)
    continuous = continuous_symmetries(
        copied,
        inputs,
        layout,
        table,
        normalizations_of(follow.weights, follow.notes, table),
        positive=variances,
        logits=logits,
    )
    # heads whose two sides are replaced by their product are known in full, but not the order of
    # those that share one, where there are several such ones
    factors = {
        factor.parameter
        for product in continuous.products.values()
        for factor in product.factors
        if 1 in (factor.repeat, product.heads)
    }
    unknown = {name: why for name, why in table.unknown.items() if name not in factors}
    return replace(table, continuous=continuous, unknown=unknown)

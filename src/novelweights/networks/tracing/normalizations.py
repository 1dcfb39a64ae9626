"""Rules for normalizations: scale, shift and statistics move with the channels."""

from math import lgamma

from novelweights.networks.tracing.axes import (
    Axes,
    Unknown,
    equate,
    forbid_flips,
    joined,
    nested,
    new,
    size,
)
from novelweights.networks.tracing.call import Call, Normalized, Rule, axis_at


def by_channel(call: Call) -> Axes:
    """Batch and instance normalization: of each channel, by the data or by stored statistics."""
    if not call.is_functional:
        raise Unknown
    x = call.first()
    mean, variance, weight, bias = (
        call.tensor(i, name)
        for i, name in enumerate(("running_mean", "running_var", "weight", "bias"), start=1)
    )
    axes = call.axes(x)
    at = axis_at(1, len(axes))
    for tensor in (mean, variance, weight, bias):
        if tensor is not None:
            equate(axes[at], call.axes(tensor)[0])
            forbid_flips(axes[at])
    # without scale and shift, instance normalization is odd
    forbid_flips(*axes[:at], *axes[at + 1 :], *(axes if call.name == "batch_norm" else ()))
    if variance is not None:
        call.notes.variances.add(call.value_of(variance).name or "")
    is_stored = call.name == "batch_norm" and not call.argument(5, "training", False)
    if is_stored and mean is not None and variance is not None:
        scale, shift = (None if t is None else call.value_of(t) for t in (weight, bias))
        epsilon = float(str(call.argument(7, "eps", 1e-5)))
        call.notes.normalized.append(
            Normalized(
                call.value_of(x),
                scale,
                shift,
                call.value_of(mean),
                call.value_of(variance),
                epsilon,
            )
        )
    return axes


def over_last_axes(call: Call) -> Axes:
    """Layer and root-mean-square normalization: of all that the last axes count."""
    axes = call.axes(call.first())
    given = (
        call.tensor(2, "weight"),
        call.tensor(3, "bias") if call.name == "layer_norm" else None,
    )
    for tensor in given:
        if tensor is not None:
            for one, other in zip(axes[-tensor.ndim :], call.axes(tensor), strict=True):
                equate(one, other)
    forbid_flips(*axes)
    return axes


def by_group(call: Call) -> Axes:
    """Group normalization: whole groups of channels may move, or the channels within each.

    Both together would be more, which a table of axes cannot say; whichever is the larger is taken.
    """
    axes, groups = call.axes(call.first()), call.integer(1, "num_groups")
    channels = axes[axis_at(1, len(axes))]
    inside = size(channels) // groups
    if lgamma(groups + 1) < groups * lgamma(inside + 1):
        equate(channels, joined(*(new(inside) for _ in range(groups))))
    else:
        equate(channels, nested(new(groups), new(inside)))
    for tensor in (call.tensor(2, "weight"), call.tensor(3, "bias")):
        if tensor is not None:
            equate(channels, call.axes(tensor)[0])
    forbid_flips(*axes)
    return axes


RULES: dict[str, Rule] = {
    **dict.fromkeys(("batch_norm", "instance_norm"), by_channel),
    **dict.fromkeys(("layer_norm", "rms_norm"), over_last_axes),
    "group_norm": by_group,
}

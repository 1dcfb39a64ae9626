"""Rules for what many entries make together: sums, maxima, softmax, pooling, normalizations.

Scale, shift and statistics of a normalization move with the channels.
"""

from collections.abc import Sequence
from math import lgamma

from torch import Tensor

from novelweights.networks.tracing.axes import (
    Axes,
    Fixed,
    Unknown,
    equate,
    fix,
    forbid_flips,
    joined,
    nested,
    new,
    size,
)
from novelweights.networks.tracing.call import (
    Call,
    Normalized,
    Rule,
    axis_at,
    names,
)
from novelweights.networks.tracing.pointwise import of_several

LINEAR = names("sum mean nansum nanmean")
NONLINEAR = names(
    "amax amin max min prod std var logsumexp all any norm linalg_vector_norm count_nonzero"
)
"""In whatever order the entries are."""
BY_PLACE = names("argmax argmin median mode kthvalue")
"""The place of an entry comes out."""


def reduced(call: Call) -> Axes | list[Axes]:
    """Some axes, or all of them, become one value."""
    x, results = call.first(), call.results()
    if call.name in ("max", "min") and isinstance(call.argument(1, "other"), Tensor):
        return of_several(call)
    axes = call.axes(x)
    dims = call.argument(2 if call.name.endswith("norm") else 1, "dim", call.kwargs.get("axis"))
    if dims is None or isinstance(dims, bool):
        gone = set(range(len(axes)))
    else:
        numbers = dims if isinstance(dims, Sequence) else [dims]
        gone = {axis_at(n, len(axes)) for n in numbers if isinstance(n, int)}
        gone = gone or set(range(len(axes)))
    forbid_flips(*(axes if call.name not in LINEAR else [axes[at] for at in gone]))
    if call.name in BY_PLACE or len(results) > 1:
        fix(*(axes[at] for at in gone))
    keeps = results[0].ndim == len(axes)
    left = tuple(
        Fixed(1) if at in gone else axis for at, axis in enumerate(axes) if keeps or at not in gone
    )
    return [left] * len(results)


def weighed_together(call: Call) -> Axes:
    """Softmax and scaling to a norm: the same for every order along the axis."""
    axes = call.axes(call.first())
    forbid_flips(*axes)
    if call.kwargs.get("out") is not None:
        raise Unknown
    return axes


def pooled(call: Call) -> list[Axes]:
    """Positions of the last axes together; the others pass."""
    axes = call.axes(call.first())
    results = call.results()
    spatial = len(axes) - 2 if call.name in RESIZING else int(call.name.partition("_pool")[2][0])
    fix(*axes[-spatial:])
    if not call.name.startswith(("avg", "adaptive_avg", *RESIZING)):
        forbid_flips(*axes)
    return [(*axes[:-spatial], *map(Fixed, result.shape[-spatial:])) for result in results]


RESIZING = ("interpolate", "upsample")
POOLS = (
    *(f"{kind}_pool{n}d" for n in (1, 2, 3) for kind in ("max", "avg", "lp")),
    *(f"adaptive_{kind}_pool{n}d" for n in (1, 2, 3) for kind in ("max", "avg")),
    *(f"max_pool{n}d_with_indices" for n in (1, 2, 3)),
    *(f"adaptive_max_pool{n}d_with_indices" for n in (1, 2, 3)),
)


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
    parameters = (
        call.tensor(2, "weight"),
        call.tensor(3, "bias") if call.name == "layer_norm" else None,
    )
    for tensor in parameters:
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
    **dict.fromkeys(LINEAR | NONLINEAR | BY_PLACE, reduced),
    **dict.fromkeys(("softmax", "log_softmax", "softmin", "normalize"), weighed_together),
    **dict.fromkeys((*POOLS, *RESIZING), pooled),
    **dict.fromkeys(("batch_norm", "instance_norm"), by_channel),
    **dict.fromkeys(("layer_norm", "rms_norm"), over_last_axes),
    "group_norm": by_group,
}

"""Rules for sums, means and maxima over axes, softmax, pooling and interpolation."""

from collections.abc import Sequence

from torch import Tensor

from novelweights.networks.tracing.axes import Axes, Fixed, Unknown, fix, forbid_flips
from novelweights.networks.tracing.call import Call, Rule, axis_at, names
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
    given = call.argument(2 if call.name.endswith("norm") else 1, "dim", call.kwargs.get("axis"))
    if given is None or isinstance(given, bool):
        gone = set(range(len(axes)))
    else:
        numbers = given if isinstance(given, Sequence) else [given]
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
RULES: dict[str, Rule] = {
    **dict.fromkeys(LINEAR | NONLINEAR | BY_PLACE, reduced),
    **dict.fromkeys(("softmax", "log_softmax", "softmin", "normalize"), weighed_together),
    **dict.fromkeys((*POOLS, *RESIZING), pooled),
}

"""Rules for picking entries: positions that are picked by number stay fixed."""

from torch import Tensor, broadcast_shapes, tensor
from torch import bool as torch_bool

from novelweights.networks.tracing.axes import (
    Axes,
    Axis,
    Fixed,
    Unknown,
    fix,
    forbid_flips,
    pieces,
    size,
)
from novelweights.networks.tracing.call import Call, Rule, axis_at, tensors_in


def _picked(call: Call, axis: Axis, start: int, stop: int, step: int) -> Axis:
    """A range of the entries of an axis."""
    entries = len(range(start, stop, step))
    if entries == size(axis) and step == 1:
        return axis
    # what is left over of weights may be read by another example, so none may move
    if step != 1 or not entries or call.value_of(call.first()).is_weight:
        fix(axis)
        return Fixed(entries)
    return pieces(axis, (start, entries, size(axis) - start - entries))[1]


def item(call: Call) -> Axes:
    """x[...] with numbers, ranges, new axes, or whole numbers in tensors."""
    axes = list(call.axes(call.first()))
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    taken = sum(part is not None and part is not Ellipsis for part in index)
    if Ellipsis not in [part for part in index if not isinstance(part, Tensor)]:
        index = (*index, Ellipsis)
    found: list[Axis] = []
    lists: list[tuple[int, Tensor]] = []
    for part in index:
        if part is None:
            found.append(Fixed(1))
        elif part is Ellipsis:
            through = len(axes) - taken
            found += axes[:through]
            del axes[:through]
        elif isinstance(part, slice):
            if list(tensors_in(part)):
                raise Unknown
            axis = axes.pop(0)
            found.append(_picked(call, axis, *part.indices(size(axis))))
        elif isinstance(part, int) and not isinstance(part, bool):
            fix(axes.pop(0))
        else:
            numbers = part if isinstance(part, Tensor) else tensor(part)
            if numbers.dtype == torch_bool:
                raise Unknown
            fix(axes.pop(0), *call.axes(numbers))
            lists.append((len(found), numbers))
        taken -= part is not None and part is not Ellipsis
    if lists:
        if len({at for at, _ in lists}) > 1 or any(isinstance(part, int) for part in index):
            raise Unknown
        shape = broadcast_shapes(*(numbers.shape for _, numbers in lists))
        found[lists[0][0] : lists[0][0]] = map(Fixed, shape)
    return tuple(found)


def selected(call: Call) -> Axes:
    """One entry of an axis."""
    axes = call.axes(call.first())
    at = axis_at(call.integer(1, "dim"), len(axes))
    fix(axes[at])
    return (*axes[:at], *axes[at + 1 :])


def narrowed(call: Call) -> Axes:
    """A range of an axis."""
    axes = call.axes(call.first())
    at, start, length = (
        call.integer(i, name) for i, name in enumerate(("dim", "start", "length"), start=1)
    )
    at, start = axis_at(at, len(axes)), start % max(size(axes[at]), 1)
    return (*axes[:at], _picked(call, axes[at], start, start + length, 1), *axes[at + 1 :])


ORDERED = {
    **dict.fromkeys(("sort", "argsort"), (1, "dim", -1)),
    "topk": (2, "dim", -1),
    **dict.fromkeys(("cumsum", "cumprod", "logcumsumexp", "index_select"), (1, "dim", None)),
}
"""Functions that tell the entries of one axis apart: where they are told which, and what else."""


def in_order(call: Call) -> list[Axes]:
    """One axis is sorted, summed up or picked from."""
    axes = call.axes(call.first())
    at = axis_at(call.integer(*ORDERED[call.name]), len(axes))
    return _along(call, axes, {at})


def turned(call: Call) -> list[Axes]:
    """`flip` and `roll`: some axes in another order."""
    axes = call.axes(call.first())
    position = {"flip": 1, "roll": 2}[call.name]
    return _along(call, axes, {axis_at(at, len(axes)) for at in call.integers(position, "dims")})


def triangle(call: Call) -> list[Axes]:
    """`tril` and `triu`: entries of the last two axes, by their places."""
    axes = call.axes(call.first())
    return _along(call, axes, {len(axes) - 2, len(axes) - 1})


def _along(call: Call, axes: Axes, fixed: set[int]) -> list[Axes]:
    """Results with these axes fixed."""
    fix(*(axes[at] for at in fixed))
    forbid_flips(*axes)
    return [
        tuple(Fixed(result.shape[at]) if at in fixed else axis for at, axis in enumerate(axes))
        for result in call.results()
    ]


RULES: dict[str, Rule] = {
    "getitem": item,
    "select": selected,
    "narrow": narrowed,
    **dict.fromkeys(ORDERED, in_order),
    **dict.fromkeys(("flip", "roll"), turned),
    **dict.fromkeys(("tril", "triu"), triangle),
}

"""Rules for what rearranges values or picks some: reshaped, joined, cut, repeated, indexed.

Positions that are picked by number stay fixed.
"""

from math import prod

from torch import Tensor, broadcast_shapes, empty, tensor
from torch import bool as torch_bool

from novelweights.networks.tracing.axes import (
    Axes,
    Axis,
    Fixed,
    Unknown,
    equate,
    fix,
    forbid_flips,
    joined,
    nested,
    new,
    pieces,
    size,
    unflattened,
)
from novelweights.networks.tracing.call import Call, Rule, axis_at, tensors_in


def reshaped(call: Call) -> Axes:
    """Any function that keeps the row-major order of the entries."""
    [result] = call.results()
    sizes = [n for n in result.shape if n != 1]
    waiting = [axis for axis in call.axes(call.first()) if size(axis) != 1]
    if 0 in sizes:
        raise Unknown
    axes: list[Axis] = []
    while sizes:
        # the fewest axes before and after that hold as many entries
        before, after = [waiting.pop(0)], [sizes.pop(0)]
        while (n := prod(map(size, before))) != (m := prod(after)):
            if n < m:
                before.append(waiting.pop(0))
            else:
                after.append(sizes.pop(0))
        axes += unflattened(nested(*before), after)
    return tuple(Fixed(1) if n == 1 else axes.pop(0) for n in result.shape)


def reordered(call: Call) -> Axes:
    """Axes in another order: the one that the function gives to axes of different sizes."""
    axes = call.axes(call.first())
    marked = empty(tuple(range(2, 2 + len(axes))), device="meta")
    named = {name: value for name, value in call.kwargs.items() if name != "input"}
    return tuple(axes[n - 2] for n in call.function(marked, *call.args[1:], **named).shape)


def concatenated(call: Call) -> Axes:
    """One after the other along an axis."""
    tensors = _sequence(call)
    operands = [call.axes(tensor) for tensor in tensors if tensor.shape != (0,)]
    at = axis_at(call.integer(1, "dim", 0), len(operands[0]))
    for axes in operands[1:]:
        for i, axis in enumerate(axes):
            if i != at:
                equate(operands[0][i], axis)
    whole = joined(*(axes[at] for axes in operands))
    return (*operands[0][:at], whole, *operands[0][at + 1 :])


def stacked(call: Call) -> Axes:
    """One after the other along a new axis."""
    operands = [call.axes(tensor) for tensor in _sequence(call)]
    at = axis_at(call.integer(1, "dim", 0), len(operands[0]) + 1)
    for axes in operands[1:]:
        for one, other in zip(operands[0], axes, strict=True):
            equate(one, other)
    return (*operands[0][:at], Fixed(len(operands)), *operands[0][at:])


def _sequence(call: Call) -> list[Tensor]:
    tensors = call.argument(0, "tensors")
    if not isinstance(tensors, (list, tuple)) or not tensors:
        raise Unknown
    return list(tensors)


def cut(call: Call) -> list[Axes]:
    """All consecutive pieces along an axis."""
    axes = call.axes(call.first())
    at = axis_at(call.integer(2, "dim", 0), len(axes))
    cuts = pieces(axes[at], [result.shape[at] for result in call.results()])
    return [(*axes[:at], piece, *axes[at + 1 :]) for piece in cuts]


def unbound(call: Call) -> list[Axes]:
    """Every entry of an axis by itself."""
    axes = call.axes(call.first())
    at = axis_at(call.integer(1, "dim", 0), len(axes))
    fix(axes[at])
    return [(*axes[:at], *axes[at + 1 :])] * len(call.results())


def gated(call: Call) -> Axes:
    """`glu`: one half of an axis times the sigmoid of the other."""
    axes = call.axes(call.first())
    at = axis_at(call.integer(1, "dim", -1), len(axes))
    half = size(axes[at]) // 2
    values, gates = pieces(axes[at], (half, half))
    equate(values, gates)
    forbid_flips(*axes)
    return (*axes[:at], values, *axes[at + 1 :])


def repeated(call: Call) -> Axes:
    """Whole axes repeated, also by `expand`: copies may be reordered among themselves."""
    [result] = call.results()
    axes = call.axes(call.first())
    lacking = result.ndim - len(axes)
    found: list[Axis] = [new(n, may_flip=False) for n in result.shape[:lacking]]
    for n, axis in zip(result.shape[lacking:], axes, strict=True):
        if not n or not size(axis):
            raise Unknown
        found.append(nested(new(n // size(axis), may_flip=False), axis))
    return tuple(found)


def repeated_entries(call: Call) -> Axes:
    """Each entry of an axis repeated as often as the others."""
    axes = call.axes(call.first())
    times, at = call.integer(1, "repeats"), axis_at(call.integer(2, "dim"), len(axes))
    return (*axes[:at], nested(axes[at], new(times, may_flip=False)), *axes[at + 1 :])


def padded(call: Call) -> Axes:
    """Entries added at the ends of axes; of a constant, they may be reordered."""
    [result] = call.results()
    axes = list(call.axes(call.first()))
    ends = call.argument(1, "pad")
    if not isinstance(ends, (list, tuple)):
        raise Unknown
    is_constant = call.argument(2, "mode", "constant") == "constant"
    is_zero = is_constant and not call.argument(3, "value", 0)
    if not is_zero:
        forbid_flips(*axes)
    for i, (before, after) in enumerate(zip(ends[::2], ends[1::2], strict=True), start=1):
        if is_constant and min(before, after) >= 0:
            added = (new(n, may_flip=is_zero) for n in (before, after))
            first, last = added
            axes[-i] = joined(first, axes[-i], last)
        elif before or after:
            fix(axes[-i])
            axes[-i] = Fixed(result.shape[-i])
    return tuple(axes)


def pixel_shuffle(call: Call) -> Axes:
    """Channels spread over the pixels of finer images: those of one channel stay together."""
    [result] = call.results()
    *leading, channels, height, width = call.axes(call.first())
    fix(height, width)
    out = result.shape[-3]
    channel, inside = unflattened(channels, (out, size(channels) // out))
    fix(inside)
    return (*leading, channel, *map(Fixed, result.shape[-2:]))


def pixel_unshuffle(call: Call) -> Axes:
    """Pixels of each channel turned into channels that stay together."""
    [result] = call.results()
    *leading, channel, height, width = call.axes(call.first())
    fix(height, width)
    inside = Fixed(result.shape[-3] // size(channel))
    return (*leading, nested(channel, inside), *map(Fixed, result.shape[-2:]))


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
    result: list[Axis] = []
    lists: list[tuple[int, Tensor]] = []
    for part in index:
        if part is None:
            result.append(Fixed(1))
        elif part is Ellipsis:
            through = len(axes) - taken
            result += axes[:through]
            del axes[:through]
        elif isinstance(part, slice):
            if list(tensors_in(part)):
                raise Unknown
            axis = axes.pop(0)
            result.append(_picked(call, axis, *part.indices(size(axis))))
        elif isinstance(part, int) and not isinstance(part, bool):
            fix(axes.pop(0))
        else:
            numbers = part if isinstance(part, Tensor) else tensor(part)
            if numbers.dtype == torch_bool:
                raise Unknown
            fix(axes.pop(0), *call.axes(numbers))
            lists.append((len(result), numbers))
        taken -= part is not None and part is not Ellipsis
    if lists:
        if len({at for at, _ in lists}) > 1 or any(isinstance(part, int) for part in index):
            raise Unknown
        shape = broadcast_shapes(*(numbers.shape for _, numbers in lists))
        result[lists[0][0] : lists[0][0]] = map(Fixed, shape)
    return tuple(result)


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
    **dict.fromkeys(
        ("reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel"), reshaped
    ),
    **dict.fromkeys(("view_as", "reshape_as"), reshaped),
    **dict.fromkeys(("permute", "transpose", "swapaxes", "swapdims", "t", "T"), reordered),
    **dict.fromkeys(("mT", "mH", "H", "adjoint", "movedim", "moveaxis"), reordered),
    **dict.fromkeys(("cat", "concat", "concatenate"), concatenated),
    "stack": stacked,
    **dict.fromkeys(("split", "chunk", "tensor_split", "split_with_sizes"), cut),
    "unbind": unbound,
    "glu": gated,
    **dict.fromkeys(("expand", "expand_as", "broadcast_to", "repeat", "tile"), repeated),
    "repeat_interleave": repeated_entries,
    "pad": padded,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "getitem": item,
    "select": selected,
    "narrow": narrowed,
    **dict.fromkeys(ORDERED, in_order),
    **dict.fromkeys(("flip", "roll"), turned),
    **dict.fromkeys(("tril", "triu"), triangle),
}

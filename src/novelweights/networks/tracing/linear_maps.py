"""Rules for what is linear in its first operand: dense layers, convolutions, matrix products."""

from collections.abc import Sequence

from torch import Tensor

from novelweights.networks.tracing.axes import (
    Axes,
    Axis,
    Fixed,
    Unknown,
    equate,
    fix,
    forbid_flips,
    nested,
    new,
    size,
)
from novelweights.networks.tracing.call import Call, Rule, added, contract


def _made(call: Call, weight: Tensor, bias: Tensor | None, axis: Axis) -> None:
    """Remember which parameters made the neurons of an axis."""
    call.produced(weight, axis)
    values = [call.value_of(tensor) for tensor in (weight, bias) if tensor is not None]
    names = tuple(value.name for value in values if value.name is not None)
    if len(names) == len(values) and not call.name.startswith("conv_transpose"):
        call.made_by = names


def linear(call: Call) -> Axes:
    """x W^T + b."""
    x, weight, bias = call.first(), call.tensor(1, "weight"), call.tensor(2, "bias")
    if weight is None or weight.ndim != 2:
        raise Unknown
    inputs, matrix = call.axes(x), call.axes(weight)
    leading = range(x.ndim - 1)
    kept = [*leading, "out"]
    result = contract([(inputs, [*leading, "in"]), (matrix, ["out", "in"])], kept)
    if bias is not None:
        result = added([result, call.axes(bias)])
    _made(call, weight, bias, matrix[0])
    return result


def convolution(call: Call) -> Axes:
    """Convolution of any number of spatial axes, in groups or not; also transposed."""
    x, weight, bias = call.first(), call.tensor(1, "weight"), call.tensor(2, "bias")
    if weight is None:
        raise Unknown
    spatial = weight.ndim - 2
    at = x.ndim - spatial - 1
    inputs, kernel = call.axes(x), call.axes(weight)
    groups = call.integer(6, "groups", 1)
    group = new(groups)  # whole groups may move, and the channels of all groups alike
    equate(kernel[0], nested(group, new(size(kernel[0]) // groups)))
    into, out = nested(group, kernel[1]), kernel[0]
    if call.name.startswith("conv_transpose"):
        into, out = out, into
    equate(inputs[at], into)
    fix(*kernel[2:])
    result = (*inputs[:at], out, *_positions(call, weight, inputs[at + 1 :]))
    if bias is not None:
        result = added([result, (*call.axes(bias), *[Fixed(1)] * spatial)])
    _made(call, weight, bias, out)
    return result


def _positions(call: Call, weight: Tensor, axes: Axes) -> Axes:
    """Spatial axes stay fixed, except where each position gives one of its own."""
    [result] = call.results()
    stride, padding = (_each(call, position) for position in (3, 4))
    kept = []
    for i in range(-len(axes), 0):
        if weight.shape[i] == 1 and stride[i] == 1 and padding[i] == 0:
            kept.append(axes[i])
        else:
            fix(axes[i])
            kept.append(Fixed(result.shape[i]))
    return tuple(kept)


def _each(call: Call, position: int) -> Sequence[object]:
    """The stride or padding along each spatial axis."""
    name, default = {3: ("stride", 1), 4: ("padding", 0)}[position]
    given = call.argument(position, name, default)
    if isinstance(given, (tuple, list)):
        return given * 3 if len(given) == 1 else given
    # "same" and "valid": a kernel of one entry needs no padding
    return (0 if isinstance(given, str) else given,) * 3


def _matrix_product(a: Axes, b: Axes) -> Axes:
    """The axes of a @ b, with batches."""
    a_labels = ["in"] if len(a) == 1 else [*range(-len(a), -2), "rows", "in"]
    b_labels = ["in"] if len(b) == 1 else [*range(-len(b), -2), "in", "columns"]
    batch = range(-max(len(a), len(b)), -2)
    ends = ["rows"] * (len(a) > 1) + ["columns"] * (len(b) > 1)
    return contract([(a, a_labels), (b, b_labels)], [*batch, *ends])


def matmul(call: Call) -> Axes:
    """Matrix and vector products, with or without batches."""
    a, b = call.first(), call.argument(1, "other", call.kwargs.get("mat2"))
    if not isinstance(b, Tensor) or not a.ndim or not b.ndim:
        raise Unknown
    return _matrix_product(call.axes(a), call.axes(b))


def addmm(call: Call) -> Axes:
    """bias + a @ b."""
    if len(call.args) != 3:
        raise Unknown
    bias, a, b = call.args
    return added([call.axes(bias), _matrix_product(call.axes(a), call.axes(b))])


def einsum(call: Call) -> Axes:
    """`torch.einsum` with letters and an ellipsis, which stands for axes that broadcast."""
    equation, *operands = call.args
    if not isinstance(equation, str):
        raise Unknown
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = list(operands[0])
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    labelled, longest = [], 0
    for tensor, letters in zip(operands, inputs.split(","), strict=True):
        before, dots, after = letters.partition("...")
        n_dots = tensor.ndim - len(before) - len(after) if dots else 0
        longest = max(longest, n_dots)
        labelled.append((call.axes(tensor), [*before, *range(-n_dots, 0), *after]))
    if not arrow:
        once = [letter for letter in sorted(inputs) if inputs.count(letter) == 1]
        output = "..." * ("..." in inputs) + "".join(once).replace(",", "").replace(".", "")
    before, dots, after = output.partition("...")
    kept = [*before, *(range(-longest, 0) if dots else ()), *after]
    return contract(labelled, kept)


def bilinear(call: Call) -> Axes:
    """x W y + b, for each output a matrix W."""
    x, y, weight, bias = (
        call.tensor(i, name) for i, name in enumerate(("input1", "input2", "weight", "bias"))
    )
    if x is None or y is None or weight is None:
        raise Unknown
    batch = range(x.ndim - 1)
    operands = [
        (call.axes(x), [*batch, "left"]),
        (call.axes(y), [*batch, "right"]),
        (call.axes(weight), ["out", "left", "right"]),
    ]
    result = contract(operands, [*batch, "out"])
    call.produced(weight, call.axes(weight)[0])
    return result if bias is None else added([result, call.axes(bias)])


def scaled_to_length(call: Call) -> Axes:
    """Weight normalization: a direction divided by its length, times a length of its own."""
    direction, length = call.axes(call.first()), call.axes(call.args[1])
    for one, other in zip(direction, length, strict=False):  # one length for all has no axes
        if size(other) > 1:
            equate(one, other)
            forbid_flips(one)
    return direction


def embedding(call: Call) -> Axes:
    """Rows of a table, by number."""
    numbers, table = call.first(), call.tensor(1, "weight")
    if not call.is_functional or table is None:
        raise Unknown
    rows, columns = call.axes(table)
    fix(rows)
    call.produced(table, columns)
    return (*call.axes(numbers), columns)


RULES: dict[str, Rule] = {
    "linear": linear,
    "matmul": matmul,
    "mm": matmul,
    "bmm": matmul,
    "mv": matmul,
    "dot": matmul,
    "addmm": addmm,
    "baddbmm": addmm,
    "einsum": einsum,
    "bilinear": bilinear,
    "weight_norm": scaled_to_length,
    "embedding": embedding,
    **{f"conv{n}d": convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": convolution for n in (1, 2, 3)},
}

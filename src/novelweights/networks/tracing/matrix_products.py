"""Rules for products of matrices, however they are written: `@`, `einsum`, `addmm` and the like."""

from torch import Tensor

from novelweights.networks.tracing.axes import Axes, Unknown
from novelweights.networks.tracing.call import Call, Rule, added, axis_at, contract


def _product(a: Axes, b: Axes) -> Axes:
    """The axes of a @ b, with batches."""
    a_labels = ["in"] if len(a) == 1 else [*range(-len(a), -2), "rows", "in"]
    b_labels = ["in"] if len(b) == 1 else [*range(-len(b), -2), "in", "columns"]
    batch = range(-max(len(a), len(b)), -2)
    ends = ["rows"] * (len(a) > 1) + ["columns"] * (len(b) > 1)
    return contract([(a, a_labels), (b, b_labels)], [*batch, *ends])


def _second(call: Call) -> Tensor:
    """The second operand.

    Raises:
        Unknown: It is no tensor.
    """
    called = ("other", "mat2", "vec", "vec2", "tensor")
    named = next((call.kwargs[name] for name in called if name in call.kwargs), None)
    operand = call.argument(1, "", named)
    if not isinstance(operand, Tensor):
        raise Unknown
    return operand


def matmul(call: Call) -> Axes:
    """Matrix and vector products, with or without batches."""
    a, b = call.first(), _second(call)
    if not a.ndim or not b.ndim:
        raise Unknown
    return _product(call.axes(a), call.axes(b))


def inner(call: Call) -> Axes:
    """Sums of products along the last axes of both."""
    a, b = call.axes(call.first()), call.axes(_second(call))
    if not a or not b:
        raise Unknown
    mine, theirs = (
        [f"{side}{i}" for i in range(n - 1)] for side, n in (("a", len(a)), ("b", len(b)))
    )
    return contract([(a, [*mine, "in"]), (b, [*theirs, "in"])], [*mine, *theirs])


def outer(call: Call) -> Axes:
    """Every entry of one vector times every entry of another."""
    a, b = call.axes(call.first()), call.axes(_second(call))
    return contract([(a, ["rows"]), (b, ["columns"])], ["rows", "columns"])


ADDED = {
    **dict.fromkeys(("addmm", "addmm_activation"), ("mat1", "mat2")),
    **dict.fromkeys(("baddbmm", "addbmm"), ("batch1", "batch2")),
    "addmv": ("mat", "vec"),
}
"""Functions that add a product to their first operand, and what its two factors are called."""


def product_added(call: Call) -> Axes:
    """bias + a @ b; `addbmm` sums over the batch."""
    first, second = (call.tensor(i, name) for i, name in enumerate(ADDED[call.name], start=1))
    if first is None or second is None:
        raise Unknown
    bias, a, b = map(call.axes, (call.first(), first, second))
    made = _product(a, b)
    if call.name == "addbmm":
        labels = ["batch", "rows", "in"], ["batch", "in", "columns"]
        made = contract([(a, labels[0]), (b, labels[1])], ["rows", "columns"])
    return added([bias, made])


def chain_of_products(call: Call) -> Axes:
    """Several matrices one after the other."""
    given = call.argument(0, "tensors")
    several = given if isinstance(given, (list, tuple)) else call.args
    tensors = [tensor for tensor in several if isinstance(tensor, Tensor)]
    if len(tensors) < len(several) or not tensors:
        raise Unknown
    axes, *others = map(call.axes, tensors)
    for other in others:
        axes = _product(axes, other)
    return axes


def tensordot(call: Call) -> Axes:
    """Sums of products along some axes of both: the last and the first ones, or those named."""
    a, b = call.axes(call.first()), call.axes(_second(call))
    dims = call.argument(2, "dims", 2)
    if isinstance(dims, int) and not isinstance(dims, bool):
        dims = (range(len(a) - dims, len(a)), range(dims))
    if not isinstance(dims, (list, tuple)) or len(dims) != 2:
        raise Unknown
    numbers = [[n] if isinstance(n, int) else list(n) for n in dims]
    mine: list[object] = [f"a{i}" for i in range(len(a))]
    theirs: list[object] = [f"b{i}" for i in range(len(b))]
    for one, other in zip(*numbers, strict=True):
        theirs[axis_at(other, len(b))] = mine[axis_at(one, len(a))]
    summed = set(mine) & set(theirs)
    return contract([(a, mine), (b, theirs)], [n for n in (*mine, *theirs) if n not in summed])


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


RULES: dict[str, Rule] = {
    **dict.fromkeys(("matmul", "linalg_matmul", "mm", "bmm", "mv", "dot", "vdot"), matmul),
    "inner": inner,
    **dict.fromkeys(("outer", "ger"), outer),
    **dict.fromkeys(ADDED, product_added),
    **dict.fromkeys(("linalg_multi_dot", "chain_matmul"), chain_of_products),
    "tensordot": tensordot,
    "einsum": einsum,
}

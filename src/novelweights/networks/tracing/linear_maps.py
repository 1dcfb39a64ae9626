"""Rules for layers that are linear in their first operand, and for attention.

Heads may be reordered as wholes, tokens stay fixed under a mask.
"""

import inspect
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
    joined,
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
    value = call.argument(position, name, default)
    if isinstance(value, (tuple, list)):
        return value * 3 if len(value) == 1 else value
    # "same" and "valid": a kernel of one entry needs no padding
    return (0 if isinstance(value, str) else value,) * 3


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


def scaled_dot_product_attention(call: Call) -> Axes:
    """softmax(q k^T) v, over any leading axes."""
    query, key, value = (call.tensor(i, n) for i, n in enumerate(("query", "key", "value")))
    if query is None or key is None or value is None or call.kwargs.get("enable_gqa"):
        raise Unknown
    if call.argument(4, "dropout_p", 0.0):
        raise Unknown
    q, k, v = call.axes(query), call.axes(key), call.axes(value)
    batch = range(-max(map(len, (q, k, v))), -2)
    scores = contract(
        [(q, [*range(-len(q), -2), "to", "in"]), (k, [*range(-len(k), -2), "from", "in"])],
        [*batch, "to", "from"],
    )
    mask = call.tensor(3, "attn_mask")
    if mask is not None:
        scores = added([scores, call.axes(mask)])
    if call.argument(5, "is_causal", False):
        fix(*scores[-2:])
    forbid_flips(*scores)  # softmax
    return contract(
        [(scores, [*batch, "to", "from"]), (v, [*range(-len(v), -2), "from", "out"])],
        [*batch, "to", "out"],
    )


def multi_head_attention(call: Call) -> list[Axes]:
    """What `nn.MultiheadAttention` calls: outputs, and the attention where it is asked for."""
    bound = inspect.signature(call.function).bind(*call.args, **call.kwargs)
    bound.apply_defaults()
    settings = bound.arguments
    given_inside = settings["static_k"] is not None or settings["static_v"] is not None
    if given_inside or (settings["training"] and settings["dropout_p"]):
        raise Unknown
    (*to, query), (*sources, key), (*others, value) = (
        call.axes(settings[name]) for name in ("query", "key", "value")
    )
    heads = new(settings["num_heads"], may_flip=False)  # their scores pass a softmax
    width = settings["embed_dim_to_check"] // settings["num_heads"]
    # in a head, queries and keys share an order, values and what reads them another
    compared, read = nested(heads, new(width)), nested(heads, new(width))
    projected = joined(compared, compared, read)
    if settings["use_separate_proj_weight"]:
        for letter, inside, into in (
            ("q", compared, query),
            ("k", compared, key),
            ("v", read, value),
        ):
            weight = settings[f"{letter}_proj_weight"]
            equate(call.axes(weight)[0], inside)
            equate(call.axes(weight)[1], into)
            call.produced(weight, inside)
    else:
        weight = settings["in_proj_weight"]
        equate(call.axes(weight)[0], projected)
        for into in (query, key, value):
            equate(call.axes(weight)[1], into)
        call.produced(weight, projected)
    for name, inside in (("in_proj_bias", projected), ("bias_k", compared), ("bias_v", read)):
        if settings[name] is not None:
            equate(call.axes(settings[name])[-1], inside)
    out, into = call.axes(settings["out_proj_weight"])
    equate(into, read)
    call.produced(settings["out_proj_weight"], out)
    for one, other in zip((*to[1:], *sources), (*sources[1:], *others), strict=True):
        equate(one, other)
    forbid_flips(*to, *sources)
    if settings["out_proj_bias"] is not None:
        equate(call.axes(settings["out_proj_bias"])[0], out)
    return _attended(call, settings, to, sources, heads, out)


def _attended(
    call: Call, settings: dict, to: list[Axis], sources: list[Axis], heads: Axis, out: Axis
) -> list[Axes]:
    """The axes of outputs and attention; tokens are fixed where anything tells them apart."""
    masks = [settings[name] for name in ("attn_mask", "key_padding_mask")]
    for mask in masks:
        if mask is not None:
            fix(*to, *sources, *call.axes(mask), *([heads] if mask.ndim == 3 else []))
    if settings["bias_k"] is not None or settings["add_zero_attn"]:
        fix(*to, *sources)
    results: list[Axes] = [(*to, out)]
    attention = call.results()[1:]
    if attention:
        [tensor] = attention
        by_head = () if settings["average_attn_weights"] else (heads,)
        source = sources[0] if tensor.shape[-1] == size(sources[0]) else Fixed(tensor.shape[-1])
        results.append((*to[1:], *by_head, to[0], source))
    return results


RULES: dict[str, Rule] = {
    "linear": linear,
    "bilinear": bilinear,
    "weight_norm": scaled_to_length,
    "embedding": embedding,
    **{f"conv{n}d": convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": convolution for n in (1, 2, 3)},
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "multi_head_attention_forward": multi_head_attention,
}

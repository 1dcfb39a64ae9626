"""Rules for attention: heads may be reordered as wholes, tokens stay fixed under a mask."""

import inspect

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
    given = inspect.signature(call.function).bind(*call.args, **call.kwargs)
    given.apply_defaults()
    settings = given.arguments
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
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "multi_head_attention_forward": multi_head_attention,
}

"""Rules for functions of each entry by itself, of one tensor or of several that broadcast."""

from torch import Tensor

from novelweights.networks.tracing.axes import Axes, Unknown, equate, forbid_flips, size
from novelweights.networks.tracing.call import (
    Call,
    Rule,
    added,
    axis_at,
    multiplied,
    names,
    tensors_in,
)

SAME = names(
    "clone contiguous detach to float double half bfloat16 type type_as cpu cuda positive alias "
    "requires_grad data real cast"
)
"""The same values; `data` and `real` are properties."""
ODD = names(
    "tanh sin tan asin atan sinh asinh atanh erf erfinv softsign tanhshrink hardshrink softshrink "
    "neg negative sign sgn reciprocal arcsin arctan arcsinh arctanh"
)
EVEN_OR_NEITHER = names(
    "relu relu6 leaky_relu elu selu celu gelu silu mish sigmoid logsigmoid log_sigmoid hardswish "
    "hardsigmoid softplus exp exp2 expm1 log log1p log2 log10 sqrt rsqrt abs absolute square cos "
    "cosh acos acosh erfc threshold ceil floor round trunc frac logical_not bitwise_not invert "
    "isnan isinf isfinite nan_to_num int long bool logit sinc lgamma"
)
SUMS = names("add sub subtract rsub")
PRODUCTS = names("mul multiply div divide true_divide rdiv rtruediv")
OF_SEVERAL = names(
    "pow rpow maximum minimum fmax fmin where masked_fill lerp addcmul addcdiv atan2 fmod "
    "remainder floor_divide floordiv eq ne lt le gt ge logical_and logical_or logical_xor and or "
    "xor bitwise_and bitwise_or bitwise_xor not_equal less greater isclose xlogy logaddexp "
    "clamp_min clamp_max"
)
DROPOUTS = names("dropout dropout1d dropout2d dropout3d alpha_dropout")


def same(call: Call) -> Axes:
    """Nothing changes."""
    return call.axes(call.first())


def curved(call: Call) -> Axes:
    """A function that is not odd."""
    axes = call.axes(call.first())
    forbid_flips(*axes)
    return axes


def clamp(call: Call) -> Axes:
    """Limits, by numbers; odd where they are symmetric."""
    default = (-1.0, 1.0) if call.name == "hardtanh" else (None, None)
    called = ("min_val", "max_val") if call.name == "hardtanh" else ("min", "max")
    low, high = (call.argument(i + 1, called[i], default[i]) for i in (0, 1))
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        return of_several(call)
    is_odd = isinstance(low, (int, float)) and isinstance(high, (int, float)) and low == -high
    return same(call) if is_odd else curved(call)


def dropout(call: Call) -> Axes:
    """Nothing changes, in evaluation mode."""
    if call.argument(2, "train" if not call.is_functional else "training", True):
        raise Unknown
    return same(call)


def prelu(call: Call) -> Axes:
    """Its slope is one number, or one per channel."""
    axes, weight = call.axes(call.first()), call.tensor(1, "weight")
    if weight is None:
        raise Unknown
    forbid_flips(*axes)
    for slopes in call.axes(weight):
        if size(slopes) > 1:
            equate(axes[axis_at(1, len(axes))], slopes)
    return axes


def total(call: Call) -> Axes:
    """A sum or difference."""
    operands = [*call.args, *(call.kwargs[name] for name in ("other",) if name in call.kwargs)]
    # a number that is not 0 is an operand without axes
    return added(
        [
            call.axes(x) if isinstance(x, Tensor) else ()
            for x in operands
            if isinstance(x, Tensor) or x
        ]
    )


def product(call: Call) -> Axes:
    """A product or quotient; the reciprocal is odd."""
    if call.kwargs.get("rounding_mode") is not None:
        return of_several(call)
    return multiplied([call.axes(x) for x in tensors_in((call.args, call.kwargs))])


def of_several(call: Call) -> Axes:
    """A function of several tensors that broadcast, linear in none of them."""
    operands = [call.axes(x) for x in tensors_in((call.args, call.kwargs))]
    if call.name == "where" and len(call.args) == 1:
        raise Unknown
    axes = added(operands)
    forbid_flips(*axes)
    return axes


RULES: dict[str, Rule] = {
    **dict.fromkeys(SAME | ODD, same),
    **dict.fromkeys(EVEN_OR_NEITHER, curved),
    **dict.fromkeys(("clamp", "clip", "hardtanh"), clamp),
    **dict.fromkeys(DROPOUTS, dropout),
    "prelu": prelu,
    **dict.fromkeys(SUMS, total),
    **dict.fromkeys(PRODUCTS, product),
    **dict.fromkeys(OF_SEVERAL, of_several),
}

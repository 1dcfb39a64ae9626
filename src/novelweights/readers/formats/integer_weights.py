"""Weights that were rounded to integers are refused: 700 of 760 numbers must not vanish unsaid.

Integers of a state dict are counters, positions and masks, which no training moves; or weights in
eight bits or fewer, which mean nothing without the scales beside them, and whose conventions
differ (by a factor of 127 between two common ones). Source: ours.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from novelweights.errors import InputError, first_few

COUNTERS = ("num_batches_tracked",)
"""Of normalizations; nothing depends on them once a network is trained."""
WEIGHTS = ("weight", "bias")
EIGHT_BITS = tuple(
    getattr(torch, name) for name in ("float8_e4m3fn", "float8_e5m2") if hasattr(torch, name)
)


def floating_weights(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The floating-point tensors of a state dict, and in words what of it is left out.

    Raises:
        InputError: Weights are complex, integers, or of eight bits with scales beside them.
    """
    if any(value.is_complex() for value in state.values()):
        raise InputError(
            "expected real weights, got complex ones; save real and imaginary parts as "
            "parameters of their own",
            "wrong-type",
        )
    floats = {name: value for name, value in state.items() if value.is_floating_point()}
    if not floats:
        kinds = sorted({_kind(value) for value in state.values()})
        raise InputError(
            f"expected floating-point weights, got only {', '.join(kinds)}; save the weights "
            "as float32",
            "wrong-type",
        )
    has_scales = any("scale" in name.lower() for name in floats)
    rounded = [
        name
        for name, value in state.items()
        if _is_rounded(name, value) or (has_scales and value.dtype in EIGHT_BITS)
    ]
    if rounded:
        n, of = (sum(state[name].numel() for name in names) for names in (rounded, state))
        raise InputError(
            f"expected floating-point weights, got {_kind(state[rounded[0]])} in "
            f"{first_few(rounded)} ({n:,} of {of:,} numbers), which stand for weights by scales "
            "beside them; dequantize the network where it comes from, and save it as float32",
            "wrong-type",
        )
    left = [name for name in state.keys() - floats.keys() if not name.endswith(COUNTERS)]
    return floats, [f"integers are left out: {first_few(sorted(left))}"] if left else []


def _is_rounded(name: str, value: Tensor) -> bool:
    """Whether integers are weights: of few bits and no mask, or named as weights are."""
    if value.is_floating_point() or value.dtype == torch.bool or value.numel() < 2:
        return False
    is_mask = bool(((value == 0) | (value == 1)).all())
    is_named = name.rpartition(".")[2] in WEIGHTS
    return not is_mask and (is_named or (value.dtype != torch.int64 and value.ndim > 1))


def _kind(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")

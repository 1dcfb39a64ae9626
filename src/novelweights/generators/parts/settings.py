"""What settings of neural generators have in common: checks that name the field and the remedy."""

import math
from typing import Any

from novelweights.errors import InputError


def require_at_least(least: int, settings: Any, *names: str) -> None:
    """Refuse fields below a bound, and such that are not finite.

    Raises:
        InputError: Naming the first such field.
    """
    for name in names:
        value = getattr(settings, name)
        if not (value >= least and math.isfinite(value)):
            raise InputError(f"{name}: expected a number of {least} or more, got {value}")


def require_share(settings: Any, *names: str) -> None:
    """Refuse fields outside [0, 1).

    Raises:
        InputError: Naming the first such field.
    """
    for name in names:
        if not 0 <= getattr(settings, name) < 1:
            raise InputError(f"{name}: expected 0 to below 1, got {getattr(settings, name)}")


def require_heads(width: int, heads: int) -> None:
    """Refuse a width that attention heads do not divide.

    Raises:
        InputError: They do not.
    """
    if width < 1 or heads < 1 or width % heads:
        raise InputError(f"width {width} with {heads} heads: expected heads that divide the width")


def require_sampling_steps(sampling_steps: int, timesteps: int) -> None:
    """Refuse more sampling steps than the diffusion has.

    Raises:
        InputError: Not from 1 to the timesteps.
    """
    if not 1 <= sampling_steps <= timesteps:
        raise InputError(
            f"sampling steps: expected 1 to {timesteps} (the timesteps), got {sampling_steps}"
        )

"""The changes of a method that table 1 of the paper compares, at any scale.

The published sizes come out of the parameter counts that the paper prints, and are kept as factors
here, rounded to whole heads and layers, so that they apply to smaller scales too. Unknown: how
strong the Gaussian noise was (here the lower amplitude of the noise-addition baseline of figure 6),
and where dropout sat (here wherever `dropout` does). Departure: with fewer epochs a cosine is
shortened too, warm-up and decay by steps are not. Source: paper, table 1 and section 4.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from novelweights.errors import InputError

WIDTHS = ("width", "hidden")
"""Settings that grow with the number of heads; the width of one head stays."""


@dataclass(frozen=True)
class Variant:
    """A change of a method's settings."""

    factors: Mapping[str, float] = field(default_factory=dict)
    """By what counts are multiplied and rounded: `steps`, `layers`, or `heads` with the widths."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Settings that are replaced."""

    def of(self, settings: Any) -> Any:
        """The settings with the change.

        Raises:
            InputError: A count of 1 cannot be made smaller.
        """
        changed = dict(self.values)
        for name, factor in self.factors.items():
            count = getattr(settings, name)
            changed[name] = _times(count, factor, name)
            if name == "heads":
                for width in WIDTHS:
                    if hasattr(settings, width):
                        changed[width] = getattr(settings, width) * changed[name] // count
        return replace(settings, **changed)


def _times(count: int, factor: float, name: str) -> int:
    """A count times a factor, rounded, and another one than before."""
    if factor < 1 and count < 2:
        raise InputError(
            f"{name}: this variant makes them fewer, and at this scale there is 1; take another "
            "--scale",
            "wrong-option",
        )
    rounded = round(count * factor)
    return max(count + 1, rounded) if factor > 1 else max(1, min(count - 1, rounded))


def variants(
    *, heads: tuple[float, float], layers: tuple[float, float], noise: float
) -> dict[str, Variant]:
    """The nine changes of table 1.

    Args:
        heads: By what the heads, and with them the width, are multiplied: more, fewer.
        layers: By what the number of layers is multiplied: more, fewer.
        noise: Standard deviation of Gaussian noise on training weights, in weight units.
    """
    more_heads, fewer_heads = heads
    more_layers, fewer_layers = layers
    return {
        "third-of-epochs": Variant({"steps": 1 / 3}),
        "half-of-epochs": Variant({"steps": 1 / 2}),
        "wider": Variant({"heads": more_heads}),
        "deeper": Variant({"layers": more_layers}),
        "narrower": Variant({"heads": fewer_heads}),
        "shallower": Variant({"layers": fewer_layers}),
        "dropout-10": Variant(values={"dropout": 0.1}),
        "dropout-20": Variant(values={"dropout": 0.2}),
        "noise": Variant(values={"noise": noise}),
    }

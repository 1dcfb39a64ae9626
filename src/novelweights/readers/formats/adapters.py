"""Low-rank adapters as what they add to a network: the product of their two factors.

Any invertible matrix may stand between the factors, B M and M^-1 A, so that two adapters that
compute the same may have factors far apart; their products are equal. Where a configuration beside
the file tells alpha, products are times alpha / r, as they are used. Source: LoRA (Hu et al. 2021),
section 4.1; names are those of peft.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from novelweights.errors import InputError, count, naming
from novelweights.files import read_json
from novelweights.readers.source import Reading
from novelweights.readers.units import Unit
from novelweights.weights.symmetry import NeuronSymmetry

CONFIG = "adapter_config.json"
LARGEST_CONFIG = 1 << 20
FACTORS = {
    "lora_A": ("lora_B", "lora_BA"),
    "lora_embedding_A": ("lora_embedding_B", "lora_embedding_BA"),
    "lora_down": ("lora_up", "lora_up_down"),
}
"""The word in the name of the first factor (r x inputs), in that of the second (outputs x r), and
in the name that their product gets."""
BESIDE = "what it does is not seen in an adapter"
"""Of parameters that are no factors: why it is not known what may move."""


@dataclass(frozen=True)
class Scaling:
    """What products are multiplied with."""

    alpha: float | None = None
    """None: not known, and products are as they are."""
    by_root: bool = False
    """Over the root of the rank, in place of the rank ("rank-stabilized")."""
    of_modules: tuple[tuple[str, float], ...] = ()
    """Layers with an alpha of their own, by the end of their names."""

    def of(self, module: str, rank: int) -> float:
        """The factor of one layer."""
        if self.alpha is None:
            return 1.0
        alpha = next(
            (own for end, own in self.of_modules if f".{module}".endswith(f".{end}")), self.alpha
        )
        return alpha / (math.sqrt(rank) if self.by_root else max(rank, 1))

    def describe(self) -> str:
        """In words."""
        if self.alpha is None:
            return "alpha is not known"
        own = " (some layers have their own)" if self.of_modules else ""
        return f"times {self.alpha:g}{own} / {'the root of r' if self.by_root else 'r'}"


class Pair(NamedTuple):
    """Two factors in a state dict."""

    first: str
    second: str
    product: str
    module: str
    shape: tuple[int, ...]
    """Of the product."""


def pairs_in(state: Mapping[str, Tensor]) -> Iterator[Pair]:
    """The pairs of factors in a state dict whose shapes fit."""
    for name, value in state.items():
        words = name.split(".")
        at = next((i for i, word in enumerate(words) if word in FACTORS), None)
        if at is None:
            continue
        partner, made = (
            ".".join([*words[:at], word, *words[at + 1 :]]) for word in FACTORS[words[at]]
        )
        other = state.get(partner)
        if other is None or value.ndim < 2 or other.ndim < 2 or other.shape[1] != len(value):
            continue
        if other[0, 0].numel() == 1:  # of convolutions, the second factor is of one pixel
            shape = (len(other), *value.shape[1:])
            yield Pair(name, partner, made, ".".join(words[:at]), shape)


@dataclass(frozen=True)
class Adapters:
    """How the adapters of a path are read."""

    scalings: Mapping[Unit, Scaling]
    """By checkpoint."""
    common: Scaling | None
    """What all have, for checkpoints of other roles; None if they differ."""
    max_bytes: int
    """What the products of a checkpoint may take."""
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls, units: Sequence[Unit], first: Mapping[str, Tensor], reading: Reading
    ) -> "Adapters | None":
        """Those of some checkpoints; None if the first is no adapter, or the network multiplies.

        Raises:
            InputError: A configuration cannot be read, is lacking where others differ; or products
                are larger than `reading.max_bytes`.
        """
        pairs = [] if reading.as_factors else list(pairs_in(first))
        if not pairs:
            return None
        _require_small(pairs, reading.max_bytes)
        given = {unit: _scaling_beside(unit) for unit in units}
        found = set(filter(None, given.values()))
        usual = reading.scaling or (found.pop() if len(found) == 1 else None)
        lacking = [unit.name for unit, own in given.items() if own is None]
        if lacking and usual is None and found:
            raise InputError(
                f"{lacking[0]}: expected {CONFIG} beside it, since those of other adapters differ; "
                "put it there",
                "wrong-content",
            )
        usual = usual or Scaling()
        if reading.scaling is not None and reading.scaling.alpha is None:  # nor of training
            given = dict.fromkeys(given)
        scalings = {unit: own or usual for unit, own in given.items()}
        common = usual if set(scalings.values()) == {usual} else None
        told = f"{count(len(pairs), 'pair')} of low-rank factors are read as their products B A"
        told += f", {common.describe()}" if common is not None else ", times their own alpha / r"
        if lacking and usual.alpha is not None:
            told += f" ({count(len(lacking), 'checkpoint')} without {CONFIG}: as the others)"
        return cls(scalings, common, reading.max_bytes, (told,))

    @classmethod
    def in_memory(cls, first: Mapping[str, Tensor], reading: Reading) -> "Adapters | None":
        """Those of state dicts without files, and so without configurations; None as `of`."""
        if reading.as_factors or not any(pairs_in(first)):
            return None
        return cls({}, reading.scaling or Scaling(), reading.max_bytes, ())

    def products(self, state: Mapping[str, Tensor], unit: Unit | None = None) -> dict[str, Tensor]:
        """A state dict with each pair of factors as its product, where the first of them stands.

        Raises:
            InputError: They are larger than allowed.
        """
        several = list(pairs_in(state))
        _require_small(several, self.max_bytes)
        pairs = {name: pair for pair in several for name in (pair.first, pair.second)}
        scaling = None if unit is None else self.scalings.get(unit)
        scaling, made = scaling or self.common or Scaling(), {}
        for name, value in state.items():
            pair = pairs.get(name)
            if pair is None:
                made[name] = value
            elif pair.product not in made:
                first, second = (state[part].double().flatten(1) for part in pair[:2])
                factor = scaling.of(pair.module, len(first))
                made[pair.product] = (factor * (second @ first)).float().reshape(pair.shape)
        return made


def _require_small(pairs: Sequence[Pair], max_bytes: int) -> None:
    """Refuse products that are too large, before they are made."""
    size = 4 * sum(math.prod(pair.shape) for pair in pairs)
    if size > max_bytes:
        raise InputError(
            f"expected adapters whose products B A take at most {max_bytes:,} bytes each, those of "
            f"{count(len(pairs), 'pair')} of factors take {size:,}; allow it with --max-bytes",
            "too-large",
        )


def shapes_of_products(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict as `Adapters.products` gives it, without values: nothing is multiplied."""
    pairs = {name: pair for pair in pairs_in(state) for name in (pair.first, pair.second)}
    return {
        pairs[name].product if name in pairs else name: torch.empty(
            pairs[name].shape if name in pairs else value.shape, device="meta"
        )
        for name, value in state.items()
    }


def symmetry_of_adapters(state: Mapping[str, Tensor]) -> NeuronSymmetry:
    """What may move in products: nothing, since the network that they are added to stays.

    Args:
        state: With products, or their shapes.
    """
    made = [product for _, product in FACTORS.values()]
    axes = {name: (None,) * value.ndim for name, value in state.items()}
    others = [name for name in axes if not set(name.split(".")) & set(made)]
    return NeuronSymmetry(axes, unknown=dict.fromkeys(others, BESIDE))


def _scaling_beside(unit: Unit) -> Scaling | None:
    """What the configuration beside a checkpoint tells; None if there is none."""
    path: Path = unit.file.parent / CONFIG
    if not path.is_file():
        return None
    with naming(unit.name):
        if path.stat().st_size > LARGEST_CONFIG:
            raise InputError(
                f"expected a {CONFIG} of at most {LARGEST_CONFIG:,} bytes", "too-large"
            )
        config = read_json(path)
        alpha = config.get("lora_alpha") if isinstance(config, dict) else None
        if alpha is None:
            return None
        own = config.get("alpha_pattern") or {}
        numbers = [alpha, *own.values()] if isinstance(own, dict) else [None]
        if any(
            isinstance(n, bool) or not isinstance(n, (int, float)) or not abs(n) < 1e30
            for n in numbers
        ):
            raise InputError(f"{CONFIG}: expected numbers as alpha, got {numbers}", "wrong-content")
        patterns = tuple((str(end), float(value)) for end, value in own.items())
        return Scaling(float(alpha), config.get("use_rslora") is True, patterns)

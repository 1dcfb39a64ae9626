"""Quantities of what a generator says of itself: its generalization gap, its size against its data.

An audit never sees a generator; what is measured here stands in the samples' provenance (see
`weights/provenance.py`) and is neither checked nor judged. Source: DESIGN section 5 (gap, ours);
paper, appendix H (parameters over values).
"""

from collections.abc import Mapping
from typing import Any

from novelweights.auditing.result import Quantity
from novelweights.weights.provenance import GapLevel, GeneralizationGap, Provenance

GROUP = "generalization gap"


def gap_in(settings: Mapping[str, Any]) -> GeneralizationGap | None:
    """The gap in the settings of samples, as `audit.json` holds them; None if they have none."""
    provenance = Provenance.from_json(settings.get("generator"))
    return None if provenance is None else provenance.gap


def gap_quantities(provenance: Provenance | None) -> list[Quantity]:
    """The generalization gap per noise level, and the generator's parameters over the values in
    training; nothing for samples of unknown origin."""
    if provenance is None:
        return []
    gap = provenance.gap
    levels = [] if gap is None else [_quantity(gap, level) for level in gap.levels]
    return levels + _size(provenance)


def _quantity(gap: GeneralizationGap, level: GapLevel) -> Quantity:
    at = f"{100 * level.timestep / gap.timesteps:.3g}%"
    label, loss = f"Loss on held-out over loss on training, noise level {at}", "loss"
    how = f", both noised to {at} of its timesteps with the same noise in pairs"
    if gap.is_of_reconstruction:
        label, loss = "Reconstruction loss on held-out over loss on training", "reconstruction loss"
        how = ""
    _, lower, upper = level.ratio
    has_limits = None not in (gap.confidence, lower, upper)
    return Quantity(
        key=f"generalization_gap_{level.timestep}",
        label=label,
        value=level.loss_heldout / level.loss_train,
        lower=lower if has_limits else None,
        upper=upper if has_limits else None,
        level=gap.confidence if has_limits else None,
        n=gap.n_train + gap.n_heldout,
        definition=f"The generator's own mean {loss} on {gap.n_heldout} held-out runs "
        f"({level.loss_heldout:.3g}) over that on {gap.n_train} training runs "
        f"({level.loss_train:.3g}) at the end of its training{how}; as its samples tell. 1: it "
        "knows its training checkpoints no better than held-out runs. More: it has memorized, also "
        "where distances show nothing." + (" Bootstrap by run." if has_limits else ""),
        group=GROUP,
    )


def _size(provenance: Provenance) -> list[Quantity]:
    """Parameters over values, where both are known."""
    parameters, values = provenance.parameters, provenance.values_in_training
    if not (parameters and values):
        return []
    return [
        Quantity(
            key="parameters_over_values",
            label="Parameters of the generator over values in training",
            value=parameters / values,
            n=values,
            definition=f"{parameters:,} trained parameters of the generator over {values:,} "
            "weights in all of its training checkpoints together (n); as its samples tell. Above "
            "1 it has room for them all; the paper's four generators have 31, 4.7, 14 and 8 "
            "(appendix H; P-diff's counted once).",
            group=GROUP,
        )
    ]

"""Running statistics that some populations of an audit hold and others do not.

They count for what networks do, so all roles must be run with the same kind of them: where one role
lacks them, they are left out for all alike. What all training checkpoints share, or a file gives as
the rest of the network, stands in for them. Source: ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from novelweights.errors import InputError, Note, first_few
from novelweights.weights.layout import WeightLayout, is_statistic
from novelweights.weights.population import Population


@dataclass(frozen=True)
class LeftOut:
    """Running statistics that are left out for all roles alike."""

    names: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    """The roles that do not hold all of them."""
    unknown: tuple[str, ...] = ()
    """Those among them that nothing stands in for."""

    def note(self) -> Note:
        """What a reader must know of it."""
        text = (
            f"Running statistics ({first_few(self.names)}) are left out for all checkpoints alike: "
            f"{' and '.join(self.lacking)} checkpoints do not hold them."
        )
        if not self.unknown:
            text += " Those that all networks share stand in for them."
        return Note("missing-statistics", text)

    def refusal(self) -> InputError:
        """Of networks that would have to run without them."""
        return InputError(
            f"{self.lacking[0]}: expected the running statistics that the networks need to run "
            f"({first_few(self.unknown)}), which these checkpoints do not hold; save them too, "
            "recompute those of all checkpoints on the task's data (--recalibrate-statistics), "
            "give one set for all with --shared, or judge no behavior (--task none)",
            "other-network",
        )


MORE = "from_scratch"
"""The role whose networks may hold more than the others': what they alone hold is not compared."""


def held_by_all(roles: Mapping[str, Population]) -> tuple[dict[str, Population], LeftOut]:
    """Populations that hold the same running statistics, and which were left out for that.

    Args:
        roles: Populations of one network; "train" must be there.
    """
    held = {role: _statistics(population.layout) for role, population in roles.items()}
    every = dict.fromkeys(n for role, names in held.items() if role != MORE for n in names)
    names = tuple(name for name in every if any(name not in one for one in held.values()))
    if not names:
        return dict(roles), LeftOut()
    lacking = tuple(role for role, one in held.items() if not set(names) <= set(one))
    stand_in = _stand_in(roles, names)
    made = {role: _without(one, names, stand_in) for role, one in roles.items()}
    return made, LeftOut(names, lacking, tuple(name for name in names if name not in stand_in))


def _statistics(layout: WeightLayout) -> list[str]:
    """The running statistics beside parameters; none of a layout of statistics alone."""
    if layout.learned is layout:
        return []
    return [name for name, _ in layout.shapes if is_statistic(name)]


def _stand_in(roles: Mapping[str, Population], names: tuple[str, ...]) -> dict[str, Tensor]:
    """What a role's shared rest, or all training checkpoints alike, give in place of statistics."""
    train, found = roles["train"], {}
    slices, shapes = train.layout.slices, dict(train.layout.shapes)
    for name in names:
        shared = (population.shared or {} for population in roles.values())
        value = next((rest[name] for rest in shared if name in rest), None)
        if value is None and name in slices:
            column = train.weights[:, slices[name]]
            if bool((column == column[:1]).all()):
                value = column[0].reshape(shapes[name]).clone()
        if value is not None:
            found[name] = value
    return found


def _without(
    population: Population, names: tuple[str, ...], stand_in: Mapping[str, Tensor]
) -> Population:
    """A population without some columns, and with what stands in for them as its shared rest."""
    layout, info = population.layout, population.info
    shared = {**(population.shared or {}), **stand_in} or population.shared
    shapes = tuple(entry for entry in layout.shapes if entry[0] not in names)
    if len(shapes) == len(layout.shapes):
        return replace(population, shared=shared)
    kept = torch.ones(layout.size, dtype=torch.bool)
    for name in set(names) & layout.slices.keys():
        kept[layout.slices[name]] = False
    if info.symmetry is not None:
        info = replace(info, symmetry=info.symmetry.only([name for name, _ in shapes]))
    return replace(
        population,
        weights=population.weights[:, kept],
        layout=WeightLayout(shapes),
        info=info,
        shared=shared,
    )

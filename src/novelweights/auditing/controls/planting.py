"""Controls: checkpoints whose origin is known, made from the audit's own training checkpoints.

What the audit says of them is what it can see. Copies, mixtures and mosaics must be found;
held-out runs, also shrunk or stopped early, must not be accused. A few may veto the verdict (DESIGN
section 5); the others, where misjudged, are blind spots that the report names. Source: ours.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA, Verdict
from novelweights.auditing.judge.p_values import NullDistribution
from novelweights.auditing.measure.measurements import NearestIndex, like, measure, one_left_out
from novelweights.auditing.result import Planted
from novelweights.metrics.alignment import Alignment, aligned_to
from novelweights.metrics.frame import Frame
from novelweights.metrics.layers import modules_of
from novelweights.metrics.neurons import neuron_places
from novelweights.seeding import numpy_rng_for, rng_for
from novelweights.weights.layout import WeightLayout
from novelweights.weights.perturb import parameter_gaussian, pick_rows, statistics_within
from novelweights.weights.population import Population, last_of_each_run
from novelweights.weights.rescaled import random_rescaling
from novelweights.weights.symmetry import random_transform

NEXT_TO_NOTHING = 2.0**-20
"""Weight of running statistics where neurons are matched: a power of two, so no value changes."""
NOISES = (0.1, 0.25, 0.5, 0.6, 0.75, 1.0)
"""Rungs of the noise ladder: length of the noise over the median distance of held-out runs."""
VETO_NOISE = 0.1
MIXTURE_NOISE = 0.3
NEURON_SOURCES = 8
"""Runs that a mosaic of neurons is made of."""
SHRINK = 0.8
N_EXCHANGED = 40
"""Training runs that are judged by held-out runs."""
EARLY = (0.1, 0.6)
"""A run counts as stopped early at a step within these shares of its last."""

COPY = (str(Verdict.REPLICA),)
MIXED = (str(Verdict.INTERPOLATION),)
NOT_NOVEL = tuple(str(kind) for kind in Verdict if kind is not Verdict.NOVEL)
NOT_ACCUSED = (str(Verdict.NOVEL), str(Verdict.BROKEN), str(Verdict.UNDECIDED))


class Plant(NamedTuple):
    """n checkpoints of one known origin."""

    key: str
    label: str
    weights: Float[Tensor, "n d"]
    expected: tuple[str, ...]
    """Verdicts that are right for them."""
    can_veto: bool = False
    noise: float | None = None
    parents: Int[np.ndarray, "n k"] | None = None
    """Training rows that each is made of, where it stands or falls with them."""


@dataclass(frozen=True, eq=False)
class Planter:
    """Makes checkpoints of known origin from the training checkpoints of one audit."""

    training: Float[Tensor, "m d"]
    layout: WeightLayout
    alignment: Alignment | None
    """Of whole checkpoints: running statistics move with their neurons."""
    spacing: float
    """Median distance of held-out runs to the nearest training checkpoint."""
    seed: int

    def all(self, n: int, heldout_steps: Population | None) -> list[Plant]:
        """Every control that can be made."""
        plants = [self.copies(n), *(self.copies(n, noise) for noise in NOISES)]
        plants += self.moved(n) + self.rescaled(n)
        plants += self.mixtures(n) + self.mosaics(n, heldout_steps) + self.neuron_mosaics(n)
        plants += self.gaussians(n)
        return plants + (self.decoys(n, heldout_steps) if heldout_steps is not None else [])

    def copies(self, n: int, noise: float = 0.0) -> Plant:
        """Training checkpoints, plus isotropic noise of `noise` times the spacing."""
        rng = self._rng("copies", str(noise))
        rows = pick_rows(len(self.training), n, rng=rng)
        weights = self.training[rows] + self._noise(n, noise, rng)
        label = f"copies + noise of {noise:g}" if noise else "exact copies"
        key = f"copies_noise_{noise:g}" if noise else "copies"
        return Plant(key, label, weights, COPY, noise <= VETO_NOISE, noise, rows[:, None].numpy())

    def moved(self, n: int) -> list[Plant]:
        """Copies moved by random elements of the declared group."""
        if self.alignment is None:
            return []
        rng = self._rng("moved")
        rows = pick_rows(len(self.training), n, rng=rng)
        weights = self._moved(self.training[rows], rng)
        parents = rows[:, None].numpy()
        return [Plant("copies_permuted", f"{self._how} copies", weights, COPY, True, None, parents)]

    def rescaled(self, n: int) -> list[Plant]:
        """Copies moved by random elements of the declared group, and by its continuous moves."""
        if self.alignment is None or not self.alignment.symmetry.continuous:
            return []
        rng, symmetry = self._rng("rescaled"), self.alignment.symmetry
        rows = pick_rows(len(self.training), n, rng=rng)
        moved = self._moved(self.training[rows], rng)
        weights = random_rescaling(moved, self.layout, symmetry, rng=rng)
        moves = symmetry.continuous
        how = "heads turned" if moves.products else "all logits shifted"
        how = "rescaled" if moves.scales or moves.normalizations else how
        label, parents = f"{self._how} copies, {how}", rows[:, None].numpy()
        return [Plant("copies_rescaled", label, weights, COPY, False, None, parents)]

    def mixtures(self, n: int) -> list[Plant]:
        """Averages of 2, 4 and 16: plain, aligned to the first, and with noise."""
        plants = []
        for of in (2, 4, 16):
            if len(self.training) <= of:
                continue
            picked = self._tuples(n, of, self._rng("average", of))
            plain, parents = self.training[picked].mean(dim=1), picked.numpy()
            label = f"averages of {of}"
            plants.append(Plant(f"average_{of}", label, plain, MIXED, of == 2, None, parents))
            noised = plain + self._noise(n, MIXTURE_NOISE, self._rng("average noise", of))
            if self.alignment is not None:
                mixed = self._aligned_averages(n, of)
                plants.append(
                    Plant(f"average_{of}_aligned", f"aligned averages of {of}", mixed, MIXED)
                )
            label = f"averages of {of} + noise of {MIXTURE_NOISE:g}"
            plants.append(Plant(f"average_{of}_noise", label, noised, NOT_NOVEL))
        return plants

    def mosaics(self, n: int, heldout_steps: Population | None) -> list[Plant]:
        """Every layer of another training run; one layer of one, the rest of a held-out run."""
        modules = list(modules_of(self.layout).values())
        if len(modules) < 2:
            return []
        rng, plants = self._rng("mosaic"), []
        picked = self._tuples(n, len(modules), rng)
        weights = self._assembled([self.training[rows] for rows in picked.T], modules)
        plants.append(Plant("mosaic", "mosaics: each layer of another run", weights, MIXED))
        if self.alignment is not None:
            first = self.training[picked[:, 0]]
            rest = [self._each_to(first, self.training[rows]) for rows in picked.T[1:]]
            weights = self._assembled([first, *rest], modules)
            plants.append(Plant("mosaic_aligned", "aligned mosaics", weights, MIXED))
        if heldout_steps is not None and len(heldout_steps):
            last = heldout_steps.weights[torch.from_numpy(last_of_each_run(heldout_steps.records))]
            ends = last[pick_rows(len(last), n, rng=rng)]
            layer = max(range(len(modules)), key=lambda i: sum(self._size(x) for x in modules[i]))
            chosen = self.training[pick_rows(len(self.training), n, rng=rng)]
            parts = [chosen if i == layer else ends for i in range(len(modules))]
            weights = self._assembled(parts, modules)
            plants.append(Plant("one_layer", "largest layer copied", weights, NOT_NOVEL))
        return plants

    def neuron_mosaics(self, n: int) -> list[Plant]:
        """Every neuron of one of several training runs, as they are and aligned to the first."""
        places = neuron_places(self.layout, self.alignment)
        if not places:
            return []
        rng = self._rng("neuron mosaic")
        of = min(NEURON_SOURCES, len(self.training))
        first, *rest = (self.training[rows] for rows in self._tuples(n, of, rng).T)
        sources = {"": [first, *rest]}
        if self.alignment is not None:
            sources["aligned "] = [first, *(self._each_to(first, other) for other in rest)]
        plants = []
        for how, parts in sources.items():
            stacked, mixed = torch.stack(parts), first.clone()
            for group in places:
                picked = torch.randint(of, (n, len(group)), generator=rng)
                for neuron, columns in enumerate(group):
                    rows = torch.arange(n)[:, None]
                    mixed[rows, columns] = stacked[picked[:, neuron, None], rows, columns]
            key = f"mosaic_neurons{'_aligned' * bool(how)}"
            label = f"{how}mosaics: each neuron of one of {of} runs"
            plants.append(Plant(key, label, mixed, NOT_NOVEL))
        return plants

    def gaussians(self, n: int) -> list[Plant]:
        """Draws from Gaussians fitted per parameter, and to the principal components."""
        rng = self._rng("gaussian")
        weights = self._sound(parameter_gaussian(self.training, n, rng=rng))
        plants = [Plant("gaussian", "Gaussian per parameter", weights, NOT_NOVEL)]
        training = self._weighed(self.training)
        frames = {"gaussian_components": ("", Frame.of(training, None))}
        if self.alignment is not None:
            aligned = Frame.of(training, self.alignment)
            frames["gaussian_components_aligned"] = ("aligned ", aligned)
        for key, (how, frame) in frames.items():
            if not len(frame.components):  # all training checkpoints are one
                continue
            along = frame.around @ frame.components.T
            draws = torch.randn(n, along.shape[1], generator=rng, dtype=along.dtype)
            drawn = frame.center + (draws * along.std(dim=0)) @ frame.components
            drawn = self._sound(self._unweighed(drawn).to(self.training.dtype))
            label = f"Gaussian along {along.shape[1]} {how}principal components"
            plants.append(Plant(key, label, drawn, MIXED))
        return plants

    def decoys(self, n: int, heldout_steps: Population) -> list[Plant]:
        """Honest held-out runs that lie near training without copying: shrunk, or stopped early."""
        rng, records = self._rng("decoys"), heldout_steps.records
        rows = last_of_each_run(records)
        last = {records.run[row]: max(records.step[row], 1) for row in rows}
        share = records.step / np.array([last[run] for run in records.run])
        is_early = (EARLY[0] <= share) & (share <= EARLY[1])
        ends, early = (
            heldout_steps.weights[torch.from_numpy(some)]
            for some in (rows, np.flatnonzero(is_early))
        )
        plants = []
        if len(ends):
            shrunk = SHRINK * ends[pick_rows(len(ends), n, rng=rng)]
            plants.append(Plant("shrunk", f"held-out runs x {SHRINK:g}", shrunk, NOT_ACCUSED))
        if len(early):
            picked = early[pick_rows(len(early), n, rng=rng)]
            plants.append(Plant("early", "held-out runs stopped early", picked, NOT_ACCUSED))
        return plants

    @property
    def _how(self) -> str:
        flips = self.alignment is not None and self.alignment.flips
        return "permuted and sign-flipped" if flips else "permuted"

    def _rng(self, *labels: str | int) -> torch.Generator:
        return rng_for(self.seed, "control", *labels)

    def _noise(self, n: int, share: float, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Isotropic noise whose root mean square length is a share of the spacing.

        Running statistics get none: a variance could fall below zero, and no distance sees them.
        """
        drawn = torch.randn(n, self.training.shape[1], generator=rng)
        length = share * self.spacing / math.sqrt(self.layout.learned.size)
        return length * drawn * self.layout.is_learned

    def _moved(self, weights: Float[Tensor, "n d"], rng: torch.Generator) -> Float[Tensor, "n d"]:
        if self.alignment is None:
            return weights
        return random_transform(weights, self.layout, self.alignment.symmetry, rng=rng)

    def _tuples(self, n: int, of: int, rng: torch.Generator) -> Int[Tensor, "n of"]:
        """n picks of different training rows, as far as there are so many."""
        m = len(self.training)
        return torch.stack([torch.randperm(m, generator=rng).repeat(of)[:of] for _ in range(n)])

    def _each_to(
        self, targets: Float[Tensor, "n d"], others: Float[Tensor, "n d"]
    ) -> Float[Tensor, "n d"]:
        """Each of the others moved by the group to lie near its target."""
        if self.alignment is None:
            return others
        pairs = zip(self._weighed(targets), self._weighed(others), strict=True)
        placed = [aligned_to(to, other[None], self.alignment) for to, other in pairs]
        return self._unweighed(torch.cat(placed))

    def _weighed(self, weights: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Checkpoints whose running statistics hardly matter to where their neurons belong."""
        if self.layout.learned is self.layout:
            return weights
        return torch.where(self.layout.is_learned, weights, NEXT_TO_NOTHING * weights)

    def _unweighed(self, weights: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """As they were before `_weighed`, moved."""
        if self.layout.learned is self.layout:
            return weights
        return torch.where(self.layout.is_learned, weights, weights / NEXT_TO_NOTHING)

    def _sound(self, drawn: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Draws whose running statistics lie among those of training."""
        return statistics_within(drawn, self.training, self.layout)

    def _aligned_averages(self, n: int, of: int) -> Float[Tensor, "n d"]:
        picked = self._tuples(n, of, self._rng("aligned average", of))
        first = self.training[picked[:, 0]]
        rest = [self._each_to(first, self.training[rows]) for rows in picked.T[1:]]
        return torch.stack([first, *rest]).mean(dim=0)

    def _assembled(
        self, parts: list[Float[Tensor, "n d"]], modules: list[list[str]]
    ) -> Float[Tensor, "n d"]:
        """Each module's weights from its own part."""
        whole = torch.empty_like(parts[0])
        for part, names in zip(parts, modules, strict=True):
            for name in names:
                where = self.layout.slices[name]
                whole[:, where] = part[:, where]
        return whole

    def _size(self, name: str) -> int:
        where = self.layout.slices[name]
        return where.stop - where.start


def measured_controls(
    reference: NearestIndex,
    null: NullDistribution,
    heldout_steps: Population | None,
    heldout: Population | None,
    n: int,
    seed: int,
) -> dict[str, Planted]:
    """Checkpoints of known origin, measured in one go and ranked among held-out runs.

    Args:
        heldout_steps: Held-out runs with all their steps, for the honest decoys.
        heldout: Held-out runs, one checkpoint each; None if training runs stand in.
    """
    train = reference.training
    spacing = float(np.median(null.runs.distance))
    planter = Planter(train.weights, train.layout, reference.whole, spacing, seed)
    plants = planter.all(n, heldout_steps)
    groups = np.repeat(np.arange(len(plants)), [len(plant.weights) for plant in plants])
    together = like(train, torch.cat([plant.weights for plant in plants]))
    exclude = None
    if heldout is None:
        needed = [_made_of(plant, len(train)) for plant in plants]
        exclude = one_left_out(together, train, seed, needed=np.concatenate(needed))
    measurements = measure("controls", together, reference, groups=groups, exclude=exclude)
    controls = {}
    for i, plant in enumerate(plants):
        mine = measurements.select(np.flatnonzero(groups == i))
        controls[plant.key] = Planted(
            plant.label,
            mine,
            null.p_values(mine),
            plant.expected,
            plant.can_veto,
            plant.noise,
        )
    if heldout is not None and len(heldout) >= DEFAULT_CRITERIA.min_heldout_runs:
        controls |= _honest(reference, null, seed)
    return controls


def _honest(reference: NearestIndex, null: NullDistribution, seed: int) -> dict[str, Planted]:
    """Runs of the recipe, which may be accused as often as chance does.

    One half of the held-out runs judged by the other half sees whether these are alike; training
    runs, each against the others, judged by the held-out runs see whether these are as training
    runs are.
    """
    n, train = len(null.runs), reference.training
    order = numpy_rng_for(seed, "halves").permutation(n)
    judged, others = order[: n // 2], order[n // 2 :]
    mine = null.runs.select(judged)
    halves = null.select(others).p_values(mine)
    rows = np.sort(numpy_rng_for(seed, "training runs").permutation(len(train))[:N_EXCHANGED])
    own = rows[:, None] == np.arange(len(train))
    among = measure("training", train.select(rows), reference, exclude=own)
    p_values = null.p_values(among)
    return {
        key: Planted(label, found, places, NOT_ACCUSED, can_veto=True, n_chance=n_chance)
        for key, label, found, places, n_chance in (
            ("heldout", "held-out runs, half judged by the other half", mine, halves, len(others)),
            ("exchangeable", "training runs, each against the others", among, p_values, n),
        )
    }


def _made_of(plant: Plant, m: int) -> Bool[np.ndarray, "n m"]:
    """True where a training row is a parent; left out, a copy would be none."""
    made_of = np.zeros((len(plant.weights), m), dtype=bool)
    if plant.parents is not None:
        np.put_along_axis(made_of, plant.parents, True, axis=1)
    return made_of

"""What the numbers of an audit are made of, and what it calls the populations that it compares.

Steps of one run are no independent evidence: what treats them as runs is left out, bootstraps do
not draw them again, and numbers of theirs alone have no interval. Source: ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from novelweights.auditing.controls.baselines import noise_parents
from novelweights.auditing.measure.estimates import AS_IT_IS, FIXED
from novelweights.auditing.measure.measured import Measured
from novelweights.auditing.result import Measurements, Quantity
from novelweights.tasks.task import Measure


@dataclass(frozen=True)
class Terms:
    """The words of one audit."""

    is_one_run: bool
    """Whether training checkpoints are steps of too few runs."""
    has_heldout: bool
    """Whether there are held-out runs; else training checkpoints stand in."""

    @property
    def has_null(self) -> bool:
        """Whether there are independent runs to count samples beyond."""
        return self.has_heldout or not self.is_one_run

    @property
    def is_fixed(self) -> bool:
        """Whether what samples are compared with is not drawn again."""
        return self.is_one_run and not self.has_heldout

    @property
    def training(self) -> str:
        """What training checkpoints are."""
        return "training checkpoints" if self.is_one_run else "training runs"

    @property
    def runs(self) -> str:
        """What samples are counted beyond."""
        return "held-out runs" if self.has_heldout else self.training

    @property
    def each(self) -> str:
        """Which others a training checkpoint is compared with."""
        return "each against the others" if self.is_one_run else "each against the other runs"

    @property
    def null(self) -> str:
        """What samples are compared with."""
        if self.has_heldout:
            return "held-out runs"
        return f"{self.training}, {self.each if self.is_one_run else 'own run excluded'}"

    def another(self, kind: str = "training") -> str:
        """Which training checkpoints count for one of this kind; "" if all do."""
        if kind != "training":
            return ""
        return " other than itself" if self.is_one_run else " of another run"

    def bootstrap(self, kind: str) -> str:
        """What is drawn again for an interval of this kind of checkpoints."""
        if not self.is_one_run:
            return "bootstrap by run"
        drawn = {"heldout": "held-out runs", "beside heldout": "samples and held-out runs"}
        return f"bootstrap over {drawn.get(kind, 'samples')}"

    def bootstrapped(self, kind: str) -> str:
        """The same as a sentence."""
        text = self.bootstrap(kind).capitalize()
        return f"{text}; {AS_IT_IS}." if self.is_one_run else f"{text}."

    def in_weight_units(self, kind: str) -> str:
        """The unit and the interval of distances."""
        if self.is_one_run and kind == "training":
            return "Weight units."
        return f"Weight units; {self.bootstrap(kind)}."

    def of(self, kind: str, quantity: Quantity) -> Quantity:
        """A number of one kind of checkpoints, without an interval where none is independent."""
        if not self.is_one_run or kind != "training":
            return quantity
        definition = f"{quantity.definition} {FIXED}"
        return replace(quantity, definition=definition, lower=None, upper=None, level=None)


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """What the numbers are made of."""

    training: Measurements
    """Training checkpoints, each against the others."""
    generated: Measurements
    scored: Measurements
    """The generated checkpoints as they compare with `null`."""
    null: Measurements
    """Held-out runs; without them the training checkpoints."""
    null_at_norm: Float[np.ndarray, " m"]
    """Median distance of `null`, each shrunk to the norm of a generated checkpoint: of each."""
    terms: Terms
    """What populations are called."""
    n_training: int
    """Training checkpoints in all."""
    p_values: Mapping[str, np.ndarray]
    """Of the generated checkpoints among `null`."""
    counted: Bool[np.ndarray, " n"]
    """False for those that are no further evidence: they repeat another and copy nothing."""
    quality: Measure | None
    novelty: Measure | None
    """The task's."""
    noise: Measurements | None = None
    """The baseline that matches novelty."""
    noised: str = "training checkpoints"
    """What noise was added to."""
    before_codec: tuple[np.ndarray, np.ndarray] | None = None
    """Distances of held-out runs to training and among training runs, where reconstructions stand
    in."""

    @classmethod
    def of(
        cls,
        measured: Measured,
        p_values: Mapping[str, np.ndarray],
        counted: Bool[np.ndarray, " n"],
        noise: Measurements | None = None,
    ) -> "Evidence":
        """That of an audit; the rest is as its fields say."""
        originals = measured.originals
        return cls(
            training=measured.training,
            generated=measured.generated,
            scored=measured.scored,
            null=measured.null.runs,
            null_at_norm=np.median(
                measured.null.ladder.at(measured.scored.norm, "distance"), axis=0
            ),
            terms=Terms(measured.given.is_one_run, measured.heldout is not None),
            n_training=len(measured.given.train),
            p_values=p_values,
            counted=counted,
            quality=measured.quality,
            novelty=measured.novelty,
            noise=noise,
            noised=noise_parents(measured.given),
            before_codec=None if originals is None else originals.distances,
        )

    @property
    def groups(self) -> dict[str, tuple[str, Measurements]]:
        """The populations of runs, by their part of a key: name and measurements."""
        groups = {
            "generated": ("generated", self.generated),
            "training": ("training", self.training),
        }
        return groups | ({"heldout": ("held-out", self.null)} if self.terms.has_heldout else {})

    @property
    def beside(self) -> str:
        """What is drawn again where samples are compared with others."""
        return "beside heldout" if self.terms.has_heldout else "generated"

    @property
    def n_beside(self) -> int:
        """Independent units behind such a number."""
        n = len(self.generated)
        if self.terms.is_one_run and self.terms.has_heldout:
            return min(n, len(self.null))
        return n

"""What an audit calls the populations that it compares: of many training runs, or steps of few.

Steps of one run are no independent evidence: what treats them as runs is left out, bootstraps do
not draw them again, and numbers of theirs alone have no interval. Source: ours.
"""

from dataclasses import dataclass, replace

from novelweights.auditing.measure.estimates import AS_IT_IS, FIXED
from novelweights.auditing.result import Quantity


@dataclass(frozen=True)
class Terms:
    """The words of one audit."""

    is_one_run: bool
    """Whether training checkpoints are steps of too few runs."""
    has_heldout: bool
    """Whether there are held-out runs; else training checkpoints stand in."""

    @property
    def counts_fresh(self) -> bool:
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
    def each(self) -> str:
        """Which others a training checkpoint is compared with."""
        return "each against the others" if self.is_one_run else "each against the other runs"

    @property
    def fresh(self) -> str:
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

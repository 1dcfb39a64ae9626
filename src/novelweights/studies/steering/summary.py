"""Does the prompt steer? Numbers with intervals, and the answer.

Intervals resample starts, since samples from one start are no independent evidence. Sources: G.pt
(prompt alignment; on logarithms of the losses it is ours); the rest, and every threshold, is ours.
"""

from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from novelweights.generators.parts.estimates import expanded_tail, six_digit_limits
from novelweights.studies.steering.samples import Steering

LEVEL = 0.95
DRAWS = 2000
LEAST_LOSS = 1e-9  # nats; has a logarithm


class Answer(StrEnum):
    """Whether the prompt steers."""

    STEERS = "steers"
    ORDERS = "steers in order only"
    IGNORES = "does not steer"
    OPEN = "not shown"


@dataclass(frozen=True)
class SteeringCriteria:
    """Thresholds of the answer, in the order in which they are asked. Source: ours."""

    min_starts: int = 8
    """Fewer starts than this: not shown; their intervals would be too narrow."""
    little_order: float = 0.6
    """Upper limit of the ordered share at most this: does not steer, whatever is significant."""
    no_order: float = 0.5
    """Lower limit of the ordered share above this, what prompts that do nothing would give:
    steers; else not shown."""
    alignment: float = 0.5
    """Lower limit of the prompt alignment of logarithms above this: it also reaches the values
    asked for. At .5 achieved losses miss them by .7 of the prompts' own standard deviation (root
    mean square)."""


DEFAULT_CRITERIA = SteeringCriteria()


class Estimate(NamedTuple):
    """One number with its interval; None where it cannot be had."""

    key: str
    label: str
    definition: str
    unit: str
    n: int
    value: float | None
    lower: float | None
    upper: float | None
    level: float | None


@dataclass(frozen=True)
class Summary:
    """What n starts, each asked for every prompt, show."""

    answer: Answer
    sentence: str
    estimates: tuple[Estimate, ...]
    criteria: SteeringCriteria

    def __getitem__(self, key: str) -> Estimate:
        return next(estimate for estimate in self.estimates if estimate.key == key)

    def to_json(self) -> dict[str, Any]:
        """Plain data, numbers with 6 digits."""
        return {
            "answer": str(self.answer),
            "sentence": self.sentence,
            "quantities": six_digit_limits(one._asdict() for one in self.estimates),
            "criteria": asdict(self.criteria),
        }


TEXTS: dict[str, tuple[str, str, str]] = {
    "ordered_share": (
        "Pairs in order",
        "Share of pairs of prompts above 0, put to the same start, of which the lower prompt gave "
        "the lower loss; equal losses count half. 50%: the prompt does nothing; 0%: it is "
        "inverted.",
        "share",
    ),
    "spearman": (
        "Rank correlation of prompted and achieved loss",
        "Spearman's, over all samples with a prompt above 0.",
        "",
    ),
    "alignment_log": (
        "Prompt alignment (R\u00b2), logarithms",
        "G.pt's measure on logarithms of the losses, prompts being evenly spaced so: for each "
        "start 1 less the summed squares of achieved minus prompted over those of prompted minus "
        "its mean, prompts above 0; mean over the starts. 1: achieved is prompted; 0: as far from "
        "the prompts as a generator that always makes their mean; below 0: farther.",
        "",
    ),
    "alignment": (
        "Prompt alignment (R\u00b2), nats",
        "G.pt's measure: the same on the losses as they are, where the largest weigh most.",
        "",
    ),
    "miss": (
        "Distance of achieved from prompted loss",
        "Median absolute difference over all samples with a prompt above 0.",
        "nats",
    ),
    "loss_at_zero": (
        "Achieved loss at prompt 0",
        "Mean over the starts. Prompt 0 is what the paper samples with; no checkpoint seen in "
        "training has it.",
        "nats",
    ),
    "accuracy_at_zero": ("Accuracy at prompt 0", "Mean over the starts.", "%"),
}
"""Label, definition and unit of each number of a summary."""


def summarize(
    steering: Steering,
    *,
    rng: np.random.Generator,
    criteria: SteeringCriteria = DEFAULT_CRITERIA,
) -> Summary:
    """The numbers with 95% intervals by resampling starts (bootstrap), and the answer.

    Args:
        steering: The samples.
        rng: Of the resampling.
        criteria: Thresholds of the answer.

    In 200 simulations of prompts that are followed with noise (log-normal, sigma .3, and as
    much again between starts) intervals of the ordered share and of the alignment of logarithms
    held the truth in 94% and 83% with 5 starts, 93% and 89% with 8.
    """
    answers = _Answers.of(steering)
    s, prompts = answers.achieved.shape
    values = answers.numbers()
    draws = [answers.of_starts(rng.integers(0, s, s)).numbers() for _ in range(DRAWS * (s > 1))]
    estimates = []
    for key, (label, definition, unit) in TEXTS.items():
        drawn = np.array([draw[key] for draw in draws])
        is_known = len(drawn) > 0 and bool(np.isfinite(drawn).all())
        lower, upper = None, None
        if is_known:
            tail = expanded_tail(s, LEVEL)
            lower, upper = np.quantile(drawn, [tail, 1 - tail]).tolist()
        value = values[key] if np.isfinite(values[key]) else None
        n = s if key.endswith("at_zero") else s * prompts
        level = LEVEL if is_known else None
        estimates.append(Estimate(key, label, definition, unit, n, value, lower, upper, level))
    by_key = {estimate.key: estimate for estimate in estimates}
    order, alignment = by_key["ordered_share"], by_key["alignment_log"]
    answer = _answer(order, alignment, s, criteria)
    sentence = _sentence(answer, order, alignment, s, criteria)
    return Summary(answer, sentence, tuple(estimates), criteria)


@dataclass(frozen=True, eq=False)
class _Answers:
    """What the starts were asked for and gave, prompts ascending."""

    prompts: Float[np.ndarray, " prompts"]
    """Those above 0."""
    achieved: Float[np.ndarray, "starts prompts"]
    ordered: Float[np.ndarray, " starts"]
    """Of each start, its share of pairs in order."""
    aligned_log: Float[np.ndarray, " starts"]
    """Of each start, the prompt alignment of its logarithms."""
    aligned: Float[np.ndarray, " starts"]
    """Of each start, its prompt alignment."""
    loss_at_zero: Float[np.ndarray, " starts"]
    """NaN where 0 was not asked for."""
    accuracy_at_zero: Float[np.ndarray, " starts"]

    @classmethod
    def of(cls, steering: Steering) -> "_Answers":
        table = steering.table()
        achieved = table.pivot(index="start", columns="prompt", values="achieved")
        accuracy = table.pivot(index="start", columns="prompt", values="accuracy")
        prompts = np.array(achieved.columns, dtype=np.float64)
        losses, asked = achieved.to_numpy()[:, prompts > 0], prompts[prompts > 0]
        logs = (np.log(np.maximum(x, LEAST_LOSS)) for x in (asked, losses))
        low, high = np.triu_indices(len(asked), 1)
        ordered = np.array([_ordered_share(row[low], row[high]) for row in losses])
        unasked = np.full(len(losses), np.nan)
        zero = [x[0.0].to_numpy() if prompts[0] == 0 else unasked for x in (achieved, accuracy)]
        return cls(asked, losses, ordered, _alignment(*logs), _alignment(asked, losses), *zero)

    def of_starts(self, rows: Int[np.ndarray, " draws"]) -> "_Answers":
        """The same of some starts."""
        names = [field.name for field in fields(self) if field.name != "prompts"]
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def numbers(self) -> dict[str, float]:
        """The value of each number in `TEXTS`; NaN where it does not exist."""
        asked, achieved = np.broadcast_to(self.prompts, self.achieved.shape), self.achieved
        return {
            "ordered_share": float(self.ordered.mean()),
            "spearman": _spearman(asked.ravel(), achieved.ravel()),
            "alignment_log": float(self.aligned_log.mean()),
            "alignment": float(self.aligned.mean()),
            "miss": float(np.median(np.abs(achieved - asked))),
            "loss_at_zero": float(self.loss_at_zero.mean()),
            "accuracy_at_zero": float(self.accuracy_at_zero.mean()),
        }


def _spearman(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    """Spearman's rank correlation; NaN if either is constant."""
    ranks = (rankdata(values) - (len(values) + 1) / 2 for values in (x, y))
    a, b = ranks
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length > 0 else float("nan")


def _ordered_share(
    of_lower: Float[np.ndarray, " pairs"], of_higher: Float[np.ndarray, " pairs"]
) -> float:
    """Share of pairs of prompts of which the lower gave the lower loss; equal ones count half."""
    return float((of_lower < of_higher).mean() + 0.5 * (of_lower == of_higher).mean())


def _alignment(
    asked: Float[np.ndarray, " prompts"], achieved: Float[np.ndarray, "starts prompts"]
) -> Float[np.ndarray, " starts"]:
    """R\u00b2 of each start: squared misses over the spread of the prompts. Source: G.pt."""
    return 1 - np.square(achieved - asked).sum(axis=1) / np.square(asked - asked.mean()).sum()


def _answer(
    order: Estimate, alignment: Estimate, n_starts: int, criteria: SteeringCriteria
) -> Answer:
    if order.lower is None or order.upper is None or n_starts < criteria.min_starts:
        return Answer.OPEN
    if order.upper <= criteria.little_order:
        return Answer.IGNORES
    if order.lower <= criteria.no_order:
        return Answer.OPEN
    reaches = alignment.lower is not None and alignment.lower > criteria.alignment
    return Answer.STEERS if reaches else Answer.ORDERS


def _sentence(
    answer: Answer, order: Estimate, alignment: Estimate, n_starts: int, criteria: SteeringCriteria
) -> str:
    shares = [None if x is None else 100 * x for x in (order.value, order.lower, order.upper)]
    pairs = f"the lower of two prompts gave the lower loss in {_told(*shares, unit='%')} of pairs"
    fit = f"prompt alignment of the logarithms {_told(*alignment[5:8])}"
    after = f"{n_starts} start{'s' if n_starts != 1 else ''}"
    if answer is Answer.STEERS:
        return (
            f"The prompt steers: {pairs}, and achieved losses follow the prompts ({fit}), {after}."
        )
    if answer is Answer.ORDERS:
        return (
            f"The prompt steers in order but misses the values: {pairs}, while achieved losses do "
            f"not follow the prompts ({fit}), {after}."
        )
    nothing = "a prompt that does nothing gives 50%"
    if answer is Answer.IGNORES:
        is_inverted = order.upper is not None and order.upper < criteria.no_order
        nothing += ", less is the wrong way round" if is_inverted else ""
        return f"The prompt does not steer: {pairs} ({nothing}), {after}."
    if n_starts < criteria.min_starts:
        after += f", of which {criteria.min_starts} are needed"
    return f"Whether the prompt steers stays open: {pairs} ({nothing}), {after}."


def _told(value: float | None, lower: float | None, upper: float | None, *, unit: str = "") -> str:
    if value is None:
        return "not available"
    limits = "" if lower is None or upper is None else f" [{lower:.3g}{unit}, {upper:.3g}{unit}]"
    return f"{value:.3g}{unit}{limits}"

"""Does the prompt steer? The samples, numbers with intervals, and the answer.

Intervals resample starts, since samples from one start are no independent evidence. Sources: G.pt
(prompt alignment; on logarithms of the losses it is ours); the rest, and every threshold, is ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from novelweights.auditing.judge.statistics import resampled
from novelweights.auditing.result import Quantity
from novelweights.errors import count
from novelweights.studies.study import Summary, in_words, quantity

LEAST_LOSS = 1e-9  # nats; has a logarithm
COLUMNS = ("start", "prompt", "seen", "start_loss", "achieved", "accuracy")


@dataclass(frozen=True, eq=False)
class Steering:
    """Every start with every prompt, one row each."""

    prompt: Float[np.ndarray, " n"]
    """Loss asked for, in nats."""
    start: Int[np.ndarray, " n"]
    """Which start, by its row."""
    start_loss: Float[np.ndarray, " n"]
    achieved: Float[np.ndarray, " n"]
    """Loss of the sample."""
    accuracy: Float[np.ndarray, " n"]
    """The task's quality of the sample, in percent."""
    loss_range: tuple[float, float]
    """Least and greatest loss the generator was trained with."""

    def __post_init__(self) -> None:
        prompts, starts = np.unique(self.prompt), np.unique(self.start)
        pairs = {*zip(self.prompt.tolist(), self.start.tolist(), strict=True)}
        if not len(pairs) == len(self.prompt) == len(prompts) * len(starts):
            raise ValueError("expected every start with every prompt once")
        if (prompts > 0).sum() < 2 or prompts[0] < 0:
            raise ValueError("expected two prompts above 0 or more, and none below")
        if not np.isfinite([self.prompt, self.start_loss, self.achieved, self.accuracy]).all():
            raise ValueError("losses or accuracies that are not finite")

    @property
    def seen(self) -> Bool[np.ndarray, " n"]:
        """Whether the prompt lies within what was seen in training."""
        least, greatest = self.loss_range
        return (least <= self.prompt) & (self.prompt <= greatest)

    @property
    def prompts(self) -> Float[np.ndarray, " prompts"]:
        """The prompts, ascending."""
        return np.unique(self.prompt)

    @property
    def n_starts(self) -> int:
        """How many starts were prompted."""
        return len(np.unique(self.start))

    def table(self) -> pd.DataFrame:
        """All rows, by start and prompt."""
        table = pd.DataFrame({name: getattr(self, name) for name in COLUMNS})
        return table.sort_values(["start", "prompt"], ignore_index=True)


class Answer(StrEnum):
    """Whether the prompt steers."""

    STEERS = "steers"
    ORDERS = "steers in order only"
    IGNORES = "does not steer"
    OPEN = "not shown"


@dataclass(frozen=True)
class SteeringCriteria:
    """Thresholds of the answer, in the order of the questions. Source: ours."""

    min_starts: int = 8
    """Fewer starts than this: not shown; their intervals would be too narrow."""
    little_order: float = 0.6
    """Upper limit of the ordered share at most this: does not steer, whatever is significant."""
    no_order: float = 0.5
    """Lower limit of the ordered share above this, what prompts that do nothing would give:
    steers; else not shown."""
    alignment: float = 0.5
    """Lower limit of the prompt alignment of logarithms above this: it also reaches the prompted
    values. At .5 achieved losses miss them by .7 of the prompts' own standard deviation (root
    mean square)."""


DEFAULT_CRITERIA = SteeringCriteria()


NUMBERS: dict[str, tuple[str, str, str]] = {
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

    In 200 simulations of prompts that are followed with noise (log-normal, sigma .3, and as
    much again between starts) intervals of the ordered share and of the alignment of logarithms
    held the truth in 94% and 83% with 5 starts, 93% and 89% with 8.
    """
    numbers, s = _numbers_of_starts(steering), steering.n_starts
    n_prompts, draws = int((steering.prompts > 0).sum()), None
    if s > 1:
        draws = resampled(lambda rows: np.array([*map(numbers, rows)]), np.arange(s), rng=rng)
    quantities = {
        key: quantity(
            (key, label, definition),
            value,
            None if draws is None else draws[:, i],
            unit=unit,
            n=s if key.endswith("at_zero") else s * n_prompts,
            units=s,
        )
        for i, (value, (key, (label, definition, unit))) in enumerate(
            zip(numbers(np.arange(s)), NUMBERS.items(), strict=True)
        )
    }
    order, alignment = quantities["ordered_share"], quantities["alignment_log"]
    answer = _answer(order, alignment, s, criteria)
    sentence = _sentence(answer, order, alignment, s, criteria)
    return Summary({"answer": answer}, sentence, quantities, criteria)


def _numbers_of_starts(
    steering: Steering,
) -> Callable[[Int[np.ndarray, " draws"]], list[float]]:
    """What gives, of some starts, the numbers of `NUMBERS`; NaN where one does not exist."""
    table = steering.table()
    losses, accuracies = (
        table.pivot(index="start", columns="prompt", values=name).to_numpy()
        for name in ("achieved", "accuracy")
    )
    is_above = steering.prompts > 0
    prompts, achieved = steering.prompts[is_above], losses[:, is_above]
    logs = (np.log(np.maximum(x, LEAST_LOSS)) for x in (prompts, achieved))
    low, high = np.triu_indices(len(prompts), 1)
    of_starts = {
        "ordered_share": np.array([_ordered_share(row[low], row[high]) for row in achieved]),
        "alignment_log": _alignment(*logs),
        "alignment": _alignment(prompts, achieved),
    }
    for name, columns in (("loss_at_zero", losses), ("accuracy_at_zero", accuracies)):
        of_starts[name] = np.full(len(losses), np.nan) if is_above[0] else columns[:, 0]

    def numbers(rows: Int[np.ndarray, " draws"]) -> list[float]:
        some = achieved[rows]
        means = {name: float(values[rows].mean()) for name, values in of_starts.items()}
        means["spearman"] = _spearman(np.tile(prompts, len(rows)), some.ravel())
        means["miss"] = float(np.median(np.abs(some - prompts)))
        return [means[name] for name in NUMBERS]

    return numbers


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
    prompts: Float[np.ndarray, " prompts"], achieved: Float[np.ndarray, "starts prompts"]
) -> Float[np.ndarray, " starts"]:
    """R\u00b2 of each start: squared misses over the spread of the prompts. Source: G.pt."""
    spread = np.square(prompts - prompts.mean()).sum()
    return 1 - np.square(achieved - prompts).sum(axis=1) / spread


def _answer(
    order: Quantity, alignment: Quantity, n_starts: int, criteria: SteeringCriteria
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
    answer: Answer, order: Quantity, alignment: Quantity, n_starts: int, criteria: SteeringCriteria
) -> str:
    share = in_words(order, scale=100.0, unit="%")
    pairs = f"the lower of two prompts gave the lower loss in {share} of pairs"
    fit = f"prompt alignment of the logarithms {in_words(alignment)}"
    after = count(n_starts, "start")
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

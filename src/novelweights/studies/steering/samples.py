"""What was asked of a generator and what came: every start asked for every prompt."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class Steering:
    """Every start asked for every prompt, one row each."""

    prompt: Float[np.ndarray, " n"]
    """Loss asked for, in nats."""
    start: Int[np.ndarray, " n"]
    """Which start, by its row."""
    start_loss: Float[np.ndarray, " n"]
    achieved: Float[np.ndarray, " n"]
    """Loss of what was made."""
    accuracy: Float[np.ndarray, " n"]
    """The task's quality of what was made, in percent."""
    loss_range: tuple[float, float]
    """Least and greatest loss the generator was trained with."""

    def __post_init__(self) -> None:
        prompts, starts = np.unique(self.prompt), np.unique(self.start)
        pairs = {*zip(self.prompt.tolist(), self.start.tolist(), strict=True)}
        if not len(pairs) == len(self.prompt) == len(prompts) * len(starts):
            raise ValueError("expected every start asked for every prompt once")
        if (prompts > 0).sum() < 2 or prompts[0] < 0:
            raise ValueError("expected two prompts above 0 or more, and none below")

    @property
    def seen(self) -> Bool[np.ndarray, " n"]:
        """Whether the prompt lies within what was seen in training."""
        least, greatest = self.loss_range
        return (least <= self.prompt) & (self.prompt <= greatest)

    def table(self) -> pd.DataFrame:
        """All rows, by start and prompt."""
        names = ("start", "prompt", "seen", "start_loss", "achieved", "accuracy")
        table = pd.DataFrame({name: getattr(self, name) for name in names})
        return table.sort_values(["start", "prompt"], ignore_index=True)

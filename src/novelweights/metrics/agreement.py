"""How much checkpoints agree in behavior: overlap of their error sets and of their predictions.

Paper, section 3.1 and Appendix C. Counts are exact integers: a matrix product of zeros and ones
in float32 is exact up to 2^24 examples. Everything runs in blocks of bounded memory.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

BLOCK_ROWS = 1024
MAX_EXAMPLES = 1 << 24  # beyond, float32 no longer counts every integer


def error_iou(
    errors: Bool[Tensor, "n examples"], training_errors: Bool[Tensor, "m examples"]
) -> Float[Tensor, "n m"]:
    """Overlap of the error sets of every pair of checkpoints.

    Args:
        errors: True where a checkpoint's prediction is wrong.
        training_errors: The same for training checkpoints, on the same test examples.

    Returns:
        Intersection over union in [0, 1], float64; 1 = same mistakes, so lower is more novel.
        Two checkpoints without any error have equal error sets and get 1.

    Raises:
        ValueError: More examples than float32 can count.

    Source: paper, Appendix C.1, Eq. 1.
    """
    out = torch.empty(len(errors), len(training_errors), dtype=torch.float64)
    for columns, block in _blocks(training_errors):
        for rows, mine in _blocks(errors):
            out[rows, columns] = _iou(mine, block)
    return out


def max_similarity(
    errors: Bool[Tensor, "n examples"],
    training_errors: Bool[Tensor, "m examples"],
    *,
    exclude: Bool[Tensor, "n m"] | None = None,
) -> Float[Tensor, " n"]:
    """The largest error IoU of each checkpoint with any training checkpoint; low is novel.

    Args:
        errors: True where a checkpoint's prediction is wrong.
        training_errors: The same for training checkpoints, on the same test examples.
        exclude: True for pairs that do not count, e.g. a training checkpoint with itself.

    Raises:
        ValueError: A checkpoint has no training checkpoint to be compared with.

    Source: paper, Appendix C.1.
    """
    if len(training_errors) == 0 or (exclude is not None and exclude.all(dim=1).any()):
        raise ValueError("a checkpoint has no training checkpoint that is not excluded")
    best = torch.zeros(len(errors), dtype=torch.float64)
    for columns, block in _blocks(training_errors):
        for rows, mine in _blocks(errors):
            iou = _iou(mine, block)
            if exclude is not None:
                iou.masked_fill_(exclude[rows, columns], 0.0)  # 0 is the least an IoU can be
            best[rows] = torch.maximum(best[rows], iou.amax(dim=1))
    return best


def expected_iou(
    error_rate: Float[Tensor, "*#shape"], training_error_rate: Float[Tensor, "*#shape"]
) -> Float[Tensor, "..."]:
    """The error IoU of two checkpoints whose mistakes are independent, by their error rates.

    Rates are in [0, 1]. Two rates of 0 give 1, as two empty error sets do. Expectation of the
    counts, not of their ratio: good for many examples. Real checkpoints lie above it, because
    some examples are hard for all.

    Source: ours.
    """
    both = error_rate * training_error_rate
    either = error_rate + training_error_rate - both
    return torch.where(either > 0, both / either.clamp(min=torch.finfo(either.dtype).tiny), 1.0)


def prediction_overlap(
    predictions: Shaped[Tensor, "n examples"], reference: Shaped[Tensor, "n examples"]
) -> Float[Tensor, " n"]:
    """Share of test examples on which each checkpoint predicts as its partner in the same row.

    Source: paper, Appendix C.3.
    """
    return (predictions == reference).sum(dim=1).double() / predictions.shape[1]


def _blocks(errors: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows in blocks, as zeros and ones in float32."""
    if errors.shape[1] > MAX_EXAMPLES:
        raise ValueError(f"at most {MAX_EXAMPLES} examples, got {errors.shape[1]}")
    for start in range(0, len(errors), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        yield rows, errors[rows].float()


def _iou(one: Tensor, other: Tensor) -> Tensor:
    """IoU of every pair of rows of zeros and ones."""
    both = (one @ other.T).double()
    either = one.sum(dim=1).double()[:, None] + other.sum(dim=1).double() - both
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)

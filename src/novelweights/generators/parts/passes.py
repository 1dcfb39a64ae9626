"""Which checkpoints a batch holds: shuffled passes, one after another without end."""

import torch
from jaxtyping import Int
from torch import Tensor

from novelweights.seeding import rng_for


def rows_of_batch(batch: int, n: int, batch_size: int, *, seed: int) -> Int[Tensor, " batch_size"]:
    """The rows of one batch; a function of its number, so that a fit can go on at any step.

    Every pass holds each row once, in an order of its own; the passes follow one another and are
    cut into batches, so that none is smaller than the others. A batch may hold the end of one pass
    and the beginning of the next.

    Args:
        batch: Its number, from 0.
        n: Rows in all.
        batch_size: Rows of a batch.
        seed: Of the orders.
    """
    start = batch * batch_size
    first, last = start // n, (start + batch_size - 1) // n
    orders = [
        torch.randperm(n, generator=rng_for(seed, "pass", number))
        for number in range(first, last + 1)
    ]
    return torch.cat(orders)[start - first * n :][:batch_size]

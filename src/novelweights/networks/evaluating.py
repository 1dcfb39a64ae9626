"""Networks run for what they compute: without gradients, and in float32 throughout."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def evaluating() -> Iterator[None]:
    """No gradients, and no TF32 where an accelerator has it.

    By torch's default convolutions there round what they multiply to 10 bits, which changed logits
    by a thousandth of their size (measured on an H100) and would change predictions.
    """
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed

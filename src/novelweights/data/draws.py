"""Random choices about data that stay the same in every version of numpy.

numpy promises that only for the raw stream of a bit generator, not for what it makes of it.
"""

import numpy as np

from novelweights.seeding import seed_for


class Draws:
    """The stream of these labels."""

    def __init__(self, *labels: str) -> None:
        self.bits = np.random.PCG64(seed_for(0, *labels))

    def below(self, limits: int | np.ndarray, n: int) -> np.ndarray:
        """`n` integers, each from 0 up to its limit, which is excluded.

        Remainders of 64 bits: uniform to one part in 2^32 for limits up to 2^32.
        """
        return (self.bits.random_raw(n) % np.asarray(limits, np.uint64)).astype(np.int64)

    def chosen(self, n: int, total: int) -> np.ndarray:
        """`n` different numbers below `total`, in ascending order."""
        return np.sort(np.argsort(self.bits.random_raw(total), kind="stable")[:n])

"""Random streams named by labels, the same in every process and whichever stages ran before."""

import hashlib

import numpy as np
import torch


def seed_for(root: int, *labels: str | int) -> int:
    """A 63-bit seed that depends on the root seed and on every label, by SHA-256."""
    text = "\x1f".join(str(part) for part in (root, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def rng_for(root: int, *labels: str | int, device: str = "cpu") -> torch.Generator:
    """A torch generator for the stream of these labels."""
    return torch.Generator(device).manual_seed(seed_for(root, *labels))


def numpy_rng_for(root: int, *labels: str | int) -> np.random.Generator:
    """A numpy generator for the stream of these labels."""
    return np.random.default_rng(seed_for(root, *labels))


class Draws:
    """Random choices about data that stay the same in every version of numpy.

    numpy promises that only for the raw stream of a bit generator, not for what it makes of it.
    """

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

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

"""Timing two ways fairly: taking turns, medians, results handed back for comparison."""

import statistics
import time
from collections.abc import Callable
from typing import Any


def take_turns(*ways: Callable[[], Any], repeats: int = 3) -> list[tuple[float, Any]]:
    """Median seconds and last result of each way; they alternate, so that load hits all alike."""
    seconds: list[list[float]] = [[] for _ in ways]
    results: list[Any] = [None] * len(ways)
    for _ in range(repeats):
        for i, way in enumerate(ways):
            start = time.perf_counter()
            results[i] = way()
            seconds[i].append(time.perf_counter() - start)
    return [(statistics.median(s), result) for s, result in zip(seconds, results, strict=True)]

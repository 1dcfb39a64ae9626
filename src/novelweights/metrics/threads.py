"""Many small pieces of work over all cores, each on one thread.

Matrices of a few hundred rows are too small to be split: threads that wait for each other cost
more than they bring, and far more on a busy machine. So the pieces are spread, not split.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType
from typing import TypeVar

import torch
from numba import njit

Item = TypeVar("Item")
Result = TypeVar("Result")

FEW = 4
"""Pairs of checkpoints that are not worth a second thread."""


def map_small(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`function` of every item, in order; inside it torch uses one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(threads)


def compiled_loop(loop: FunctionType) -> Callable[..., None]:
    """A loop over `prange`, compiled for one thread and for all; a call says which, by keyword.

    The two are one function to numba's cache, which would load whichever was compiled first for
    both. So that for all threads gets a name of its own.
    """
    for_all = FunctionType(
        loop.__code__, loop.__globals__, loop.__name__, loop.__defaults__, loop.__closure__
    )
    for_all.__qualname__ = f"{loop.__qualname__}_on_all_threads"
    serial = njit(cache=True, nogil=True)(loop)
    parallel = njit(cache=True, parallel=True)(for_all)

    def run(*arguments: object, in_parallel: bool) -> None:
        (parallel if in_parallel else serial)(*arguments)

    return run

"""Making the runs that exhibits need, several at a time in processes of their own."""

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import torch

from novelweights.errors import InputError
from novelweights.reproduce.exhibits import EXHIBITS
from novelweights.reproduce.nodes import Node, in_order
from novelweights.reproduce.plan import Plan, plan_of
from novelweights.reproduce.runs import Runs


def make_all(
    runs: Runs, plan: Plan, nodes: Sequence[Node], *, jobs: int = 1
) -> dict[str, InputError]:
    """Make all of these nodes that are not there, each after what it is made from.

    Returns:
        By key, why a node could not be made; those that are made from it were left out.
    """
    missing = runs.missing(nodes)
    lost, waiting = dict[str, InputError](), {node.key: node for node in missing}
    running = dict[Future[None], Node]()
    where = (plan.scale, runs.folder, tuple(runs.kept))
    threads = max(1, torch.get_num_threads() // jobs)
    with ExitStack() as stack:
        pool = None
        if jobs > 1 and len(missing) > 1:
            pool = stack.enter_context(ProcessPoolExecutor(jobs, get_context("spawn")))
        while waiting or running:
            runs.tell("runs", len(missing) - len(waiting) - len(running), len(missing))
            unfinished = {*waiting, *(node.key for node in running.values())}
            for node in list(waiting.values()):
                needed = {of.key for of in node.inputs.values()}
                if needed & lost.keys():
                    del waiting[node.key]
                elif unfinished.isdisjoint(needed):
                    del waiting[node.key]
                    if pool is not None:
                        future = pool.submit(_make_one, *where, node.key, threads)
                    else:
                        future = _done_here(runs, node)
                    running[future] = node
                    if pool is None:
                        break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                node = running.pop(future)
                try:
                    future.result()
                except InputError as error:
                    lost[node.key] = error
    return lost


def _done_here(runs: Runs, node: Node) -> Future[None]:
    """A node made in this process."""
    future = Future[None]()
    try:
        runs.at(node)
        future.set_result(None)
    except InputError as error:
        future.set_exception(error)
    return future


def _make_one(scale: str, folder: Path, kept: tuple[Path, ...], key: str, threads: int) -> None:
    """Make one node, in a process of its own."""
    torch.set_num_threads(threads)
    plan = plan_of(scale)
    every = in_order([node for exhibit in EXHIBITS.values() for node in exhibit.needs(plan)])
    Runs(folder, kept).at(next(node for node in every if node.key == key))

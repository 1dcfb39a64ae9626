"""Making the runs that exhibits need, several at a time in processes of their own."""

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
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
    if jobs == 1 or len(missing) < 2:
        return _one_by_one(runs, missing)
    return _side_by_side(runs, plan, missing, jobs)


def _one_by_one(runs: Runs, missing: Sequence[Node]) -> dict[str, InputError]:
    """Make nodes in this process."""
    lost, left_out = dict[str, InputError](), set[str]()
    for done, node in enumerate(missing):
        runs.tell("runs", done, len(missing))
        if not _needed(node).isdisjoint(lost.keys() | left_out):
            left_out.add(node.key)
            continue
        try:
            runs.at(node)
        except InputError as error:
            lost[node.key] = error
    return lost


def _side_by_side(
    runs: Runs, plan: Plan, missing: Sequence[Node], jobs: int
) -> dict[str, InputError]:
    """Make nodes in processes of their own, each when its inputs are there."""
    lost, left_out = dict[str, InputError](), set[str]()
    waiting, running = {node.key: node for node in missing}, dict[Future[None], Node]()
    where = (plan.scale, runs.folder, tuple(runs.kept))
    threads = max(1, torch.get_num_threads() // jobs)
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        while waiting or running:
            runs.tell("runs", len(missing) - len(waiting) - len(running), len(missing))
            unfinished = {*waiting, *(node.key for node in running.values())}
            for node in list(waiting.values()):
                if not _needed(node).isdisjoint(lost.keys() | left_out):
                    left_out.add(waiting.pop(node.key).key)
                elif unfinished.isdisjoint(_needed(node)):
                    del waiting[node.key]
                    running[pool.submit(_make_one, *where, node.key, threads)] = node
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                node = running.pop(future)
                try:
                    future.result()
                except InputError as error:
                    lost[node.key] = error
    return lost


def _needed(node: Node) -> set[str]:
    """Keys of what a node is made from."""
    return {of.key for of in node.inputs.values()}


def _make_one(scale: str, folder: Path, kept: tuple[Path, ...], key: str, threads: int) -> None:
    """Make one node, in a process of its own."""
    torch.set_num_threads(threads)
    plan = plan_of(scale)
    every = in_order([node for exhibit in EXHIBITS.values() for node in exhibit.needs(plan)])
    Runs(folder, kept).at(next(node for node in every if node.key == key))

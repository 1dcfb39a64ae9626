"""Exhibits into a folder: the runs they need, their numbers, their pictures, and the outcomes."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import novelweights
from novelweights.errors import InputError, count
from novelweights.files import read_json, replacing, write_json, write_text
from novelweights.report.style import finish
from novelweights.reproduce.drawing import captioned, styled
from novelweights.reproduce.exhibits import EXHIBITS, Exhibit, find_exhibit
from novelweights.reproduce.jobs import make_all
from novelweights.reproduce.nodes import Node, in_order
from novelweights.reproduce.plan import Plan, plan_of
from novelweights.reproduce.runs import Runs
from novelweights.reproduce.settings import SETTINGS

OUTCOMES = "outcomes.json"
Say = Callable[[str], None]


def kept_runs(scale: str) -> tuple[Path, ...]:
    """Where a source checkout keeps finished runs of a scale; nothing in an installed package."""
    folder = Path(novelweights.__file__).parents[2] / "results" / scale / "runs"
    return (folder,) if folder.is_dir() else ()


@dataclass(frozen=True)
class Bill:
    """What is still to be made, and what it takes."""

    nodes: Sequence[Node]

    @property
    def minutes(self) -> float:
        """On two cores, at paper scale on one large GPU, about."""
        return float(sum(node.minutes for node in self.nodes))

    @property
    def megabytes(self) -> float:
        """Of disk, about."""
        return float(sum(node.megabytes for node in self.nodes))

    @property
    def time(self) -> str:
        """`minutes` in words."""
        hours, minutes = divmod(round(self.minutes), 60)
        return f"{hours:,} h {minutes} min" if hours else f"{minutes} min"

    def __str__(self) -> str:
        runs = count(len(self.nodes), "run")
        return f"{runs} to make: about {self.time}, {self.megabytes:,.0f} MB of disk"


def bill(names: Sequence[str], scale: str, runs: Runs) -> Bill:
    """What these exhibits still need."""
    plan = plan_of(scale)
    return Bill(runs.missing([node for name in names for node in find_exhibit(name).needs(plan)]))


def possible(plan: Plan) -> list[str]:
    """The exhibits whose methods are run at a scale."""
    return [name for name, exhibit in EXHIBITS.items() if _is_possible(exhibit, plan)]


def _is_possible(exhibit: Exhibit, plan: Plan) -> bool:
    try:
        exhibit.needs(plan)
    except InputError:
        return False
    return True


def described(name: str) -> str:
    """What an exhibit shows, the runs it needs, and what these cost at each scale; for a list."""
    exhibit, costs = find_exhibit(name), list[str]()
    nodes: list[Node] = []
    for scale in SETTINGS:
        kept, plan = Runs(Path("none"), kept_runs(scale)), plan_of(scale)
        if not _is_possible(exhibit, plan):
            continue
        needed = exhibit.needs(plan)
        nodes = in_order(needed)
        whole, left = Bill(nodes), Bill(kept.missing(needed))
        is_kept = "kept" if not left.nodes else f"{whole.time}, {whole.megabytes:,.0f} MB"
        costs.append(f"{scale} {is_kept}")
    methods = dict.fromkeys(node.name.partition("-zoo")[0] for node in nodes if "-zoo" in node.name)
    return f"{exhibit.TITLE}; of {', '.join(methods)}; {'; '.join(costs)}"


def require_machine(of: Bill, scale: str, folder: Path) -> None:
    """Refuse before anything begins what this machine cannot do.

    Raises:
        InputError: No accelerator at paper scale, too little disk, or data that are not there.
    """
    lacks = []
    if scale == "paper" and not torch.accelerator.is_available():
        lacks.append("an accelerator (a GPU that torch sees)")
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free / 1e6
    if free < of.megabytes:
        lacks.append(f"{of.megabytes:,.0f} MB of disk at {folder} ({free:,.0f} are free)")
    for node in of.nodes:
        try:
            node.check()
        except InputError as error:
            lacks.append(str(error))
    if lacks:
        raise InputError(
            f"--scale {scale}: {of}. This machine lacks {'; '.join(lacks)}. Nothing was begun",
            "unsuited",
        )


def reproduce(
    names: Sequence[str],
    scale: str,
    folder: Path,
    runs: Runs,
    *,
    jobs: int = 1,
    say: Say = lambda line: None,
) -> dict[str, InputError]:
    """Make exhibits: NAME.json and .csv, then NAME.svg and .png, in FOLDER/exhibits.

    Args:
        names: Keys of `EXHIBITS`.
        scale: A key of `SETTINGS`.
        folder: Of exhibits; new runs are made where `runs` says.
        runs: The runs that are there, and where new ones go.
        jobs: Runs that are made at a time.
        say: Told each file that was made.

    Returns:
        Why exhibits could not be made, by name; the others are.
    """
    plan, failed = plan_of(scale), dict[str, InputError]()
    needed = {name: find_exhibit(name).needs(plan) for name in names}
    lost = make_all(runs, plan, [node for nodes in needed.values() for node in nodes], jobs=jobs)
    for name, nodes in needed.items():
        problems = [lost[node.key] for node in in_order(nodes) if node.key in lost]
        try:
            if problems:
                raise problems[0]
            say(f"{name}: {_made(name, plan, runs, folder / 'exhibits')}")
        except InputError as error:
            failed[name] = error
    return failed


def _made(name: str, plan: Plan, runs: Runs, folder: Path) -> Path:
    """The picture of one exhibit, after its numbers."""
    exhibit = EXHIBITS[name]
    needed = exhibit.needs(plan)
    table = replace(exhibit.numbers(runs, plan), caption=plan.caption(needed))
    of_runs = {node.name: node.folder for node in in_order(needed)}
    table.write(folder, name, scale=plan.scale, runs=of_runs)
    with styled():
        drawing = finish(captioned(exhibit.picture(table), table.caption), table.title)
    write_text(folder / f"{name}.svg", drawing.svg)
    with replacing(folder / f"{name}.png") as temporary:
        temporary.write_bytes(drawing.png)
    if claims := exhibit.claims(table):
        path = folder / OUTCOMES
        outcomes = read_json(path) if path.is_file() else {}
        outcomes[name] = [claim.to_json() for claim in claims]
        write_json(path, dict(sorted(outcomes.items())))
    return folder / f"{name}.png"

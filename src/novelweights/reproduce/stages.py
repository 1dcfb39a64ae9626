"""The kinds of nodes: a zoo, a fitted generator, its samples, an audit, and what is measured more.

Each is made by the functions behind the commands (`zoo build`, `fit`, `sample`, `audit`).
"""

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

from novelweights.api import audited
from novelweights.auditing.prepare import AuditInputs
from novelweights.files import new_folder
from novelweights.generators import method_named
from novelweights.generators.calling import reconstructed
from novelweights.generators.fitting import fit_to_folder
from novelweights.generators.sampling import sample_to_folder
from novelweights.generators.store import load_fitted
from novelweights.inputs import describe_input
from novelweights.readers import open_checkpoints, read_checkpoints, read_starts
from novelweights.reproduce.nodes import Cost, Node, Tell
from novelweights.tasks import make_task
from novelweights.tasks.task import Task
from novelweights.weights.population import Population
from novelweights.zoos.building import Zoo, build, counts_of

Measure = Callable[[Path, Mapping[str, Path], Tell], None]
MEASURED = "measured.json"
"""The file by which a folder of further measurements is known."""


def zoo_node(name: str, zoo: Zoo, *, seed: int = 0, cost: Cost, **counts: int) -> Node:
    """A population trained by a recipe; `cost` is in minutes and megabytes."""

    def make(folder: Path, inputs: Mapping[str, Path], tell: Tell) -> None:
        build(
            zoo,
            folder,
            seed=seed,
            resume=True,
            overwrite=True,
            progress=lambda done, of: tell("training", done, of),
            **counts,
        )

    return Node(
        name,
        {"stage": "zoo", "zoo": zoo, **counts, "seed": seed},
        make,
        {},
        *cost,
        check=lambda: counts_of(zoo, seed=seed, **counts),
    )


def model_node(
    name: str, method: str, settings: Any, zoo: Node, *, seed: int = 0, cost: Cost
) -> Node:
    """A generator fitted to the training checkpoints of a zoo."""

    def make(folder: Path, inputs: Mapping[str, Path], tell: Tell) -> None:
        train, heldout = populations(inputs["zoo"])
        fit_to_folder(
            folder,
            method,
            settings,
            train,
            heldout=heldout,
            seed=seed,
            resume=True,
            overwrite=True,
            progress=lambda done, of, loss: tell(f"loss {loss:.4g}", done, of),
        )

    described = {"stage": "model", "method": method, "generator": settings, "seed": seed}
    return Node(name, described, make, {"zoo": zoo}, *cost)


def samples_node(
    name: str,
    model: Node,
    n: int,
    *,
    sampler: str | None = None,
    seed: int = 0,
    cost: Cost,
) -> Node:
    """Checkpoints of a fitted generator, from initializations of its zoo where it needs them."""
    zoo = model.inputs["zoo"]

    def make(folder: Path, inputs: Mapping[str, Path], tell: Tell) -> None:
        fitted, method = load_fitted(inputs["model"])
        is_conditional = method_named(method).is_conditional
        sample_to_folder(
            folder,
            fitted,
            method,
            n,
            model=inputs["model"],
            start=read_starts(inputs["zoo"]) if is_conditional else None,
            sampler=sampler,
            seed=seed,
            overwrite=True,
            progress=lambda done, of: tell("sampling", done, of),
        )

    settings = {"stage": "samples", "n": n, "sampler": sampler, "seed": seed}
    return Node(name, settings, make, {"model": model, "zoo": zoo}, *cost)


def audit_node(
    name: str,
    samples: Node,
    *,
    scratch: Node | None = None,
    controls: int | None = None,
    page: bool = True,
    cost: Cost,
) -> Node:
    """The audit of samples against the zoo that their generator was fitted to.

    Args:
        controls: Checkpoints of each control; None: the usual number.
        page: Whether its page is written too.
    """
    inputs = {"samples": samples, "model": samples.inputs["model"], "zoo": samples.inputs["zoo"]}
    if scratch is not None:
        inputs["from_scratch"] = scratch

    def make(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
        given = audit_inputs(at, with_task=True)
        train, generated, heldout = given.train, given.generated, given.heldout
        others = given.from_scratch
        origins = {"train": (at["zoo"], train), "generated": (at["samples"], generated)}
        origins |= {} if heldout is None else {"heldout": (at["zoo"], heldout)}
        origins |= {} if others is None else {"from_scratch": (at["from_scratch"], others)}
        done = audited(
            given,
            {
                role: {**describe_input(path, population), "path": path.name}
                for role, (path, population) in origins.items()
            },
            command="novelweights reproduce",
            progress=tell,
            n_controls=controls,
        )
        done.write(folder, overwrite=True, page=page, progress=tell)

    settings = {"stage": "audit", "controls": controls} | ({} if page else {"page": False})
    return Node(name, settings, make, inputs, *cost)


def measured_node(
    name: str,
    measure: Measure,
    inputs: Mapping[str, Node],
    *,
    cost: Cost = (0.1, 0.1),
    **settings: Any,
) -> Node:
    """Further numbers; `measure` writes measured.json and whatever else into a folder.

    Args:
        settings: What `measure` was bound to: it decides the key with the function's name.
    """

    def make(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
        with new_folder(folder, kind=MEASURED, overwrite=True) as temporary:
            measure(temporary, at, tell)

    what = f"{measure.__module__.rpartition('.')[2]}.{measure.__name__}"
    return Node(name, {"stage": what, **settings}, make, inputs, *cost)


def populations(zoo: Path) -> tuple[Population, Population | None]:
    """Training and held-out checkpoints of a zoo's folder."""
    opened = open_checkpoints(zoo)
    return opened.of_split("train"), opened.of_split("heldout") if opened.n_heldout else None


def task_of(population: Population) -> Task:
    """What judges a zoo's checkpoints."""
    return make_task(str(population.info.task), population.shared)


def audit_inputs(at: Mapping[str, Path], *, with_task: bool = False) -> AuditInputs:
    """What an audit of samples is given: by the folders of zoo, model, samples and from_scratch.

    Args:
        with_task: Whether behavior is judged too.
    """
    train, heldout = populations(at["zoo"])
    codec: dict[str, Any] = {**reconstructed(load_fitted(at["model"])[0], train, heldout)}
    return AuditInputs(
        train=train,
        generated=read_checkpoints(at["samples"]),
        heldout=heldout,
        task=task_of(train) if with_task else None,
        symmetry=train.info.symmetry,
        from_scratch=read_checkpoints(at["from_scratch"]) if "from_scratch" in at else None,
        **codec,
    )


def changed(settings: Any, **changes: Any) -> Any:
    """Settings with others in them; a mapping changes those of a part."""
    whole = {
        name: replace(getattr(settings, name), **value)
        if isinstance(value, Mapping) and is_dataclass(getattr(settings, name))
        else value
        for name, value in changes.items()
    }
    return replace(settings, **whole)

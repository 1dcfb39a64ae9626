"""The changes of a generator that table 1 compares: how good and how near are their samples?

Source: paper, section 4.1.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from novelweights.auditing.prepare import Prepared, prepare
from novelweights.files import read_json, write_json
from novelweights.generators import make_generator, method_named
from novelweights.reproduce.comparing import distances_of
from novelweights.reproduce.nodes import Node, Tell
from novelweights.reproduce.settings import Setting
from novelweights.reproduce.stages import (
    MEASURED,
    audit_inputs,
    changed,
    measured_node,
    model_node,
    samples_node,
    task_of,
    zoo_node,
)
from novelweights.tasks.task import Task
from novelweights.zoos import find_zoo

DEFAULT = "default"


def variants_of(method: str, scale: str, of: Setting) -> dict[str, Node]:
    """The ratings of the default and of each variant of a method, by name."""
    of_zoo, of_model, of_samples, _ = of.costs
    recipe = changed(find_zoo(of.zoo), **of.recipe)
    zoo = zoo_node(f"{method}-zoo", recipe, cost=of_zoo, **of.counts)
    default = changed(make_generator(method, scale), **of.generator)
    settings = {DEFAULT: default}
    settings |= {name: one.of(default) for name, one in method_named(method).variants.items()}
    first = next(iter(method_named(method).samplers), None)
    found = {}
    for name, generator in settings.items():
        end = "" if name == DEFAULT else f"-{name}"
        sampler = "" if first is None else f"-{first}"
        model = model_node(f"{method}-model{end}", method, generator, zoo, cost=of_model)
        samples = samples_node(
            f"{method}-samples{sampler}{end}", model, of.samples, sampler=first, cost=of_samples
        )
        sampled = {"zoo": zoo, "model": model, "samples": samples}
        found[name] = measured_node(f"{method}-ratings{end}", ratings, sampled)
    return found


def ratings(folder: Path, at: Mapping[str, Path], tell: Tell) -> None:
    """Quality and distances of every checkpoint, see `ratings_of`."""
    given = prepare(audit_inputs(at))
    task, told = task_of(given.train), given.generated.info.provenance
    write_json(
        folder / MEASURED,
        {
            "parameters": None if told is None else told.parameters,
            "ratings": ratings_of(given, task, tell).to_dict("list"),
        },
    )


def ratings_of(given: Prepared, task: Task, tell: Tell) -> pd.DataFrame:
    """Quality of every checkpoint and its distances to the nearest training checkpoint.

    Where reconstructions stand in for training networks, distances are among reconstructions, and
    quality is that of the networks themselves, as in the paper.
    """
    whole = {
        "training": given.train if given.originals is None else given.originals,
        "generated": given.generated,
        "heldout": given.heldout if given.heldout_originals is None else given.heldout_originals,
    }
    rows = list[pd.DataFrame]()
    for kind, by_measure in distances_of(given, tell).items():
        if (population := whole[kind]) is not None:
            quality = task.score(task.behave(population)).double().numpy()
            rows.append(pd.DataFrame({"kind": kind, "quality": quality, **by_measure}))
    return pd.concat(rows, ignore_index=True)


def read_ratings(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What `ratings` left: a row for each checkpoint, and what holds of all."""
    found = dict(read_json(folder / MEASURED))
    return pd.DataFrame(found.pop("ratings")), found

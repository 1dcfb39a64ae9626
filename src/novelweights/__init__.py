"""novelweights: does your weight generator invent networks, or copy them?

`audit` compares generated checkpoints with training checkpoints; `evaluate` fits and samples a
generator first. Everything is imported when it is first used, so that this takes no time.
"""

import os
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

# Two OpenMP programs on one machine make each other wait at every barrier, hundreds of times a
# step; short spinning costs little when alone. It must be set before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

if TYPE_CHECKING:
    from novelweights.api import Audited, audit, evaluate, lint, load, plan
    from novelweights.auditing.judge.criteria import Verdict
    from novelweights.errors import InputError
    from novelweights.generators import Method
    from novelweights.generators.generator import FittedGenerator, WeightGenerator
    from novelweights.readers.source import Reader, Reading, Source
    from novelweights.tasks.task import Measure, Task
    from novelweights.weights.layout import WeightLayout
    from novelweights.weights.population import Population, PopulationInfo, Records
    from novelweights.weights.symmetry import NeuronSymmetry

    __version__: str

__all__ = [
    "Audited",
    "FittedGenerator",
    "InputError",
    "Measure",
    "Method",
    "NeuronSymmetry",
    "Population",
    "PopulationInfo",
    "Reader",
    "Reading",
    "Records",
    "Source",
    "Task",
    "Verdict",
    "WeightGenerator",
    "WeightLayout",
    "__version__",
    "audit",
    "evaluate",
    "lint",
    "load",
    "plan",
]

_PLACES = {  # where each name is defined
    "Audited": "api",
    "FittedGenerator": "generators.generator",
    "InputError": "errors",
    "Measure": "tasks.task",
    "Method": "generators",
    "NeuronSymmetry": "weights.symmetry",
    "Population": "weights.population",
    "PopulationInfo": "weights.population",
    "Reader": "readers.source",
    "Reading": "readers.source",
    "Records": "weights.population",
    "Source": "readers.source",
    "Task": "tasks.task",
    "Verdict": "auditing.judge.criteria",
    "WeightGenerator": "generators.generator",
    "WeightLayout": "weights.layout",
    "audit": "api",
    "evaluate": "api",
    "lint": "api",
    "load": "api",
    "plan": "api",
}


def __getattr__(name: str) -> Any:
    """A public name, imported now."""
    if name == "__version__":
        return metadata.version("novelweights")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names beside those that are imported already."""
    return sorted({*globals(), *__all__})

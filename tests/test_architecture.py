"""Who may import whom: the architecture as a table, checked by walking the import statements."""

import ast
from pathlib import Path

import novelweights

COMMON = {
    "errors",
    "seeding",
    "files",
    "plugins",
    "lanes",
}  # import nothing of ours but each other, open to all
MAY_IMPORT = {
    "weights": set(),
    "readers": {"weights"},
    "engine": set(),
    "data": {"readers"},  # the one interpreter of pickles
    "shapes": {"data"},
    "metrics": {"weights"},
    "networks": {"weights"},
    "tasks": {"weights", "readers", "metrics", "networks", "data", "shapes"},
    "zoos": {"weights", "networks", "tasks", "data", "shapes", "engine"},
    "generators": {"weights"},  # a generator never sees data, tasks or metrics
    "auditing": {
        "weights",
        "readers",
        "metrics",
        "tasks",
        "engine",
    },  # an audit never sees generators
    "report": {"auditing"},  # a report never sees weights
    "studies": {
        "weights",
        "readers",
        "metrics",
        "networks",
        "tasks",
        "data",
        "zoos",
        "generators",
        "auditing",
        "report",
    },
    "checkpoints": {"weights", "readers", "networks"},
    "inputs": {"weights", "readers", "networks", "tasks", "auditing", "checkpoints"},
    "api": {"weights", "readers", "generators", "auditing", "report", "checkpoints", "inputs"},
    "pipeline_folder": set(),
    "pipeline_summary": {
        "pipeline_folder",
        "generators",
        "report",
        "reproduce",  # what the paper prints stands beside our numbers
    },
    "pipeline": {
        "weights",
        "readers",
        "tasks",
        "zoos",
        "generators",
        "auditing",
        "report",
        "inputs",
        "api",
        "pipeline_folder",
        "pipeline_summary",
    },
    "reproduce": {
        "weights",
        "readers",
        "metrics",
        "networks",
        "tasks",
        "data",
        "zoos",
        "generators",
        "auditing",
        "report",
        "studies",
        "inputs",
        "api",
    },
    "cli": {
        "weights",
        "data",
        "networks",  # the command that derives a network's symmetry
        "tasks",
        "zoos",
        "generators",
        "readers",
        "shapes",
        "auditing",
        "report",
        "inputs",
        "api",
        "pipeline",
        "pipeline_folder",
        "pipeline_summary",
        "studies",
        "reproduce",
        "engine",
    },
    "__main__": {"cli"},
    "__init__": {"weights", "readers", "tasks", "generators", "auditing", "api"},
}
[SOURCE] = [Path(path) for path in novelweights.__path__]
EVERY = set(MAY_IMPORT) | COMMON


def parts_imported(text, module):
    """Our parts that a module imports; `module` is its dotted name, for relative imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: -node.level]
                base = ".".join([*above, base] if base else above)
            # from novelweights import x names a part; from novelweights.x import y only x
            names = [f"{base}.{alias.name}" for alias in node.names]
        found |= {
            name.split(".")[1]
            for name in names
            if name.startswith("novelweights.") and name.split(".")[1] in EVERY
        }
    return found


def violations(text, module):
    """Imports of a module that the table does not allow."""
    part = module.split(".")[1]
    imported = parts_imported(text, module) - {part}
    if part in COMMON:
        return imported - COMMON
    return imported - COMMON - MAY_IMPORT[part]


def modules():
    """Dotted name and path of every module; a package's `__init__` keeps that name."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield ".".join(["novelweights", *path.relative_to(SOURCE).with_suffix("").parts]), path


def test_every_module_imports_only_what_the_table_allows():
    wrong = {
        name: forbidden
        for name, path in modules()
        if (forbidden := violations(path.read_text(encoding="utf-8"), name))
    }
    assert wrong == {}


def test_every_part_is_in_the_table():
    parts = {name.split(".")[1] for name, _ in modules()}
    assert {"weights", "auditing", "generators", "errors"} <= parts
    assert parts <= EVERY


def test_every_refusal_has_a_code():
    """Packages of others may leave it out: it is then `wrong-content`."""
    bare = [
        f"{name}:{node.lineno}"
        for name, path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "InputError"
        and len(node.args) < 2
    ]
    assert bare == []


def test_the_table_has_no_cycle():
    order, waiting = [], {part: set(allowed) for part, allowed in MAY_IMPORT.items()}
    while waiting:
        ready = [part for part, allowed in waiting.items() if allowed <= set(order)]
        assert ready, f"cycle among {sorted(waiting)}"
        order += ready
        for part in ready:
            del waiting[part]


def test_the_checker_catches_every_form_of_import():
    module = "novelweights.metrics.neighbors"
    for text in (
        "import novelweights.auditing.stages",
        "import os, novelweights.auditing as a",
        "from novelweights.auditing import audit",
        "from novelweights.auditing.stages import Clock as C",
        "from novelweights import auditing",
        "from novelweights import errors, auditing",
        "from .. import auditing",
        "from ..auditing import audit",
        "from ..auditing.audit import Clock",
        "def f():\n    from novelweights.auditing.stages import audit",
        "if True:\n    import novelweights.auditing",
    ):
        assert violations(text, module) == {"auditing"}, text
    for text in (
        "import numpy",
        "from novelweights.errors import InputError",
        "from novelweights import files",
        "from novelweights.weights.layout import WeightLayout",
        "from novelweights.metrics import hull",
        "from . import hull",
        "from .hull import hull_weights",
        "from ..weights.layout import WeightLayout",
        "from novelweights_extra.audit import x",
        "text = 'import novelweights.auditing'",
    ):
        assert violations(text, module) == set(), text
    assert violations("from novelweights.weights.layout import x", "novelweights.files") == {
        "weights"
    }
    assert violations("from .weights import layout", "novelweights.files") == {"weights"}
    assert violations("from .store import x", "novelweights.generators.__init__") == set()

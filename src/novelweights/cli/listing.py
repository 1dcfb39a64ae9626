"""What `novelweights ls` lists."""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from novelweights.errors import InputError

if TYPE_CHECKING:
    from novelweights.plugins import Loaded, Plugin

Rows = list[tuple[str, str]]


def _rows(own: Mapping[str, Any], added: "Loaded", text: Callable[[Any], str]) -> Rows:
    """Ours, those of installed packages, and what is wrong with those that cannot be loaded."""
    every = {**own, **added.found}
    return [(name, text(one)) for name, one in every.items()] + list(added.faults.items())


def _zoos() -> Rows:
    from novelweights.zoos import ZOOS

    return [(name, zoo.description) for name, zoo in ZOOS.items()]


def _generators() -> Rows:
    from novelweights.generators import GENERATORS, added_methods

    return _rows(
        GENERATORS, added_methods(), lambda one: f"{one.summary}; scales: {', '.join(one.scales)}"
    )


def _tasks() -> Rows:
    from novelweights.tasks import FIELDS, TASKS, added_tasks

    told = {name: f"accuracy and error overlap on {name}" for name in TASKS}
    for name, setting in FIELDS.items():
        told[name] = (
            f"distances of surfaces to {setting.test_shapes} test shapes of {setting.shapes}"
        )
    return list(told.items()) + [(name, _first_line(one)) for name, one in added_tasks().items()]


def _networks() -> Rows:
    from novelweights.networks.registered import NETWORKS, added_networks, input_shape_of

    def text(network: Any) -> str:
        shape = input_shape_of(network)
        return f"inputs {'x'.join(map(str, shape))}" if shape else "give --input-shape"

    return _rows(NETWORKS, added_networks(), text)


def _readers() -> Rows:
    from novelweights import plugins
    from novelweights.readers import READERS
    from novelweights.readers.source import Reader

    added = plugins.load_all(plugins.READERS, Reader, builtin=READERS)
    return _rows(READERS, added, lambda reader: reader.summary)


def _first_line(task: "Plugin") -> str:
    """What a package's task is, by its docstring: making it may read much."""
    try:
        return (inspect.getdoc(task.found()) or "no description").splitlines()[0]
    except InputError as error:
        return str(error)


def _data() -> Rows:
    from novelweights.data.cut_paste import CUT_PASTE, STAMPS
    from novelweights.data.fetch import FETCHABLE
    from novelweights.data.images import DATA
    from novelweights.data.user_files import USER_SETS
    from novelweights.shapes.real_airplanes import SETS
    from novelweights.shapes.shape_sets import SHAPE_SETS, SHAPENET

    told = dict.fromkeys(DATA, "comes with a package")
    told |= dict.fromkeys(FETCHABLE, "needs `novelweights data fetch`")
    told |= dict.fromkeys(SHAPE_SETS, "shapes; drawn")
    for name, packages in SETS.items():
        told |= dict.fromkeys(packages, f"what {name} is made of, no set of its own")
        told[name] = "shapes; needs `novelweights data fetch`"
    own = "needs files of your own in the cache folder"
    told |= dict.fromkeys(USER_SETS, own)
    told[SHAPENET] = f"shapes; {own}"
    told[CUT_PASTE] = f"needs `novelweights data fetch {STAMPS}`"
    told[STAMPS] = f"what {CUT_PASTE} is made of, no set of its own"
    return list(told.items())


def _exhibits() -> Rows:
    from novelweights.reproduce.exhibits import EXHIBITS
    from novelweights.reproduce.reproducing import described

    return [(name, described(name)) for name in EXHIBITS]


LISTS: dict[str, Callable[[], Rows]] = {
    "zoos": _zoos,
    "generators": _generators,
    "tasks": _tasks,
    "networks": _networks,
    "readers": _readers,
    "data": _data,
    "exhibits": _exhibits,
}

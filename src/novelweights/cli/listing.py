"""What `novelweights ls` lists."""

from collections.abc import Callable

Rows = list[tuple[str, str]]


def _zoos() -> Rows:
    from novelweights.zoos import ZOOS

    return [(name, zoo.description) for name, zoo in ZOOS.items()]


def _generators() -> Rows:
    from novelweights.generators import GENERATORS

    return [
        (name, f"{method.summary}; scales: {', '.join(method.scales)}")
        for name, method in GENERATORS.items()
    ]


def _tasks() -> Rows:
    from novelweights.tasks import FIELDS, TASKS

    told = {name: f"accuracy and error overlap on {name}" for name in TASKS}
    for name, setting in FIELDS.items():
        told[name] = (
            f"distances of surfaces to {setting.test_shapes} test shapes of {setting.shapes}"
        )
    return list(told.items())


def _data() -> Rows:
    from novelweights.data.cut_paste import CUT_PASTE
    from novelweights.data.fetch import FETCHABLE, STAMPS_NAME
    from novelweights.data.images import DATA
    from novelweights.data.real_airplanes import SETS
    from novelweights.data.shape_sets import SHAPE_SETS, SHAPENET
    from novelweights.data.user_files import CIFAR_100, LOADERS

    told = dict.fromkeys(DATA, "comes with a package")
    told |= dict.fromkeys(FETCHABLE, "needs `novelweights data fetch`")
    told |= dict.fromkeys(SHAPE_SETS, "shapes; drawn")
    for name, packages in SETS.items():
        told |= dict.fromkeys(packages, f"what {name} is made of, no set of its own")
        told[name] = "shapes; needs `novelweights data fetch`"
    own = "needs files of your own in the cache folder"
    told |= dict.fromkeys([*LOADERS, CIFAR_100.name], own)
    told[SHAPENET] = f"shapes; {own}"
    told[CUT_PASTE] = f"needs `novelweights data fetch {STAMPS_NAME}`"
    told[STAMPS_NAME] = f"what {CUT_PASTE} is made of, no set of its own"
    return list(told.items())


LISTS: dict[str, Callable[[], Rows]] = {
    "zoos": _zoos,
    "generators": _generators,
    "tasks": _tasks,
    "data": _data,
}

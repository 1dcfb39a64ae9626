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
    from novelweights.tasks import TASKS

    return [(name, f"accuracy and error overlap on {name}") for name in TASKS]


def _data() -> Rows:
    from novelweights.data.cut_paste import CUT_PASTE
    from novelweights.data.fetch import FETCHABLE, STAMPS_NAME
    from novelweights.data.images import DATA
    from novelweights.data.user_files import CIFAR_100, LOADERS

    told = dict.fromkeys(DATA, "comes with a package")
    told |= dict.fromkeys(FETCHABLE, "needs `novelweights data fetch`")
    told |= dict.fromkeys([*LOADERS, CIFAR_100.name], "needs files of your own in the cache folder")
    told[CUT_PASTE] = f"needs `novelweights data fetch {STAMPS_NAME}`"
    told[STAMPS_NAME] = f"what {CUT_PASTE} is made of, no set of its own"
    return list(told.items())


LISTS: dict[str, Callable[[], Rows]] = {
    "zoos": _zoos,
    "generators": _generators,
    "tasks": _tasks,
    "data": _data,
}

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
    from novelweights.data.fetch import FETCHABLE
    from novelweights.data.images import DATA
    from novelweights.data.user_files import LOADERS

    told = dict.fromkeys(DATA, "comes with a package")
    told |= dict.fromkeys(FETCHABLE, "needs `novelweights data fetch`")
    told |= dict.fromkeys(LOADERS, "needs files of your own in the cache folder")
    return list(told.items())


LISTS: dict[str, Callable[[], Rows]] = {
    "zoos": _zoos,
    "generators": _generators,
    "tasks": _tasks,
    "data": _data,
}

"""What other packages add by Python entry points: generators, tasks, readers and networks.

An entry point names the thing itself, or a class or function that makes it without arguments.
Names are read from the packages' metadata; a package is imported only when a thing of it is asked
for or listed, so that a broken one breaks nothing else.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any, NamedTuple, TypeVar

from novelweights.errors import InputError

GENERATORS = "novelweights.generators"
"""Entry points that name a `generators.Method`."""
TASKS = "novelweights.tasks"
"""Entry points that make a `tasks.task.Task`."""
READERS = "novelweights.readers"
"""Entry points that make a `weights.readers.source.Reader`."""
NETWORKS = "novelweights.networks"
"""Entry points that make a `torch.nn.Module`, or something with `module()` and `input_shape`."""

T = TypeVar("T")


@dataclass(frozen=True)
class Plugin:
    """One thing that an installed package adds, not imported yet."""

    group: str
    name: str
    package: str
    point: metadata.EntryPoint = field(repr=False)
    refused: str = ""
    """Why it cannot be used, whatever it is."""

    def found(self) -> Any:
        """What the entry point names; imports the package.

        Raises:
            InputError: It cannot be imported, or its name is taken.
        """
        if self.refused:
            raise self._cannot(self.refused)
        try:
            return self.point.load()
        except (Exception, SystemExit) as error:  # whatever the package's code raises
            raise self._cannot(_told(error)) from error

    def made(self, *kinds: type[T], fault: Callable[[T], str] | None = None) -> T:
        """What the entry point names, or what that makes when it is called.

        Args:
            kinds: Classes or protocols; it must be of one.
            fault: What else is wrong with it, "" for nothing.

        Raises:
            InputError: It cannot be imported or made, is of another kind or has a fault; the
                package and the entry point are named.
        """
        loaded: Any = self.found()
        try:
            made = loaded if _is_of(loaded, kinds) else loaded()
            why = "" if _is_of(made, kinds) else _unlike(made, kinds)
            why = why or (fault(made) if fault is not None else "")
        except (Exception, SystemExit) as error:  # whatever the package's code raises
            raise self._cannot(_told(error)) from error
        if why:
            raise self._cannot(why)
        return made

    def _cannot(self, why: str) -> InputError:
        return InputError(
            f"{self.package}: its entry point {self.name} = {self.point.value} in {self.group} "
            f"cannot be loaded: {why}; repair or uninstall {self.package}",
            "wrong-plugin",
        )


class Loaded(NamedTuple):
    """What the packages of a group add, and what cannot be loaded."""

    found: dict[str, Any]
    faults: dict[str, str]
    """The reason of each that cannot, in a line that names package and entry point."""


def installed(group: str, builtin: Container[str] = ()) -> dict[str, Plugin]:
    """What installed packages add to a group, by name, read without importing them.

    Args:
        group: One of the four above.
        builtin: Names that are taken; who takes one nevertheless is listed as refused.
    """
    plugins: dict[str, Plugin] = {}
    for point in sorted(metadata.entry_points(group=group), key=lambda point: point.name):
        package = point.dist.name if point.dist is not None else "an unnamed package"
        plugin = Plugin(group, point.name, package, point)
        if point.name in builtin:
            plugin = replace(plugin, refused=f"{point.name} is a name of novelweights' own")
        elif point.name in plugins:
            other = plugins[point.name].package
            plugin = replace(plugin, refused=f"{other} and {package} both have one of that name")
        plugins[point.name] = plugin
    return plugins


def load_all(
    group: str,
    *kinds: type[T],
    builtin: Container[str] = (),
    fault: Callable[[T], str] | None = None,
) -> Loaded:
    """All that packages add to a group, imported; those that cannot be are told, not raised.

    Args:
        group: One of the four above.
        kinds: Classes or protocols; each must be of one.
        builtin: Names that are taken.
        fault: What else is wrong with one, "" for nothing.
    """
    loaded = Loaded({}, {})
    for name, plugin in installed(group, builtin).items():
        try:
            loaded.found[name] = plugin.made(*kinds, fault=fault)
        except InputError as error:
            loaded.faults[name] = str(error)
    return loaded


def _told(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, InputError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_of(thing: Any, kinds: tuple[type, ...]) -> bool:
    """Whether something is of one of these kinds; a class looks like an object of a protocol."""
    return isinstance(thing, kinds) and not isinstance(thing, type)


def _unlike(made: Any, kinds: Sequence[type]) -> str:
    """Why something is of none of these kinds; of a single protocol, what it lacks."""
    told = f"expected a {' or '.join(kind.__name__ for kind in kinds)}, got {type(made).__name__}"
    if len(kinds) > 1 or not getattr(kinds[0], "_is_protocol", False):
        return told
    members = [name for name in vars(kinds[0]) if not name.startswith("_")]
    return f"{told} without {', '.join(n for n in members if not hasattr(made, n))}"

"""Many meshes from files, one after another; what cannot be used is left out and told, by name."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from novelweights.data.mesh import Mesh
from novelweights.data.mesh_files import read_mesh
from novelweights.errors import InputError

Named = tuple[str, Mesh | InputError]
"""A shape's name with its mesh, or with why it is left out."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """Meshes by name, and what was left out."""

    meshes: Mapping[str, Mesh]
    """In the order of the set."""
    left_out: Mapping[str, str]
    """Why, by name."""

    def __str__(self) -> str:
        return f"{len(self.meshes)} shapes, {len(self.left_out)} left out"


def read_all(
    files: Mapping[str, Path], *, read: Callable[[Path], Mesh] = read_mesh
) -> Iterator[Named]:
    """Each shape of `files` by name; only one mesh is held at a time.

    A file that is missing, damaged, too large, empty or not finite comes out as its error.
    """
    for name, path in files.items():
        try:
            yield name, read(path)
        except InputError as error:
            yield name, error


def mended(shapes: Iterable[Named], *, by: Callable[[Mesh], Mesh]) -> Iterator[Named]:
    """Each mesh as `by` makes it (`watertight`, `placed`); those it refuses become errors."""
    for name, shape in shapes:
        if isinstance(shape, Mesh):
            try:
                shape = by(shape)
            except InputError as error:
                shape = InputError(f"{name}: {error}")
        yield name, shape


def gathered(shapes: Iterable[Named], *, source: str) -> Shapes:
    """All of them in memory.

    Args:
        shapes: What `read_all` or `mended` yields.
        source: What to call the set in a message.

    Raises:
        InputError: None can be used.
    """
    meshes: dict[str, Mesh] = {}
    left_out: dict[str, str] = {}
    for name, shape in shapes:
        if isinstance(shape, Mesh):
            meshes[name] = shape
        else:
            left_out[name] = str(shape)
    if not meshes:
        first = f", the first because: {next(iter(left_out.values()))}" if left_out else ""
        raise InputError(
            f"{source}: expected meshes that can be used, got {len(left_out)} that cannot{first}"
        )
    return Shapes(meshes, left_out)

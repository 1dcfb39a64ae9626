"""Sets of shapes from mesh files: which of them can be used; the others are told, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from novelweights.errors import InputError
from novelweights.shapes.mesh import Mesh, placed
from novelweights.shapes.repaired_meshes import MeshFile, mended_mesh, repair


@dataclass(frozen=True, eq=False)
class MeshSet:
    """Shapes that can be used, and what was left out; no mesh is held."""

    files: Mapping[str, MeshFile]
    """By the shape's name, in the order of the set."""
    faults: Sequence[frozenset[str]]
    """Of each of `files`, before it was mended."""
    left_out: Mapping[str, str]
    """Why, by name; without the folders that the files lie in."""

    def mesh(self, row: int) -> Mesh:
        """One of `files`, closed, placed in the cube as HyperDiffusion does it."""
        return placed(mended_mesh(list(self.files.values())[row]).mesh)


def usable(files: Mapping[str, MeshFile], n: int, *, source: str) -> MeshSet:
    """The first `n` shapes that can be used, or all of them if they are fewer.

    Each is read and mended, or known from the cache. One that is missing, damaged, too large,
    empty, flat or not finite, or that no repair closes, is left out and told.

    Args:
        files: By the shape's name.
        n: How many.
        source: What to call the set in a message.

    Raises:
        InputError: None is asked for, or more than there are, none can be used, or the extra
            `meshes` is not installed.
    """
    if not 1 <= n <= len(files):
        raise InputError(f"{source}: expected 1 to {len(files)} shapes, got {n}: ask for others")
    repair()  # if it lacks, that is no shape's fault
    used: dict[str, MeshFile] = {}
    faults: list[frozenset[str]] = []
    left_out: dict[str, str] = {}
    for name, file in files.items():
        if len(used) == n:
            break
        try:
            faults.append(mended_mesh(file).faults)
            used[name] = file
        except InputError as error:
            left_out[name] = str(error).replace(f"{file.path.parent}/", "")
    if not used:
        first = next(iter(left_out.values()))
        raise InputError(
            f"{source}: expected meshes that can be used, got {len(left_out)} that cannot, the "
            f"first because: {first}"
        )
    return MeshSet(used, faults, left_out)

"""Real airplanes as game models, from packages of Debian: few, open surfaces, a check on real data.

CRRCSim's model airplanes and gliders, GL-117's fighters and transports, FlightGear's airliners,
light airplanes and fighters. All are turned to one frame: nose +x, y the span, z up. Nothing is
repaired here, see `shapes/repaired_meshes.py`. The packages are under the GPL, hence fetched and
never part of this project.
"""

import hashlib
from pathlib import Path

import numpy as np

from novelweights.data.fetch import FETCHABLE, fetched_folder
from novelweights.errors import InputError
from novelweights.shapes.mesh import Mesh
from novelweights.shapes.mesh_files import read_mesh
from novelweights.shapes.repaired_meshes import MeshFile

CRRCSIM, GL_117, FLIGHTGEAR = "crrcsim-airplanes", "gl-117-airplanes", "flightgear-airplanes"
MAX_BYTES = 3_000_000
"""Larger models are left out: hundreds of thousands of faces of rivets and cockpits."""


def _turn(*axes: str) -> np.ndarray:
    """A rotation that takes the axes of a file along which nose, span (left wing) and up lie, - the
    other way, to x, y and z; points of the file, as rows, are multiplied by it from the right."""
    signs = [-1.0 if axis.startswith("-") else 1.0 for axis in axes]
    return np.eye(3)[:, ["xyz".index(axis[-1]) for axis in axes]] * signs


TURNS = {
    CRRCSIM: _turn("z", "x", "y"),
    GL_117: _turn("-x", "-y", "z"),
    FLIGHTGEAR: _turn("-x", "z", "y"),
}
SETS = {"real-airplanes": (CRRCSIM, GL_117), FLIGHTGEAR: (FLIGHTGEAR,)}
"""The packages of each set of shapes."""

VERSIONS = (
    ("gl-14", "gl-14b", "gl-14c"),
    ("gl-21", "gl-21b"),
    ("717", "md-80", "md-90"),
    ("733", "735", "736", "737-800", "73J", "73P"),
    ("757-200", "757-300"),
    ("77L", "77W"),
    ("788", "789"),
    ("A300", "A310"),
    ("A319", "A320", "A321"),
    ("A330-MRTT", "A332", "A333", "A342", "A343", "A345", "A346"),
    ("AT4", "AT7"),
    ("BAE146-300", "bae146-200"),
    ("CR2", "CR7", "CR9", "chal604"),
    ("E90", "E95", "ERJ170", "ERJ175"),
    ("ERJ-145", "legacy"),
    ("b1900d", "beech-200", "beech99"),
    ("c172p", "c177", "c182", "c182rg"),
    ("c310-dpm", "c310u3a"),
    ("DH3", "DH4"),
    ("SF3", "Saab-2000"),
    ("fokker100", "fokker70"),
)
"""Airplanes of one type or derived from it, which are all in one part. Each alone otherwise."""


def packages_of(name: str) -> tuple[str, ...]:
    """What has to be fetched for a set of `SETS`; another name stands for itself."""
    return SETS.get(name, (name,))


def airplanes_of(name: str) -> dict[str, dict[str, MeshFile]]:
    """The files of a set by part (train, validation, test) and name.

    A fifth of them or a few more is for validation and as many for test, by the order of the
    SHA-256 of names; all `VERSIONS` of an airplane are in one part. Source: ours.

    Raises:
        InputError: The set is not fetched yet.
    """
    files: dict[str, MeshFile] = {}
    try:
        for package in SETS[name]:
            files |= package_files(package, fetched_folder(package, needed_by=name))
    except InputError as error:
        raise InputError(
            f"{name}: expected the files of {' and '.join(SETS[name])}, not all are there; run "
            f"`novelweights data fetch {name}`",
            "no-data",
        ) from error
    families = [family for some in VERSIONS if (family := [name for name in some if name in files])]
    alone = sorted(files.keys() - {name for family in families for name in family})
    families += [[name] for name in alone]
    families.sort(key=lambda family: hashlib.sha256(family[0].encode()).digest())
    parts: dict[str, dict[str, MeshFile]] = {"train": {}, "validation": {}, "test": {}}
    for family in families:
        wanting = [part for part in ("test", "validation") if len(parts[part]) < len(files) // 5]
        part = [*wanting, "train"][0]
        parts[part] |= {shape: files[shape] for shape in family}
    return parts


def package_files(package: str, folder: Path) -> dict[str, MeshFile]:
    """The files of one of `TURNS` in a folder, by name; read, they are turned."""

    def read(path: Path) -> Mesh:
        # the packages' checksums are pinned, so a file that lacks objects was published so
        mesh = read_mesh(path, max_bytes=MAX_BYTES, lacking_objects=True)
        return Mesh(mesh.vertices @ TURNS[package], mesh.faces)

    return {
        Path(file).stem: MeshFile(folder / file, read, read_as=package)
        for file in FETCHABLE[package].sha256
    }

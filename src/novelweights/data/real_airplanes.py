"""Real airplanes as game models, from packages of Debian: few, open surfaces, a check on real data.

CRRCSim's model airplanes and gliders, GL-117's fighters and transports, FlightGear's airliners,
light airplanes and fighters. All are turned to one frame: nose +x, y the span, z up. Nothing is
mended, see `data/watertight.py`. The packages are under the GPL, hence fetched and never part of
this project.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from novelweights.data.airplane_packages import AIRPLANE_PACKAGES, CRRCSIM, FLIGHTGEAR, GL_117
from novelweights.data.fetch import fetched_folder
from novelweights.data.mesh import Mesh
from novelweights.data.mesh_files import read_mesh
from novelweights.data.mesh_sets import Shapes, gathered, read_all
from novelweights.errors import unknown_name

MAX_BYTES = 3_000_000
"""Larger models are left out: hundreds of thousands of faces of rivets and cockpits."""


@dataclass(frozen=True)
class _Frame:
    """The axes of the file along which nose, span (left wing) and up lie; - the other way."""

    nose: str
    span: str
    up: str

    @property
    def turn(self) -> np.ndarray:
        """A rotation; points of the file, as rows, are multiplied by it from the right."""
        columns = [
            (-1.0 if axis.startswith("-") else 1.0) * np.eye(3)["xyz".index(axis[-1])]
            for axis in (self.nose, self.span, self.up)
        ]
        return np.stack(columns, axis=1)


FRAMES = {
    CRRCSIM: _Frame("z", "x", "y"),
    GL_117: _Frame("-x", "-y", "z"),
    FLIGHTGEAR: _Frame("-x", "z", "y"),
}


def load_airplanes(name: str) -> Shapes:
    """The airplanes of one package by name, in the units of their files.

    Args:
        name: A key of `AIRPLANE_PACKAGES`.

    Raises:
        InputError: Unknown name, not fetched yet, or no model can be read.
    """
    if name not in FRAMES:
        raise unknown_name("set of airplanes", name, FRAMES)
    folder = fetched_folder(name, needed_by=name)
    files = {Path(file).stem: folder / file for file in AIRPLANE_PACKAGES[name].sha256}
    turn = FRAMES[name].turn

    def read(path: Path) -> Mesh:
        # the packages' checksums are pinned, so a file that lacks objects was published so
        mesh = read_mesh(path, max_bytes=MAX_BYTES, lacking_objects=True)
        return Mesh(mesh.vertices @ turn, mesh.faces)

    return gathered(read_all(files, read=read), source=name)

import pytest
from hostile_meshes import CUBE, ac3d, obj, off

from novelweights.data.mesh import placed
from novelweights.data.mesh_sets import gathered, mended, read_all
from novelweights.errors import InputError


def test_what_cannot_be_used_is_left_out_and_told(tmp_path):
    (tmp_path / "cube.obj").write_bytes(obj())
    (tmp_path / "cut.ac").write_bytes(ac3d()[:200])
    (tmp_path / "other.off").write_bytes(off())
    files = {name: tmp_path / name for name in ("cube.obj", "cut.ac", "none.obj", "other.off")}
    shapes = gathered(read_all(files), source="shapes")
    assert list(shapes.meshes) == ["cube.obj", "other.off"]
    assert list(shapes.left_out) == ["cut.ac", "none.obj"]
    assert "damaged AC3D" in shapes.left_out["cut.ac"]
    assert str(shapes) == "2 shapes, 2 left out"


def test_a_repair_that_refuses_leaves_the_shape_out():
    def refuse(mesh):
        raise InputError("no")

    shapes = [("cube", CUBE), ("gone", InputError("gone"))]
    [(_, cube), (_, gone)] = mended(shapes, by=placed)
    assert abs(cube.vertices).max() == pytest.approx(0.475)
    assert gone is shapes[1][1]
    with pytest.raises(InputError, match=r"^set: expected meshes .* got 2 .* because: cube: no$"):
        gathered(mended(shapes, by=refuse), source="set")

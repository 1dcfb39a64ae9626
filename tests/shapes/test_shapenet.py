import numpy as np
import pytest
from hostile_meshes import obj

from novelweights.errors import InputError
from novelweights.shapes.shapenet import CATEGORY, LISTS, mesh_files, read_cloud, read_split

IDS = [f"{i:032x}" for i in range(10)]
PARTS = {"train": IDS[:6], "validation": IDS[6:7], "test": IDS[7:]}
SIZES = {"train": 4, "validation": 1, "test": 3}


@pytest.fixture
def lists(tmp_path):
    """The lists where HyperDiffusion's repository has them, two shapes problematic."""
    (tmp_path / CATEGORY).mkdir()
    for part, file in LISTS.items():
        (tmp_path / CATEGORY / file).write_text("".join(f"{shape}.obj\n" for shape in PARTS[part]))
    (tmp_path / "plane_problematic_shapes.txt").write_text(f"{IDS[1]}\n{IDS[4]}")
    return tmp_path


def test_split_keeps_the_order_and_leaves_out_the_problematic(lists):
    expected = {
        "train": (IDS[0], IDS[2], IDS[3], IDS[5]),
        "validation": (IDS[6],),
        "test": tuple(IDS[7:]),
    }
    assert read_split(lists, sizes=SIZES) == expected
    assert read_split(lists / CATEGORY, sizes=None) == expected


def test_published_sizes_are_expected_unless_others_are_given(lists):
    with pytest.raises(
        InputError, match=r"4 shapes to use in train, expected 2749; 1 shapes .*202"
    ):
        read_split(lists)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train_split.lst", f"{IDS[0]}.obj\n{IDS[0]}.obj\n", "is in train and again in train"),
        ("test_split.lst", f"{IDS[0]}.obj\n", "is in train and again in test"),
        ("val_split.lst", "", "expected ids, got none"),
        ("val_split.lst", "../../etc/passwd\n", "expected one id a line, got '../../etc/passwd'"),
        ("val_split.lst", "<html>\n", "expected one id a line"),
        ("val_split.lst", None, "expected val_split.lst there"),
    ],
)
def test_wrong_lists_are_refused(file, content, message, lists):
    path = lists / CATEGORY / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_split(lists, sizes=None)


@pytest.mark.parametrize(
    "form",
    [
        "02691156/{}/models/model_normalized.obj",
        "{}/models/model_normalized.obj",
        "02691156/{}.obj",
        "{}.obj",
    ],
)
def test_meshes_are_found_in_each_form_and_missing_ones_keep_their_place(form, tmp_path):
    for shape in IDS[:2]:
        path = tmp_path / form.format(shape)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(obj())
    files = mesh_files(tmp_path, IDS[:4])
    assert list(files) == IDS[:4]
    assert [path.is_file() for path in files.values()] == [True, True, False, False]
    assert files[IDS[1]] == tmp_path / form.format(IDS[1])
    assert files[IDS[2]] == tmp_path / CATEGORY / IDS[2] / "models" / "model_normalized.obj"


def test_a_folder_without_any_mesh_is_refused(tmp_path):
    with pytest.raises(InputError, match="found none of 10"):
        mesh_files(tmp_path, IDS)


def test_released_clouds_are_read_and_damaged_ones_refused(tmp_path):
    points = np.arange(20, dtype=np.float64).reshape(5, 4)
    np.save(tmp_path / "a.obj.npy", points)
    cloud = read_cloud(tmp_path, "a")
    assert cloud.dtype == np.float32
    assert np.array_equal(cloud, points[:, :3])
    np.save(tmp_path / "two.obj.npy", points[:, :2])
    np.save(tmp_path / "nan.obj.npy", points * np.nan)
    np.save(tmp_path / "objects.obj.npy", np.array([None]), allow_pickle=True)
    (tmp_path / "text.obj.npy").write_bytes(b"hello")
    for shape in ("two", "nan", "objects", "text", "none"):
        with pytest.raises(InputError, match=f"{shape}.obj.npy: expected"):
            read_cloud(tmp_path, shape)

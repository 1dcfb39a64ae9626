import pytest
from hostile_meshes import obj
from refused import refused

from novelweights.shapes.shapenet import CATEGORY, LISTS, mesh_files, read_split

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
    with refused("wrong-content", lists, 2749, 202, 606):
        read_split(lists)


@pytest.mark.parametrize(
    ("file", "content", "code", "named"),
    [
        ("train_split.lst", f"{IDS[0]}.obj\n{IDS[0]}.obj\n", "wrong-content", IDS[0]),
        ("test_split.lst", f"{IDS[0]}.obj\n", "wrong-content", IDS[0]),
        ("val_split.lst", "", "too-few", "val_split.lst"),
        ("val_split.lst", "../../etc/passwd\n", "wrong-content", "../../etc/passwd"),
        ("val_split.lst", "<html>\n", "wrong-content", "<html>"),
        ("val_split.lst", None, "no-data", "val_split.lst"),
    ],
)
def test_wrong_lists_are_refused(file, content, code, named, lists):
    path = lists / CATEGORY / file
    path.unlink() if content is None else path.write_text(content)
    with refused(code, named):
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
    with refused("no-data", IDS[0], 10):
        mesh_files(tmp_path, IDS)

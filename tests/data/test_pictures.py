import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refused import refused
from true_formats import some_images

from novelweights.data import pictures
from novelweights.data.pictures import read_pictures
from novelweights.data.user_files import CIFAR_10_JPEG, load_user_set

IMAGES = some_images(6, 8)
TINY = replace(CIFAR_10_JPEG, n_train=4, n_test=2, n_used=3, classes=2)


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind)
    return out.getvalue()


def put(folder: Path, *, kind: str = "PNG") -> Path:
    """Four training and two test pictures of two classes."""
    names = ["train/cat/1", "train/cat/0", "train/ant/0", "train/ant/1", "test/cat/0", "test/ant/0"]
    for name, image in zip(names, IMAGES, strict=True):
        path = folder / f"{name}.{kind.lower()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(image, kind))
    (folder / "README.md").write_text("no picture")
    return folder


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder))
    return path


def test_classes_and_pictures_stand_in_the_order_of_their_names(tmp_path):
    read = read_pictures(put(tmp_path / "set"))
    (train, train_y), (test, test_y) = read.parts
    assert read.classes == ("ant", "cat")
    assert train_y.tolist() == [0, 0, 1, 1]
    assert test_y.tolist() == [0, 1]
    assert np.array_equal(train, IMAGES[[2, 3, 1, 0]])
    assert np.array_equal(test, IMAGES[[5, 4]])


def test_a_folder_and_a_zip_of_it_are_the_same_data_set(tmp_path):
    folder = put(tmp_path / "set", kind="JPEG")
    one, two = read_pictures(folder), read_pictures(zipped(folder, tmp_path / "set.zip"))
    assert one.sha256 == two.sha256
    assert np.array_equal(one.parts[0][0], two.parts[0][0])
    assert one.parts[0][0].std() > 0
    assert not np.array_equal(one.parts[0][0], IMAGES[[2, 3, 1, 0]])  # lossy
    (folder / "test/ant/0.jpeg").write_bytes(encoded(IMAGES[0], "JPEG"))
    assert read_pictures(folder).sha256 != one.sha256


def test_gray_pictures_become_red_green_blue(tmp_path):
    folder = put(tmp_path / "set")
    (folder / "train/ant/0.png").write_bytes(encoded(IMAGES[2, :, :, 0]))
    first = read_pictures(folder).parts[0][0][0]
    assert np.array_equal(first, np.repeat(IMAGES[2, :, :, :1], 3, axis=2))


@pytest.mark.parametrize("as_zip", [False, True])
def test_the_jpeg_copy_of_cifar_10_lies_in_the_cache_or_a_folder_of_data(
    cache, tmp_path, monkeypatch, as_zip
):
    with refused("no-data", "cifar-10-jpeg", "--data-dir"):
        load_user_set(TINY)
    folder = put(tmp_path / "own" / "cifar-10-jpeg")
    if as_zip:
        zipped(folder, cache / "cifar-10-jpeg.zip")
    else:
        monkeypatch.setenv("NOVELWEIGHTS_DATA", str(tmp_path / "own"))
    data = load_user_set(TINY)
    assert data.name == "cifar-10-jpeg"
    assert "CIFAR-10 (JPEG copy)" in data.source
    assert data.train.shape == (3, 28, 28, 3)
    assert data.test_y.tolist() == [0, 1]
    with refused("other-rows", "50000", 4):
        load_user_set(replace(TINY, n_train=50_000))
    with refused("wrong-content", "10 classes", "ant, cat"):
        load_user_set(replace(TINY, classes=10))


def broken(folder: Path, what: str) -> None:
    if what == "damaged":
        (folder / "train/ant/0.png").write_bytes(encoded(IMAGES[2])[:60])
    elif what == "no picture":
        (folder / "train/ant/0.png").write_bytes(b"text")
    elif what == "other size":
        (folder / "train/cat/0.png").write_bytes(encoded(some_images(1, 9)[0]))
    elif what == "no test":
        for file in folder.glob("test/*/*"):
            file.unlink()
    elif what == "other classes":
        (folder / "test/ant").rename(folder / "test/bee")


@pytest.mark.parametrize(
    ("what", "code", "named"),
    [
        ("damaged", "damaged", "train/ant/0.png"),
        ("no picture", "damaged", "train/ant/0.png"),
        ("other size", "wrong-shape", "9x9"),
        ("no test", "not-found", "test/CLASS"),
        ("other classes", "wrong-content", "ant, bee"),
    ],
)
@pytest.mark.parametrize("as_zip", [False, True])
def test_what_is_wrong_is_named(tmp_path, what, code, named, as_zip):
    path = put(tmp_path / "set")
    broken(path, what)
    with refused(code, named):
        read_pictures(zipped(path, tmp_path / "set.zip") if as_zip else path)


def test_what_is_no_zip_is_not_there_or_does_not_fit_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "set.zip"
    with refused("not-found", "set.zip"):
        read_pictures(path)
    zipped(put(tmp_path / "set"), path)
    whole = path.read_bytes()
    for content in (b"no zip", whole[:-200]):
        path.write_bytes(content)
        with refused("damaged", "set.zip"):
            read_pictures(path)
    monkeypatch.setattr(pictures, "MAX_BYTES", 6 * 8 * 8 * 3 - 1)
    with refused("too-large", "6 pictures of 8x8"):
        read_pictures(tmp_path / "set")

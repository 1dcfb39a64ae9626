from importlib import metadata
from pathlib import Path

import numpy as np
from PIL import Image
from refused import refused

from novelweights.data import installed
from novelweights.data.installed import (
    PHOTOS,
    Photo,
    package_file,
    read_photo,
)


def test_every_photo_is_in_its_package_as_pinned_and_colored():
    shapes = {name: read_photo(name).shape for name in PHOTOS}
    assert len(shapes) == 10
    assert all(shape[2] == 3 and min(shape[:2]) >= 300 for shape in shapes.values())
    for name, photo in PHOTOS.items():
        listed = [str(file) for file in metadata.files(photo.package) or []]
        assert photo.file in listed, name


def test_what_is_missing_or_other_is_named(tmp_path, monkeypatch):
    with refused("not-installed", "pip install no-such-package"):
        package_file("no-such-package", "x.png")
    with refused("not-installed", "none.jpg", "scikit-learn"):
        package_file("scikit-learn", "sklearn/none.jpg")
    other = Photo("scikit-learn", PHOTOS["china.jpg"].file, "0" * 64)
    monkeypatch.setitem(PHOTOS, "china.jpg", other)
    with refused("damaged", "china.jpg", "000000000000", "8378"):
        read_photo("china.jpg")


def test_photo_is_read_from_the_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "photo.png"
    Image.fromarray(np.full((2, 3), 7, np.uint8)).save(path)
    monkeypatch.setattr(installed, "package_file", lambda package, file: Path(path))
    monkeypatch.setitem(PHOTOS, "photo.png", Photo("none", "photo.png", installed.sha256_of(path)))
    assert read_photo("photo.png").tolist() == [[[7, 7, 7]] * 3] * 2

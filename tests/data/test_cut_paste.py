import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from refused import refused

from novelweights.data import cut_paste
from novelweights.data.cache import cache_dir
from novelweights.data.cut_paste import (
    CUT_PASTE,
    MADE_SHA256,
    STAMPS,
    load_cut_paste_100,
    on_backgrounds,
    read_stamps,
)
from novelweights.data.fetch import FETCHABLE
from novelweights.data.pasting import reduced
from novelweights.data.substitutes import made_digest

needs_stamps = pytest.mark.skipif(
    not all((cache_dir() / STAMPS / file).is_file() for file in FETCHABLE[STAMPS].sha256),
    reason=f"`novelweights data fetch {STAMPS}` was not run",
)
FEW = {"train": 4, "test": 1}
COLORS = np.random.default_rng(0).integers(0, 256, (100, 3))


def squares(n=100):
    """A cut-out of one color for each class."""
    opaque = np.full((8, 8, 1), 255, np.uint8)
    plain = [np.broadcast_to(color, (8, 8, 3)).astype(np.uint8) for color in COLORS[:n]]
    return reduced([np.concatenate([square, opaque], axis=2) for square in plain])


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """Squares in place of the cut-outs, few of each class, one photo, and the cache elsewhere."""
    reads = []

    def stamps():
        reads.append(1)
        return squares()

    photo = np.random.default_rng(1).integers(0, 256, (64, 512, 3)).astype(np.uint8)
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path))
    monkeypatch.setattr(cut_paste, "read_stamps", stamps)
    monkeypatch.setattr(cut_paste, "PHOTOS", {"one": None})
    monkeypatch.setattr(cut_paste, "read_photo", lambda name: photo)
    monkeypatch.setattr(cut_paste, "patches_origin", lambda: "made of squares")
    monkeypatch.setattr(cut_paste, "PER_CLASS", FEW)
    labels = {part: np.repeat(np.arange(100), n) for part, n in FEW.items()}
    made = {part: on_backgrounds(squares(), [photo], of, part) for part, of in labels.items()}
    digest = made_digest({part: (made[part], labels[part]) for part in made})
    monkeypatch.setattr(cut_paste, "MADE_SHA256", digest)
    return reads


def test_a_class_is_a_cut_out(planted):
    data = load_cut_paste_100()
    assert data.train.shape == (400, 32, 32, 3)
    assert data.test.shape == (100, 32, 32, 3)
    assert data.train_y.tolist() == np.repeat(np.arange(100), 4).tolist()
    assert (data.name, data.classes) == (CUT_PASTE, 100)
    brightness = data.test[:, 12:20, 12:20].mean((1, 2)) / np.maximum(COLORS, 1)
    dark = (COLORS > 20) & (COLORS < 200)  # neither clipped nor rounded away
    assert (brightness[dark] > 0.66).all()
    assert (brightness[dark] < 1.25).all()
    assert data.mean == pytest.approx(data.train.mean((0, 1, 2)) / 255)
    assert data.std == pytest.approx(data.train.std((0, 1, 2)) / 255)


def test_pixels_are_made_once_and_kept(planted, tmp_path):
    first = load_cut_paste_100()
    again = load_cut_paste_100()
    assert planted == [1]
    assert np.array_equal(first.train, again.train)
    assert np.array_equal(first.test, again.test)
    assert again.sha256 == first.sha256


def test_other_bytes_than_everywhere_are_refused_and_not_kept(planted, tmp_path, monkeypatch):
    monkeypatch.setattr(cut_paste, "MADE_SHA256", MADE_SHA256)
    with refused("wrong-version", "a00ecad79bd5"):
        load_cut_paste_100()
    assert not list(tmp_path.iterdir())


def test_backgrounds_of_both_parts_share_no_column():
    photo = np.zeros((40, 512, 3), np.uint8)
    photo[..., 0] = np.arange(512) // 4
    thread = reduced([np.full((1, 64, 4), 255, np.uint8)])  # never reaches the first row
    columns = {}
    for part in ("train", "test"):
        images = on_backgrounds(thread, [photo], np.zeros(300, np.int64), part)
        columns[part] = set(np.unique(images[:, 0, :, 0]).tolist())
    assert not columns["train"] & columns["test"]
    assert columns["train"] | columns["test"] == set(range(128))


def test_stamps_are_a_hundred_pinned_files():
    pinned = FETCHABLE[STAMPS].sha256
    assert len(pinned) == len(set(pinned.values())) == 100
    assert list(pinned) == sorted(pinned)


@pytest.fixture
def two_stamps(tmp_path, monkeypatch):
    """A folder of two PNG files, pinned, the second of a palette with transparency."""
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path))
    folder = tmp_path / STAMPS / "food"
    folder.mkdir(parents=True)
    pixels = np.zeros((8, 16, 4), np.uint8)
    pixels[:, 4:12] = 250, 100, 50, 255
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(pixels).quantize(4).save(folder / "b.png")
    pins = {
        f"food/{name}.png": hashlib.sha256((folder / f"{name}.png").read_bytes()).hexdigest()
        for name in "ab"
    }
    monkeypatch.setitem(FETCHABLE, STAMPS, replace(FETCHABLE[STAMPS], sha256=pins))
    return folder


def test_cut_outs_are_read_with_their_transparency(two_stamps):
    stamps = read_stamps()
    assert stamps.sides.tolist() == [[64, 64], [64, 64]]
    for pixels in stamps.pixels:
        assert (pixels == np.array([250, 100, 50, 255]) * 255).all()


def test_damaged_and_missing_cut_outs_say_what_to_do(two_stamps):
    content = (two_stamps / "b.png").read_bytes()
    (two_stamps / "b.png").write_bytes(content[:-1])
    with refused("damaged", "b.png", "novelweights data fetch tuxpaint-stamps"):
        read_stamps()
    (two_stamps / "b.png").unlink()
    with refused("no-data", "cut-paste-100", "food/b.png"):
        read_stamps()


@needs_stamps
def test_the_real_cut_outs_fill_their_frames():
    stamps = read_stamps()
    assert stamps.sides.shape == (100, 2)
    assert (stamps.sides.max(1) == 64).all()
    assert (stamps.sides.min(1) >= 15).all()


@pytest.mark.slow
@needs_stamps
def test_the_set_is_the_same_bytes_everywhere(tmp_path, monkeypatch):
    stamps = read_stamps()
    monkeypatch.setenv("NOVELWEIGHTS_CACHE", str(tmp_path))
    monkeypatch.setattr(cut_paste, "read_stamps", lambda: stamps)
    data = load_cut_paste_100()
    assert np.bincount(data.train_y).tolist() == [400] * 100
    assert np.bincount(data.test_y).tolist() == [40] * 100
    labels = {"train": data.train_y, "test": data.test_y}
    made = {"train": data.train, "test": data.test}
    assert made_digest({part: (made[part], labels[part]) for part in made}) == MADE_SHA256

import gzip

import numpy as np
import pytest
from packed import idx_bytes
from refused import refused

from novelweights.data.idx import read_idx

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_array_comes_back(tmp_path, pack):
    path = tmp_path / "images"
    path.write_bytes(pack(idx_bytes(IMAGES)))
    assert np.array_equal(read_idx(path, n_dims=3), IMAGES)


@pytest.mark.parametrize(
    ("content", "code", "named"),
    [
        (b"", "damaged", ""),
        (b"\x01\0\x08\x01", "damaged", "01 00 08 01"),
        (idx_bytes(IMAGES).replace(b"\x08", b"\x0d", 1), "wrong-type", "0x0d"),
        (idx_bytes(IMAGES.ravel()), "wrong-shape", 1),
        (b"\0\0\x08\x00", "wrong-shape", 0),
        (idx_bytes(IMAGES)[:10], "damaged", ""),
        (idx_bytes(IMAGES)[:-1], "damaged", 39),
        (idx_bytes(IMAGES) + b"\0", "damaged", 41),
    ],
)
def test_other_content_is_refused_with_its_file(tmp_path, content, code, named):
    (tmp_path / "images").write_bytes(content)
    with refused(code, tmp_path / "images", named):
        read_idx(tmp_path / "images", n_dims=3)


def test_missing_and_cut_gzip_files_are_refused(tmp_path):
    with refused("not-found", tmp_path / "none"):
        read_idx(tmp_path / "none")
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(idx_bytes(IMAGES))[:-12])
    with refused("damaged", path):
        read_idx(path)

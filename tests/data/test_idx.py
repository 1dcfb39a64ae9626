import gzip

import numpy as np
import pytest
from packed import idx_bytes

from novelweights.data.idx import parse_idx, read_idx
from novelweights.errors import InputError

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_array_comes_back(tmp_path, pack):
    path = tmp_path / "images"
    path.write_bytes(pack(idx_bytes(IMAGES)))
    assert np.array_equal(read_idx(path, n_dims=3), IMAGES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "two zero bytes"),
        (b"\x01\0\x08\x01", "two zero bytes"),
        (idx_bytes(IMAGES).replace(b"\x08", b"\x0d", 1), "0x0d"),
        (idx_bytes(IMAGES.ravel()), "expected 3 axes, got 1"),
        (b"\0\0\x08\x00", "axes, got 0"),
        (idx_bytes(IMAGES)[:10], "truncated inside its header"),
        (idx_bytes(IMAGES)[:-1], "2x3x4, so expected 40 bytes, got 39"),
        (idx_bytes(IMAGES) + b"\0", "got 41"),
    ],
)
def test_other_content_is_refused_with_the_reason(content, message):
    with pytest.raises(InputError, match=message):
        parse_idx(content, "images", n_dims=3)


def test_missing_and_cut_gzip_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="nothing of that name"):
        read_idx(tmp_path / "none")
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(idx_bytes(IMAGES))[:-12])
    with pytest.raises(InputError, match="fetch it again"):
        read_idx(path)

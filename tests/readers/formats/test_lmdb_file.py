import struct
from pathlib import Path

import lmdb
import numpy as np
import pytest
from refused import refused

from novelweights.errors import InputError
from novelweights.readers.formats.lmdb_file import HEADER, LmdbFile

PAGE = 4096
META_ROOT, META_TRANSACTION = HEADER + 24 + 48 + 40, HEADER + 24 + 96 + 8


def write(folder: Path, entries: dict[bytes, bytes], *, at_once: int = 1000) -> Path:
    """A true environment, written in transactions of `at_once` entries."""
    environment = lmdb.open(str(folder), map_size=1 << 26)
    items = list(entries.items())
    for start in range(0, len(items) or 1, at_once):
        with environment.begin(write=True) as transaction:
            for key, value in items[start : start + at_once]:
                transaction.put(key, value)
    environment.close()
    return folder


def many(n: int, size: int) -> dict[bytes, bytes]:
    rng = np.random.default_rng(n)
    keys = [f"{i % 7}/ep{i // 10:03d}_it{i:05d}.pt".encode() for i in range(n)]
    return {key: rng.bytes(size) for key in keys}


def read_all(folder: Path, keys: list[bytes]) -> list[bytes | None]:
    with LmdbFile(folder) as database:
        return [database.get(key) for key in keys]


@pytest.mark.parametrize("size", [0, 3, 900, 2035, 2100, 4080, 4081, 31840])
def test_every_value_is_read_as_the_library_wrote_it(tmp_path: Path, size: int) -> None:
    entries = many(300, size)
    write(tmp_path / "e", entries)
    assert read_all(tmp_path / "e", list(entries)) == list(entries.values())


def test_a_deep_tree_is_read_to_its_last_key(tmp_path: Path) -> None:
    entries = {b"%0200d" % i: b"%d" % i for i in range(9000)}
    write(tmp_path / "e", entries)
    environment = lmdb.open(str(tmp_path / "e"), readonly=True, lock=False)
    depth = environment.stat()["depth"]
    environment.close()
    assert depth >= 4
    keys = [*list(entries)[::37], b"%0200d" % 8999]
    assert read_all(tmp_path / "e", keys) == [entries[key] for key in keys]


def test_the_newest_transaction_counts(tmp_path: Path) -> None:
    write(tmp_path / "e", many(20, 5000), at_once=3)
    write(tmp_path / "e", {b"0/ep000_it00000.pt": b"newer"})
    assert read_all(tmp_path / "e", [b"0/ep000_it00000.pt"]) == [b"newer"]


@pytest.mark.parametrize("n", [0, 1, 500])
def test_a_key_that_is_not_there_has_no_value(tmp_path: Path, n: int) -> None:
    write(tmp_path / "e", many(n, 40))
    absent = [b"", b"!", b"3/ep001_it00010.pu", b"zzz", b"k" * 600]
    assert read_all(tmp_path / "e", absent) == [None] * len(absent)


def test_nothing_is_written_beside_the_file(tmp_path: Path) -> None:
    folder = write(tmp_path / "e", many(5, 40))
    (folder / "lock.mdb").unlink()
    read_all(folder, [b"a"])
    assert [path.name for path in folder.iterdir()] == ["data.mdb"]


def changed(folder: Path, at: int, form: str, value: int) -> None:
    data = bytearray((folder / "data.mdb").read_bytes())
    struct.pack_into(form, data, at, value)
    (folder / "data.mdb").write_bytes(data)


def newest_root(folder: Path) -> int:
    """Page of the root, by the meta page that counts."""
    data = (folder / "data.mdb").read_bytes()
    meta = max((0, PAGE), key=lambda at: struct.unpack_from("<Q", data, at + META_TRANSACTION)[0])
    return struct.unpack_from("<Q", data, meta + META_ROOT)[0]


def test_a_truncated_copy_is_refused(tmp_path: Path) -> None:
    entries = many(100, 31840)
    data = (write(tmp_path / "e", entries) / "data.mdb").read_bytes()
    for size in (0, 100, PAGE, 3 * PAGE, len(data) // 2, len(data) - PAGE):
        (tmp_path / "e" / "data.mdb").write_bytes(data[:size])
        with refused("damaged"):
            read_all(tmp_path / "e", list(entries))


def test_pages_in_a_circle_end(tmp_path: Path) -> None:
    folder = write(tmp_path / "e", many(500, 200))
    root = newest_root(folder)
    data = bytearray((folder / "data.mdb").read_bytes())
    page = memoryview(data)[root * PAGE : (root + 1) * PAGE]
    for place in range((struct.unpack_from("<H", page, 12)[0] - HEADER) // 2):
        (at,) = struct.unpack_from("<H", page, HEADER + 2 * place)
        struct.pack_into("<HHH", page, at, root & 0xFFFF, root >> 16, 0)
    page.release()
    (folder / "data.mdb").write_bytes(data)
    with refused("damaged"):
        read_all(folder, [b"3/ep001_it00010.pt"])


@pytest.mark.parametrize(
    ("at", "form", "value", "code"),
    [
        (HEADER, "<I", 7, "not-recognized"),
        (HEADER + 4, "<I", 999, "wrong-version"),
        (HEADER + 24, "<I", 4095, "damaged"),
        (PAGE + HEADER + 24, "<I", 8192, "damaged"),
        (HEADER + 24 + 48 + 4, "<H", 4, "damaged"),
    ],
    ids=["magic", "version", "page size", "two page sizes", "order of keys"],
)
def test_a_damaged_meta_page_is_refused(
    tmp_path: Path, at: int, form: str, value: int, code: str
) -> None:
    folder = write(tmp_path / "e", many(20, 40))
    changed(folder, at, form, value)
    with refused(code, "data.mdb"):
        read_all(folder, [b"a"])


def test_a_file_that_is_no_environment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"text" * 3000)
    with refused("not-recognized"):
        LmdbFile(tmp_path)
    with refused("not-found"):
        LmdbFile(tmp_path / "nowhere")


def test_several_values_or_databases_inside_are_refused(tmp_path: Path) -> None:
    environment = lmdb.open(str(tmp_path / "e"), map_size=1 << 20, max_dbs=2)
    environment.open_db(b"inner")
    environment.close()
    with refused("damaged", "inner"):
        read_all(tmp_path / "e", [b"inner"])


def test_no_damage_does_more_than_tell(tmp_path: Path) -> None:
    """Of files changed at random, all end with values or an InputError, whatever was changed."""
    entries = many(120, 300) | {b"long%d" % i: b"x" * 9000 for i in range(20)}
    folder = write(tmp_path / "e", entries)
    data = (folder / "data.mdb").read_bytes()
    rng, told = np.random.default_rng(0), 0
    pages = [at // PAGE for at in range(0, len(data), PAGE) if any(data[at : at + 8]) or not at]
    for _ in range(100):
        copy = bytearray(data)
        for page in rng.choice(pages, 40):
            copy[page * PAGE + rng.integers(0, 150)] = rng.integers(0, 256)
        (folder / "data.mdb").write_bytes(copy)
        try:
            values = read_all(folder, [*list(entries)[::7], b"long3"])
        except InputError:
            told += 1
            continue
        assert sum(len(value or b"") for value in values) <= len(values) * len(data)
    assert 10 < told < 100

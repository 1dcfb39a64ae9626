"""Values of an LMDB environment (`data.mdb`), read by key without trusting the file.

The C library maps the file into memory and follows its page numbers: a truncated copy ends the
process with a bus error, not with an exception. Here a page is read at a time, every number in it
is checked against the file first, and nothing is ever written or locked. Read are environments of
64-bit little-endian machines, their unnamed database, one value per key.

Source: the file format of LMDB 0.9 (`mdb.c`), data format version 1; the code is ours.
"""

import struct
from bisect import bisect_right
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from novelweights.errors import InputError

FILE_NAME = "data.mdb"
"""The file in the folder of an environment that holds the data."""
PAGE_SIZES = tuple(1 << n for n in range(9, 17))
MAX_DEPTH = 32
"""Pages from the root to a leaf; LMDB's own cursors hold no more."""
MAGIC, VERSION = 0xBEEFC0DE, 1
HEADER = 16
"""Bytes before the content of a page."""
BRANCH, LEAF, OVERFLOW, META = 1, 2, 4, 8
KINDS = BRANCH | LEAF | OVERFLOW | META
IN_OVERFLOW = 1
"""Flag of a node whose value lies on pages of its own."""
NOT_A_VALUE = 2 | 4
"""Flags of nodes that hold another database, or several values."""
OTHER_ORDERS = 0x7F
"""Flags of databases whose keys are not ordered as bytes, or have several values."""
NO_PAGE = (1 << 64) - 1
"""Root of a database without entries."""

_PAGE = struct.Struct("<QHHHH")  # number, padding, flags, ends of the lower and of the upper part
_N_PAGES = struct.Struct("<I")  # of an overflow value, in place of the last two
_META = struct.Struct("<IIQQ")  # magic, version, address, size of the map
_DATABASE = struct.Struct("<IHHQQQQQ")  # page size, flags, depth, four counts, root
_LAST = struct.Struct("<QQ")  # last page, transaction
_NODE = struct.Struct("<HHHH")  # low and high part of the size, flags, length of the key
_NUMBER = struct.Struct("<Q")


class _Node(NamedTuple):
    """An entry of a page: where its value lies."""

    flags: int
    size: int
    """Bytes of the value; of a branch, the page below."""
    key: bytes
    start: int
    """Where the value, or the number of its page, begins inside the page."""


class LmdbFile:
    """The newest state of an LMDB environment, open for reading. Use as a context manager.

    Raises:
        InputError: There is no such file, or it is not an LMDB environment that can be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        try:
            self._file: BinaryIO = self.path.open("rb")
        except OSError as error:
            raise InputError(
                f"{self.path}: expected the data of an LMDB environment, cannot open it "
                f"({error.strerror}); give the folder that holds it",
                "not-found",
            ) from error
        try:
            self._size = self.path.stat().st_size
            self._page_size, self._root = self._newest()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "LmdbFile":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def get(self, key: bytes) -> bytes | None:
        """The value of a key; None if there is none.

        Raises:
            InputError: The file is truncated or damaged on the way to it.
        """
        number = self._root
        if number == NO_PAGE:
            return None
        for _ in range(MAX_DEPTH):
            page = self._page(number)
            _, _, flags, lower, _ = _PAGE.unpack_from(page)
            is_leaf = flags & KINDS == LEAF
            if not is_leaf and flags & KINDS != BRANCH:
                raise self._damaged(f"page {number:,} is neither a branch nor a leaf")
            n_nodes, rest = divmod(lower - HEADER, 2)
            if not (is_leaf or n_nodes) or n_nodes < 0 or lower > len(page) or rest:
                raise self._damaged(f"page {number:,} has a list of entries that does not fit it")
            # the last entry whose key is not beyond this one; the first of a branch has no key
            nodes = partial(self._node, page, number)
            after = bisect_right(
                range(n_nodes), key, 0 if is_leaf else 1, key=lambda i: nodes(i).key
            )
            if is_leaf:
                node = nodes(after - 1) if after else None
                return self._value(page, node) if node and node.key == key else None
            node = nodes(after - 1)
            number = node.size | node.flags << 32
        raise self._damaged(f"more than {MAX_DEPTH} pages lead to a value, so they form a circle")

    def _newest(self) -> tuple[int, int]:
        """Page size and root page, by the later of the two meta pages."""
        first = self._read(0, HEADER + _META.size + 2 * _DATABASE.size + _LAST.size)
        page_size, *_ = self._meta(first)
        metas = [self._meta(first), self._meta(self._read(page_size, len(first)))]
        if metas[1][0] != page_size:
            raise self._damaged("its two meta pages name different page sizes")
        _, root, _ = max(metas, key=lambda meta: meta[2])
        return page_size, root

    def _meta(self, page: bytes) -> tuple[int, int, int]:
        """Page size, root page and transaction of a meta page."""
        magic, version, _, _ = _META.unpack_from(page, HEADER)
        flags = _PAGE.unpack_from(page)[2]
        if magic != MAGIC or not flags & META:
            raise InputError(
                f"{self.path}: expected an LMDB environment of a 64-bit little-endian machine, "
                "the file does not begin like one; copy it again from where it works",
                "not-recognized",
            )
        if version != VERSION:
            raise InputError(
                f"{self.path}: expected LMDB data format {VERSION}, got {version}; write it again "
                "with LMDB 0.9",
                "wrong-version",
            )
        at = HEADER + _META.size
        page_size = _DATABASE.unpack_from(page, at)[0]
        flags, root = _DATABASE.unpack_from(page, at + _DATABASE.size)[1::6]
        if page_size not in PAGE_SIZES:
            raise self._damaged(f"its pages are said to have {page_size:,} bytes")
        if flags & OTHER_ORDERS:
            raise self._damaged("its keys are in an order, or have several values, not read here")
        return page_size, root, _LAST.unpack_from(page, at + 2 * _DATABASE.size)[1]

    def _read(self, start: int, size: int) -> bytes:
        """Bytes of the file, all of them there."""
        if start + size > self._size:
            raise InputError(
                f"{self.path}: expected all of an LMDB environment, it names byte "
                f"{start + size:,} and the file has {self._size:,}: truncated or damaged; copy "
                "it again",
                "damaged",
            )
        self._file.seek(start)
        data = self._file.read(size)
        if len(data) != size:
            raise self._damaged("it became shorter while it was read")
        return data

    def _page(self, number: int) -> bytes:
        page = self._read(number * self._page_size, self._page_size)
        if _PAGE.unpack_from(page)[0] != number:
            raise self._damaged(f"page {number:,} calls itself {_PAGE.unpack_from(page)[0]:,}")
        return page

    def _node(self, page: bytes, number: int, place: int) -> _Node:
        """The entry at a place of a page."""
        (at,) = struct.unpack_from("<H", page, HEADER + 2 * place)
        start = at + _NODE.size
        if at < HEADER or start > len(page):
            raise self._damaged(f"an entry of page {number:,} lies outside it")
        low, high, flags, key_size = _NODE.unpack_from(page, at)
        if start + key_size > len(page):
            raise self._damaged(f"a key of page {number:,} reaches beyond it")
        key = page[start : start + key_size]
        return _Node(flags, low | high << 16, key, start + key_size)

    def _value(self, page: bytes, node: _Node) -> bytes:
        """The value of a leaf's entry, from the page or from pages of its own."""
        what = f"the value of key {node.key!r}"
        if node.flags & NOT_A_VALUE:
            raise self._damaged(f"{what} is a database or several values")
        is_beside = node.flags & IN_OVERFLOW
        if node.start + (_NUMBER.size if is_beside else node.size) > len(page):
            raise self._damaged(f"{what} reaches beyond its page")
        if not is_beside:
            return page[node.start : node.start + node.size]
        (number,) = _NUMBER.unpack_from(page, node.start)
        start = number * self._page_size
        header = self._read(start, HEADER)
        there, _, flags, _, _ = _PAGE.unpack(header)
        (n_pages,) = _N_PAGES.unpack_from(header, HEADER - _N_PAGES.size)
        if there != number or flags & KINDS != OVERFLOW:
            raise self._damaged(f"{what} is not where it is said to be")
        if HEADER + node.size > n_pages * self._page_size:
            raise self._damaged(f"{what} is longer than its pages")
        return self._read(start + HEADER, node.size)

    def _damaged(self, what: str) -> InputError:
        return InputError(
            f"{self.path}: expected an LMDB environment, {what}: damaged; copy it again", "damaged"
        )

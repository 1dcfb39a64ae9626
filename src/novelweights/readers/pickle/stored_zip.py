"""Where the entries of an uncompressed zip archive lie, as `torch.save` writes them.

Read from the directory at the end with as much distrust as the module zipfile has, and more: an
entry must lie in the file, overlap no other, have one name in both of its headers, and be stored as
it is. Checksums are not compared: torch can be told to write none, and itself compares none.
"""

from collections.abc import Iterable
from struct import Struct

from novelweights.readers.pickle.plain_values import Refused, shown

START = b"PK\x03\x04"
_END = Struct("<4s4H2LH")
_END_64_PLACE = Struct("<4sLQL")
_END_64 = Struct("<4sQ2H2L4Q")
_ENTRY = Struct("<4s4x2H8x2L3H8xL")
"""Signature, flags, method, packed and real size, lengths of name, extra and comment, place."""
_LOCAL = Struct("<4s22x2H")
"""Signature, lengths of name and extra field."""
_LONG_COMMENT = 1 << 16
_SEE_64 = 0xFFFFFFFF


def stored_entries(content: bytearray) -> dict[str, tuple[int, int]]:
    """First byte and number of bytes of each entry, by name.

    Raises:
        Refused: An entry is compressed or encrypted, or there are two of a name.
        ValueError: The archive is damaged or truncated. (Also IndexError or struct.error.)
    """
    start, n_entries, end = _directory(content)
    found: dict[str, tuple[int, int]] = {}
    for _ in range(n_entries):
        name, place, size, start = _entry(content, start)
        if start > end:
            raise ValueError("a directory that is longer than it says")
        if name in found:
            raise Refused(
                f"expected one entry of a name in the archive, {shown(name)} is there twice: "
                "refused; save it again with torch.save"
            )
        found[name] = (place, size)
    _check_apart(found.values(), end)
    return found


def _directory(content: bytearray) -> tuple[int, int, int]:
    """Where the directory begins, how many entries it has, and where it ends."""
    place = content.rfind(b"PK\x05\x06", max(0, len(content) - _END.size - _LONG_COMMENT))
    if place < 0:
        raise ValueError("an archive without its end")
    *_, n_entries, size, start, comment = _END.unpack_from(content, place)
    if place + _END.size + comment != len(content):
        raise ValueError("an archive that does not end where it says")
    if _SEE_64 in (size, start) or n_entries == 0xFFFF:
        signature, _, place, _ = _END_64_PLACE.unpack_from(content, place - _END_64_PLACE.size)
        if signature != b"PK\x06\x07":
            raise ValueError("a large archive without its end")
        signature, *_, n_entries, size, start = _END_64.unpack_from(content, place)
        if signature != b"PK\x06\x06":
            raise ValueError("a large archive without its end")
    if start + size > place:
        raise ValueError("a directory outside the file")
    return start, n_entries, start + size


def _entry(content: bytearray, at: int) -> tuple[str, int, int, int]:
    """Name, first byte and size of an entry, and where the next line of the directory begins."""
    signature, flags, method, packed, size, n_name, n_extra, n_comment, local = _ENTRY.unpack_from(
        content, at
    )
    if signature != b"PK\x01\x02":
        raise ValueError("a directory with something else in it")
    name_end = at + _ENTRY.size + n_name
    name = content[at + _ENTRY.size : name_end]
    text = name.decode()
    if method or flags & 1:
        raise Refused(
            f"expected entries as torch.save stores them, {shown(text)} is "
            f"{'encrypted' if flags & 1 else 'compressed'}: refused; save it again with torch.save"
        )
    if packed == _SEE_64 or size == _SEE_64 or local == _SEE_64:
        extra = bytes(content[name_end : name_end + n_extra])
        size, packed, local = _large(extra, size, packed, local)
    if packed != size:
        raise ValueError(f"{shown(text)} of two sizes")
    signature, n_local_name, n_local_extra = _LOCAL.unpack_from(content, local)
    local_name = local + _LOCAL.size
    if signature != START or n_local_name != n_name or not content.startswith(name, local_name):
        raise ValueError(f"{shown(text)} is not where the directory says")
    return text, local_name + n_name + n_local_extra, size, name_end + n_extra + n_comment


def _large(extra: bytes, *values: int) -> list[int]:
    """Sizes and place of an entry beyond 4 GiB, which stand in its extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind = int.from_bytes(extra[at : at + 2], "little")
        end = at + 4 + int.from_bytes(extra[at + 2 : at + 4], "little")
        if kind == 1:
            words = iter([extra[i : i + 8] for i in range(at + 4, end, 8)])
            return [
                int.from_bytes(next(words, b""), "little") if value == _SEE_64 else value
                for value in values
            ]
        at = end
    raise ValueError("a large entry without its size")


def _check_apart(places: Iterable[tuple[int, int]], end: int) -> None:
    """Every entry before the directory's end, and after the one before it."""
    last = 0
    for place, size in sorted(places):
        if place < last:
            raise ValueError("entries that overlap")
        last = place + size
    if last > end:
        raise ValueError("an entry that is larger than the file")

"""Damage of files: bytes turned, cut, put in and exchanged, and JSON with other values in it."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

ODD_NUMBERS = (0, -1, 1, 3, 2**31, 2**63, 2**64, 10**30, 1.5, float("nan"), float("inf"))
ODD_VALUES: tuple[Any, ...] = (
    *ODD_NUMBERS,
    None,
    True,
    "",
    "x",
    "../../x",
    "a\nb",
    "\ud800",
    "9" * 5000,
    [],
    {},
    [[]],
    {"": 0},
    ["a", 1],
)
Damage = Callable[[bytes, bytes, random.Random], bytes]


def turned(content: bytes, _: bytes, chance: random.Random) -> bytes:
    """Some bytes are others."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = _place(changed, chance)
        odd = (chance.randrange(256), changed[place] ^ 1 << chance.randrange(8), 0, 255)
        changed[place] = chance.choice(odd)
    return bytes(changed)


def cut(content: bytes, _: bytes, chance: random.Random) -> bytes:
    """The end is missing, or the beginning, or a part."""
    start = _place(content, chance)
    end = chance.choice((len(content), min(len(content), start + chance.randint(1, 40))))
    return content[end:] if chance.random() < 0.1 else content[:start] + content[end:]


def put_in(content: bytes, _: bytes, chance: random.Random) -> bytes:
    """Some bytes more."""
    place = _place(content, chance)
    what = chance.choice((chance.randbytes(chance.randint(1, 20)), content[place : place + 60]))
    return content[:place] + what + content[place:]


def exchanged(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """The beginning of one file and the end of another, or a part of it in its place."""
    start = _place(content, chance)
    end = start + chance.randint(1, 200)
    from_other = chance.randrange(len(other))
    if chance.random() < 0.5:
        return content[:start] + other[from_other:]
    return content[:start] + other[from_other : from_other + end - start] + content[end:]


DAMAGES: tuple[Damage, ...] = (turned, turned, cut, put_in, exchanged)


def damaged(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """A file that was damaged in one way; JSON sometimes by its values."""
    if not content:
        return chance.randbytes(9)
    if content[:1] in (b"{", b"[") and chance.random() < 0.6:
        return edited(content, chance)
    if len(content) > 8 and content[8:9] == b"{" and chance.random() < 0.6:
        return with_header(content, chance)
    return chance.choice(DAMAGES)(content, other or content, chance)


def edited(content: bytes, chance: random.Random) -> bytes:
    """JSON, or a line of JSON, in which a value is another one, is missing or has another name."""
    lines = content.splitlines()
    if len(lines) > 1 and lines[0].endswith(b"}"):
        lines[chance.randrange(len(lines))] = edited(lines[0], chance)
        return b"\n".join(lines)
    value = json.loads(content)
    containers = [value]
    for container in containers:
        inside = container.values() if isinstance(container, dict) else container
        containers += [v for v in inside if isinstance(v, dict | list) and v]
    container = chance.choice(containers)
    key = chance.choice(list(container) if isinstance(container, dict) else range(len(container)))
    if chance.random() < 0.2:
        moved = container.pop(key)
        if isinstance(container, dict) and chance.random() < 0.5:
            container[chance.choice(("", "x", "../x", "a\nb"))] = moved
    else:
        container[key] = chance.choice(ODD_VALUES)
    return json.dumps(value).encode()


def with_header(content: bytes, chance: random.Random) -> bytes:
    """A safetensors file whose header was edited, its length right."""
    end = 8 + int.from_bytes(content[:8], "little")
    try:
        header = edited(content[8:end], chance)
    except ValueError:
        return turned(content, b"", chance)
    return len(header).to_bytes(8, "little") + header + content[end:]


def _place(content: bytes | bytearray, chance: random.Random) -> int:
    """A place, mostly in the beginning or the end, where files say what they are."""
    size = len(content)
    near = min(size, 600)
    start, end = chance.choice(((0, size), (0, near), (size - near, size)))
    return chance.randrange(start, end)


def files_below(folder: Path) -> dict[Path, bytes]:
    """All files of a folder with their content."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

"""Safetensors files as state dicts: checked by the library, or by bytes that it has checked before.

The files of one population have one header, byte for byte. It is parsed once; further files are
taken apart by the same offsets, which costs a tenth of parsing it again. Source: ours.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, deserialize
from torch import Tensor

from novelweights.errors import InputError
from novelweights.readers.units import content_of

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
LONGEST_HEADER = 100_000_000
"""Source: the library's own limit."""
LENGTH = 8  # bytes that say how long the header is


@dataclass
class SafetensorsFiles:
    """Reads files one after the other and remembers the last header."""

    max_bytes: int
    """Larger files are refused."""
    _header: bytes = b""
    _size: int = 0
    _tensors: list[tuple[str, torch.dtype, tuple[int, ...], int, int]] = field(default_factory=list)

    def read(self, path: Path) -> dict[str, Tensor]:
        """The tensors in a file by name, in the order of their data.

        Raises:
            InputError: It is damaged, too large, or holds tensors of a kind that torch has not.
        """
        content = content_of(path, self.max_bytes)
        if not self._header or len(content) != self._size or not content.startswith(self._header):
            self._learn(content)
        start = len(self._header)
        return {
            name: torch.frombuffer(content, dtype=dtype, count=count, offset=start + first).reshape(
                shape
            )
            if count
            else torch.empty(shape, dtype=dtype)
            for name, dtype, shape, first, count in self._tensors
        }

    def _learn(self, content: bytearray) -> None:
        """Check a file by the library and remember where its tensors lie."""
        length = int.from_bytes(content[:LENGTH], "little")
        if len(content) < LENGTH or length > min(LONGEST_HEADER, len(content) - LENGTH):
            raise InputError(
                f"expected a safetensors file, its header announces {length:,} bytes and the file "
                f"has {len(content):,}: damaged or truncated; copy it again",
                "damaged",
            )
        try:
            entries = [(name, entry["dtype"]) for name, entry in deserialize(bytes(content))]
            described = json.loads(content[LENGTH : LENGTH + length])
        except (SafetensorError, ValueError, RecursionError) as error:
            raise InputError(
                f"expected a sound safetensors file, it is damaged or truncated ({error}); copy it "
                "again",
                "damaged",
            ) from error
        if odd := sorted({dtype for _, dtype in entries} - DTYPES.keys()):
            raise InputError(
                f"expected numbers that torch knows, got {', '.join(odd)}; save it as float32",
                "wrong-type",
            )
        self._header, self._size = bytes(content[: LENGTH + length]), len(content)
        self._tensors = []
        for name, dtype in entries:
            shape, (first, end) = tuple(described[name]["shape"]), described[name]["data_offsets"]
            count = (end - first) // DTYPES[dtype].itemsize
            self._tensors.append((name, DTYPES[dtype], shape, first, count))
        self._tensors.sort(key=lambda tensor: (tensor[3], tensor[0]))  # the library has no order

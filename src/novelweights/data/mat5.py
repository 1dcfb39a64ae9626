"""Arrays of numbers in MATLAB files of version 5, the format that SVHN comes in.

scipy reads them, in a short-lived process of its own: what a damaged file does to its reader (it
may crash, never end or ask for all memory) does not happen to the caller.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from novelweights.errors import InputError

MAGIC = b"MATLAB 5.0 MAT-file"
LITTLE_ENDIAN = b"\x00\x01IM"  # bytes 124 to 128: version 0x0100 and the mark of the byte order
MAX_BYTES = 1 << 30
"""Of the file, and of the variables asked for; the largest that are used take 2.3e8."""
MAX_MEMORY = 4 << 30
"""Of the reading process."""
TIMEOUT_SECONDS = 120
INTEGERS = [f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")]
READ = f"""
import math, sys
import numpy
from scipy.io import loadmat, whosmat
source, target, max_bytes, max_memory, *names = sys.argv[1:]
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(max_memory),) * 2)
except (ImportError, OSError, ValueError):
    pass  # a system without such limits
sizes = {{
    name: math.prod(map(int, shape)) * numpy.dtype(kind).itemsize
    for name, shape, kind in whosmat(source)
    if name in names and kind in {[*INTEGERS, "single", "double"]}
}}
if sum(sizes.values()) > int(max_bytes):
    sys.exit(f"its variables take {{sizes}} bytes, more than {{max_bytes}}")
found = loadmat(source, variable_names=list(sizes))
numpy.savez(target, **{{name: found[name] for name in sizes if found[name].dtype.kind in "fiu"}})
"""
"""What the process runs."""


def read_mat5(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The variables called `names` of a file, as far as they are there and real numbers.

    Raises:
        InputError: No such file, another format, too large, or damaged.
    """
    try:
        with path.open("rb") as file:
            head, size = file.read(128), path.stat().st_size
    except OSError as error:
        raise InputError(
            f"{path}: could not be read ({error.strerror}); put the file there again", "not-found"
        ) from error
    if not head.startswith(MAGIC) or head[124:] != LITTLE_ENDIAN:
        raise InputError(
            f"{path}: expected a little-endian MATLAB 5 file, it begins otherwise; put the file "
            "there again, or save it with -v7",
            "not-recognized",
        )
    if size > MAX_BYTES:
        raise InputError(f"{path}: expected at most {MAX_BYTES} bytes, got {size}", "too-large")
    with tempfile.TemporaryDirectory(prefix="novelweights-mat5-") as scratch:
        target = Path(scratch) / "numbers.npz"
        arguments = [path, target, MAX_BYTES, MAX_MEMORY, *names]
        command = [sys.executable, "-P", "-c", READ, *map(str, arguments)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise _damaged(path, f"reading it took more than {TIMEOUT_SECONDS} s") from error
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise _damaged(path, lines[-1])
        with np.load(target, allow_pickle=False) as numbers:
            return dict(numbers)


def _damaged(path: Path, what: str) -> InputError:
    return InputError(
        f"{path}: damaged MATLAB file ({what}); put the file there again, whole", "damaged"
    )

"""20,000 state-dict files of 2,464 weights into a population, against a loop of plain loads.

The straightforward way reads each file with `torch.load` or safetensors' `load_file` and stacks the
vectors. The results are compared; memory is what the process has at most beyond its beginning.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from novelweights.errors import InputError
from novelweights.readers import open_source, selected
from novelweights.readers.formats.torch_files import TorchFiles
from novelweights.readers.importing import import_source
from novelweights.readers.source import Reading
from novelweights.weights.store import open_population

FILES = int(os.environ.get("NOVELWEIGHTS_BENCHMARK_FILES", "20000"))
LAYERS = (nn.Conv2d(1, 8, 5), nn.Conv2d(8, 6, 5), nn.Conv2d(6, 4, 2), nn.Linear(36, 20))
"""With the next, the 2,464 weights of a network of the zoos for Hyper-Representations."""


def main() -> None:
    """Both forms of file, at the full number and a quarter of it."""
    module = nn.Sequential(*LAYERS, nn.Linear(20, 10))
    size = sum(parameter.numel() for parameter in module.parameters())
    print(f"reading {FILES:,} files of {size:,} weights into a population folder")
    with tempfile.TemporaryDirectory() as folder:
        _swollen(Path(folder))
        for suffix in (".safetensors", ".pt"):
            files = Path(folder) / suffix[1:]
            files.mkdir()
            _write(files, suffix, module)
            plain, rows = _plain(files, suffix)
            start = time.perf_counter()
            population = Path(folder) / f"population-{suffix[1:]}"
            import_source(open_source(files), population, reading=Reading())
            ours = time.perf_counter() - start
            same = np.array_equal(open_population(population).load().weights.numpy(), rows)
            print(
                f"  {suffix:13} plain loop {plain / FILES * 1e6:6.0f} us a file, import "
                f"{ours / FILES * 1e6:6.0f}, rate {plain / ours:.2f} of plain (target 0.5), "
                f"{'same weights' if same else 'OTHER WEIGHTS'}"
            )
            for n in (FILES // 4, FILES):
                grown = _memory(files, n, Path(folder) / f"again-{suffix[1:]}-{n}")
                print(f"  {suffix:13} memory for {n:6,} files: {grown:.0f} MiB")


class Swollen:
    """Asks whoever loads it for a gigabyte."""

    def __reduce__(self) -> tuple:
        return bytearray, (10**9,)


def _swollen(folder: Path) -> None:
    """What a small file costs that torch's safe way of loading lets through, and ours does not."""
    path = folder / "swollen.pt"
    torch.save({"w": Swollen()}, path)
    code = "import resource, sys, torch; torch.load(sys.argv[1], weights_only=True); "
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    words = [sys.executable, "-c", code, path]
    peak = float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    try:
        TorchFiles().read(path)
        told = "READ"
    except InputError:
        told = "refused here"
    print(f"  a file of {path.stat().st_size} bytes: {peak:.0f} MiB by torch.load, {told}")


def _write(folder: Path, suffix: str, module: nn.Module) -> None:
    rng = torch.Generator().manual_seed(0)
    shapes = {name: value.shape for name, value in module.state_dict().items()}
    for i in range(FILES):
        state = {name: torch.randn(shape, generator=rng) for name, shape in shapes.items()}
        path = folder / f"run{i:05d}{suffix}"
        if suffix == ".pt":
            torch.save(state, path)
        else:
            save_file(state, path)


def _plain(folder: Path, suffix: str) -> tuple[float, np.ndarray]:
    """Seconds of the straightforward way, and its weights."""
    start, rows, order = time.perf_counter(), [], None
    for path in sorted(folder.iterdir()):
        state = torch.load(path, weights_only=True) if suffix == ".pt" else load_file(path)
        order = order or (list(state) if suffix == ".pt" else sorted(state))
        rows.append(torch.cat([state[name].reshape(-1) for name in order]))
    return time.perf_counter() - start, torch.stack(rows).numpy()


def _memory(folder: Path, n: int, population: Path) -> float:
    """MiB that importing the first n files takes beyond a process that has imported none."""
    words = [sys.executable, "-m", "benchmarks.checkpoint_reading", folder, str(n), population]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _import_some(folder: Path, n: int, population: Path) -> None:
    """Import n files and print by how many MiB the process has grown."""
    source = open_source(folder)
    warm = population.with_name(population.name + "-warm")
    import_source(selected(source, np.arange(64)), warm, reading=Reading())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    import_source(selected(source, np.arange(n)), population, reading=Reading())
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


if __name__ == "__main__":
    _import_some(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))

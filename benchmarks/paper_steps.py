"""The four methods at the paper's scale: seconds of a training step, its memory, and sampling.

What is timed is each method's own `fit` and `sample`, with fewer steps; the populations are random
weights with the published layouts, so that figures tell of speed and memory only. All steps take
the random numbers of one and the same step: a batch is repeated, and its loss must fall.
`python -m benchmarks paper-steps` runs all methods on an accelerator and says so where there is
none; `python -m benchmarks.paper_steps --help` tells how to run some, or another scale, or in
another precision.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from accelerate import Accelerator

from novelweights.generators import GENERATORS
from novelweights.generators.parts import training
from novelweights.generators.parts.training import Workspace
from novelweights.networks.mlp import MNIST_MLP
from novelweights.networks.neural_field import OccupancyField
from novelweights.networks.parts import LAST_TWO_NORMALIZATIONS
from novelweights.networks.small_cnn import GRAY_CNN
from novelweights.weights.layout import WeightLayout
from novelweights.weights.population import Population, PopulationInfo, Records
from novelweights.weights.symmetry import NeuronSymmetry

SPAN, SPANS = 4, 4
"""Steps between two looks at the clock, and looks; the first span warms up."""
RUNS = 256  # two checkpoints each
FIELD = OccupancyField(width=128)
NORMS = WeightLayout(tuple((name, (512,)) for name in LAST_TWO_NORMALIZATIONS))
NORMS_SYMMETRY = NeuronSymmetry({name: (None,) for name in LAST_TWO_NORMALIZATIONS})
WAYS = ("published", "tf32", "bf16", "plain")
"""As the settings of the scale say; products of float32 matrices in TF32; bf16 autocast; as the
settings say by a plain loop, which waits for every step and has torch's default AdamW."""


@dataclass(frozen=True)
class Subject:
    """A method's published target network, and how much is sampled."""

    layout: WeightLayout
    symmetry: NeuronSymmetry | None
    std: float
    """Of the random weights, about that of the published ones."""
    samples: int
    """As in the paper's evaluation."""
    chain: int = 0
    """Denoising steps that are timed; 0: all."""


SUBJECTS = {
    "p-diff": Subject(NORMS, NORMS_SYMMETRY, 0.1, 200),
    "hyper-representations": Subject(GRAY_CNN.layout, GRAY_CNN.symmetry, 0.3, 200),
    "g-pt": Subject(MNIST_MLP.layout, MNIST_MLP.symmetry, 0.13, 128, chain=40),
    "hyperdiffusion": Subject(FIELD.layout, FIELD.symmetry, 0.4, 666, chain=20),
}


@dataclass(frozen=True)
class Span:
    """What is known of some training steps when they have ended."""

    ended: float
    loss: float
    """Mean."""
    memory: int
    """Peak bytes on the accelerator since the last span ended; 0 without one."""


class Watched:
    """Notes the spans of a fit; those of a second training follow those of the first."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.spans = device, list[Span]()

    def __call__(self, done: int, of: int, loss: float) -> None:
        memory = 0
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            memory = torch.cuda.max_memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        self.spans.append(Span(time.perf_counter(), loss, memory))


def main() -> None:
    """Run every method at the paper's scale, where there is an accelerator."""
    if device_used().type == "cpu":
        print(
            "paper-steps: needs an accelerator (the largest model and its optimizer: 30 GB), none"
        )
        return
    command([])


def command(arguments: list[str]) -> None:
    """Run what the command line names and print a line of text for each measurement."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper_steps", description=__doc__)
    parser.add_argument("methods", nargs="*", help=f"of {', '.join(SUBJECTS)}; none: all")
    parser.add_argument("--scale", default="paper", choices=("paper", "laptop", "smoke"))
    parser.add_argument("--way", default="published", choices=WAYS, help="precision")
    parser.add_argument(
        "--samples", type=int, help="sampled at once; the paper's number if missing"
    )
    parser.add_argument("--json", type=Path, help="a file that measurements are added to as lines")
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.methods) - set(SUBJECTS)):
        parser.error(f"unknown {', '.join(unknown)}: known are {', '.join(SUBJECTS)}")
    if given.way == "tf32":
        torch.set_float32_matmul_precision("high")
    print(f"{machine()}; random weights: speed and memory only")
    for method in given.methods or SUBJECTS:
        measured_on = {"method": method, "scale": given.scale, "way": given.way}
        for row in measure(method, given.scale, given.way, given.samples):
            row = {**measured_on, **row}
            print(told(row), flush=True)
            if given.json is not None:
                with given.json.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**row, "machine": machine()}) + "\n")


def measure(method: str, scale: str, way: str, samples: int | None) -> list[dict[str, Any]]:
    """A row for each training of the method, then one for sampling."""
    subject, published = SUBJECTS[method], GENERATORS[method].scales[scale]
    settings = replace(published, **dict.fromkeys(_planned(published), SPANS * SPAN))
    if way == "bf16":
        settings = replace(settings, precision=way)
    known, watched = random_population(subject), Watched(device_used())
    begun = time.perf_counter()
    with looking_at_spans(way):
        fitted = settings.fit(known, rng=_seeded(1), workspace=Workspace(progress=watched))
    whole = time.perf_counter() - begun
    count = SPANS * (SPAN if way == "plain" else 1)
    trainings = [watched.spans[i : i + count] for i in range(0, len(watched.spans), count)]
    rows = [
        {
            "what": f"train {name}",
            "parameters": fitted.parameters,
            "batch": published.batch_size,
            "precision": settings.precision,
            **training_row(spans, planned, published.batch_size),
            "fit_seconds": round(whole, 1),
        }
        for spans, (name, planned) in zip(trainings, _planned(published).items(), strict=True)
    ]
    start = known if GENERATORS[method].is_conditional else None
    return [*rows, sampling_row(fitted, published, subject, samples or subject.samples, start)]


@contextmanager
def looking_at_spans(way: str) -> Iterator[None]:
    """Have `fit` repeat one batch, and tell how far it is after every span (plain: every step)."""
    ours = torch.optim.AdamW

    def plain(*given: Any, **named: Any) -> torch.optim.Optimizer:
        return ours(*given, **{**named, "fused": None})

    rows = SPANS * SPAN if way == "plain" else SPANS
    optimizer = mock.patch.object(torch.optim, "AdamW", plain) if way == "plain" else nullcontext()
    one_batch = mock.patch.object(training, "seed_for", return_value=1)
    with optimizer, one_batch, mock.patch.object(training, "LOSS_ROWS", rows):
        yield


def training_row(spans: list[Span], planned: int, batch: int) -> dict[str, Any]:
    """Speed, memory and losses of one training, the first span's time left out."""
    steps = SPAN * SPANS // len(spans)
    ends = [span.ended for span in spans[SPAN // steps - 1 :]]
    seconds = [(after - before) / steps for before, after in pairwise(ends)]
    median, losses = statistics.median(seconds), [span.loss for span in spans]
    return {
        "seconds_per_step": median,
        "fastest": min(seconds),
        "slowest": max(seconds),
        "examples_per_second": batch / median,
        "peak_gb": max(span.memory for span in spans) / 1e9,
        "planned_steps": planned,
        "hours": planned * median / 3600,
        "losses": losses,
        "is_finite": all(map(math.isfinite, losses)),
        "falls": losses[-1] < losses[0],
    }


def sampling_row(
    fitted: Any, published: Any, subject: Subject, samples: int, start: Population | None
) -> dict[str, Any]:
    """Seconds of a denoising step for all samples at once, and of the whole chain."""
    chain = getattr(published, "sampling_steps", None)
    if chain is not None and subject.chain:
        few = min(subject.chain, chain)
        fitted = replace(fitted, settings=replace(fitted.settings, sampling_steps=few))
    ends: list[float] = []

    def tell(done: int, of: int) -> None:
        ends.append(time.perf_counter())

    begun = time.perf_counter()
    made = fitted.sample(samples, rng=_seeded(2), start=start, progress=tell)
    whole = time.perf_counter() - begun
    between = [after - before for before, after in pairwise(ends)]
    step = statistics.median(between) if between else whole
    chain = chain or getattr(published, "timesteps", 1)
    return {
        "what": "sample",
        "samples": samples,
        "seconds_per_step": step,
        "steps_per_second": 1 / step,
        "chain": chain,
        "seconds_for_all": step * chain,
        "measured_seconds": round(whole, 2),
        "is_finite": bool(made.weights.isfinite().all()),
        "is_on_cpu": made.weights.device.type == "cpu",
    }


def random_population(subject: Subject) -> Population:
    """Runs of two checkpoints each, of random weights."""
    n = 2 * RUNS
    weights = subject.std * torch.randn(n, subject.layout.size, generator=_seeded(0))
    scores = {
        "test_loss": [2.3 - (i % 2) for i in range(n)],
        "test_accuracy": [i / n for i in range(n)],
    }
    runs, steps = [f"run-{i // 2:03d}" for i in range(n)], [i % 2 for i in range(n)]
    records = Records.of(runs, split="train", step=steps, scores=scores)
    info = PopulationInfo("random", {}, "random", subject.symmetry, "none")
    return Population(weights, subject.layout, records, info)


def device_used() -> torch.device:
    """Where `fit` trains on this machine."""
    return Accelerator(mixed_precision="no").device


def machine() -> str:
    """The device and torch's version."""
    device = device_used()
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    return f"{name}, torch {torch.__version__}"


def told(row: Mapping[str, Any]) -> str:
    """A measurement as a line of text."""
    head = f"{row['method']} ({row['scale']}, {row['way']}) {row['what']}: "
    if row["what"] == "sample":
        return head + (
            f"{row['samples']} at once, {1000 * row['seconds_per_step']:.1f} ms a step, "
            f"{row['seconds_for_all']:.0f} s for all {row['chain']} steps, "
            f"finite {row['is_finite']}, on CPU {row['is_on_cpu']}"
        )
    losses = row["losses"]
    return head + (
        f"{row['parameters']:,} parameters, batch {row['batch']}, precision {row['precision']}, "
        f"{1000 * row['seconds_per_step']:.1f} ms a step ({1000 * row['fastest']:.1f} to "
        f"{1000 * row['slowest']:.1f}), {row['examples_per_second']:.0f} examples a second, "
        f"peak {row['peak_gb']:.1f} GB, {row['planned_steps']:,} steps in {row['hours']:.1f} h; "
        f"one batch's loss {losses[0]:.5g} to {losses[-1]:.5g}, falls {row['falls']}, "
        f"finite {row['is_finite']}"
    )


def _planned(settings: Any) -> dict[str, int]:
    """Published steps of each training of a method."""
    names = ("steps", "autoencoder_steps", "diffusion_steps")
    return {name: getattr(settings, name) for name in names if hasattr(settings, name)}


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


if __name__ == "__main__":
    command(sys.argv[1:])

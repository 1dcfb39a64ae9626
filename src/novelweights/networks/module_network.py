"""Any torch classifier as a target network: many checkpoints at once where torch can do it.

A checkpoint holds some of the network's parameters and buffers, by name; all the rest is fixed, and
is either given or part of what the network computes with. Where the rest comes first in the
network it is computed once for all checkpoints. Source: ours.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from novelweights.errors import InputError, first_few
from novelweights.networks.declared import symmetry_from
from novelweights.networks.network import evaluating, working_device
from novelweights.networks.parameter_names import require_same_parameters
from novelweights.networks.parts import activations_of, require_finite, split_at
from novelweights.networks.tracing.running import evaluation_copy
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry

FLOATS_AT_ONCE = 4 << 20
"""Of the largest intermediate value of the checkpoints and examples that run together: 16 MiB."""
MOST_CLASSES = 256
"""Predictions are kept as bytes."""
LARGEST_TRUNK = 16
"""The fixed beginning is kept for all examples if it takes at most as many times an example."""
LARGEST_TOGETHER = 2048
"""Networks of larger intermediate values run one after the other: these fill a machine already."""
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Networks with these run one after the other, on images whose channels lie side by side if they
can: `python -m benchmarks convolutional-networks` compares it with all at once."""
TOLERANCE = 1e-3
"""Of logits in a trial, relative to the largest: two orders of the same float32 operations."""
TRIED = 3
"""Examples in trial runs."""
STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True, eq=False)
class ModuleNetwork:
    """A network of the user's own; `module_network` makes one."""

    held: nn.Module
    """In evaluation mode, float32, with the shared state."""
    layout: WeightLayout
    """What a checkpoint holds, by the network's names."""
    used: frozenset[str]
    """Those of them that count: of several names of one parameter the last, as when loaded."""
    image_shape: tuple[int, ...]
    """Of one example."""
    classes: int
    largest: int
    """Numbers of the largest intermediate value for one example."""
    is_batched: bool
    """Whether many checkpoints run at once (torch.vmap)."""
    is_channels_last: bool
    """Whether images are given with the channels of a pixel side by side."""

    @property
    def name(self) -> str:
        """For example MyNetwork (760 weights, 10 classes)."""
        kind = type(self.held).__name__
        return f"{kind} ({self.layout.size} weights, {self.classes} classes)"

    @property
    def inputs(self) -> int:
        """Numbers of an example."""
        return math.prod(self.image_shape)

    @property
    def symmetry(self) -> NeuronSymmetry:
        """Derived and proven; not known where that is refused, and no moves of what is fixed."""
        return self._symmetry

    @cached_property
    def _symmetry(self) -> NeuronSymmetry:
        example = torch.randn(2, *self.image_shape, generator=torch.Generator().manual_seed(0))
        rest = self.held.state_dict().keys() - {name for name, _ in self.layout.shapes}
        try:
            return symmetry_from(self.held, example, self.layout, logits=True, rest=rest)
        except InputError as error:
            shapes = self.layout.shapes
            axes = {name: (None,) * len(shape) for name, shape in shapes}
            return NeuronSymmetry(axes, unknown={name: str(error) for name, _ in shapes})

    def initial(self, rng: torch.Generator) -> Float[Tensor, " d"]:
        """One random initialization by its layers' own `reset_parameters`; what has none is as the
        network was made."""
        fresh = self.module()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(torch.randint(2**31, (), generator=rng)))
            for layer in fresh.modules():
                if callable(reset := getattr(layer, "reset_parameters", None)):
                    reset()
        state = _named_state(fresh)
        return self.layout.flatten({name: state[name].detach() for name, _ in self.layout.shapes})

    def forward(
        self, weights: Float[Tensor, "n d"], x: Float[Tensor, "examples inputs"]
    ) -> Float[Tensor, "n examples classes"]:
        """Logits of every checkpoint on the same examples."""
        return self._logits(self.held, weights, (self.images(x),))

    def images(self, x: Float[Tensor, "examples inputs"]) -> Tensor:
        """Rows in the shape of examples."""
        return x.reshape(len(x), *self.image_shape)

    def module(self) -> nn.Module:
        """A copy of the network with the shared state, on the CPU."""
        return evaluation_copy(self.held)

    def _logits(self, module: nn.Module, weights: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """Blocks of checkpoints on blocks of examples."""
        device = _device_of(module)
        n_examples, n = len(inputs[0]), len(weights)
        logits = torch.empty(n, n_examples, self.classes)
        examples_at_once = max(1, FLOATS_AT_ONCE // self.largest)
        run = one_by_one
        if self.is_batched and self.largest <= LARGEST_TOGETHER:
            run = batched
        for start in range(0, n_examples, examples_at_once):
            some = slice(start, start + examples_at_once)
            block = tuple(part[some].to(device) for part in inputs)
            if self.is_channels_last:
                block = _channels_last(block)
            at_once = max(1, FLOATS_AT_ONCE // max(self.largest * len(block[0]), self.layout.size))
            for row in range(0, n, at_once):
                rows = slice(row, row + at_once)
                every = self.layout.unflatten(weights[rows].to(device))
                state = {name: value for name, value in every.items() if name in self.used}
                logits[rows, some] = guarded(self.name, partial(run, module, state, block))
        return logits


@dataclass(frozen=True, eq=False)
class PartOfModule(ModuleNetwork):
    """One whose fixed beginning is computed once: see `HasTrunk`."""

    halves: tuple[nn.Module, nn.Module]
    """Beginning and rest."""

    def trunk(self, x: Float[Tensor, "examples inputs"]) -> tuple[Tensor, ...]:
        """Activations before the first layer that a checkpoint holds, of every example."""
        before, _ = self.halves
        blocks = map(self.images, x.split(max(1, FLOATS_AT_ONCE // self.largest)))
        run = partial(activations_of, before, blocks, _device_of(self.held))
        return guarded(self.name, run)

    def tail(
        self, weights: Float[Tensor, "n d"], activations: tuple[Tensor, ...]
    ) -> Float[Tensor, "n examples classes"]:
        """Logits of every checkpoint, from what `trunk` gave."""
        return self._logits(self.halves[1], weights, activations)


def module_network(
    module: nn.Module,
    layout: WeightLayout,
    examples: Float[Tensor, "examples ..."],
    shared: Mapping[str, Tensor] | None = None,
) -> ModuleNetwork:
    """A network of the user's own, for checkpoints of it.

    Args:
        module: The network; it is copied and stays as it is.
        layout: What a checkpoint holds, by the network's names.
        examples: A few inputs, to run it on; their shape without the first axis is an example's.
        shared: The rest: every parameter and saved buffer that a checkpoint does not hold.

    Raises:
        InputError: Checkpoints are not the network's, a part of its state is in neither, or it
            does not give logits of 2 to 256 classes for such examples.
    """
    held = evaluation_copy(module).float().requires_grad_(False)
    _fill(held, layout, shared or {})
    examples = examples[:TRIED].float()
    held, logits, largest = _tried(held, examples)
    kind = type(module).__name__
    if logits.ndim != 2 or len(logits) != len(examples) or not 2 <= logits.shape[1] <= MOST_CLASSES:
        raise InputError(
            f"{kind}: expected logits of 2 to {MOST_CLASSES} classes for each of {len(examples)} "
            f"examples, got outputs of {_times(logits.shape)}; wrap it in a module that returns "
            "such logits",
            "network-failed",
        )
    own, names = _named_state(held), {name for name, _ in layout.shapes}
    last = {id(value): name for name, value in own.items() if name in names}
    trial = {name: torch.stack([own[name], 1.1 * own[name]]) for name in last.values()}
    images = examples.to(_device_of(held))
    expected = one_by_one(held, trial, (images,))
    fields = (
        *(held, layout, frozenset(trial), tuple(examples.shape[1:])),
        *(logits.shape[1], max(largest, images[0].numel())),
    )
    halves = _halves(held, trial, images, expected)
    if halves is None:
        return ModuleNetwork(*fields, *_ways(held, trial, (images,), expected))
    before, after = halves
    with evaluating():
        inside = before(images)
    return PartOfModule(*fields, *_ways(after, trial, inside, expected), halves)


def batched(module: nn.Module, state: Mapping[str, Tensor], inputs: tuple[Tensor, ...]) -> Tensor:
    """Logits of all checkpoints at once, by torch.vmap.

    Raises:
        RuntimeError: The network does what vmap cannot (or any error of its own code).
    """

    def one(values: dict[str, Tensor]) -> Tensor:
        return logits_of(functional_call(module, values, inputs))

    with evaluating(), warnings.catch_warnings():
        warnings.filterwarnings("error", "There is a performance drop")  # then a loop is as fast
        return torch.vmap(one)(dict(state))


def one_by_one(
    module: nn.Module, state: Mapping[str, Tensor], inputs: tuple[Tensor, ...]
) -> Tensor:
    """Logits of all checkpoints, one after the other."""
    n = len(next(iter(state.values())))
    with evaluating():
        return torch.stack(
            [
                logits_of(functional_call(module, {k: v[row] for k, v in state.items()}, inputs))
                for row in range(n)
            ]
        )


def logits_of(output: Any) -> Tensor:
    """The tensor that a classifier returns, or the `logits` among its outputs.

    Raises:
        TypeError: It returns something else.
    """
    logits = output.get("logits") if isinstance(output, Mapping) else output
    logits = getattr(logits, "logits", logits)
    if not isinstance(logits, Tensor):
        raise TypeError(f"expected a tensor of logits, got {type(output).__name__}")
    return logits


def _fill(held: nn.Module, layout: WeightLayout, shared: Mapping[str, Tensor]) -> None:
    """Load the shared state, after checking that checkpoints and it are all that is needed."""
    own, kind = _named_state(held), type(held).__name__
    learned = {name for name, _ in held.named_parameters(remove_duplicate=False)}
    shapes = dict(layout.shapes)
    expected = {**{name: tuple(value.shape) for name, value in shared.items()}, **shapes}
    needed = {name: shape for name, shape in expected.items() if name in shapes or name in own}
    require_same_parameters(needed, {n: tuple(v.shape) for n, v in own.items()}, f"{kind}: ")
    present = {id(own[name]) for name in expected if name in own}
    missing = [
        name
        for name, value in own.items()
        if id(value) not in present and (name in learned or value.is_floating_point())
    ]
    if missing:
        remedy = "give the rest of the network with --shared, or name another network"
        if any(name.rpartition(".")[2] in STATISTICS for name in missing):
            remedy = (
                "expected the running statistics of normalizations, since new ones (0 and 1) "
                "would give other outputs; give the rest of the network with --shared, or a "
                "population that holds them"
            )
        raise InputError(
            f"{kind} needs {first_few(missing)}, which neither the checkpoints hold nor the shared "
            f"state: {remedy}",
            "other-network",
        )
    require_finite(shared)
    held.load_state_dict({k: v for k, v in shared.items() if k in own}, strict=False)


def _named_state(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and saved buffers by all their names."""
    return dict(module.state_dict(keep_vars=True))


def _tried(held: nn.Module, examples: Tensor) -> tuple[nn.Module, Tensor, int]:
    """The network where it runs (a GPU, or the CPU), its logits, and numbers of its largest
    intermediate value per example."""
    largest = [1]

    def measure(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            largest.append(output.numel() // len(examples))

    def run(device: torch.device) -> Tensor:
        with evaluating():
            return logits_of(held.to(device)(examples.to(device)))

    handles = [layer.register_forward_hook(measure) for layer in held.modules()]
    cpu, device = torch.device("cpu"), working_device()
    try:
        logits = guarded(type(held).__name__, partial(run, cpu))
    finally:
        for handle in handles:
            handle.remove()
    if device == cpu or not _same(partial(run, device), logits):
        device = cpu
    return held.to(device), logits, max(largest)


def _ways(
    module: nn.Module, trial: Mapping[str, Tensor], inputs: tuple[Tensor, ...], expected: Tensor
) -> tuple[bool, bool]:
    """Whether many checkpoints run at once, and whether images have their channels last; each only
    if the logits are the same."""
    if not any(isinstance(layer, CONVOLUTIONS) for layer in module.modules()):
        return _same(partial(batched, module, trial, inputs), expected), False
    return False, _same(partial(one_by_one, module, trial, _channels_last(inputs)), expected)


def _channels_last(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The same values; those with the four axes of images have their channels last in memory."""
    return tuple(
        part.to(memory_format=torch.channels_last) if part.ndim == 4 else part for part in inputs
    )


def _halves(
    held: nn.Module, trial: Mapping[str, Tensor], images: Tensor, expected: Tensor
) -> tuple[nn.Module, nn.Module] | None:
    """The fixed beginning and the rest, if there is one that can be told apart and kept."""
    parameters = {name for name, _ in held.named_parameters()}
    if parameters <= trial.keys() or not trial.keys() <= parameters:
        return None
    try:
        before, after = split_at(held, trial.keys())
        with evaluating():
            inside = before(images)
    except Exception:  # whatever tracing raises: then it runs whole
        return None
    is_kept = all(isinstance(part, Tensor) and len(part) == len(images) for part in inside)
    if not inside or not is_kept:
        return None
    if sum(part.numel() for part in inside) > LARGEST_TRUNK * images.numel():
        return None
    same = _same(partial(one_by_one, after, trial, inside), expected)
    return (before, after) if same else None


def _same(run: Callable[[], Tensor], expected: Tensor) -> bool:
    """Whether something runs and gives the expected logits."""
    try:
        outputs = run()
    except Exception:  # whatever torch, or the user's code under it, raises
        return False
    limit = TOLERANCE * expected.abs().max().clamp(min=1e-6).item()
    return outputs.shape == expected.shape and torch.allclose(
        outputs.cpu(), expected.cpu(), rtol=0, atol=limit, equal_nan=True
    )


def guarded(name: str, run: Callable[[], Any]) -> Any:
    """What the user's network gives; whatever it raises becomes one line."""
    try:
        return run()
    except Exception as error:  # whatever the user's code raises
        raise InputError(
            f"{name}: expected a network that gives logits for the examples, got "
            f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}; is the shape of "
            "an example right?",
            "network-failed",
        ) from error


def _device_of(module: nn.Module) -> torch.device:
    tensors = [*module.parameters(), *module.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a scalar"

"""Runs of a copy of a network in evaluation mode, in float64, that leave no trace outside."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import fields, is_dataclass
from numbers import Number

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from novelweights.errors import InputError

LOW = (torch.float32, torch.float16, torch.bfloat16)
CASTS = (Tensor.float, Tensor.half, Tensor.bfloat16)
SMALL = 4 << 20
"""Weights of a network that is tried on one thread: threads that wait for each other cost more than
they bring, on a busy machine ten times as much (measured)."""
COUNTS = "num_batches_tracked"
"""Of batches, in a normalization: changes nothing that a network computes."""


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and the floating-point buffers that are saved, in the order of the state
    dict; what has several names has its first, and counts of batches are left out.

    Raises:
        InputError: A parameter is not of real floating-point numbers.
    """
    parameters = dict(module.named_parameters())
    for name, parameter in parameters.items():
        if not parameter.is_floating_point():
            raise InputError(
                f"{name}: expected a parameter of real floating-point numbers, got "
                f"{parameter.dtype}; convert the network, or write its table by hand",
                "wrong-type",
            )
    saved = module.state_dict()
    own = {**parameters, **dict(module.named_buffers())}
    return {
        name: own[name]
        for name in dict.fromkeys([*saved, *parameters])
        if name in own
        and own[name].is_floating_point()
        and (name in parameters or name in saved)
        and name.rpartition(".")[2] != COUNTS
    }


def working_copy(module: nn.Module) -> nn.Module:
    """The network in evaluation mode and float64, on the CPU.

    Raises:
        InputError: As `evaluation_copy`.
    """
    return evaluation_copy(module).double()


def evaluation_copy(module: nn.Module) -> nn.Module:
    """The network in evaluation mode, on the CPU.

    Raises:
        InputError: It cannot be copied, or has compiled layers.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, torch.jit.ScriptModule):
            raise InputError(
                f"layer {name!r}: expected layers of Python code, got a compiled one "
                "(torch.jit), which cannot be followed; give the network before it was compiled",
                "not-traceable",
            )
    try:
        return copy.deepcopy(module).cpu().eval()
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"expected a network that copy.deepcopy can copy, got {type(module).__name__}: {error}",
            "not-traceable",
        ) from error


def in_double(value: object) -> object:
    """Inputs with their floating-point numbers in float64, on the CPU, as copies."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().clone()
        return value.double() if value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {name: in_double(inner) for name, inner in value.items()}
    if isinstance(value, (tuple, list)):
        inner = map(in_double, value)
        return tuple(inner) if isinstance(value, tuple) else list(inner)
    return value


class _InDouble(TorchFunctionMode):
    """Casts to a lower precision keep float64."""

    def __torch_function__(
        self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        args = tuple(torch.float64 if _is_low(value) else value for value in args)
        named = {
            name: torch.float64 if _is_low(value) else value
            for name, value in (kwargs or {}).items()
        }
        return (Tensor.double if func in CASTS else func)(*args, **named)


def _is_low(value: object) -> bool:
    return isinstance(value, torch.dtype) and value in LOW


@contextmanager
def few_threads(module: nn.Module) -> Iterator[None]:
    """One thread inside, for a small network: see `SMALL`."""
    before = torch.get_num_threads()
    n_weights = sum(parameter.numel() for parameter in module.parameters())
    torch.set_num_threads(1 if n_weights < SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _alone(*, gradients: bool) -> Iterator[None]:
    """Everything in float64, random numbers always the same; the caller's settings and random
    numbers are as before."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.random.fork_rng(devices=[]), torch.set_grad_enabled(gradients), _InDouble():
            torch.default_generator.manual_seed(0)
            yield
    finally:
        torch.set_default_dtype(before)


def run(
    module: nn.Module,
    example: object,
    follow: TorchFunctionMode | None = None,
    *,
    gradients: bool = False,
) -> list[Tensor]:
    """The outputs of a working copy on inputs in float64: a tensor, positional or named inputs.

    Args:
        follow: Sees every torch function that runs.
        gradients: Whether outputs can be differentiated by parameters.

    Raises:
        InputError: An output is neither a tensor, nor a collection of tensors.
    """
    with _alone(gradients=gradients), follow or nullcontext():
        if isinstance(example, Mapping):
            result = module(**example)
        else:
            result = module(*example) if isinstance(example, tuple) else module(example)
    outputs = list(_outputs(result))
    if not outputs:
        raise InputError(
            f"expected a tensor among the network's outputs, got {type(result).__name__}; wrap the "
            "network in a module that returns tensors",
            "network-failed",
        )
    return outputs


def _outputs(result: object) -> Iterator[Tensor]:
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, Mapping):
        for value in result.values():
            yield from _outputs(value)
    elif isinstance(result, (tuple, list)):
        for value in result:
            yield from _outputs(value)
    elif is_dataclass(result) and not isinstance(result, type):
        for field in fields(result):
            yield from _outputs(getattr(result, field.name))
    elif result is not None and not isinstance(result, (Number, str)):
        raise InputError(
            f"expected tensors, or tuples, lists or dicts of them as outputs, got "
            f"{type(result).__name__}; wrap the network in a module that returns tensors",
            "network-failed",
        )


@contextmanager
def layers_noted(module: nn.Module, layers: list[str]) -> Iterator[None]:
    """While active, the names of the layers that are running are in the list, outermost first."""

    def enter(name: str) -> Callable:
        return lambda *_: layers.append(name)

    def leave(*_: object) -> None:
        layers.pop()

    handles = []
    for name, layer in module.named_modules():
        handles.append(layer.register_forward_pre_hook(enter(name)))
        handles.append(layer.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

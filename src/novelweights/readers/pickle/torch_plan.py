"""A value with tensors in it, taken apart once so that it can be made again from other storages.

The files of a population have the same pickle, byte for byte, and other numbers. A plan is made of
the pickle once; each file then costs one step per container and per tensor. Every value made of a
plan has containers of its own. Nothing here is recursive: values may be nested in any depth.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from novelweights.readers.pickle.plain_values import Refused, Stub
from novelweights.readers.pickle.torch_tensors import Storage, TensorPlan

Open = Callable[[Storage, torch.dtype], Tensor]
"""Gives the numbers of a storage, of one axis; it has at least one."""


@dataclass(eq=False)
class Plan:
    """How to make a value. A slot is a place in the list of all values that are made."""

    slots: list[Any] = field(default_factory=list)
    """Constants in their places, None in those of the others."""
    tensors: list[tuple[int, int, TensorPlan]] = field(default_factory=list)
    """Slot, number of the storage, and what is taken of it."""
    storages: list[tuple[Storage, torch.dtype]] = field(default_factory=list)
    made: list[tuple[int, Any, list[int]]] = field(default_factory=list)
    """Slot, original and slots of the parts of every container, parts before wholes."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of each of the file's storages, by key."""

    def build(self, open_storage: Open) -> Any:
        """The value, with the numbers of a file."""
        opened = [
            open_storage(storage, dtype) if storage.size else torch.empty(0, dtype=dtype)
            for storage, dtype in self.storages
        ]
        values = self.slots.copy()
        for slot, number, plan in self.tensors:
            values[slot] = (
                torch.as_strided(opened[number], plan.shape, plan.strides, plan.offset)
                if 0 not in plan.shape
                else torch.empty(plan.shape, dtype=plan.dtype)
            )
        for slot, original, _ in self.made:
            values[slot] = _empty(original)
        for slot, original, parts in self.made:
            if type(original) is tuple:
                values[slot] = tuple([values[part] for part in parts])
        for slot, original, parts in self.made:
            if parts and type(original) is not tuple:
                _fill(values[slot], original, [values[part] for part in parts])
        return values[0]


def plan_of(value: Any, max_bytes: int) -> Plan:
    """The plan of a value that was read from a pickle.

    Raises:
        Refused: Its tensors would have more than `max_bytes` altogether.
        ValueError: Two of them have different ideas of the same storage.
    """
    plan = Plan()
    slots: dict[int, int] = {}
    storages: dict[tuple[Storage, torch.dtype], int] = {}
    waiting: list[tuple[Any, bool]] = [(value, False)]
    while waiting:
        value, entered = waiting.pop()
        parts = _parts(value)
        if entered:
            plan.made.append((slots[id(value)], value, [slots[id(part)] for part in parts]))
            continue
        if id(value) in slots:
            continue
        slots[id(value)] = len(plan.slots)
        if type(value) is Storage:
            raise Refused("expected tensors, got a storage by itself; save the tensor")
        if type(value) is TensorPlan:
            number = storages.setdefault((value.storage, value.dtype), len(storages))
            plan.tensors.append((len(plan.slots), number, value))
        if type(value) in CONTAINERS:
            waiting.append((value, True))
            waiting.extend((part, False) for part in parts)
        plan.slots.append(None if type(value) in (TensorPlan, *CONTAINERS) else value)
    plan.storages = list(storages)
    _check(plan, max_bytes)
    return plan


CONTAINERS = (tuple, list, dict, set, Stub, np.ndarray)


def _parts(value: Any) -> list[Any]:
    """What a container holds. Keys, and items of sets, are constants."""
    if type(value) in (tuple, list):
        return list(value)
    if type(value) is dict:
        return list(value.values())
    if type(value) is Stub:
        return [value.arguments, value.state, value.items]
    return []


def _empty(original: Any) -> Any:
    """A container of the same kind, without its parts if it has any."""
    if type(original) is Stub:
        return Stub(original.name, ())
    if type(original) in (set, np.ndarray):
        return original.copy()
    return type(original)()


def _fill(made: Any, original: Any, parts: list[Any]) -> None:
    if type(made) is dict:
        made.update(zip(original, parts, strict=True))
    elif type(made) is list:
        made.extend(parts)
    else:
        made.arguments, made.state, made.items = parts


def _check(plan: Plan, max_bytes: int) -> None:
    """Enough room for all tensors, and one size of each storage."""
    counts: dict[int, int] = {}
    for _, _, parts in plan.made:
        for part in parts:
            counts[part] = counts.get(part, 0) + 1
    total = sum(
        tensor.n_elements * tensor.dtype.itemsize * counts.get(slot, 1)
        for slot, _, tensor in plan.tensors
    )
    if total > max_bytes:
        raise Refused(
            f"expected tensors of at most {max_bytes:,} bytes, they have {total:,}; save less in "
            "one file, or allow more with --max-bytes"
        )
    for storage, _ in plan.storages:
        if plan.sizes.setdefault(storage.key, storage.whole) != storage.whole:
            raise ValueError(f"storage {storage.key[:40]} of two sizes")

"""Tensors as torch's pickles describe them: parts of storages that lie elsewhere in the file.

A pickle of `torch.save` holds no numbers: each tensor is a call with a storage, an offset, a shape
and strides. Functions here turn the calls into descriptions, checked against the storage. The files
of a population have the same pickle, byte for byte, and other numbers: a `Plan` is made of it once,
and each file then costs one step per container and per tensor.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from novelweights.errors import InputError
from novelweights.readers.pickle.values import CALLS, MENTIONED, Name, Stub, small_integers

STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
QUANTIZED = ("QUInt8Storage", "QInt8Storage", "QInt32Storage", "QUInt4x2Storage", "QUInt2x4Storage")
NEWER_DTYPES = ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2")
"""Types without a storage of their own: they come with untyped ones."""
DTYPES = frozenset(
    {*STORAGES.values(), *(getattr(torch, n) for n in NEWER_DTYPES if hasattr(torch, n))}
)
STORAGE_MODULES = ("torch", "torch.cuda", "torch.storage")
LARGEST = 1 << 62


@dataclass(frozen=True)
class StorageType:
    """What the numbers of a storage are; None for kinds that are not read."""

    dtype: torch.dtype | None


@dataclass(frozen=True)
class Storage:
    """A part of one of the file's storages."""

    key: str
    dtype: torch.dtype
    whole: int
    """Bytes of the file's storage."""
    start: int
    size: int
    """In bytes; of the part."""


@dataclass(frozen=True, eq=False)
class TensorPlan:
    """A tensor that is not read yet."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def unsupported(kind: str, remedy: str) -> InputError:
    """The refusal of a tensor that is no plain one."""
    return InputError(f"expected plain tensors, got {kind}: {remedy} before saving", "wrong-type")


def storage_of(identifier: Any) -> Any:
    """What the persistent identifiers of torch's pickles stand for.

    Raises:
        InputError: A storage without values.
        ValueError: It is no such identifier.
    """
    if type(identifier) is not tuple or len(identifier) < 2:
        raise ValueError("a value outside the pickle that is no storage")
    kind, named, *rest = identifier
    if kind == "module" and type(named) is Name:
        return named  # a class with its source: legacy files of whole networks
    if kind != "storage" or type(named) is not StorageType or len(rest) not in (3, 4):
        raise ValueError("a value outside the pickle that is no storage")
    if named.dtype is None:
        return named  # what is made of it is refused, by its name
    key, location, n_elements = rest[:3]
    if location == "meta":
        raise unsupported("one without values (device meta)", "load its values")
    if type(key) is not str or type(n_elements) is not int or not 0 <= n_elements < LARGEST:
        raise ValueError("a storage without a size")
    item = named.dtype.itemsize
    start, length = 0, n_elements
    if len(rest) == 4 and rest[3] is not None:
        start, length = small_integers(rest[3][1:])
        if start + length > n_elements:
            raise ValueError("a view outside its storage")
    return Storage(key, named.dtype, n_elements * item, start * item, length * item)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> TensorPlan:
    """_rebuild_tensor, and _rebuild_tensor_v2 with (requires_grad, hooks[, metadata])."""
    return _checked(storage, None, offset, shape, strides, *more[2:3])


def _tensor_of_type(*arguments: Any) -> TensorPlan:
    """_rebuild_tensor_v3: the type beside an untyped storage."""
    storage, offset, shape, strides, _, _, dtype, *metadata = arguments
    return _checked(storage, dtype, offset, shape, strides, *metadata[:1])


def _checked(
    storage: Any, dtype: Any, offset: Any, shape: Any, strides: Any, metadata: Any = None
) -> TensorPlan:
    if type(storage) is StorageType:
        raise unsupported("a quantized one", "call .dequantize()")
    if type(storage) is not Storage:
        raise ValueError("a tensor without a storage")
    if metadata:
        raise unsupported("one that is conjugated or negated", "call .resolve_conj().resolve_neg()")
    dtype = storage.dtype if dtype is None else dtype
    if dtype not in DTYPES:
        raise unsupported("one of another type", "call .float()")
    (offset,), shape, strides = map(small_integers, ((offset,), shape, strides))
    if len(shape) != len(strides):
        raise ValueError("a tensor with more axes than strides")
    if math.prod(max(n, 1) for n in shape) * dtype.itemsize >= LARGEST:
        raise ValueError("a shape that is too large")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if 0 not in shape and (last + 1) * dtype.itemsize > storage.size:
        raise ValueError("a tensor outside its storage")
    return TensorPlan(storage, dtype, offset, shape, strides)


def _parameter(tensor: Any, *_: Any) -> TensorPlan:
    if type(tensor) is not TensorPlan:
        raise ValueError("a parameter that is no tensor")
    return tensor


def _of_type(rebuild: Any, kind: Any, arguments: Any, _: Any) -> TensorPlan:
    """_rebuild_from_type_v2: a tensor with attributes of its own, which are left out."""
    made_by = REBUILD.get(str(rebuild)) if type(rebuild) is Name else None
    if made_by is None or type(kind) is not Name or str(kind) not in TENSOR_TYPES:
        raise unsupported("one of a class of its own", "make it a torch.Tensor")
    return made_by(*arguments)


def _device(*arguments: Any) -> str:
    kind, *index = arguments
    if type(kind) is not str or len(kind) > 20:
        raise ValueError("a device that is none")
    return ":".join([kind, *map(str, small_integers(index, axes=1))])


def _refusing(kind: str, remedy: str) -> Callable[..., Any]:
    def refuse(*_: Any) -> Any:
        raise unsupported(kind, remedy)

    return refuse


TENSOR_TYPES = ("torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter")
REBUILD: dict[str, Callable[..., TensorPlan]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_type,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
}
_SPARSE = _refusing("a sparse one", "call .to_dense()")
_OTHER = _refusing("one of a class of its own", "make it a torch.Tensor")
TORCH_NAMES: dict[str, Any] = {
    **CALLS,
    **REBUILD,
    **dict.fromkeys(TENSOR_TYPES, MENTIONED),
    **{f"{m}.{name}": StorageType(of) for m in STORAGE_MODULES for name, of in STORAGES.items()},
    **{f"{m}.{name}": StorageType(None) for m in STORAGE_MODULES for name in QUANTIZED},
    **{str(dtype): dtype for dtype in DTYPES},
    **dict.fromkeys(["torch.per_tensor_affine", "torch.per_channel_affine"], MENTIONED),
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch.serialization._get_layout": lambda layout: layout,  # of sparse ones: a text
    "torch._utils._rebuild_qtensor": _refusing("a quantized one", "call .dequantize()"),
    "torch._utils._rebuild_sparse_tensor": _SPARSE,
    "torch._utils._rebuild_sparse_csr_tensor": _SPARSE,
    "torch._utils._rebuild_nested_tensor": _refusing("a nested one", "call .unbind()"),
    "torch._utils._rebuild_meta_tensor_no_storage": _refusing(
        "one without values (device meta)", "load its values"
    ),
    "torch._utils._rebuild_wrapper_subclass": _OTHER,
    "torch._utils._rebuild_device_tensor_from_numpy": _OTHER,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _OTHER,
    "torch.Size": lambda lengths=(): small_integers(lengths),
    "torch.device": _device,
}
"""What the names in torch's pickles stand for: descriptions, by functions of ours."""


class Plan:
    """How to make a value that was read from a pickle, with the numbers of a file.

    Values may be nested in any depth and in themselves, so nothing here is recursive. Every value
    made of a plan has lists, tuples and dicts of its own.
    """

    def __init__(self, value: Any, max_bytes: int) -> None:
        """Take a value apart.

        Raises:
            InputError: Its tensors would have more than `max_bytes` altogether.
            ValueError: Two of them have different ideas of the same storage.
        """
        self.sizes: dict[str, int] = {}
        """Bytes of each of the file's storages, by key."""
        self.storages: dict[tuple[Storage, torch.dtype], int] = {}
        """Numbers of all that are opened."""
        self.values: list[Any] = []
        """Each once; its place is its slot."""
        self.tensors: list[tuple[int, int, TensorPlan]] = []
        """Slot, number of the storage, and what is taken of it."""
        self.containers: list[tuple[int, Any, list[int]]] = []
        """Slot, original and slots of the parts, parts before wholes."""
        slots: dict[int, int] = {}
        waiting, total = [(value, False)], 0
        while waiting:
            value, entered = waiting.pop()
            if type(value) is Storage:
                raise InputError(
                    "expected tensors, got a storage by itself; save the tensor", "wrong-type"
                )
            if type(value) is TensorPlan:
                total += math.prod(value.shape) * value.dtype.itemsize
            if entered:
                parts = [slots[id(part)] for part in _parts(value)]
                self.containers.append((slots[id(value)], value, parts))
            elif id(value) not in slots:
                slots[id(value)] = len(self.values)
                if type(value) is TensorPlan:
                    self._add(value)
                elif type(value) in (tuple, list, dict, Stub):
                    waiting += [(value, True), *((part, False) for part in _parts(value))]
                self.values.append(value)
        if total > max_bytes:
            raise InputError(
                f"expected tensors of at most {max_bytes:,} bytes, they have {total:,}; save less "
                "in one file, or allow more with --max-bytes",
                "too-large",
            )

    def _add(self, tensor: TensorPlan) -> None:
        storage = tensor.storage
        if self.sizes.setdefault(storage.key, storage.whole) != storage.whole:
            raise ValueError(f"storage {storage.key[:40]} of two sizes")
        number = self.storages.setdefault((storage, tensor.dtype), len(self.storages))
        self.tensors.append((len(self.values), number, tensor))

    def build(self, open_storage: Callable[[Storage, torch.dtype], Tensor]) -> Any:
        """The value, given what opens a storage that is not empty, as numbers along one axis."""
        opened = [
            open_storage(storage, dtype) if storage.size else torch.empty(0, dtype=dtype)
            for storage, dtype in self.storages
        ]
        values = self.values.copy()
        for slot, number, plan in self.tensors:
            values[slot] = (
                torch.as_strided(opened[number], plan.shape, plan.strides, plan.offset)
                if 0 not in plan.shape
                else torch.empty(plan.shape, dtype=plan.dtype)
            )
        for slot, original, _ in self.containers:
            is_stub = type(original) is Stub
            values[slot] = Stub(original.name, ()) if is_stub else type(original)()
        for slot, original, parts in self.containers:
            if type(original) is tuple:
                values[slot] = tuple([values[part] for part in parts])
        for slot, original, parts in self.containers:
            made, inside = values[slot], [values[part] for part in parts]
            if type(made) is dict:
                made.update(zip(original, inside, strict=True))
            elif type(made) is list:
                made.extend(inside)
            elif type(made) is Stub:
                made.arguments, made.state, made.items = inside
        return values[0]


def _parts(value: Any) -> list[Any]:
    """What a container holds. Keys, items of sets and arrays are constants."""
    if type(value) is dict:
        return list(value.values())
    return [value.arguments, value.state, value.items] if type(value) is Stub else list(value)

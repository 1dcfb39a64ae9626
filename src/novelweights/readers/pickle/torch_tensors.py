"""Tensors as torch's pickles describe them: parts of storages that lie elsewhere in the file.

A pickle of `torch.save` holds no numbers: each tensor is a call with a storage, an offset, a shape
and strides. These functions turn the calls into descriptions, checked against the storage.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from novelweights.readers.pickle.calls import CALLS, small_integers
from novelweights.readers.pickle.plain_values import Name, Refused

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
QUANTIZED_STORAGES = (
    *("QUInt8Storage", "QInt8Storage", "QInt32Storage", "QUInt4x2Storage", "QUInt2x4Storage"),
)
NEWER_DTYPES = tuple(
    getattr(torch, name)
    for name in ["uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2"]
    if hasattr(torch, name)
)
"""Types without a storage of their own: they come with untyped ones."""
DTYPES = frozenset({*STORAGES.values(), *NEWER_DTYPES})
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

    @property
    def n_elements(self) -> int:
        """Elements of its shape, however few of the storage they are."""
        return math.prod(self.shape)


def unsupported(kind: str, remedy: str) -> Refused:
    """The refusal of a tensor that is no plain one."""
    return Refused(f"expected plain tensors, got {kind}: {remedy} before saving")


def storage_of(identifier: Any) -> Any:
    """What the persistent identifiers of torch's pickles stand for.

    Raises:
        Refused: A storage without values.
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
    size = n_elements * named.dtype.itemsize
    if len(rest) == 3 or rest[3] is None:
        return Storage(key, named.dtype, size, 0, size)
    _, start, length = rest[3]
    start, length = small_integers((start, length))
    if start + length > n_elements:
        raise ValueError("a view outside its storage")
    item = named.dtype.itemsize
    return Storage(key, named.dtype, size, start * item, length * item)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> TensorPlan:
    """_rebuild_tensor, and _rebuild_tensor_v2 with (requires_grad, hooks[, metadata])."""
    metadata = more[2] if len(more) > 2 else None
    return _checked(storage, None, offset, shape, strides, metadata)


def _tensor_of_type(*arguments: Any) -> TensorPlan:
    """_rebuild_tensor_v3: the type beside an untyped storage."""
    storage, offset, shape, strides, _, _, dtype, *metadata = arguments
    return _checked(storage, dtype, offset, shape, strides, metadata[0] if metadata else None)


def _checked(
    storage: Any, dtype: Any, offset: Any, shape: Any, strides: Any, metadata: Any
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
    plan = TensorPlan(storage, dtype, offset, shape, strides)
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if 0 not in shape and (last + 1) * dtype.itemsize > storage.size:
        raise ValueError("a tensor outside its storage")
    return plan


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
_QUANTIZED = _refusing("a quantized one", "call .dequantize()")
_SPARSE = _refusing("a sparse one", "call .to_dense()")
_NO_VALUES = _refusing("one without values (device meta)", "load its values")
_OTHER = _refusing("one of a class of its own", "make it a torch.Tensor")
_QUANTIZED_SCHEMES = ("per_tensor_affine", "per_channel_affine")
TORCH_NAMES: dict[str, Any] = {
    **CALLS,
    **{f"torch.{name}": Name("torch", name) for name in _QUANTIZED_SCHEMES},
    **REBUILD,
    **{name: Name(*name.rsplit(".", 1)) for name in TENSOR_TYPES},
    **{f"{m}.{name}": StorageType(of) for m in STORAGE_MODULES for name, of in STORAGES.items()},
    **{f"{m}.{name}": StorageType(None) for m in STORAGE_MODULES for name in QUANTIZED_STORAGES},
    **{str(dtype): dtype for dtype in DTYPES},
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch.serialization._get_layout": lambda layout: layout,  # of sparse ones: a text
    "torch._utils._rebuild_qtensor": _QUANTIZED,
    "torch._utils._rebuild_sparse_tensor": _SPARSE,
    "torch._utils._rebuild_sparse_csr_tensor": _SPARSE,
    "torch._utils._rebuild_nested_tensor": _refusing("a nested one", "call .unbind()"),
    "torch._utils._rebuild_meta_tensor_no_storage": _NO_VALUES,
    "torch._utils._rebuild_wrapper_subclass": _OTHER,
    "torch._utils._rebuild_device_tensor_from_numpy": _OTHER,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _OTHER,
    "torch.Size": lambda lengths=(): small_integers(lengths),
    "torch.device": _device,
}
"""What the names in torch's pickles stand for: descriptions, by functions of ours."""

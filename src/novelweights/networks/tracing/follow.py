"""A run of a network that follows, through every torch function, what the axes of values count.

Torch hands every function that it is asked for to `Follow`, which lets it compute and then looks up
the function's rule. So loops, branches on shapes and layers of any class are followed as they run;
what a network computes in a way that depends on the values themselves is refused. Ours.
"""

from collections.abc import Callable, Iterable, Mapping

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from novelweights.errors import InputError
from novelweights.networks.tracing import (
    linear_maps,
    matrix_products,
    pointwise,
    reductions,
    shapes,
)
from novelweights.networks.tracing.axes import (
    Axes,
    Fixed,
    Unknown,
    fix,
    movable,
    new,
    size,
    why_fixed,
)
from novelweights.networks.tracing.call import Call, Notes, Rule, Value, names, tensors_in

RULES: dict[str, Rule] = {
    **linear_maps.RULES,
    **matrix_products.RULES,
    **shapes.RULES,
    **pointwise.RULES,
    **reductions.RULES,
}
CONSTANTS = names(
    "zeros_like ones_like full_like empty_like rand_like randn_like new_zeros new_ones new_full "
    "new_empty new_tensor"
)
"""Functions that take no values from their operands, only shapes and types."""
ABOUT = names(
    "shape size dim ndim ndimension numel nelement len device dtype layout stride storage_offset "
    "requires_grad grad_fn grad is_leaf is_nested is_sparse is_quantized is_cuda is_cpu is_mps "
    "is_xla is_meta is_mkldnn is_floating_point is_complex is_contiguous is_inference "
    "is_same_size is_signed is_conj is_neg element_size itemsize nbytes get_device type "
    "result_type names output_nr format repr str hash"
)
"""Questions about a tensor that its values do not answer (or only for people to read)."""
RECURRENT = names("lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell")
LIKE_ANOTHER = names("to type_as expand_as view_as reshape_as")
"""Functions that take values from their first operand only."""
STATISTICS = names("batch_norm instance_norm")
"""Functions whose buffers are trained; all other buffers are constants of the network."""
REFLECTED = names("iadd isub imul itruediv idiv ipow iand ior ixor ifloordiv radd rmul")


def name_of(function: Callable) -> str:
    """What a rule calls a torch function: in-place variants and operators like the function."""
    name = getattr(function, "__name__", type(function).__name__)
    owner = getattr(function, "__self__", None)
    if name in ("__get__", "__set__") and owner is not None:  # of a property
        return ("set " if name == "__set__" else "") + owner.__name__
    name = name.strip("_")
    return name[1:] if name in REFLECTED else name


class Follow(TorchFunctionMode):
    """While active, finds out what the axes of every value count that depends on the weights.

    Args:
        buffers: Which of them are buffers: statistics, or else constants of the network.
    """

    def __init__(self, weights: Mapping[str, Tensor], buffers: Iterable[str]) -> None:
        super().__init__()
        self.notes = Notes()
        self.weights = {
            name: Value(tuple(map(new, tensor.shape)), name, is_weight=True)
            for name, tensor in weights.items()
        }
        self.layers = [""]
        """The layer that is running, inside those before it."""
        self._buffers = frozenset(buffers)
        self._values: WeakIdKeyDictionary = WeakIdKeyDictionary()
        for name, tensor in weights.items():
            self._values[tensor] = self.weights[name]

    def __torch_function__(
        self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        self._take(func, args, kwargs or {}, result)
        return result

    @property
    def where(self) -> str:
        """The layer that is running, for messages."""
        return f"layer {self.layers[-1]!r}" if self.layers[-1] else "the network itself"

    def hold(self, values: object) -> None:
        """Nothing in these tensors may move: inputs and outputs of the network."""
        for tensor in tensors_in(values):
            if tensor in self._values:
                self._values[tensor].uses += 1
                fix(*self._values[tensor].axes)
            else:
                self._values[tensor] = Value(tuple(map(Fixed, tensor.shape)))

    def value_of(self, tensor: Tensor) -> Value:
        """What is known of a tensor; a constant may be reordered where its entries are equal."""
        if tensor in self._values:
            return self._values[tensor]
        return Value(
            tuple(
                new(n, may_flip=False)
                if n and bool((tensor == tensor.narrow(axis, 0, 1)).all())
                else Fixed(n)
                for axis, n in enumerate(tensor.shape)
            )
        )

    def _take(self, function: Callable, args: tuple, kwargs: dict, result: object) -> None:
        """One call that has been computed."""
        name = name_of(function)
        traced = [tensor for tensor in tensors_in((args, kwargs)) if tensor in self._values]
        if name in LIKE_ANOTHER:
            traced = [tensor for tensor in traced if tensor is args[0]]
        results = list(tensors_in(result))
        if not traced or name in CONSTANTS or (name in ABOUT and not results):
            return
        self._refuse(name, has_values=bool(results) or result is None)
        values = [self._values[tensor] for tensor in traced]
        for value in values:
            value.uses += 1
            if value.name in self._buffers and name not in STATISTICS:
                fix(*value.axes)
        call = Call(name, function, args, kwargs, result, self.value_of, self.notes)
        changed = [args[0]] if result is None else results
        try:
            axes = self._by_rule(call, results)
        except Unknown:
            axes = self._not_followed(name, values, changed)
        is_weight = all(value.is_weight for value in values)
        for tensor, found in zip(changed, axes, strict=True):
            if tensor not in self._values or self._values[tensor].axes != found:
                self._values[tensor] = Value(found, is_weight=is_weight, made_by=call.made_by)

    def _not_followed(self, name: str, values: list[Value], changed: list[Tensor]) -> list[Axes]:
        """The axes of what a function gives that has no rule: fixed, as its operands are now.

        It is not known whether these may move, where anything on them might.
        """
        operands = [axis for value in values for axis in value.axes]
        why = next(filter(None, map(why_fixed, operands)), "")
        if any(True for axis in operands for _ in movable(axis)):
            why = f"{name} in {self.where}"
        fix(*operands, why=why)
        return [tuple(Fixed(n, why) for n in tensor.shape) for tensor in changed]

    def _by_rule(self, call: Call, results: list[Tensor]) -> list[Axes]:
        """The axes of the results, by the function's rule.

        Raises:
            Unknown: There is none, or it does not cover this.
        """
        module = getattr(call.function, "__module__", None) or "torch"
        operands = list(tensors_in((call.args, call.kwargs)))
        written = any(x is y for x in results for y in operands if y not in self._values)
        if call.name not in RULES or not module.startswith("torch") or written or not results:
            raise Unknown
        axes = RULES[call.name](call)
        axes = axes if isinstance(axes, list) else [axes]
        shapes = [tuple(tensor.shape) for tensor in results]
        if [tuple(map(size, found)) for found in axes] != shapes:
            raise Unknown
        return axes

    def _refuse(self, name: str, *, has_values: bool) -> None:
        """Refuse what cannot be followed.

        Raises:
            InputError: A recurrent layer, or a value of which the network's course may depend.
        """
        if name in RECURRENT:
            raise InputError(
                f"{self.where}: expected layers without a recurrent state, got {name}; write the "
                "table (NeuronSymmetry) by hand, or leave alignment off",
                "not-traceable",
            )
        if not has_values:
            raise InputError(
                f"{self.where}: expected a course that depends on shapes only, got {name}() of a "
                "value that depends on inputs or weights; take the branch out, or write the table "
                "(NeuronSymmetry) by hand",
                "not-traceable",
            )

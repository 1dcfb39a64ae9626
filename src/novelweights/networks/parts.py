"""Some parameters of a network as a target network of their own; all the rest is fixed.

P-diff generates two batch normalizations of a ResNet-18 and nothing else. What comes before the
first of them gives the same activations for every checkpoint, so it is computed once (`trunk`), and
only what comes after it for each checkpoint (`tail`). Where to cut is found by tracing the module,
so this works for any that `torch.fx` can trace. Ours.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.func import functional_call

from novelweights.errors import InputError, first_few
from novelweights.networks.network import evaluating, working_device
from novelweights.networks.resnet import ResNet18, whole_state
from novelweights.weights.layout import WeightLayout
from novelweights.weights.symmetry import NeuronSymmetry

IMAGES_AT_ONCE = 512  # by measurement; activations of fewer leave a machine idle
LAST_TWO_NORMALIZATIONS = (
    "layer4.1.bn1.weight",
    "layer4.1.bn1.bias",
    "layer4.1.bn2.weight",
    "layer4.1.bn2.bias",
)
"""What P-diff generates of a ResNet-18, in its order. Source: released code."""


@dataclass(frozen=True, eq=False)
class PartOfNetwork:
    """Some parameters of a ResNet-18 whose other parameters and buffers are given.

    Raises:
        InputError: A tensor of the rest is missing, or has another shape than the network's.
    """

    network: ResNet18
    shared: Mapping[str, Tensor]
    """The rest: every parameter and buffer that is not generated."""
    generated: tuple[str, ...] = LAST_TWO_NORMALIZATIONS
    """Names of the parameters that a checkpoint holds, in flat order."""

    def __post_init__(self) -> None:
        shapes = dict(self.network.layout.shapes)
        faults = []
        for name, shape in shapes.items():
            value = self.shared.get(name)
            if name not in self.generated and (value is None or tuple(value.shape) != shape):
                got = "missing" if value is None else "x".join(map(str, value.shape))
                faults.append(f"{name} is {got}, expected {'x'.join(map(str, shape))}")
        if faults:
            raise InputError(
                f"the shared state does not fit {self.network.name}: {first_few(faults, '; ')}; "
                "give the state of the network whose parts the checkpoints are",
                "other-network",
            )
        require_finite({name: self.shared[name] for name in shapes if name in self.shared})

    @property
    def name(self) -> str:
        """The network and which of its layers are generated."""
        layers = dict.fromkeys(name.rpartition(".")[0] for name in self.generated)
        return f"{self.network.name}: {', '.join(layers)}"

    @property
    def inputs(self) -> int:
        """Pixels of an image, all channels."""
        return self.network.inputs

    @property
    def classes(self) -> int:
        """Classes it tells apart."""
        return self.network.classes

    @property
    def layout(self) -> WeightLayout:
        """The generated parameters."""
        shapes = dict(self.network.layout.shapes)
        return WeightLayout(tuple((name, shapes[name]) for name in self.generated))

    @property
    def symmetry(self) -> NeuronSymmetry:
        """No moves: a channel that is reordered here would have to be in the fixed rest too."""
        return NeuronSymmetry({name: (None,) * len(shape) for name, shape in self.layout.shapes})

    def initial(self, rng: torch.Generator) -> Float[Tensor, " d"]:
        """These parameters of one random initialization of the network."""
        return self.taken_from(self.network.initial(rng))

    def taken_from(self, whole: Float[Tensor, " d_network"]) -> Float[Tensor, " d"]:
        """These parameters of a checkpoint of the whole network."""
        state = self.network.layout.unflatten(whole)
        return self.layout.flatten({name: state[name] for name in self.generated})

    def trunk(self, x: Float[Tensor, "examples inputs"]) -> tuple[Tensor, ...]:
        """Activations before the first generated layer, of every example."""
        before, _ = self._halves
        blocks = map(self.network.images, x.split(IMAGES_AT_ONCE))
        return activations_of(before, blocks, self._device)

    def tail(
        self, weights: Float[Tensor, "n d"], activations: tuple[Tensor, ...]
    ) -> Float[Tensor, "n examples classes"]:
        """Logits of every checkpoint, from what `trunk` gave."""
        _, after = self._halves
        n_examples = len(activations[0])
        logits = torch.empty(len(weights), n_examples, self.classes)
        states = [self.layout.unflatten(checkpoint) for checkpoint in weights.to(self._device)]
        with evaluating():
            for start in range(0, n_examples, IMAGES_AT_ONCE):
                some = tuple(part[start : start + IMAGES_AT_ONCE] for part in activations)
                for row, state in enumerate(states):
                    logits[row, start : start + IMAGES_AT_ONCE] = functional_call(
                        after, state, some
                    )
        return logits

    def forward(
        self, weights: Float[Tensor, "n d"], x: Float[Tensor, "examples inputs"]
    ) -> Float[Tensor, "n examples classes"]:
        """Logits of every checkpoint on the same examples."""
        return self.tail(weights, self.trunk(x))

    def module(self) -> nn.Module:
        """The whole network as an ordinary `torch.nn.Module` with the shared state."""
        module = self.network.module()
        module.load_state_dict(dict(self.shared), strict=False)
        return module

    @cached_property
    def _halves(self) -> tuple[nn.Module, nn.Module]:
        """Trunk and tail, in evaluation mode."""
        return split_at(self.module().eval().to(self._device), self.generated)

    @cached_property
    def _device(self) -> torch.device:
        return working_device()


def split_at(module: nn.Module, generated: Collection[str]) -> tuple[nn.Module, nn.Module]:
    """A network in two: what does not depend on some parameters, and the rest.

    Args:
        module: Traced by `torch.fx`; both halves share its layers, hence also its modes.

    Returns:
        The first half, which takes the input and returns a tuple of activations, and the second,
        which takes these, one argument each, and returns the output.

    Raises:
        ValueError: A name is not a parameter of the module, or the output depends on none.
    """
    unknown = set(generated) - {name for name, _ in module.named_parameters()}
    if unknown:
        raise ValueError(f"{sorted(unknown)} are no parameters of the network")
    graph = fx.symbolic_trace(module).graph
    depends: set[fx.Node] = set()
    for node in graph.nodes:
        is_own = node.op in ("call_module", "get_attr")
        reads = any(f"{name}.".startswith(f"{node.target}.") for name in generated)
        if (is_own and reads) or depends.intersection(node.all_input_nodes):
            depends.add(node)
    [output] = [node for node in graph.nodes if node.op == "output"]
    if output not in depends:
        raise ValueError("the output does not depend on the generated parameters")
    cut = [
        node
        for node in graph.nodes
        if node not in depends and depends.intersection(node.users) and node.op != "get_attr"
    ]
    first, second = fx.Graph(), fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node not in depends:
            copied[node] = first.node_copy(node, lambda old: copied[old])
    first.output(tuple(copied[node] for node in cut))
    moved = {node: second.placeholder(f"activation_{i}") for i, node in enumerate(cut)}
    for node in graph.nodes:
        if node in depends or (node.op == "get_attr" and depends.intersection(node.users)):
            moved[node] = second.node_copy(node, lambda old: moved[old])
    halves = fx.GraphModule(module, first), fx.GraphModule(module, second)
    for half in halves:
        half.graph.eliminate_dead_code()
        half.recompile()
    return halves


def shared_state(module: nn.Module, generated: Collection[str]) -> dict[str, Tensor]:
    """The rest of a network: its whole state without some parameters."""
    return {
        name: value.detach().clone()
        for name, value in whole_state(module).items()
        if name not in generated
    }


def require_finite(shared: Mapping[str, Tensor]) -> None:
    """Refuse a shared state with numbers that are none.

    Raises:
        InputError: The tensors that have such numbers are named.
    """
    bad = [name for name, value in shared.items() if not value.isfinite().all()]
    if bad:
        raise InputError(
            f"the shared state holds NaN or infinite numbers in {first_few(bad)}; expected finite "
            "ones: build the population again",
            "not-finite",
        )


def activations_of(
    before: Callable[[Tensor], tuple[Tensor, ...]], blocks: Iterable[Tensor], device: torch.device
) -> tuple[Tensor, ...]:
    """What the first half of a network gives of all examples, block by block."""
    with evaluating():
        activations = [before(some.to(device)) for some in blocks]
    return tuple(torch.cat(parts) for parts in zip(*activations, strict=True))

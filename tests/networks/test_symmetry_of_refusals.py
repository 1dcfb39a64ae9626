"""What cannot be followed is refused or fixed, and the network given is left as it was."""

import copy

import pytest
import torch
from network_families import ResNet, Vgg, mlp
from refused import refused
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from novelweights.networks.symmetry_of import layout_of, symmetry_of


class Wrapped(nn.Module):
    """Two layers with any function between."""

    def __init__(self, between, width=4):
        super().__init__()
        self.first, self.last, self.between = nn.Linear(3, width), nn.Linear(width, 2), between

    def forward(self, x):
        return self.last(self.between(self.first(x)))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.embed, self.memory = nn.Linear(3, 4), kind(4, 5)

    def forward(self, x):
        return self.memory(self.embed(x))[0]


X = torch.randn(2, 3, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("kind", "name"),
    [(nn.LSTM, "lstm"), (nn.GRU, "gru"), (nn.RNN, "rnn_tanh"), (nn.GRUCell, "gru_cell")],
)
def test_recurrent_layers_are_refused_by_name(kind, name):
    with refused("not-traceable", "'memory'", name):
        symmetry_of(Recurrent(kind), X)


@pytest.mark.parametrize(
    ("between", "function"),
    [
        pytest.param(lambda h: h if h.sum() > 0 else -h, "bool", id="branch"),
        pytest.param(lambda h: h * h.max().item(), "item", id="number"),
        pytest.param(lambda h: h * float(h[0, 0]), "float", id="float"),
        pytest.param(lambda h: h[: int(h.abs().sum())], "int", id="range"),
        pytest.param(lambda h: torch.from_numpy(h.numpy()), "numpy", id="numpy"),
        pytest.param(lambda h: h + len(h.tolist()), "tolist", id="list"),
    ],
)
def test_a_course_that_depends_on_values_is_refused(between, function):
    with refused("not-traceable", f"{function}()"):
        symmetry_of(Wrapped(between), X)


def test_a_branch_is_refused_in_the_layer_that_takes_it():
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.mean() > 0 else 2 * x

    network = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), Branch()), nn.Linear(4, 2))
    with refused("not-traceable", "'1.1'"):
        symmetry_of(network, X)


def test_what_torch_cannot_follow_is_refused():
    class Mapped(nn.Linear):
        def forward(self, x):
            return torch.vmap(super().forward)(x)

    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), Mapped(4, 2))
    with refused("not-traceable", "'2'", "torch.vmap"):
        symmetry_of(network, X)


def test_branches_on_shapes_are_followed():
    def between(h):
        assert h.dim() == 2, "rows"
        return F.relu(h) if h.shape[1] > 2 and len(h) < 5 else h.unknown()

    table = symmetry_of(Wrapped(between), X)
    assert table.axes["last.weight"] == (None, "first")


@pytest.mark.parametrize(
    "between",
    [
        pytest.param(lambda h: torch.fft.fft(h).real, id="no rule"),
        pytest.param(lambda h: h.cumsum(1), id="running sum"),
        pytest.param(lambda h: h.sort(dim=1)[0] * h, id="sorted, times unsorted"),
        pytest.param(lambda h: h.roll(1, 1), id="rolled"),
        pytest.param(lambda h: h.flip(1), id="flipped"),
        pytest.param(lambda h: h[:, torch.tensor([1, 0, 3, 2])], id="picked by number"),
        pytest.param(lambda h: h + torch.arange(4.0), id="added numbers"),
        pytest.param(lambda h: h * torch.randn(4), id="random numbers"),
        pytest.param(lambda h: torch.argmax(h, 1, keepdim=True) * h, id="place of the largest"),
        pytest.param(lambda h: F.avg_pool1d(h[:, None], 3, 1, 1)[:, 0], id="neighbors"),
        pytest.param(lambda h: F.dropout(h), id="dropout that stays on"),
        pytest.param(lambda h: torch.where(h > 0, h, torch.arange(4.0)), id="chosen"),
        pytest.param(lambda h: F.local_response_norm(h[..., None], 3)[..., 0], id="responses"),
    ],
)
def test_what_tells_neurons_apart_fixes_them(between):
    network = Wrapped(between)
    assert symmetry_of(network, X).sizes(layout_of(network)) == {}


@pytest.mark.parametrize(
    "between",
    [
        pytest.param(lambda h: h + torch.ones(4), id="equal numbers"),
        pytest.param(lambda h: torch.zeros(2, 4).add(h), id="zeros"),
        pytest.param(lambda h: h - h.mean(1, keepdim=True), id="mean"),
        pytest.param(lambda h: h / h.norm(dim=1, keepdim=True), id="norm"),
        pytest.param(lambda h: h.softmax(-1), id="softmax"),
        pytest.param(lambda h: h + h.max(dim=0).values, id="largest of the batch"),
        pytest.param(lambda h: h.clamp_(min=0).mul_(2), id="in place"),
        pytest.param(lambda h: sum([h.exp(), 1 / h.cosh()]), id="sum of a list"),
        pytest.param(lambda h: torch.einsum("...i,...i->...i", h, h), id="einsum"),
        pytest.param(lambda h: h.repeat(1, 2).view(2, 2, 4).prod(1), id="repeated"),
        pytest.param(lambda h: h.float().type_as(h).to(torch.float32), id="cast"),
        pytest.param(lambda h: F.layer_norm(h, (4,)).requires_grad_(False), id="layer norm"),
        pytest.param(lambda h: h[:, None].expand(-1, 3, -1).transpose(1, 2).amax(2), id="copies"),
        pytest.param(lambda h: Clipped.apply(h), id="function of one's own"),
    ],
)
def test_what_treats_neurons_alike_moves_all_of_them(between):
    network = Wrapped(between)
    assert symmetry_of(network, X).sizes(layout_of(network)) == {"first": 4}


class Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)


def test_normalized_weights_move_with_their_lengths():
    network = nn.Sequential(weight_norm(nn.Linear(3, 4)), nn.Tanh(), weight_norm(nn.Linear(4, 2)))
    axes = symmetry_of(network, X).axes
    [(group,)] = {axes["0.bias"]}
    length, direction = (f"parametrizations.weight.original{i}" for i in (0, 1))
    assert (axes[f"0.{length}"], axes[f"0.{direction}"]) == ((group, None), (group, None))
    assert (axes[f"2.{length}"], axes[f"2.{direction}"]) == ((None, None), (None, group))


def test_what_escapes_is_caught_by_random_weights():
    class Stored(nn.Module):
        """Keeps weights in a way that torch does not tell."""

        def forward(self, h):
            with torch._C.DisableTorchFunction():
                return h.flip(1) * 1.0

    with refused("wrong-symmetry", "first (first.weight, first.bias)"):
        symmetry_of(Wrapped(Stored()), X)


@pytest.mark.parametrize(
    ("network", "example", "refusal"),
    [
        (mlp(3, 4, 2), torch.ones(2, 5), ("network-failed", "RuntimeError")),
        (mlp(3, 4, 2), (X, X), ("network-failed", "TypeError")),
        (Wrapped(lambda h: h * torch.inf), X, ("not-traceable", "1e-14")),
        (Wrapped(lambda h: (1e20 * h).sin()), X, ("not-traceable", "1e-14")),
    ],
    ids=["another width", "two inputs", "infinite", "chaotic"],
)
def test_inputs_and_networks_that_give_no_steady_outputs_are_refused(network, example, refusal):
    with refused(*refusal):
        symmetry_of(network, example)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit goes out of use
def test_compiled_layers_are_refused():
    network = nn.Sequential(nn.Linear(3, 4), torch.jit.trace(nn.ReLU(), X), nn.Linear(4, 2))
    with refused("not-traceable", "'1'", "torch.jit"):
        symmetry_of(network, X)


def test_outputs_must_be_tensors():
    class Odd(nn.Module):
        def __init__(self, result):
            super().__init__()
            self.linear, self.result = nn.Linear(3, 2), result

        def forward(self, x):
            return self.result(self.linear(x))

    for result in (lambda x: None, lambda x: {x.shape}, lambda x: "text"):
        with refused("network-failed"):
            symmetry_of(Odd(result), X)


def test_the_network_and_the_random_numbers_stay_as_they_were():
    network = Vgg(norm=True).train()
    before, example = copy.deepcopy(network.state_dict()), torch.randn(2, 3, 16, 16)
    state, unchanged = torch.get_rng_state(), example.clone()
    symmetry_of(network, example)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(example, unchanged)
    assert torch.get_default_dtype() is torch.float32
    assert network.training
    assert all(p.requires_grad and p.dtype is torch.float32 for p in network.parameters())
    assert all(not layer._forward_pre_hooks for layer in network.modules())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.integration
def test_the_table_does_not_depend_on_weights_precision_or_batch():
    network = ResNet()
    expected = symmetry_of(network, torch.randn(2, 3, 8, 8))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert symmetry_of(network.bfloat16(), torch.zeros(1, 3, 16, 16).bfloat16()) == expected


def test_a_layout_has_parameters_and_statistics_once():
    network = Vgg(norm=True)
    names = [name for name, _ in layout_of(network).shapes]
    assert names == [n for n in network.state_dict() if "num_batches" not in n]
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    tied.register_buffer("shown", torch.ones(2))
    tied.register_buffer("hidden", torch.ones(2), persistent=False)
    tied.register_buffer("count", torch.ones(2, dtype=torch.long))
    assert dict(layout_of(tied).shapes) == {
        "shown": (2,),
        "0.weight": (3, 3),
        "0.bias": (3,),
        "1.bias": (3,),
    }
    complex_ = nn.ParameterDict({"w": nn.Parameter(torch.ones(2, dtype=torch.cfloat))})
    with refused("wrong-type", "w:", "torch.complex64"):
        layout_of(complex_)


def test_inputs_may_have_names():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, *, points, scale=1.0):
            return self.b(torch.tanh(self.a(points) * scale))

    table = symmetry_of(Named(), {"points": X})
    assert table.axes["b.weight"] == (None, "a")
    assert table.sign_groups == {"a"}

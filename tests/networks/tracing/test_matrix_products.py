"""A product of matrices moves in the same way, however it is written."""

import pytest
import torch
from network_families import noise
from torch import nn
from torch.nn import functional as F

from novelweights.networks.symmetry_of import layout_of, symmetry_of

FORMS = {
    "layers": lambda x, a, b: F.linear(F.linear(x, a), b),
    "T": lambda x, a, b: (x @ a.T) @ b.T,
    "mT": lambda x, a, b: (x @ a.mT) @ b.mT,
    "H": lambda x, a, b: (x @ a.H) @ b.mH,
    "adjoint": lambda x, a, b: (x @ a.adjoint()) @ torch.adjoint(b),
    "t": lambda x, a, b: (x @ a.t()) @ torch.t(b),
    "transpose": lambda x, a, b: x @ a.transpose(0, 1) @ torch.transpose(b, -1, -2),
    "permute": lambda x, a, b: x @ a.permute(1, 0) @ torch.permute(b, (1, 0)),
    "swapped axes": lambda x, a, b: x @ a.swapaxes(0, 1) @ b.swapdims(0, 1),
    "moved axes": lambda x, a, b: x @ a.movedim(0, 1) @ torch.moveaxis(b, 0, 1),
    "matmul": lambda x, a, b: torch.matmul(torch.matmul(x, a.T), other=b.T),
    "linalg": lambda x, a, b: torch.linalg.matmul(torch.linalg.matmul(x, a.T), b.T),
    "mm": lambda x, a, b: torch.mm(x.mm(a.T), b.T),
    "product first": lambda x, a, b: F.linear(x, b @ a),
    "weights on the left": lambda x, a, b: (b @ (a @ x.T)).T,
    "einsum": lambda x, a, b: torch.einsum("ni,ri,or->no", x, a, b),
    "einsum with dots": lambda x, a, b: torch.einsum("...i,ri,or->...o", x, a, b),
    "einsum without arrow": lambda x, a, b: torch.einsum("ai,bi", x, a) @ b.T,
    "einsum by numbers": lambda x, a, b: torch.einsum(x, [0, 1], a, [2, 1], [0, 2]) @ b.T,
    "addmm": lambda x, a, b: torch.addmm(torch.zeros(6), x @ a.T, b.T, alpha=0.5),
    "addmm by name": lambda x, a, b: torch.addmm(torch.zeros(6), mat1=x @ a.T, mat2=b.T),
    "bmm": lambda x, a, b: torch.bmm(torch.bmm(x[None], a.T[None]), b.T[None])[0],
    "bmm, one each": lambda x, a, b: torch.bmm(x[:, None], (b @ a).T.expand(3, -1, -1))[:, 0],
    "baddbmm": lambda x, a, b: torch.baddbmm(torch.zeros(1, 6), (x @ a.T)[None], b.T[None])[0],
    "addbmm": lambda x, a, b: torch.addbmm(torch.zeros(3, 6), (x @ a.T)[None], b.T[None]),
    "mv": lambda x, a, b: torch.stack([torch.mv(b, a.mv(row)) for row in (x[0], x[1], x[2])]),
    "addmv": lambda x, a, b: torch.stack(
        [torch.addmv(torch.zeros(6), b, a.mv(row)) for row in (x[0], x[1], x[2])]
    ),
    "inner": lambda x, a, b: torch.inner(torch.inner(x, a), b),
    "tensordot": lambda x, a, b: torch.tensordot(torch.tensordot(x, a.T, 1), b, ([1], [1])),
    "multi_dot": lambda x, a, b: torch.linalg.multi_dot([x, a.T, b.T]),
    "chain": lambda x, a, b: torch.chain_matmul(x, a.T, b.T),
    "sum of products": lambda x, a, b: (x[:, None] * a).sum(-1) @ b.T,
    "convolutions": lambda x, a, b: F.conv1d(F.conv1d(x[..., None], a[..., None]), b[..., None])[
        ..., 0
    ],
}


class LowRank(nn.Module):
    """A layer, and beside it a pair of matrices of rank two; what follows is a layer again."""

    def __init__(self, form):
        super().__init__()
        self.layer, self.out = nn.Linear(5, 6), nn.Linear(6, 3)
        self.down, self.up = nn.Parameter(torch.ones(2, 5)), nn.Parameter(torch.ones(6, 2))
        self.form = form

    def forward(self, x):
        return self.out(torch.relu(self.layer(x) + self.form(x, self.down, self.up)))


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.filterwarnings("ignore:torch.chain_matmul is deprecated")
def test_a_product_of_matrices_has_the_same_moves_however_it_is_written(name):
    network = LowRank(FORMS[name])
    table = symmetry_of(network, noise(3, 5))
    assert table.sizes(layout_of(network)) == {"down": 2, "layer": 6}
    assert table.axes["down"] == ("down", None)
    assert table.axes["up"] == ("layer", "down")
    assert table.sign_groups == {"down"}
    (product,) = table.continuous.products.values()
    assert {factor.parameter for factor in product.factors} == {"down", "up"}
    assert set(table.continuous.scales) >= {"layer"}


def test_the_outer_product_of_two_vectors_is_a_matrix():
    network = LowRank(lambda x, a, b: F.linear(x, torch.outer(b[:, 0], a[0])))
    network.down, network.up = nn.Parameter(torch.ones(1, 5)), nn.Parameter(torch.ones(6, 1))
    table = symmetry_of(network, noise(3, 5))
    assert table.sizes(layout_of(network)) == {"layer": 6}
    assert table.axes["up"] == ("layer", None)

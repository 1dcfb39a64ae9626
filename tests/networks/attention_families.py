"""Transformers as people write them: heads, grouped queries, norms, rotary places, tied weights."""

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Heads of queries that share keys and values by groups; places by rotation or not at all."""

    def __init__(self, width, heads, kv_heads, *, bias=True, rotary=False):
        super().__init__()
        self.heads, self.kv_heads, self.rotary = heads, kv_heads, rotary
        self.inside = width // heads
        self.q = nn.Linear(width, width, bias=bias)
        self.k, self.v = (nn.Linear(width, kv_heads * self.inside, bias=bias) for _ in "kv")
        self.o = nn.Linear(width, width, bias=bias)

    def forward(self, x):
        batch, length, width = x.shape

        def by_head(values, heads):
            return values.view(batch, length, heads, self.inside).transpose(1, 2)

        q = by_head(self.q(x), self.heads)
        k, v = (by_head(part(x), self.kv_heads) for part in (self.k, self.v))
        if self.rotary:
            q, k = rotated(q), rotated(k)
        if self.kv_heads < self.heads:
            k, v = (part.repeat_interleave(self.heads // self.kv_heads, dim=1) for part in (k, v))
        scores = q @ k.transpose(-2, -1) / self.inside**0.5
        y = scores.softmax(-1) @ v
        return self.o(y.transpose(1, 2).reshape(batch, length, width))


def rotated(x):
    """Rotary places: each pair of entries turned by an angle that grows with the place."""
    length, half = x.shape[-2], x.shape[-1] // 2
    angles = torch.arange(length)[:, None] * 0.5 ** torch.arange(half)[None]
    first, second = x[..., :half], x[..., half:]
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class Transformer(nn.Module):
    """One block on rows of numbers, read as five tokens of four."""

    input_shape = (20,)

    def __init__(self, heads=2, kv_heads=None, *, norm=nn.LayerNorm, width=8, **attention):
        super().__init__()
        self.into, self.places = nn.Linear(4, width), nn.Parameter(torch.randn(5, width))
        self.norm1, self.norm2 = norm(width), norm(width)
        self.attn = Attention(width, heads, kv_heads or heads, **attention)
        self.up, self.down = nn.Linear(width, 6), nn.Linear(6, width)
        self.out = nn.Linear(width, 3)

    def forward(self, x):
        x = self.into(x.reshape(len(x), 5, 4)) + self.places
        x = x + self.attn(self.norm1(x))
        return self.out((x + self.down(F.gelu(self.up(self.norm2(x))))).mean(1))


def without_norms(heads):
    """Nothing but linear maps reads the stream beside attention."""
    return Transformer(heads, norm=lambda _: nn.Identity())


class Llama(nn.Module):
    """Root-mean-square normalization, rotary grouped attention, gated units, tied weights."""

    def __init__(self, *, rotary=True):
        super().__init__()
        self.wte = nn.Embedding(11, 8)
        self.norm1, self.norm2, self.norm = (nn.RMSNorm(8) for _ in range(3))
        self.attn = Attention(8, 4, 2, bias=False, rotary=rotary)
        self.gate, self.up, self.down = (
            nn.Linear(*size, bias=False) for size in ((8, 6), (8, 6), (6, 8))
        )
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, tokens):
        x = self.wte(tokens)
        x = x + self.attn(self.norm1(x))
        y = self.norm2(x)
        x = x + self.down(F.silu(self.gate(y)) * self.up(y))
        return self.head(self.norm(x))


class LowRank(nn.Module):
    """A layer with a pair of matrices of low rank beside it, written with `@` or as layers."""

    def __init__(self, *, layers=False):
        super().__init__()
        self.layer, self.out = nn.Linear(6, 7), nn.Linear(7, 3)
        self.a, self.b = nn.Parameter(torch.randn(2, 6)), nn.Parameter(torch.randn(7, 2))
        self.layers = layers

    def forward(self, x):
        if self.layers:
            return self.out(torch.relu(self.layer(x) + F.linear(F.linear(x, self.a), self.b)))
        return self.out(torch.relu(self.layer(x) + (x @ self.a.T) @ self.b.T))


class TwoNames(nn.Module):
    """One module under two names, as an encoder that also decodes."""

    def __init__(self):
        super().__init__()
        self.first, self.inside = nn.Linear(6, 5), nn.Linear(5, 5)
        self.again = self.inside
        self.last = nn.Linear(5, 3)

    def forward(self, x):
        x = torch.tanh(self.inside(torch.tanh(self.first(x))))
        return self.last(torch.tanh(self.again(x)))


class PairwiseLayer(nn.Module):
    """A bilinear layer: a matrix for each output."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 3), nn.Linear(4, 5)
        self.pairs, self.out = nn.Bilinear(3, 5, 6), nn.Linear(6, 2)

    def forward(self, x):
        y = self.pairs(torch.relu(self.left(x)), torch.relu(self.right(x)))
        return self.out(torch.relu(y))


class HeadsByThemselves(nn.Module):
    """Weights of attention with an axis for heads, read by `einsum`."""

    def __init__(self):
        super().__init__()
        self.into, self.out = nn.Linear(4, 6), nn.Linear(6, 3)
        self.q, self.k, self.v = (nn.Parameter(torch.randn(2, 6, 3)) for _ in "qkv")
        self.o = nn.Parameter(torch.randn(2, 3, 6))

    def forward(self, x):
        x = F.gelu(self.into(x))
        q, k, v = (torch.einsum("btd,hde->bhte", x, part) for part in (self.q, self.k, self.v))
        scores = torch.einsum("bhte,bhse->bhts", q, k).softmax(-1)
        y = torch.einsum("bhts,bhse,hed->btd", scores, v, self.o)
        return self.out((x + y).mean(1))

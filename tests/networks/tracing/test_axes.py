"""Axes against what they mean: an order of their entries for every order of the neurons."""

import random
from itertools import product

import pytest

from novelweights.networks.tracing.axes import (
    STRUCTURES,
    Fixed,
    Joined,
    Nested,
    Neurons,
    Unknown,
    equate,
    fix,
    forbid_flips,
    joined,
    known,
    movable,
    nested,
    new,
    pieces,
    size,
    unflattened,
    why_fixed,
)


def order(axis, orders, draw):
    """The old place of each entry, for a random order of each of the neurons."""
    axis = known(axis)
    if isinstance(axis, Fixed):
        return list(range(axis.size))
    if isinstance(axis, Neurons):
        return orders.setdefault(axis, draw.sample(range(axis.size), axis.size))
    if isinstance(axis, Joined):
        places, start = [], 0
        for part in axis.parts:
            places += [start + place for place in order(part, orders, draw)]
            start += size(part)
        return places
    first, inner = axis.factors[0], nested(*axis.factors[1:])
    outer, inside = order(first, orders, draw), order(inner, orders, draw)
    return [i * size(inner) + j for i, j in product(outer, inside)]


def random_axis(entries, draw, depth=0):
    """Any structure of so many entries."""
    kind = draw.choice(["neurons", "fixed", "joined", "nested", "joined", "nested"])
    divisors = [n for n in range(2, entries) if entries % n == 0]
    if depth < 3 and kind == "joined" and entries > 2:
        cut = draw.randrange(1, entries)
        parts = [random_axis(n, draw, depth + 1) for n in (cut, entries - cut)]
        return joined(*parts)
    if depth < 3 and kind == "nested" and divisors:
        outer = draw.choice(divisors)
        parts = [random_axis(n, draw, depth + 1) for n in (outer, entries // outer)]
        return nested(*parts)
    return Fixed(entries) if kind == "fixed" else new(entries)


@pytest.mark.parametrize("seed", range(120))
def test_whatever_is_found_out_axes_keep_their_meaning(seed):
    draw = random.Random(seed)
    entries = draw.choice([6, 8, 12, 16, 18])
    axes = [random_axis(entries, draw) for _ in range(4)]
    divisor = draw.choice([n for n in range(2, entries) if entries % n == 0])
    cut = draw.randrange(1, entries)
    factors = unflattened(axes[0], (divisor, entries // divisor))
    ends = pieces(axes[1], (cut, entries - cut))
    equate(axes[0], axes[1])
    equate(axes[2], axes[3])
    if draw.random() < 0.5:
        equate(axes[1], axes[2])
    for _ in range(3):
        orders = {}

        def places(axis, orders=orders):
            return order(axis, orders, draw)

        assert places(axes[0]) == places(axes[1])
        assert places(axes[2]) == places(axes[3])
        assert places(axes[0]) == places(Nested(factors))
        assert places(axes[1]) == places(Joined(ends))
        assert sorted(places(axes[0])) == list(range(entries))


def test_equal_axes_take_on_each_others_structure():
    whole, channels = new(12), new(3)
    equate(whole, nested(channels, Fixed(4)))
    assert known(whole) == Nested((channels, Fixed(4)))
    halves = new(8)
    first, second = pieces(halves, (4, 4))
    equate(first, second)
    assert known(halves) == Joined((known(first), known(first)))
    assert unflattened(halves, (2, 4)) == (Fixed(2), known(first))


def test_structures_that_do_not_fit_are_fixed():
    a, b = nested(new(2), new(9)), nested(new(9), new(2))
    equate(a, b)
    assert not list(movable(a)) + list(movable(b))
    c = joined(new(5), new(7))
    unflattened(c, (4, 3))
    assert known(c) == Fixed(12, STRUCTURES)
    assert why_fixed(a) == STRUCTURES


def test_finer_structures_divide_coarser_ones():
    a, b = nested(new(4), new(3)), nested(new(2), new(6))
    equate(a, b)
    assert [n.size for n in movable(a)] == [2, 2, 3]
    assert known(a) == known(b)
    c, d = joined(new(4), new(8)), joined(new(6), new(6))
    equate(c, d)
    assert [n.size for n in movable(c)] == [4, 2, 6]


def test_a_fixed_axis_fixes_what_equals_it():
    a, b = new(4), new(4)
    equate(a, b)
    equate(b, Fixed(4))
    assert known(a) == Fixed(4)
    c = joined(new(2), new(3))
    fix(c)
    assert known(c) == Fixed(5)


def test_what_may_not_flip_may_not_under_another_name():
    a, b = new(4), new(4)
    forbid_flips(a)
    equate(a, b)
    assert not b.may_flip
    c, d = new(6, may_flip=False), nested(new(2), new(3))
    equate(d, c)
    assert [n.may_flip for n in movable(d)] == [False, False]


def test_sizes_must_agree():
    with pytest.raises(Unknown):
        equate(new(3), new(4))
    assert size(nested(new(3), joined(new(2), Fixed(1)))) == 9
    assert new(1) == Fixed(1)
    assert joined() == Fixed(0)
    assert nested() == Fixed(1)

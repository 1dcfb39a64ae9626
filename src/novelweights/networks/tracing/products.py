"""Pairs of matrices of which only the products reach the outputs, found by trying them. Ours."""

from collections.abc import Iterator
from itertools import combinations

from novelweights.networks.tracing.tried import Tried
from novelweights.weights.continuous import Continuous, Factor, Product

Piece = tuple[Factor, int]
"""Entries that count the neurons of a group, and how many for each neuron."""


def products_of(tried: Tried) -> Iterator[tuple[str, Product]]:
    """Pairs of matrices of which only the products, head by head, reach the outputs, by name.

    The neurons of a group are heads of several entries; or several heads share one of the other
    side; or all of them together are one head, as between two linear layers.
    """
    layout, table = tried.layout, tried.trial.symmetry
    shapes = dict(layout.shapes)
    for group, neurons in table.sizes(layout).items():
        pieces = [
            (Factor(name, axis, start), part.block)
            for name in table.axes
            if name in tried.parameters and len(shapes[name]) <= 2
            for axis in range(len(shapes[name]))
            for start, part in table.places_of(group, name, axis, shapes[name])
        ]
        number = 0
        for block in sorted({block for _, block in pieces}):
            heads = (group, neurons, block) if block > 1 else (None, 1, neurons)
            kinds = [(heads, _sharing_one_each(pieces, block))]
            if block > 1 and (alone := _of_one_head(tried, block)):
                kinds.append(((None, 1, block), [*_sharing_one(pieces, block, neurons), *alone]))
            for kind, factors in kinds:
                for product in _products_among(tried, kind, factors):
                    number += 1
                    yield f"{group}.{number}", product


def _sharing_one_each(pieces: list[Piece], block: int) -> list[Factor]:
    """Those whose neurons are heads of so many entries, or several such heads, which share one."""
    return [
        factor._replace(repeat=own // block)
        for factor, own in pieces
        if own == block or (block > 1 and own % block == 0)
    ]


def _sharing_one(pieces: list[Piece], block: int, heads: int) -> list[Factor]:
    """Those whose heads, of so many entries, may all share a single one."""
    return [factor._replace(repeat=heads) for factor, own in pieces if own == block]


def _of_one_head(tried: Tried, block: int) -> list[Factor]:
    """Those that may be a single head: nothing on the axis moves, as far as is known."""
    table = tried.trial.symmetry
    return [
        Factor(name, axis)
        for name, shape in tried.layout.shapes
        if name in tried.parameters and name in table.unknown and len(shape) <= 2
        for axis, size in enumerate(shape)
        if size == block and all(part.group is None for part in table.parts_of(name, shape)[axis])
    ]


def _products_among(
    tried: Tried, heads: tuple[str | None, int, int], factors: list[Factor]
) -> Iterator[Product]:
    """The products of some factors, each with its biases.

    Args:
        heads: Their group, number and entries.
    """
    shapes = dict(tried.layout.shapes)
    vectors = [f for f in factors if f.parameter.endswith("bias")]  # others scale: not added
    biases = {factor.parameter for factor in vectors}
    matrices = [factor for factor in factors if len(shapes[factor.parameter]) == 2]
    products = [
        product
        for left, right in combinations(matrices, 2)
        if 1 in (left.repeat, right.repeat)
        for product in [Product(*heads, (left,), (right,))]
        if tried.holds(Continuous(products={"": product}), biases)
    ]
    for vector in vectors:
        _attach(tried, products, vector, biases)
    for product in products:
        if tried.holds(Continuous(products={"": product})):
            yield product


def _attach(tried: Tried, products: list[Product], vector: Factor, biases: set[str]) -> None:
    """Put a bias of heads on the side of the product that it moves with; in place.

    The bias of keys moves all scores of a query alike, so it has no effect after a softmax.
    """
    rest = biases - {vector.parameter}

    def holds(product: Product) -> bool:
        return tried.holds(Continuous(products={product.group or "": product}), rest)

    for i, product in enumerate(products):
        idle = product._replace(idle=(*product.idle, vector))
        if i == 0 and holds(Product(product.group, product.heads, product.block, idle=(vector,))):
            products[0] = idle
            return
        for side in ("left", "right"):
            alone = product._replace(left=product.left[:1], right=product.right[:1], idle=())
            if holds(alone._replace(**{side: (*getattr(alone, side), vector)})):
                products[i] = product._replace(**{side: (*getattr(product, side), vector)})
                return

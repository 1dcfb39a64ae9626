"""Generators of any kind, called in memory: an object with `fit`, a method's name, a class.

What else a generator may offer (a lossy codec, a loss of its own) is used where it is there.
"""

import inspect
from collections.abc import Callable
from typing import Any

from novelweights.errors import InputError
from novelweights.generators import make_generator, method_named
from novelweights.generators.generator import DrawsFromSome, HasReference
from novelweights.generators.parts.gap import HasLoss, final_gap
from novelweights.seeding import rng_for
from novelweights.weights.population import Population
from novelweights.weights.provenance import Provenance


def fitted_and_sampled(
    generator: Any,
    training: Population,
    *,
    n: int,
    start: Population | None = None,
    seed: int = 0,
    progress: Callable[[str, int, int], None],
) -> tuple[str, Any, Any]:
    """The name of a generator, what it is fitted to these checkpoints, and n samples of it.

    Raises:
        InputError: It lacks what is called, which is named.
    """
    if n < 1:
        raise InputError(f"samples: expected at least 1, got {n}", "wrong-option")
    name, chosen = _chosen(generator, has_start=start is not None)
    progress("fitting the generator", 0, 1)
    _require(chosen, "fit", "rng")
    fitted = chosen.fit(training, rng=rng_for(seed, "fit", name))
    fitted = chosen if fitted is None else fitted
    _require(fitted, "sample", "rng")
    progress("sampling", 0, n)
    begin = {} if start is None else {"start": start}
    return name, fitted, fitted.sample(n, rng=rng_for(seed, "sample"), **begin)


def reconstructed(
    fitted: Any, train: Population, heldout: Population | None
) -> dict[str, Population | None]:
    """Training and held-out checkpoints through a lossy codec, and what the noise baseline starts
    from; nothing where the audit takes the checkpoints themselves."""
    by_split: dict[str, Population | None] = {}
    if not isinstance(fitted, HasReference):
        return by_split
    reference = fitted.as_reference(train)
    if reference is not train:
        by_split["reconstructions"] = reference
        by_split["heldout_reconstructions"] = (
            fitted.as_reference(heldout) if heldout is not None else None
        )
    if isinstance(fitted, DrawsFromSome):
        by_split["noise_from"] = fitted.as_reference(fitted.parents(train))
    return by_split


def provenance(
    name: str, fitted: Any, training: Population, heldout: Population | None, *, has_codec: bool
) -> Provenance | None:
    """What is kept with samples of a generator that has a loss; None: it has none."""
    if not isinstance(fitted, HasLoss):
        return None
    return Provenance(
        method=name,
        has_codec=has_codec,
        parameters=fitted.parameters,
        values_in_training=training.weights.numel(),
        gap=final_gap(fitted, training, heldout) if heldout is not None and len(heldout) else None,
    )


def _chosen(generator: Any, *, has_start: bool) -> tuple[str, Any]:
    """A generator and what it is called.

    Raises:
        InputError: There is no method of that name, or it begins from checkpoints and has none.
    """
    if isinstance(generator, str):
        if method_named(generator).is_conditional and not has_start:
            raise InputError(
                f"start: {generator} begins from checkpoints, got none; give start=, those of runs "
                "that it was not fitted to",
                "wrong-option",
            )
        return generator, make_generator(generator)
    if isinstance(generator, type):
        try:
            generator = generator()
        except TypeError as error:
            raise InputError(
                f"generator: expected an object, or a class that needs no arguments, got "
                f"{generator.__name__} ({error}); make the object first",
                "wrong-plugin",
            ) from error
    return type(generator).__name__, generator


def _require(thing: Any, method: str, argument: str) -> None:
    """Refuse what lacks a method, or whose method takes no such argument."""
    found: Callable[..., Any] | None = getattr(thing, method, None)
    what = "generator" if method == "fit" else "fitted generator"
    if not callable(found):
        raise InputError(
            f"{what}: expected an object with {method}, {type(thing).__name__} has none; a "
            "generator has fit(training, *, rng), and what that returns has sample(n, *, rng)",
            "wrong-plugin",
        )
    taken = inspect.signature(found).parameters.values()
    if not any(one.name == argument or one.kind is one.VAR_KEYWORD for one in taken):
        raise InputError(
            f"{what}: expected {method} of {type(thing).__name__} to take {argument}, the "
            "torch.Generator that all its random numbers come from; add it as a keyword argument",
            "wrong-plugin",
        )

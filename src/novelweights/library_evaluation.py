"""A generator evaluated in memory: fitted, sampled and audited in one call.

Anything with `fit` whose result has `sample` takes part; what else a generator may offer (a lossy
codec, a loss of its own) is used where it is there.
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from novelweights.audit_run import Given, Tell
from novelweights.checkpoints import (
    Checkpoints,
    Layout,
    meant_layout,
    own_heldout,
    population,
    population_like,
)
from novelweights.errors import InputError
from novelweights.evaluation import stand_ins
from novelweights.generators import make_generator, method_named
from novelweights.generators.generator import HasReference
from novelweights.generators.parts.gap import HasLoss, final_gap
from novelweights.library import (
    Audited,
    Symmetry,
    audited,
    described,
    symmetry_given,
    task_given,
)
from novelweights.seeding import rng_for
from novelweights.tasks.task import Task
from novelweights.weights.population import require_finite
from novelweights.weights.provenance import Provenance


def evaluate(
    generator: Any,
    train: Checkpoints,
    *,
    heldout: Checkpoints | None = None,
    samples: int = 200,
    task: Task | str | None = "auto",
    symmetry: Symmetry = "auto",
    example: Tensor | None = None,
    layout: Layout | None = None,
    start: Checkpoints | None = None,
    seed: int = 0,
    progress: Tell | None = None,
) -> Audited:
    """Fit a generator, sample it, and audit its samples.

    Args:
        generator: A method's name (`novelweights ls generators`); or an object with
            `fit(training, *, rng)` that returns one with `sample(n, *, rng)`, or has it itself.
            Samples are a `Population`, or checkpoints of another form as `audit` takes them.
        train: Training checkpoints, in any form that `audit` takes.
        heldout: New runs of the same recipe, which the generator never sees. None: those beside the
            training checkpoints, if there are any.
        samples: Checkpoints to generate.
        task: As in `audit`.
        symmetry: As in `audit`.
        example: As in `audit`.
        layout: As in `audit`.
        start: What a conditional generator begins from.
        seed: Root of all randomness.
        progress: Called with (stage, done, total).

    Raises:
        InputError: The generator lacks something, which is named; or as `audit`.

    Source: ours (DESIGN section 1).
    """
    if samples < 1:
        raise InputError(f"samples: expected at least 1, got {samples}")
    name, chosen = _chosen(generator, has_start=start is not None)
    meant = None if layout is None else meant_layout(layout)
    trained = population(train, role="train", layout=meant)
    require_finite(trained, "train")
    held = own_heldout(train) if heldout is None else heldout
    fresh = None
    if held is not None:
        fresh = population_like(trained, held, role="heldout", layout=meant)
    judged_by = task_given(task, trained)  # what is refused should not wait for the fit
    table = symmetry_given(symmetry, example, trained, judged_by)
    tell = progress or (lambda stage, done, total: None)
    tell("fitting the generator", 0, 1)
    _require(chosen, "fit", "rng")
    fitted = chosen.fit(trained, rng=rng_for(seed, "fit", name))
    fitted = chosen if fitted is None else fitted
    _require(fitted, "sample", "rng")
    tell("sampling", 0, samples)
    begin = {} if start is None else {"start": population(start, role="start")}
    made = fitted.sample(samples, rng=rng_for(seed, "sample"), **begin)
    generated = population_like(trained, made, role="generated")
    require_finite(generated, f"samples of {name}")
    through_codec = stand_ins(fitted, trained, fresh) if isinstance(fitted, HasReference) else {}
    if isinstance(fitted, HasLoss):
        provenance = Provenance(
            method=name,
            has_codec="reconstructions" in through_codec,
            parameters=fitted.parameters,
            values_in_training=trained.weights.numel(),
            gap=final_gap(fitted, trained, fresh) if fresh is not None and len(fresh) else None,
        )
        generated = replace(generated, info=replace(generated.info, provenance=provenance))
    given = Given(
        train=trained,
        generated=generated,
        heldout=fresh,
        task=judged_by,
        symmetry=table,
        seed=seed,
        **through_codec,
    )
    inputs = {"train": described(train, trained), "generated": described(made, generated)}
    if held is not None and fresh is not None:
        inputs["heldout"] = described(held, fresh)
    command = f"novelweights.evaluate({name}, ..., samples={samples}, seed={seed})"
    return audited(given, inputs, command=command, progress=progress)


def _chosen(generator: Any, *, has_start: bool) -> tuple[str, Any]:
    """A generator and what it is called.

    Raises:
        InputError: There is no method of that name, or it begins from checkpoints and has none.
    """
    if isinstance(generator, str):
        if method_named(generator).is_conditional and not has_start:
            raise InputError(
                f"start: {generator} begins from checkpoints, got none; give start=, those of runs "
                "that it was not fitted to"
            )
        return generator, make_generator(generator)
    if isinstance(generator, type):
        try:
            generator = generator()
        except TypeError as error:
            raise InputError(
                f"generator: expected an object, or a class that needs no arguments, got "
                f"{generator.__name__} ({error}); make the object first"
            ) from error
    return type(generator).__name__, generator


def _require(thing: Any, method: str, argument: str) -> None:
    """Refuse what lacks a method, or whose method takes no such argument."""
    found: Callable[..., Any] | None = getattr(thing, method, None)
    what = "generator" if method == "fit" else "fitted generator"
    if not callable(found):
        raise InputError(
            f"{what}: expected an object with {method}, {type(thing).__name__} has none; a "
            "generator has fit(training, *, rng), and what that returns has sample(n, *, rng)"
        )
    taken = inspect.signature(found).parameters.values()
    if not any(one.name == argument or one.kind is one.VAR_KEYWORD for one in taken):
        raise InputError(
            f"{what}: expected {method} of {type(thing).__name__} to take {argument}, the "
            "torch.Generator that all its random numbers come from; add it as a keyword argument"
        )

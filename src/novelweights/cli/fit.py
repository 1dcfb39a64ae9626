"""`novelweights fit METHOD`: one command per generator, every field of its settings a flag."""

import ast
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from novelweights.cli.options import Output, Overwrite, Resume, Seed
from novelweights.cli.show import progress_bar, say
from novelweights.errors import InputError


class FitGroup(TyperGroup):
    """Looks its commands up in the registry of generators, when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all methods; those of packages that cannot be loaded are left to `ls`."""
        from novelweights.generators import GENERATORS, added_methods

        return [*GENERATORS, *added_methods().found]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of one method.

        Raises:
            InputError: There is no such method; the closest name is suggested.
        """
        from novelweights.generators import method_named

        method = method_named(cmd_name)
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name=cmd_name, help=method.summary[0].upper() + method.summary[1:] + ".")(
            _command_for(cmd_name, method.scales, method.variants)
        )
        command = typer.main.get_command(single)
        command.name = cmd_name
        return command


def _command_for(name: str, scales: Any, variants: Any) -> Callable[..., None]:
    """A function whose signature has a flag for every field of the settings."""
    first = next(iter(scales))
    settings_class = type(scales[first])
    texts = field_texts(settings_class)

    def shared(flag: str, kind: Any, **default: Any) -> inspect.Parameter:
        only = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(flag, only, annotation=kind, **default)

    def option(flag: str, kind: Any, default: Any, text: str) -> inspect.Parameter:
        name = flag.replace("_", "-")
        both = f"--{name}/--no-{name}" if kind == bool | None else f"--{name}"
        return shared(flag, kind, default=typer.Option(default, both, help=text))

    parameters = [
        option("population", Path, ..., "Population folder (or folder of state dicts)."),
        shared("output", Output),
        option(
            "heldout",
            Path | None,
            None,
            "Held-out runs, for logging only: the loss on them is compared with that on training "
            "checkpoints, and the generator never learns from them. [the population's own, if it "
            "has any]",
        ),
        option("scale", str, first, f"Start from these settings: {', '.join(scales)}."),
        shared("seed", Seed, default=0),
        shared("resume", Resume, default=False),
        shared("overwrite", Overwrite, default=False),
    ]
    if variants:
        changes = f"Change them as table 1 of the paper does: {', '.join(variants)}."
        parameters.append(option("variant", str | None, None, changes))
    named = {
        field.name: type(getattr(scales[first], field.name)) for field in fields(settings_class)
    }
    for flag, kind in named.items():
        values = ", ".join(f"{scale} {getattr(scales[scale], flag)}" for scale in scales)
        if len({getattr(settings, flag) for settings in scales.values()}) == 1:
            values = f"default {getattr(scales[first], flag)}"
        parameters.append(option(flag, kind | None, None, f"{texts.get(flag, '')} [{values}]"))

    def run(
        *,
        population: Path,
        output: Path,
        heldout: Path | None,
        scale: str,
        seed: int,
        resume: bool,
        overwrite: bool,
        **given: Any,
    ) -> None:
        from novelweights.generators import make_generator
        from novelweights.generators.fitting import fit_to_folder
        from novelweights.readers import open_checkpoints, read_checkpoints
        from novelweights.weights.population import require_finite

        variant = given.pop("variant", None) if variants else None
        chosen = {flag: value for flag, value in given.items() if value is not None}
        base: Any = make_generator(name, scale, variant=variant)
        settings = replace(base, **chosen)
        opened = open_checkpoints(population)
        training = opened.of_split("train")
        require_finite(training, str(population))
        unseen = None
        if heldout is not None:
            unseen = read_checkpoints(heldout, split="heldout")
        elif opened.n_heldout:
            unseen = opened.of_split("heldout")
        with progress_bar() as progress:
            fit_to_folder(
                output,
                name,
                settings,
                training,
                heldout=unseen,
                seed=seed,
                resume=resume,
                overwrite=overwrite,
                progress=lambda done, total, loss: progress(
                    f"fitting: loss {loss:.4g}", done, total
                ),
            )
        say(f"{output}: {name} fitted to {len(training)} checkpoints")

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by typer
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def field_texts(settings: type) -> dict[str, str]:
    """The string under each field of a dataclass, or of one that it inherits from."""
    texts = {}
    for declared in reversed(settings.__mro__):
        if not is_dataclass(declared):
            continue
        try:
            [tree] = ast.parse(inspect.getsource(declared)).body
        except (OSError, IndentationError) as problem:
            raise InputError(
                f"settings {declared.__name__}: no source to read ({problem})", "wrong-plugin"
            ) from problem
        for field, below in pairwise(tree.body if isinstance(tree, ast.ClassDef) else []):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                texts[field.target.id] = " ".join(str(below.value.value).split())
    return texts

"""`novelweights steer`, and what `sample` asks of generators that take a prompt."""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from novelweights.cli.options import DataDir, Output, Overwrite, Seed
from novelweights.cli.show import progress_bar, say
from novelweights.errors import InputError

if TYPE_CHECKING:
    from novelweights.weights.population import Population


def steer(
    model: Annotated[Path, typer.Argument(help="Folder of a fitted generator that takes prompts.")],
    start: Annotated[
        Path, typer.Option(help="Checkpoints to begin from (split start), with their losses.")
    ],
    output: Output,
    task: Annotated[
        str,
        typer.Option(help="Measures loss: `novelweights ls tasks`; auto: the generator's own."),
    ] = "auto",
    prompts: Annotated[
        int,
        typer.Option(min=2, help="Losses to prompt with, over those seen in training; 0 on top."),
    ] = 12,
    starts: Annotated[
        int, typer.Option(min=1, help="Starts to use, the first ones; all if there are fewer.")
    ] = 16,
    data_dir: DataDir = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Does the prompt set the loss of what a generator makes? Writes a run folder with a page."""
    from novelweights.auditing.run_folder import describe_run
    from novelweights.files import new_folder, require_new
    from novelweights.generators.store import load_fitted, model_digest
    from novelweights.inputs import describe_input
    from novelweights.readers import read_starts
    from novelweights.seeding import numpy_rng_for, rng_for
    from novelweights.studies.steering.page import build_steering_report, write_steering
    from novelweights.studies.steering.prompting import prompt_grid, require_prompted
    from novelweights.studies.steering.prompting import steer as run_steer
    from novelweights.studies.steering.summary import summarize
    from novelweights.tasks import make_task

    require_new(output, kind="steering.json", overwrite=overwrite)
    loaded, method = load_fitted(model)
    fitted = require_prompted(loaded, method)
    name = fitted.info.task if task == "auto" else task
    if name in (None, "none"):
        raise InputError(
            f"{model}: {'the generator names no task' if task == 'auto' else 'task none'}; "
            "expected one that measures the loss, name it with --task (`novelweights ls tasks`)",
            "wrong-option",
        )
    begin = read_starts(start)
    judge = make_task(name, begin.shared)
    if len(begin) < starts:
        say(f"starts: {len(begin)} found in {start}, all are used")
    grid = prompt_grid(*fitted.loss_range, prompts)
    with progress_bar() as progress:
        steering = run_steer(
            fitted,
            begin,
            judge,
            prompts=grid,
            n_starts=starts,
            rng=rng_for(seed, "steer"),
            progress=lambda done, total: progress("sampling", done, total),
        )
    summary = summarize(steering, rng=numpy_rng_for(seed, "steer", "bootstrap"))
    manifest = describe_run(
        command=f"novelweights steer {model} --start {start} -o {output} --task {task} "
        f"--prompts {prompts} --starts {starts} --seed {seed}",
        settings={"sampling steps": getattr(fitted.settings, "sampling_steps", None)}
        | {"recursions": getattr(fitted.settings, "recursions", None)},
        seed=seed,
        inputs={"start": describe_input(start, begin)},
        seconds={},
    )
    about = {
        "model": str(model),
        "model_sha256": model_digest(model),
        "method": method,
        "task": judge.name,
        "architecture": fitted.info.architecture,
        "prompts": len(grid),
        "starts": min(starts, len(begin)),
        "samples": len(steering.prompt),
        **{key: value for key, value in manifest.items() if key != "seconds"},
    }
    with new_folder(output, kind="steering.json", overwrite=overwrite) as temporary:
        write_steering(temporary, steering, summary, about)
        build_steering_report(temporary)
    say(summary.sentence)
    say(f"page: {output / 'report.html'}")


def with_settings(fitted: Any, method: str, **values: Any) -> Any:
    """A fitted generator with some of its settings changed; None leaves one as it is.

    Raises:
        InputError: It has no such setting, or cannot have that value.
    """
    chosen = {name: value for name, value in values.items() if value is not None}
    if not chosen:
        return fitted
    settings: Any = getattr(fitted, "settings", None)
    own = getattr(settings, "__dataclass_fields__", {})
    for name, value in chosen.items():
        if name not in own:
            raise InputError(
                f"--{name}: {method} takes none; expected a generator prompted with a loss, "
                "as g-pt is. Leave the flag out",
                "wrong-option",
            )
        if not math.isfinite(value):
            raise InputError(f"--{name}: expected a finite number, got {value}", "wrong-option")
    return replace(fitted, settings=replace(settings, **chosen))


def loss_measure(fitted: Any, start: "Population | None") -> dict[str, Any]:
    """What `sample` is given to measure the losses between several passes; {} where none is needed.

    Args:
        start: What it begins from; of parts of a network it holds the rest.

    Raises:
        InputError: The data of the generator's own task have to be fetched first.
    """
    from novelweights.studies.steering.prompting import LossTask, Prompted
    from novelweights.tasks import is_task, make_task

    if not isinstance(fitted, Prompted) or getattr(fitted.settings, "recursions", 1) < 2:
        return {}
    named = fitted.info.task
    if named is None or not is_task(named) or fitted.settings.metric != "test_loss":
        return {}
    task = make_task(named, None if start is None else start.shared)
    return {"measure": task.loss} if isinstance(task, LossTask) else {}

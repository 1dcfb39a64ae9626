"""The training loop of every neural generator: any loss, any device, logged, resumable.

accelerate places the model (CPU, GPU, several GPUs); the precision is torch's autocast. Each step
draws from its own random stream, so a run that was interrupted goes on exactly where it was and
ends with the same weights as one that was not.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from pickle import UnpicklingError
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from novelweights.errors import InputError
from novelweights.files import replacing, telling_full_disk, write_text
from novelweights.generators.parts.gap import LOOKS, GapRow, GapWatch, Losses, gap_csv
from novelweights.generators.parts.settings import TrainingSettings
from novelweights.seeding import seed_for
from novelweights.weights.population import Population

Progress = Callable[[int, int, float], None]
"""Called with (steps done, steps in all, smoothed loss)."""

LOSS_ROWS = 200
"""Lines of loss.csv, about. Between two of them nothing waits for an accelerator, so that the next
batch is drawn while it computes."""

LossAt = Callable[[nn.Module, torch.Generator], Tensor]
"""The mean loss of one batch, drawn with the given generator (on CPU)."""


@dataclass(frozen=True)
class Workspace:
    """Where a fit may keep its unfinished state, what it reports to, and what it watches."""

    folder: Path | None = None
    """Holds training_state.pt, loss.csv and gap.csv, their names after the prefix; None: nothing is
    kept."""
    progress: Progress | None = None
    seconds_between_saves: float = 60.0
    watch: Population | None = None
    """Held-out checkpoints whose loss is logged in gap.csv; nothing is ever learned from them."""
    prefix: str = ""
    """Before the names of the files, where a fit trains one model after another."""

    def stage(self, prefix: str, *, before: int, total: int) -> "Workspace":
        """That of one of several trainings: files of its own, progress over all of them."""
        report = self.progress
        if report is None:
            return replace(self, prefix=prefix)
        return replace(
            self,
            prefix=prefix,
            progress=lambda done, of, loss: report(before + done, total, loss),
        )

    def file(self, name: str) -> Path | None:
        """Where a file is kept; None: nowhere."""
        return None if self.folder is None else self.folder / f"{self.prefix}{name}"

    def gap_watch(self, training: Population, *, timesteps: int, losses: Losses) -> GapWatch | None:
        """What watches the gap to the held-out checkpoints, see `GapWatch.of`; None: nothing."""
        if self.watch is None:
            return None
        return GapWatch.of(training, self.watch, timesteps=timesteps, losses=losses)


@dataclass
class _Run:
    """A training as it is kept while it is unfinished."""

    begun: dict[str, Any]
    """What it was begun with: settings, seed, identity. With others it is not continued."""
    model: nn.Module
    average: nn.Module | None
    optimizer: torch.optim.Optimizer
    watch_identity: str
    losses: list[tuple[int, float]] = field(default_factory=list)
    """Mean loss per span of steps, the rows of loss.csv."""
    gap: list[GapRow] = field(default_factory=list)

    def save(self, path: Path, step: int) -> None:
        """Keep everything as it is after a step."""
        state = {
            **self.begun,
            "step": step,
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses,
            "watch": {"identity": self.watch_identity, "rows": [tuple(row) for row in self.gap]},
        }
        with replacing(path) as temporary, telling_full_disk(temporary):
            torch.save(state, temporary)

    def restore(self, path: Path) -> int:
        """Take on what was kept; the step to go on from.

        Raises:
            InputError: It cannot be read, or was begun with something else.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            begun = {name: state[name] for name in self.begun}
        except (RuntimeError, ValueError, TypeError, KeyError, EOFError, UnpicklingError) as error:
            raise InputError(
                f"{path}: the state of the unfinished training cannot be read ({error}); "
                "delete it to begin anew",
                "damaged",
            ) from error
        if begun != self.begun:
            raise InputError(
                f"{path}: the unfinished training was begun with other settings or "
                "checkpoints; give the same to go on, or delete it to begin anew",
                "other-settings",
            )
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.losses = [(int(step), float(loss)) for step, loss in state["losses"]]
        if state["watch"]["identity"] == self.watch_identity:  # rows of others would mislead
            self.gap = [GapRow(*row) for row in state["watch"]["rows"]]
        return int(state["step"])


def train(
    model: nn.Module,
    loss_at: LossAt,
    settings: TrainingSettings,
    *,
    seed: int,
    identity: str = "",
    workspace: Workspace | None = None,
    watch: GapWatch | None = None,
) -> nn.Module:
    """Optimize a model in place; returned on CPU, in evaluation mode (its EMA where there is one).

    Args:
        seed: Root of the per-step random streams.
        identity: Whatever else the outcome depends on (model, data); other than that of an
            unfinished run, it is not continued.
        workspace: Where to keep state; an unfinished run found there is continued.
        watch: Looked through at `LOOKS` evenly spaced steps and written to the workspace's
            gap.csv. It changes no random stream: the model ends with the same bits without it.

    Raises:
        InputError: The loss became NaN or infinite, or the kept state is of another run.
    """
    workspace = workspace or Workspace()
    accelerator = Accelerator(mixed_precision="no")  # a process can have one for all its models
    is_bf16 = settings.precision == "bf16"
    average = deepcopy(model) if settings.ema_decay else None
    groups = _groups(model, settings)
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)  # one pass
    every = max(1, settings.steps // LOSS_ROWS)
    looks = {math.ceil(k * settings.steps / LOOKS) for k in range(1, LOOKS + 1)}
    state_path, loss_path, gap_path = map(
        workspace.file, ("training_state.pt", "loss.csv", "gap.csv")
    )
    begun = {"settings": vars(settings), "seed": seed, "identity": identity}
    run = _Run(begun, model, average, optimizer, watch.identity if watch else "")
    start = run.restore(state_path) if state_path is not None and state_path.exists() else 0
    prepared, optimizer = accelerator.prepare(model, optimizer)
    if average is not None:
        average.to(accelerator.device)
    bare = accelerator.unwrap_model(prepared)
    run.model, run.optimizer = bare, optimizer
    prepared.train()

    def save(step: int) -> None:
        if state_path is not None and accelerator.is_main_process:
            run.save(state_path, step)

    recent, count, saved_at = torch.zeros(()), 0, time.monotonic()
    with _PatientInterrupt() as interrupt:
        for step in range(start, settings.steps):
            for group in optimizer.param_groups:
                group["lr"] = settings.rate_at(step)
            step_seed = seed_for(seed, "step", step, accelerator.process_index)
            rng = torch.Generator().manual_seed(step_seed)
            autocast = torch.autocast(accelerator.device.type, torch.bfloat16, enabled=is_bf16)
            with autocast, _dropout_seeded(step_seed, bare):
                loss = loss_at(prepared, rng)
            accelerator.backward(loss)
            if settings.gradient_clip:
                accelerator.clip_grad_norm_(prepared.parameters(), settings.gradient_clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if average is not None:
                _update_average(average, bare, settings.ema_decay)
            if watch is not None and step + 1 in looks and accelerator.is_main_process:
                run.gap += watch.look(step + 1, average if average is not None else bare)
                if gap_path is not None:
                    write_text(gap_path, gap_csv(run.gap))
            recent, count = recent + loss.detach().float(), count + 1
            if (step + 1) % every == 0 or step + 1 == settings.steps:
                mean = float(recent) / count
                if not math.isfinite(mean):
                    raise InputError(
                        f"training diverged: loss is {mean} at step {step + 1}, expected a finite "
                        f"number; lower the learning rate ({settings.learning_rate})",
                        "not-finite",
                    )
                run.losses.append((step + 1, mean))
                recent, count = torch.zeros(()), 0
                if workspace.progress is not None:
                    workspace.progress(step + 1, settings.steps, mean)
                if time.monotonic() - saved_at > workspace.seconds_between_saves:
                    save(step + 1)
                    saved_at = time.monotonic()
            if interrupt.is_requested:
                save(step + 1)
                raise KeyboardInterrupt
    save(settings.steps)
    if loss_path is not None:
        lines = "".join(f"{step},{loss:.9g}\n" for step, loss in run.losses)
        write_text(loss_path, "step,loss\n" + lines)
    if gap_path is not None and watch is not None:
        write_text(gap_path, gap_csv(run.gap))
    finished = average if average is not None else bare
    return finished.to("cpu").eval()


def root_seed(rng: torch.Generator) -> int:
    """The root of all that a fit draws."""
    return int(torch.randint(2**62, (1,), generator=rng))


@contextmanager
def initializing(seed: int) -> Iterator[None]:
    """Have torch's global stream, from which modules draw their first weights, begin at a seed;
    afterwards it is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # of no accelerator
        yield


@contextmanager
def on_accelerator(model: nn.Module) -> Iterator[None]:
    """Have a model on the device that training would take, and back on the CPU afterwards."""
    model.to(Accelerator(mixed_precision="no").device)
    try:
        yield
    finally:
        model.to("cpu")


def _groups(model: nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Parameters with their weight decay."""
    linear = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    decayed, others = [], []
    for parameter in model.parameters():
        is_decayed = id(parameter) in linear or not settings.decay_linear_only
        (decayed if is_decayed else others).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


class _PatientInterrupt:
    """Lets a step finish when Ctrl-C is pressed, so that whole state can be saved; the second
    Ctrl-C is not patient. In another thread than the main one nothing changes."""

    is_requested = False

    def __enter__(self) -> "_PatientInterrupt":
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.is_requested:
            raise KeyboardInterrupt
        self.is_requested = True

    def __exit__(self, *error: object) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._before)


@contextmanager
def _dropout_seeded(step_seed: int, model: nn.Module) -> Iterator[None]:
    """Dropout draws from the global stream; seed it per step, and leave it as it was."""
    if not any(isinstance(m, nn.Dropout) and m.p > 0 for m in model.modules()):
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(step_seed)
        yield


@torch.no_grad()
def _update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    for ours, theirs in zip(average.parameters(), model.parameters(), strict=True):
        ours.lerp_(theirs, 1 - decay)

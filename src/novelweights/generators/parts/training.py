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
from novelweights.generators.parts.gap import LOOKS, GapRow, GapWatch, gap_csv
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
class TrainingSettings:
    """How a generator is optimized; AdamW throughout, as in the paper's methods."""

    steps: int
    learning_rate: float
    weight_decay: float
    decay_linear_only: bool = False
    """Decay the weights of linear layers only: no biases, norms or positions."""
    warmup_steps: int = 0
    schedule: str = "constant"
    """constant, cosine (to 0), or step (times decay every decay_steps)."""
    cosine_steps: int = 0
    """Steps after which a cosine is at 0, warm-up not counted; 0: all, so that it would be at 0 in
    the step after the last."""
    decay: float = 1.0
    decay_steps: int = 1
    gradient_clip: float | None = None
    """Largest gradient norm."""
    ema_decay: float | None = None
    """Exponential moving average of the weights, used for sampling; None: off."""
    precision: str = "no"
    """no (float32) or bf16."""

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        rate = self.learning_rate
        if step < self.warmup_steps:
            return rate * step / self.warmup_steps
        if self.schedule == "cosine":
            span = self.cosine_steps or max(1, self.steps - self.warmup_steps)
            return rate * 0.5 * (1 + math.cos(math.pi * (step - self.warmup_steps) / span))
        if self.schedule == "step":
            return rate * self.decay ** (step // self.decay_steps)
        return rate

    def __post_init__(self) -> None:
        if self.schedule not in ("constant", "cosine", "step"):
            raise InputError(f"schedule {self.schedule!r}: expected constant, cosine or step")
        if self.precision not in ("no", "bf16"):
            raise InputError(f"precision {self.precision!r}: expected no (float32) or bf16")


@dataclass(frozen=True)
class Workspace:
    """Where a fit may keep its unfinished state, and whom it tells how far it is."""

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
        """The workspace of one of several trainings: files of its own, progress over all of them.

        Args:
            prefix: Of the names of its files.
            before: Steps of the trainings before it.
            total: Steps of all.
        """
        tell = self.progress
        counted = None if tell is None else lambda done, of, loss: tell(before + done, total, loss)
        return replace(self, prefix=prefix, progress=counted)

    def file(self, name: str) -> Path | None:
        """Where a file is kept; None: nowhere."""
        return None if self.folder is None else self.folder / f"{self.prefix}{name}"


@dataclass
class _Log:
    """Mean loss per span of steps, the text of loss.csv; and the rows of gap.csv."""

    every: int
    rows: list[tuple[int, float]] = field(default_factory=list)
    watch_identity: str = ""
    gap: list[GapRow] = field(default_factory=list)

    def text(self) -> str:
        return "step,loss\n" + "".join(f"{step},{loss:.9g}\n" for step, loss in self.rows)


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
    """Optimize a model and return it, on CPU, in evaluation mode (its EMA where there is one).

    Args:
        model: Changed in place.
        loss_at: Mean loss of one freshly drawn batch.
        settings: How to optimize.
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
    average = deepcopy(model) if settings.ema_decay is not None else None
    is_fused = accelerator.device.type == "cuda" or None  # one pass over memory; None: as ever
    groups = _groups(model, settings)
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=is_fused)
    log = _Log(max(1, settings.steps // LOSS_ROWS), watch_identity=watch.identity if watch else "")
    looks = {math.ceil(k * settings.steps / LOOKS) for k in range(1, LOOKS + 1)}
    state_path, loss_path, gap_path = map(
        workspace.file, ("training_state.pt", "loss.csv", "gap.csv")
    )
    start = _restore(state_path, settings, seed, identity, model, average, optimizer, log)
    prepared, optimizer = accelerator.prepare(model, optimizer)
    if average is not None:
        average.to(accelerator.device)
    bare = accelerator.unwrap_model(prepared)
    prepared.train()

    def save(step: int) -> None:
        if state_path is not None and accelerator.is_main_process:
            _save(state_path, settings, seed, identity, step, bare, average, optimizer, log)

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
            if settings.gradient_clip is not None:
                accelerator.clip_grad_norm_(prepared.parameters(), settings.gradient_clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if average is not None and settings.ema_decay is not None:
                _update_average(average, bare, settings.ema_decay)
            if watch is not None and step + 1 in looks and accelerator.is_main_process:
                log.gap += watch.look(step + 1, average if average is not None else bare)
                if gap_path is not None:
                    write_text(gap_path, gap_csv(log.gap))
            recent, count = recent + loss.detach().float(), count + 1
            if (step + 1) % log.every == 0 or step + 1 == settings.steps:
                mean = float(recent) / count
                if not math.isfinite(mean):
                    raise InputError(
                        f"training diverged: loss is {mean} at step {step + 1}, expected a finite "
                        f"number; lower the learning rate ({settings.learning_rate})"
                    )
                log.rows.append((step + 1, mean))
                recent, count = torch.zeros(()), 0
                if workspace.progress is not None:
                    workspace.progress(step + 1, settings.steps, mean)
                if time.monotonic() - saved_at > workspace.seconds_between_saves:
                    save(step + 1)
                    saved_at = time.monotonic()
            if interrupt.asked:
                save(step + 1)
                raise KeyboardInterrupt
    save(settings.steps)
    if loss_path is not None:
        write_text(loss_path, log.text())
    if gap_path is not None and watch is not None:
        write_text(gap_path, gap_csv(log.gap))
    finished = average if average is not None else bare
    return finished.to("cpu").eval()


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

    asked = False

    def __enter__(self) -> "_PatientInterrupt":
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

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


def _save(
    path: Path,
    settings: TrainingSettings,
    seed: int,
    identity: str,
    step: int,
    model: nn.Module,
    average: nn.Module | None,
    optimizer: Any,
    log: _Log,
) -> None:
    state = {
        "settings": vars(settings),
        "seed": seed,
        "identity": identity,
        "step": step,
        "model": model.state_dict(),
        "average": average.state_dict() if average is not None else None,
        "optimizer": optimizer.state_dict(),
        "log": log.rows,
        "watch": {"identity": log.watch_identity, "rows": [tuple(row) for row in log.gap]},
    }
    with replacing(path) as temporary, telling_full_disk(temporary):
        torch.save(state, temporary)


def _restore(
    path: Path | None,
    settings: TrainingSettings,
    seed: int,
    identity: str,
    model: nn.Module,
    average: nn.Module | None,
    optimizer: torch.optim.Optimizer,
    log: _Log,
) -> int:
    """Load an unfinished run into the objects; the step to go on from."""
    if path is None or not path.exists():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        begun = state["settings"], state["seed"], state["identity"]
    except (RuntimeError, ValueError, TypeError, KeyError, EOFError, UnpicklingError) as error:
        raise InputError(
            f"{path}: the state of the unfinished training cannot be read ({error}); "
            "delete it to begin anew"
        ) from error
    if begun != (vars(settings), seed, identity):
        raise InputError(
            f"{path}: the unfinished training was begun with other settings or "
            "checkpoints; give the same to go on, or delete it to begin anew"
        )
    model.load_state_dict(state["model"])
    if average is not None:
        average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    log.rows.extend((int(step), float(loss)) for step, loss in state["log"])
    watched = state.get("watch", {})
    if watched.get("identity") == log.watch_identity:  # rows of other checkpoints would mislead
        log.gap.extend(GapRow(*row) for row in watched["rows"])
    return int(state["step"])

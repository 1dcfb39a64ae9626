"""What an audit is given: the roles of checkpoints, spelled once, and what judges them.

A caller hands over paths, networks, names (`Options`); `gathered` makes the
populations, task and symmetry of an audit of them (`AuditInputs`). The command line and
`novelweights.audit` both come through here, so that they cannot differ.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from torch import Tensor, nn

from novelweights.auditing.prepare import AuditInputs
from novelweights.checkpoints import SPLITS, Checkpoints, Layout, load, meant_layout
from novelweights.errors import InputError, Note, first_few, unknown_name
from novelweights.networks.declared import (
    example_of,
    fitted_to,
    network_and_example,
    read_symmetry,
    require_preserved,
    symmetry_from,
    with_fixed,
)
from novelweights.networks.parameter_names import named_as
from novelweights.networks.parts import PartOfNetwork
from novelweights.networks.registered import NETWORKS, added_networks, input_shape_of
from novelweights.networks.resnet import ResNet18
from novelweights.networks.tied_parameters import counted_once
from novelweights.readers import PLAIN, OpenedCheckpoints, open_checkpoints
from novelweights.readers.source import Reading, Source
from novelweights.tasks import is_task, make_task
from novelweights.tasks.classification import Classification
from novelweights.tasks.own import classifier_task, task_at
from novelweights.tasks.own_data import OwnData, read_own_data
from novelweights.tasks.recalibrated import RecalibratedClassification, recalibrated_task
from novelweights.tasks.task import Task
from novelweights.weights.chain import known_symmetry
from novelweights.weights.layout import WeightLayout, is_statistic
from novelweights.weights.population import Population, weights_digest
from novelweights.weights.running_statistics import held_by_all
from novelweights.weights.symmetry import NeuronSymmetry

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""
Say = Callable[[str], None]
NOISE = "noise_from"
"""The role whose checkpoints are some of the training checkpoints, or of their reconstructions."""
Symmetry = NeuronSymmetry | nn.Module | str | Path | None
"""Function-preserving transformations that count as no difference: a table, or the file of one; a
network or its name, from which the table is derived; "auto": where it is known; "none" or None:
plain L2."""

NOT_TOLD = "signs and scales of neurons: names and shapes do not show activations, --network does"
"""Of a chain of layers whose activations are not known."""


class Options(TypedDict, total=False):
    """What an audit may be given beside training and generated checkpoints."""

    heldout: Checkpoints | None
    """New runs of the same recipe that the generator never saw. None: those in the folder or the
    population of the training checkpoints, if it has any; without them the audit is exploratory."""
    reconstructions: Checkpoints | None
    """The training checkpoints through the generator's lossy codec, row by row."""
    heldout_reconstructions: Checkpoints | None
    """The held-out checkpoints through the same."""
    noise_from: Checkpoints | None
    """What the noise baseline adds noise to; None: the training checkpoints."""
    from_scratch: Checkpoints | None
    """Independently trained networks, whole ones or the same parts."""
    task: Task | str | None
    """Judges behavior: a `Task`, its name, or a place such as my_module:MyTask; "auto" (default):
    `data`, else the one that the training population names; None or "none": nothing judges it."""
    symmetry: Symmetry
    """See `Symmetry`; "auto" (default) knows it of `network`, of populations and of plain chains of
    layers."""
    network: nn.Module | str | None
    """The network of these checkpoints, or its name: its symmetry is derived and proven."""
    example: Tensor | None
    """An input of the network, with its batch; not needed where it has an `input_shape`."""
    input_shape: str | None
    """The same as the shape of one example, such as 3x32x32."""
    data: str | Path | None
    """File with labelled examples for the network, x and y: judges behavior."""
    layout: Layout | None
    """What the columns of matrices are, and which parameters of state dicts are meant."""
    runs: Sequence[str] | None
    """Run of each training checkpoint, where runs have several."""
    heldout_runs: Sequence[str] | None
    """The same of held-out checkpoints."""
    reading: Reading
    """How the files of checkpoints are to be read."""
    recalibrate_statistics: bool
    """Whether `network` judges behavior with running statistics recomputed on `data`, for every
    checkpoint, in place of those that checkpoints hold."""
    seed: int
    """Root of all randomness."""


@dataclass(frozen=True, eq=False)
class Target:
    """The target network that a caller names, and its labelled examples."""

    name: str
    module: nn.Module
    example: Tensor
    """An input, with its batch."""
    data: OwnData | None

    def checkpoints(self, role: str, population: Population, say: Say) -> Population:
        """Checkpoints with the names of the network, each of its parameters once."""
        population, said = counted_once(named_as(population, self.module), self.module)
        if said:
            say(f"{role}: {said}")
        if population.info.architecture is not None:
            return population
        return replace(population, info=replace(population.info, architecture=self.name))


@dataclass(frozen=True, eq=False)
class Gathered:
    """All that an audit is given but the generated checkpoints."""

    roles: Mapping[str, Any]
    """A population each."""
    origins: Mapping[str, Checkpoints]
    """What each population was made of."""
    target: Target | None
    task: Task | None
    symmetry: NeuronSymmetry | None
    opened: "Opened"
    options: Options
    notes: tuple[Note, ...] = ()
    """What the audit must tell of its inputs."""

    @property
    def seed(self) -> int:
        """Root of all randomness."""
        return self.options.get("seed", 0)

    def with_generated(
        self, generated: Checkpoints, **reconstructed: Population | None
    ) -> tuple[AuditInputs, dict[str, dict[str, Any]]]:
        """The inputs of an audit of these; and for its manifest, where each population came from.

        Args:
            generated: What the generator made.
            reconstructed: Roles that come of the generator: reconstructions and the like.

        Raises:
            InputError: The generated checkpoints are of no known form, or of another network.
        """
        made = self.opened.population("generated", generated)
        if self.target is not None:
            made = self.target.checkpoints("generated", made, self.opened.say)
        roles = {**self.roles, "generated": made}
        origins = {**self.origins, "generated": generated}
        described = {role: describe_input(origins[role], found) for role, found in roles.items()}
        roles |= {role: found for role, found in reconstructed.items() if found is not None}
        beside = self._with(roles)
        notes, compared = beside.notes, dict[str, Any](beside.roles)
        if isinstance(beside.task, RecalibratedClassification):
            notes = (*notes, beside.task.note())
        return (
            AuditInputs(
                **compared,
                task=beside.task,
                symmetry=beside.symmetry,
                seed=self.seed,
                notes=notes,
            ),
            described,
        )

    def _with(self, roles: Mapping[str, Population]) -> "Gathered":
        """The same with other populations, all of which hold the same running statistics.

        Raises:
            InputError: Some hold none, and without them the task cannot run the networks.
        """
        roles, left = held_by_all(roles)
        if not left.names:
            return replace(self, roles=roles)
        is_run = self.target is not None and self.target.data is not None
        is_run = is_run and self.options.get("task", "auto") == "auto"
        if left.unknown and is_run and not self.options.get("recalibrate_statistics"):
            raise left.refusal()
        task, symmetry = judged_by(self.options, roles["train"], self.target)
        notes = (left.note(), *self.notes)
        return replace(self, roles=roles, task=task, symmetry=symmetry, notes=notes)


def gathered(train: Checkpoints, options: Options, say: Say) -> Gathered:
    """The populations, the task and the symmetry of an audit to come.

    Raises:
        InputError: Something is of no such form, or does not fit; the role is named.
    """
    origins = {role: options[role] for role in SPLITS if options.get(role) is not None}
    layout = options.get("layout")
    target = target_of(options, say)
    reading = replace(options.get("reading", PLAIN), as_factors=target is not None)
    opened = Opened(reading, say, None if layout is None else meant_layout(layout))
    trained = opened.population("train", train, options.get("runs"))
    if "heldout" not in origins and (n := opened.n_heldout(train)):
        origins["heldout"] = train
        say(f"held-out checkpoints: {n} found beside the training checkpoints")
    roles = {"train": trained}
    for role, checkpoints in origins.items():
        runs = options.get("heldout_runs") if role == "heldout" else None
        roles[role] = opened.population(role, checkpoints, runs)
    if target is not None:
        roles = {role: target.checkpoints(role, found, say) for role, found in roles.items()}
    left = held_by_all(roles)[1]
    judged = (None, None) if left.names else judged_by(options, roles["train"], target)
    return Gathered(roles, {"train": train, **origins}, target, *judged, opened, options)._with(
        roles
    )


@dataclass(eq=False)
class Opened:
    """Reads the checkpoints of each role; a path that plays two roles is opened once."""

    reading: Reading
    say: Say
    layout: WeightLayout | None
    """Of matrices and state dicts; None: matrices have that of the training checkpoints."""
    columns: WeightLayout | None = None
    scaling: Any = None
    """Of low-rank adapters among the training checkpoints, see `Reading`."""
    paths: dict[tuple[Path, bool], OpenedCheckpoints] = field(default_factory=dict)
    files: dict[str, Mapping[tuple[int, int, str], str]] = field(default_factory=dict)
    """The checkpoints of each role on disk, told apart by file."""

    def at(self, path: Path, role: str) -> OpenedCheckpoints:
        """What is at a path."""
        is_single = role == "generated"  # each stands for itself, whatever its name
        key = (path.absolute(), is_single)
        if key not in self.paths:
            how = replace(self.reading, columns=self.columns, scaling=self.scaling)
            if is_single:
                how = replace(how, pattern=None, records=None)
            opened = open_checkpoints(path, reading=how, say=self.say)
            self.paths[key] = opened
            if role == "train" and isinstance(opened.source, Source):
                self.scaling = opened.source.scaling
        return self.paths[key]

    def population(
        self, role: str, checkpoints: Checkpoints, runs: Sequence[str] | None = None
    ) -> Population:
        """Checkpoints as a population; the training checkpoints must be the first."""
        layout = self.layout
        if isinstance(checkpoints, str | Path):
            checkpoints = self.at(Path(checkpoints), role)
        elif isinstance(checkpoints, Tensor | np.ndarray) and layout is None:
            width = checkpoints.shape[-1] if checkpoints.ndim else 0
            layout = None if self.columns is None else self.columns.of_size(width)
        if isinstance(checkpoints, OpenedCheckpoints):
            self._require_own_files(role, checkpoints)
        how = replace(self.reading, scaling=self.scaling)
        population = load(checkpoints, role=role, layout=layout, runs=runs, reading=how)
        self.columns = self.columns or population.layout
        return population

    def _require_own_files(self, role: str, opened: OpenedCheckpoints) -> None:
        """Refuse files that play another role too; copies of them are another matter.

        Raises:
            InputError: The files and both roles are named.
        """
        files = opened.identities(SPLITS.get(role, role))
        for other, theirs in self.files.items():
            if NOISE in (role, other):  # it is chosen from what others are
                continue
            if both := [files[one] for one in files if one in theirs]:
                words = {one: one.replace("_", "-") for one in (role, other)}
                raise InputError(
                    f"{words[role]}: expected other files than those of {words[other]}, "
                    f"{len(both)} of {len(files)} are among these too ({first_few(both)}); name "
                    f"with --{words[other]} the folder that holds its checkpoints alone",
                    "leak",
                )
        self.files[role] = files

    def n_heldout(self, train: Checkpoints) -> int:
        """Held-out runs that lie beside the training checkpoints."""
        if isinstance(train, str | Path):
            return self.at(Path(train), "train").n_heldout
        if isinstance(train, Population):
            split = train.records.split
            return int((split == "heldout").sum()) if (split == "train").any() else 0
        return 0


def target_of(options: Options, say: Say) -> Target | None:
    """The target network that the options name, with its examples; None where they name none.

    Raises:
        InputError: Options that do not go together, or what they name cannot be used.
    """
    network, data = options.get("network"), options.get("data")
    example, shape = options.get("example"), options.get("input_shape")
    if network is None:
        symmetry = options.get("symmetry")
        if isinstance(symmetry, nn.Module):
            network = symmetry
        elif data is not None or shape is not None:
            raise InputError(
                "expected the network (--network) beside --data and --input-shape, which are of "
                "its examples; name it, or a task of your own with --task my_module:MyTask",
                "wrong-option",
            )
        else:
            return None
    described = None
    if data is not None:
        described = read_own_data(Path(data))
        if shape is not None:
            described = described.shaped(tuple(example_of(shape).shape[1:]))
        shape = "x".join(map(str, described.example_shape))
        say(f"{data}: {described.described}")
    if isinstance(network, str):
        module, own = network_and_example(network, shape)
        return Target(network, module, own if example is None else example, described)
    if example is None:
        own_shape = "x".join(map(str, input_shape_of(network) or ()))
        if not (shape or own_shape):
            raise InputError(
                "network: expected an input of it beside it, got none; give example=, with its "
                "batch, or input_shape=",
                "wrong-option",
            )
        example = example_of(shape or own_shape)
    return Target(type(network).__name__, network, example, described)


def judged_by(
    options: Options, trained: Population, target: Target | None
) -> tuple[Task | None, NeuronSymmetry | None]:
    """The task and the symmetry that the options name; see `task_of` and `symmetry_of`.

    Raises:
        InputError: As these; or running statistics would have to be recomputed without the network.
    """
    named, recalibrates = options.get("task", "auto"), options.get("recalibrate_statistics", False)
    if recalibrates and (target is None or target.data is None or named != "auto"):
        raise InputError(
            "expected the network and its labelled examples (--network, --data) beside "
            "--recalibrate-statistics, and no other task, since statistics are recomputed by "
            "running it on them; give both, or leave it out",
            "wrong-option",
        )
    if recalibrates:  # no statistics are shared then, nor do they hold neurons in place
        rest = {n: v for n, v in (trained.shared or {}).items() if not is_statistic(n)}
        trained = replace(trained, shared=rest)
    task = task_of(named, trained, target, recalibrates=recalibrates)
    return task, symmetry_of(options.get("symmetry", "auto"), trained, task, target)


def task_of(
    task: Any, trained: Population, target: Target | None = None, *, recalibrates: bool = False
) -> Task | None:
    """What judges behavior: a task, one by its name, the target network on its examples, or none.

    Args:
        recalibrates: Whether the target network runs with recomputed statistics.

    Raises:
        InputError: It is no task, there is none of that name, or its data must be fetched first.
    """
    if task is None or task == "none":
        return None
    if task == "auto":
        if target is not None and target.data is not None:
            name = f"{target.name} on {target.data.path.name}"
            make = recalibrated_task if recalibrates else classifier_task
            return make(target.module, target.data, name, trained.layout, trained.shared)
        named = trained.info.task
        return make_task(named, trained.shared) if named is not None and is_task(named) else None
    if isinstance(task, str):
        return task_at(task) if ":" in task else make_task(task, trained.shared)
    if not isinstance(task, Task):
        lacks = [name for name in vars(Task) if name[:1] != "_" and not hasattr(task, name)]
        raise InputError(
            f"task: expected a Task, its name, auto or None, got {type(task).__name__} without "
            f"{', '.join(lacks)}; see `novelweights ls tasks`",
            "wrong-type",
        )
    return task


def symmetry_of(
    symmetry: Symmetry, trained: Population, task: Task | None, target: Target | None
) -> NeuronSymmetry | None:
    """The table of what counts as no difference, None for plain L2; see `Symmetry`.

    A table from a file is proven wherever the network is known: the target network, or that of a
    classification task.

    Raises:
        InputError: It does not fit the checkpoints, changes what the network computes, or cannot be
            derived.
    """
    if symmetry is None or symmetry == "none":
        return None
    rest = trained.shared or {}
    if isinstance(symmetry, NeuronSymmetry):
        return fitted_to(with_fixed(symmetry, rest), trained.layout, "symmetry")
    if symmetry == "auto" and target is None:
        return _symmetry_without_network(trained, task)
    is_table = isinstance(symmetry, Path) or (
        isinstance(symmetry, str) and (Path(symmetry).suffix != "" or Path(symmetry).exists())
    )
    if is_table and ":" not in str(symmetry):
        whole = read_symmetry(Path(str(symmetry)))
        table = fitted_to(with_fixed(whole, rest), trained.layout, str(symmetry))
        known = (target.module, target.example) if target else _network_of(task)
        if known is not None:
            require_preserved(whole, trained.layout, *known)
        return table
    if isinstance(symmetry, str) and symmetry != "auto":
        if (
            ":" not in symmetry
            and symmetry not in NETWORKS
            and symmetry not in added_networks().found
        ):
            raise unknown_name("symmetry", symmetry, ("auto", "none", *NETWORKS))
        target = Target(symmetry, *network_and_example(symmetry, None), None)
    if target is None:
        raise InputError(
            f"symmetry: expected a table, a network or a name, got {symmetry!r}", "wrong-type"
        )
    logits = target.data is not None or isinstance(task, Classification)
    try:
        return symmetry_from(
            target.module, target.example, trained.layout, logits=logits, rest=rest
        )
    except InputError as error:
        raise InputError(f"{error} (or go without: --symmetry none)", error.code) from error


def _symmetry_without_network(trained: Population, task: Task | None) -> NeuronSymmetry | None:
    """That of the network of a classification, else what a population says, or names and shapes."""
    table = trained.info.symmetry
    if trained.info.architecture is not None:
        return table
    if isinstance(task, Classification):
        of = task.network
        if dict(of.layout.shapes) == dict(trained.layout.shapes):
            return fitted_to(with_fixed(of.symmetry, trained.shared or {}), trained.layout, of.name)
    if table is None or table != known_symmetry(trained.layout):
        return table
    moved = [name for name, axes in table.axes.items() if any(axes)]
    return replace(table, unknown=dict.fromkeys(moved, NOT_TOLD))


def _network_of(task: Task | None) -> tuple[nn.Module, Tensor] | None:
    """The network that a classification runs, and an input of it."""
    if not isinstance(task, Classification):
        return None
    of = task.network.network if isinstance(task.network, PartOfNetwork) else task.network
    rows = example_of(str(of.inputs))
    return task.network.module(), of.images(rows) if isinstance(of, ResNet18) else rows


def describe_input(origin: Checkpoints, population: Population) -> dict[str, Any]:
    """Path (or "in memory"), rows and a checksum of the weights that were used."""
    path = str(origin) if isinstance(origin, str | Path) else "in memory"
    return {"path": path, "sha256": weights_digest(population), "rows": len(population)}

"""What an audit compares with what: populations checked, in one order, one checkpoint per run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from novelweights.auditing.judge.criteria import DEFAULT_CRITERIA
from novelweights.auditing.judge.recognition import one_of_each_run
from novelweights.auditing.one_run.from_scratch import ROLE as SCRATCH_ROLE
from novelweights.auditing.one_run.from_scratch import same_parts
from novelweights.auditing.result import DistanceInfo
from novelweights.errors import InputError, Note, count, first_few
from novelweights.metrics.alignment import Alignment
from novelweights.tasks.task import Task
from novelweights.weights.canonical import CanonicalForm
from novelweights.weights.chain import symmetry_of_layout
from novelweights.weights.population import (
    Population,
    last_of_each_run,
    require_finite,
    require_same_layout,
)
from novelweights.weights.symmetry import NeuronSymmetry

ABSURD = 1e25
"""Larger weights overflow where squares are summed."""
WITHOUT_STATISTICS = "L2 of what was learned (no running statistics)"
NO_MOVES = "none: no reordering of neurons moves these parameters alone"
"""Of a table without groups, as for parts of a network between layers that stay."""

NOT_KNOWN = (
    "What may move while the network computes the same is not known of all parameters: {}. A copy "
    "that was moved there looks new here."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class AuditInputs:
    """The populations of an audit by role, and what judges and aligns them."""

    train: Population
    """What the generator was fitted to; the last step of each run is used."""
    generated: Population
    """What it made."""
    heldout: Population | None = None
    """New runs of the same recipe that it never saw; without them the audit is exploratory and
    never says novel."""
    reconstructions: Population | None = None
    """The training checkpoints as the generator's lossy codec gives them back, row by row;
    generated checkpoints are then compared with these."""
    heldout_reconstructions: Population | None = None
    """The held-out checkpoints through the same codec."""
    noise_from: Population | None = None
    """What the noise baseline adds noise to; None: the training checkpoints that are compared. For
    a generator that draws from some of them, those, through its codec if it has one (paper,
    appendix C.2)."""
    from_scratch: Population | None = None
    """Networks trained independently of all others; their layout may hold more than the training
    checkpoints', whose parameters are taken by name. Their quality is what their records say
    (test_accuracy)."""
    task: Task | None = None
    """Judges behavior; without it the audit says what it cannot say."""
    symmetry: NeuronSymmetry | None = None
    """Function-preserving transformations that count as no difference; None is plain L2. Running
    statistics count for what networks do, and for no distance."""
    seed: int = 0
    """Root of all randomness (controls, baselines, bootstrap)."""
    notes: tuple[Note, ...] = ()
    """What was done to the populations before, which a reader must know."""
    not_finite: Mapping[int, str] = field(default_factory=dict)
    """Rows and names of generated checkpoints that were left out of `generated` as broken."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """What is compared with what: one checkpoint per run, parameters in one order."""

    train: Population
    generated: Population
    heldout: Population | None
    every_step: Population | None
    """Held-out runs with all their steps."""
    all_training: Population | None
    """Every training checkpoint, where that is more than one of each run."""
    originals: Population | None
    """The training checkpoints themselves, where their reconstructions stand in."""
    heldout_originals: Population | None
    """The same of held-out runs, one checkpoint per run."""
    all_originals: Population | None
    """The same of `all_training`."""
    noise_from: Population | None
    """What the noise baseline adds noise to, where that is not `train`."""
    from_scratch: Population | None
    """Independently trained networks, the parameters of `train` alone, one checkpoint of each."""
    task: Task | None
    seed: int
    training_rows: np.ndarray
    """Which rows of the given training population these are."""
    run_ends: np.ndarray
    """Which rows of `train` are the last of their run, one for each of `n_runs`."""
    n_runs: int
    alignment: Alignment | None
    """Of what was learned, without running statistics."""
    whole: Alignment | None
    """Of whole checkpoints."""
    distance: DistanceInfo
    warnings: tuple[Note, ...]
    not_finite: Mapping[int, str]
    """Generated checkpoints that are broken and not measured, by their row."""
    failed_task: str = ""
    """Name of the task that was given and judges nothing, since training networks fail it."""
    behavior: Tensor | None = None
    """Of `train`, as the task, where it is known already."""

    @property
    def is_one_run(self) -> bool:
        """Whether there are too few training runs to identify anything; all their steps count."""
        return self.n_runs < DEFAULT_CRITERIA.min_runs


def prepare(inputs: AuditInputs) -> Prepared:
    """Check the populations, put their parameters in one order, and keep one row per run.

    Raises:
        InputError: Populations that do not fit together, too few of them, or NaN.
    """
    train, generated = inputs.train, inputs.generated.in_order_of(inputs.train.layout)
    heldout, noise_from = (
        None if population is None else population.in_order_of(train.layout)
        for population in (inputs.heldout, inputs.noise_from)
    )
    scratch = None if inputs.from_scratch is None else same_parts(inputs.from_scratch, train.layout)
    roles = {"train": train, "generated": generated, "heldout": heldout, "noise-from": noise_from}
    _check({**roles, SCRATCH_ROLE: scratch})
    compared, compared_heldout = _through_codec(inputs, heldout)
    rows, last = last_of_each_run(train.records), None
    heldout_rows = None if heldout is None else last_of_each_run(heldout.records)
    whole = Alignment.of(train.layout, inputs.symmetry)
    alignment = None if whole is None else whole.on(train.layout.learned)
    distance, warnings = _declared(train, inputs.symmetry, alignment)
    warnings += _other_rest(train, {"generated": generated, "held-out": heldout})
    if len(rows) > 1:
        last = None if heldout is None or heldout_rows is None else heldout.select(heldout_rows)
        kept, heldout_kept, merged = one_of_each_run(train.select(rows), last, alignment)
        rows, warnings = rows[kept], warnings + merged
        heldout_rows = None if heldout_rows is None else heldout_rows[heldout_kept]
    n_runs, ends = len(rows), rows
    if n_runs < DEFAULT_CRITERIA.min_runs:  # nothing to identify; all steps show the run's band
        rows = np.arange(len(train))
    if len(rows) < DEFAULT_CRITERIA.min_runs:
        raise InputError(
            f"training: {count(len(rows), 'checkpoint')}; expected at least "
            f"{DEFAULT_CRITERIA.min_runs}, since each is compared with the others and their "
            "mixtures. Give checkpoints of more runs, or name the runs apart",
            "too-few",
        )

    def one_each(population: Population | None) -> Population | None:
        """Held-out runs, one checkpoint each."""
        if population is None or heldout_rows is None:
            return None
        return population.select(heldout_rows)

    has_more, is_decoded = len(rows) < len(train), compared is not train
    return Prepared(
        train=compared.select(rows),
        generated=generated,
        heldout=one_each(compared_heldout),
        every_step=compared_heldout,
        all_training=compared if has_more else None,
        originals=train.select(rows) if is_decoded else None,
        heldout_originals=one_each(heldout) if is_decoded else None,
        all_originals=train if has_more and is_decoded else None,
        noise_from=noise_from,
        from_scratch=scratch,
        task=inputs.task,
        seed=inputs.seed,
        training_rows=rows,
        run_ends=np.searchsorted(rows, ends),
        n_runs=n_runs,
        alignment=alignment,
        whole=whole,
        distance=distance,
        warnings=(*inputs.notes, *warnings),
        not_finite=inputs.not_finite,
    )


def _through_codec(
    inputs: AuditInputs, heldout: Population | None
) -> tuple[Population, Population | None]:
    """What training and held-out checkpoints are compared as: reconstructions, if there are any."""
    back = {
        "reconstructions": ("train", inputs.train, inputs.reconstructions),
        "heldout-reconstructions": ("heldout", heldout, inputs.heldout_reconstructions),
    }
    reconstructions = {flag: _reconstructed(flag, *given) for flag, given in back.items()}
    missing = [flag for flag, population in reconstructions.items() if population is None]
    if len(missing) == 1 and heldout is not None:
        raise InputError(
            f"{missing[0]}: expected training and held-out checkpoints through the same codec, or "
            f"neither; add --{missing[0]}",
            "wrong-option",
        )
    train, compared_heldout = reconstructions.values()
    return train or inputs.train, compared_heldout or heldout


def _reconstructed(
    flag: str, role: str, population: Population | None, through: Population | None
) -> Population | None:
    """A population with the weights that a codec gives back, row by row."""
    if through is None:
        return None
    if population is None or len(through) != len(population):
        raise InputError(
            f"{flag}: expected one reconstruction for each of the "
            f"{0 if population is None else len(population)} {role} checkpoints, in their order, "
            f"got {len(through)}; write them with the generator's codec",
            "other-rows",
        )
    ours, theirs = list(population.records.run), list(through.records.run)
    if ours != theirs and sorted(ours) == sorted(theirs):
        row = next(i for i, pair in enumerate(zip(ours, theirs, strict=True)) if len(set(pair)) > 1)
        raise InputError(
            f"{flag}: expected the rows in the order of the {role} checkpoints, but row {row} is "
            f"run {theirs[row]} here and {ours[row]} there; write them in the same order",
            "other-rows",
        )
    through = through.in_order_of(population.layout)
    require_same_layout(population, through, (role, flag))
    require_finite(through, flag)
    return replace(population, weights=through.weights)


def _check(roles: Mapping[str, Population | None]) -> None:
    """Refuse populations that cannot be compared, by role; the first is "train"."""
    by_role = {role: population for role, population in roles.items() if population is not None}
    train = by_role["train"]
    for role, population in by_role.items():
        if len(population) == 0:
            raise InputError(
                f"{role}: expected at least 1 checkpoint, got none; give some", "too-few"
            )
        require_same_layout(train, population, ("train", role))
        require_finite(population, role)
        blocks = population.weights.split(4096)  # a memory map is read bit by bit
        largest = torch.cat([block.abs().amax(dim=1) for block in blocks])
        if float(largest.max()) > ABSURD:
            row = int(largest.argmax())
            raise InputError(
                f"{role}: weights as large as {float(largest.max()):.1g} in row {row} (run "
                f"{population.records.run[row]}); expected at most {ABSURD:.0g}, squares of which "
                "can be added. Remove this checkpoint: it has diverged",
                "not-finite",
            )


def _other_rest(train: Population, roles: Mapping[str, Population | None]) -> list[Note]:
    """A warning where checkpoints are parts of networks whose rest is not that of training."""
    ours, notes = train.shared or {}, []
    for role, population in roles.items():
        theirs = (None if population is None else population.shared) or {}
        differ = [
            name for name in ours.keys() & theirs if not torch.equal(ours[name], theirs[name])
        ]
        if differ:
            text = (
                f"The rest of the networks of {role} checkpoints differs from that of training "
                f"checkpoints in {first_few(sorted(differ))}. What they do is judged with the rest "
                "of training: choose these parameters too (--include), or give parts of networks "
                "with one rest."
            )
            notes.append(Note("other-rest", text))
    return notes


def _declared(
    train: Population, symmetry: NeuronSymmetry | None, alignment: Alignment | None
) -> tuple[DistanceInfo, list[Note]]:
    """The distance of this audit."""
    plain = "L2" if train.layout.learned is train.layout else WITHOUT_STATISTICS
    unknown = "" if symmetry is None else symmetry.describe_unknown()
    notes = [Note("unknown-symmetry", NOT_KNOWN.format(unknown))] if unknown else []
    if alignment is None and symmetry is not None:
        text = f"not known: {unknown}" if unknown else NO_MOVES
        return DistanceInfo(name=plain, is_exact=True, symmetry=text), notes
    if alignment is None:
        info = DistanceInfo(name=plain, is_exact=True, symmetry="none")
        why = symmetry_of_layout(train.layout)
        words = (
            "No symmetry was declared: the distance is plain L2, and a copy whose neurons were "
            "reordered looks new here."
        )
        if isinstance(why, str):
            words += (
                f" Names and shapes do not tell it: {why}. Name the network (--network) or a file "
                "with its table (--symmetry)."
            )
        return info, [Note("no-symmetry", words)]
    text = alignment.describe()
    name = f"{plain}, minimized over {text}"
    form = CanonicalForm.of(train.layout, symmetry)
    info = DistanceInfo(
        name,
        is_exact=alignment.is_exact,
        symmetry=f"{text}; not known of {unknown}" if unknown else text,
        canonical="" if form is None else form.describe(),
    )
    return info, notes

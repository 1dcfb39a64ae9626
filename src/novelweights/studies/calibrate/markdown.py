"""The study as a page of plain Markdown: what was done, the targets, what came."""

from collections.abc import Iterable, Sequence

from novelweights.studies.calibrate.plants import COPIES
from novelweights.studies.calibrate.results import Calibration, KindInfo, ShareLimits, ZooResult
from novelweights.studies.calibrate.targets import MAX_NOISE, groups_of, percent, spread

OTHERS = {
    "ratio_rule": "ratio rule",
    "calibrated_l2": "calibrated L2",
    "not_authentic": "not authentic",
}
CHANGED = (
    "The rules and thresholds were chosen on other zoos (64-10-10 ReLU digit classifiers, "
    "independent and shared initialization) and fixed before this study was first run. Its "
    "first run showed what was wrong with three of them on `mnist-5k-shared`, and they were "
    "changed; the numbers here are those of the rules as they are now, on the same "
    "checkpoints.",
    "A distance of at most half the median held-out distance used to prove a copy. There "
    "fresh runs themselves come nearer (one initialization and one data set, only the order "
    "differs), so it now must also be below that of every held-out run. This finds fewer "
    "copies.",
    "Measures of one leg used to be standardized, for a held-out run, by the other held-out "
    "runs. A held-out run far out then had a scale of its own and hid exact copies. Now all "
    "are standardized together with the checkpoint.",
    "Aligned mixtures used to count only for networks that work as well as fresh runs; now "
    "for all that are trained at all (half the median quality).",
    "After a review, and without regard to this study: the third most extreme held-out run is"
    " the yardstick for a population's share of mixtures, not the second; most samples must "
    "be novel one by one before a population is.",
)
BEFORE = (
    "The rules and thresholds were chosen on zoos of networks with one hidden layer, and three of "
    "them changed after a first run of the study of such networks (`docs/calibration.md` tells "
    "which). They are the same here; none was changed after this study."
)
"""Of a study with deeper networks."""
LIMITS = (
    "Training populations per zoo: {populations}; intervals say how far another pool of held-out "
    "and fresh runs would move the rates, not other training populations.",
    "Held-out runs of different repetitions overlap: they are drawn from one pool of "
    "{heldout_runs}, so the range over repetitions is too narrow for {most} of them.",
    "Samples are not compared with each other here (the audit's leg that sees repeated samples), "
    "and the cosine less the mean of all samples is taken with the whole pool of a kind, also in "
    "mixtures.",
    "Everything is planted by a recipe. A generator may copy in ways that are not here.",
)


def render_markdown(study: Calibration) -> str:
    """The page as text; equal results give equal text.

    Args:
        study: What `novelweights calibrate` found.
    """
    sizes = study.sizes
    is_exact = all(zoo.is_exact for zoo in study.zoos)
    limits = [_networks(study.zoos)] + [
        text.format(
            populations=sizes["populations"],
            heldout_runs=sizes["heldout_runs"],
            most=max(sizes["n_heldout"]),
        )
        for text in LIMITS
    ]
    least = min(row.upper for zoo in study.zoos for row in zoo.shares if row.share == 0)
    if least > study.criteria["max_share"]:
        limits.append(
            f"Audits of {sizes['fresh_drawn']} samples: even where none is beyond, copied shares "
            f"of up to {percent(least)} are not excluded, so no population of fresh runs can be "
            "called novel here."
        )
    parts = [
        "# Calibration: the audit judged on zoos of known truth",
        _what_was_done(study),
        "## Targets set beforehand, and what came",
        _targets(study),
        *(_what_was_changed() if is_exact else ("## Where the rules are from", BEFORE)),
        "## The same, by the measures in common use",
        _side_by_side(study),
        "## Limits of this study",
        "\n".join(f"- {text}" for text in limits),
        *(part for zoo in study.zoos for part in _zoo(zoo)),
        "## Made by",
        f"`novelweights calibrate --scale {study.scale} --seed {study.seed} --repetitions "
        f"{study.repetitions}`, with "
        + ", ".join(f"{name} {version}" for name, version in study.versions.items())
        + ". Thresholds: "
        + ", ".join(f"{name} {_threshold(value)}" for name, value in study.criteria.items())
        + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _what_was_changed() -> Iterable[str]:
    yield "## What was changed after a first look"
    yield CHANGED[0]
    yield "\n".join(f"- {text}" for text in CHANGED[1:])


def _networks(zoos: Sequence[ZooResult]) -> str:
    """The limit that a study has by its networks and data."""
    data = ", ".join(dict.fromkeys(zoo.data.split(" (")[0] for zoo in zoos))

    def named(is_exact: bool) -> str:
        found = dict.fromkeys(zoo.architecture for zoo in zoos if zoo.is_exact == is_exact)
        return ", ".join(found)

    if all(zoo.is_exact for zoo in zoos):
        return (
            f"Networks with one hidden layer only, where alignment is exact ({named(True)}); data "
            f"sets of digits only ({data})."
        )
    bracketed = (
        f"Distances of {named(False)} are what the best move found achieves, with a certified "
        "lower bound: a copy whose move no descent finds would not be found."
    )
    exact = f" Those of {named(True)} are exact." if named(True) else ""
    return f"{bracketed}{exact} One recipe for each network; data sets of digits only ({data})."


def _what_was_done(study: Calibration) -> str:
    sizes, zoos = study.sizes, len(study.zoos)
    n_heldout = " or ".join(map(str, sizes["n_heldout"]))
    return (
        f"On {zoos} zoo{'s' * (zoos != 1)} of real networks, none of them among those on which the "
        "rules were chosen, checkpoints of known origin were planted and audited. Per zoo: "
        "disjoint training populations "
        f"({sizes['populations']}) of {sizes['training_runs']} runs, {sizes['heldout_runs']} "
        f"held-out and {sizes['fresh_runs']} fresh runs, and {sizes['planted']} checkpoints of "
        "every planted kind from each training population. An audit draws a training population, "
        f"{n_heldout} held-out runs, {sizes['fresh_drawn']} fresh runs and "
        f"{sizes['planted_drawn']} checkpoints of every kind; there were {study.repetitions} such "
        "audits per zoo and number of held-out runs. Noise is given as its length over the median "
        "distance of held-out runs to the nearest training run. *Found* means called replica or "
        "interpolation; *right* means the verdict that fits the kind (for honest decoys: neither "
        "of the two)."
    )


def _targets(study: Calibration) -> str:
    rows = [
        (line.text, line.target, line.reached, "met" if line.is_met else "**missed**")
        for line in study.targets
    ]
    text = _table(("of the audit", "target", "reached", ""), rows)
    missed = [line for line in study.targets if line.misses]
    for line in missed:
        how = "Missed" if not line.is_met else "Within the target, but"
        text += f"\n\n{how}: {line.text[0].lower()}{line.text[1:]}\n\n"
        text += "\n".join(f"- {where}" for where in line.misses)
    if all(line.is_met for line in study.targets):
        text += "\n\nEvery line was met."
    return text


def _side_by_side(study: Calibration) -> str:
    """By group of kinds: what is called a copy, by this audit and by each measure in common use."""
    rows = []
    for name in groups_of(study.zoos[0].kinds):
        ours, others = [], {measure: [] for measure in OTHERS}
        for zoo in study.zoos:
            keys = groups_of(zoo.kinds)[name]
            ours += [outcome.found for outcome in zoo.outcomes if outcome.kind in keys]
            for measure, shares in others.items():
                shares += [kind.others[measure] for kind in zoo.kinds if kind.key in keys]
        if ours:
            rows.append((name, spread(ours), *(spread(shares) for shares in others.values())))
    note = (
        "Share of the checkpoints called copies or mixtures, lowest to highest over zoos, kinds "
        "and numbers of held-out runs. Of fresh runs and honest decoys none should be; of the "
        f"others all. Copies: exact, and with noise of up to {MAX_NOISE:g}."
    )
    return f"{note}\n\n{_table(('checkpoints', 'this audit', *OTHERS.values()), rows)}"


def _zoo(zoo: ZooResult) -> Iterable[str]:
    quality = ", ".join(f"{name} {value:.1f}%" for name, value in zoo.quality.items())
    spacing = ", ".join(f"{value:.3g}" for value in zoo.spacing)
    yield f"## {zoo.name}"
    yield (
        f"{zoo.description} ({zoo.weights:,} weights; {zoo.data}). {_distances(zoo)} "
        f"Trained for {zoo.training['epochs']} epochs in batches of "
        f"{zoo.training['batch_size']}. Mean accuracy: {quality}. Median distance of held-out runs "
        f"to the nearest training run: {spacing}."
    )
    yield "### Single checkpoints"
    yield _outcomes(zoo)
    yield "### Measures in common use, on the same checkpoints"
    yield (
        "Share of the checkpoints that each flags as copies, and the three-sample test C_T of the "
        "kind as a whole (below -3 is read as copying). All take plain L2, as they are published."
    )
    yield _established(zoo)
    yield "### False alarms on fresh runs"
    yield _false_alarms(zoo)
    yield "### Copied share: mean estimate, and mean limits, for exact copies among fresh runs"
    yield _shares(zoo)
    if zoo.populations:
        yield "### Verdicts on whole populations"
        yield _populations(zoo)


def _distances(zoo: ZooResult) -> str:
    if zoo.is_exact:
        return f"Distances are minimized over {zoo.symmetry}, exactly."
    return (
        f"Distances are minimized over {zoo.symmetry}, not for certain: they are bracketed between "
        "the distance that the best move found achieves, which ranks use, and a certified lower "
        f"bound, for held-out runs {zoo.certified:.0%} of it (median). A checkpoint whose bound is "
        "below half of the usual distance is not called novel."
    )


def _sizes(zoo: ZooResult) -> list[int]:
    return list(dict.fromkeys(outcome.n_heldout for outcome in zoo.outcomes))


def _outcomes(zoo: ZooResult) -> str:
    found = {(outcome.kind, outcome.n_heldout): outcome for outcome in zoo.outcomes}
    head = ["kind", "distance", "accuracy"]
    for n in _sizes(zoo):
        head += [f"found, n = {n}", "right", "novel"]
    rows = []
    for kind in zoo.kinds:
        row = [kind.label, f"{kind.distance:.2f}", f"{kind.quality:.1f}%"]
        for n in _sizes(zoo):
            one = found[kind.key, n]
            low, high = one.found_range
            inside = "" if low == high == one.found else f" ({percent(low)} to {percent(high)})"
            row.append(percent(one.found) + inside)
            row += [percent(one.right), percent(one.verdicts["novel"])]
        rows.append(row)
    note = (
        "n is the number of held-out runs; in brackets the central 95% of the repetitions. "
        "Distance: median, over that of held-out runs."
    )
    return f"{note}\n\n{_table(head, rows)}"


def _established(zoo: ZooResult) -> str:
    n = _sizes(zoo)[0]
    ours = {o.kind: o.found for o in zoo.outcomes if o.n_heldout == n}
    rows = [
        (
            kind.label,
            *(percent(kind.others[name]) for name in OTHERS),
            _number(kind),
            percent(ours[kind.key]),
        )
        for kind in zoo.kinds
    ]
    return _table(("kind", *OTHERS.values(), "C_T", f"this audit, n = {n}"), rows)


def _number(kind: KindInfo) -> str:
    return "none" if kind.data_copying is None else f"{kind.data_copying:.1f}"


def _false_alarms(zoo: ZooResult) -> str:
    rows = [
        (
            row.leg.replace("_", " "),
            str(row.n_heldout),
            str(row.r),
            percent(row.nominal),
            f"{percent(row.rate)} ({percent(row.lower)} to {percent(row.upper)})",
        )
        for row in zoo.false_alarms
    ]
    note = (
        "Beyond the r-th most extreme held-out run; in brackets the 95% interval by bootstrap of "
        "the pools. Accused: called replica or interpolation, by any of three legs."
    )
    return f"{note}\n\n{_table(('leg', 'held-out', 'r', 'nominal', 'rate'), rows)}"


def _shares(zoo: ZooResult) -> str:
    groups: dict[tuple[str, int], list[ShareLimits]] = {}
    for row in zoo.shares:
        groups.setdefault((row.leg, row.n_heldout), []).append(row)
    exact = [row.share for row in next(iter(groups.values())) if row.copies == COPIES]
    rows = []
    for (leg, n), all_rows in groups.items():
        cells = [
            f"{percent(row.estimate)} ({percent(row.lower)} to {percent(row.upper)})"
            for row in all_rows
            if row.copies == COPIES
        ]
        holds = [
            percent(sum(getattr(row, name) for row in all_rows) / len(all_rows))
            for name in ("lower_holds", "upper_holds")
        ]
        rows.append((leg, str(n), *cells, *holds))
    head = ("by", "held-out", *map(_share_title, exact), "lower holds", "upper holds")
    note = (
        "The last two columns: repetitions in which the lower limit is at most the true share, and "
        "in which the upper is at least the share of detectable copies; over these mixtures and "
        "the same with noisy copies (.25)."
    )
    return f"{note}\n\n{_table(head, rows)}"


def _share_title(share: float) -> str:
    return f"{100 * share:.3g}% copies"


def _populations(zoo: ZooResult) -> str:
    labels = {kind.key: kind.label for kind in zoo.kinds}
    rows = []
    for row in zoo.populations:
        told = ", ".join(f"{name} {n}" for name, n in row.verdicts.items() if n)
        rows.append((labels[row.kind], str(row.m), str(row.n_heldout), told))
    note = "How many repetitions ended in which verdict on all m checkpoints together."
    return f"{note}\n\n{_table(('kind', 'm', 'held-out', 'verdicts'), rows)}"


def _threshold(value: float | int | list[float]) -> str:
    if isinstance(value, list):
        return " to ".join(f"{one:.3g}" for one in value)
    return f"{value:.3g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )

"""The study as a page of plain Markdown: what was done, the targets, what came."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from novelweights.studies.calibrate.plants import COPIES
from novelweights.studies.calibrate.results import OTHERS, Calibration, ShareLimits, ZooResult
from novelweights.studies.calibrate.targets import MAX_NOISE, groups_of, percent, spread

INSIDE = re.compile(r"(?<!\n)\n *(?![ \n|#-])")
"""The end of a line of the template that goes on in the next one."""


def render_markdown(study: Calibration) -> str:
    """The page as text; equal results give equal text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    zoos = study.zoos
    named = {
        is_exact: ", ".join(dict.fromkeys(z.architecture for z in zoos if z.is_exact == is_exact))
        for is_exact in (True, False)
    }
    least = min(row.upper for zoo in zoos for row in zoo.shares if row.share == 0)
    text = environment.get_template("page.md.jinja").render(
        study=study,
        zoos=zoos,
        sizes=study.sizes,
        table=_table,
        threshold=_threshold,
        targets=[
            (line.text, line.target, line.reached, "met" if line.is_met else "**missed**")
            for line in study.targets
        ],
        is_exact=not named[False],
        exact=named[True],
        bracketed=named[False],
        data=", ".join(dict.fromkeys(zoo.data.split(" (")[0] for zoo in zoos)),
        max_noise=MAX_NOISE,
        others=[*OTHERS.values()],
        side_by_side=_side_by_side(zoos),
        not_excluded=percent(least) if least > study.criteria["max_share"] else "",
        of_zoos=[(zoo, _tables(zoo)) for zoo in zoos],
    )
    return re.sub(r"\n{3,}", "\n\n", INSIDE.sub(" ", text)).strip() + "\n"


def _side_by_side(zoos: Sequence[ZooResult]) -> Iterable[Sequence[str]]:
    """By group of kinds: what is called a copy, by this audit and by each established measure."""
    for name in groups_of(zoos[0].kinds):
        ours, others = [], {measure: [] for measure in OTHERS}
        for zoo in zoos:
            keys = groups_of(zoo.kinds)[name]
            ours += [outcome.found for outcome in zoo.outcomes if outcome.kind in keys]
            for measure, shares in others.items():
                shares += [kind.others[measure] for kind in zoo.kinds if kind.key in keys]
        if ours:
            yield name, spread(ours), *map(spread, others.values())


def _tables(zoo: ZooResult) -> Mapping[str, str]:
    """The tables of one zoo."""
    sizes = list(dict.fromkeys(outcome.n_heldout for outcome in zoo.outcomes))
    by_kind = {(outcome.kind, outcome.n_heldout): outcome for outcome in zoo.outcomes}
    head, outcomes, established = ["kind", "distance", "accuracy"], [], []
    for n in sizes:
        head += [f"found, n = {n}", "right", "novel"]
    for kind in zoo.kinds:
        row = [kind.label, f"{kind.distance:.2f}", f"{kind.quality:.1f}%"]
        for n in sizes:
            one = by_kind[kind.key, n]
            low, high = one.found_range
            inside = "" if low == high == one.found else f" ({percent(low)} to {percent(high)})"
            row.append(percent(one.found) + inside)
            row += [percent(one.right), percent(one.verdicts["novel"])]
        outcomes.append(row)
        flags = [percent(kind.others[name]) for name in OTHERS]
        c_t = "none" if kind.data_copying is None else f"{kind.data_copying:.1f}"
        established.append([kind.label, *flags, c_t, percent(by_kind[kind.key, sizes[0]].found)])
    alarms = [
        (
            row.test.replace("_", " "),
            str(row.n_heldout),
            str(row.r),
            percent(row.nominal),
            _with_limits(row.rate, row.lower, row.upper),
        )
        for row in zoo.false_alarms
    ]
    populations = [
        (
            zoo.labels[row.kind],
            str(row.m),
            str(row.n_heldout),
            ", ".join(f"{name} {n}" for name, n in row.verdicts.items() if n),
        )
        for row in zoo.populations
    ]
    ours = f"this audit, n = {sizes[0]}"
    return {
        "outcomes": _table(head, outcomes),
        "established": _table(("kind", *OTHERS.values(), "C_T", ours), established),
        "false_alarms": _table(("test", "held-out", "r", "nominal", "rate"), alarms),
        "shares": _shares(zoo),
        "populations": _table(("kind", "m", "held-out", "verdicts"), populations),
    }


def _shares(zoo: ZooResult) -> str:
    groups: dict[tuple[str, int], list[ShareLimits]] = {}
    for row in zoo.shares:
        groups.setdefault((row.test, row.n_heldout), []).append(row)
    exact = [row.share for row in next(iter(groups.values())) if row.copies == COPIES]
    rows = []
    for (test, n), all_rows in groups.items():
        cells = [
            _with_limits(row.estimate, row.lower, row.upper)
            for row in all_rows
            if row.copies == COPIES
        ]
        holds = [
            percent(sum(getattr(row, name) for row in all_rows) / len(all_rows))
            for name in ("lower_holds", "upper_holds")
        ]
        rows.append((test, str(n), *cells, *holds))
    titles = [f"{100 * share:.3g}% copies" for share in exact]
    return _table(("by", "held-out", *titles, "lower holds", "upper holds"), rows)


def _with_limits(value: float, lower: float, upper: float) -> str:
    return f"{percent(value)} ({percent(lower)} to {percent(upper)})"


def _threshold(value: float | int | list[float]) -> str:
    return " to ".join(f"{one:.3g}" for one in (value if isinstance(value, list) else [value]))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )

"""summary.md: the summary of an evaluation on one short page, from its plain data alone.

Where a generator was sampled in several ways their numbers stand side by side.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from novelweights.auditing.result import Quantity
from novelweights.errors import count
from novelweights.report.tables import MISSING, QuantityRow, number, plain, quantity_rows

AUDIT, STEERING, RECONSTRUCTION = "audit", "steering", "reconstruction"
"""Where an evaluation keeps the run folders of its audit, and of its steering and reconstruction,
if any."""
PRINTED_FACTS = ("parameters", "values_in_training")
"""What the paper prints of a generator's size."""


def markdown(data: Mapping[str, Any]) -> str:
    """summary.md, from the content of summary.json."""
    settings, seconds, several = data["settings"], data["seconds"], _samplers(data)
    codec = [data["codec"]] if data.get("codec") else []
    parts = [
        f"# {settings['method']} on {settings['zoo']}",
        *(text for one in several for text in _verdict(one)),
        *codec,
        *_warnings(several),
        "## What was run",
        *_listed(_run_rows(data)),
        "## Numbers",
        *codec,
        _numbers(several, data["paper"]),
    ]
    parts += [
        f"Noise at matched novelty{_of(one)}: {one['noise']}." for one in several if one["noise"]
    ]
    pages = " and ".join(
        f"[the audit's page{_of(one)}]({one['audit']}/report.html#findings)" for one in several
    )
    parts += [
        "## The paper's findings, on these checkpoints",
        _findings(several),
        f"What decides stands on {pages}; the rules are ours.",
    ]
    for folder in (STEERING, RECONSTRUCTION):
        if data[folder]:
            words = f"{data[folder]} [Its page]({folder}/report.html)."
            parts += [f"## {folder.capitalize()}", words]
    if seconds:
        cores = data["cores"]
        on = "" if cores is None else f" (on a machine with {cores} core{'s' * (cores != 1)})"
        rows = [(stage, number(s)) for stage, s in seconds.items()]
        rows.append(("total", number(sum(seconds.values()))))
        parts += ["## Time", _table(("stage", f"seconds{on}"), rows, numbers=(1,))]
    return "\n\n".join(parts) + "\n"


def _samplers(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the audit of each sampler says; of the only one without a name."""
    return [{"audit": AUDIT, "sampler": "", **data}, *data.get("others", [])]


def _of(one: Mapping[str, Any]) -> str:
    """Whose it is, where there are several."""
    return f", {one['sampler']}" if one["sampler"] else ""


def _verdict(one: Mapping[str, Any]) -> list[str]:
    verdict, name = one["verdict"], one["sampler"]
    counts = ", ".join(f"{n:,} {kind}" for kind, n in verdict["counts"].items() if n)
    origin = f"Sampler {name}: {verdict['origin']}" if name else verdict["origin"].capitalize()
    return [
        f"**{origin}.** {verdict['sentence']}",
        f"Verdict on each checkpoint: {counts}. [The audit's page]({one['audit']}/report.html).",
    ]


def _warnings(several: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a reader of the verdict must know, as on the audit's page; once if it is of all."""
    words = []
    texts = {one["sampler"]: [note["text"] for note in one["warnings"]] for one in several}
    for warning in dict.fromkeys(text for mine in texts.values() for text in mine):
        whose = [sampler for sampler, mine in texts.items() if warning in mine]
        of = "" if len(whose) == len(several) else f"{' and '.join(whose)}: "
        words.append(f"- {of}{_text(warning)}")
    return ["Keep in mind:", "\n".join(words)] if words else []


def _run_rows(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    settings, checkpoints, others = data["settings"], data["checkpoints"], data.get("others")
    kept = settings.get("checkpoints", 1)
    counts = {kind: n for kind, n in checkpoints.items() if kind in ("training", "held-out")}
    if few := data.get("training_runs"):
        counts["training"] = few
    runs = " and ".join(f"{n:,} {kind}" for kind, n in counts.items())
    return [
        ("command", f"`{data['command']}`"),
        ("data", _text(plain(data["data"]))),
        ("target network", _network(data)),
        (
            "zoo",
            f"{settings['zoo']}: {runs} runs{f', {kept} checkpoints of each' * (kept != 1)}",
        ),
        (
            "compared",
            f"{count(checkpoints['generated'], 'sample')}{' of each sampler' * bool(others)}; "
            f"distance: {_text(data['distance'])}",
        ),
        *_beside(data),
        ("generator", f"{settings['method']}, scale {settings['scale']}{_size(data)}"),
        ("settings unlike the paper's", _changed(data)),
        *([("samplers", _ways(data["samplers"]))] if others else []),
        ("seed", str(settings["seed"])),
        ("versions", _versions(data)),
    ]


def _beside(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What few training runs, and networks trained from scratch, mean for the comparison."""
    checkpoints, rows = data["checkpoints"], []
    if few := data.get("training_runs"):
        words = f"{checkpoints['training']:,} steps of {count(few, 'run')}: no independent evidence"
        rows.append(("training checkpoints", words))
    if n := checkpoints.get("from-scratch"):
        rows.append(("networks trained from scratch", f"{n:,}, independently of all others"))
    return rows


def _ways(samplers: Mapping[str, Mapping[str, Any]]) -> str:
    """How one fitted generator was sampled."""
    words = [
        f"{name} ({', '.join(f'{key} {_value(value)}' for key, value in changed.items())})"
        for name, changed in samplers.items()
    ]
    return f"{', '.join(words)}; of one fitted generator, the first as published"


def _network(data: Mapping[str, Any]) -> str:
    words = "" if data["weights"] is None else f", {data['weights']:,} weights"
    return f"{_text(plain(data['architecture']))}{words}"


def _size(data: Mapping[str, Any]) -> str:
    """Parameters, over values, and passes, in words; beside the paper's where it prints them."""
    size, paper = data["generator"], data["paper"] or {}
    words = ""
    if size["parameters"]:
        words += f"; {size['parameters']:,} parameters"
        compared, every = size["values_in_compared_training"], size["values_in_training"]
        if compared:
            words += f", {number(size['parameters'] / compared)} per value"
            words += f" in the {data['checkpoints']['training']:,} training checkpoints compared"
            printed, is_of_all = "", every and paper.get("counts_all_checkpoints")
            if all(key in paper for key in PRINTED_FACTS):
                facts = [paper[key][0] for key in PRINTED_FACTS]
                note = f"; {paper['note']}" if "note" in paper else ""
                printed = f" (paper: {facts[0]} parameters for {facts[1]} values{note})"
            if not is_of_all or every == compared:
                words += printed
            if every and every != compared:
                words += f", {number(size['parameters'] / every)} per value in all it learned from"
                words += printed if is_of_all else ""
    if size["draws_per_training_row"]:
        words += (
            f"; {size['optimizer_steps']:,} optimizer steps of batch {size['batch_size']:,}, "
            f"{number(size['draws_per_training_row'])} draws per training checkpoint"
        )
    return words


def _changed(data: Mapping[str, Any]) -> str:
    changed = data["settings_not_of_the_paper"]
    if changed is None:
        return "unknown"
    words = [f"{name} {_value(here)} ({_value(there)})" for name, (here, there) in changed.items()]
    said = f"{', '.join(words)}; in brackets the paper's" if words else "none"
    if recovered := [name for name in data["settings_recovered"] if name in changed]:
        verb = "is" if len(recovered) == 1 else "are"
        said += f" ({', '.join(recovered)} {verb} recovered from its parameter counts)"
    if unknown := data["settings_not_known"]:
        listed = ", ".join(f"{name} {_value(here)}" for name, here in unknown.items())
        said += f"; not known from the paper: {listed}"
    return said


def _value(value: Any) -> str:
    """A setting with all its digits."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:,}" if is_number else plain(value)


def _versions(data: Mapping[str, Any]) -> str:
    versions = data["versions"]
    words = [f"{name} {versions[name]}" for name in ("novelweights", "torch") if name in versions]
    commit = data["git_commit"]
    return ", ".join([*words, *([f"commit {commit[:12]}"] if commit else [])])


def _numbers(several: Sequence[Mapping[str, Any]], paper: Mapping[str, Any] | None) -> str:
    """The table of numbers, with a column for the paper's where it prints any."""
    columns = [_rows_by_key(one["numbers"]) for one in several]
    known = {row["key"]: row for one in reversed(several) for row in one["numbers"]}
    order = dict.fromkeys(key for column in columns for key in column)
    if len(several) == 1:
        header = ["", "value", "interval", "n"]
        rows = [(row.label, row.value, row.interval, row.n) for row in columns[0].values()]
    else:
        header = ["", *(one["sampler"] for one in several), "n"]
        rows = [_side_by_side([column.get(key) for column in columns]) for key in order]
    aligned = range(1, len(header))
    if paper is not None:
        header.append(f"paper ({paper['setting']})")
        printed = [known[key]["paper"] for key in order]
        rows = [
            (*row, "" if there is None else f"{there[0]} ({there[1]})")
            for row, there in zip(rows, printed, strict=True)
        ]
    return _table(header, rows, numbers=aligned)


def _rows_by_key(numbers: Iterable[Mapping[str, Any]]) -> dict[str, QuantityRow]:
    """Numbers as text."""
    fields = ("key", "label", "value", "n", "unit", "lower", "upper", "level")
    known = [Quantity(definition="", **{k: row[k] for k in fields}) for row in numbers]
    return {row.key: row for row in quantity_rows(known)}


def _side_by_side(rows: Sequence[QuantityRow | None]) -> tuple[str, ...]:
    """One number of several samplers: what it is, values with intervals, and n."""
    there = [row for row in rows if row is not None]
    cells = [
        MISSING if row is None else f"{row.value} {row.interval}".removesuffix(f" {MISSING}")
        for row in rows
    ]
    return (there[0].label, *cells, " / ".join(dict.fromkeys(row.n for row in there)))


def _findings(several: Sequence[Mapping[str, Any]]) -> str:
    """The paper's findings; of several samplers a column for each."""
    if len(several) == 1:
        header = ("finding", "in the paper", "measured here", "outcome")
        rows = [
            (f["claim"], f["source"], f["measured"], f"**{f['outcome']}**")
            for f in several[0]["findings"]
        ]
        return _table(header, rows)
    rows = [
        (
            same[0]["claim"],
            same[0]["source"],
            *(f"**{f['outcome']}**: {f['measured']}" for f in same),
        )
        for same in zip(*(one["findings"] for one in several), strict=True)
    ]
    return _table(("finding", "in the paper", *(one["sampler"] for one in several)), rows)


def _listed(rows: Iterable[tuple[str, str]]) -> list[str]:
    return ["\n".join(f"- {name}: {text}" for name, text in rows)]


def _table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()
) -> str:
    """A table in Markdown; columns of numbers to the right."""
    marks = ["--:" if i in numbers else "---" for i in range(len(header))]
    lines = [list(header), marks, *([_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """Text that neither ends a cell nor becomes a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

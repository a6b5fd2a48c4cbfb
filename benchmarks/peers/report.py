"""The tables, and the page that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.peers import schedule
from benchmarks.peers.targets import MB, Figures, Row, Table, rows
from benchmarks.peers.works import Sample

BEGIN = "<!-- made by benchmarks.peers: begin -->"
END = "<!-- made by benchmarks.peers: end -->"

CHANGING = ("backup", "ten", "forget")
"""How works begin that change what is stored."""


@dataclass(frozen=True, slots=True)
class Run:
    """What the report tells besides what was measured.

    Attributes:
        command: that made it.
        date: when.
        is_quick: whether the data is smaller than what the targets are for.
        repeat: how many times that was done which a target is set on.
        machine: its parts.
        load: processes at work when it began, and when it ended.
        versions: of the tools.
        media: what the repositories were on, and the type of its file system.
        sets: key of each set that was used; what it is, its files and bytes.
        notes: what did not go as it should.
    """

    command: str
    date: str
    is_quick: bool
    repeat: int
    machine: Mapping[str, str]
    load: tuple[float, float]
    versions: Sequence[str]
    media: Mapping[str, str]
    sets: Mapping[str, tuple[str, int, int]]
    notes: Sequence[str]


def medians(samples: Iterable[Sample]) -> Table:
    """The medians by set, work and tool."""
    together: dict[tuple[str, str, str], list[Sample]] = {}
    for sample in samples:
        together.setdefault((sample.data, sample.work, sample.tool), []).append(sample)
    return {
        key: Figures(
            wall=median(sample.cost.wall for sample in found),
            processor=median(sample.cost.processor for sample in found),
            peak=median(sample.cost.peak for sample in found),
            stored=median(sample.stored for sample in found),
            added=median(sample.added for sample in found),
        )
        for key, found in together.items()
    }


def report(run: Run, samples: Sequence[Sample]) -> str:
    """All tables as Markdown."""
    parts = [_head(run)]
    files = {key: count for key, (_, count, _) in run.sets.items()}
    main = next(iter(run.media), "")
    for medium, kind in run.media.items():
        table = medians(sample for sample in samples if sample.on == medium)
        if table:
            parts += [
                f"## On {'a file system in memory' if medium == 'memory' else 'a disk'} ({kind})",
                *([_targets(table, files)] if medium == main else []),
                *_figures(table),
            ]
    return "\n\n".join(parts) + "\n"


def write(path: Path, text: str) -> None:
    """Put the tables into a page, in place of those that it has; the rest of it stays.

    Raises:
        ValueError: the page has no place for them.
    """
    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", "utf-8")


def _head(run: Run) -> str:
    kept = f"Made on {run.date} by `{run.command}`. {schedule.told(run.repeat)}"
    if run.is_quick:
        kept += (
            " **This is the quick run: its data is smaller than what the targets are set for, so"
            " that start-up weighs more than it should. The full run, `make bench`, was not made.**"
        )
    lines = [kept, ""]
    lines += [f"- {name}: {value}" for name, value in run.machine.items()]
    lines += [
        f"- load average: {run.load[0]:.1f} at the beginning, {run.load[1]:.1f} at the end",
        f"- tools: {', '.join(run.versions)}",
    ]
    lines += [f"- **{note}**" for note in run.notes]
    sets = [
        (f"({key})", title, f"{files:,}", f"{size / MB:,.0f}")
        for key, (title, files, size) in run.sets.items()
    ]
    return "\n".join([*lines, "", _grid(("set", "what it is", "files", "MB"), sets)])


def _targets(table: Table, files: Mapping[str, int]) -> str:
    head = ("work", "holdfast", "restic, or where", "ratio, or value", "at most", "")
    return "### Targets\n\n" + _grid(head, [_target(row) for row in rows(table, files)])


def _target(row: Row) -> tuple[str, ...]:
    most = f"{row.most:.2f}"
    if row.value is None:
        return (row.title, "", "", "", most, "**not measured**")
    met = "met" if row.is_met else "**not met**"
    return (row.title, row.own, row.other, f"{row.value:.2f}", most, met)


def _figures(table: Table) -> list[str]:
    def is_changing(work: str) -> bool:
        return work.startswith(CHANGING)

    return [
        "### Seconds\n\n" + _compared(table, lambda f: f.wall, 2),
        "### Seconds of processor time\n\n" + _compared(table, lambda f: f.processor, 2),
        "### Most memory, MB\n\n" + _compared(table, lambda f: f.peak / MB, 0),
        "### Stored, MB\n\n" + _compared(table, lambda f: f.stored / MB, 1, is_changing),
    ]


def _compared(
    table: Table,
    pick: Callable[[Figures], float],
    digits: int,
    wanted: Callable[[str], bool] = bool,
) -> str:
    """A row for each work, a column for each tool, and holdfast's ratio to each of the others."""
    tools = list(dict.fromkeys(tool for _, _, tool in table))
    peers = [tool for tool in tools if tool != "holdfast"]
    lines = []
    for data, work in dict.fromkeys((data, work) for data, work, _ in table if wanted(work)):
        values = {
            tool: pick(table[data, work, tool]) for tool in tools if (data, work, tool) in table
        }
        own = values.get("holdfast")
        lines.append(
            (
                f"({data}) {work}",
                *(f"{values[tool]:,.{digits}f}" if tool in values else "" for tool in tools),
                *(
                    f"{own / values[peer]:.2f}" if own is not None and values.get(peer) else ""
                    for peer in peers
                ),
            )
        )
    return _grid(("work", *tools, *(f"÷ {peer}" for peer in peers)), lines)


def _grid(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    all_lines = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in all_lines)

"""A drill's course and the drills before it as pictures (SVG 1.1), drawn without a library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from holdfast.platform.compliance.evidence import Evidence

WIDTH = 640
LABEL = 170
ROW = 24
MARGIN = 8
MOST_BARS = 34
"""As many as fit on a page."""
COLOURS = {"SUCCESS": "#2e7d32", "PARTIAL": "#f9a825", "FAILED": "#c62828"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a chart.

    Attributes:
        label: what stands before it.
        start: where it begins, in the chart's unit.
        length: of it, in the same.
        text: what stands behind it.
        colour: of it.
    """

    label: str
    start: float
    length: float
    text: str
    colour: str = "#1565c0"


def timeline(evidence: Evidence) -> str:
    """The phases of the drill, one below the other, each where it began; "" if none is told of."""
    bars = []
    start = 0.0
    for phase in evidence.phases:
        seconds = _length(phase, "seconds")
        bars.append(Bar(str(phase.get("name", "")), start, seconds, f"{seconds:,.2f} s"))
        start += seconds
    return _chart(bars, "The drill's phases, in seconds from its start")


def history(evidence: Evidence) -> str:
    """Recovery times of this drill and those before, with the objective; "" for a first one."""
    if not evidence.history:
        return ""
    bars = []
    for drill in (*evidence.history, evidence.drill):
        minutes = _length(drill, "recovery_time_minutes")
        status = str(drill.get("status", ""))
        bars.append(
            Bar(
                str(drill.get("time", ""))[:16].replace("T", " "),
                0.0,
                minutes,
                f"{minutes:,.2f} min, {status}",
                COLOURS.get(status, "#616161"),
            )
        )
    return _chart(bars, "Recovery times in minutes", evidence.max_rto_minutes)


def _chart(bars: Sequence[Bar], title: str, limit: float | None = None) -> str:
    if not bars:
        return ""
    if len(bars) > MOST_BARS:
        title += f", the first {MOST_BARS} of {len(bars):,}"
        bars = bars[:MOST_BARS]
    most = max([bar.start + bar.length for bar in bars] + ([limit] if limit else [])) or 1.0
    room = WIDTH - LABEL - 3 * MARGIN - 110  # what is written behind a bar
    scale = room / most
    height = ROW * (len(bars) + 1) + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"',
        f' viewBox="0 0 {WIDTH} {height}" font-family="Helvetica, Arial, sans-serif"',
        f' font-size="12" role="img" aria-label={quoteattr(title)}>',
        f'<text x="{MARGIN}" y="{MARGIN + 12}" font-weight="bold">{escape(title)}</text>',
    ]
    for number, bar in enumerate(bars, 1):
        y = MARGIN + ROW * number
        x = LABEL + bar.start * scale
        width = max(bar.length * scale, 1.0)
        parts += [
            f'<text x="{MARGIN}" y="{y + 15}">{escape(_short(bar.label))}</text>',
            f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 8}"',
            f' fill="{bar.colour}"/>',
            f'<text x="{x + width + 6:.1f}" y="{y + 15}">{escape(_short(bar.text))}</text>',
        ]
    if limit:
        x = LABEL + limit * scale
        parts.append(
            f'<line x1="{x:.1f}" y1="{MARGIN + ROW}" x2="{x:.1f}" y2="{height - MARGIN}" '
            f'stroke="#c62828" stroke-dasharray="4 3"/>'
        )
        parts.append(
            f'<text x="{x - 4:.1f}" y="{MARGIN + 12}" text-anchor="end" fill="#c62828">'
            f"objective {limit:g}</text>"
        )
    return "\n".join([*parts, "</svg>"])


def _short(label: str) -> str:
    """A label of a bearable length, without characters that XML has no place for."""
    most = 26
    label = "".join(each if each.isprintable() else "\ufffd" for each in label[: most + 1])
    return label if len(label) <= most else label[: most - 1] + "…"


def _length(record: Mapping[str, object], name: str) -> float:
    found = record.get(name)
    return float(found) if isinstance(found, int | float) and found >= 0 else 0.0

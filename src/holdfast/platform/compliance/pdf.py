"""A report as PDF."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from holdfast.errors import UsageError
from holdfast.platform.compliance import pictures
from holdfast.platform.compliance.render import Page, word
from holdfast.platform.compliance.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fpdf import FPDF

FONT = "Helvetica"
TEXT, SMALL, HEADING, TITLE = 10, 8, 13, 18
CELL = 800
"""Most characters of a table's cell: a row has to fit on a page. The other forms have all."""


def pdf(page: Page) -> bytes:
    """As PDF, with one of the fonts that every reader has.

    These have the letters of Latin-1; others are written as numbers. The other forms of a report
    have all letters.
    """
    try:
        from fpdf import FPDF
    except ImportError as error:
        raise UsageError("PDF reports need fpdf2: pip install 'holdfast[platform]'") from error
    report, evidence = page.report, page.report.evidence
    sheet = FPDF()
    sheet.set_creation_date(report.generated)
    sheet.set_title(_latin(report.framework.title))
    sheet.set_auto_page_break(auto=True, margin=18)
    sheet.add_page()
    _write(sheet, report.framework.title, TITLE, "B")
    _write(
        sheet, f"Overall status: {'COMPLIANT' if report.compliant else 'NOT COMPLIANT'}", HEADING
    )
    _heading(sheet, "Drill information")
    _table(
        sheet,
        [
            ("Drill", evidence.drill_id),
            ("Name", evidence.name),
            ("Executed", evidence.executed),
            ("Status", evidence.status),
            ("Repository", evidence.repository),
        ],
        (1, 4),
    )
    for picture in (pictures.timeline(evidence), pictures.history(evidence)):
        _draw(sheet, picture)
    for item in report.items:
        _heading(sheet, f"{item.control.id} {item.control.title}: {item.verdict}")
        _write(sheet, item.control.requirement)
        _write(sheet, f"Evidence needed: {item.control.evidence}")
        rows = [("Rule", "Required", "Actual", "")]
        rows += [
            (RULES[name].meaning, outcome.required, outcome.actual, str(outcome.verdict))
            for name, outcome in item.outcomes.items()
        ]
        _table(sheet, rows, (3, 3, 3, 2))
    _heading(sheet, "Checks")
    _table(sheet, [(name, word(result)) for name, result in evidence.checks.items()], (2, 1))
    _list(sheet, "Errors of the drill", evidence.errors)
    _list(sheet, "Recommendations", evidence.recommendations)
    reasons = [f"Not passed: {reason}" for reason in report.reasons]
    _list(sheet, "Auditor notes", [*report.notes, *reasons])
    _heading(sheet, "Evidence")
    _table(
        sheet,
        [
            ("Evidence", f"{page.evidence_file}, BLAKE3 {page.digest}"),
            ("Audit trail", page.audit_line),
            ("Generated", report.generated.isoformat()),
        ],
        (1, 4),
    )
    return bytes(sheet.output())


def _latin(text: str) -> str:
    """What the font can write."""
    return " ".join(text.split()).encode("latin-1", "backslashreplace").decode("latin-1")


def _write(sheet: FPDF, text: str, size: int = TEXT, style: str = "") -> None:
    sheet.set_font(FONT, style, size)
    sheet.multi_cell(0, size * 0.5, _latin(text), new_x="LMARGIN", new_y="NEXT")


def _heading(sheet: FPDF, text: str) -> None:
    sheet.ln(4)
    _write(sheet, text, HEADING, "B")


def _list(sheet: FPDF, title: str, lines: Iterable[str]) -> None:
    found = list(lines)
    if not found:
        return
    _heading(sheet, title)
    for line in found:
        _write(sheet, f"- {line}")


def _table(sheet: FPDF, rows: Sequence[Sequence[str]], widths: tuple[int, ...]) -> None:
    sheet.set_font(FONT, "", SMALL)
    with sheet.table(
        col_widths=widths, first_row_as_headings=False, line_height=4.5, text_align="LEFT"
    ) as table:
        for row in rows:
            cells = table.row()
            for text in row:
                told = _latin(text)
                cells.cell(told if len(told) <= CELL else f"{told[:CELL]} ...")
    sheet.ln(2)


def _draw(sheet: FPDF, picture: str) -> None:
    if picture:
        drawn = _latin(picture).encode("latin-1").decode("latin-1")
        sheet.image(io.BytesIO(drawn.encode()), w=sheet.epw)
        sheet.ln(2)

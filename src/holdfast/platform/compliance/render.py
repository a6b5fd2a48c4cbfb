"""A report as Markdown, HTML, PDF or JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.errors import UsageError
from holdfast.platform.compliance import pictures
from holdfast.platform.compliance.report import ComplianceReport
from holdfast.platform.compliance.rules import RULES, Verdict

if TYPE_CHECKING:
    from jinja2 import Environment

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


@dataclass(frozen=True, slots=True)
class Page:
    """A report that is to be written, and what it says of the file beside it.

    Attributes:
        report: what is told.
        evidence_file: name of the file that holds its evidence.
        digest: BLAKE3 of that file, hexadecimal.
    """

    report: ComplianceReport
    evidence_file: str
    digest: str

    @property
    def audit_line(self) -> str:
        """What is said of the audit trail."""
        audit = self.report.evidence.audit
        if audit is None:
            return "none was given"
        verified = "verified" if not audit.problems else "does not verify"
        last = f", the last with the hash {audit.entries[-1].hash}" if audit.entries else ""
        return f"{verified}; {len(audit.entries):,} entries concern the drill{last}"


def word(result: bool | None) -> str:  # noqa: FBT001 - a verdict
    """A check's result as a verdict's word."""
    if result is None:
        return str(Verdict.NOT_EVALUATED)
    return str(Verdict.PASSED if result else Verdict.FAILED)


def markdown(page: Page) -> bytes:
    """As Markdown (CommonMark with tables)."""
    return _filled(page, "report.md.j2").encode("utf-8", "backslashreplace")


def html(page: Page) -> bytes:
    """As one HTML file that needs no other, with pictures of the drill and of those before."""
    return _filled(page, "report.html.j2").encode("utf-8", "backslashreplace")


def as_json(page: Page) -> bytes:
    """As JSON; see `ComplianceReport.dict`."""
    record = {
        **page.report.dict(),
        "evidence_file": page.evidence_file,
        "evidence_blake3": page.digest,
    }
    return json.dumps(record, indent=2, ensure_ascii=True).encode() + b"\n"


def _filled(page: Page, template: str) -> str:
    is_html = ".html." in template
    evidence = page.report.evidence
    return (
        _environment(is_html=is_html)
        .get_template(template)
        .render(
            report=page.report,
            evidence=evidence,
            names={"evidence": page.evidence_file},
            digest=page.digest,
            audit_line=page.audit_line,
            meaning=lambda name: RULES[name].meaning,
            timeline=pictures.timeline(evidence),
            history=pictures.history(evidence),
        )
    )


def _environment(*, is_html: bool) -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise UsageError("reports need jinja2: pip install 'holdfast[platform]'") from error
    environment = Environment(
        loader=PackageLoader("holdfast.platform.compliance"),
        autoescape=is_html,  # noqa: S701 - Markdown is escaped by its own filter
        undefined=StrictUndefined,
        trim_blocks=is_html,
        lstrip_blocks=is_html,
    )
    environment.filters |= {"line": _line, "cell": _line, "word": word}
    return environment


def _line(value: object) -> str:
    """Text on one line of Markdown, in which nothing means anything."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))

"""Makes reports, and the files around them."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

from holdfast.errors import UsageError
from holdfast.platform.audit import AuditEntry
from holdfast.platform.compliance.evidence import AuditExtract, Evidence, HasDict, Plain
from holdfast.platform.compliance.frameworks import framework as find_framework
from holdfast.platform.compliance.manifest import SUFFIX, manifest_of
from holdfast.platform.compliance.pdf import pdf
from holdfast.platform.compliance.render import Page, as_json, html, markdown
from holdfast.platform.compliance.report import ComplianceReport
from holdfast.platform.drill.history import past_drills
from holdfast.platform.workspace import Workspace
from holdfast.primitives.hashing import digest

FORMATS = {
    "markdown": (".md", markdown),
    "html": (".html", html),
    "pdf": (".pdf", pdf),
    "json": (".json", as_json),
}
"""How a report can look: the ending of its file, and what writes it."""

HISTORY = 12
"""How many earlier drills a report tells of."""

_DRILLS = frozenset({"drill", "playbook"})
"""Events of the audit trail."""

_OTHER_FORMATS = {"md": "markdown"}


class ComplianceReporter:
    """Turns a drill's report into one for auditors.

    Args:
        output_dir: where reports go, made if it is not there; ``drill_reports`` in the workspace
            when None.
        workspace: whose audit trail and history of drills are evidence, and in whose trail it is
            recorded that a report was made; the default one when None.
        signing_key: file of a private Ed25519 key in PEM, as `new_signing_key` makes one.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike[str] | None = None,
        *,
        workspace: Workspace | None = None,
        signing_key: str | os.PathLike[str] | None = None,
    ) -> None:
        self._workspace = workspace or Workspace()
        self._folder = Path(self._workspace.reports if output_dir is None else output_dir)
        self._key = None if signing_key is None else Path(signing_key)

    def generate_report(
        self, drill_report: HasDict | Plain, framework: str, output_format: str = "markdown"
    ) -> dict[str, object]:
        """Write a report, its evidence and a manifest of both.

        Args:
            drill_report: a `DrillReport`, or what its `dict` gave.
            framework: ``SOC2``, ``HIPAA``, ``GDPR``, ``ISO27001`` or ``NIST_CSF``.
            output_format: ``markdown``, ``html``, ``pdf`` or ``json``.

        Returns:
            ``report_file``, ``compliant`` (True only if every control passed on evidence),
            ``framework``, ``format``, ``reasons`` (why it is not compliant), ``evidence_file``,
            ``manifest_file``, ``signed`` and ``generated`` (ISO 8601, UTC).

        Raises:
            UsageError: no such framework or format, no drill's report, a library is missing, or a
                file cannot be written.
        """
        asked = find_framework(framework)
        form = _OTHER_FORMATS.get(output_format.lower(), output_format.lower())
        if form not in FORMATS:
            raise UsageError(f"no format {output_format!r}: there are {', '.join(FORMATS)}")
        ending, write = FORMATS[form]
        key = None if self._key is None else _read_key(self._key)
        evidence = self._evidence(drill_report)
        now = datetime.fromtimestamp(self._workspace.clock.now_ns() // 10**9, UTC)
        report = ComplianceReport(asked, evidence, now)
        stem = self._stem(report)
        evidence_file = f"{stem}.evidence.json"
        told = json.dumps(evidence.dict(), indent=2, sort_keys=True, default=str).encode() + b"\n"
        page = Page(report, evidence_file, digest(told).hex())
        files = {f"{stem}{ending}": write(page), evidence_file: told}
        manifest = manifest_of(report, files, key)
        for name, data in {**files, stem + SUFFIX: manifest}.items():
            _write(self._folder / name, data)
        self._workspace.audit.record(
            "report",
            repository=evidence.repository,
            details={
                "drill": evidence.drill_id,
                "framework": asked.name,
                "compliant": report.compliant,
                "file": str(self._folder / f"{stem}{ending}"),
                "manifest": digest(manifest).hex(),
            },
        )
        return {
            "report_file": str(self._folder / f"{stem}{ending}"),
            "compliant": report.compliant,
            "framework": asked.name,
            "format": form,
            "reasons": list(report.reasons),
            "evidence_file": str(self._folder / evidence_file),
            "manifest_file": str(self._folder / (stem + SUFFIX)),
            "signed": key is not None,
            "generated": now.isoformat(),
        }

    def generate_soc2_report(self, drill_report: HasDict | Plain) -> dict[str, object]:
        """A Markdown report for SOC 2; see `generate_report`."""
        return self.generate_report(drill_report, "SOC2")

    def generate_hipaa_report(self, drill_report: HasDict | Plain) -> dict[str, object]:
        """A Markdown report for HIPAA; see `generate_report`."""
        return self.generate_report(drill_report, "HIPAA")

    def generate_gdpr_report(self, drill_report: HasDict | Plain) -> dict[str, object]:
        """A Markdown report for the GDPR; see `generate_report`."""
        return self.generate_report(drill_report, "GDPR")

    def generate_iso27001_report(self, drill_report: HasDict | Plain) -> dict[str, object]:
        """A Markdown report for ISO/IEC 27001; see `generate_report`."""
        return self.generate_report(drill_report, "ISO27001")

    def generate_nist_report(self, drill_report: HasDict | Plain) -> dict[str, object]:
        """A Markdown report for the NIST CSF; see `generate_report`."""
        return self.generate_report(drill_report, "NIST_CSF")

    def validate_compliance_criteria(self, framework: str) -> dict[str, object]:
        """What a drill must show for a framework.

        Returns:
            ``framework``, ``title``, ``controls`` (see `Control.dict`), ``rules`` (names of all
            rules that are applied) and ``beyond`` (what no drill can show).

        Raises:
            UsageError: there is no such framework.
        """
        found = find_framework(framework)
        rules = {name for control in found.controls for name in control.rules}
        return {
            "framework": found.name,
            "title": found.title,
            "controls": [control.dict() for control in found.controls],
            "rules": sorted(rules),
            "beyond": found.beyond,
        }

    def _evidence(self, drill_report: HasDict | Plain) -> Evidence:
        bare = Evidence.of(drill_report)
        return Evidence(bare.drill, self._audit(bare), self._history(bare))

    def _audit(self, drill: Evidence) -> AuditExtract | None:
        """What the trail holds of the drill and its repository, from its beginning on."""
        trail = self._workspace.audit
        if trail.head() is None:
            return None
        entries = tuple(trail.entries(since=drill.began, repository=drill.repository or None))
        has_drill = any(_records(entry, drill) for entry in entries)
        problems = tuple(str(each) for each in trail.verify().problems)
        return AuditExtract(entries, problems, has_drill)

    def _history(self, drill: Evidence) -> tuple[Plain, ...]:
        """Reports of earlier drills of that name on that repository, oldest first."""
        past = past_drills(self._workspace, repository=drill.repository)
        before = [
            each.dict()
            for each in past
            if each.name == drill.name
            and each.drill_id != drill.drill_id
            and each.time.isoformat() < drill.executed
        ]
        return tuple(before[-HISTORY:])

    def _stem(self, report: ComplianceReport) -> str:
        """What the names of the files begin with; nothing of that name is there."""
        drill = re.sub(r"[^0-9A-Za-z-]", "", report.evidence.drill_id)[:8] or "drill"
        stem = f"{report.framework.name.lower()}_{report.generated:%Y%m%dT%H%M%SZ}_{drill}"
        number, found = 1, stem
        while (self._folder / (found + SUFFIX)).exists():
            number += 1
            found = f"{stem}_{number}"
        return found


def _records(entry: AuditEntry, drill: Evidence) -> bool:
    """Whether an entry of the trail is that of this drill, with just this report."""
    told = entry.details.get("drill"), entry.details.get("digest")
    return entry.event in _DRILLS and told == (drill.drill_id, drill.digest)


def _read_key(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error


def _write(file: Path, data: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error

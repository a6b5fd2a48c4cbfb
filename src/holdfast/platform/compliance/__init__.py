"""Reports for auditors: what a drill has shown, told in the terms of a framework.

``frameworks`` are data: controls, what each asks for in our own words, and the names of the rules
that decide it. ``rules`` look at the evidence: measured values, results of checks. ``report`` puts
both together, ``render`` writes it, ``manifest`` makes every later change of it show.

A report states evidence. Whether an organisation meets a framework is for its auditor to say, as
most of what a framework asks for has nothing to do with backups.
"""

from holdfast.platform.compliance.frameworks import FRAMEWORKS, Control, Framework, framework
from holdfast.platform.compliance.manifest import Finding, Verification, new_signing_key, verify
from holdfast.platform.compliance.report import ComplianceReport, Item
from holdfast.platform.compliance.reporter import FORMATS, ComplianceReporter

__all__ = [
    "FORMATS",
    "FRAMEWORKS",
    "ComplianceReport",
    "ComplianceReporter",
    "Control",
    "Finding",
    "Framework",
    "Item",
    "Verification",
    "framework",
    "new_signing_key",
    "verify",
]

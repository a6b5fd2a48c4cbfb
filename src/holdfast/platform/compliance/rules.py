"""Rules: each looks at one part of the evidence, and says passed, failed, or not evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from holdfast.platform.compliance.evidence import Evidence


class Verdict(StrEnum):
    """What a rule says."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    NOT_EVALUATED = "NOT EVALUATED"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule found.

    Attributes:
        verdict: what it says.
        actual: what was seen, for people.
        required: what it was compared with, for people.
    """

    verdict: Verdict
    actual: str
    required: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes:
        meaning: what it asks, in words.
        judge: applies it.
    """

    meaning: str
    judge: Callable[[Evidence], Outcome]


def _said(passed: bool | None, actual: str, required: str) -> Outcome:  # noqa: FBT001 - a verdict
    if passed is None:
        return Outcome(Verdict.NOT_EVALUATED, actual, required)
    return Outcome(Verdict.PASSED if passed else Verdict.FAILED, actual, required)


def _minutes(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.2f} minutes"


def _objective(actual: float | None, most: float | None, *, met: bool | None) -> Outcome:
    """An objective: the measured value, and what the drill made of it.

    A recovery may be quick and its data not usable; data may be dated in the future.
    """
    required = "no objective was set" if most is None else f"at most {most:g} minutes"
    if actual is None or most is None or met is None:
        return _said(None, _minutes(actual), required)
    missed = ", by the drill's own verdict, missed" if actual <= most and not met else ""
    return _said(met and actual <= most, _minutes(actual) + missed, required)


def _rto(evidence: Evidence) -> Outcome:
    return _objective(evidence.recovery_minutes, evidence.max_rto_minutes, met=evidence.met_rto)


def _rpo(evidence: Evidence) -> Outcome:
    return _objective(evidence.data_age_minutes, evidence.max_rpo_minutes, met=evidence.met_rpo)


def _check(name: str) -> Callable[[Evidence], Outcome]:
    def judge(evidence: Evidence) -> Outcome:
        found = evidence.checks.get(name)
        words = {True: "passed", False: "failed", None: "was not run, or could not be decided"}
        return _said(found, f"check {name}: {words[found]}", f"check {name} passes")

    return judge


def _restored(evidence: Evidence) -> Outcome:
    required = "all files, no errors"
    if evidence.failed_restores:
        return _said(False, f"step {evidence.failed_restores[0]!r} failed", required)
    files, lost = evidence.files_restored, len(evidence.restore_errors)
    if files is None or not (files or lost):
        return _said(None, "nothing was restored", required)
    return _said(lost == 0, f"{files:,} files restored, {lost:,} errors", required)


def _completed(evidence: Evidence) -> Outcome:
    required = "the drill ran to its end, all of its checks were evaluated, and none failed"
    if evidence.status not in {"SUCCESS", "PARTIAL"}:
        return _said(False, f"the drill ended with {evidence.status}", required)
    open_ones = [name for name, result in evidence.checks.items() if result is None]
    if open_ones:
        return _said(None, f"not evaluated: {', '.join(open_ones)}", required)
    return _said(True, f"the drill ended with {evidence.status}", required)


def _audit(evidence: Evidence) -> Outcome:
    required = "the trail verifies and holds the drill"
    audit = evidence.audit
    if audit is None:
        return _said(None, "no audit trail was given", required)
    if audit.problems:
        return _said(False, f"the trail does not verify: {audit.problems[0]}", required)
    held = "holds" if audit.has_drill else "does not hold"
    return _said(audit.has_drill, f"the trail verifies and {held} the drill", required)


RULES: Mapping[str, Rule] = {
    "restored": Rule("everything that was to be restored was, without an error", _restored),
    "rto": Rule("the measured recovery time is within its objective", _rto),
    "rpo": Rule("the age of the recovered data is within its objective", _rpo),
    "completed": Rule(
        "the drill ran to its end, all of its checks were evaluated, and none failed", _completed
    ),
    "integrity": Rule("what was restored equals what was backed up", _check("integrity")),
    "consistency": Rule(
        "restored databases, archives and documents are in order", _check("data_consistency")
    ),
    "encryption": Rule(
        "all small objects and a sample of the packs open with the repository's keys",
        _check("encryption_status"),
    ),
    "permissions": Rule(
        "what was restored has the permissions it had", _check("access_permissions")
    ),
    "audit": Rule("what was done is recorded in a trail that verifies", _audit),
}
"""By name."""

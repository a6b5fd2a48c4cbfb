"""From what a check of the engine found to the results and the score of a validation.

A validation is made of checks. Each passed (True), failed (False), or was not made (None), which
counts neither way:

=============  ======  ===================  =======================================================
check          weight  from level           what it says
=============  ======  ===================  =======================================================
``existence``  3       basic                all that snapshots need is there, of the right size
``structure``  2       basic                every directory is there, and agrees with its files
``checksums``  2       standard             all small objects have the content they are named for
                                            (not looked at for one snapshot alone)
``encryption`` 2       standard             all that was read is authentic under the keys (AES-GCM)
``index``      1       thorough             what every pack says of itself agrees with the index
``content``    3       thorough (sample),   the data that was read is what was backed up
                       forensic (all)
``restore``    3       forensic             a snapshot was restored on trial, and compared
=============  ======  ===================  =======================================================

The score is the share of weight of the checks made that passed. Every one of them is about
integrity, so a single failure, however light, makes the score `CAP` at most, and a validation
passes from `PASS` on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

from holdfast.operations.check.report import FindingKind
from holdfast.platform.managers.levels import IntegrityLevel

if TYPE_CHECKING:
    from holdfast.operations.check import Finding

PASS: Final = 0.95
CAP: Final = 0.94

WEIGHTS: Final = {
    "existence": 3,
    "structure": 2,
    "checksums": 2,
    "encryption": 2,
    "index": 1,
    "content": 3,
    "restore": 3,
}

_FROM: Final = {
    "existence": IntegrityLevel.BASIC,
    "structure": IntegrityLevel.BASIC,
    "checksums": IntegrityLevel.STANDARD,
    "encryption": IntegrityLevel.STANDARD,
    "index": IntegrityLevel.THOROUGH,
    "content": IntegrityLevel.THOROUGH,
}

_FAILS: Final = {
    FindingKind.MISSING_PACK: ("existence",),
    FindingKind.BLOB: ("existence",),
    FindingKind.TREE: ("structure",),
    FindingKind.SNAPSHOT: ("structure", "checksums", "encryption"),
    FindingKind.OBJECT: ("checksums", "encryption"),
    FindingKind.PACK: ("index", "content", "encryption"),
}

Results: TypeAlias = dict[str, bool | None]
"""Of each check whether it passed; None if it was not made."""


def results_of(level: IntegrityLevel, findings: Iterable[Finding], *, everything: bool) -> Results:
    """What a check of the engine tells; the trial restore is not part of it.

    Args:
        level: of the validation.
        findings: the harmful ones.
        everything: the whole repository was checked. The small objects are nobody's in particular,
            so of one snapshot they are not.
    """
    made = {check for check, first in _FROM.items() if level >= first}
    if not everything:
        made.discard("checksums")
    failed: set[str] = set()
    for finding in findings:
        # Whatever is found counts, even if a check found it that was not to be made.
        failed |= made.intersection(_FAILS[finding.kind]) or {"existence"}
    return {check: check not in failed if check in made else None for check in WEIGHTS}


def score(results: Results) -> float:
    """The score of a validation, 0 to 1; 0 when no check was made."""
    made = sum(WEIGHTS[check] for check, passed in results.items() if passed is not None)
    good = sum(WEIGHTS[check] for check, passed in results.items() if passed)
    if not made:
        return 0.0
    return 1.0 if good == made else min(good / made, CAP)

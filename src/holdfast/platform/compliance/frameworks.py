"""What five frameworks ask of backups and recoveries, as far as a drill can show it.

The requirements are in our own words, to be read beside the originals: AICPA Trust Services
Criteria (2017, points of focus of 2022); 45 CFR 164.308 and 164.312; Regulation (EU) 2016/679,
Article 32; ISO/IEC 27001:2022, Annex A; NIST Cybersecurity Framework 2.0.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from holdfast.errors import UsageError
from holdfast.platform.compliance.rules import RULES


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that a framework asks for.

    Attributes:
        id: as the framework numbers it.
        title: of it.
        requirement: what it asks for, in our own words.
        evidence: what has to be shown.
        rules: names of the rules that decide it, all of which must be passed.
    """

    id: str
    title: str
    requirement: str
    evidence: str
    rules: tuple[str, ...]

    def dict(self) -> dict[str, object]:
        """``control``, ``title``, ``requirement``, ``evidence`` and ``rules`` (name to meaning)."""
        return {
            "control": self.id,
            "title": self.title,
            "requirement": self.requirement,
            "evidence": self.evidence,
            "rules": {name: RULES[name].meaning for name in self.rules},
        }


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework.

    Attributes:
        name: as it is called on the command line.
        title: in full.
        controls: what it asks for.
        beyond: what else it asks for in this field, which no drill can show.
    """

    name: str
    title: str
    controls: tuple[Control, ...]
    beyond: str


SOC2 = Framework(
    "SOC2",
    "SOC 2, Trust Services Criteria",
    (
        Control(
            "A1.2",
            "Availability: backup and recovery",
            "Data is backed up, and can be recovered in the time and with the loss that were "
            "committed to.",
            "Measured recovery time and age of the recovered data, each beside its objective.",
            ("restored", "rto", "rpo"),
        ),
        Control(
            "A1.3",
            "Availability: recovery is tested",
            "The procedures of recovery are tested, and the test shows whether what was restored "
            "is whole.",
            "A drill that ran to its end, with the results of its checks.",
            ("completed", "integrity"),
        ),
        Control(
            "CC6.1",
            "Security: stored data is protected",
            "Data at rest is encrypted, and its integrity can be shown.",
            "Result of the integrity check, and the state of encryption.",
            ("integrity", "encryption"),
        ),
        Control(
            "CC7.2",
            "Security: operations leave a trail",
            "What is done to the systems is recorded, so that deviations are noticed.",
            "An audit trail that holds the drill and verifies.",
            ("audit",),
        ),
    ),
    "Agreements with customers, management's review of the test, physical safeguards, and how "
    "incidents are handled.",
)

HIPAA = Framework(
    "HIPAA",
    "HIPAA Security Rule, 45 CFR 164.308(a)(7)",
    (
        Control(
            "164.308(a)(7)(ii)(A)",
            "Data backup plan",
            "Exact copies of electronic health information are kept, and can be retrieved.",
            "Restored content that equals what was backed up.",
            ("restored", "integrity", "rpo"),
        ),
        Control(
            "164.308(a)(7)(ii)(B)",
            "Disaster recovery plan",
            "There is a procedure that restores any loss of data.",
            "A complete restore, and how long it took.",
            ("restored", "rto"),
        ),
        Control(
            "164.308(a)(7)(ii)(D)",
            "Testing and revision",
            "Contingency plans are tested at intervals, and revised.",
            "A drill that ran to its end; the history of drills.",
            ("completed",),
        ),
        Control(
            "164.312(a)(2)(iv)",
            "Encryption",
            "Electronic health information at rest can be encrypted and decrypted.",
            "The state of encryption of the repository.",
            ("encryption",),
        ),
        Control(
            "164.312(b)",
            "Audit controls",
            "Activity in systems with health information is recorded, and can be examined.",
            "An audit trail that holds the drill and verifies.",
            ("audit",),
        ),
    ),
    "The emergency mode plan, the analysis of which applications matter most, contracts with "
    "business associates, and training.",
)

GDPR = Framework(
    "GDPR",
    "GDPR, Article 32: security of processing",
    (
        Control(
            "32(1)(a)",
            "Encryption of personal data",
            "Personal data is encrypted where that is appropriate to the risk.",
            "The state of encryption of the repository.",
            ("encryption",),
        ),
        Control(
            "32(1)(b)",
            "Integrity and confidentiality",
            "Systems keep data whole and confidential over time.",
            "Restored content that equals what was backed up, with its permissions.",
            ("integrity", "permissions"),
        ),
        Control(
            "32(1)(c)",
            "Restoring availability in time",
            "After an incident, availability of and access to personal data come back in a "
            "timely manner.",
            "A complete restore; its time beside the objective.",
            ("restored", "rto"),
        ),
        Control(
            "32(1)(d)",
            "Regular testing",
            "There is a process by which the measures are tested and judged regularly.",
            "A drill that ran to its end; the history of drills.",
            ("completed",),
        ),
    ),
    "The lawfulness of keeping the data at all, requests for erasure (which reach backups by "
    "`holdfast rewrite` and `prune`), processors, and the records of processing.",
)

ISO27001 = Framework(
    "ISO27001",
    "ISO/IEC 27001:2022, Annex A",
    (
        Control(
            "A.5.30",
            "Readiness for continuity",
            "Recovery is planned and tested against objectives for continuity.",
            "Recovery time and age of the data, each beside its objective.",
            ("rto", "rpo", "completed"),
        ),
        Control(
            "A.8.13",
            "Information backup",
            "Backup copies are kept and regularly tested by restoring them.",
            "A complete restore that equals what was backed up.",
            ("restored", "integrity"),
        ),
        Control(
            "A.8.15",
            "Logging",
            "Activities are logged, and the logs are protected from change.",
            "An audit trail that holds the drill and verifies.",
            ("audit",),
        ),
        Control(
            "A.8.24",
            "Use of cryptography",
            "Cryptography is used by rules, keys included.",
            "The state of encryption of the repository.",
            ("encryption",),
        ),
    ),
    "The management system itself: scope, policies, treatment of risks, internal audit, review.",
)

NIST_CSF = Framework(
    "NIST_CSF",
    "NIST Cybersecurity Framework 2.0",
    (
        Control(
            "PR.DS-01",
            "Data at rest",
            "Data at rest stays confidential, whole and available.",
            "The state of encryption, and the result of the integrity check.",
            ("encryption", "integrity"),
        ),
        Control(
            "PR.DS-11",
            "Backups",
            "Backups are made, protected, kept and tested.",
            "A complete restore, and the age of its data beside the objective.",
            ("restored", "rpo"),
        ),
        Control(
            "RC.RP-03",
            "Backups are verified before use",
            "What is restored from is verified before systems rely on it.",
            "Result of the integrity check.",
            ("integrity",),
        ),
        Control(
            "RC.RP-05",
            "Restored assets are verified",
            "Restored systems are shown to be whole and in order before work goes on.",
            "Results of the checks of restored data; recovery time beside its objective.",
            ("consistency", "rto"),
        ),
        Control(
            "ID.IM-02",
            "Improvement by exercises",
            "Exercises show what is to be improved.",
            "A drill that ran to its end, with its recommendations.",
            ("completed",),
        ),
    ),
    "Govern, Identify, Detect and Respond, nearly all of which lies outside of backups.",
)

FRAMEWORKS = {each.name: each for each in (SOC2, HIPAA, GDPR, ISO27001, NIST_CSF)}
"""By name."""

_OTHER_NAMES = {"NIST": "NIST_CSF", "NISTCSF": "NIST_CSF", "SOC": "SOC2"}


def framework(name: str) -> Framework:
    """The framework of that name, whatever its case, spaces, dashes and underlines.

    Raises:
        UsageError: there is none.
    """
    plain = "".join(letter for letter in name.upper() if letter.isalnum())
    by_plain = {each.replace("_", ""): each for each in FRAMEWORKS}
    found = _OTHER_NAMES.get(plain) or by_plain.get(plain)
    if found is None:
        close = difflib.get_close_matches(plain, by_plain, n=1)
        hint = f": did you mean {by_plain[close[0]]!r}?" if close else ""
        raise UsageError(f"no framework {name!r}{hint} There are {', '.join(FRAMEWORKS)}")
    return FRAMEWORKS[found]

"""What makes a change of a report show: digests of its files, the audit trail's hash, a signature.

Beside a report lies its evidence, and a manifest: JSON with the name, size and BLAKE3 digest of
both, what the report concluded, and the hash of the audit entry that was last when it was made.
The manifest may be signed (Ed25519). Without a signature whoever can write all of the files can
write all of them anew; the audit trail, which holds the digest of each manifest, shows that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from holdfast.errors import UsageError
from holdfast.platform.audit import JSON, AuditTrail
from holdfast.platform.audit.entry import BadEntry, canonical
from holdfast.platform.compliance.evidence import AuditExtract, Evidence
from holdfast.platform.compliance.frameworks import framework
from holdfast.platform.compliance.report import ComplianceReport
from holdfast.primitives import signing
from holdfast.primitives.hashing import digest

SUFFIX = ".manifest.json"
EVIDENCE = ".evidence.json"
VERSION = 1
SIZE_LIMIT = 1 << 28
"""Bytes above which a file is no report."""

Record: TypeAlias = dict[str, JSON]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was.

    Attributes:
        file: where.
        problem: what.
    """

    file: str
    problem: str

    def dict(self) -> dict[str, str]:
        """``file`` and ``problem``."""
        return {"file": self.file, "problem": self.problem}


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of a report since it was made.

    Attributes:
        manifest: its manifest.
        findings: what is not as it was.
        signed: whether it bears a signature, a right one.
        trusted: whether that is by the key that was asked for; None if none was.
        recorded: whether the audit trail holds this manifest; None if none was given.
    """

    manifest: Path
    findings: tuple[Finding, ...]
    signed: bool
    trusted: bool | None
    recorded: bool | None

    @property
    def ok(self) -> bool:
        """Whether nothing was changed, and the signature is the one that was asked for."""
        return not self.findings and self.trusted is not False and self.recorded is not False

    def dict(self) -> dict[str, object]:
        """``manifest``, ``ok``, ``signed``, ``trusted``, ``recorded`` and ``findings``."""
        return {
            "manifest": str(self.manifest),
            "ok": self.ok,
            "signed": self.signed,
            "trusted": self.trusted,
            "recorded": self.recorded,
            "findings": [finding.dict() for finding in self.findings],
        }


def manifest_of(
    report: ComplianceReport, files: Mapping[str, bytes], signing_key: bytes | None
) -> bytes:
    """A manifest's bytes.

    Args:
        report: what it is about.
        files: content of each file, by its name.
        signing_key: a private key in PEM.

    Raises:
        UsageError: it is no such key.
    """
    audit = report.evidence.audit
    record: Record = {
        "holdfast_report": VERSION,
        "framework": report.framework.name,
        "drill_id": report.evidence.drill_id,
        "compliant": report.compliant,
        "generated": report.generated.isoformat(),
        "files": {
            name: {"blake3": digest(data).hex(), "size": len(data)} for name, data in files.items()
        },
        "audit_head": audit.entries[-1].hash if audit is not None and audit.entries else None,
        "public_key": None,
    }
    if signing_key is not None:
        try:
            record["public_key"] = signing.public_key(signing_key).decode("ascii")
            record["signature"] = signing.sign(signing_key, canonical(record)).hex()
        except ValueError as error:
            raise UsageError(f"the signing key: {error}") from error
    return json.dumps(record, indent=2, sort_keys=True).encode("ascii") + b"\n"


def new_signing_key(file: str | os.PathLike[str]) -> Path:
    """Make a key to sign reports with, and beside it (``.pub``) the public key to verify them.

    Returns:
        The public key's file.

    Raises:
        UsageError: one of the files is there, or cannot be written.
    """
    private = Path(file)
    public = private.with_name(private.name + ".pub")
    key = signing.new_key()
    try:
        with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(key)
        with public.open("xb") as out:
            out.write(signing.public_key(key))
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    return public


def verify(
    file: str | os.PathLike[str],
    public_key: str | os.PathLike[str] | None = None,
    trail: AuditTrail | None = None,
) -> Verification:
    """Find out whether a report, its evidence or its manifest was changed.

    Every file must have the digest in the manifest, the signature must be right, every audit entry
    in the evidence must have its hash and follow the one before, and the evidence must still lead
    to the same conclusion.

    Args:
        file: the report, its evidence or its manifest.
        public_key: file of the key that the signature must be by.
        trail: an audit trail that must hold the manifest.

    Raises:
        UsageError: there is no manifest, or the key's file is none.
    """
    manifest = _manifest_path(Path(file))
    raw = _read(manifest)
    key = None if public_key is None else _public_key(Path(public_key))
    try:
        record = _parsed(raw)
    except ValueError as error:
        return Verification(manifest, (Finding(manifest.name, str(error)),), False, None, None)
    findings = [
        *_not_named(Path(file).name, manifest, record),
        *_changed_files(manifest, record),
        *_changed_conclusion(manifest, record),
    ]
    signed = _signature(record)
    if signed is False:
        findings.append(Finding(manifest.name, "the signature is not of this manifest"))
    trusted = None
    if key is not None:
        trusted = signed is True and str(record["public_key"]).encode().split() == key.split()
    recorded = None if trail is None else _is_recorded(trail, raw)
    return Verification(manifest, tuple(findings), signed is True, trusted, recorded)


def _manifest_path(file: Path) -> Path:
    if file.name.endswith(SUFFIX):
        return file
    stem = file.name.removesuffix(EVIDENCE) if file.name.endswith(EVIDENCE) else file.stem
    return file.with_name(stem + SUFFIX)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{str(file)!r}: no name of a file") from error
    if len(data) > SIZE_LIMIT:
        raise UsageError(f"{file}: too large to be part of a report")
    return data


def _parsed(raw: bytes) -> Record:
    """A manifest's record (ValueError if it is none, or written another way)."""
    try:
        record: Record = json.loads(raw)
        written = json.dumps(record, indent=2, sort_keys=True).encode() + b"\n"
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not _is_manifest(record):
        raise ValueError("it is no manifest of a report")
    if written != raw:
        raise ValueError("it is not written as manifests are")
    return record


def _is_manifest(record: object) -> bool:
    if not isinstance(record, dict) or record.get("holdfast_report") != VERSION:
        return False
    return isinstance(record.get("files"), dict)


def _not_named(name: str, manifest: Path, record: Record) -> list[Finding]:
    """Whether the manifest is about the file that was asked for, and about the evidence."""
    files = record["files"]
    assert isinstance(files, dict)  # noqa: S101 - `_parsed` looked
    wanted = dict.fromkeys([name, manifest.name.removesuffix(SUFFIX) + EVIDENCE])
    return [
        Finding(each, "it is no part of the report that the manifest is about")
        for each in wanted
        if each != manifest.name and each not in files
    ]


def _changed_files(manifest: Path, record: Record) -> list[Finding]:
    findings = []
    files = record["files"]
    assert isinstance(files, dict)  # noqa: S101 - `_parsed` looked
    for name, told in files.items():
        if not name or Path(name).name != name or not isinstance(told, dict):
            findings.append(Finding(name, "no name of a file beside the manifest"))
            continue
        try:
            data = _read(manifest.with_name(name))
        except UsageError as error:
            findings.append(Finding(name, str(error)))
            continue
        if digest(data).hex() != told.get("blake3") or len(data) != told.get("size"):
            findings.append(Finding(name, "it was changed: its digest does not match"))
    return findings


def _changed_conclusion(manifest: Path, record: Record) -> list[Finding]:
    """Whether the evidence still leads to what the manifest says."""
    name = manifest.name.removesuffix(SUFFIX) + EVIDENCE
    try:
        problem = _conclusion(_read(manifest.with_name(name)), record)
    except UsageError as error:
        problem = str(error)
    except BadEntry as error:
        problem = f"an entry of the audit trail: {error}"
    except (ValueError, KeyError, TypeError, RecursionError):
        problem = "it is no evidence of a report"
    return [Finding(name, problem)] if problem else []


def _conclusion(data: bytes, record: Record) -> str:
    """What is wrong with evidence beside a manifest's record; "" if nothing is."""
    told = json.loads(data)
    audit = None if told["audit"] is None else AuditExtract.of(told["audit"])
    evidence = Evidence.of(told["drill"], audit, told["history"])
    when = datetime.fromisoformat(str(record["generated"]))
    report = ComplianceReport(framework(str(record["framework"])), evidence, when)
    head = audit.entries[-1].hash if audit and audit.entries else None
    if head != record.get("audit_head"):
        return "it does not have the audit trail that the manifest tells of"
    if report.compliant is not record["compliant"] or evidence.drill_id != record["drill_id"]:
        return "it does not lead to what the manifest says"
    return ""


def _signature(record: Record) -> bool | None:
    """Whether the signature is right; None if there is none."""
    if record.get("public_key") is None and "signature" not in record:
        return None
    try:
        message = canonical({name: each for name, each in record.items() if name != "signature"})
        signature = bytes.fromhex(str(record["signature"]))
        # Capital letters mean the same, but are not what was written.
        is_as_written = signature.hex() == record["signature"]
        return is_as_written and signing.is_signed(
            str(record["public_key"]).encode(), message, signature
        )
    except (ValueError, KeyError):
        return False


def _public_key(file: Path) -> bytes:
    key = _read(file)
    try:
        signing.is_signed(key, b"", b"")
    except ValueError as error:
        raise UsageError(f"{file}: {error}") from error
    return key


def _is_recorded(trail: AuditTrail, manifest: bytes) -> bool:
    wanted = digest(manifest).hex()
    return any(entry.details.get("manifest") == wanted for entry in trail.entries(event="report"))

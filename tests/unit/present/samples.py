"""One of each public result, as a repository of some weeks gives them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import holdfast
from holdfast.errors import StorageUnavailable
from holdfast.model.compare import ChangeKind
from holdfast.model.node import Node, NodeType
from holdfast.operations.check import FindingKind
from holdfast.operations.diff import DiffOptions
from holdfast.overrides import override
from holdfast.platform.drill import CheckOutcome, DrillError, DrillStatus, Phase, StepOutcome
from holdfast.platform.status import (
    FailedRun,
    Growth,
    NextRun,
    SourceStatus,
    Status,
    Verified,
)
from holdfast.present import Shown
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.store import Damage, SessionInfo

NOW = datetime(2026, 11, 22, 2, 31, 14, 250_000, tzinfo=UTC)
NOW_NS = int(NOW.timestamp() * 1e6) * 1000
HOUR_NS = 3_600_000_000_000
HOSTILE = os.fsdecode(b"/srv/data/\x1b[31mred\xff/<script>alert('1')</script>/\xe2\x80\xaegpj.exe")
LONG = "/srv/projects/" + "/".join(f"a directory of level {level}" for level in range(30)) + "/end"


def snapshot(number: int, **changes: object) -> holdfast.Snapshot:
    """A snapshot made so many hours ago."""
    fields = {
        "id": SnapshotId(f"{number * 2_654_435_761 % (1 << 32):08x}" + "5e" * 12),
        "tree": BlobId(bytes(32)),
        "time_ns": NOW_NS - number * HOUR_NS,
        "end_ns": NOW_NS - number * HOUR_NS + 75 * 1_000_000_000,
        "host": "atlas",
        "user": "root",
        "paths": ("/srv/data", "/home/anna"),
        "tags": ("daily",) if number % 2 else (),
        "summary": holdfast.Summary(
            12, 3, 45_210, 812, 9, 181_215_301_121, 734_003_200, 98_566_144
        ),
    }
    return holdfast.Snapshot(**(fields | changes))  # type: ignore[arg-type]


FIRST, SECOND = snapshot(30), snapshot(2)
HELD = snapshot(
    5, label="before the move", holds=(holdfast.Hold("audit of 2026", None, "ab" * 16),)
)


def node(name: bytes, size: int = 4_096, type_: NodeType = NodeType.FILE) -> Node:
    """An entry of a tree."""
    return Node(
        name=name,
        type=type_,
        size=size,
        mode=0o644,
        uid=1000,
        gid=1000,
        user="anna",
        group="users",
        mtime=NOW_NS - HOUR_NS,
        ctime=NOW_NS,
        inode=4711,
        payload=None,
        filesystem=None,
        xattrs=(),
        extra=None,
    )


ENTRIES = [
    holdfast.Entry.of(os.fsencode(path), node(os.path.basename(os.fsencode(path)), size, kind))  # noqa: PTH119 - bytes
    for path, size, kind in [
        ("/srv/data", 0, NodeType.DIRECTORY),
        ("/srv/data/sales 2026.csv", 1_234_567, NodeType.FILE),
        (HOSTILE, 17, NodeType.FILE),
        (LONG, 1 << 41, NodeType.FILE),
        ("/srv/data/größe 文件.txt", 0, NodeType.FILE),
    ]
]
PROBLEM = holdfast.Problem("/srv/data/private.key", "open", "Permission denied")
HURT = holdfast.Hurt(FIRST.id, ("/srv/data/sales 2026.csv", HOSTILE), 2)


class Differences(holdfast.Diff):
    """A diff that has found what it was told."""

    @override
    def __iter__(self) -> Iterator[holdfast.Difference]:
        kinds = [ChangeKind.MODIFIED, ChangeKind.ADDED, ChangeKind.REMOVED, ChangeKind.METADATA]
        for number in range(200):
            entry, kind = ENTRIES[number % 5], kinds[number % 4]
            yield holdfast.Difference(
                entry.path,
                kind,
                None if kind == ChangeKind.ADDED else entry,
                None if kind == ChangeKind.REMOVED else entry,
            )


def decision(number: int, *reasons: str) -> holdfast.RetentionDecision:
    """What is said of a snapshot."""
    return holdfast.RetentionDecision(snapshot(number), reasons)


GROUP = holdfast.RetentionGroup.of(
    [
        decision(2, "last snapshot", "daily snapshot"),
        decision(9),
        decision(30, "oldest monthly snapshot"),
    ],
    ("host", "paths"),
)
COPIED = holdfast.CopiedSnapshot("s3://bucket/repo", FIRST, SECOND)
FAILED_COPY = holdfast.CopyFailure(
    "/mnt/usb", FIRST.id, StorageUnavailable("config", "the disk is gone")
)
BACKUP = holdfast.BackupResult(
    snapshot=SECOND,
    files_new=12,
    files_changed=3,
    files_unmodified=45_210,
    directories=812,
    bytes_processed=181_215_301_121,
    data_added=734_003_200,
    data_stored=98_566_144,
    errors=(holdfast.SourceProblem("/srv/data/private.key", "open", 13, "Permission denied"),),
    errors_total=1,
    duration=75.31,
)
REPOSITORY_BACKUPS = (
    holdfast.RepositoryBackup("/srv/repo", BACKUP),
    holdfast.RepositoryBackup("s3://bucket/repo", None, StorageUnavailable("config", "no answer")),
)
REWRITTEN = holdfast.RewrittenSnapshot(FIRST, SECOND, 3, 40_960, forgotten=True)
FAILED_REWRITE = holdfast.RewriteFailure(FIRST.id, StorageUnavailable("config", "no answer"))
SESSION = holdfast.SessionAtWork(
    "ab" * 16, "backup", "atlas", "root", 4242, "holdfast 1.0", NOW, NOW, 12.5, ""
)
RECLAIM = holdfast.ReclaimAtWork("cd" * 16, 12, 201_326_592, ("ab" * 16,), "")
WAITING = holdfast.Waiting("ab" * 16, "atlas", "backup", NOW_NS)
CHECKS = (
    holdfast.StorageCheck("write", "yes", "an object of 1 KiB"),
    holdfast.StorageCheck("delete", "refused", "AccessDenied: s3:DeleteObject"),
    holdfast.StorageCheck("race", "no", "two creations of one object both succeeded"),
    holdfast.StorageCheck("range", "unknown", "nothing could be read"),
)
VERDICTS = (
    holdfast.StorageVerdict("backup", fit=True, reason=""),
    holdfast.StorageVerdict("prune", fit=False, reason="delete is refused"),
)
FINDINGS = (
    holdfast.Finding(f"data/5e/{'5e' * 16}", FindingKind.PACK, "wrong hash", (HURT,)),
    holdfast.Finding("index/ab12", FindingKind.STALE, "tells of a pack that is gone"),
)
PACK_REPAIR = holdfast.PackRepair("5e" * 16, "wrong hash", 120, 118, 1, 0, 1)
SNAPSHOT_REPAIR = holdfast.SnapshotRepair(FIRST.id, 2, ("/srv/data/x",), SECOND.id, made=True)
AUDIT_ENTRY = holdfast.AuditEntry(
    7, NOW.isoformat(), "backup", "ok", "anna", 1000, "atlas", "holdfast 1.0",
    "ab" * 16, SECOND.id, {"files": 12}, "0" * 64, "1" * 64,
)  # fmt: skip
AUDIT_PROBLEM = holdfast.AuditProblem(12, "it was changed: its hash does not match")
EVENT = holdfast.ProgressEvent(
    41.7, 1_200, 3_000, 3 << 30, 7 << 30, HOSTILE, 30.2, 104_857_600.0, 42.0
)

SAMPLES: dict[str, Shown] = {
    "AtWork": holdfast.AtWork((SESSION,), (RECLAIM,)),
    "AuditAnchor": holdfast.AuditAnchor(
        "audit/x", "ab" * 16, 7, "1" * 64, NOW_NS, "atlas", "root", "/var/lib/holdfast/audit.jsonl"
    ),
    "AuditEntry": AUDIT_ENTRY,
    "AuditProblem": AUDIT_PROBLEM,
    "AuditVerification": holdfast.AuditVerification(
        "ab" * 16, 812, "1" * 64, (AUDIT_PROBLEM,), (), 3, 800
    ),
    "BackupResult": BACKUP,
    "BackupToResult": holdfast.BackupToResult(REPOSITORY_BACKUPS, 75.31),
    "CheckReport": holdfast.CheckReport(
        findings=FINDINGS, snapshots=4, packs=120, blobs=41_000, packs_read=12, bytes_read=1 << 27
    ),
    "CopiedSnapshot": COPIED,
    "CopyFailure": FAILED_COPY,
    "CopyResult": holdfast.CopyResult((COPIED,), 3, (FAILED_COPY,), dry_run=False, duration=12.0),
    "Diff": Differences(FIRST, SECOND, None, DiffOptions()),  # type: ignore[arg-type]
    "DiffCounts": holdfast.DiffCounts(12, 3, 4, 1, 0, 1_234_567, 2_345),
    "Difference": next(iter(Differences(FIRST, SECOND, None, DiffOptions()))),  # type: ignore[arg-type]
    "DrillReport": holdfast.DrillReport(
        drill_id="0" * 32, name="weekly", time=NOW, status=DrillStatus.PARTIAL,
        rto_compliant=True, rpo_compliant=False, recovery_time_minutes=12.4,
        data_age_minutes=1_500.0, max_rto_minutes=60, max_rpo_minutes=1_440,
        validation_results={"integrity": True}, recommendations=("back up more often",),
        compliance_framework="SOC2", snapshot_id=SECOND.id, snapshot_time=SECOND.time,
        duration_seconds=744.2, phases=(Phase("restore", 700.1),), files=45_225,
        bytes=181_215_301_121, restore_rate=244e6, errors_total=1,
        checks=(CheckOutcome("integrity", True, "120 packs"), CheckOutcome("age", None, "?")),
        steps=(StepOutcome("start", "execute", "completed", 1, 2.0, "done"),),
        errors=(DrillError(HOSTILE, "restore", "cannot be read"),),
    ),
    "Entry": ENTRIES[2],
    "ExportResult": holdfast.ExportResult(12, 734_003_200, [("/run/x", "a socket has no place")]),
    "Finding": FINDINGS[0],
    "ForgetResult": holdfast.ForgetResult(
        dry_run=True, groups=(GROUP,), removed=(snapshot(9).id,), bytes=98_566_144,
        passed_over=(holdfast.PassedOver(FIRST.id, "it is damaged, so it stays"),),
    ),
    "ForgottenSnapshot": holdfast.ForgottenSnapshot(FIRST, NOW_NS),
    "Found": holdfast.Found(ENTRIES[1], (FIRST, SECOND)),
    "Hold": HELD.holds[0],
    "Hurt": HURT,
    "IndexRepair": holdfast.IndexRepair(
        dry_run=True, indexed=("data/5e/5e5e",), missing=("data/ab/abab",),
        unreadable=(Damage("data/cd/cdcd", "wrong hash"),),
        lost=(holdfast.LostPack("ab" * 16, (HURT,)),),
    ),
    "Key": holdfast.Key(
        id="ab" * 16, created_ns=NOW_NS, host="atlas", user="root", label="laptop",
        memory=65_536, passes=3, lanes=4, in_use=True,
    ),
    "LostPack": holdfast.LostPack("ab" * 16, (HURT,)),
    "PackRepair": PACK_REPAIR,
    "PackRepairs": holdfast.PackRepairs(
        dry_run=True, packs=(PACK_REPAIR,), stored=16_777_216, hurts=(HURT,)
    ),
    "PassedOver": holdfast.PassedOver(FIRST.id, "it is damaged, so it stays"),
    "Problem": PROBLEM,
    "ProgressEvent": EVENT,
    "PruneResult": holdfast.PruneResult(
        dry_run=True, snapshots=12, packs=120, bytes=2_013_265_920, used=1_900_000_000,
        unused=113_265_920, packs_unneeded=3, packs_repacked=4, bytes_repacked=60_000_000,
        waiting=(WAITING,), removed=(FIRST.id,),
    ),
    "ReclaimAtWork": RECLAIM,
    "RepositoryBackup": REPOSITORY_BACKUPS[0],
    "RestoreResult": holdfast.RestoreResult(
        1_200, 3, 2, 80, 1, 0, 734_003_200, 733_000_000, (PROBLEM,), 1, {"socket": 2}, SECOND.id
    ),
    "RetentionDecision": GROUP.decisions[0],
    "RetentionGroup": GROUP,
    "RewriteFailure": FAILED_REWRITE,
    "RewriteResult": holdfast.RewriteResult((REWRITTEN,), (FAILED_REWRITE,), dry_run=False),
    "RewrittenSnapshot": REWRITTEN,
    "Rotation": holdfast.Rotation(
        epoch=2, begun=True, finished=False, resealed=12,
        waits_for=(SessionInfo(id="ab" * 16, kind="backup", host="atlas", user="root"),),
    ),
    "SessionAtWork": SESSION,
    "Snapshot": HELD,
    "SnapshotRepair": SNAPSHOT_REPAIR,
    "SnapshotRepairs": holdfast.SnapshotRepairs(
        dry_run=False, checked=4, snapshots=(SNAPSHOT_REPAIR,), unreadable=("snapshots/ab",)
    ),
    "SourceProblem": BACKUP.errors[0],
    "Stats": holdfast.Stats(
        12, 540_000, 9_700, 100, 2_174_583_613_452, 2_000_000_000_000, 812_000,
        190_000_000_000, 80_000_000, 98_566_144_000, 0,
    ),
    "StorageCheck": CHECKS[1],
    "StorageReport": holdfast.StorageReport(
        "s3://bucket/repo", CHECKS, VERDICTS, 0.0123, 0.25, 51_200_000.0, None, -3.2, ("probe-1",)
    ),
    "StorageVerdict": VERDICTS[1],
    "Summary": SECOND.summary,
    "TagResult": holdfast.TagResult((FIRST, HELD), (HELD.id,)),
    "VerifyResult": holdfast.VerifyResult(1_200, 734_003_200, (PROBLEM,), 1),
    "Waiting": WAITING,
}  # fmt: skip

STATUS = Status(
    repository="/srv/repo",
    id="ab" * 16,
    time=NOW,
    days=7,
    error=None,
    snapshots=12,
    sources=(
        SourceStatus(
            "atlas", ("/srv/data",), 12, SECOND.id, SECOND.time, timedelta(hours=2),
            timedelta(hours=1),
        ),
    ),
    failures=(FailedRun("ab12", "nightly", "backup", NOW, "failed", "disk full", is_last=True),),
    last_check=Verified(NOW, "full", "valid", ok=True),
    last_drill=None,
    next_runs=(NextRun("ab12", "nightly", "backup", NOW),),
    growth=(Growth("2026-11-21", 3, 734_003_200, 98_566_144),),
)  # fmt: skip

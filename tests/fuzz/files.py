"""Targets: files and answers that anybody may have written."""

from __future__ import annotations

import contextlib
import json
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml
from tests.fuzz.engine import Attempt, Target
from tests.fuzz.forging import KEYS, NotForged
from tests.fuzz.mutate import mutate_bytes, mutate_json, mutate_msgpack, mutate_text
from tests.fuzz.packs import sound_pack

from holdfast.backend.drivers import sftp_packets
from holdfast.clock import SYSTEM_CLOCK
from holdfast.platform.audit import AuditTrail
from holdfast.platform.audit.notes import AnchorNotes
from holdfast.platform.compliance.manifest import verify
from holdfast.platform.drill.history import load_report
from holdfast.platform.drill.load import load_drill
from holdfast.platform.drill.playbook.load import load_playbook
from holdfast.platform.drill.report import digest_of
from holdfast.platform.formats.documents import (
    read_csv,
    read_json,
    read_json_lines,
    read_toml,
    read_yaml,
)
from holdfast.platform.formats.verdict import Broken, Limits, Unread
from holdfast.platform.schedule.job import JobConfig
from holdfast.primitives import signing
from holdfast.primitives.hashing import digest
from holdfast.settings.config import load_config
from holdfast.settings.effective import effective
from holdfast.settings.export import as_json, as_yaml, exported, masked
from holdfast.settings.reading import read_document
from holdfast.settings.review import review
from holdfast.store.cache import IndexCache
from holdfast.store.sightings import Sightings
from holdfast.store.table import Table

EXAMPLES = Path(__file__).parents[2] / "examples"
LIMITS = Limits()


def on_a_file(name: str, attempt: Callable[[Path], object]) -> Callable[[Path], Attempt]:
    """What tries inputs as the content of a file of that name."""

    def prepare(folder: Path) -> Attempt:
        file = folder / name

        def on_file(data: bytes) -> None:
            file.write_bytes(data)
            attempt(file)

        return on_file

    return prepare


# Config files


def try_config_file(file: Path) -> None:
    """A config file: what it says, shown, masked and exported."""
    review(file)
    config = load_config(file)
    for each in (config, *config.profiles.values()):
        json.dumps([setting.dict() for setting in effective(each, {})])
    document = read_document(file)
    values = {str(key): value for key, value in document.values.items()}
    as_yaml(masked(values))
    as_json(masked(values))
    as_yaml(exported(values, file.parent).values)


def as_json_text(file: Path) -> bytes:
    """An example in JSON, which is YAML too."""
    return json.dumps(dict(read_document(file).values), default=str).encode()


CONFIG = {
    "repository": "/srv/repo",
    "password_file": "/etc/password",
    "compression": "max",
    "pack_size": 16,
    "exclude": ["*.tmp"],
    "limit_upload": "08:00-18:00=512,4096",
    "sources": [{"path": "/home", "tags": ["a"], "exclude": ["b"]}],
    "retention": {"keep_daily": 7},
    "schedule": {"backup_cron": "0 2 * * *", "zone": "Europe/Berlin"},
    "notifications": {"email": {"enabled": True, "recipients": ["a@b.example"]}, "console": True},
    "three_two_one": {"copies": [{"repository": "s3://bucket/a", "media": "m", "location": "l"}]},
    "profiles": {"other": {"repository": "/srv/other", "retention": "gfs"}},
}
"""A config file in which most of what there can be is said once."""


def config_seeds() -> list[bytes]:
    return [yaml.safe_dump(CONFIG, sort_keys=False).encode(), b"a: &x [1]\nb: *x\n!!str c: ${D}\n"]


def config_values() -> list[bytes]:
    return [json.dumps(CONFIG).encode()]


def drill_seeds() -> list[bytes]:
    return [as_json_text(file) for file in sorted((EXAMPLES / "drills").glob("*.yaml"))]


def playbook_seeds() -> list[bytes]:
    return [as_json_text(file) for file in sorted((EXAMPLES / "playbooks").glob("*.yaml"))]


JOB = {
    "operation": "backup", "backend": "/r", "sources": ["/a"], "retries": 2, "name": "n",
    "priority": "high", "retention_policy": "gfs", "exclude": ["x"], "password_file": "/p",
}  # fmt: skip


def try_job(data: bytes) -> None:
    """A job as the scheduler's database keeps it."""
    values = _json(data)
    if not isinstance(values, dict):
        raise NotForged("no mapping")
    JobConfig.parse(values)


# The audit trail


def _entry(sequence: int, event: str, details: dict[str, object]) -> dict[str, object]:
    return {
        "sequence": sequence,
        "time": "2026-11-22T10:00:00.000000+00:00",
        "event": event,
        "result": "ok",
        "user": "user",
        "uid": 0,
        "host": "host",
        "program": "holdfast 1",
        "repository": "",
        "snapshot": "",
        "details": details,
    }


def trail_seeds() -> list[bytes]:
    """Entries without their hashes, which `forged_trail` adds, and lines that are none."""
    first = _entry(0, "trail", {"trail": "ab" * 16})
    torn = _entry(1, "torn", {"bytes": 5, "digest": "00" * 32})
    entries = [first, _entry(1, "backup", {"paths": ["/a"]}), _entry(2, "prune", {})]
    return [json.dumps(entries).encode(), json.dumps([first, "half\x18", torn]).encode()]


def forged_trail(data: bytes) -> bytes:
    """A trail of any lines, in which hashes are right where the input does not say otherwise."""
    lines: list[bytes] = []
    before = ""
    for each in _array(data):
        if not isinstance(each, dict):
            lines.append(str(each).encode("utf-8", "surrogateescape"))
            continue
        record = {"previous": before, **each}
        before = str(record.setdefault("hash", digest(_line(record)).hex()))
        lines.append(_line(record))
    return b"\n".join([*lines, b""])


def _line(record: object) -> bytes:
    """As entries are written, but with whatever values."""
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def _json(data: bytes) -> object:
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotForged from error
    return found


def _array(data: bytes) -> list[object]:
    found = _json(data)
    if not isinstance(found, list):
        raise NotForged("no array")
    return found


def prepare_trail(folder: Path) -> Attempt:
    """Verifies a trail, reads it from both ends, and appends to it."""

    def attempt(file: Path) -> None:
        file.write_bytes(forged_trail(file.read_bytes()))
        trail = AuditTrail(file)
        problems = trail.verify()
        json.dumps(problems.dict())
        assert str(problems)
        entries = list(trail.entries())
        for entry in entries:
            json.dumps(entry.dict())
        assert trail.record("fuzz").sequence >= 0
        again = trail.verify()
        assert again.entries > problems.entries - len(problems.problems)

    return on_a_file("audit.jsonl", attempt)(folder)


# Reports


def report_seeds() -> list[bytes]:
    report = {
        "drill_id": "7d9f2c1e", "name": "monthly", "time": "2026-11-21T12:00:00+00:00",
        "status": "SUCCESS", "rto_compliant": True, "rpo_compliant": True,
        "recovery_time_minutes": 4.5, "data_age_minutes": 10.0, "max_rto_minutes": 60.0,
        "max_rpo_minutes": 15.0, "validation_results": {"integrity": True},
        "recommendations": ["go on"], "compliance_framework": "SOC2",
        "repository_id": "ab" * 16, "snapshot_id": "cd" * 16,
        "snapshot_time": "2026-11-21T11:50:00+00:00", "duration_seconds": 270.0,
        "phases": [{"name": "open", "seconds": 1.0}],
    }  # fmt: skip
    return [json.dumps(report).encode()]


def try_report(data: bytes) -> None:
    """A drill's report, with the digest that it must have."""
    record: object = None
    with contextlib.suppress(NotForged):
        record = _json(data)
    if isinstance(record, dict):
        data = json.dumps({"digest": digest_of(record), **record}).encode()
    found = load_report(data.decode("utf-8", "replace"))
    json.dumps(found.dict())
    assert str(found)


def manifest_seeds() -> list[bytes]:
    """A report's manifest and its evidence."""
    key = signing.new_key()
    manifest = {
        "holdfast_report": 1, "framework": "SOC2", "drill_id": "7d9f2c1e", "compliant": True,
        "generated": "2026-11-21T12:00:00+00:00",
        "files": {"report.html": {"blake3": "00" * 32, "size": 1}},
        "audit_head": None, "public_key": signing.public_key(key).decode(), "signature": "00" * 64,
    }  # fmt: skip
    evidence = {"drill": json.loads(report_seeds()[0]), "audit": None, "history": []}
    extract = {"entries": [], "problems": [], "has_drill": True}
    return [
        json.dumps([manifest, evidence]).encode(),
        json.dumps([{**manifest, "public_key": None}, {**evidence, "audit": extract}]).encode(),
    ]


def prepare_manifest(folder: Path) -> Attempt:
    """Verifies a report of which everything may have been written by somebody else."""

    def attempt(file: Path) -> None:
        match _array(file.read_bytes()):
            case [manifest, evidence]:
                written = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
            case _:
                raise NotForged
        place = file.with_name("report.manifest.json")
        place.write_text(written)
        file.with_name("report.evidence.json").write_text(json.dumps(evidence))
        file.with_name("report.html").write_bytes(b"x")
        json.dumps(verify(place).dict())

    return on_a_file("input", attempt)(folder)


# What is kept on this machine


def prepare_cache(folder: Path) -> Attempt:
    """Reads an index cache that somebody else wrote, or damaged."""
    sound = saved_cache(folder)

    def attempt(data: bytes) -> None:
        cache_file(folder).write_bytes(data)
        found = IndexCache(folder, KEYS).load()
        assert (found is not None) == (data == sound)

    return attempt


def cache_file(folder: Path) -> Path:
    return folder / KEYS.repository.hex() / "index"


def saved_cache(folder: Path) -> bytes:
    """An index cache, saved in a folder."""
    table = Table()
    table.add_pack(sound_pack()[0])
    IndexCache(folder, KEYS).save(frozenset({"index/a"}), table)
    return cache_file(folder).read_bytes()


def cache_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory(prefix="holdfast-fuzz-") as folder:
        return [saved_cache(Path(folder))]


def try_sightings(file: Path) -> None:
    """Reads what an earlier run noted down of other sessions."""
    place = file.parent / KEYS.repository.hex() / "sessions"
    place.parent.mkdir(exist_ok=True)
    file.replace(place)
    sightings = Sightings(file.parent, KEYS, SYSTEM_CLOCK)
    assert sightings.see("a", 2) >= 0
    sightings.save({"a": None})


def try_notes(file: Path) -> None:
    """Reads what was noted down of the anchors of a trail."""
    notes = AnchorNotes(file.with_name("audit.jsonl"))
    notes.last("repository")


# What servers answer


def try_sftp(data: bytes) -> None:
    """A packet of a server, as each kind of answer."""
    kind, body = (data or b"\0")[0], data[1:]
    wanted = sftp_packets.Request(sftp_packets.Kind.READ, b"", length=100)
    readers: tuple[Callable[[sftp_packets.Answer], object], ...] = (
        lambda answer: sftp_packets.data_of(answer, wanted),
        lambda answer: sftp_packets.entries_of(answer.expect(sftp_packets.Kind.NAME)),
        lambda answer: answer.expect(sftp_packets.Kind.ATTRIBUTES).attributes(),
        lambda answer: answer.expect(sftp_packets.Kind.STATUS),
    )
    refusal: Exception | None = None
    for read in readers:
        try:
            read(sftp_packets.Answer(kind, body))
        except (sftp_packets.Garbled, sftp_packets.Refused) as error:
            refusal = error
        else:
            return
    assert refusal is not None
    raise refusal


def sftp_seeds() -> list[bytes]:
    attributes = struct.pack(">IQIIIII", 0xF, 100, 0, 0, 0o100644, 1, 2)
    name = sftp_packets.packed_string(b"name")
    return [
        bytes([sftp_packets.Kind.DATA]) + sftp_packets.packed_string(b"data"),
        bytes([sftp_packets.Kind.NAME]) + sftp_packets.packed_int(1) + name * 2 + attributes,
        bytes([sftp_packets.Kind.ATTRIBUTES]) + attributes,
        bytes([sftp_packets.Kind.STATUS]) + sftp_packets.packed_int(0) + name * 2,
    ]


# Documents in backups, as drills look at them


def try_documents(file: Path) -> None:
    """A file as a document of each kind."""
    refused: list[Exception] = []
    readers = (read_json, read_json_lines, read_yaml, read_toml, read_csv)
    for read in readers:
        try:
            read(file, LIMITS)
        except (Broken, Unread) as error:
            refused.append(error)
    if len(refused) == len(readers):
        raise refused[0]


DOCUMENTS = (
    b'{"a": [1, 2.5e3, null], "b": "\\u00e9"}\n',
    b"a: &x [1, 2]\nb: *x\n--- !!str c\n",
    b'[table]\nkey = 1979-05-27T07:32:00Z\nx = """a"""\n',
    b'a,"b ""c""",d\r\n1,2,3\r\n',
    b"\xff\xfea\0,\0b\0",
)

TARGETS = (
    Target("yaml", on_a_file("config.yaml", try_config_file), config_seeds, mutate_text, share=10),
    Target(
        "settings", on_a_file("config.yaml", try_config_file), config_values, mutate_json, share=10
    ),
    Target(
        "config-json",
        on_a_file("config.json", try_config_file),
        config_values,
        mutate_json,
        share=10,
    ),
    Target("drill", on_a_file("drill.yaml", load_drill), drill_seeds, mutate_json, share=20),
    Target(
        "playbook", on_a_file("book.yaml", load_playbook), playbook_seeds, mutate_json, share=10
    ),
    Target(
        "job",
        lambda _: try_job,
        lambda: [json.dumps(JOB).encode()],
        mutate_json,
        (NotForged,),
    ),
    Target("trail", prepare_trail, trail_seeds, mutate_json, (NotForged,)),
    Target("report", lambda _: try_report, report_seeds, mutate_json),
    Target("manifest", prepare_manifest, manifest_seeds, mutate_json, (NotForged,)),
    Target("cache", prepare_cache, cache_seeds, mutate_bytes),
    Target(
        "sightings",
        on_a_file("sightings", try_sightings),
        lambda: [b"\x81\xa1a\x92\x01\x02"],
        mutate_msgpack,
    ),
    Target(
        "notes",
        on_a_file("audit.jsonl.anchors", try_notes),
        lambda: [b'{"repository": ["a", 1, "b", 2]}'],
        mutate_json,
    ),
    Target(
        "sftp",
        lambda _: try_sftp,
        sftp_seeds,
        mutate_bytes,
        (sftp_packets.Garbled, sftp_packets.Refused),
    ),
    Target(
        "documents",
        on_a_file("file", try_documents),
        lambda: DOCUMENTS,
        mutate_text,
        (Broken, Unread),
        share=30,
    ),
)

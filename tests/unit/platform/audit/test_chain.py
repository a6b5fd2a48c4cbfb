"""What is found of tampering, with anchors and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast import Repository
from holdfast.backend import Backend, Fail, Faulty, MemoryBackend, NoFault
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import AccessDenied, BackendError, StorageUnavailable
from holdfast.platform.audit import AuditTrail
from holdfast.platform.audit.entry import decode, encode, hashed
from holdfast.testing.repositories import new_store


@pytest.fixture
def trail(tmp_path: Path) -> AuditTrail:
    trail = AuditTrail(tmp_path / "audit.jsonl")
    for event in ("init", "backup", "forget", "prune", "check"):
        trail.record(event)
    return trail


def repository_in(backend: Backend) -> Repository:
    return Repository(new_store(backend), SYSTEM_CLOCK)


@pytest.fixture
def repository() -> Repository:
    return repository_in(MemoryBackend())


def denied(verb: str, error: type[BackendError] = AccessDenied) -> Fail:
    return Fail(lambda call: call.verb.startswith(verb), error)


def rewritten(trail: AuditTrail, lines: list[bytes]) -> None:
    trail.file.write_bytes(b"".join(line + b"\n" for line in lines))


def lines_of(trail: AuditTrail) -> list[bytes]:
    return trail.file.read_bytes().splitlines()


def problems(trail: AuditTrail, repository: Repository | None = None) -> list[tuple[int, str]]:
    anchors = [] if repository is None else repository.audit_anchors()
    return [(each.line, each.message) for each in trail.verify(anchors).problems]


def test_r286_a_good_trail_has_no_problems(trail: AuditTrail, repository: Repository) -> None:
    anchor = trail.anchor(repository)
    assert anchor is not None
    found = trail.verify(repository.audit_anchors())
    assert found.ok
    assert (found.entries, found.anchors, found.anchored) == (6, 1, 5)
    assert (found.trail, found.head) == (anchor.trail, anchor.digest)
    assert found.dict()["ok"] is True
    trail.record("backup")
    found = trail.verify(repository.audit_anchors())
    assert (found.ok, found.entries, found.anchored) == (True, 7, 5)


def test_an_edited_byte_is_found_at_its_line(trail: AuditTrail) -> None:
    data = trail.file.read_bytes()
    for place in range(0, len(data), 7):
        changed = bytearray(data)
        changed[place] ^= 1
        trail.file.write_bytes(changed)
        line = data[:place].count(b"\n") + 1
        assert line in [number for number, _ in problems(trail)] or data[place] == 10, place


def test_the_same_words_written_another_way_are_an_edit(trail: AuditTrail) -> None:
    lines = lines_of(trail)
    lines[2] = json.dumps(json.loads(lines[2])).encode()
    rewritten(trail, lines)
    assert problems(trail)[0] == (3, "this is no entry: it is not written as entries are")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: lines[:2] + lines[3:], 3),
        (lambda lines: lines[:3] + lines[2:], 4),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], 3),
        (lambda lines: lines[1:], 1),
        (lambda lines: [*lines[:2], b"", *lines[2:]], 3),
        (lambda lines: [*lines[:2], b'{"a":\x18', *lines[2:]], 3),
        (lambda lines: [*lines[:2], b"x" * 3_000_000, *lines[2:]], 3),
    ],
    ids=["deleted", "repeated", "moved", "beheaded", "empty", "cancelled", "long"],
)
def test_lines_that_are_put_in_taken_out_or_moved_are_found(
    trail: AuditTrail, change: Callable[[list[bytes]], list[bytes]], line: int
) -> None:
    rewritten(trail, change(lines_of(trail)))
    assert problems(trail)[0][0] == line


def test_an_edit_whose_hash_was_made_right_is_found_at_the_next_line(trail: AuditTrail) -> None:
    lines = lines_of(trail)
    entry = replace(decode(lines[2]), user="somebody", hash="")
    lines[2] = encode(replace(entry, hash=hashed(entry)))
    rewritten(trail, lines)
    assert problems(trail) == [(4, "entry 3 does not belong to what is before it")]


def test_that_the_end_was_cut_off_shows_in_the_repository(
    trail: AuditTrail, repository: Repository
) -> None:
    trail.anchor(repository)
    whole = trail.file.read_bytes()
    rewritten(trail, lines_of(trail)[:-2])
    assert problems(trail) == []
    ((line, message),) = problems(trail, repository)
    assert (line, message[:18], message[-13:]) == (0, "entry 5, anchored ", "the last is 3")
    # Not even the last byte, which a crash might not have written.
    trail.file.write_bytes(whole[:-1])
    assert problems(trail) == []
    assert problems(trail, repository) == [(6, "the end of the line was cut off")]
    trail.file.write_bytes(b"")
    assert "another trail" in problems(trail, repository)[0][1]


def test_a_trail_that_was_written_anew_shows_in_the_repository(
    trail: AuditTrail, repository: Repository, tmp_path: Path
) -> None:
    trail.anchor(repository)
    lines = lines_of(trail)
    rewritten(trail, lines[:-3])
    for _ in range(7):
        trail.record("backup")
    assert problems(trail) == []
    ((line, message),) = problems(trail, repository)
    assert line == 6
    assert message.startswith("entry 5 is not the one that was anchored at 20")
    # A new trail in the same place, and one in another.
    trail.file.unlink()
    trail.record("backup")
    ((line, message),) = problems(trail, repository)
    assert (line, message.partition(",")[0]) == (0, "another trail")
    other = AuditTrail(tmp_path / "other.jsonl")
    other.record("backup")
    other.anchor(repository)
    assert problems(other, repository) == []


def test_a_new_anchor_takes_the_place_of_the_old_one(
    trail: AuditTrail, repository: Repository
) -> None:
    first = trail.anchor(repository)
    assert trail.anchor(repository) == first, "nothing was recorded since"
    trail.record("backup")
    second = trail.anchor(repository)
    assert second is not None
    assert list(repository.audit_anchors()) == [second]
    assert (second.sequence, second.place) == (6, str(trail.file))
    assert AuditTrail(trail.file.parent / "none").anchor(repository) is None


@pytest.mark.parametrize(("quick", "more"), [(False, 1), (True, 1), (True, 5)])
def test_an_anchor_that_contradicts_the_trail_stays_and_is_told_of(
    trail: AuditTrail,
    repository: Repository,
    caplog: pytest.LogCaptureFixture,
    *,
    quick: bool,
    more: int,
) -> None:
    old = trail.anchor(repository)
    rewritten(trail, lines_of(trail)[:-2])
    for _ in range(more):
        trail.record("backup")
    assert trail.anchor(repository, quick=quick) is not None
    assert "it was cut off or rewritten" in caplog.text
    assert old in list(repository.audit_anchors())
    assert len(problems(trail, repository)) == 1


def test_notes_that_make_no_sense_are_done_without(
    trail: AuditTrail, repository: Repository
) -> None:
    for notes in (b"[", b"[1]", b'{"%b": [1, "a"]}' % repository.id.encode(), b"\xff"):
        trail.record("backup")
        trail.file.with_name(f"{trail.file.name}.anchors").write_bytes(notes)
        latest = trail.anchor(repository, quick=True)
        assert list(repository.audit_anchors()) == [latest]


def test_who_may_only_add_anchors_all_the_same(trail: AuditTrail) -> None:
    backend = Faulty(MemoryBackend(), NoFault())
    repository = repository_in(backend)
    trail.anchor(repository)
    trail.record("backup")
    backend._plan = denied("delete")
    assert trail.anchor(repository) is not None
    assert [each.sequence for each in repository.audit_anchors()] == [6, 5]
    assert trail.verify(repository.audit_anchors()).ok
    backend._plan = NoFault()
    trail.record("backup")
    trail.anchor(repository)
    assert [each.sequence for each in repository.audit_anchors()] == [7]


def test_who_may_only_read_does_not_anchor(
    trail: AuditTrail, caplog: pytest.LogCaptureFixture
) -> None:
    backend = Faulty(MemoryBackend(), NoFault())
    repository = repository_in(backend)
    backend._plan = denied("put")
    assert trail.anchor(repository) is None
    assert caplog.text == ""
    backend._plan = denied("list", StorageUnavailable)
    assert trail.anchor(repository) is None
    assert "the audit trail is not anchored" in caplog.text


@pytest.mark.parametrize("value", [b"[" * 900 + b"]" * 900, b"NaN", b"-Infinity"])
def test_a_line_that_cannot_be_written_as_it_is_read_is_found_and_appended_after(
    trail: AuditTrail, value: bytes
) -> None:
    *rest, line = lines_of(trail)
    odd = line.replace(b'"details":{}', b'"details":{"a":' + value + b"}")
    rewritten(trail, [*rest, odd])
    assert [number for number, _ in problems(trail)] == [6]
    assert trail.record("backup").sequence == 6
    assert [number for number, _ in problems(trail)] == [6]


@pytest.mark.parametrize("id_", ["", "0123", "no id at all"])
def test_a_trail_whose_id_is_none_is_not_anchored_and_fails_nothing(
    tmp_path: Path, repository: Repository, caplog: pytest.LogCaptureFixture, id_: str
) -> None:
    trail = AuditTrail(tmp_path / "audit.jsonl")
    trail.record("init")
    first = decode(lines_of(trail)[0])
    first = replace(first, details={"trail": id_}, hash="")
    rewritten(trail, [encode(replace(first, hash=hashed(first)))])
    assert trail.anchor(repository) is None
    assert "is not anchored" in caplog.text


def test_a_number_that_was_left_out_is_found(trail: AuditTrail) -> None:
    lines = lines_of(trail)
    entry = replace(decode(lines[5]), sequence=9, hash="")
    rewritten(trail, [*lines[:5], encode(replace(entry, hash=hashed(entry)))])
    assert problems(trail) == [
        (6, "entry 9 is after entry 4: lines were put in, taken out or moved")
    ]

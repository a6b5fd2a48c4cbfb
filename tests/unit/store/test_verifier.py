"""Packs are verified before they are stored, by another process or by this one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.errors import DamagedRepository
from holdfast.primitives.buffers import BufferPool
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId, new_session_id
from holdfast.store import verifier as subject
from holdfast.store.keys import Keys
from holdfast.store.pack import (
    FOOTER_SIZE,
    HEADER_SIZE,
    SEGMENT_BUFFER,
    Codec,
    Kind,
    PackInfo,
    Payload,
    blob_key,
    build_pack,
)
from holdfast.store.verifier import Verifier

KEYS = Keys.generate()
SESSION = new_session_id()


def made(*, blobs: int = 300, lie: bool = False) -> tuple[PackInfo, memoryview]:
    """A pack of many blobs, of which the last may not be what its id says."""
    contents = [b"blob %d" % number for number in range(blobs)]
    key = blob_key(KEYS, Kind.DATA)
    ids = [BlobId(keyed(key, content)) for content in contents]
    if lie:
        contents[-1] = contents[-1][::-1]
    whole = b"".join(contents)
    payload = Payload(whole, Codec.RAW, len(whole), ids, list(map(len, contents)))
    return build_pack(Kind.DATA, [payload], KEYS, SESSION, os.urandom(32))


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> Iterator[Verifier]:
    """One that starts its process at once and waits for it."""
    monkeypatch.setattr(subject, "WORTH_IT", 0)
    monkeypatch.setattr(subject, "READY_WAIT", 60.0)
    found = Verifier(KEYS, BufferPool(SEGMENT_BUFFER))
    yield found
    found.close()


def test_the_other_process_finds_good_packs_good(verifier: Verifier) -> None:
    for _ in range(3):
        info, pack = made()
        verifier.verify(info, pack)
        assert verifier._is_good(info, pack)


def test_the_other_process_finds_every_damage(verifier: Verifier) -> None:
    info, pack = made()
    size = len(pack)
    assert verifier._is_good(info, pack)
    for place in (0, 40, HEADER_SIZE - 1, HEADER_SIZE, 1000, size - FOOTER_SIZE - 1, size - 1):
        pack[place] ^= 1
        assert not verifier._is_good(info, pack)
        with pytest.raises(DamagedRepository, match="before it was stored"):
            verifier.verify(info, pack)
        pack[place] ^= 1
    verifier.verify(info, pack)


def test_a_blob_that_is_not_what_its_id_says_is_found(verifier: Verifier) -> None:
    info, pack = made(lie=True)
    assert not verifier._is_good(info, pack)
    with pytest.raises(DamagedRepository, match="does not match its id"):
        verifier.verify(info, pack)


def test_what_would_be_told_of_a_pack_is_compared_with_what_is_in_it(verifier: Verifier) -> None:
    info, pack = made()
    blobs = list(info.blobs)
    blobs[7] = blobs[7]._replace(offset=blobs[7].offset + 1)
    header = bytearray(info.header)
    header[-1] ^= 1
    others = (
        replace(info, blobs=blobs),
        replace(info, level=info.level + 1),
        replace(info, header=bytes(header)),
        replace(info, size=info.size + 1),
    )
    for other in others:
        assert not verifier._is_good(other, pack)
        with pytest.raises(DamagedRepository, match="before it was stored"):
            verifier.verify(other, pack)


def test_packs_of_few_blobs_stay_here(verifier: Verifier) -> None:
    verifier.verify(*made(blobs=subject.MANY - 1))
    assert verifier._child is None
    verifier.verify(*made(blobs=subject.MANY))
    assert verifier._child is not None


def test_small_backups_start_no_process() -> None:
    verifier = Verifier(KEYS, BufferPool(SEGMENT_BUFFER))
    verifier.verify(*made())
    assert verifier._child is None


def test_without_the_process_packs_are_verified_here(verifier: Verifier) -> None:
    good, bad = made(), made(lie=True)
    verifier.verify(*good)
    child = verifier._child
    assert child is not None
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    verifier.verify(*good)
    assert not child.is_ready()
    with pytest.raises(DamagedRepository, match="does not match its id"):
        verifier.verify(*bad)


@pytest.mark.parametrize("program", ["/nonexistent/python", "", "/bin/true-py"])
def test_where_no_process_can_be_started(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr("sys.executable", program)
    verifier.verify(*made())
    with pytest.raises(DamagedRepository, match="does not match its id"):
        verifier.verify(*made(lie=True))


def test_a_program_that_is_no_python_is_given_up(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "python"
    program.symlink_to("/bin/true")
    monkeypatch.setattr("sys.executable", str(program))
    verifier.verify(*made())
    assert verifier._child is not None
    assert verifier._child.pid is None


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_no_secret_is_in_its_arguments_or_environment(verifier: Verifier) -> None:
    verifier.verify(*made())
    assert verifier._child is not None
    place = Path(f"/proc/{verifier._child.pid}")
    told = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
    assert b"holdfast" in told
    for secret in (KEYS.master, KEYS.dedup):
        assert secret not in told
        assert secret.hex().encode() not in told

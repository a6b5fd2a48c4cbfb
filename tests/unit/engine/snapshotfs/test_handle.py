from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.snapshotfs.test_reading import Kept, many, stored

from holdfast.engine.snapshotfs.handle import SnapshotStream
from holdfast.engine.snapshotfs.reading import Blobs, FileReader


def opened(pieces: list[bytes | int]) -> tuple[SnapshotStream, bytes]:
    blobs = Kept()
    entry, whole = stored(blobs, pieces)
    return SnapshotStream(FileReader(entry, Blobs(blobs)), "a/file"), whole


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 300)),
        st.tuples(st.just("readinto"), st.integers(0, 300)),
        st.tuples(st.just("seek"), st.integers(0, 700)),
        st.tuples(st.just("skip"), st.integers(-50, 50)),
        st.tuples(st.just("end"), st.integers(-600, 0)),
        st.tuples(st.just("line"), st.just(0)),
        st.tuples(st.just("peek"), st.integers(1, 10)),
    ),
    max_size=30,
)


def step(file: io.BufferedReader | io.BytesIO, what: str, number: int) -> object:
    if what == "readinto":
        buffer = bytearray(number)
        return file.readinto(buffer), bytes(buffer)
    if what == "seek":
        return file.seek(number)
    if what in {"skip", "end"}:
        least = -file.tell() if what == "skip" else -600
        return file.seek(max(number, least), os.SEEK_CUR if what == "skip" else os.SEEK_END)
    if what == "line":
        return file.readline()
    return None if what == "peek" else file.read(number)


@given(STEPS)
def test_it_is_used_as_any_file(steps: list[tuple[str, int]]) -> None:
    file, whole = opened([b"abc\ndef\n\nx" * 20, 150, b"y" * 300, b"\nend\n"])
    plain = io.BytesIO(whole)
    for what, number in steps:
        if what == "peek":
            at = file.tell()
            assert whole[at:].startswith(file.peek(number)[:number])
            assert file.tell() == at
        assert step(file, what, number) == step(plain, what, number)
        assert file.tell() == plain.tell()


def test_lines_text_and_attributes() -> None:
    file, whole = opened([b"one\ntwo\n", b"three"])
    assert list(file) == [b"one\n", b"two\n", b"three"]
    file.seek(0)
    assert io.TextIOWrapper(file).read() == whole.decode()
    assert (file.size, file.path, file.mode) == (13, "a/file", "rb")
    assert repr(file) == "<holdfast file 'a/file'>"
    assert file.readable()
    assert file.seekable()
    assert not file.writable()


def test_closed_it_cannot_be_read() -> None:
    file, _ = opened([b"one"])
    with file:
        assert file.read(1) == b"o"
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def test_a_read_after_a_seek_touches_only_what_it_asks_for() -> None:
    blobs = Kept()
    entry, whole = stored(blobs, [bytes([number]) * 1000 for number in range(50)])
    file = SnapshotStream(FileReader(entry, Blobs(blobs)), "f")
    for offset in (40_000, 10_000, 30_000):
        file.seek(offset)
        assert file.read(1000) == whole[offset : offset + 1000]
    assert len(blobs.loaded) == 3
    assert not blobs.hinted


def test_threads_that_seek_and_read_do_not_disturb_each_other() -> None:
    file, whole = opened(many(3000))

    def work(seed: int) -> bool:
        for turn in range(200):
            offset = (seed * 7919 + turn * 104_729) % (len(whole) - 100)
            file.seek(offset)
            if file.read(100) != whole[offset : offset + 100]:
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_threads_share_the_position_where_one_goes_on_for_another() -> None:
    file, whole = opened([bytes(range(250))])
    with ThreadPoolExecutor(1) as pool:
        file.seek(10)
        assert pool.submit(file.read, 5).result() == whole[10:15]
        assert file.read(5) == whole[15:20]
        pool.submit(file.seek, 100).result()
        assert file.read(5) == whole[100:105]
        assert pool.submit(file.read, 5).result() == whole[105:110]

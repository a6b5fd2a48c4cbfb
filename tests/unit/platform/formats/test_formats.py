"""Reading files of known formats: good ones, broken ones, and those made to do harm."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import sqlite3
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from holdfast.platform.formats import FormatReader, Limits, Verdict, format_of

LIMITS = Limits(seconds=120.0, memory=1 << 30, expanded=8 << 20, text=1 << 20)
TEXT = b"".join(b"%d," % number for number in range(5000))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FormatReader]:
    with FormatReader(tmp_path_factory.mktemp("work"), LIMITS) as found:
        yield found


def verdict_on(reader: FormatReader, place: Path) -> Verdict:
    with place.open("rb") as file:
        name = format_of(place.name, file.read(512))
    assert name is not None
    return reader.read(place, name, 120.0)


def sqlite_file(_: Path) -> bytes:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE t (a TEXT)")
        database.execute("CREATE INDEX i ON t (a)")
        database.executemany("INSERT INTO t VALUES (?)", [(str(n),) for n in range(5000)])
        database.commit()
        return database.serialize()


def tar_file(kind: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{kind}") as archive:  # type: ignore[call-overload]
        for name in ("one", "two", "three"):
            info = tarfile.TarInfo(name)
            info.size = len(TEXT)
            archive.addfile(info, io.BytesIO(TEXT))
    return out.getvalue()


def zip_file() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one", TEXT)
        archive.writestr("two", TEXT)
    return out.getvalue()


def png_file() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    rows = random.Random(1).randbytes(64 * 193)  # noqa: S311 - the same in every run
    lines = b"".join(b"\0" + rows[n * 192 : n * 192 + 192] for n in range(64))
    head = (64).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


GOOD: dict[str, Callable[[], bytes]] = {
    "a.json": lambda: json.dumps({"a": [1, 2.5, None]}).encode(),
    "a.jsonl": lambda: b'{"a": 1}\n\n[2]\n',
    "a.yaml": lambda: b"base: &base {a: 1}\nnext: *base\n---\n- 2\n",
    "a.toml": lambda: b'[a]\nb = "c"\n',
    "a.csv": 'a,b\n"x, y",ü\n'.encode,
    "utf16.csv": lambda: "a,b\n1,2\n".encode("utf-16"),
    "a.gz": lambda: gzip.compress(TEXT),
    "a.bz2": lambda: bz2.compress(TEXT),
    "a.xz": lambda: lzma.compress(TEXT),
    "a.tar": tar_file,
    "a.tar.gz": lambda: tar_file("gz"),
    "a.tbz2": lambda: tar_file("bz2"),
    "a.tar.xz": lambda: tar_file("xz"),
    "a.zip": zip_file,
    "a.sqlite3": lambda: sqlite_file(Path()),
    "known by how it begins": lambda: sqlite_file(Path()),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_files_are_good(reader: FormatReader, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.write_bytes(GOOD[name]())
    assert verdict_on(reader, place) == Verdict(good=True)


@pytest.mark.parametrize("name", [name for name in GOOD if name not in {"a.csv", "utf16.csv"}])
def test_half_a_file_is_broken(reader: FormatReader, tmp_path: Path, name: str) -> None:
    data = GOOD[name]()
    cut = {"a.yaml": b"a: [1,", "a.toml": b"[a\n"}.get(name, data[: len(data) // 2])
    place = tmp_path / name
    place.write_bytes(cut)
    verdict = verdict_on(reader, place)
    assert verdict.good is False
    assert verdict.reason


@pytest.mark.parametrize("name", ["a.gz", "a.bz2", "a.xz", "a.tar.gz", "a.zip"])
def test_one_wrong_byte_is_found(reader: FormatReader, tmp_path: Path, name: str) -> None:
    data = bytearray(GOOD[name]())
    data[len(data) // 3] ^= 0x10
    place = tmp_path / name
    place.write_bytes(data)
    assert verdict_on(reader, place).good is False


def test_a_damaged_header_in_the_middle_of_a_tar_is_found(
    reader: FormatReader, tmp_path: Path
) -> None:
    data = bytearray(tar_file())
    second = data.index(b"two")
    data[second + 100] ^= 1
    place = tmp_path / "a.tar"
    place.write_bytes(data)
    assert verdict_on(reader, place).good is False


def test_a_damaged_page_of_a_database_is_found_and_nothing_is_changed(
    reader: FormatReader, tmp_path: Path
) -> None:
    data = bytearray(sqlite_file(tmp_path))
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 16] = b"\xff" * 16
    place = tmp_path / "a.db"
    place.write_bytes(data)
    assert verdict_on(reader, place).good is False
    assert place.read_bytes() == bytes(data)
    assert [each.name for each in tmp_path.iterdir()] == ["a.db"]


def test_a_database_is_looked_at_with_its_log(reader: FormatReader, tmp_path: Path) -> None:
    live, place = tmp_path / "live.db", tmp_path / "restored.db"
    with closing(sqlite3.connect(live)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (a)")
        database.execute("INSERT INTO t VALUES (1)")
        database.commit()
        place.write_bytes(live.read_bytes())
        Path(f"{place}-wal").write_bytes(Path(f"{live}-wal").read_bytes())
    assert verdict_on(reader, place) == Verdict(good=True)
    assert not Path(f"{place}-shm").exists()


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "bomb.gz": (lambda: gzip.compress(bytes(12 << 20)), "expands to more"),
    "bomb.zip": (
        lambda: zip_of(bytes(12 << 20)),
        "expands to more",
    ),
    "bomb.tar.gz": (lambda: gzip.compress(tar_file() + bytes(12 << 20)), "expands to more"),
    "bomb.xz": (lambda: lzma.compress(bytes(12 << 20)), "expands to more"),
    "deep.json": (lambda: b"[" * 200_000, "nested too deeply"),
    "deep.toml": (lambda: b"a = " + b"[" * 100_000, "nested too deeply"),
    "large.json": (lambda: b"[" + b"1," * (1 << 20), "larger than"),
    "long.jsonl": (lambda: b" " * (2 << 20), "too long"),
    "latin.csv": (lambda: "gr\u00fcn\n".encode("latin-1"), "not in UTF-8"),
    "locked.zip": (lambda: encrypted(zip_file()), "encrypted"),
}


def zip_of(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", data)
    return out.getvalue()


def encrypted(data: bytes) -> bytes:
    """The same archive, said to be encrypted."""
    changed = bytearray(data)
    for mark, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = changed.find(mark)
        while at >= 0:
            changed[at + offset] |= 1
            at = changed.find(mark, at + 4)
    return bytes(changed)


@pytest.mark.parametrize("name", BOMBS)
def test_what_takes_too_much_is_not_evaluated(
    reader: FormatReader, tmp_path: Path, name: str
) -> None:
    make, reason = BOMBS[name]
    place = tmp_path / name
    place.write_bytes(make())
    verdict = verdict_on(reader, place)
    assert verdict.good is None
    assert reason in verdict.reason


def test_aliases_of_aliases_cost_nothing(reader: FormatReader, tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60)]
    place = tmp_path / "bomb.yaml"
    place.write_text("\n".join(lines))
    assert verdict_on(reader, place) == Verdict(good=True)
    place.write_text("a: *nothing\n")
    assert verdict_on(reader, place).good is False


def test_memory_is_bounded(tmp_path: Path) -> None:
    place = tmp_path / "many.json"
    place.write_bytes(b"[" + b"{}," * (12 << 20) + b"{}]")
    limits = Limits(seconds=120, memory=400 << 20, text=256 << 20)
    with FormatReader(tmp_path, limits) as reader:
        verdict = verdict_on(reader, place)
        assert verdict == Verdict(None, "it takes more memory than it may")
        place.write_bytes(b"{}")
        assert verdict_on(reader, place) == Verdict(good=True)


def test_time_is_bounded_and_the_next_file_is_read(tmp_path: Path) -> None:
    place = tmp_path / "a.json"
    place.write_text("{}")
    slow = tmp_path / "slow.gz"
    slow.write_bytes(gzip.compress(bytes(1 << 20)) * 1000)
    with FormatReader(tmp_path, Limits()) as reader:
        assert verdict_on(reader, place) == Verdict(good=True)
        verdict = reader.read(slow, "gzip", 0.1)
        assert verdict == Verdict(None, "reading it took longer than 0.1 s")
        assert verdict_on(reader, place) == Verdict(good=True)


def test_a_reader_that_is_killed_is_started_again(tmp_path: Path) -> None:
    place = tmp_path / "a.json"
    place.write_text("{}")
    with FormatReader(tmp_path) as reader:
        assert reader.read(place, "json", 120) == Verdict(good=True)
        assert reader._process is not None
        reader._process.kill()
        reader._process.wait()
        assert reader.read(place, "json", 120).good is None
        assert reader.read(place, "json", 120) == Verdict(good=True)


@pytest.mark.skipif(find_spec("PIL") is None, reason="Pillow is not installed")
def test_images_are_decoded(reader: FormatReader, tmp_path: Path) -> None:
    place = tmp_path / "a.png"
    place.write_bytes(png_file())
    assert verdict_on(reader, place) == Verdict(good=True)
    place.write_bytes(png_file()[:-2000])
    assert verdict_on(reader, place).good is False
    wide = bytearray(png_file())
    wide[16:24] = (60000).to_bytes(4, "big") * 2
    wide[29:33] = zlib.crc32(wide[12:29]).to_bytes(4, "big")
    place.write_bytes(wide)
    assert verdict_on(reader, place).good is None


@pytest.mark.skipif(find_spec("pyarrow") is not None, reason="pyarrow is installed")
def test_without_its_library_a_format_is_not_evaluated(
    reader: FormatReader, tmp_path: Path
) -> None:
    place = tmp_path / "a.parquet"
    place.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    verdict = verdict_on(reader, place)
    assert verdict == Verdict(None, "that takes pyarrow, which is not installed")


def test_parquet_is_read_whole(reader: FormatReader, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    place = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"a": list(range(1000))}), place)
    assert verdict_on(reader, place) == Verdict(good=True)
    place.write_bytes(place.read_bytes()[:-100] + bytes(100))
    assert verdict_on(reader, place).good is False


def test_what_has_no_known_format_is_none() -> None:
    assert format_of("notes.txt", b"text") is None
    assert format_of("README", b"") is None
    assert format_of("x.TAR.GZ", b"") == "tar.gz"
    assert format_of("x", bytes(257) + b"ustar\0") == "tar"

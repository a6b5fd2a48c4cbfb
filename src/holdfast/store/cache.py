"""The local copy of the index: one mapped file that can be deleted at any time.

It is authenticated with a key of the repository, so that whoever can write the cache cannot make
a backup believe that a blob is stored. A file that does not fit is ignored and made anew.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import mmap
import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from holdfast.primitives import codec
from holdfast.primitives.hashing import DIGEST_SIZE, keyed
from holdfast.primitives.ids import ID_SIZE, PackName
from holdfast.store.columns import Run
from holdfast.store.index import PLACE_ROW, SEGMENT_ROW
from holdfast.store.keys import Keys
from holdfast.store.table import PACK_ROW_SIZE, Table

_log = logging.getLogger(__name__)

_MAGIC = b"HFCACHE2"
_HEADER = struct.Struct(f"<8s{DIGEST_SIZE}sI")
_REMOVED_ROW = struct.Struct("<32s4sI")
"""A removed pack: digest and session of its name, and its number."""
_NO_NUMBER = (1 << 32) - 1


class IndexCache:
    """The file that holds one repository's index on this machine."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        self._path = folder / keys.repository.hex() / "index"
        self._key = keys.from_master("cache")

    def load(self) -> tuple[frozenset[str], Table] | None:
        """The names of the index objects in the cache and their rows; None when there is none."""
        try:
            with self._path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < _HEADER.size:
                    return None
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning("the index cache %s cannot be read: %s", self._path, error)
            return None
        found = self._parse(mapped)
        if found is None:
            _log.warning("the index cache %s is damaged and will be made anew", self._path)
        return found

    def _parse(self, mapped: mmap.mmap) -> tuple[frozenset[str], Table] | None:
        view = memoryview(mapped)
        magic, mac, head_size = _HEADER.unpack_from(view)
        expected = keyed(self._key, view[8 + DIGEST_SIZE :])
        if magic != _MAGIC or not hmac.compare_digest(mac, expected):
            return None
        match codec.unpack(view[_HEADER.size : _HEADER.size + head_size]):
            case {
                "names": tuple(names),
                "packs": int(packs),
                "segments": int(segments),
                "blobs": int(blobs),
                "buckets": int(buckets),
                "removed": int(removed),
            }:
                pass
            case _:
                return None
        sizes = (
            packs * PACK_ROW_SIZE,
            segments * SEGMENT_ROW.size,
            blobs * ID_SIZE,
            blobs * PLACE_ROW.size,
            (buckets + 1) * 4,
            removed * _REMOVED_ROW.size,
        )
        starts = []
        place = _aligned(_HEADER.size + head_size)
        for size in sizes:
            starts.append(place)
            place = _aligned(place + size)
        columns = [view[at : at + size] for at, size in zip(starts, sizes, strict=True)]
        run = Run(mapped, starts[2], columns[3], columns[4].cast("I"), blobs)
        table = Table.of_columns(columns[0], columns[1], run, _removed(columns[5]))
        return frozenset(map(str, names)), table

    def save(self, names: frozenset[str], table: Table) -> None:
        """Write the cache; a cache that cannot be written is only a slower next start."""
        try:
            self._save(names, table)
        except OSError as error:
            _log.warning("the index cache %s cannot be written: %s", self._path, error)

    def _save(self, names: frozenset[str], table: Table) -> None:
        table.flatten()
        run = table.base
        ids = memoryview(run.ids)[run.ids_at : run.ids_at + run.rows * ID_SIZE]
        removed = b"".join(
            _REMOVED_ROW.pack(
                bytes.fromhex(name[:64]), bytes.fromhex(name[65:]), _NO_NUMBER if at is None else at
            )
            for name, at in table.removed_rows()
        )
        head = codec.pack(
            {
                "blobs": run.rows,
                "buckets": len(run.first) - 1,
                "names": sorted(names),
                "packs": len(table.packs),
                "removed": len(removed) // _REMOVED_ROW.size,
                "segments": len(table.segments),
            }
        )
        parts: list[bytes | bytearray | memoryview] = [head, _padding(_HEADER.size + len(head))]
        columns = (
            table.packs.parts(),
            table.segments.parts(),
            (ids,),
            (run.places,),
            (memoryview(run.first).cast("B"),),
            (removed,),
        )
        for column in columns:
            parts += column
            parts.append(_padding(sum(len(part) for part in column)))
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=self._path.parent)
        try:
            with os.fdopen(handle, "w+b") as file:
                file.write(_HEADER.pack(_MAGIC, bytes(DIGEST_SIZE), len(head)))
                file.writelines(parts)
                file.flush()
                file.seek(len(_MAGIC))
                file.write(self._mac(file.fileno()))
            Path(temporary).replace(self._path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise

    def _mac(self, descriptor: int) -> bytes:
        """The MAC of what was written, which may be too long to be held once more."""
        mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        with mapped, memoryview(mapped) as whole, whole[8 + DIGEST_SIZE :] as body:
            return keyed(self._key, body)


def _removed(rows: memoryview) -> Iterator[tuple[PackName, int | None]]:
    for digest, session, number in _REMOVED_ROW.iter_unpack(rows):
        name = PackName(f"{digest.hex()}-{session.hex()}")
        yield name, None if number == _NO_NUMBER else number


def _aligned(place: int) -> int:
    return (place + 7) & ~7


def _padding(length: int) -> bytes:
    return bytes(-length % 8)

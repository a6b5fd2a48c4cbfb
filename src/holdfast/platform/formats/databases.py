"""SQLite databases, by SQLite's own check of them."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import quote_from_bytes

from holdfast.platform.formats.verdict import Broken, Unread

_BESIDE: Final = ("-wal", "-journal")
_PROBLEMS: Final = 5


def read_sqlite(path: Path, work: Path) -> None:
    """Run ``PRAGMA integrity_check``, without a change to the database.

    What a writer left beside it (a journal or a write-ahead log) belongs to it: then it is looked
    at as the next program would find it that opens it, in a copy.

    Args:
        path: the database.
        work: where a copy may be made.
    """
    beside = [Path(f"{path}{each}") for each in _BESIDE]
    if not any(each.is_file() and each.stat().st_size for each in beside):
        _check(path, "mode=ro&immutable=1")
        return
    with TemporaryDirectory(dir=work) as folder:
        copy = Path(folder) / "copy"
        try:
            shutil.copyfile(path, copy)
            for name, each in zip(_BESIDE, beside, strict=True):
                if each.is_file():
                    shutil.copyfile(each, f"{copy}{name}")
        except OSError as error:
            raise Unread(f"it cannot be copied: {error.strerror}") from error
        _check(copy, "mode=rw")


def _check(path: Path, how: str) -> None:
    uri = f"file:{quote_from_bytes(bytes(path))}?{how}"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            rows = database.execute(f"PRAGMA integrity_check({_PROBLEMS})").fetchall()
    except sqlite3.OperationalError as error:
        raise Unread(str(error)) from error
    except sqlite3.DatabaseError as error:
        raise Broken(str(error)) from error
    found = [str(row[0]) for row in rows]
    if found != ["ok"]:
        raise Broken("; ".join(found))

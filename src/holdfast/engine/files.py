"""Snapshots as files: a file system, and in one line the bytes or the table of a file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol, cast

from holdfast.engine.connection import Connection
from holdfast.errors import HoldfastError, UsageError
from holdfast.model.select import parse_spec

if TYPE_CHECKING:
    from pandas import DataFrame

    from holdfast.engine.snapshotfs import Errors
    from holdfast.engine.snapshotfs.filesystem import SnapshotFileSystem
    from holdfast.operations.restore import RestoreResult

_READERS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    ".csv": ("read_csv", {}),
    ".txt": ("read_csv", {}),
    ".tsv": ("read_csv", {"sep": "\t"}),
    ".json": ("read_json", {}),
    ".jsonl": ("read_json", {"lines": True}),
    ".ndjson": ("read_json", {"lines": True}),
    ".parquet": ("read_parquet", {}),
    ".pq": ("read_parquet", {}),
    ".feather": ("read_feather", {}),
    ".arrow": ("read_feather", {}),
    ".orc": ("read_orc", {}),
    ".xlsx": ("read_excel", {}),
    ".xls": ("read_excel", {}),
    ".ods": ("read_excel", {}),
}
"""What pandas reads by a file's suffix. Pickles are not among it: to read one is to run it."""

_COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
_TEXT = ("read_csv", "read_json")


class RestoreIncomplete(HoldfastError):  # noqa: N818 - named for what is wrong, as in errors.py
    """Not all that was asked for could be restored, so none of it is given.

    Attributes:
        result: what was done, and what could not be done.
    """

    def __init__(self, result: RestoreResult) -> None:
        first = result.errors[0]
        more = f" (and {result.errors_total - 1} more)" if result.errors_total > 1 else ""
        super().__init__(f"not all was restored: {first.path}: {first.message}{more}")
        self.result = result


class _TableReader(Protocol):
    def __call__(self, source: object, **options: object) -> DataFrame:
        """Read a table."""


class Files(Connection):
    """Files of snapshots, without a restore."""

    def fs(
        self, snapshot: str | None = None, *, errors: Errors = "raise", refresh: float = 5.0
    ) -> SnapshotFileSystem:
        """The repository as a file system of fsspec, which can only be read.

        Paths in it begin with a snapshot: ``latest``, ``ids/4f3a9c1e``, ``times/…``,
        ``hosts/…/…``, ``tags/…/…``, or any name of one. With a snapshot given they are paths in
        that one, whatever comes later.

        Args:
            snapshot: name of a snapshot, with ``:/path`` for a directory in it; None for all.
            errors: ``skip`` to read zeros where the repository is damaged.
            refresh: seconds after which the list of snapshots is read again.

        Raises:
            SnapshotNotFound, PathNotFound: it is not there.
            UsageError: it is no directory.
        """
        from holdfast.engine.snapshotfs.filesystem import SnapshotFileSystem

        return SnapshotFileSystem(self, snapshot, errors=errors, refresh=refresh)

    def read_bytes(self, name: str, *, errors: Errors = "raise") -> bytes:
        """All bytes of a file, such as ``latest:/data/sales.csv``; links are followed.

        Args:
            name: of a snapshot, with ``:/path`` of the file.
            errors: ``skip`` to read zeros where the repository is damaged.

        Raises:
            SnapshotNotFound, PathNotFound: it is not there.
            UsageError: it is no regular file.
            DamagedRepository: not all of it can be read.
        """
        from holdfast.engine.snapshotfs import View

        snapshot, path = parse_spec(name)
        with closing(View(self, snapshot)) as view:
            reader = view.reader(view.follow(os.fsencode(path)), errors)
            return reader.read_at(0, reader.size)

    def read_table(self, name: str, **options: object) -> DataFrame:
        """A file as a data frame of pandas, read as its suffix says.

        These are known: ``.csv``, ``.tsv``, ``.txt``, ``.json``, ``.jsonl``, ``.ndjson`` (all of
        them also with ``.gz``, ``.bz2``, ``.xz`` or ``.zst`` behind), ``.parquet`` and ``.pq``
        (also a directory of such files), ``.feather``, ``.arrow``, ``.orc``, ``.xlsx``, ``.xls``
        and ``.ods``.

        Args:
            name: of a snapshot, with ``:/path`` of the file.
            options: for the function of pandas that reads it, such as ``read_csv``.

        Raises:
            SnapshotNotFound, PathNotFound: it is not there.
            UsageError: pandas is not installed, or the suffix says nothing.
            DamagedRepository: not all of it can be read.
        """
        from holdfast.engine.snapshotfs.filesystem import SnapshotFileSystem

        snapshot, path = parse_spec(name)
        function, usual = _by_suffix(path)
        read = _of_pandas(function)
        fs = SnapshotFileSystem(self, snapshot)
        with closing(fs.view) as view:
            item = view.follow(os.fsencode(path))
            inside = os.fsdecode(item.path).lstrip("/")
            if function == "read_parquet":
                return read(inside, filesystem=fs, **{**usual, **options})
            with fs.open(inside) as file:
                return read(file, **{**usual, **options})

    @contextmanager
    def restored(
        self, name: str, *, directory: str | os.PathLike[str] | None = None
    ) -> Iterator[Path]:
        """A temporary directory into which a snapshot, or a part of it, is restored.

        ::

            with repo.restored("latest:/data") as folder:
                compare(folder / "sales.csv")

        Args:
            name: of a snapshot, with ``:/path`` for the contents of a directory, or one file.
            directory: where the temporary one is made; where temporary files are, when None.

        Raises:
            SnapshotNotFound, PathNotFound: it is not there.
            RestoreIncomplete: something could not be restored.
        """
        from holdfast.operations.restore import RestoreOptions, restore

        found, inner = self._named(name)
        with tempfile.TemporaryDirectory(prefix="holdfast-", dir=directory) as folder:
            with self._store.loader() as loader:
                result = restore(found.tree, inner, folder, loader, RestoreOptions())
            if result.errors:
                raise RestoreIncomplete(result)
            yield Path(folder)


def _by_suffix(path: str) -> tuple[str, Mapping[str, object]]:
    """The function of pandas for a path, and options for it."""
    suffixes = PurePosixPath(path.lower()).suffixes
    compression = _COMPRESSED.get(suffixes[-1]) if suffixes else None
    suffix = "".join(suffixes[:-1][-1:]) if compression else "".join(suffixes[-1:])
    function, usual = _READERS.get(suffix, ("", {}))
    if not function or (compression and function not in _TEXT):
        raise UsageError(
            f"{path}: its suffix does not say how to read it: open it by `fs`, and read it as "
            f"what it is; known are {', '.join(_READERS)}"
        )
    return function, ({**usual, "compression": compression} if compression else usual)


def _of_pandas(function: str) -> _TableReader:
    try:
        import pandas as pd
    except ImportError:
        raise UsageError("data frames take pandas: pip install 'holdfast[notebook]'") from None
    return cast("_TableReader", getattr(pd, function))

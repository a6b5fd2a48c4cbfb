"""Snapshots as a file system of the operating system, and over HTTP."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.engine.connection import Connection, PathLike
from holdfast.engine.password import PasswordCommand, find_password
from holdfast.engine.shielding import shielded
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.engine.snapshotfs.server import SnapshotServer
    from holdfast.store import Password


class Mounting(Connection):
    """Mounting snapshots, and serving them."""

    def mount(
        self,
        directory: PathLike,
        snapshot: str | None = None,
        *,
        allow_other: bool = False,
        on_ready: Callable[[], object] = lambda: None,
    ) -> None:
        """Mount snapshots by FUSE, and answer until they are unmounted.

        It returns after ``fusermount3 -u``, ``umount``, SIGINT, SIGTERM or SIGHUP; in another
        thread than the main one, after the first two only. This process must not look into the
        mount itself, where it may wait for itself forever: `mounted` is for that.

        Args:
            directory: an empty one.
            snapshot: name of a snapshot, with ``:/path`` for a directory in it. None for all: as
                ``ids/``, and as links to there ``latest``, ``times/``, ``hosts/`` and ``tags/``.
            allow_other: whether other users may look, as far as the modes of files allow it.
            on_ready: called when it is mounted, in another thread.

        Raises:
            SnapshotNotFound, PathNotFound: it is not there.
            UsageError: the directory makes no sense, or something is not installed or allowed.
        """
        from holdfast.engine.snapshotfs.mount import mount

        mount(self, directory, snapshot, allow_other=allow_other, on_ready=on_ready)

    @contextmanager
    def mounted(self, directory: PathLike, snapshot: str | None = None) -> Iterator[Path]:
        """Mount snapshots by FUSE as long as the context lasts; arguments as for `mount`.

        Another process answers, to which the repository's keys and the storage's options are
        handed through a pipe; so this one may look into the mount as it likes.

        Raises:
            SnapshotNotFound, PathNotFound, UsageError: as by `mount`. Also when only this process
                can use the storage, as that in memory.
        """
        from holdfast.engine.snapshotfs.mounter import mounted
        from holdfast.engine.snapshotfs.view import View

        name = None
        if snapshot is not None:
            found, inner = self._named(snapshot)
            name = f"{found.id}:{os.fsdecode(inner)}"
            View(self, name).close()  # what is wrong with it is told here
        with mounted(self, directory, name) as place:
            yield place

    @shielded
    def serve(  # noqa: PLR0913 - the public API's options
        self,
        host: str = "127.0.0.1",
        port: int = 8080,
        snapshot: str | None = None,
        *,
        user: str = "holdfast",
        password: Password | None = None,
        password_file: str | os.PathLike[str] | None = None,
        password_command: PasswordCommand | None = None,
    ) -> SnapshotServer:
        """A server that shows snapshots over HTTP: WebDAV, and pages for browsers.

        Call its `run`, or `start` for a thread that does; it is a context manager, and listens
        already. What it sends is not encrypted: let it listen at this machine only, or put a proxy
        with TLS before it.

        Args:
            host: where to listen; ``::`` or ``0.0.0.0`` for everywhere.
            port: likewise; 0 is any free one.
            snapshot: name of a snapshot, with ``:/path`` for a directory in it; None for all.
            user: who has the password.
            password: that it asks for. None with the next two to ask for none, which is refused
                unless it listens at this machine only.
            password_file: a file that holds it.
            password_command: a program that prints it.

        Raises:
            SnapshotNotFound, PathNotFound: it is not there.
            UsageError: an argument makes no sense, or it cannot listen there.
        """
        try:
            from holdfast.engine.snapshotfs.server import SnapshotServer
        except ImportError as error:
            raise UsageError(
                f"this takes the package {error.name}: pip install 'holdfast[serve]'"
            ) from None

        users: dict[str, str] = {}
        if any(each is not None for each in (password, password_file, password_command)):
            secret = find_password(password, password_file, password_command)
            try:
                users[user] = os.fsencode(secret).decode()
            except UnicodeDecodeError:  # no client could send it
                raise UsageError("the password that it asks for is no UTF-8") from None
        return SnapshotServer(self, (host, port), snapshot, users)

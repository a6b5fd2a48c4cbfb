"""The verb itself: a pass until all is confirmed, then one commit."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from holdfast.clock import Clock
from holdfast.errors import DamagedRepository, PathNotFound, SourceError, UsageError
from holdfast.filesystem import LocalSource, Owners
from holdfast.filesystem.remote import Disordered, RemoteSource
from holdfast.model.content import ContentBuilder
from holdfast.model.labels import Label, encode_label
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.path import printable
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Hold, Snapshot, encode_snapshot
from holdfast.model.snapshot import Problem as SnapshotProblem
from holdfast.model.tree import save_directory
from holdfast.model.walk import lookup
from holdfast.operations.backup.objects import ObjectPass
from holdfast.operations.backup.options import BackupOptions, BackupOutcome
from holdfast.operations.backup.tally import Tally
from holdfast.operations.backup.tree import TreePass
from holdfast.operations.ingest import Fill, Ingest, Unreadable
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress
from holdfast.store import Rehearsal, Writer

_log = logging.getLogger(__name__)

COMMIT_ATTEMPTS = 3
MAX_PATHS = 100_000
"""Most paths that one snapshot is a backup of."""
MAX_PATH_BYTES = 16 << 20


def backup_tree(  # noqa: PLR0913, PLR0917 - what a backup works with, bundled nowhere else
    source: LocalSource,
    writer: Writer | Rehearsal,
    ingest: Ingest,
    loader: BlobLoader,
    options: BackupOptions,
    clock: Clock,
    progress: Progress,
) -> BackupOutcome:
    """Back up local files and directories.

    Args:
        source: what to back up, not yet walked.
        writer: a session of the repository, or a rehearsal that stores nothing.
        ingest: cuts files for that writer.
        loader: reads the parent snapshot.
        options: what the snapshot says of itself.
        clock: for its times.
        progress: told of every directory.

    Raises:
        SourceError: nothing that was to be backed up exists.
        RepositoryError: no snapshot was made.
    """
    paths = checked_paths(source)
    start = clock.now_ns()

    def once() -> tuple[BlobId, Tally]:
        tree_pass = TreePass(writer, ingest, loader, options, progress)
        for problem in source.problems:
            tree_pass.tally.problem(problem)
        with source.walk() as walk:
            return tree_pass.run(walk), tree_pass.tally

    found = _confirmed(writer, once)
    return conclude(writer, loader, options, clock, found, (start, paths))


def checked_paths(source: LocalSource) -> tuple[str, ...]:
    """The paths that a snapshot of a local source is a backup of.

    Raises:
        SourceError: none of them exists.
        UsageError: a snapshot cannot name so many.
    """
    if not source.roots:
        missing = ", ".join(os.fsdecode(problem.path) for problem in source.problems)
        raise SourceError(f"nothing to back up: {missing} cannot be found or reached")
    if sum(map(len, source.roots)) > MAX_PATH_BYTES or len(source.roots) > MAX_PATHS:
        raise UsageError(
            f"{len(source.roots)} paths are more than a snapshot can name: back up a directory "
            "above them, and leave out the rest"
        )
    return tuple(os.fsdecode(root) for root in source.roots)


def conclude(
    writer: Writer | Rehearsal,
    loader: BlobLoader,
    options: BackupOptions,
    clock: Clock,
    found: tuple[BlobId, Tally],
    origin: tuple[int, tuple[str, ...]],
) -> BackupOutcome:
    """Make the snapshot of a local source, right after all of it was confirmed to be stored.

    Args:
        writer: as for `backup_tree`, and so are the others.
        loader: reads the parent snapshot.
        options: what the snapshot says of itself.
        clock: for its times.
        found: its root directory, and the counts of the pass that stored it.
        origin: when the backup began, and the paths that it is of.
    """
    tree, tally = found
    start, paths = origin
    snapshot = _snapshot(writer, tree, options, clock, (start, "local", paths))
    is_skipped = (
        options.skip_if_unchanged
        and isinstance(writer, Writer)
        and options.parent is not None
        and _is_same_source(options.parent, snapshot, loader)
    )
    return _commit(writer, snapshot, tally, options, is_skipped=is_skipped)


def backup_objects(  # noqa: PLR0913, PLR0917 - as for local files
    source: RemoteSource,
    writer: Writer | Rehearsal,
    ingest: Ingest,
    loader: BlobLoader,
    options: BackupOptions,
    clock: Clock,
    progress: Progress,
) -> BackupOutcome:
    """Back up a folder of a store; the arguments are as for `backup_tree`.

    Raises:
        SourceError: the store fails as a whole, or there is nothing to back up.
        RepositoryError, BackendError: the repository fails; no snapshot was made.
    """
    start = clock.now_ns()

    def once() -> tuple[BlobId, Tally]:
        object_pass = ObjectPass(source, writer, ingest, loader, options, progress)
        try:
            return object_pass.run(), object_pass.tally
        except Disordered:
            _log.info("%s does not list in order: listing folder by folder", source.uri)
            return once()

    tree, tally = _confirmed(writer, once)
    snapshot = _snapshot(writer, tree, options, clock, (start, "objects", (source.uri,)))
    before = options.parent
    is_skipped = (
        options.skip_if_unchanged
        and isinstance(writer, Writer)
        and before is not None
        and (before.paths, before.tree) == (snapshot.paths, tree)
    )
    return _commit(writer, snapshot, tally, options, is_skipped=is_skipped)


@dataclass(frozen=True, slots=True)
class StreamSource:
    """A stream that is backed up as one file.

    Attributes:
        path: absolute path that the file gets in the snapshot.
        kind: ``stream`` or ``command``.
        fill: reads it, see `holdfast.operations.ingest.Fill`.
        finish: called at its end; what it raises ends the backup without a snapshot.
    """

    path: bytes
    kind: str
    fill: Fill
    finish: Callable[[], None]


def backup_stream(
    source: StreamSource, writer: Writer, ingest: Ingest, options: BackupOptions, clock: Clock
) -> BackupOutcome:
    """Back up one stream as one file; the other arguments are as for `backup_tree`.

    Raises:
        SourceError: the stream failed.
        RepositoryError: no snapshot was made.
    """
    start = clock.now_ns()
    is_read = False

    def once() -> tuple[BlobId, Tally]:
        nonlocal is_read
        if is_read:
            raise DamagedRepository(
                "data/",
                "packs vanished during this backup",
                "a stream cannot be read twice: run the backup again",
            )
        is_read = True
        builder = ContentBuilder(writer)
        try:
            ingest.stream(source.fill, ("large", os.getuid()), builder)
        except Unreadable as error:
            name = os.fsdecode(source.path)
            raise SourceError(f"reading {name} failed: {error}") from error.error
        source.finish()
        size, content = builder.finish()
        tally = Tally(new=1, size=size, directories=source.path.count(b"/"))
        return _tree_of_one_file(source.path, size, content, start, writer), tally

    tree, tally = _confirmed(writer, once)
    origin = (start, source.kind, (os.fsdecode(source.path),))
    snapshot = _snapshot(writer, tree, options, clock, origin)
    return _commit(writer, snapshot, tally, options, is_skipped=False)


def _tree_of_one_file(
    path: bytes, size: int, content: Content | None, time: int, writer: Writer
) -> BlobId:
    owners = Owners()
    uid, gid = os.getuid(), os.getgid()
    names = (owners.user(uid), owners.group(gid))
    *parents, name = path.strip(b"/").split(b"/")
    node = Node(
        name, NodeType.FILE, 0o600, uid, gid, *names, time, time, 0, size, content, None, (), None
    )
    for parent in reversed(parents):
        tree = save_directory([node], writer)
        node = Node(
            parent, NodeType.DIRECTORY, 0o700, uid, gid, *names, time, time, 0, 0, tree, None, (),
            None,
        )  # fmt: skip
    return save_directory([node], writer)


def _confirmed(
    writer: Writer | Rehearsal, once: Callable[[], tuple[BlobId, Tally]]
) -> tuple[BlobId, Tally]:
    """Run a pass, again if packs that it built upon have gone meanwhile."""
    for _ in range(COMMIT_ATTEMPTS):
        tree, tally = once()
        writer.flush()
        if writer.confirm():
            return tree, tally
    raise DamagedRepository("data/", "packs keep vanishing during this backup")


def _snapshot(
    writer: Writer | Rehearsal,
    tree: BlobId,
    options: BackupOptions,
    clock: Clock,
    origin: tuple[int, str, tuple[str, ...]],
) -> Snapshot:
    start, kind, paths = origin
    return Snapshot(
        id=writer.id,
        tree=tree,
        time_ns=start if options.time_ns is None else options.time_ns,
        end_ns=clock.now_ns(),
        utc_offset=clock.utc_offset(),
        host=options.host,
        user=options.user,
        os=options.os,
        paths=paths,
        tags=options.tags,
        label=options.label,
        description=options.description,
        parent=options.parent.id if options.parent else None,
        program=options.program,
        how={
            "kind": kind,
            "started": start,
            "forced": options.force,
            "compression": writer.compression,
            "encryption": "AES-256-GCM",
        },
        excluded=options.excluded,
        group=options.group,
    )


def _is_same_source(before: Snapshot, after: Snapshot, loader: BlobLoader) -> bool:
    """Whether two snapshots have the same in all places that were to be backed up.

    The directories on the way to these are not looked at: they change without it being a matter
    of this backup, as ``/home`` does for a backup of ``/home/anna``.
    """
    if before.paths != after.paths:
        return False
    try:
        return before.tree == after.tree or all(
            lookup(before.tree, os.fsencode(path), loader)
            == lookup(after.tree, os.fsencode(path), loader)
            for path in after.paths
        )
    except (PathNotFound, DamagedRepository) as error:
        _log.info("cannot tell whether anything has changed: %s", error)
        return False


def _commit(
    writer: Writer | Rehearsal,
    snapshot: Snapshot,
    tally: Tally,
    options: BackupOptions,
    *,
    is_skipped: bool,
) -> BackupOutcome:
    snapshot = replace(
        snapshot,
        problems=tuple(
            SnapshotProblem(os.fsdecode(p.path), p.operation, p.message) for p in tally.problems
        ),
        problem_count=tally.problem_count,
        summary=tally.summary(writer),
    )
    if options.parent is not None:
        _warn_if_emptied(options.parent, snapshot)
    if not is_skipped:
        hold = options.hold
        held = () if hold is None else (_put_hold(writer, hold, snapshot),)
        id_ = writer.commit(encode_snapshot(snapshot))
        snapshot = replace(snapshot, id=id_, holds=held)
    return BackupOutcome(
        snapshot=snapshot,
        committed=not is_skipped and isinstance(writer, Writer),
        problems=tuple(tally.problems),
        problem_count=tally.problem_count,
    )


def _warn_if_emptied(before: Snapshot, after: Snapshot) -> None:
    """Say so if no file is left, as where nothing is mounted any more."""
    files = _files(before)
    if files and not _files(after) and before.paths == after.paths:
        first, *others = after.paths
        name = printable(os.fsencode(first)) + (" and others" if others else "")
        _log.warning("%s: no file is left; its last snapshot has %s", name, f"{files:,}")


def _files(snapshot: Snapshot) -> int:
    summary = snapshot.summary
    return summary.files_new + summary.files_changed + summary.files_unmodified


def _put_hold(writer: Writer | Rehearsal, hold: Hold, snapshot: Snapshot) -> Hold:
    """Hold a snapshot that is about to be: there is no moment at which it could be removed."""
    label = Label(time_ns=snapshot.end_ns, host=snapshot.host, user=snapshot.user, hold=hold)
    return replace(hold, id=writer.put_label(encode_label(label)))

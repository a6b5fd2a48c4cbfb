"""The verbs that mend a damaged repository, and those that look into its objects."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from holdfast.engine.connection import Connection
from holdfast.engine.origin import about_session, host_name, user_name
from holdfast.errors import UsageError
from holdfast.model.select import parse_spec
from holdfast.model.snapshot import is_snapshot_id
from holdfast.primitives.ids import BlobId, PackName
from holdfast.progress import Progress, ProgressCallback
from holdfast.store import is_exclusive

if TYPE_CHECKING:
    from holdfast.model.roles import BlobLoader
    from holdfast.operations.repair import IndexRepair, PackRepairs, SnapshotRepairs
    from holdfast.operations.sessions import AtWork


class Repairs(Connection):
    """Mending a damaged repository, and looking into its objects."""

    def repair_index(
        self, *, dry_run: bool = True, progress: ProgressCallback | None = None
    ) -> IndexRepair:
        """Tell the index of every pack that is there, and of nothing else.

        Index objects that cannot be read are deleted once others tell of all packs. Packs of
        sessions at work are left alone: those tell of them themselves.

        Args:
            dry_run: only find out what would be done.
            progress: called with `ProgressEvent`s.

        Raises:
            DamagedRepository: the storage does not list what it holds; nothing was changed.
            BackendError: the storage fails, or refuses.
        """
        from holdfast.operations.repair import repair_index

        store = self._store.afresh()
        known, _ = self._load_snapshots(store)
        told = Progress(progress, self._clock)
        return repair_index(store, known, told, dry_run=dry_run)

    def repair_packs(
        self,
        packs: Sequence[str] | None = None,
        *,
        source: Connection | None = None,
        dry_run: bool = True,
        progress: ProgressCallback | None = None,
    ) -> PackRepairs:
        """Store anew what can still be had of damaged and missing packs.

        What is not readable in them is looked for in other packs and in another repository. The
        damaged packs are condemned then, and the next prune deletes them.

        Args:
            packs: names of packs; when None all data is read to find those that are damaged.
            source: another repository, open, that was made with ``init(like=...)``.
            dry_run: only find out what would be done.
            progress: called with `ProgressEvent`s.

        Raises:
            UsageError: the other repository names blobs differently, or a name is that of no
                pack.
            BackendError: the storage fails, or refuses.
        """
        from holdfast.operations.repair import PackRepairOptions, repair_packs

        if source is not None and source._store.keys.dedup != self._store.keys.dedup:  # noqa: SLF001 - between two connections
            raise UsageError(
                f"{source.location} names blobs differently, so nothing can be taken from it: "
                "that takes a repository that was made with `init --like`"
            )
        store = self._store.afresh()
        known, _ = self._load_snapshots(store)
        told = Progress(progress, self._clock)
        if packs is None:
            problems = self._damaged_packs(told)  # which takes nearly all of the time
            told = Progress(None)
        else:
            problems = self._problems(packs)
        with ExitStack() as stack:
            loader: BlobLoader | None = None
            if source is not None:
                loader = stack.enter_context(source._store.loader())  # noqa: SLF001 - as above
            options = PackRepairOptions(
                about=about_session("repair"), dry_run=dry_run, source=loader
            )
            return repair_packs(store, problems, known, options, told)

    def _damaged_packs(self, progress: Progress) -> dict[PackName, str]:
        """All packs that are damaged or missing."""
        from holdfast.operations.check import CheckOptions, FindingKind, ReadData

        options = CheckOptions(read_data=ReadData.parse(True), full=True)
        report = self._checked(None, options, progress)
        return {
            PackName(finding.object.rpartition("/")[2]): finding.message
            for finding in report.errors
            if finding.kind in {FindingKind.PACK, FindingKind.MISSING_PACK}
            and finding.object.startswith("data/")
        }

    def _problems(self, packs: Sequence[str]) -> dict[PackName, str]:
        """Those of these packs that are damaged or missing."""
        table = self._store.catalog.refresh()
        listed = self._store.list_packs().packs
        found = {}
        for text in packs:
            name = PackName(text.rpartition("/")[2])
            if name not in listed and table.pack_number(name) is None:
                raise UsageError(f"{text}: there is no pack of that name, and the index knows none")
            damage = self._store.scrub_pack(name)
            if damage is not None:
                found[name] = damage.problem
        return found

    def repair_snapshots(
        self,
        snapshots: Sequence[str] | None = None,
        *,
        read_data: bool = False,
        dry_run: bool = True,
        progress: ProgressCallback | None = None,
    ) -> SnapshotRepairs:
        """Make new snapshots, without what is lost, of those of which something is lost.

        The old ones stay until somebody forgets them.

        Args:
            snapshots: names of those to look at; all when None.
            read_data: read all their data too, to find what is lost; otherwise only what is in
                missing and condemned packs, for `repair_packs` condemns those that are damaged.
            dry_run: only find out what would be done.
            progress: called with `ProgressEvent`s.

        Raises:
            SnapshotNotFound: there is no such snapshot.
            DamagedRepository: more turned out to be lost on the way; run it again.
            BackendError: the storage fails, or refuses.
        """
        from holdfast.operations.repair import (
            SnapshotRepairOptions,
            SnapshotRepairs,
            repair_snapshots,
        )

        store = self._store.afresh()
        known, damaged = self._load_snapshots(store)
        chosen = known if snapshots is None else self._chosen(snapshots, store)
        options = SnapshotRepairOptions(
            about=about_session("repair"),
            host=host_name(),
            user=user_name(),
            now_ns=self._clock.now_ns(),
            dry_run=dry_run,
            read_data=read_data,
        )
        found = repair_snapshots(store, chosen, known, options, Progress(progress, self._clock))
        return SnapshotRepairs(
            dry_run=dry_run,
            checked=len(chosen),
            snapshots=found,
            unreadable=tuple(error.object for error in damaged) if snapshots is None else (),
        )

    def sessions(self) -> AtWork:
        """Who is writing to the repository, and which reclaims wait for whom."""
        from holdfast.operations.sessions import at_work

        return at_work(self._store, self._clock.now_ns())

    def expire_session(self, session: str, *, no_other_writers: bool = False) -> bool:
        """Declare a session dead, so that nobody waits for it; it can make no snapshot any more.

        Args:
            session: its id, or the beginning of one.
            no_other_writers: the session is dead for certain; needed where the storage cannot
                create objects only if they are absent: there one that is alive might commit at
                this very moment, and its snapshot would be lost.

        Returns:
            Whether it is dead now; False when it had made its snapshot.

        Raises:
            UsageError: there is no such session, or `no_other_writers` is needed.
        """
        found = [each for each in self._store.sessions() if each.id.startswith(session)]
        if len(found) != 1 or not session:
            raise UsageError(
                f"{session}: {'several sessions begin' if found else 'no session begins'} so"
            )
        if not (no_other_writers or is_exclusive(self._store.backend)):
            raise UsageError(
                "this storage cannot create an object only if it is absent: if the session is "
                "alive after all and commits at this moment, its snapshot is lost. See to it that "
                "it is dead, and say so with --no-other-writers"
            )
        return self._store.expire_session(found[0], about_session("expire"))

    def cat(self, kind: str, name: str = "") -> dict[str, object] | bytes:
        """Look at one object, or at one blob; secrets are never shown.

        Args:
            kind: ``config``, ``key``, ``index``, ``snapshot``, ``forgotten``, ``label``,
                ``session``, ``reclaim``, ``epoch``, ``pack``, ``blob`` or ``tree``.
            name: its name or the beginning of it; the 64 digits of a blob; for a tree either
                these or the name of a snapshot, and ``:/path`` may follow.

        Returns:
            What it says, ready for JSON; of a blob its bytes.

        Raises:
            UsageError: none or several are of that name.
            SnapshotNotFound, PathNotFound: there is none.
            DamagedRepository: it is damaged.
        """
        from holdfast.operations.cat import KINDS, cat_object, cat_tree, parse_blob_id

        if kind not in KINDS:
            raise UsageError(f"there is no {kind!r} to look at: choose one of {', '.join(KINDS)}")
        if kind == "snapshot" and not is_snapshot_id(name):
            return cat_object(self._store, kind, self.snapshot(name).id)
        if kind not in {"blob", "tree"}:
            return cat_object(self._store, kind, name)
        with self._store.loader() as loader:
            if kind == "tree":
                return cat_tree(*self._tree(name), loader)
            blob = parse_blob_id(name)
            if blob is None:
                raise UsageError(f"{name}: a blob is named by 64 hexadecimal digits")
            return loader.load(blob)

    def _tree(self, name: str) -> tuple[BlobId, bytes]:
        from holdfast.operations.cat import parse_blob_id

        spec, path = parse_spec(name)
        tree = parse_blob_id(spec) or self.snapshot(spec).tree
        return tree, os.fsencode(path)

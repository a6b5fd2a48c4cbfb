"""The verbs by which an audit trail is pinned in the repository."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

from holdfast.engine.connection import Connection
from holdfast.engine.origin import host_name, user_name
from holdfast.errors import DamagedRepository, ObjectNotFound
from holdfast.present import LazyRows, lazy_rows_of
from holdfast.store import AuditAnchor, anchor_names, delete_anchor, put_anchor, read_anchor

_log = logging.getLogger(__name__)


class Anchoring(Connection):
    """Pinning how far audit trails have come."""

    def anchor_audit(
        self, trail: str, sequence: int, digest: str, *, place: str = ""
    ) -> AuditAnchor:
        """Put down how far an audit trail has come; it takes no permission to delete.

        Args:
            trail: its id, 32 hexadecimal digits.
            sequence: number of its last entry.
            digest: hash of that entry, 64 hexadecimal digits.
            place: where the trail is kept on this host.

        Raises:
            UsageError: there cannot be such a trail, entry or hash.
            AccessDenied: nothing may be stored.
            UnsupportedRepository: this version cannot write here, or the keys were changed since
                the repository was opened.
        """
        self._store.check_writable()  # whether the keys are current is seen behind the put
        anchor = AuditAnchor(
            name="",
            trail=trail,
            sequence=sequence,
            digest=digest,
            time_ns=self._clock.now_ns(),
            host=host_name(),
            user=user_name(),
            place=place,
        )
        return put_anchor(self._store.backend, self._store.keys, anchor)

    def audit_anchors(self, trail: str | None = None) -> LazyRows[AuditAnchor]:
        """The anchors of an audit trail or of all, those of the latest entries first.

        Each is read when it is asked for. One that is damaged is left out and logged; `check`
        names it.

        Args:
            trail: its id.
        """
        return lazy_rows_of(AuditAnchor, partial(self._anchors, trail), "Anchors of audit trails")

    def _anchors(self, trail: str | None) -> Iterator[AuditAnchor]:
        self._store.check_usable()
        for name in anchor_names(self._store.backend, trail):
            try:
                yield read_anchor(self._store.backend, self._store.keys, name)
            except ObjectNotFound:
                continue  # a newer one beside us took its place
            except DamagedRepository as error:
                _log.warning("%s", error)

    def drop_audit_anchor(self, anchor: AuditAnchor) -> None:
        """Remove an anchor, which a newer one of the same trail makes dispensable.

        Raises:
            AccessDenied: nothing may be deleted.
        """
        delete_anchor(self._store.backend, anchor.name)

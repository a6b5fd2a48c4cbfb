"""The verbs that manage who can open the repository: passwords, recovery key, rotation."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from holdfast.engine.connection import EXPIRE_AFTER, Connection
from holdfast.engine.origin import about_session, host_name, user_name
from holdfast.engine.password import PasswordCommand, find_password
from holdfast.engine.shielding import shielded
from holdfast.errors import UsageError
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, Rows, Tone, cells, columns, rows_of
from holdfast.primitives.kdf import KDF_PROFILES, KdfParams
from holdfast.store import (
    Keyring,
    Maker,
    Password,
    RecoveryKey,
    SessionInfo,
    Slot,
    begin_rotation,
    encode_recovery,
    finish_rotation,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key(Row):
    """A key slot: one password that opens the repository.

    Attributes:
        id: 32 hexadecimal digits.
        created_ns: when it was made, nanoseconds since the Unix epoch; 0 when that is not known.
        host, user: where and by whom.
        label: what it was called then.
        memory: KiB that a guess at the password takes, 0 when that is not known.
        passes: over that memory.
        lanes: of them at a time.
        in_use: whether the repository was opened with it.
        problem: why it opens nothing; "" when it is good.
    """

    id: str
    created_ns: int = 0
    host: str = ""
    user: str = ""
    label: str = ""
    memory: int = 0
    passes: int = 0
    lanes: int = 0
    in_use: bool = False
    problem: str = ""

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        *columns(
            id=Kind.ID,
            created=Kind.TIME,
            host=Kind.TEXT,
            user=Kind.TEXT,
            label=Kind.TEXT,
            memory=Kind.COUNT,
            passes=Kind.COUNT,
            lanes=Kind.COUNT,
            in_use=Kind.FLAG,
        ),
        Column("problem", Kind.TEXT, Tone.BAD),
    )

    @classmethod
    def of(cls, slot: Slot, used: str | None) -> Key:
        """From a slot, and the name of the one in use."""
        in_use = slot.name == used
        if slot.card is None:
            return cls(id=slot.id, in_use=in_use, problem=slot.problem)
        params = slot.card.params
        return cls(
            id=slot.id,
            created_ns=slot.card.created,
            host=slot.card.maker.host,
            user=slot.card.maker.user,
            label=slot.card.maker.label,
            memory=params.memory,
            passes=params.passes,
            lanes=params.lanes,
            in_use=in_use,
        )

    @property
    def created(self) -> datetime:
        """When it was made."""
        return datetime.fromtimestamp(self.created_ns // 1_000_000_000, UTC)

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "id": self.id,
            "created": self.created.isoformat() if self.created_ns else None,
            "host": self.host,
            "user": self.user,
            "label": self.label,
            "kdf": {"memory": self.memory, "passes": self.passes, "lanes": self.lanes},
            "in_use": self.in_use,
            "problem": self.problem,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        created = self.created if self.created_ns else None
        return (self.id, created, *cells(self, self._COLUMNS[2:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation(Row):
    """How far a rotation of the keys has come.

    Attributes:
        epoch: number of the keys that are in force.
        begun: whether this call put them into force.
        finished: whether nothing of older keys is accepted any more, packs excepted.
        waits_for: the writers that began with older keys and are waited for.
        reclaims: ids of prunes in progress, which have to end first.
        damaged: objects of older keys that cannot be opened and are in the way.
        resealed: number of objects that this call sealed anew.
        removed: ids of key slots that open nothing any more and were removed.
    """

    epoch: int
    begun: bool
    finished: bool
    waits_for: tuple[SessionInfo, ...] = ()
    reclaims: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    resealed: int = 0
    removed: tuple[str, ...] = ()

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        epoch=Kind.NUMBER,
        begun=Kind.FLAG,
        finished=Kind.FLAG,
        waits_for=Kind.TEXT,
        reclaims=Kind.TEXT,
        damaged=Kind.TEXT,
        resealed=Kind.COUNT,
        removed=Kind.TEXT,
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "epoch": self.epoch,
            "begun": self.begun,
            "finished": self.finished,
            "waits_for": [
                {"id": each.id, "kind": each.kind, "host": each.host, "user": each.user}
                for each in self.waits_for
            ],
            "reclaims": list(self.reclaims),
            "damaged": list(self.damaged),
            "resealed": self.resealed,
            "removed": list(self.removed),
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        waits = (f"{each.kind} of {each.user} on {each.host}" for each in self.waits_for)
        return (
            self.epoch,
            self.begun,
            self.finished,
            ", ".join(waits),
            ", ".join(self.reclaims),
            ", ".join(self.damaged),
            self.resealed,
            ", ".join(self.removed),
        )

    @override
    def _caption(self) -> str:
        return "Rotation of the keys"


class KeyManagement(Connection):
    """Who can open the repository: adding, listing, removing and changing passwords."""

    def keys(self) -> Rows[Key]:
        """The key slots, oldest first; those that open nothing have a `problem` and come last."""
        used = self._store.slot
        found = [Key.of(slot, used) for slot in self._keyring().slots()]
        found.sort(key=lambda key: (bool(key.problem), key.created_ns, key.id))
        return rows_of(Key, found, "Keys")

    @shielded
    def add_key(
        self,
        password: Password | None = None,
        *,
        password_file: str | os.PathLike[str] | None = None,
        password_command: PasswordCommand | None = None,
        label: str = "",
        kdf: str | None = None,
    ) -> Key:
        """Let one more password open the repository.

        It is read back and opened before this returns. A password that opens it already is given
        as it is.

        Args:
            password: the new password; give this or one of the next two.
            password_file: a file that holds it.
            password_command: a program that prints it.
            label: what to call it in lists; everybody who can open the repository sees it.
            kdf: the price of a guess, as for `init`; that of the password in use when None.

        Raises:
            UsageError: no password is given, or it makes no sense.
            UnsupportedRepository: the keys were changed since the repository was opened.
        """
        secret = find_password(password, password_file, password_command)
        slot = self._keyring().add(secret, _params(kdf), label)
        return Key.of(slot, self._store.slot)

    def remove_key(self, key: str) -> Key:
        """Let a password open the repository no more; returns what was removed.

        Whoever has copied the keys with it still has them: see `rotate_keys`.

        Args:
            key: its id, or the beginning of it.

        Raises:
            UsageError: there is none or several of that id, or it is the last one.
        """
        ring = self._keyring()
        slot = ring.find(key)
        found = Key.of(slot, self._store.slot)
        ring.remove(slot)
        return found

    @shielded
    def change_password(
        self,
        password: Password | None = None,
        *,
        password_file: str | os.PathLike[str] | None = None,
        password_command: PasswordCommand | None = None,
        kdf: str | None = None,
    ) -> Key:
        """Put another password in the place of the one that the repository was opened with.

        The new one is read back and opened before the old one is removed.

        Args:
            password: the new password; give this or one of the next two.
            password_file: a file that holds it.
            password_command: a program that prints it.
            kdf: the price of a guess, as for `init`; that of the old password when None.

        Raises:
            UsageError: no password is given, or the repository was opened with a recovery key.
            UnsupportedRepository: the keys were changed since the repository was opened.
        """
        secret = find_password(password, password_file, password_command)
        slot = self._keyring().change(secret, _params(kdf))
        return Key.of(slot, self._store.slot)

    @shielded
    def recovery_key(self) -> str:
        """All that opens the repository, as text that can be printed and typed.

        It opens the repository without a password, also when every key slot and the config are
        lost: see `holdfast.open`. A rotation of the keys makes it useless.

        Raises:
            UnsupportedRepository: the keys were changed since the repository was opened.
        """
        store = self._store
        store.check_usable()
        if store.has_config:
            store.check_current()
        return encode_recovery(RecoveryKey(store.keys, store.settings, store.now_ns()))

    @shielded
    def restore_access(
        self,
        password: Password | None = None,
        *,
        password_file: str | os.PathLike[str] | None = None,
        password_command: PasswordCommand | None = None,
        label: str = "",
        kdf: str | None = None,
    ) -> Key:
        """Put back what is lost of the config and of older keys, and add a password.

        For a repository that was opened with a recovery key. Arguments and errors are those of
        `add_key`.
        """
        secret = find_password(password, password_file, password_command)
        self._store = self._keyring().restore()
        slot = self._keyring().add(secret, _params(kdf), label)
        return Key.of(slot, self._store.slot)

    @shielded
    def rotate_keys(  # noqa: PLR0913 - the public API's options
        self,
        password: Password | None = None,
        *,
        password_file: str | os.PathLike[str] | None = None,
        password_command: PasswordCommand | None = None,
        others: Sequence[Password] = (),
        drop_others: bool = False,
        kdf: str | None = None,
        wait: bool = False,
        expire_after: float = EXPIRE_AFTER,
    ) -> Rotation:
        """Seal everything from now on with new keys, which whoever has the old ones has not.

        Afterwards only the given passwords open the repository, and recovery keys of before do
        not. Packs stay as they are and are written anew as prune gets to them. If a rotation that
        was interrupted is not finished yet, that is done and nothing else.

        Args:
            password: opens the repository from now on; it may be the one in use. Give this or
                one of the next two.
            password_file: a file that holds it.
            password_command: a program that prints it.
            others: more passwords that are to open it.
            drop_others: whether passwords that are not given may stop to open it; they are
                counted before anything is done.
            kdf: the price of a guess, as for `init`; that of the password in use when None.
            wait: until the writers that began with the old keys are over. Without it the result
                says whom it takes, and `finish_rotation` goes on.
            expire_after: seconds without a sign of life after which one of them is declared
                dead; its backup then fails and loses nothing.

        Raises:
            UsageError: other passwords would stop to open it, or an argument makes no sense.
            UnsupportedRepository: another client changes the keys at the same time.
        """
        secret = find_password(password, password_file, password_command)
        more = (others,) if isinstance(others, str | bytes) else others
        secrets = (secret, *(find_password(each) for each in more))
        params = _params(kdf)
        _check_expiry(expire_after)
        begun = self._store.keys.oldest == self._store.keys.epoch
        if begun:
            self._store = begin_rotation(
                self._store, secrets, params, _maker(), drop_others=drop_others
            )
        return self._finish(begun=begun, wait=wait, expire_after=expire_after)

    def finish_rotation(
        self, *, wait: bool = False, expire_after: float = EXPIRE_AFTER
    ) -> Rotation:
        """Go on with a rotation of the keys that had to wait or was interrupted.

        Arguments and result are those of `rotate_keys`.
        """
        return self._finish(begun=False, wait=wait, expire_after=expire_after)

    def _finish(self, *, begun: bool, wait: bool, expire_after: float) -> Rotation:
        _check_expiry(expire_after)
        about = about_session("rotate")
        done = finish_rotation(self._store, about, wait=wait, expire_after=expire_after)
        self._store = done.store
        return Rotation(
            epoch=done.store.keys.epoch,
            begun=begun,
            finished=done.finished,
            waits_for=done.sessions,
            reclaims=tuple(name.removeprefix("gc/") for name in done.reclaims),
            damaged=done.damaged,
            resealed=done.resealed,
            removed=done.removed,
        )

    def _keyring(self) -> Keyring:
        self._store.check_usable()
        return Keyring(self._store, _maker())


def _maker() -> Maker:
    return Maker(host_name(), user_name())


def _check_expiry(seconds: float) -> None:
    if not 0 <= seconds < math.inf:
        raise UsageError(f"seconds of silence are finite and not negative: {seconds}")


def _params(kdf: str | None) -> KdfParams | None:
    if kdf is None:
        return None
    if kdf not in KDF_PROFILES:
        raise UsageError(f"unknown key derivation {kdf!r}: choose {' or '.join(KDF_PROFILES)}")
    return KDF_PROFILES[kdf]

"""The masters of older epochs, each sealed under the next (docs/format.md, "Epochs")."""

from __future__ import annotations

import logging
from functools import partial

from holdfast.backend import Backend
from holdfast.errors import DamagedRepository, ObjectNotFound
from holdfast.primitives import codec
from holdfast.primitives.crypto import KEY_SIZE
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.keys import Keys, epoch_object
from holdfast.store.objects import KeysRotated, read_object

_log = logging.getLogger(__name__)


def encode_epoch(keys: Keys) -> bytes:
    """The object that holds the master of the epoch before that of these keys, which know it."""
    before = keys.epoch - 1
    record = codec.pack({"epoch": before, "master": keys.older[before]})
    return seal_object(ObjectType.EPOCH, keys, epoch_object(keys), record)


def decode_epoch(keys: Keys, name: str, data: bytes) -> bytes:
    """The master of the epoch before that of these keys.

    Raises:
        DamagedRepository: damaged, forged, or of another epoch.
    """
    try:
        record = codec.unpack(open_object(ObjectType.EPOCH, keys, name, data))
    except ValueError as error:
        raise DamagedRepository(name, str(error)) from None
    match record:
        case {"epoch": int(epoch), "master": bytes(master)} if (
            epoch == keys.epoch - 1 and len(master) == KEY_SIZE
        ):
            return master
        case _:
            raise DamagedRepository(name, "it does not hold the keys of the epoch before")


def load_older(backend: Backend, keys: Keys) -> dict[int, bytes]:
    """The masters of older epochs, as far back as they can be read; what cannot is a warning."""
    older: dict[int, bytes] = {}
    for epoch in range(keys.epoch - 1, -1, -1):
        master = older.get(epoch + 1, keys.master)
        after = Keys(keys.repository, epoch + 1, keys.dedup, master, config=keys.config)
        name = epoch_object(after)
        try:
            older[epoch] = read_object(backend, name, partial(decode_epoch, after))
        except (DamagedRepository, ObjectNotFound, KeysRotated) as error:
            # No rotation replaces what has this name: whatever its header says, it is damaged.
            problem = "damaged" if isinstance(error, KeysRotated) else error.problem
            if epoch in keys.older:
                _log.warning("%s: %s; the recovery key has it", name, problem)
                older[epoch] = keys.older[epoch]
                continue
            _log.warning(
                "%s: %s; packs of epoch %d and before cannot be read",
                name, problem, epoch,
            )  # fmt: skip
            break
    return older

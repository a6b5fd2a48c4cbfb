"""The content-addressed store: turns ids into bytes, and knows nothing of files.

Write order: packs, index objects, snapshot (the one commit). Read order is the reverse. The
store is entered here; its modules are nobody else's business.
"""

from __future__ import annotations

from holdfast.store.blobset import BlobSet
from holdfast.store.config import MAX_PACK_SIZE, MIN_PACK_SIZE, Settings
from holdfast.store.keys import Password
from holdfast.store.loader import Loader
from holdfast.store.rehearsal import Rehearsal
from holdfast.store.scrub import Damage
from holdfast.store.store import Store, create_store, open_store
from holdfast.store.writer import Group, Writer

__all__ = [
    "MAX_PACK_SIZE",
    "MIN_PACK_SIZE",
    "BlobSet",
    "Damage",
    "Group",
    "Loader",
    "Password",
    "Rehearsal",
    "Settings",
    "Store",
    "Writer",
    "create_store",
    "open_store",
]

"""The content-addressed store: turns ids into bytes, and knows nothing of files.

Write order: packs, index objects, snapshot (the one commit). Read order is the reverse. The
store is entered here; its modules are nobody else's business.
"""

from __future__ import annotations

from holdfast.store.anchors import (
    AuditAnchor,
    anchor_names,
    delete_anchor,
    put_anchor,
    read_anchor,
)
from holdfast.store.blobset import BlobSet
from holdfast.store.config import MAX_PACK_SIZE, MIN_PACK_SIZE, Settings
from holdfast.store.described import describe, describe_pack, find_objects
from holdfast.store.filler import Group
from holdfast.store.forgotten import Forgotten
from holdfast.store.handover import hand_over, take_over
from holdfast.store.index import PackRow
from holdfast.store.keyring import Keyring, Slot
from holdfast.store.keys import Password
from holdfast.store.loader import Loader
from holdfast.store.marks import Marks
from holdfast.store.metadata import METADATA_LIMIT, CacheFolder
from holdfast.store.objects import is_exclusive, newest_config
from holdfast.store.opening import create_store, open_recovered, open_store
from holdfast.store.outpost import Deposit, Order, Outpost
from holdfast.store.pack import Kind, PackInfo, blob_key
from holdfast.store.reclaim import RECLAIM, Drain, Reclaim
from holdfast.store.recovery import RecoveryKey, decode_recovery, encode_recovery
from holdfast.store.rehearsal import Rehearsal
from holdfast.store.reindex import IndexSurvey
from holdfast.store.rotation import Rotated, begin_rotation, finish_rotation
from holdfast.store.salvage import Account, Salvaged, indexed
from holdfast.store.scrub import Damage
from holdfast.store.segments import Plan, PlanReader
from holdfast.store.sessions import ReclaimInfo, SessionInfo
from holdfast.store.shares import Rest, Shares, StoredObjects, stored_objects
from holdfast.store.slots import Maker
from holdfast.store.store import Store
from holdfast.store.table import Location, Table
from holdfast.store.tasks import ScrubTask, StoreAccess, scrub_packs, store_access
from holdfast.store.writer import Writer

__all__ = [
    "MAX_PACK_SIZE",
    "METADATA_LIMIT",
    "MIN_PACK_SIZE",
    "RECLAIM",
    "Account",
    "AuditAnchor",
    "BlobSet",
    "CacheFolder",
    "Damage",
    "Deposit",
    "Drain",
    "Forgotten",
    "Group",
    "IndexSurvey",
    "Keyring",
    "Kind",
    "Loader",
    "Location",
    "Maker",
    "Marks",
    "Order",
    "Outpost",
    "PackInfo",
    "PackRow",
    "Password",
    "Plan",
    "PlanReader",
    "Reclaim",
    "ReclaimInfo",
    "RecoveryKey",
    "Rehearsal",
    "Rest",
    "Rotated",
    "Salvaged",
    "ScrubTask",
    "SessionInfo",
    "Settings",
    "Shares",
    "Slot",
    "Store",
    "StoreAccess",
    "StoredObjects",
    "Table",
    "Writer",
    "anchor_names",
    "begin_rotation",
    "blob_key",
    "create_store",
    "decode_recovery",
    "delete_anchor",
    "describe",
    "describe_pack",
    "encode_recovery",
    "find_objects",
    "finish_rotation",
    "hand_over",
    "indexed",
    "is_exclusive",
    "newest_config",
    "open_recovered",
    "open_store",
    "put_anchor",
    "read_anchor",
    "scrub_packs",
    "store_access",
    "stored_objects",
    "take_over",
]

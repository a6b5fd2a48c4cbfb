"""Copying by the processes of an executor, on this machine or on others.

They read blobs of files and store them in the target, as outposts of the copy's session. The copy
itself comes after them, as it would without: it finds stored what they stored, does itself what
they did not, and nothing rests on what they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import Final, NamedTuple

from holdfast.model.content import iter_items
from holdfast.model.node import NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, file_content
from holdfast.operations.carry import BlobKeeper, Seen
from holdfast.operations.copy.known import KnownIds
from holdfast.operations.ingest import Group, owner_group
from holdfast.operations.spread import spread
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress
from holdfast.store import Deposit, Loader, Order, Outpost, Plan, PlanReader, StoreAccess, Writer

SHARE: Final = 64 << 20
"""Bytes of blobs that one task is about, and how many at most."""
_BLOBS: Final = 4096
PACKS: Final = 4
"""Packs that a task fills at least, where these are so large that it is about more."""


class Missing(NamedTuple):
    """A blob of a file that the target seems not to have.

    Attributes:
        blob: its id in the source.
        length: in bytes.
        group: what it may share a segment with.
    """

    blob: BlobId
    length: int
    group: Group


@dataclass(frozen=True, slots=True)
class Load:
    """Blobs that are to be stored.

    Attributes:
        source: where they are.
        order: what they are stored by.
        blobs: they.
        plan: where they are in the source.
    """

    source: StoreAccess
    order: Order
    blobs: tuple[Missing, ...]
    plan: Plan


class Unloaded(NamedTuple):
    """What has come of a load.

    Attributes:
        deposit: what was stored.
        ids: of each blob, its id in the target; None when it could not be read where it should be.
    """

    deposit: Deposit
    ids: list[BlobId | None]


def store_blobs(load: Load) -> Unloaded:
    """Store blobs.

    Raises:
        BackendError: the target fails.
    """
    ids: list[BlobId | None] = [None] * len(load.blobs)
    keys = load.source.opened_keys()
    with (
        closing(load.source.open()) as backend,
        closing(PlanReader(backend, keys, ahead=True)) as reader,
        Outpost(load.order) as outpost,
    ):
        for number, content in reader.read(load.plan, [each.blob for each in load.blobs]):
            blob = load.blobs[number]
            # One of another length than its entry says is for the copy itself to refuse.
            if content is not None and len(content) == blob.length:
                ids[number] = outpost.save_data(content, blob.group)
        return Unloaded(outpost.finish(), ids)


def hand_over(
    executor: Executor,
    missing: Iterable[Missing],
    source: Loader,
    writer: Writer,
    known: KnownIds | None,
    progress: Progress,
) -> None:
    """Have blobs stored that a copy will need.

    Args:
        executor: whose processes do it.
        missing: the blobs, each once.
        source: knows where they are.
        writer: the copy's session.
        known: gets their new ids, where they have others in the target.
        progress: told of their bytes.

    Raises:
        HoldfastError: a process could not use the target.
        UsageError: only this process can use one of the two storages.
    """
    access, order = source.store_access(), writer.order()
    size = max(SHARE, PACKS * order.pack_size)

    def loads() -> Iterator[Load]:
        for blobs in _shares(missing, size):
            progress.expect(0, sum(each.length for each in blobs))
            yield Load(access, order, blobs, source.plan([each.blob for each in blobs]))

    for load, unloaded in spread(executor, store_blobs, loads()):
        writer.adopt(unloaded.deposit)
        for each, there in zip(load.blobs, unloaded.ids, strict=True):
            if known is not None and there is not None:
                known.put(each.blob, there)
        progress.advance(0, sum(each.length for each in load.blobs))


def missing_blobs(
    tree: BlobId, loader: BlobLoader, keeper: BlobKeeper, seen: Seen
) -> Iterator[Missing]:
    """Give what a tree needs of files' blobs, and a repository lacks that names blobs alike.

    Args:
        tree: the root.
        loader: where it is.
        keeper: a session's writer.
        seen: blobs that were given or are not missing; added to.

    Raises:
        DamagedRepository: a tree, or a list of blobs, is lost.
    """
    pending = [tree]
    while pending:
        directory = pending.pop()
        if not seen.add(directory):
            continue
        for node in load_directory(directory, loader):
            if node.type == NodeType.DIRECTORY:
                pending.append(directory_tree(node))
            elif node.type == NodeType.FILE:
                group = owner_group(node)
                for _, item in iter_items(file_content(node), node.size, loader):
                    if isinstance(item, tuple) and seen.add(item[0]) and not keeper.has(item[:1]):
                        yield Missing(*item, group)


def _shares(missing: Iterable[Missing], size: int) -> Iterator[tuple[Missing, ...]]:
    """Blobs, in groups of about so many bytes for one task each."""
    share: list[Missing] = []
    held = 0
    for each in missing:
        share.append(each)
        held += each.length
        if held >= size or len(share) >= _BLOBS:
            yield tuple(share)
            share, held = [], 0
    if share:
        yield tuple(share)

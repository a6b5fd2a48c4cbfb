"""Labels: what a snapshot is given after it was made, and what that comes to.

A snapshot never changes; every tag, hold and note that comes later is a label, an object of its
own (docs/format.md, F52). What all of them come to does not depend on the order in which they are
read. Wire form: a msgpack map with these keys, all of them always there.

================ =====================================================================
``time``         when it was made, ns since the Unix epoch
``host``, ``user``  where and by whom
``counter``      one more than the highest that its writer saw for the snapshot, from 1
``add``, ``remove``  arrays of str: tags
``hold``         map of ``reason`` (str) and ``until`` (ns or nil); or nil
``release``      array of str: names of the labels whose holds end
``note``         str or nil
================ =====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from holdfast.errors import DamagedRepository, UsageError
from holdfast.model.record import FIRST_TIME, LAST_TIME, Fields, Record
from holdfast.model.snapshot import Hold, Snapshot, is_snapshot_id
from holdfast.primitives import codec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_COUNTER = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One change of what a snapshot is labelled with.

    Attributes:
        time_ns: when it was made.
        host, user: where and by whom.
        counter: orders the labels of a snapshot.
        add: tags that it gets; those it has stay where they are.
        remove: tags that it loses, before it gets others.
        hold: keeps it from being removed.
        release: names of the labels whose holds end.
        note: a text.
    """

    time_ns: int
    host: str
    user: str
    counter: int = 1
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    hold: Hold | None = None
    release: tuple[str, ...] = ()
    note: str | None = None


def encode_label(label: Label) -> bytes:
    """A label's record."""
    hold = label.hold and {"reason": label.hold.reason, "until": label.hold.until_ns}
    record: Record = {
        "time": label.time_ns,
        "host": label.host,
        "user": label.user,
        "counter": label.counter,
        "add": label.add,
        "remove": label.remove,
        "hold": hold,
        "release": label.release,
        "note": label.note,
    }
    return codec.pack(record)


def decode_label(name: str, data: bytes) -> Label:
    """The label in the object of that name, from its record.

    Raises:
        DamagedRepository: the record is not well-formed.
    """
    try:
        return _decode(data)
    except ValueError as error:
        raise DamagedRepository(name, str(error)) from None


def _decode(data: bytes) -> Label:
    record = Fields(codec.unpack(data))
    release = record.many("release", str)
    if not all(map(is_snapshot_id, release)):  # the names of labels look as ids do
        raise ValueError("`release` names what is no label")
    return Label(
        time_ns=record.number("time", FIRST_TIME, LAST_TIME),
        host=record.text("host"),
        user=record.text("user"),
        counter=record.number("counter", 1, _LAST_COUNTER),
        add=record.many("add", str),
        remove=record.many("remove", str),
        hold=_hold(record.take("hold")),
        release=release,
        note=record.optional_text("note"),
    )


def _hold(value: object) -> Hold | None:
    if value is None:
        return None
    record = Fields(value)
    reason = record.text("reason")
    if record.rest.get("until", 0) is None:
        return Hold(reason)
    return Hold(reason, record.number("until", FIRST_TIME, LAST_TIME))


def new_hold(reason: str, until: datetime | None, now_ns: int) -> Hold:
    """A hold from what a user says.

    Args:
        reason: why.
        until: until when; in the local zone unless it is aware; None is until it is released.
        now_ns: what time it is.

    Raises:
        UsageError: that time is over already, or beyond what can be stored (the year 2262).
    """
    if until is None:
        return Hold(reason)
    try:
        until_ns = (until.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000
    except (ValueError, OverflowError, OSError):
        until_ns = LAST_TIME + 1
    if not now_ns < until_ns <= LAST_TIME:
        raise UsageError(f"{until}: a hold cannot end in the past, nor after the year 2261")
    return Hold(reason, until_ns)


def labelled(snapshot: Snapshot, labels: Mapping[str, Label | None], now_ns: int) -> Snapshot:
    """A snapshot with the tags, holds and notes that it has by its labels.

    Args:
        snapshot: as its record has it.
        labels: by their names, in any order; None is one that cannot be read. Such a one may be a
            hold, so it counts as one.
        now_ns: what time it is; holds that are over by then are left out.
    """
    known = sorted(
        ((name, label) for name, label in labels.items() if label is not None),
        key=lambda item: (item[1].counter, item[0]),
    )
    tags = dict.fromkeys(snapshot.tags)
    holds = []
    for name, label in known:
        for tag in label.remove:
            tags.pop(tag, None)
        tags |= dict.fromkeys(label.add)
        if label.hold is not None:
            holds.append(replace(label.hold, id=name))
    holds += [Hold(_UNREADABLE, id=name) for name in sorted(labels) if labels[name] is None]
    released = {name for _, label in known for name in label.release}
    return replace(
        snapshot,
        tags=tuple(tags),
        holds=tuple(
            hold
            for hold in holds
            if hold.id not in released and (hold.until_ns is None or hold.until_ns > now_ns)
        ),
        notes=tuple(label.note for _, label in known if label.note is not None),
    )


_UNREADABLE = "a damaged label may be a hold"


def next_counter(labels: Mapping[str, Label | None]) -> int:
    """The counter of a snapshot's next label."""
    return 1 + max((label.counter for label in labels.values() if label is not None), default=0)


def carried(snapshot: Snapshot, time_ns: int, host: str, user: str) -> list[Label]:
    """The labels that a new snapshot needs, made from another one, to be held and noted alike.

    Tags need none: the new snapshot's record has those that the old one came to.

    Args:
        snapshot: the other one, with its labels applied.
        time_ns: when the new labels are made.
        host: where.
        user: by whom.
    """
    base = Label(time_ns=time_ns, host=host, user=user)
    holds = [replace(base, hold=replace(hold, id="")) for hold in snapshot.holds]
    return holds + [
        replace(base, note=note, counter=counter)
        for counter, note in enumerate(snapshot.notes, start=1)
    ]

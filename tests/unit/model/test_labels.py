"""Labels: what they look like on the wire, and what several of them come to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.errors import DamagedRepository, UsageError
from holdfast.model.labels import (
    Label,
    carried,
    decode_label,
    encode_label,
    labelled,
    new_hold,
    next_counter,
)
from holdfast.model.snapshot import Hold, Snapshot
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId
from holdfast.testing.layouts import snapshot_of

NOW = 1_800_000_000 * 10**9
A, B, C, D = ("a" * 32, "b" * 32, "c" * 32, "d" * 32)
FULL = Label(
    time_ns=NOW,
    host="höst",
    user="anna",
    counter=7,
    add=("x", "y z"),
    remove=("w",),
    hold=Hold("court order", NOW + 1),
    release=(A, B),
    note="two\nlines",
)


def label(counter: int = 1, **fields: object) -> Label:
    return replace(Label(time_ns=NOW, host="host", user="user", counter=counter), **fields)  # type: ignore[arg-type]  # the fields of a label


def tagged(*tags: str) -> Snapshot:
    return replace(snapshot_of(BlobId(bytes(32))), tags=tags)


def test_a_label_comes_back() -> None:
    assert decode_label("labels/x", encode_label(FULL)) == FULL


@pytest.mark.parametrize("hold", [None, Hold(), Hold("why"), Hold("", -5)])
def test_every_kind_of_hold_comes_back(hold: Hold | None) -> None:
    plain = label(hold=hold)
    assert decode_label("labels/x", encode_label(plain)) == plain


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time", "1"),
        ("time", 1 << 63),
        ("host", None),
        ("user", b"anna"),
        ("counter", 0),
        ("counter", True),
        ("add", "x"),
        ("add", [1]),
        ("remove", None),
        ("hold", "why"),
        ("hold", {"reason": "why"}),
        ("hold", {"reason": None, "until": None}),
        ("hold", {"reason": "", "until": "2030"}),
        ("release", [A, "B" * 32]),
        ("note", 1),
    ],
)
def test_a_malformed_label_is_refused_by_its_name(field: str, value: object) -> None:
    record = codec.unpack(encode_label(FULL))
    assert isinstance(record, dict)
    with pytest.raises(DamagedRepository) as caught:
        decode_label("labels/x", codec.pack(record | {field: value}))
    assert caught.value.object == "labels/x"
    with pytest.raises(DamagedRepository):
        decode_label("labels/x", codec.pack({key: record[key] for key in record if key != field}))


@pytest.mark.parametrize("data", [b"", b"\x01", codec.pack([1]), encode_label(FULL) + b"\0"])
def test_what_is_no_map_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedRepository):
        decode_label("labels/x", data)


def test_later_fields_are_ignored() -> None:
    record = codec.unpack(encode_label(FULL))
    assert isinstance(record, dict)
    assert decode_label("labels/x", codec.pack(record | {"later": 1})) == FULL


def test_tags_come_and_go_in_the_order_of_the_counters() -> None:
    labels = {
        A: label(3, add=("new",)),
        B: label(2, remove=("old", "new")),
        C: label(1, add=("new", "old")),
    }
    assert labelled(tagged("old", "stays"), labels, NOW).tags == ("stays", "new")


def test_of_equal_counters_the_name_decides() -> None:
    labels = {B: label(1, add=("x",)), A: label(1, remove=("x",))}
    assert labelled(tagged(), labels, NOW).tags == ("x",)
    labels = {A: label(1, add=("x",)), B: label(1, remove=("x",))}
    assert labelled(tagged(), labels, NOW).tags == ()


def test_a_tag_that_is_there_stays_in_its_place() -> None:
    assert labelled(tagged("x", "y"), {A: label(add=("x", "z"))}, NOW).tags == ("x", "y", "z")


def test_within_a_label_tags_go_before_others_come() -> None:
    assert labelled(tagged("x", "y"), {A: label(add=("x",), remove=("x",))}, NOW).tags == ("y", "x")


def test_a_hold_lasts_until_its_time() -> None:
    labels = {A: label(hold=Hold("why", NOW + 1))}
    assert labelled(tagged(), labels, NOW).holds == (Hold("why", NOW + 1, A),)
    assert labelled(tagged(), labels, NOW + 1).holds == ()


def test_a_hold_lasts_until_it_is_released_whatever_the_counters() -> None:
    labels: dict[str, Label | None] = {A: label(5, hold=Hold("why")), B: label(1, release=(A,))}
    assert labelled(tagged(), labels, NOW).holds == ()
    labels |= {C: label(1, hold=Hold("other"))}
    assert labelled(tagged(), labels, NOW).holds == (Hold("other", None, C),)


def test_a_label_that_cannot_be_read_counts_as_a_hold_until_it_is_released() -> None:
    labels: dict[str, Label | None] = {A: None}
    (hold,) = labelled(tagged("x"), labels, NOW).holds
    assert (hold.id, hold.until) == (A, None)
    assert "damaged" in hold.reason
    assert labelled(tagged(), labels | {B: label(release=(A,))}, NOW).holds == ()


def test_notes_are_told_in_order() -> None:
    labels = {A: label(2, note="second"), B: label(1, note="first"), C: label(3)}
    assert labelled(tagged(), labels, NOW).notes == ("first", "second")


def test_without_labels_nothing_changes() -> None:
    assert labelled(tagged("x"), {}, NOW) == tagged("x")


def test_the_next_counter_is_above_all_that_can_be_read() -> None:
    assert next_counter({}) == 1
    assert next_counter({A: label(4), B: None, C: label(2)}) == 5


def test_what_protects_a_snapshot_is_told() -> None:
    until = datetime(2027, 3, 4, 5, 6, tzinfo=UTC)
    hold = new_hold("", until, NOW)
    assert hold.until == until
    assert str(hold) == "until 2027-03-04 05:06 UTC"
    held = replace(tagged(), holds=(Hold(id=A),))
    assert held.protection == "protected"
    held = replace(tagged(), holds=(Hold("why", id=A), hold))
    assert held.protection == "protected: why; until 2027-03-04 05:06 UTC"
    assert tagged().protection == ""
    assert replace(hold, id=A).dict() == {"reason": "", "until": until.isoformat(), "id": A}


@pytest.mark.parametrize(
    "until",
    [
        datetime.fromtimestamp(NOW / 1e9, UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2263, 1, 1, tzinfo=UTC),
        datetime.max,  # noqa: DTZ901 - as a user may
        datetime.min,  # noqa: DTZ901 - likewise
    ],
)
def test_a_hold_that_is_over_or_cannot_be_stored_is_refused(until: datetime) -> None:
    with pytest.raises(UsageError, match="hold"):
        new_hold("", until, NOW)
    soon = datetime.fromtimestamp(NOW / 1e9, UTC) + timedelta(seconds=1)
    assert new_hold("", soon, NOW).until == soon


def test_holds_and_notes_are_carried_over_and_tags_are_in_the_record() -> None:
    labels = {A: label(1, hold=Hold("why", NOW + 9), note="n"), B: label(2, note="m", add=("t",))}
    old = labelled(tagged("x"), labels, NOW)
    copies = carried(old, NOW, "there", "bob")
    assert {(each.host, each.user, each.time_ns) for each in copies} == {("there", "bob", NOW)}
    new = labelled(replace(old, holds=(), notes=()), dict(zip((C, D, B), copies, strict=True)), NOW)
    assert new.tags == ("x", "t")
    assert [(hold.reason, hold.until_ns) for hold in new.holds] == [("why", NOW + 9)]
    assert new.notes == ("n", "m")

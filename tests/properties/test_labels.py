"""What labels come to does not depend on the order in which they are read or were written."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.length import examples

from holdfast.model.labels import Label, carried, decode_label, encode_label, labelled
from holdfast.model.snapshot import Hold, Snapshot
from holdfast.primitives.ids import BlobId
from holdfast.testing.layouts import snapshot_of

NOW = 1_000
NAMES = [f"{number:032x}" for number in range(6)]

tags = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=3).map(tuple)
holds = st.none() | st.builds(
    Hold, st.sampled_from(["", "why"]), st.sampled_from([None, NOW - 1, NOW, NOW + 1])
)
labels_of_one = st.builds(
    Label,
    time_ns=st.integers(-(1 << 63), (1 << 63) - 1),
    host=st.text(max_size=3),
    user=st.text(max_size=3),
    counter=st.integers(1, 4),
    add=tags,
    remove=tags,
    hold=holds,
    release=st.lists(st.sampled_from(NAMES), max_size=2).map(tuple),
    note=st.none() | st.sampled_from(["n", "m"]),
)
collections = st.dictionaries(st.sampled_from(NAMES), st.none() | labels_of_one, max_size=6)
snapshots = tags.map(lambda given: replace(snapshot_of(BlobId(bytes(32))), tags=given))


@given(labels_of_one)
def test_every_label_comes_back(label: Label) -> None:
    assert decode_label("labels/x", encode_label(label)) == label


@settings(max_examples=examples(300))
@given(snapshots, collections, st.data())
def test_the_order_in_which_labels_are_read_does_not_matter(
    snapshot: Snapshot, labels: dict[str, Label | None], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(list(labels)))
    again = labelled(snapshot, {name: labels[name] for name in order}, NOW)
    assert again == labelled(snapshot, labels, NOW)


@settings(max_examples=examples(300))
@given(snapshots, collections)
def test_labels_come_to_what_a_plain_reading_of_the_format_says(
    snapshot: Snapshot, labels: dict[str, Label | None]
) -> None:
    found = labelled(snapshot, labels, NOW)
    in_order = sorted((label.counter, name) for name, label in labels.items() if label is not None)
    for tag in "abcd":
        has = tag in snapshot.tags
        for _, name in in_order:
            label = labels[name]
            assert label is not None
            if tag in label.remove:
                has = False
            if tag in label.add:
                has = True
        assert (tag in found.tags) == has
    assert len(set(found.tags)) == len(found.tags)
    held = set()
    for name, label in labels.items():
        if any(other is not None and name in other.release for other in labels.values()):
            continue
        if label is None or (
            label.hold is not None and (label.hold.until_ns is None or label.hold.until_ns > NOW)
        ):
            held.add(name)
    assert {hold.id for hold in found.holds} == held


@given(snapshots, collections, labels_of_one, st.sampled_from(NAMES))
def test_only_a_release_or_time_ends_a_hold(
    snapshot: Snapshot, labels: dict[str, Label | None], more: Label, name: str
) -> None:
    before = {hold.id for hold in labelled(snapshot, labels, NOW).holds}
    added = labels | {"f" * 32: more}
    after = {hold.id for hold in labelled(snapshot, added, NOW).holds}
    assert before - after == before & set(more.release)
    assert name not in before or name in more.release or name in after


@given(snapshots, collections)
def test_what_is_carried_over_comes_to_the_same(
    snapshot: Snapshot, labels: dict[str, Label | None]
) -> None:
    old = labelled(snapshot, labels, NOW)
    copies = carried(old, NOW, "host", "user")
    named = {f"{number:032x}": label for number, label in enumerate(copies)}
    new = labelled(replace(old, holds=(), notes=()), named, NOW)
    assert new.tags == old.tags
    assert new.notes == old.notes
    assert sorted(map(str, new.holds)) == sorted(map(str, old.holds))

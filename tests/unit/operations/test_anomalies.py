"""The parts of `anomalies`; how good the whole is, is scored in the integration tests."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from holdfast.errors import DamagedRepository
from holdfast.model.select import SAFETY
from holdfast.model.snapshot import Problem, Snapshot, Summary
from holdfast.operations.anomalies import ALARM, AnomalyKind, AnomalyOptions, anomalies
from holdfast.operations.anomalies.content import ORDERLY, RANDOM, entropy, look, lost
from holdfast.operations.anomalies.detect import CERTAIN, judge
from holdfast.operations.anomalies.features import (
    Features,
    Note,
    StoredSizes,
    Takeover,
    features,
)
from holdfast.operations.anomalies.limits import FEWEST, HISTORY, SEEN, SPAN, Past
from holdfast.operations.anomalies.pairs import MOST_ALIKE, MOST_FILES, Files, Seen, extension, stem
from holdfast.operations.anomalies.sample import Sample, Tally
from holdfast.operations.anomalies.suspects import MOST_READ
from holdfast.overrides import override
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import Layout, file_node, save_layout, snapshot_of

TEXT = b"all work and no play makes a dull boy. " * 40
NOISE = random.Random(7)  # noqa: S311 - for tests


@pytest.fixture(autouse=True)
def the_same_noise() -> None:
    """For each test, whichever were before it: some noise begins as a known format does."""
    NOISE.seed(7)


def noise(size: int = 1500) -> bytes:
    return NOISE.randbytes(size)


class Halves:
    """As if text took half of its bytes, and what looks random all of them."""

    def __init__(self, blobs: MemoryBlobs) -> None:
        self._blobs = blobs

    def sizes(self, blob: BlobId) -> tuple[int, int] | None:
        data = self._blobs.blobs.get(blob)
        if data is None:
            return None
        return len(data), len(data) if entropy(data) > ORDERLY else len(data) // 2


class Days:
    """Snapshots of one group, a day each."""

    def __init__(self, host: str = "host") -> None:
        self.host = host
        self.blobs = MemoryBlobs()
        self.snapshots: list[Snapshot] = []

    def add(self, layout: Layout, **fields: object) -> Snapshot:
        files, size = measured(layout)
        made = replace(
            snapshot_of(save_layout(self.blobs, layout), len(self.snapshots) + 1, self.host),
            summary=Summary(files_new=files, bytes_processed=size),
        )
        made = replace(made, **fields)  # type: ignore[arg-type]  # whatever a test wants
        self.snapshots.append(made)
        return made

    def steady(self, days: int = 8, files: int = 40) -> dict[bytes, bytes]:
        """Some days on which one file is edited."""
        names = {b"f%d.txt" % number: TEXT + b"%d" % number for number in range(files)}
        for day in range(days):
            names[b"f0.txt"] = TEXT + b"day %d" % day
            self.add({b"top": names})
        return names

    def found(self, *, read_data: bool = True) -> list[tuple[int, AnomalyKind, float]]:
        options = AnomalyOptions(read_data=read_data)
        found = anomalies(self.snapshots, self.ids(), self.blobs, Halves(self.blobs), options)
        numbers = {snapshot.id: number for number, snapshot in enumerate(self.snapshots)}
        return [(numbers[each.snapshot.id], each.kind, each.severity) for each in found]

    def kinds(self, *, read_data: bool = True) -> set[AnomalyKind]:
        """Of findings about the last snapshot."""
        last = len(self.snapshots) - 1
        return {kind for number, kind, _ in self.found(read_data=read_data) if number == last}

    def ids(self) -> list[SnapshotId]:
        return [snapshot.id for snapshot in self.snapshots]


def measured(layout: Layout) -> tuple[int, int]:
    files = size = 0
    for what in layout.values():
        if isinstance(what, bytes):
            files, size = files + 1, size + len(what)
        elif isinstance(what, Mapping):
            more, bytes_ = measured(what)
            files, size = files + more, size + bytes_
    return files, size


# ---------------------------------------------------------------- content


def test_entropy_of_what_is_known() -> None:
    assert entropy(b"") == entropy(b"aaaa") == 0.0
    assert entropy(bytes(range(256)) * 64) == pytest.approx(8.0, abs=0.02)
    assert entropy(b"ab" * 1000) == pytest.approx(1.0, abs=0.01)
    assert entropy(TEXT) < 5


@pytest.mark.parametrize("size", [512, 1000, 5000, 200_000])
def test_random_bytes_look_random_however_few(size: int) -> None:
    assert all(entropy(noise(size)) > RANDOM for _ in range(20))


def test_known_formats_do_not_look_random() -> None:
    photo = b"\xff\xd8\xff\xe0" + noise()
    assert look(photo, at_start=True).format == "JPEG"
    assert not look(photo, at_start=True).is_random
    assert look(photo, at_start=False).is_random
    assert look(b"\0\0\0\x18ftypmp42" + noise(), at_start=True).format == "MP4"
    assert look(noise(), at_start=True).is_random


@pytest.mark.parametrize(
    ("beginning", "format_"),
    [
        (b"PK\x03\x04", "zip"), (b"\x1f\x8b\x08", "gzip"), (b"\xfd7zXZ\x00", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4"), (b"BZh9", "bzip2"),
        (b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07\x01", "rar"), (b"\xff\xd8\xff\xe1", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF89a", "GIF"), (b"RIFF1234WEBP", "RIFF"),
        (b"%PDF-1.7", "PDF"), (b"ID3\x04", "MP3"), (b"\xff\xfb\x90", "MP3"), (b"OggS\x00", "Ogg"),
        (b"fLaC\x00", "FLAC"), (b"\x1a\x45\xdf\xa3", "Matroska"), (b"PAR1", "Parquet"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"), (b"SQLite format 3\x00", "SQLite"), (b"\x7fELF\x02", "ELF"),
    ],
)  # fmt: skip
def test_how_files_of_known_formats_begin(beginning: bytes, format_: str) -> None:
    assert look(beginning + noise(), at_start=True).format == format_


def test_what_is_lost() -> None:
    text, photo, secret = (
        look(data, at_start=True) for data in (TEXT, b"\xff\xd8\xff\xe0" + noise(), noise())
    )
    assert lost(text, secret)
    assert lost(photo, secret)
    assert not lost(secret, secret)
    assert not lost(text, photo)
    assert not lost(text, text)


# ---------------------------------------------------------------- samples


def test_a_sample_has_the_same_keys_whatever_the_order() -> None:
    keys = [b"file%d.txt" % number for number in range(5000)]
    samples = []
    for order in (keys, keys[::-1]):
        sample: Sample[list[bytes]] = Sample(list, 300)
        for key in order:
            kept = sample.at(key)
            if kept is not None:
                kept.append(key)
        samples.append(sample)
    first, second = samples
    assert list(first.values()) == list(second.values())
    number = len(list(first.values()))
    assert 100 <= number <= 300
    assert number * first.factor == pytest.approx(5000, rel=0.2)


def test_a_small_sample_is_everything() -> None:
    sample: Sample[list[int]] = Sample(list, 10)
    for number in range(10):
        kept = sample.at(b"%d" % number)
        assert kept is not None
        kept.append(number)
    assert sorted(each[0] for each in sample.values()) == list(range(10))
    assert sample.factor == 1.0


def test_a_tally_keeps_what_is_frequent() -> None:
    tally: Tally[int] = Tally(50)
    for number in range(2000):
        tally.add(number)
        tally.add(-1)
    assert tally.most()[0] == (-1, 2000)
    assert len(tally.most()) <= 50
    assert tally[-1] == 2000
    assert tally.frequent(1) == {-1}


def test_a_tally_of_many_frequent_keys_stays_small() -> None:
    tally: Tally[int] = Tally(50)
    for _ in range(3):
        for number in range(60):
            tally.add(number)
            tally.add(number)
    assert len(tally.most()) <= 50


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "ending", "base"),
    [
        (b"a.txt", b".txt", b"a"),
        (b"a.DOCX.Locked", b".locked", b"a"),
        (b".profile", b"", b".profile"),
        (b".profile.enc", b".enc", b".profile"),
        (b"libx.so.1.2", b"", b"libx"),
        (b"plain", b"", b"plain"),
        (b"a.", b"", b"a"),
        (b"a." + b"x" * 50, b"", b"a"),
    ],
)
def test_endings_of_names(name: bytes, ending: bytes, base: bytes) -> None:
    assert extension(name) == ending
    assert stem(name) == base


def seen(path: bytes, content: bytes) -> Seen:
    return Seen(path, content, 1000, BlobId(content.ljust(32)), 0.5)


def test_what_became_of_removed_files() -> None:
    files = Files()
    for path, content in {
        b"/a/moved.txt": b"1", b"/a/renamed.txt": b"2", b"/a/lost.txt": b"3", b"/a/same.txt": b"4"
    }.items():  # fmt: skip
        files.add(seen(path, content), is_new=False)
    for path, content in {
        b"/b/moved.txt": b"1", b"/a/other.txt": b"2", b"/a/same.txt.enc": b"5", b"/a/new": b"6"
    }.items():  # fmt: skip
        files.add(seen(path, content), is_new=True)
    found = files.match()
    assert (found.moved, found.renamed, found.replaced, found.gone) == (1, 1, 1, 1)
    assert [each.path for each in found.lost] == [b"/a/lost.txt"]
    assert [each.path for each in found.pairs] == [b"/a/same.txt.enc"]
    assert found.names == [b"/a/other.txt"]


def test_many_files_are_counted_by_a_part_of_them() -> None:
    files = Files()
    total = 3 * MOST_FILES
    for number in range(total):
        content = b"%d" % number
        files.add(seen(b"/old/a%d.txt" % number, content), is_new=False)
        if number % 2:
            files.add(seen(b"/new/a%d.txt" % number, content), is_new=True)
        elif number % 4:
            files.add(seen(b"/old/a%d.txt.enc" % number, b"x" + content), is_new=True)
    found = files.match()
    assert found.factor > 1
    assert files.removed == total
    assert found.moved == pytest.approx(total / 2, rel=0.1)
    assert found.replaced == pytest.approx(total / 4, rel=0.15)
    assert found.gone == pytest.approx(total / 4, rel=0.3)
    assert len(found.pairs) < MOST_FILES


def test_many_files_of_one_name_are_few_in_memory() -> None:
    files = Files()
    for number in range(1000):
        files.add(seen(b"/a%d/index.html" % number, b"a%d" % number), is_new=False)
        files.add(seen(b"/b%d/index.html" % number, b"b%d" % number), is_new=True)
    found = files.match()
    assert (found.replaced, found.gone) == (1000, 0)
    assert len(found.pairs) <= MOST_ALIKE


# ---------------------------------------------------------------- features


def between(before: Layout, after: Layout, *, read_data: bool = True) -> Features:
    days = Days()
    first, second = days.add(before), days.add(after)
    return features(first, second, days.blobs, Halves(days.blobs), read_data=read_data)


def test_changes_are_counted() -> None:
    blobs = MemoryBlobs()
    other_mode = file_node(blobs, b"mode", TEXT)._replace(mode=0o600)
    other_time = file_node(blobs, b"time", TEXT)._replace(mtime=1)
    now = between(
        {b"edit": TEXT, b"gone": noise(), b"emptied": b"x", b"mode": TEXT, b"time": TEXT},
        {b"edit": TEXT + b"!", b"emptied": b"", b"new": noise(), b"mode": other_mode,
         b"time": other_time},
    )  # fmt: skip
    assert (now.added, now.removed, now.modified, now.attributes) == (1, 1, 2, 1)
    assert (now.gone, now.truncated, now.hardened) == (1, 1, 0)
    assert now.bytes_added == len(TEXT) + 1 + 1500
    assert now.bytes_removed == len(TEXT) + 1 + 1500
    assert now.examples["truncated"] == ("/emptied",)
    assert now.before == 5


@pytest.mark.parametrize("read_data", [True, False])
def test_encrypted_files_are_counted(read_data: bool) -> None:
    before = {b"f%d" % number: TEXT + b"%d" % number for number in range(20)}
    after = {name: noise() if number < 12 else data + b"." for number, (name, data) in
             enumerate(before.items())}  # fmt: skip
    now = between(before, after, read_data=read_data)
    assert now.hardened == 12
    assert now.is_read == read_data
    assert now.stored_before == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("read_data", [True, False])
def test_encrypted_files_under_other_names_are_counted(read_data: bool) -> None:
    before = {b"f%d.txt" % number: TEXT + b"%d" % number for number in range(20)}
    after = {name + b".locked": noise() for name in before}
    now = between(before, after, read_data=read_data)
    assert (now.hardened, now.replaced, now.gone) == (20, 20, 0)
    assert now.takeover == Takeover(".locked", 20)


def test_few_pieces_are_read_of_many_files() -> None:
    before = {b"f%d" % number: TEXT + b"%d" % number for number in range(400)}
    days = Days()
    first, second = days.add(before), days.add({name: noise(600) for name in before})
    days.blobs.loaded.clear()
    now = features(first, second, days.blobs, Halves(days.blobs))
    assert now.hardened == 400
    assert len(days.blobs.loaded) <= 4 * MOST_READ + 2


def test_a_file_beside_photos_is_not_judged_by_the_index_alone() -> None:
    """It shares a segment with them, which then does not compress."""

    class Shared(Halves):
        @override
        def sizes(self, blob: BlobId) -> tuple[int, int] | None:
            known = super().sizes(blob)
            return known and (known[0], known[0] if self.later(blob) else known[1])

        def later(self, blob: BlobId) -> bool:
            return b"edited" in self._blobs.blobs[blob]

    before = {b"f%d" % number: TEXT + b"%d" % number for number in range(20)}
    edited = {name: data + b"edited" for name, data in before.items()}
    days = Days()
    first = days.add(before)
    second = days.add({**edited, **{b"p%d.jpg" % n: noise(9000) for n in range(20)}})
    for read_data in (True, False):
        now = features(first, second, days.blobs, Shared(days.blobs), read_data=read_data)
        assert now.hardened == 0
    lone = days.add(edited)
    alone = features(first, lone, days.blobs, Shared(days.blobs), read_data=False)
    assert alone.hardened == 20


def test_a_note_in_directories_that_were_there() -> None:
    before = {b"d%d" % number: {b"f": TEXT + b"%d" % number} for number in range(6)}
    note = b"pay or cry"
    after = {
        name: {**inside, b"README.txt": note} if number < 5 else inside
        for number, (name, inside) in enumerate(before.items())
    }
    new = {b"sub%d" % number: {b"README.txt": note} for number in range(9)}
    assert between(before, {**after, b"new": new}).note.directories == 5


def test_damage_is_data() -> None:
    days = Days()
    first = days.add({b"a": TEXT})
    second = days.add({b"a": TEXT + b"!"})
    del days.blobs.blobs[second.tree]
    now = features(first, second, days.blobs, Halves(days.blobs))
    assert "missing" in now.damage


def test_a_piece_that_cannot_be_read_is_passed_over() -> None:
    days = Days()
    before = {b"f%d" % number: TEXT + b"%d" % number for number in range(20)}
    after = {name: noise() for name in before}
    first, second = days.add(before), days.add(after)
    for data in list(after.values())[:5]:
        del days.blobs.blobs[days.blobs.add(data)]
    now = features(first, second, days.blobs, Halves(days.blobs))
    assert now.examined == 15
    assert now.hardened == 20


# ---------------------------------------------------------------- limits and rules


def change(**fields: object) -> Features:
    """A change in a tree of 100 files."""
    had = Summary(files_unmodified=100, bytes_processed=10 << 20)
    known = replace(snapshot_of(BlobId(bytes(32))), summary=had)
    made = Features(known, known)
    return replace(made, **fields)  # type: ignore[arg-type]  # whatever a test wants


def past(*changes: Features) -> Past:
    return Past(changes or [change() for _ in range(10)])


def test_limits_follow_the_history_and_not_its_wildest_part() -> None:
    steady = past(*[change(modified=modified) for modified in (10, 11, 9, 10, 12, 10)])
    wild = past(*steady.changes, change(modified=80, hardened=50))
    assert steady.limit(lambda each: each.modified, 5) == pytest.approx(18, abs=5)
    assert wild.limit(lambda each: each.modified, 5) < 40
    assert steady.limit(lambda each: each.modified, 50) == 50
    seen = past(*steady.changes, change(modified=80))
    assert seen.limit(lambda each: each.modified, 5) == 80 * SEEN
    assert Past([]).limit(lambda each: each.modified, 7) == 7


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (AnomalyKind.ENTROPY, {"hardened": 9, "examined": 9}),
        (AnomalyKind.DELETION, {"removed": 40, "gone": 40}),
        (AnomalyKind.TRUNCATION, {"modified": 12, "truncated": 12}),
        (AnomalyKind.NOTE, {"note": Note("READ_ME", 6, 6)}),
        (AnomalyKind.EXTENSION, {"takeover": Takeover(".x", 10), "replaced": 10}),
        (AnomalyKind.RENAME, {"renamed": 30}),
        (AnomalyKind.BURST, {"modified": 30}),
        (AnomalyKind.METADATA, {"attributes": 60}),
        (AnomalyKind.GROWTH, {"added": 300}),
        (AnomalyKind.GROWTH, {"bytes_added": 200 << 20}),
    ],
)
def test_each_rule_says_why(kind: AnomalyKind, fields: dict[str, object]) -> None:
    (found,) = judge(change(**fields), past())
    assert found.kind == kind
    assert found.summary
    assert all(found.evidence)
    low, high = found.expected
    assert not low <= found.value < high
    assert 0 < found.severity < 1
    assert (found.severity >= ALARM) == (kind in {"entropy", "deletion", "truncation", "note"})
    assert judge(change(), past()) == []


def test_a_worse_case_is_more_severe() -> None:
    severities = [
        judge(change(removed=gone, gone=gone), past())[0].severity for gone in (30, 50, 90)
    ]
    assert severities == sorted(severities)
    assert len(set(severities)) == 3


def test_what_is_unusual_takes_a_history() -> None:
    short = Past([change() for _ in range(FEWEST - 1)])
    assert judge(change(modified=90), short) == []
    assert judge(change(hardened=20, examined=20), short)[0].kind == AnomalyKind.ENTROPY


def test_errors_that_rise() -> None:
    problems = (Problem("/a", "open", "Permission denied"),)
    snapshot = replace(change().snapshot, problem_count=30, problems=problems)
    (found,) = judge(change(snapshot=snapshot), past())
    assert found.kind == AnomalyKind.ERRORS
    assert "open failed: Permission denied" in found.evidence
    assert found.paths == ("/a",)
    used_to_it = past(*[change(snapshot=snapshot) for _ in range(8)])
    assert judge(change(snapshot=snapshot), used_to_it) == []


def test_a_backup_that_takes_long() -> None:
    known = change().snapshot
    slow = replace(known, end_ns=known.time_ns + 7200 * 10**9)
    (found,) = judge(change(snapshot=slow), past())
    assert (found.kind, found.value) == (AnomalyKind.DURATION, 7200)


def test_a_snapshot_that_shrinks() -> None:
    small = replace(change().snapshot, summary=Summary(files_new=100, bytes_processed=1 << 20))
    (found,) = judge(change(snapshot=small), past())
    assert (found.kind, found.value) == (AnomalyKind.SHRINK, 1 << 20)


def test_an_empty_snapshot() -> None:
    nothing = replace(change().snapshot, summary=Summary())
    (found,) = judge(change(snapshot=nothing, removed=100, gone=100), Past([]))
    assert found.kind == AnomalyKind.EMPTY
    for was, count in ((4, 0), (5, 1)):
        few = replace(nothing, summary=Summary(files_unmodified=was))
        now = change(previous=few, snapshot=nothing, removed=was, gone=was)
        assert len(judge(now, Past([]))) == count


def test_other_patterns_explain_what_is_missing() -> None:
    now = change(removed=60, gone=60)
    other = replace(now, snapshot=replace(now.snapshot, excluded=("*.tmp",)))
    (found,) = judge(other, past())
    assert found.kind == AnomalyKind.DELETION
    assert found.severity < ALARM
    assert "the patterns of what is left out were changed" in found.evidence


def test_signs_together_are_ransomware() -> None:
    now = change(
        hardened=50, examined=48, replaced=50, removed=50, takeover=Takeover(".locked", 50)
    )
    (found,) = judge(now, past())
    assert found.kind == AnomalyKind.RANSOMWARE
    assert found.severity >= CERTAIN
    assert "signs: burst, entropy, extension" in found.evidence
    alone = judge(change(hardened=50, examined=48), past())[0]
    assert found.severity > alone.severity


def test_a_few_files_a_day_are_added_up() -> None:
    slow = [change() for _ in range(6)] + [change(hardened=3, examined=3) for _ in range(2)]
    assert judge(change(hardened=1, examined=3), Past(slow)) == []
    (found,) = judge(change(hardened=3, examined=3), Past(slow))
    assert (found.kind, found.value, found.began) == (AnomalyKind.ENTROPY, 9, 2)
    for quiet, count in ((SPAN - 2, 1), (SPAN - 1, 0)):
        once = [change(hardened=6, examined=6)] + [change() for _ in range(quiet)]
        assert len(judge(change(hardened=3, examined=3), Past(once))) == count


# ---------------------------------------------------------------- snapshots


def test_ransomware_is_found_and_the_last_clean_snapshot_named() -> None:
    days = Days()
    names = days.steady()
    days.add({b"top": {name + b".locked": noise() for name in names}})
    days.add({b"top": {name + b".locked": noise() for name in names}})
    found = anomalies(days.snapshots, days.ids(), days.blobs, Halves(days.blobs), AnomalyOptions())
    assert found[0].kind == AnomalyKind.RANSOMWARE
    assert found[0].snapshot is days.snapshots[8]
    assert found[0].clean is days.snapshots[7]
    shown = json.loads(json.dumps(found[0].dict()))
    assert shown["clean"] == days.snapshots[7].id
    assert (shown["snapshot"], shown["host"]) == (days.snapshots[8].id, days.snapshots[8].host)
    assert {"time", "kind", "severity", "summary", "evidence", "value", "expected"} < shown.keys()
    assert shown["paths"]
    assert ".locked" in found[0]._repr_html_()
    assert "ransomware" in found[0]._repr_html_()


def test_a_slow_attack_is_clean_before_it_began() -> None:
    days = Days()
    names = days.steady()
    for day in range(4):
        for number in range(4):
            names[b"f%d.txt" % (4 * day + number + 1)] = noise()
        days.add({b"top": names})
    options = AnomalyOptions(min_severity=ALARM)
    found = anomalies(days.snapshots, days.ids(), days.blobs, Halves(days.blobs), options)
    assert {days.snapshots.index(each.snapshot) for each in found} == {9, 10, 11}
    assert {each.clean for each in found} == {days.snapshots[7]}


def test_only_what_is_wanted_is_judged_and_as_if_all_were() -> None:
    days = Days()
    names = days.steady()
    days.add({b"top": {name: noise() for name in names}})
    everything = anomalies(
        days.snapshots, days.ids(), days.blobs, Halves(days.blobs), AnomalyOptions()
    )
    one = anomalies(
        days.snapshots, days.ids()[-1:], days.blobs, Halves(days.blobs), AnomalyOptions()
    )
    assert one == everything
    assert one
    first = anomalies(
        days.snapshots, days.ids()[:3], days.blobs, Halves(days.blobs), AnomalyOptions()
    )
    assert first == []


def test_at_most_the_history_is_looked_at() -> None:
    days = Days()
    days.steady(HISTORY + 20)
    days.blobs.loaded.clear()
    anomalies(days.snapshots, days.ids()[-1:], days.blobs, Halves(days.blobs), AnomalyOptions())
    assert days.snapshots[10].tree not in days.blobs.loaded
    assert days.snapshots[25].tree in days.blobs.loaded


def test_copies_for_safety_are_no_history() -> None:
    days = Days()
    names = days.steady()
    days.add({}, tags=(SAFETY,))
    days.add({b"top": names})
    assert days.found() == []


def test_a_damaged_snapshot_is_a_finding_and_others_are_still_judged() -> None:
    days = Days()
    names = days.steady()
    damaged = days.add({b"top": names, b"more": b"x"})
    days.add({b"top": names, b"more": b"y"})
    days.add({b"top": {name: noise() for name in names}, b"more": b"y"})
    del days.blobs.blobs[damaged.tree]
    found = days.found()
    assert [(number, kind) for number, kind, _ in found] == [
        (10, AnomalyKind.RANSOMWARE),
        (8, AnomalyKind.DAMAGED),
        (9, AnomalyKind.DAMAGED),
    ]


def test_sizes_that_are_not_known_are_no_error() -> None:
    class Unknown:
        def sizes(self, _: BlobId, /) -> None:
            return None

    days = Days()
    names = days.steady()
    days.add({b"top": {name: noise() for name in names}})
    sizes: StoredSizes = Unknown()
    found = anomalies(days.snapshots, days.ids(), days.blobs, sizes, AnomalyOptions())
    assert found[0].kind == AnomalyKind.RANSOMWARE


def test_other_errors_than_damage_are_not_caught() -> None:
    class Broken(MemoryBlobs):
        @override
        def load(self, blob: BlobId) -> bytes:  # noqa: ARG002 - as it is called
            raise OSError("the disk is gone")

    days = Days()
    days.steady(2)
    with pytest.raises(OSError, match="gone"):
        anomalies(days.snapshots, days.ids(), Broken(), Halves(days.blobs), AnomalyOptions())
    with pytest.raises(DamagedRepository):
        MemoryBlobs().load(BlobId(bytes(32)))

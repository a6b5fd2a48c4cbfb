"""Reads a holdfast repository; written from docs/format.md alone, shares no code with holdfast.

What one has to know beyond that page is a fault of the page. It refuses whatever differs from the
page, and is in no hurry: a pack is read and checked as a whole before a blob of it is used.
"""

from __future__ import annotations

import functools
import hmac
import itertools
import operator
import re
import struct
import unicodedata
from contextlib import suppress
from types import NoneType, UnionType
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgpack
import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Value: TypeAlias = "bool | int | float | str | bytes | list[Value] | dict[str, Value] | None"
Record: TypeAlias = "dict[str, Value]"
# A blob: id, pack, header and size of the pack, number and row of the segment, offset, length.
Place: TypeAlias = "tuple[bytes, str, bytes, int, int, tuple[int, ...], int, int]"
T = TypeVar("T")

MIB = 1 << 20
TYPES = ["", "index", "snapshot", "session", "condemned", "aborted", "config", "forgotten"]
TYPES += ["label", "epoch", "slot", "anchor"]
DATA, TREES = 1, 2
FILE, LINK = 1, 3
PAYLOADS = (object, bytes, bytes, NoneType, NoneType, int, int)

KINDS: dict[str, type[object] | UnionType] = {"bin": bytes, "int": int, "any": object, "str": str}
KINDS |= {"array": list, "map": dict, "map?": dict | None}
KINDS |= {"time": int | bytes, "int?": int | None, "str?": str | None}
PLAIN = "version int, repository bin, compatible array, write array, read array"
CONFIG = "chunker map, pack_size int, compression int, created int, oldest int, plain bin"
EPOCH = "epoch int, master bin"
SLOT = "dedup bin, master bin, epoch int, created int"
TRAILER = "segments bin, blobs bin, places bin, regions array"
HEAD = "packs array, segments bin, pages array"
ENTRY = (
    "name bin, type int, mode int, uid int, gid int, user str?, group str?, mtime time, "
    "ctime time, inode int, size int, payload any, filesystem int?, xattrs array, extra map?"
)
LIMITS = {"mode": 12, "uid": 32, "gid": 32, "inode": 64, "size": 63, "filesystem": 32}  # bits
SNAPSHOT = (
    "version int, start int, end int, utc_offset int, host str, user str, os str, label str, "
    "description str, program str, paths array, tags array, excluded array, tree bin, parent str?, "
    "original str?, replaces str?, group str?, how map, problems array, problem_count int, "
    "summary map"
)
FORGOTTEN = "snapshot bin, forgotten int"
LABEL = "time int, host str, user str, counter int, add array, remove array, hold map?, note str?"
LABEL += ", release array"
HOLD = "reason str, until int?"
ANCHOR = "digest bin, time int, host str, user str, place str"


class RefusedError(Exception):
    """Something is not what the format says it must be."""


def need(truth: object, message: str) -> None:
    if not truth:
        raise RefusedError(message)


def want(value: Value, kind: type[T]) -> T:
    if isinstance(value, kind) and not isinstance(value, bool):
        return value
    raise RefusedError(f"{kind.__name__} expected, not {type(value).__name__}")


def row(value: Value, length: int) -> list[Value]:
    found = want(value, list)
    need(len(found) == length, f"a row has {length} fields, not {len(found)}")
    return found


def shaped(value: Value, shape: str) -> Record:
    record = want(value, dict)
    for name, kind in (field.split() for field in shape.split(", ")):
        need(name in record and isinstance(record[name], KINDS[kind]), f"the field {name}")
        need(not isinstance(record[name], bool), f"the field {name}")
    return record


def keyed(key: bytes, data: bytes, length: int = 32) -> bytes:
    return blake3(data, key=key).digest(length)


def derive(secret: bytes, purpose: str) -> bytes:  # F4
    return blake3(secret, derive_key_context="holdfast 2026 v1 " + purpose).digest()


def unseal(key: bytes, nonce: bytes, number: int, sealed: bytes, associated: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce + struct.pack("<Q", number), sealed, associated)
    except (InvalidTag, ValueError) as error:  # a ValueError when it is shorter than a tag
        raise RefusedError(f"{nonce!r} {number} does not open") from error


def unpack(data: bytes, depth: int = 32) -> Value:
    def collect(pairs: Sequence[tuple[str, Value]]) -> Record:
        found = dict(pairs)
        need(len(found) == len(pairs) and all(isinstance(key, str) for key in found), "a key")
        return found

    def measure(value: Value, left: int) -> None:
        if isinstance(value, list | dict):
            need(left, "a record is nested too deeply")  # F13
            for item in value if isinstance(value, list) else value.values():
                measure(item, left - 1)
        else:
            need(value is None or isinstance(value, int | float | str | bytes), "an extension type")

    try:
        value: Value = msgpack.unpackb(data, object_pairs_hook=collect)
    except (ValueError, msgpack.UnpackException) as error:
        raise RefusedError("not one whole msgpack value") from error
    measure(value, depth)
    return value


def table(value: Value, layout: str) -> list[tuple[int, ...]]:
    data = want(value, bytes)
    need(len(data) % struct.calcsize(layout) == 0, "a table ends within a row")
    return list(struct.iter_unpack(layout, data))


def entry_of(value: Value) -> Record:  # F32
    fields = [field.split()[0] for field in ENTRY.split(", ")]
    entry = shaped(dict(zip(fields, row(value, 15), strict=True)), ENTRY)
    name = want(entry["name"], bytes)
    need(1 <= len(name) <= 4096 and name not in {b".", b".."}, "the length of a name")  # F34
    need(b"/" not in name and b"\0" not in name, "a name with / or NUL")
    for field, bits in LIMITS.items():
        need(0 <= want(entry[field] or 0, int) < 1 << bits, f"the range of {field}")
    xattrs = [row(pair, 2) for pair in want(entry["xattrs"], list)]
    names = [want(xattr, bytes) for xattr, value in xattrs if isinstance(value, bytes)]
    need(len(xattrs) == len(names) and names == sorted(set(names)), "extended attributes ascend")
    need(all(xattr and b"\0" not in xattr for xattr in names), "the name of an extended attribute")
    for field in ("mtime", "ctime"):  # F35
        if isinstance(time := entry[field], bytes):
            entry[field] = number = int.from_bytes(time, "big", signed=True)
            need(len(time) == 16 and not -(1 << 63) <= number < 1 << 64, "a time in bytes")
    kind, size, payload = want(entry["type"], int), want(entry["size"], int), entry["payload"]
    need(1 <= kind <= 7 and isinstance(payload, PAYLOADS[kind - 1]), "a type and its payload")
    need(size == 0 or kind in {FILE, LINK}, "a size of what has none")  # F33
    if isinstance(payload, bytes):
        need(len(payload) == (size if kind == LINK else 32), "the length of a payload")
        need(kind != LINK or (payload and b"\0" not in payload), "the target of a link")
    return entry


class Pack:
    """One pack, checked as a whole (F18 to F25)."""

    def __init__(self, name: str, data: bytes, pack_key: bytes, repository: bytes) -> None:
        need(140 <= len(data) <= 128 * MIB, "the size of a pack")
        self.name, self.data, self.header = name, data, data[:100]
        fields = struct.unpack("<8sHHBBHI16s32s32s", self.header)
        magic, version, length, self.kind, mode, zero, epoch, session, salt, commitment = fields
        need(magic == b"HFPACK\r\n" and (version, length) == (1, 100), "no pack of version 1")
        need(self.kind in {DATA, TREES} and (mode, zero) == (0, 0), "header of a pack")
        need(name == f"{blake3(data).hexdigest()}-{session.hex()[:8]}", "the name of a pack")
        about = repository + struct.pack("<IBB", epoch, self.kind, mode) + session + salt
        keys = keyed(pack_key, about, 64)
        self.key = keys[:32]
        need(hmac.compare_digest(keys[32:], commitment), "the commitment of a pack")
        footer = unseal(self.key, b"foot", 0, data[-40:], self.header)
        start, length, count, filler = struct.unpack("<QIIQ", footer)
        need(start + length + 40 == len(data), "the trailer ends where the footer starts")
        about = self.header + struct.pack("<I", count)
        record = shaped(unpack(unseal(self.key, b"trlr", 0, data[start:-40], about)), TRAILER)
        self.segments = table(record["segments"], "<IIII")
        need(0 < len(self.segments) == count, "the number of segments")
        end = 100
        for offset, size, raw, _ in self.segments:
            need(offset == end and raw <= 64 * MIB, "segments follow each other")
            end += size
        plain = len(data) - filler
        need(end + filler == start, "the filler is all between segments and trailer")
        need(data[end:start] == keyed(self.key, b"filler", filler), "the filler")
        zeros = (plain.bit_length() - 1) - (plain.bit_length() - 1).bit_length()
        need(len(data) == -(-plain >> zeros) << zeros, "the size of a padded pack")
        self.places = set(self._read_places(want(record["blobs"], bytes), record["places"]))

    def _read_places(self, blobs: bytes, places: Value) -> Iterator[Place]:
        rows = table(places, "<III")
        need(len(blobs) == 32 * len(rows), "every blob has a place")
        ends = [0] * len(self.segments)
        for segment, offset, length in sorted(rows):
            need(segment < len(ends) and offset == ends[segment], "blobs follow each other")
            ends[segment] += length
        need(ends == [raw for _, _, raw, _ in self.segments], "blobs fill their segments")
        for at, (segment, offset, length) in enumerate(rows):
            where = (segment, self.segments[segment], offset, length)
            yield (blobs[32 * at : 32 * at + 32], self.name, self.header, len(self.data), *where)

    def segment(self, number: int) -> bytes:  # F21
        offset, size, raw, codec = self.segments[number]
        about = self.header + struct.pack("<IBBI", number, self.kind, codec, raw)
        payload = unseal(self.key, b"segm", number, self.data[offset : offset + size], about)
        need(codec == 1 or (codec == 0 and len(payload) == raw), "a codec or a length")
        if codec == 0:
            return payload
        try:
            need(zstandard.frame_content_size(payload) == raw, "the stated size of a segment")
            return zstandard.ZstdDecompressor().decompress(payload, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise RefusedError("a segment is no zstd frame") from error


class Repository:
    """A repository in a directory, opened with a password."""

    def __init__(self, root: Path, password: str | bytes) -> None:
        self.root, self.removed = root, set[str]()
        numbers = [int(name[7:]) for name in self.names("config", "(0|[1-9][0-9]{0,8})")]
        need(numbers, "there is no repository")  # F3
        name = f"config/{max(numbers)}"
        config = self.get(name, MIB)
        checksum = blake3(config[:-32]).digest()
        need(config[:8] == b"HFCONFIG" and config[-32:] == checksum, "the checksum of a config")
        plain = config[12 : 12 + int.from_bytes(config[8:12], "little")]
        record = shaped(unpack(plain), PLAIN)
        need(record["version"] == 1 and record["read"] == [], "another version or feature")  # F14
        self.id = want(record["repository"], bytes)
        dedup, self.config = self._open_slots(password, name, config[12 + len(plain) : -32])
        self._blob_keys = {DATA: derive(dedup, "data id"), TREES: derive(dedup, "tree id")}
        self._open_epochs(want(self.config["oldest"], int))
        size, level = want(self.config["pack_size"], int), want(self.config["compression"], int)
        need(MIB <= size <= 96 * MIB and 0 <= level <= 22, "settings out of bounds")  # F15
        need(self.config["plain"] == plain, "the plain part of a config is another")
        self.packs = {  # F2, F18
            name[8:]: name
            for folder in (self.root / "data").glob("[0-9a-f][0-9a-f]")
            for name in self.names(f"data/{folder.name}", folder.name + "[0-9a-f]{62}-[0-9a-f]{8}")
        }
        self.pack = functools.lru_cache(maxsize=4)(self._read_pack)

    def names(self, folder: str, pattern: str) -> list[str]:
        found = [path.name for path in (self.root / folder).glob("*")]  # F2: ignores the rest
        return sorted(f"{folder}/{name}" for name in found if re.fullmatch(pattern, name))

    def get(self, name: str, limit: int = 64 * MIB) -> bytes:
        data = (self.root / name).read_bytes()
        need(len(data) <= limit, f"{name} is too large")
        return data

    def _read_pack(self, name: str) -> Pack:  # F50
        data = self.get(self.packs[name], 128 * MIB)
        master = self._masters.get(int.from_bytes(data[16:20], "little"))
        need(master, "a pack of an epoch whose keys are not known")
        return Pack(name, data, derive(want(master, bytes), "pack"), self.id)

    def _open_slots(self, password: str | bytes, name: str, config: bytes) -> tuple[bytes, Record]:
        if isinstance(password, str):
            password = unicodedata.normalize("NFC", password).encode()
        for slot_name in self.names("keys", "[0-9a-f]{32}"):
            with suppress(RefusedError):  # F9: it never keeps another one from being used
                slot = shaped(unpack(self._open_slot(slot_name, password)), SLOT)
                dedup, master = want(slot["dedup"], bytes), want(slot["master"], bytes)
                need(len(dedup) == len(master) == 32, "a slot's secrets")
                self._oldest = int.from_bytes(config[12:16], "little")
                need(slot["epoch"] == self._oldest, "a slot of keys that are not in force")
                self._masters = {self._oldest: master}
                return dedup, shaped(unpack(self.unseal_object(name, 6, config)), CONFIG)
        raise RefusedError("no key slot opens with this password")

    def _open_epochs(self, oldest: int) -> None:  # F49
        need(0 <= oldest <= self._oldest, "the oldest epoch")
        for before in reversed(range(self._oldest)):
            digits = derive(self._masters[before + 1], "epoch name")[:8].hex()
            name, self._oldest = f"epochs/{before}-{digits}", before + 1
            if not (self.root / name).exists():
                break  # only packs need it
            record = shaped(unpack(self.unseal_object(name, 9, self.get(name))), EPOCH)
            self._masters[before] = want(record["master"], bytes)
        self._oldest = oldest

    def _open_slot(self, name: str, password: bytes) -> bytes:
        data = self.get(name, 64 << 10)
        checksum = blake3(data[:-32]).digest()
        need(len(data) > 140 and data[-32:] == checksum, "the checksum of a slot")
        fields = struct.unpack_from("<8sHBBIII16s32s32sI", data)
        magic, version, kdf, zero, memory, passes, lanes, repository = fields[:8]
        salt, commitment, length = fields[8:]
        need(magic == b"HFKEYSLT" and (version, kdf, zero) == (1, 1, 0), "a slot of another kind")
        need(repository == self.id, "a slot of another repository")  # F7
        need(19 << 10 <= memory <= 4 << 20 and 1 <= passes <= 32 and 1 <= lanes <= 16, "limits")
        cost = {"iterations": passes, "lanes": lanes, "memory_cost": memory}
        keys = Argon2id(salt=salt, length=64, **cost).derive(password)  # F6
        need(hmac.compare_digest(keys[32:], commitment), "a slot of another password")
        return unseal(keys[:32], b"slot", 0, data[108:-32][:length], data[:108] + name.encode())

    def _object_key(self, data: bytes, kind: int) -> bytes:  # F10
        need(len(data) >= 48, "shorter than its header")
        magic, found, mode, length, epoch, salt = struct.unpack_from("<8sBBHI32s", data)
        need(magic == b"HFOBJECT" and found == kind, f"no object of type {kind}")
        need((mode, length) == (0, 48), "the header of an object")
        need(epoch >= self._oldest and epoch in self._masters, "an epoch that is not accepted")
        return keyed(derive(self._masters[epoch], "object " + TYPES[kind]), salt)

    def unseal_object(self, name: str, kind: int, data: bytes) -> bytes:
        about = data[:48] + name.encode() + b"\0" + self.id
        return unseal(self._object_key(data, kind), b"obj\0", 0, data[48:], about)

    def snapshots(self) -> dict[str, Record]:  # F39
        found = {}
        for name in self.names("snapshots", "[0-9a-f]{32}"):
            data = self.get(name)
            aborted = data[8:9] == b"\5"  # F42
            record = unpack(self.unseal_object(name, 5 if aborted else 2, data))
            if not aborted:
                found[name[10:]] = shaped(record, SNAPSHOT)
                need(found[name[10:]]["version"] == 1, "the version of a snapshot")
        return found

    def forgotten(self) -> dict[str, Record]:  # F51
        found = {}
        for name in self.names("forgotten", "[0-9a-f]{32}"):
            record = shaped(unpack(self.unseal_object(name, 7, self.get(name))), FORGOTTEN)
            found[name[10:]] = shaped(unpack(want(record["snapshot"], bytes)), SNAPSHOT)
        there = self.snapshots()
        return {id_: record for id_, record in found.items() if id_ not in there}

    def labels(self, snapshot: str) -> dict[str, Record]:  # F52
        found = {}
        for name in self.names(f"labels/{snapshot}", "[0-9a-f]{32}"):
            found[name[-32:]] = shaped(unpack(self.unseal_object(name, 8, self.get(name))), LABEL)
        return dict(sorted(found.items(), key=lambda item: (item[1]["counter"], item[0])))

    def tags(self, snapshot: str, record: Record) -> list[str]:
        tags = list(want(record["tags"], list))
        for label in self.labels(snapshot).values():
            tags = [tag for tag in tags if tag not in want(label["remove"], list)]
            tags += [tag for tag in want(label["add"], list) if tag not in tags]
        return [want(tag, str) for tag in tags]

    def holds(self, snapshot: str, now: int) -> list[str]:
        labels = self.labels(snapshot)
        released = {name for label in labels.values() for name in want(label["release"], list)}
        left = [label["hold"] for name, label in labels.items() if name not in released]
        holds = [shaped(hold, HOLD) for hold in left if hold is not None]
        in_force = [hold["until"] is None or want(hold["until"], int) > now for hold in holds]
        return [want(hold["reason"], str) for hold in itertools.compress(holds, in_force)]

    def anchors(self, trail: str) -> dict[str, Record]:  # F57
        found = {}
        for name in self.names(f"audit/{trail}", "(0|[1-9][0-9]{0,14})-[0-9a-f]{16}"):
            found[name] = shaped(unpack(self.unseal_object(name, 11, self.get(name))), ANCHOR)
            need(len(want(found[name]["digest"], bytes)) == 32, "the length of a hash")
        return found

    def index(self, name: str) -> list[Place]:  # F26 to F28
        data = self.get(name)
        key = self._object_key(data, 1)
        about = data[:52] + name.encode() + b"\0" + self.id
        end = 52 + int.from_bytes(data[48:52], "little")
        head = shaped(unpack(unseal(key, b"obj\0", 0, data[52:end], about)), HEAD)
        packs = [
            (want(name, str), want(header, bytes), want(size, int))
            for name, header, size in (row(pack, 3) for pack in want(head["packs"], list))
        ]
        removed = [want(name, str) for name in want(head.get("removed", []), list)]
        need(all(re.fullmatch("[0-9a-f]{64}-[0-9a-f]{8}", each) for each in removed), "a name")
        self.removed.update(removed)  # F53
        segments = table(head["segments"], "<IIIII")
        need(all(segment[0] < len(packs) for segment in segments), "a segment of no pack")
        found: list[Place] = []
        for number, page in enumerate(want(head["pages"], list)):
            count = want(row(page, 2)[0], int)
            start, end = end, end + 44 * count + 16
            rows = unseal(key, b"page", number, data[start:end], about)
            need(0 < count <= 65536 and rows[:32] == row(page, 2)[1], "a page of an index")
            for at, (segment, offset, length) in enumerate(table(rows[32 * count :], "<III")):
                need(segment < len(segments), "a place in no segment")
                pack, *place, last = segments[segment]
                where = (last >> 8, (*place, last & 255), offset, length)
                found.append((rows[32 * at : 32 * at + 32], *packs[pack], *where))
        need(end == len(data), "the length of an index")
        ids = [place[0] for place in found]
        need(ids == sorted(ids), "the rows of an index ascend")
        return found

    @functools.cached_property
    def places(self) -> dict[bytes, list[Place]]:
        found: dict[bytes, list[Place]] = {}
        indexes = [self.index(name) for name in self.names("index", "[0-9a-f]{32}")]
        for place in itertools.chain(*indexes):
            if place[1] in self.packs and place[1] not in self.removed:  # F29, F53
                found.setdefault(place[0], []).append(place)
        return found

    def blob(self, blob: bytes, kind: int) -> bytes:
        for place in self.places.get(blob, ()):
            _, name, _, _, number, _, offset, length = place
            with suppress(RefusedError):  # F29: another place will do
                pack = self.pack(name)
                data = pack.segment(number)[offset : offset + length]
                need(place in pack.places and pack.kind == kind, "an index and a pack differ")
                need(keyed(self._blob_keys[kind], data) == blob, "a blob is not its id's")  # F5
                return data
        raise RefusedError(f"no good place of the blob {blob.hex()}")

    def directory(self, tree: Value, level: int | None = None) -> list[Record]:  # F30
        data = self.blob(want(tree, bytes), TREES)
        found, rows = row(unpack(data, 35), 2)  # 3 levels that are no extra's
        below = want(found, int) - 1
        need(0 <= want(found, int) <= 5 and level in {None, found}, "the level of a page")
        need(len(data) <= 4 * MIB and len(want(rows, list)) <= 4096, "a page is too large")
        need(rows or (found == 0 and level is None), "a page is empty")
        entries = [entry_of(value) for value in want(rows, list) if found == 0]
        for first, child, count in (row(value, 3) for value in want(rows, list) if found != 0):
            page = self.directory(child, below)
            need(len(page) == count and page[0]["name"] == first, "a page is not the one named")
            entries += page
        names = [want(entry["name"], bytes) for entry in entries]
        need(names == sorted(set(names)), "the names of a directory ascend")
        return entries

    def content(self, entry: Record) -> Iterator[bytes]:  # F31
        need(entry["type"] == FILE, "only a file has content")
        payload, size = entry["payload"], want(entry["size"], int)
        need((payload is None) == (size == 0), "the size of an empty file")
        if isinstance(payload, bytes):
            yield from self._items(0, [[payload, size]], size)
        elif payload is not None:
            level, items = row(payload, 2)
            count = len(want(items, list))
            need(0 <= want(level, int) <= 8 and count <= 1024, "a content is too large")
            need(level or count > 1 or items == [size], "a list of one blob")
            yield from self._items(want(level, int), want(items, list), size)

    def _items(self, level: int, items: list[Value], size: int) -> Iterator[bytes]:
        runs = [isinstance(item, int) for item in items]
        need(1 <= len(items) <= 4096, "the number of items")
        need(not any(map(operator.and_, runs, runs[1:])), "two runs are neighbours")
        for item in items:
            hole = level == 0 and isinstance(item, int)
            blob, length = (None, item) if hole else row(item, 2)
            left = want(length, int)
            need(left > 0, "a length that is not positive")
            size -= left
            if hole:
                yield from (bytes(min(MIB, left - at)) for at in range(0, left, MIB))
                continue
            data = self.blob(want(blob, bytes), TREES if level else DATA)
            need(len(data) <= MIB if level else len(data) == left, "the length of a blob")
            yield from self._items(level - 1, want(unpack(data), list), left) if level else [data]
        need(size == 0, "the lengths of a content")

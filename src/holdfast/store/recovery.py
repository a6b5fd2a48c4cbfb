"""The recovery key: all that opens a repository, as text that can be printed and typed.

The text holds the secrets themselves and a copy of the settings, so it opens the repository even
when every key slot and the config are lost. Each line has a check of its own, over its number and
its content, by the code of the addresses of Bitcoin (BIP-173, BIP-350): a mistake in up to four
characters of a line never goes unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from holdfast.errors import DamagedRepository, UsageError
from holdfast.primitives import codec
from holdfast.primitives.chunker import ChunkerParams
from holdfast.primitives.compression import MAX_LEVEL, MIN_LEVEL
from holdfast.primitives.crypto import KEY_SIZE
from holdfast.primitives.hashing import digest
from holdfast.store.config import MAX_PACK_SIZE, MIN_PACK_SIZE, Settings
from holdfast.store.keys import EPOCH_LIMIT, REPOSITORY_ID_SIZE, Keys

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's: without I, L, O and U, which look like others or make words."""

_VALUES = {letter: value for value, letter in enumerate(ALPHABET)}
_VALUES |= {"O": 0, "I": 1, "L": 1}
_VALUES |= {letter.lower(): value for letter, value in _VALUES.items()}

_VERSION = 1
LINE_BYTES = 20
_DATA = LINE_BYTES * 8 // 5
_CHECK = 6
_DIGEST = 8
_LINES = 999
_MASTERS = 500
"""Most masters that it holds: the newest. They fill 800 lines; older ones are in the storage."""

_LINE = re.compile(r"[\s-]*(\d{1,3})[\s:.)-]+(\S.*)")

_HEADER = """\
# holdfast recovery key
#
# Whoever has this can read and change the whole repository without any password.
# Print it and keep it as safe as the data, but not in the same place.
#
# repository  {repository}
# epoch       {epoch}, a rotation of the keys makes this text useless
# made        {made}
#
# To open the repository with it, type the numbered lines into a file and give that with
# --recovery-key FILE. Upper and lower case, spaces and dashes do not matter, nor whether
# it is 0 or O, 1, I or L.
"""


@dataclass(frozen=True, slots=True)
class RecoveryKey:
    """What a recovery key holds.

    Attributes:
        keys: every key.
        settings: of the repository.
        created: when the text was made, nanoseconds since the epoch.
    """

    keys: Keys
    settings: Settings
    created: int


def encode_recovery(recovery: RecoveryKey) -> str:
    """The text of a recovery key, with as many masters of older epochs as it has room for.

    Raises:
        DamagedRepository: what was made cannot be read back: this machine is faulty.
    """
    masters = [recovery.keys.master]
    while (before := recovery.keys.epoch - len(masters)) in recovery.keys.older:
        if len(masters) == _MASTERS:
            break
        masters.append(recovery.keys.older[before])
    text = _text_of(recovery, masters)
    older = {recovery.keys.epoch - number: each for number, each in enumerate(masters) if number}
    if decode_recovery(text) != replace(recovery, keys=replace(recovery.keys, older=older)):
        raise DamagedRepository("keys/", "the recovery key cannot be read back", "try again")
    return text


def _text_of(recovery: RecoveryKey, masters: list[bytes]) -> str:
    keys, settings = recovery.keys, recovery.settings
    chunker = settings.chunker
    record = codec.pack(
        [
            _VERSION,
            keys.repository,
            keys.dedup,
            keys.epoch,
            keys.oldest,
            keys.config,
            b"".join(masters),
            [chunker.name, chunker.min_size, chunker.avg_size, chunker.max_size],
            settings.pack_size,
            settings.compression,
            recovery.created,
        ]
    )
    body = len(record).to_bytes(2, "big") + record
    body += digest(body)[:_DIGEST]
    body += bytes(-len(body) % LINE_BYTES)
    made = datetime.fromtimestamp(recovery.created // 1_000_000_000, UTC)
    header = _HEADER.format(
        repository=keys.repository.hex(), epoch=keys.epoch, made=f"{made:%Y-%m-%d %H:%M} UTC"
    )
    lines = (
        _encode_line(number, body[start : start + LINE_BYTES])
        for number, start in enumerate(range(0, len(body), LINE_BYTES), start=1)
    )
    return "\n".join((header, *lines, ""))


def decode_recovery(text: str) -> RecoveryKey:
    """What the text of a recovery key holds; lines that begin with ``#`` say nothing.

    Raises:
        UsageError: it is mistyped, and in which line; or it is no recovery key.
    """
    body = b"".join(_decode_lines(text))
    size = int.from_bytes(body[:2], "big") + 2
    if not body or len(body) < size + _DIGEST:
        count = len(body) // LINE_BYTES
        raise UsageError(f"the recovery key is not complete: line {count + 1} is missing")
    record, check = body[:size], body[size : size + _DIGEST]
    if digest(record)[:_DIGEST] != check or len(body) - len(record) - _DIGEST >= LINE_BYTES:
        raise UsageError("the lines are not all of one recovery key")
    try:
        return _parse(codec.unpack(record[2:]))
    except ValueError:
        raise UsageError(
            "this is a recovery key that this holdfast does not know: use a newer version"
        ) from None


def _parse(record: object) -> RecoveryKey:
    match record:
        case (
            1,
            bytes(repository),
            bytes(dedup),
            int(epoch),
            int(oldest),
            int(config),
            bytes(masters),
            (str(name), int(low), int(avg), int(high)),
            int(pack_size),
            int(level),
            int(created),
        ) if (
            len(repository) == REPOSITORY_ID_SIZE
            and len(dedup) == KEY_SIZE
            and 0 <= oldest <= epoch < EPOCH_LIMIT
            and 0 < len(masters) <= KEY_SIZE * (epoch + 1)
            and len(masters) % KEY_SIZE == 0
            and MIN_PACK_SIZE <= pack_size <= MAX_PACK_SIZE
            and MIN_LEVEL <= level <= MAX_LEVEL
        ):
            settings = Settings(ChunkerParams(name, low, avg, high), pack_size, level)
        case _:
            raise ValueError("not what a recovery key holds")
    master, *others = (masters[at : at + KEY_SIZE] for at in range(0, len(masters), KEY_SIZE))
    older = {epoch - number: each for number, each in enumerate(others, start=1)}
    return RecoveryKey(
        Keys(repository, epoch, dedup, master, older, oldest, config), settings, created
    )


def _encode_line(number: int, data: bytes) -> str:
    value = int.from_bytes(data, "big")
    values = [value >> 5 * place & 31 for place in reversed(range(_DATA))]
    text = "".join(ALPHABET[each] for each in values)
    groups = " ".join(text[at : at + 4] for at in range(0, _DATA, 4))
    check = "".join(ALPHABET[each] for each in _check(number, values))
    return f"{number:2}  {groups}  {check}"


def _decode_lines(text: str) -> Iterator[bytes]:
    expected = 0
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        expected += 1
        if expected > _LINES:
            raise UsageError("this is no recovery key: it has too many lines")
        yield _decode_line(expected, stripped)


def _decode_line(number: int, line: str) -> bytes:
    match = _LINE.fullmatch(line)
    if match is None:
        raise UsageError(f"line {number} of the recovery key does not begin with its number")
    if int(match[1]) != number:
        raise UsageError(f"line {number} of the recovery key is missing, or its number is mistyped")
    letters = re.sub(r"[\s-]", "", match[2])
    unknown = next((letter for letter in letters if letter not in _VALUES), None)
    if unknown is not None:
        raise UsageError(
            f"line {number} of the recovery key is mistyped: it can have no {unknown!r}"
        )
    if len(letters) != _DATA + _CHECK:
        raise UsageError(
            f"line {number} of the recovery key is mistyped: it has {len(letters)} characters "
            f"after its number and not {_DATA + _CHECK}"
        )
    values = [_VALUES[letter] for letter in letters]
    if _check(number, values[:_DATA]) != values[_DATA:]:
        raise UsageError(f"line {number} of the recovery key is mistyped")
    data = 0
    for value in values[:_DATA]:
        data = data << 5 | value
    return data.to_bytes(LINE_BYTES, "big")


_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_FINAL = 0x2BC830A3


def _check(number: int, values: list[int]) -> list[int]:
    """The six check characters of a line: bech32m over its number and its content."""
    state = 1
    for value in (number >> 5, number & 31, *values, *[0] * _CHECK):
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            if top >> bit & 1:
                state ^= generator
    state ^= _FINAL
    return [state >> 5 * place & 31 for place in reversed(range(_CHECK))]

"""Changing inputs: bytes, texts, and values within msgpack and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol, TypeAlias

import msgpack

Words: TypeAlias = Sequence[str | int]


class Mutator(Protocol):
    """Changes an input a little."""

    def __call__(self, data: bytes, other: bytes, words: Words, draw: Random) -> bytes:
        """The input, changed.

        Args:
            data: the input.
            other: one to take parts from.
            words: what the code compares with.
            draw: makes all choices.
        """


NUMBERS = (
    0, 1, -1, 2, 7, 15, 16, 31, 32, 33, 64, 127, 128, 255, 256, 1000, 4095, 4096, 4097, 65535,
    65536, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 53) + 1, (1 << 63) - 1,
    1 << 63, (1 << 64) - 1, -128, -(1 << 31), -(1 << 63), 10**18, 1_700_000_000_000_000_000,
)  # fmt: skip

PIECES = (
    "", "/", "//", ".", "..", "*", "**", "?", "[", "]", "[!", "[a-z]", "\\", "!", "#", ":", "::",
    "://", ",", ";", "=", "&", "%", "%00", "%2e", "@", "~", "$", "${", "}", "{", "'", '"', "-",
    "--", "+", "_", " ", "\t", "\n", "\r\n", "\0", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u202e",
    "\ufeff", "é", "e\u0301", "\u212a", "\u017f", "\u0130", "\u0663", "\u00b2", "\U0001d7d9",
    "\U0010ffff", "\udc80", "\udcff",
    "0", "00", "-1", "1e9", "1e999", "nan", "inf", "0x10", "1_000", "9" * 20, "9" * 400, "9" * 5000,
    "1.5", "null", "true", "None", "2026-02-29", "9999-12-31T23:59:59", "0001-01-01",
)  # fmt: skip


# Bytes


def mutate_bytes(  # noqa: PLR0911 - one for each way
    data: bytes, other: bytes, words: Words, draw: Random
) -> bytes:
    """Change some bytes."""
    place = draw.randrange(len(data) + 1)
    end = min(len(data), place + draw.choice((1, 1, 2, 4, 8, 32, 200)))
    front, middle, back = data[:place], data[place:end], data[end:]
    match draw.randrange(8):
        case 0:
            flipped = bytes(each ^ 1 << draw.randrange(8) for each in middle[:1])
            return front + flipped + middle[1:] + back
        case 1:
            return front + back
        case 2:
            return front + middle * draw.choice((2, 2, 3, 50)) + back
        case 3:
            return front + _number(draw) + data[place + draw.choice((0, 1, 2, 4, 8)) :]
        case 4:
            return front + draw.randbytes(len(middle)) + back
        case 5:
            word = draw.choice(words) if words else ""
            return front + str(word).encode("utf-8", "surrogateescape") + back
        case 6:
            start = draw.randrange(len(other) + 1)
            return front + other[start : start + draw.choice((4, 32, 1000))] + back
        case _:
            return data[:place]


def _number(draw: Random) -> bytes:
    size = draw.choice((1, 2, 4, 4, 8))
    number = draw.choice(NUMBERS) & ((1 << 8 * size) - 1)
    return number.to_bytes(size, draw.choice(("little", "little", "big")))


# Texts


def mutate_text(data: bytes, other: bytes, words: Words, draw: Random) -> bytes:
    """Change some characters."""
    text = data.decode("utf-8", "surrogateescape")
    others = other.decode("utf-8", "surrogateescape")
    return _text(text, others, words, draw).encode("utf-8", "surrogateescape")


def _text(  # noqa: PLR0911 - one for each way
    text: str, other: str, words: Words, draw: Random
) -> str:
    place = draw.randrange(len(text) + 1)
    end = min(len(text), place + draw.choice((0, 1, 1, 2, 5, 20)))
    front, middle, back = text[:place], text[place:end], text[end:]
    match draw.randrange(7):
        case 0:
            return front + draw.choice(PIECES) + back
        case 1:
            return front + str(draw.choice(words) if words else "") + back
        case 2:
            return front + back
        case 3:
            return front + middle * draw.choice((2, 3, 20, 1000)) + back
        case 4:
            return front + (chr(ord(middle[0]) ^ 1 << draw.randrange(7)) if middle else "") + back
        case 5:
            start = draw.randrange(len(other) + 1)
            return front + other[start : start + draw.choice((3, 10, 100))] + back
        case _:
            return front + str(draw.choice(NUMBERS)) + back


# Values


def mutate_msgpack(data: bytes, other: bytes, words: Words, draw: Random) -> bytes:
    """Change a value in a msgpack record, or some bytes of it."""
    if draw.random() < 1 / 8:
        return mutate_bytes(data, other, words, draw)
    try:
        value, others = _unpacked(data), _unpacked(other)
        return bytes(msgpack.packb(_value(value, others, words, draw), unicode_errors="replace"))
    except _NOT_MSGPACK:
        return mutate_bytes(data, other, words, draw)


def mutate_tree(data: bytes, other: bytes, words: Words, draw: Random) -> bytes:
    """Change something in one of several records in a record, or in that."""
    try:
        blobs, others = _unpacked(data), _unpacked(other)
    except _NOT_MSGPACK:
        blobs = others = None
    if not isinstance(blobs, list) or not blobs or draw.random() < 1 / 8:
        return mutate_msgpack(data, other, words, draw)
    place = draw.randrange(len(blobs))
    before = blobs[place]
    if not isinstance(before, bytes):
        return mutate_msgpack(data, other, words, draw)
    pieces = (
        [each for each in others if isinstance(each, bytes)] if isinstance(others, list) else []
    )
    blobs[place] = mutate_msgpack(before, draw.choice(pieces or [before]), words, draw)
    return bytes(msgpack.packb(blobs, unicode_errors="replace"))


_NOT_MSGPACK = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)


def _unpacked(data: bytes) -> object:
    found: object = msgpack.unpackb(data, strict_map_key=False, unicode_errors="replace")
    return found


def mutate_json(data: bytes, other: bytes, words: Words, draw: Random) -> bytes:
    """Change a value in JSON, or some characters of it."""
    if draw.random() < 1 / 8:
        return mutate_text(data, other, words, draw)
    try:
        value, others = json.loads(data), json.loads(other)
        return json.dumps(_value(value, others, words, draw)).encode()
    except (ValueError, TypeError, RecursionError):
        return mutate_text(data, other, words, draw)


def mutate_arguments(data: bytes, other: bytes, words: Words, draw: Random) -> bytes:
    """Change a JSON array of texts, which are the words of a command line."""
    arguments, others = json.loads(data), json.loads(other)
    place = draw.randrange(len(arguments) + 1)
    match draw.randrange(6):
        case 0:
            arguments.insert(place, str(draw.choice(words)))
        case 1:
            arguments[place : place + 1] = []
        case 2:
            arguments[place : place + 1] = [str(draw.choice(words))]
        case 3:
            arguments[place:place] = others[draw.randrange(len(others) + 1) :]
        case 4 if place < len(arguments):
            arguments[place] = _text(arguments[place], " ".join(others), words, draw)
        case _:
            draw.shuffle(arguments)
    return json.dumps(arguments[:12]).encode()


def _value(value: object, other: object, words: Words, draw: Random) -> object:
    """A value with one change somewhere in it."""
    match value:
        case dict() if value and draw.random() < 3 / 4:
            key = draw.choice(list(value))
            return {**value, key: _value(value[key], other, words, draw)}
        case list() if value and draw.random() < 3 / 4:
            place = draw.randrange(len(value))
            return [
                *value[:place],
                _value(value[place], other, words, draw),
                *value[place + 1 :],
            ]
        case dict():
            return _map(value, other, words, draw)
        case list():
            return _list(value, other, words, draw)
        case _ if draw.random() < 1 / 4:
            return _any(value, other, words, draw)
        case _:
            return _leaf(value, other, words, draw)


def _map(
    value: dict[object, object], other: object, words: Words, draw: Random
) -> dict[object, object] | object:
    match draw.randrange(4):
        case 0 if value:
            gone = draw.choice(list(value))
            return {key: each for key, each in value.items() if key != gone}
        case 1:
            return {**value, str(draw.choice(words or [""])): _any(value, other, words, draw)}
        case 2 if isinstance(other, dict):
            return {**value, **dict(draw.sample(list(other.items()), min(len(other), 2)))}
        case _:
            return _any(value, other, words, draw)


def _list(value: list[object], other: object, words: Words, draw: Random) -> object:
    place = draw.randrange(len(value) + 1)
    match draw.randrange(5):
        case 0:
            return value[:place] + value[place + 1 :]
        case 1:
            return (
                value[:place] + value[place : place + 1] * draw.choice((2, 3, 40)) + value[place:]
            )
        case 2:
            return [*value[:place], _any(value, other, words, draw), *value[place:]]
        case 3:
            return draw.sample(value, len(value))
        case _:
            return _any(value, other, words, draw)


def _any(value: object, other: object, words: Words, draw: Random) -> object:
    """A value of any type."""
    makers: tuple[Callable[[], object], ...] = (
        lambda: draw.choice(NUMBERS),
        lambda: draw.choice(PIECES),
        lambda: draw.choice(words or [""]),
        lambda: draw.choice((None, True, False, 1.5, float("nan"), float("inf"), -0.0)),
        lambda: draw.choice(([], {}, [[]], {"": {}})),
        lambda: draw.choice((b"", bytes(32), draw.randbytes(32), b"..", b"a/b")),
        lambda: [value] * draw.choice((1, 2)),
        lambda: {str(draw.choice(words or [""])): value},
        lambda: other,
        lambda: nested(draw.choice((5, 31, 32, 33, 200))),
    )
    return draw.choice(makers)()


def nested(depth: int) -> object:
    """Lists in one another."""
    value: object = []
    for _ in range(depth):
        value = [value]
    return value


def _leaf(value: object, other: object, words: Words, draw: Random) -> object:
    match value:
        case bool() | None:
            return not value
        case int():
            return draw.choice((value + 1, value - 1, -value, value * 2, draw.choice(NUMBERS)))
        case str():
            return _text(value, other if isinstance(other, str) else value, words, draw)
        case bytes():
            others = other if isinstance(other, bytes) else value
            return mutate_bytes(value, others, words, draw)
        case _:
            return _any(value, other, words, draw)

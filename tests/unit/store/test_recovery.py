"""The recovery key as text: what is typed comes back, and every mistake is found and placed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.errors import UsageError
from holdfast.primitives import codec
from holdfast.primitives.hashing import digest
from holdfast.store.keys import Keys
from holdfast.store.recovery import (
    ALPHABET,
    LINE_BYTES,
    RecoveryKey,
    _encode_line,
    decode_recovery,
    encode_recovery,
)
from holdfast.testing.repositories import SETTINGS

KEYS = Keys(bytes(range(16)), 0, b"d" * 32, b"m" * 32)
ROTATED = Keys(KEYS.repository, 3, KEYS.dedup, b"3" * 32, {2: b"2" * 32, 1: b"1" * 32}, 2, 7)
RECOVERY = RecoveryKey(KEYS, SETTINGS, 1_700_000_000_000_000_000)


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_what_is_printed_comes_back() -> None:
    for keys in (KEYS, ROTATED, replace(KEYS, config=999_999_999)):
        recovery = replace(RECOVERY, keys=keys)
        assert decode_recovery(encode_recovery(recovery)) == recovery


@pytest.mark.parametrize(
    ("number", "shown", "check"),
    [(1, " 1", "WP6GY6"), (32, "32", "SRBC8F"), (33, "33", "J6W754"), (999, "999", "HWAG32")],
)
def test_what_is_on_paper_is_read_for_ever(number: int, shown: str, check: str) -> None:
    line = f"{shown}  000G 40R4 0M30 E209 185G R38E 1W81 24GK  {check}"
    assert _encode_line(number, bytes(range(20))) == line


def test_a_gap_in_the_older_keys_ends_them() -> None:
    keys = replace(ROTATED, older={2: b"2" * 32, 0: b"0" * 32})
    found = decode_recovery(encode_recovery(replace(RECOVERY, keys=keys)))
    assert found.keys.older == {2: b"2" * 32}


def test_of_many_older_keys_the_newest_are_in_it() -> None:
    older = {epoch: epoch.to_bytes(32, "big") for epoch in range(700)}
    keys = replace(KEYS, epoch=700, older=older)
    text = encode_recovery(replace(RECOVERY, keys=keys))
    found = decode_recovery(text).keys
    assert found.master == KEYS.master
    assert found.older == {epoch: older[epoch] for epoch in range(201, 700)}


def test_the_header_says_what_it_is_and_holds_nothing_secret() -> None:
    text = encode_recovery(replace(RECOVERY, keys=ROTATED))
    header = [line for line in text.splitlines() if line.startswith("#")]
    assert KEYS.repository.hex() in text
    assert "epoch       3" in text
    assert "2023-11-14 22:13 UTC" in text
    assert decode_recovery("\n".join(lines_of(text))).keys == ROTATED
    assert max(map(len, text.splitlines())) <= 90
    assert text.isascii()
    assert header


@pytest.mark.parametrize(
    "typed",
    [
        str.lower,
        lambda text: text.replace(" ", "-").replace("--", "  "),
        lambda text: "\r\n\r\n".join(f"   {line}  " for line in text.split("\n")),
        lambda text: "\n".join(
            f"{number}: {line[4:].replace('0', 'O').replace('1', 'l').replace(' ', '')}"
            for number, line in enumerate(text.split("\n"), start=1)
        ),
    ],
)
def test_how_it_is_typed_does_not_matter(typed: object) -> None:
    assert callable(typed)
    text = "\n".join(lines_of(encode_recovery(RECOVERY)))
    assert decode_recovery(typed(text)) == RECOVERY


def test_every_single_mistyped_letter_is_found_and_placed() -> None:
    text = lines_of(encode_recovery(RECOVERY))
    for number, line in enumerate(text, start=1):
        for place, letter in enumerate(line):
            if letter not in ALPHABET:
                continue
            other = ALPHABET[(ALPHABET.index(letter) + 1 + place) % 32]
            if other == letter:
                continue
            wrong = [*text]
            wrong[number - 1] = line[:place] + other + line[place + 1 :]
            with pytest.raises(UsageError, match=rf"line {number}\b"):
                decode_recovery("\n".join(wrong))


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (lambda lines: lines[:0], "line 1 is missing"),
        (lambda lines: lines[:-1], "line 7 is missing"),
        (lambda lines: lines[1:], "line 1 of"),
        (lambda lines: [lines[0], *lines[2:]], "line 2 of"),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "line 2 of"),
        (lambda lines: [lines[0], lines[0].replace("1 ", "2 ", 1), *lines[2:]], "line 2 of"),
        (lambda lines: [lines[0][:-1], *lines[1:]], "37 characters"),
        (lambda lines: [lines[0] + "A", *lines[1:]], "39 characters"),
        (lambda lines: [lines[0][:-1] + "U", *lines[1:]], "no 'U'"),
        (lambda lines: [lines[0][:-1] + "\u0661", *lines[1:]], "line 1 .* no"),
        (lambda lines: ["hello", *lines], "line 1 .* begin with its number"),
        (lambda lines: [*lines, *lines], "line 8 "),
        (lambda lines: [lines[0]] * 2000, "line 2 "),
        (lambda lines: [*lines, _encode_line(8, bytes(20))], "not all of one"),
    ],
)
def test_mistakes_with_lines_are_found_and_placed(wrong: object, problem: str) -> None:
    assert callable(wrong)
    lines = lines_of(encode_recovery(RECOVERY))
    assert len(lines) == 7
    with pytest.raises(UsageError, match=problem):
        decode_recovery("\n".join(wrong(lines)))


def test_lines_of_two_recovery_keys_do_not_go_together() -> None:
    first = lines_of(encode_recovery(RECOVERY))
    second = lines_of(encode_recovery(replace(RECOVERY, keys=replace(KEYS, dedup=b"e" * 32))))
    mixed = [one if number % 2 else two for number, (one, two) in enumerate(zip(first, second))]  # noqa: B905 - equally long
    with pytest.raises(UsageError, match="not all of one"):
        decode_recovery("\n".join(mixed))


def text_of(record: object) -> str:
    packed = codec.pack(record)
    body = len(packed).to_bytes(2, "big") + packed
    body += digest(body)[:8]
    body += bytes(-len(body) % LINE_BYTES)
    return "\n".join(
        _encode_line(number, body[at : at + LINE_BYTES])
        for number, at in enumerate(range(0, len(body), LINE_BYTES), start=1)
    )


GOOD: list[object] = [
    1, bytes(16), bytes(32), 1, 0, 2, bytes(64), ["pyfastcdc", 256, 1024, 4096], 1 << 20, 3, 1,
]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 2), (1, b""), (2, bytes(31)), (3, 1 << 32), (3, 0), (4, 2), (4, -1), (5, "2"),
        (6, bytes(96)), (6, b""), (6, bytes(33)), (7, ["pyfastcdc", 256, 1024]), (8, 0), (9, 23),
    ],
)  # fmt: skip
def test_what_is_no_recovery_key_of_this_version_is_refused(place: int, value: object) -> None:
    assert decode_recovery(text_of(GOOD)).keys.older == {0: bytes(32)}
    with pytest.raises(UsageError, match="newer version"):
        decode_recovery(text_of([*GOOD[:place], value, *GOOD[place + 1 :]]))


def test_a_chunker_that_we_do_not_have_is_named() -> None:
    with pytest.raises(UsageError, match="rabin"):
        decode_recovery(text_of([*GOOD[:7], ["rabin", 256, 1024, 4096], *GOOD[8:]]))

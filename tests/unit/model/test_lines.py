from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import repeat

import pytest

from holdfast.errors import UsageError
from holdfast.model.lines import (
    Bounds,
    Line,
    LinePattern,
    needed_text,
    search_lines,
    within_lines,
)


def found(data: bytes, pattern: str | bytes, bounds: Bounds | None = None) -> list[Line]:
    return list(search_lines([data], LinePattern(pattern), bounds=bounds or Bounds()))


def test_numbers_text_and_spans() -> None:
    assert found(b"one\ntwo two\r\n\nthree", "t[a-z]+") == [
        Line(2, "two two", ((0, 3), (4, 7))),
        Line(4, "three", ((0, 5),)),
    ]


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "[z-a]", b"(?P<a>x)(?P<a>y)"])
def test_what_is_no_pattern_is_refused(pattern: str | bytes) -> None:
    with pytest.raises(UsageError, match="is no regular expression"):
        LinePattern(pattern)


def test_the_end_of_a_line_is_no_part_of_it() -> None:
    assert [line.number for line in found(b"a\r\nb\n\nc", "^.$")] == [1, 2, 4]
    assert [line.number for line in found(b"a\n\n", "^$")] == [2]
    assert found(b"", "") == []
    assert found(b"a\nb\n", r"a\s+b|a.b|\n|\Aa\Zb") == []


def test_text_patterns_are_utf_8() -> None:
    assert found("für\n".encode(), "ü") == [Line(1, "für", ((1, 2),))]
    assert found("für\n".encode(), "^f..r$") == [Line(1, "für", ((0, 3),))]
    assert found(b"f\xfcr\n", b"\xfc") == [Line(1, "f\ufffdr", ((1, 2),))]


def test_a_long_line_is_shown_around_its_first_match() -> None:
    data = b"." * 9000 + b"needle" + b"." * 9000 + b"needle"
    [line] = found(data, "needle")
    assert line.cut
    assert len(line.text) == Bounds().shown
    [(begin, end)] = line.spans
    assert line.text[begin:end] == "needle"


def test_a_line_that_never_ends_takes_little_memory_and_is_given_once() -> None:
    piece = b"x" * 100_000
    pieces = (*repeat(piece, 40), b"needle", *repeat(piece, 40), b"needle\nneedle")
    assert [(line.number, line.cut) for line in search_lines(pieces, LinePattern("needle"))] == [
        (1, True),
        (2, False),
    ]


def test_a_match_across_a_cut_is_found() -> None:
    bounds = Bounds(longest=100, overlap=10, shown=50, probe=10)
    for place in range(80, 320):
        [line] = found(b"." * place + b"0123456789" + b"." * 300, "0123456789", bounds)
        assert line.cut


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r\r\n"])
def test_lines_about_as_long_as_the_longest(end: bytes) -> None:
    bounds = Bounds(longest=8, overlap=3, shown=100, probe=4)
    for length in range(6, 30):
        data = b"x" * length + b"a" + end + b"a" * bool(end)
        content = data.split(b"\n", maxsplit=1)[0].removesuffix(b"\r" * end.endswith(b"\r\n"))
        lines = found(data, "a", bounds)
        assert [line.cut for line in lines] == [len(content) > 8, False][: 1 + bool(end)]
        assert [line.number for line in lines] == [1, 2][: 1 + bool(end)]
        for place in range(len(data)):
            pieces = [data[:place], data[place:]]
            assert list(search_lines(pieces, LinePattern("a"), bounds=bounds)) == lines
            for pattern in ("^xxa$", "^xa"):
                same = list(search_lines(pieces, LinePattern(pattern), bounds=bounds))
                assert same == found(data, pattern, bounds)


def test_what_follows_a_hole_is_in_the_same_pieces() -> None:
    bounds = Bounds(longest=8, overlap=3, shown=100, probe=4)
    for size in range(1, 60):
        pieces: list[bytes | int] = [b"x", size, b"abcdefgh"]
        whole = [b"x" + bytes(size) + b"abcdefgh"]
        searched = LinePattern("c")
        [line] = search_lines(pieces, searched, text=True, bounds=bounds)
        assert [line] == list(search_lines(whole, searched, text=True, bounds=bounds))


def test_a_hole_of_any_size_is_quick() -> None:
    start = time.thread_time()  # of this thread: others may keep it waiting
    pieces: list[bytes | int] = [b"a\n", 1 << 50, b"\nneedle"]
    [line] = search_lines(pieces, LinePattern("needle"), text=True)
    assert line.number == 3
    assert time.thread_time() - start < 2


def test_a_binary_file_is_given_up_at_its_first_match() -> None:
    taken: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(9):
            taken.append(number)
            yield b"\0needle\n" + bytes(300_000)

    assert list(search_lines(pieces(), LinePattern("needle"))) == [Line(0)]
    assert taken == [0]
    assert list(search_lines(pieces(), LinePattern("nothing"))) == []
    late = b"x" * Bounds().probe + b"\0\nneedle"
    assert [line.number for line in found(late, "needle")] == [2]


@pytest.mark.parametrize(
    ("pattern", "rewritten"),
    [
        (rb"a.b", rb"a.b"),
        (rb"[^a]", rb"[^\na]"),
        (rb"[^]a-]", rb"[^\n\]a-]"),
        (rb"[^-a]", rb"[^\n\-a]"),
        (rb"\s+\W", rb"[^\S\n]+[^\w\n]"),
        (rb"(?:a|b){2,3}?\.", rb"(?:a|b){2,3}?\."),
        (rb"[]x]+", rb"[]x]+"),
        (rb"a*+", None),
        (rb"(?=a)", None),
        (rb"(?i)a", None),
        (rb"\A", None),
        (rb"[\s]", None),
        (rb"[\t-a]", None),
        (rb"(a)\1", None),
        (rb"(?>a)", None),
    ],
)
def test_how_a_pattern_is_kept_within_lines(pattern: bytes, rewritten: bytes | None) -> None:
    assert within_lines(pattern) == rewritten


@pytest.mark.parametrize(
    ("pattern", "needed"),
    [
        (rb"^error: .*time", b"error: "),
        (rb"\bab\.c+", b"ab."),
        (rb"a{2}bc?d", b""),
        (rb"ab|cd", b""),
        (rb"(?:abc)?de(fgh)", b"de"),
        (rb"[abc]\wd", b""),
    ],
)
def test_the_text_that_every_match_has(pattern: bytes, needed: bytes) -> None:
    assert needed_text(pattern) == needed


def test_text_of_any_case() -> None:
    assert [line.number for line in found_any_case(b"x\nABc\nabC.\n", "abc")] == [2, 3]
    assert [line.text for line in found_any_case(b"x\nABcd\nabC.\n", r"abc\.")] == ["abC."]


def found_any_case(data: bytes, pattern: str) -> list[Line]:
    return list(search_lines([data], LinePattern(pattern, ignore_case=True)))


def test_a_pattern_that_could_run_over_many_lines_stays_quick() -> None:
    data = b'key: "value\n' * 20_000
    start = time.thread_time()
    assert found(data, rb'[^"]*=') == []
    assert found(data, rb"\s*=") == []
    assert time.thread_time() - start < 2


def test_a_match_inside_a_character_has_no_span() -> None:
    data = "ä".encode()
    pattern = LinePattern(rb"\xa4")
    assert list(search_lines([data], pattern)) == [Line(1, "ä", ())]
    assert list(search_lines([data], LinePattern(rb"\xc3"))) == [Line(1, "ä", ((0, 1),))]

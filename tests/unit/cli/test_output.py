"""Standard output is one JSON document, whatever happens half-way."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output, complain


def document(capsys: pytest.CaptureFixture[str]) -> object:
    return json.loads(capsys.readouterr().out)


def test_a_document_all_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).document({"a": 1, "b": ["x\udcff\x1b"], "c": None})
    text = capsys.readouterr().out
    assert text.isascii()
    assert json.loads(text) == {"a": 1, "b": ["x\udcff\x1b"], "c": None}


def test_a_document_in_pieces(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(json=True)
    with output.streamed():
        output.field("before", "x")
        output.array("items", iter([{"n": 1}, {"n": 2}]))
        output.array("none", [])
    assert document(capsys) == {"before": "x", "items": [{"n": 1}, {"n": 2}], "none": []}


def test_an_empty_document(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(json=True).streamed():
        pass
    assert document(capsys) == {}


@pytest.mark.parametrize("good", [0, 1, 3])
def test_a_document_that_fails_half_way_says_so(
    capsys: pytest.CaptureFixture[str], good: int
) -> None:
    def items() -> Iterator[int]:
        yield from range(good)
        raise ZeroDivisionError

    output = Output(json=True)
    with pytest.raises(ZeroDivisionError), output.streamed():
        output.array("items", items())
    output.fail("Kind", "what happened", ExitCode.FAILED)
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "items": list(range(good)),
        "error": {"type": "Kind", "message": "what happened", "exit_code": 1},
    }
    assert told.err == "holdfast: error: what happened\n"


def test_failures_for_people_leave_standard_output_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output().fail("Kind", "first\nsecond \x1b", ExitCode.FAILED)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "holdfast: error: first\n  second \\x1b\n")


def test_summaries_are_escaped_and_can_be_silenced(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.summary("made \x1b[31mred")
    assert capsys.readouterr().out == "made \\x1b[31mred\n"
    output.quiet = True
    output.summary("made")
    assert capsys.readouterr().out == ""


def test_a_complaint_without_words_is_still_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain("warning", "")
    assert capsys.readouterr().err == "holdfast: warning: \n"

"""Log records and warnings of the library become lines on standard error."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator

import pytest

from holdfast.cli.logs import set_up


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, show = root.handlers, root.level, warnings.showwarning
    yield
    root.handlers, warnings.showwarning = handlers, show
    root.setLevel(level)


def test_records_are_lines_that_do_a_terminal_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(logging.WARNING)
    log = logging.getLogger("holdfast.store")
    log.info("not told")
    log.warning("%s is \x1b[31mred", "it")
    assert capsys.readouterr().err == "holdfast: warning: it is \\x1b[31mred\n"


def fail() -> None:
    raise ZeroDivisionError


def test_debugging_tells_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(logging.DEBUG)
    try:
        fail()
    except ZeroDivisionError:
        logging.getLogger("holdfast.store").debug("look", exc_info=True)
    told = capsys.readouterr().err
    assert told.startswith("holdfast: debug: [holdfast.store] look\nTraceback")
    assert "ZeroDivisionError" in told


def test_tracebacks_are_for_debugging_only(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(logging.INFO)
    try:
        fail()
    except ZeroDivisionError:
        logging.getLogger("holdfast.store").exception("look")
    assert capsys.readouterr().err == "holdfast: error: look\n"


def test_what_other_libraries_log_may_hold_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    library = logging.getLogger("botocore.auth")
    set_up(logging.INFO)
    library.warning("a problem")
    assert capsys.readouterr().err == ""
    set_up(logging.DEBUG)
    library.debug("x-amz-security-token: secret")
    library.warning("a problem")
    assert capsys.readouterr().err == "holdfast: warning: a problem\n"


def test_warnings_of_python_are_told_as_ours(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        set_up(logging.WARNING)
        warnings.warn("the chunker is slow", RuntimeWarning, stacklevel=1)
    assert capsys.readouterr().err == "holdfast: warning: the chunker is slow\n"

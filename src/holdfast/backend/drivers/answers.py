"""What a store said when something failed, whichever library tells it."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ssl import SSLCertVerificationError, SSLError
from typing import NamedTuple

from holdfast.clock import SYSTEM_CLOCK

_LIBRARIES = ("aiohttp", "aiobotocore", "azure", "botocore", "google", "paramiko", "requests")
"""Libraries below drivers, whose errors that are no answer mean that there was none."""
_GARBLED = "aiohttp.http_exceptions"
"""Where errors of aiohttp come from of what is no answer; they, and those that they are the cause
of, carry a status which no store has sent."""
_TRANSPORT = re.compile(
    r"(?i)timeout|connect|closed|incomplete|payload|httpclient|clientos|servicere(quest|sponse)|"
    r"responseparser|ssh|transport"
)
_UNREACHABLE = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EPIPE,
        errno.ETIMEDOUT,
    }
)
_MOST = 10
"""Errors of a chain of causes that are looked at."""


class Answer(NamedTuple):
    """What is known of a failed request.

    Attributes:
        status: of HTTP (RFC 9110, section 15); 0 when there was no answer.
        code: the store's own word for it, such as ``NoSuchBucket``; may be empty.
        retry_after: seconds that it asks to wait (RFC 9110, section 10.2.3); None when it does not.
    """

    status: int
    code: str
    retry_after: float | None


def answer_in(error: BaseException) -> Answer | None:
    """The store's answer that an error or one of its causes tells of; None when none does."""
    for each in _chain(error):
        if _is_garbled(each) or _is_garbled(each.__cause__):
            continue
        status, code = _status(each)
        if status:
            return Answer(status, code, _retry_after(each))
    return None


def is_transport(error: BaseException) -> bool:
    """Whether an error tells that an answer never came, or not whole."""
    return any(_is_transport(each) for each in _chain(error))


def _is_transport(error: BaseException) -> bool:
    if isinstance(error, TimeoutError | ConnectionError | EOFError) or _is_garbled(error):
        return True
    if isinstance(error, SSLError) and not isinstance(error, SSLCertVerificationError):
        return True
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return True
    kind = type(error)
    is_theirs = kind.__module__.partition(".")[0] in _LIBRARIES
    return is_theirs and _TRANSPORT.search(kind.__name__) is not None


def _is_garbled(error: BaseException | None) -> bool:
    return type(error).__module__ == _GARBLED


def _chain(error: BaseException) -> Iterator[BaseException]:
    each: BaseException | None = error
    for _ in range(_MOST):
        if each is None:
            return
        yield each
        # Beyond a suppressed context is what was handled when this one was raised: another request.
        each = each.__cause__ if each.__suppress_context__ else each.__context__


def _status(error: BaseException) -> tuple[int, str]:
    response: object = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore
        return _of_botocore(response)
    for name in ("status_code", "status", "code"):  # azure, aiohttp, gcsfs
        status: object = getattr(error, name, None)
        if isinstance(status, str) and status.isdecimal():
            status = int(status)
        if isinstance(status, int) and status >= 300:  # noqa: PLR2004 - RFC 9110: no success
            code: object = getattr(error, "error_code", None) or getattr(error, "reason", None)
            return status, str(getattr(code, "value", code) or "")
    return 0, ""


def _of_botocore(response: Mapping[object, object]) -> tuple[int, str]:
    match response:
        case {"ResponseMetadata": {"HTTPStatusCode": int(status)}, "Error": {"Code": code}}:
            return status, str(code)
        case {"Error": {"Code": code}}:
            return 500, str(code)
        case _:
            return 0, ""


def _retry_after(error: BaseException) -> float | None:
    response: object = getattr(error, "response", None)
    match response:
        case {"ResponseMetadata": {"HTTPHeaders": headers}}:
            pass
        case _:
            headers = getattr(response, "headers", None) or getattr(error, "headers", None)
    if not isinstance(headers, Mapping):
        return None
    told = headers.get("retry-after") or headers.get("Retry-After")
    try:
        seconds = float(str(told))
    except ValueError:
        return _until(told, headers.get("date") or headers.get("Date"))
    return seconds if seconds >= 0 else None


def _until(told: object, sent: object) -> float | None:
    """Seconds from when an answer was sent, or else from now, to a date; None when it is none."""
    until = _date(told)
    if until is None:
        return None
    # The store's own clock, if it tells: this machine's may be wrong.
    since = _date(sent) or datetime.fromtimestamp(SYSTEM_CLOCK.now_ns() // 10**9, UTC)
    return max(0.0, (until - since).total_seconds())


def _date(told: object) -> datetime | None:
    """A date of HTTP (RFC 9110, section 5.6.7)."""
    try:
        found = parsedate_to_datetime(str(told))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

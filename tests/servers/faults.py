"""What the proxy can do to a request, with the words of S3 where S3 has some."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TypeAlias

_OBJECT = re.compile(rb"<Contents>.*?</Contents>", re.DOTALL)
_COUNT = re.compile(rb"<KeyCount>\d*</KeyCount>")
_MORE = re.compile(rb"<IsTruncated>true</IsTruncated>", re.IGNORECASE)
_NEXT = re.compile(rb"<Next(ContinuationToken|Marker)>.*?</Next\1>", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """Answer instead of the server, which never hears of the request.

    Attributes:
        status: HTTP's.
        code: S3's word for the error.
        message: S3's sentence.
        retry_after: seconds to wait that the answer asks for; None to ask for none.
    """

    status: int
    code: str
    message: str = "injected"
    retry_after: int | None = None

    def headers(self) -> list[tuple[str, str]]:
        """Of the answer."""
        wait = [] if self.retry_after is None else [("Retry-After", str(self.retry_after))]
        return [("Content-Type", "application/xml"), ("x-amz-request-id", "injected"), *wait]

    def body(self) -> bytes:
        """S3's form of an error."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{self.code}</Code><Message>{self.message}</Message>"
            "<RequestId>injected</RequestId></Error>"
        ).encode()


class Break(enum.Enum):
    """Break the connection off."""

    BEFORE_REQUEST = "reset before the server hears of the request"
    IN_REQUEST = "reset when half of the request's body has gone to the server"
    LOST_ANSWER = "the server has carried out the request; reset before its answer"
    IN_ANSWER = "reset in the middle of the answer's body"
    SHORT_ANSWER = "end in good order in the middle of the answer's body"


class Stall(enum.Enum):
    """Let no byte through until `Proxy.go_on`."""

    BEFORE_REQUEST = "before the server hears of the request"
    BEFORE_ANSWER = "when the server has carried out the request, before its answer"
    IN_ANSWER = "in the middle of the answer's body"


@dataclass(frozen=True)
class StaleListing:
    """Answer a listing as it was when it was last asked for, or as if nothing were there."""


@dataclass(frozen=True)
class ShortListing:
    """Answer a listing with its first objects, and say that these are all.

    Attributes:
        keep: how many of the first page stay.
    """

    keep: int


Fault: TypeAlias = Answer | Break | Stall | StaleListing | ShortListing

ACCESS_DENIED = Answer(403, "AccessDenied", "Access Denied")
EXPIRED_TOKEN = Answer(403, "ExpiredToken", "The provided token has expired.")
CLOCK_SKEW = Answer(
    403,
    "RequestTimeTooSkewed",
    "The difference between the request time and the current time is too large.",
)
NO_SUCH_BUCKET = Answer(404, "NoSuchBucket", "The specified bucket does not exist")
WRONG_REGION = Answer(
    400,
    "AuthorizationHeaderMalformed",
    "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
)
CONFLICT = Answer(
    409,
    "ConditionalRequestConflict",
    "The conditional request cannot succeed due to a conflicting operation against this resource.",
)
PRECONDITION_FAILED = Answer(
    412,
    "PreconditionFailed",
    "At least one of the pre-conditions you specified did not hold",
)
TOO_MANY_REQUESTS = Answer(429, "TooManyRequests", "Too many requests.", retry_after=1)
INTERNAL_ERROR = Answer(500, "InternalError", "We encountered an internal error. Please try again.")
SLOW_DOWN = Answer(503, "SlowDown", "Please reduce your request rate.")


def shortened(listing: bytes, keep: int) -> bytes:
    """A page of a listing with its first `keep` objects, said to be all."""
    objects = _OBJECT.findall(listing)
    for dropped in objects[keep:]:
        listing = listing.replace(dropped, b"", 1)
    count = b"<KeyCount>%d</KeyCount>" % min(keep, len(objects))
    listing = _COUNT.sub(count, listing)
    return _NEXT.sub(b"", _MORE.sub(b"<IsTruncated>false</IsTruncated>", listing))


def without_objects(listing: bytes) -> bytes:
    """A listing of nothing."""
    return shortened(listing, 0)

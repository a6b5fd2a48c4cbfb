"""The checksum that Google Cloud Storage has of every object (RFC 9260, appendix A)."""

from __future__ import annotations

import base64


def extended(checksum: int, data: bytes) -> int:
    """The CRC32C of bytes and then of these; 0 is that of none."""
    from google_crc32c import extend  # noqa: PLC0415 - an optional library

    return int(extend(checksum, data))


def encoded(checksum: int) -> str:
    """A CRC32C as Google writes it."""
    return base64.b64encode(checksum.to_bytes(4, "big")).decode()

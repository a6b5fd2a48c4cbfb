"""Details of an entry without secrets."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from holdfast.platform.audit.entry import JSON

MASK = "***"
"""What stands in place of a secret."""

_SECRET = re.compile(
    r"(?i)passw|passphrase|(^|[_-])pass($|[_-])|secret|token|credential|api[_-]?key|access[_-]?key"
    r"|account[_-]?key|private[_-]?key|recovery[_-]?key|signature|authorization|cookie|sas([_-]|$)"
)
"""Keys whose values are secrets."""

_NO_SECRET = re.compile(r"(?i)[_-](file|path|id)$")
"""Keys that say where a secret is, and not what."""

_USERINFO = re.compile(
    # Up to the last @ before the path; what follows a colon and is no port is a password, which
    # somebody may have written with a slash in it.
    r"(?i)\b([a-z][a-z0-9+.-]*://)(?:[^\s/?#]*|[^\s/?#@:\[]*:(?!\d*[/?#])\S*)@"
)
_PARAMETER = re.compile(
    r"(?i)([?&;#](?:[^=&;\s]*(?:sig|token|secret|key|pass|pwd|credential|auth)[^=&;\s]*|sas)=)[^&;#\s]*"
)


def redacted(value: JSON, key: str = "") -> JSON:
    """The same value, with a mask wherever a secret may be.

    Masked are the values of keys that look like those of secrets, and in text the credentials of
    URIs: what stands before the host, and parameters that look like secrets.

    Args:
        value: what is to be recorded.
        key: what it is called.
    """
    if value is not None and _SECRET.search(key) and not _NO_SECRET.search(key):
        return MASK
    match value:
        case str():
            return _PARAMETER.sub(rf"\g<1>{MASK}", _USERINFO.sub(rf"\g<1>{MASK}@", value))
        case Mapping():
            return {str(name): redacted(each, str(name)) for name, each in value.items()}
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float():
            return value
        case _:
            return [redacted(each, key) for each in value]

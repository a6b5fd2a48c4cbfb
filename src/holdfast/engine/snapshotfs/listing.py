"""URLs of what is in a view, and the page of a folder that a browser shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final, cast
from urllib.parse import quote

from holdfast.engine.snapshotfs.view import Item
from holdfast.model.node import NodeType
from holdfast.model.path import ROOT, printable

_SECOND: Final = 10**9
_ODD: Final = {0xDC80 + at: 0xF780 + at for at in range(128)}
_EVEN: Final = {new: old for old, new in _ODD.items()}
_SAFE: Final = "/!*'(),$-_|."
_KINDS: Final = {
    NodeType.FIFO: "pipe",
    NodeType.SOCKET: "socket",
    NodeType.CHARACTER_DEVICE: "device",
    NodeType.BLOCK_DEVICE: "device",
}


def text_of(path: bytes) -> str:
    """A path as it is in URLs, before they are quoted."""
    return path.decode("utf-8", "surrogateescape").translate(_ODD)


def paths_of(text: str) -> Iterator[bytes]:
    """The paths that a text may mean, the likeliest first."""
    trimmed = text.rstrip("/") or "/"
    yield trimmed.encode("utf-8", "surrogateescape")
    if (other := trimmed.translate(_EVEN)) != trimmed:
        yield other.encode("utf-8", "surrogateescape")


def href(item: Item) -> str:
    """The URL of an entry, without the host."""
    path = quote(text_of(item.path), safe=_SAFE)
    return path if item.node.type != NodeType.DIRECTORY or path == "/" else path + "/"


_PAGE: Final = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ padding: .15em .8em; text-align: left }}
td:nth-child(2), th:nth-child(2) {{ text-align: right; font-variant-numeric: tabular-nums }}
td {{ white-space: pre }} tr:hover td {{ background: #8882 }} a {{ text-decoration: none }}
</style></head><body><h1>{title}</h1>
<table><tr><th>Name</th><th>Bytes</th><th>Changed (UTC)</th></tr>
{rows}
</table></body></html>
"""

_UP: Final = '<tr><td><a href="../">..</a></td><td></td><td></td></tr>'


def page(folder: Item, items: Sequence[Item]) -> str:
    """The HTML of a folder, with other folders first."""
    rows = [] if folder.path == ROOT else [_UP]
    rows += map(_row, sorted(items, key=lambda each: each.node.type != NodeType.DIRECTORY))
    return _PAGE.format(title=escape(printable(folder.path)), rows="\n".join(rows))


def _row(item: Item) -> str:
    node = item.node
    name = escape(printable(item.path.rpartition(b"/")[2]))
    size = ""
    if node.type == NodeType.DIRECTORY:
        shown = f'<a href="{escape(href(item))}">{name}/</a>'
    elif node.type == NodeType.FILE:
        shown, size = f'<a href="{escape(href(item))}">{name}</a>', f"{node.size:,}"
    elif node.type == NodeType.SYMLINK:
        shown = f"{name} → {escape(printable(cast('bytes', node.payload)))}"
    else:
        shown = f"{name} ({_KINDS[NodeType(node.type)]})"
    return f"<tr><td>{shown}</td><td>{size}</td><td>{_time(node.mtime)}</td></tr>"


def _time(nanoseconds: int) -> str:
    try:
        found = datetime.fromtimestamp(nanoseconds // _SECOND, UTC)
    except (OverflowError, ValueError, OSError):  # a year that no calendar has
        return ""
    return f"{found:%Y-%m-%d %H:%M}"

"""Reads back what a page says, as a browser would."""

from __future__ import annotations

from html.parser import HTMLParser

from holdfast.overrides import override

ALLOWED = {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "span", "wbr", "br"}
ATTRIBUTES = {"style", "title", "scope", "colspan", "role"}
ATTRIBUTES |= {"aria-valuemin", "aria-valuemax", "aria-valuenow"}
VOID = {"wbr", "br"}


class Reader(HTMLParser):
    """Checks that elements are those that are expected, and closed; keeps what cells say."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.titles: list[str | None] = []
        self.captions: list[str] = []
        self.text = ""
        self.open: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED
        given = dict(attrs)
        assert given.keys() <= ATTRIBUTES
        assert "url" not in (given.get("style") or "")
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")
            if tag == "td":
                self.titles.append(given.get("title"))
        elif tag == "caption":
            self.captions.append("")

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data
        elif "caption" in self.open:
            self.captions[-1] += data

    @override
    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    @override
    def handle_decl(self, decl: str) -> None:
        self.handle_comment(decl)

    @override
    def handle_pi(self, data: str) -> None:
        self.handle_comment(data)

    @override
    def unknown_decl(self, data: str) -> None:
        self.handle_comment(data)


def read(html: str) -> Reader:
    """What a page says; AssertionError where it is not what a page may be."""
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    html.encode("utf-8")
    return reader

"""The file browser: what it shows, what it leaves out, and that no name can do harm."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

import holdfast
from holdfast.errors import PathNotFound, SnapshotNotFound, UsageError
from holdfast.notebook import Browser, browse
from holdfast.overrides import override
from holdfast.present import escaped
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.testing.repositories import QUICK_KDF

HOSTILE = [
    "<script>alert(1)<script>",
    '"><img src=x onerror=alert(1)>',
    "a'b&c",
    "white  space\t",
    "turn\u202ered.txt",
    "bell\x07\x1b[31m",
    os.fsdecode(b"odd-\xff\xfe"),
    "日本語",
    "line\nbreak",
    "$x_1$",
]


class Page(HTMLParser):
    """The elements of a page, and the text of each `span` and `code`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.open = 0
        self._depth: list[str] = []
        self.feed(html)
        assert not self._depth, f"never closed: {self._depth}"

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self._depth.append(tag)
        self.texts.append("")
        self.open += tag == "details" and ("open", None) in attrs

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self._depth.pop() == tag
        self.texts.append("")

    @override
    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data

    @property
    def text(self) -> str:
        return "\n".join(filter(None, self.texts))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("browser") / "home"
    (home / "docs/old/older/oldest").mkdir(parents=True)
    (home / "docs/old/older/oldest/deep.txt").write_text("deep")
    (home / "docs/letter.txt").write_bytes(bytes(1500))
    (home / "docs/link").symlink_to("letter.txt")
    os.utime(home / "docs/letter.txt", (1_000_000_000, 1_000_000_000))
    (home / "empty").mkdir()
    (home / "many").mkdir()
    for number in range(130):
        (home / f"many/{number:03}").touch()
    (home / "odd").mkdir()
    for name in HOSTILE:
        (home / "odd" / name.replace("/", "")).touch()
    os.mkfifo(home / "pipe")
    return home


@pytest.fixture(scope="module")
def repo(home: Path) -> holdfast.Repository:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KDF_PROFILES, "default", QUICK_KDF)
        repo = holdfast.init(home.parent / "repo", password="x", cache=False)
    repo.backup(home, host="<b>host</b>")
    return repo


def shown(browser: Browser) -> Page:
    return Page(browser._repr_html_())


def test_it_begins_where_there_is_a_choice_and_shows_sizes_times_and_targets(
    repo: holdfast.Repository, home: Path
) -> None:
    browser = browse(repo)
    assert browser.root.path == str(home)
    names = [entry.name for entry in browser.root.entries]
    assert names == ["docs", "empty", "many", "odd", "pipe"], "directories first"
    page = shown(browser)
    for words in ("docs/", "letter.txt", "1.46 KiB", "2001-09-09 01:46", "→ letter.txt", "fifo"):
        assert words in page.text
    assert "empty" in page.text


def test_it_is_plain_html_that_unfolds(repo: holdfast.Repository) -> None:
    page = shown(browse(repo))
    assert set(page.tags) <= {"div", "details", "summary", "span", "code"}
    assert page.attributes <= {"style", "open"}
    assert page.tags.count("details") == 6, "docs, old, older, empty, many, odd"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_as_it_is_or_escaped(repo: holdfast.Repository, name: str) -> None:
    page = shown(browse(repo))
    text = "".join(page.texts)
    assert escaped(name.replace("/", "")) in text


def test_what_is_shown_can_be_encoded_and_holds_no_control(repo: holdfast.Repository) -> None:
    html = browse(repo)._repr_html_()
    assert html.encode().decode() == html
    assert html.isprintable()
    assert "<b>host" not in html


def test_every_bound_holds_and_says_what_was_left_out(
    repo: holdfast.Repository, home: Path
) -> None:
    browser = browse(repo, path=home / "many", entries=100)
    assert len(browser.root.entries) == 100
    assert browser.root.more == 30
    assert f"… and 30 more: browse(repo, 'latest', '{home}/many')" in "".join(shown(browser).texts)
    for depth, deepest in ((1, "docs"), (2, "old"), (3, "older"), (4, "oldest"), (5, "deep.txt")):
        found = browse(repo, depth=depth).root.walk()
        down = [each.name for each in found if each.path.startswith(f"{home}/docs")]
        names = ["docs", "old", "older", "oldest", "deep.txt"]
        assert [name for name in names if name in down][-1] == deepest
    for total in (1, 4, 5, 6, 50, 1000):
        assert len(list(browse(repo, total=total).root.walk())) <= total
    few = browse(repo, total=6)
    assert [len(few.root.entries), few.root.more] == [5, 0], "upper levels first"
    assert "not looked into: browse(repo, 'latest'," in "".join(shown(few).texts)


def test_the_call_in_a_hint_works_for_any_name(repo: holdfast.Repository, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"it's \xff \xe2\x80\xae")
    odd.mkdir()
    for name in ("a", "b"):
        (odd / name).touch()
    older = repo.backup(odd, time=datetime(2020, 1, 1, tzinfo=UTC)).snapshot
    assert older is not None
    browser = browse(repo, older.id, entries=1)
    (call,) = (text for text in shown(browser).texts if text.startswith("browse("))
    again = eval(call, {"browse": browse, "repo": repo})  # noqa: S307 - what the page told us
    assert isinstance(again, Browser)
    assert [entry.name for entry in again.root.entries] == ["a", "b"]


def test_a_place_may_be_in_the_name_of_the_snapshot(repo: holdfast.Repository, home: Path) -> None:
    one = browse(repo, f"latest:{home}", "many")
    assert one.root == browse(repo, "latest", home / "many").root


def test_little_is_unfolded_from_the_start_and_much_is_not(
    repo: holdfast.Repository, home: Path
) -> None:
    assert shown(browse(repo, "latest", home / "docs")).open == 2
    assert shown(browse(repo)).open == 0


def test_it_is_a_table_and_a_record_too(repo: holdfast.Repository, home: Path) -> None:
    browser = browse(repo, "latest", home / "docs", depth=2)
    frame = browser.to_pandas()
    assert list(frame["path"]) == [entry.path for entry in browser.root.walk()]
    assert browser.dict()["root"] == browser.root.dict()


def test_what_is_not_there_is_an_error(repo: holdfast.Repository, home: Path) -> None:
    with pytest.raises(SnapshotNotFound):
        browse(repo, "ffffffff")
    with pytest.raises(PathNotFound):
        browse(repo, path=home / "never")
    with pytest.raises(UsageError, match="not a directory"):
        browse(repo, "latest", home / "docs/letter.txt")


def test_a_damaged_directory_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KDF_PROFILES, "default", QUICK_KDF)
    for name in ("good", "bad"):
        (tmp_path / "home" / name).mkdir(parents=True)
    (tmp_path / "home/good/here.txt").touch()
    with holdfast.init(tmp_path / "repo", password="x", cache=False) as repo:
        repo.backup(tmp_path / "home")
        packs = set((tmp_path / "repo/data").rglob("*"))
        (tmp_path / "home/bad/lost.txt").touch()
        (tmp_path / "home/bad/more.txt").touch()
        repo.backup(tmp_path / "home/bad", host="other")
        lost = set((tmp_path / "repo/data").rglob("*")) - packs
        repo.backup(tmp_path / "home")
    for pack in filter(Path.is_file, lost):
        pack.unlink()
    with holdfast.open(tmp_path / "repo", password="x", cache=False) as repo:
        page = shown(browse(repo, path=tmp_path / "home"))
    assert "cannot be read" in page.text
    assert "here.txt" in page.text

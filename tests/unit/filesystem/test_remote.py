"""What a walk over a store tells, in both ways to list one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.backend import UNSIZED, Listed, RemoteObjects
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import AccessDenied, BackendError, SourceError, UsageError
from holdfast.filesystem import ExcludeRules, Leave, Problem
from holdfast.filesystem.remote import Disordered, Folder, Object, RemoteEvent, RemoteSource
from holdfast.overrides import override
from holdfast.testing.shelf import ROOT, Shelf

both = pytest.mark.parametrize("flat", [True, False])
TOP = b"/bucket/data"


def shelf(*names: str, flat: bool = True) -> Shelf:
    found = Shelf(is_flat=flat)
    for name in names:
        found.add(name, b"content of " + name.encode())
    return found


class Gaps(Shelf):
    """Begins with a page in which there is nothing, as stores do that leave out what is deleted."""

    @override
    def page(self, after: str) -> tuple[list[Listed], str]:
        if after:
            return super().page(after)
        self.requests.append(("list", ""))
        return [], "0"


def source(of: Shelf, **rules: object) -> RemoteSource:
    return RemoteSource(RemoteObjects(of, SYSTEM_CLOCK), ExcludeRules(**rules))  # type: ignore[arg-type]  # as they are


def events(of: Shelf, **rules: object) -> list[RemoteEvent]:
    return list(source(of, **rules).walk())


def objects(found: list[RemoteEvent]) -> list[str]:
    return sorted(
        event.path[len(TOP) + 1 :].decode() for event in found if isinstance(event, Object)
    )


def problems(found: list[RemoteEvent]) -> dict[str, str]:
    return {
        event.path[len(TOP) + 1 :].decode(): event.message
        for event in found
        if isinstance(event, Problem)
    }


def tree(found: list[RemoteEvent]) -> dict[bytes, set[bytes]]:
    """The objects of each folder, by paths; each folder is told of once and in its place."""
    open_folders: list[Folder] = []
    contents: dict[bytes, set[bytes]] = {}
    for event in found:
        if isinstance(event, Folder):
            if open_folders:
                above = open_folders[-1].path.rstrip(b"/")
                assert event.path == above + b"/" + event.name
            assert event.path not in contents
            contents[event.path] = set()
            open_folders.append(event)
        elif isinstance(event, Leave):
            assert open_folders.pop().name == event.name
        elif isinstance(event, Object):
            assert event.path == open_folders[-1].path + b"/" + event.name
            contents[open_folders[-1].path].add(event.name)
    assert not open_folders
    return contents


@both
def test_folders_are_told_of_as_a_tree(flat: bool) -> None:
    found = events(shelf("a", "b/c", "b/d/e", "b.txt", "b-x/y", "z", flat=flat))
    assert tree(found) == {
        b"/": set(),
        b"/bucket": set(),
        TOP: {b"a", b"b.txt", b"z"},
        TOP + b"/b": {b"c"},
        TOP + b"/b/d": {b"e"},
        TOP + b"/b-x": {b"y"},
    }


_NAME = st.text(st.sampled_from("ab-./\x7fé"), min_size=1, max_size=6)


@given(st.lists(_NAME, max_size=12, unique=True))
def test_both_ways_to_list_tell_of_the_same_tree(names: list[str]) -> None:
    flat, by_folders = (events(shelf("keep", *names, flat=way)) for way in (True, False))
    known = {
        name: message for name, message in problems(flat).items() if "folder's name" not in message
    }
    assert objects(flat) == objects(by_folders)
    told = [*objects(flat), *problems(flat)]
    markers = [name for name in names if name.endswith("/") and "//" not in f"/{name}"]
    assert {name for name in names if name not in told and name not in markers} == set()
    assert all("its key has" in message for message in known.values())


@both
@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ({"patterns": ("*.tmp",)}, ["a", "logs/b", "logs/deep/c"]),
        ({"patterns": ("logs/",)}, ["a", "x.tmp"]),
        ({"patterns": ("/bucket/data/logs/deep",)}, ["a", "logs/b", "x.tmp"]),
        ({"ipatterns": ("A",)}, ["logs/b", "logs/deep/c", "x.tmp"]),
        ({"larger_than": len(b"content of logs/b")}, ["a", "logs/b", "x.tmp"]),
    ],
)
def test_what_is_left_out(flat: bool, rules: dict[str, object], left: list[str]) -> None:
    of = shelf("a", "logs/b", "logs/deep/c", "x.tmp", flat=flat)
    assert objects(events(of, **rules)) == left


def test_a_folder_that_is_left_out_is_not_listed() -> None:
    of = shelf("a", "logs/b", flat=False)
    events(of, patterns=("logs/",))
    assert of.requests == [("list", ROOT)]


@pytest.mark.parametrize(
    "rules", [{"if_present": ("x",)}, {"caches": True}, {"one_file_system": True}]
)
def test_rules_for_local_files_are_refused(rules: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="are for local paths"):
        source(shelf("a"), **rules)


@both
@pytest.mark.parametrize("name", ["a//b", "/a", "x/./y", "..", "a/../b", "x" * 5000, "nul\0"])
def test_a_key_that_is_no_path_is_a_problem(flat: bool, name: str) -> None:
    found = events(shelf("good", name, flat=flat))
    assert objects(found) == ["good"]
    assert len(problems(found)) == 1
    assert "its key has" in next(iter(problems(found).values()))


@both
def test_long_names_and_control_characters_are_names(flat: bool) -> None:
    names = ["\n\t\x01", "x" * 1000, "ü\u202e"]
    found = events(shelf(*names, flat=flat))
    assert objects(found) == sorted(names)
    assert problems(found) == {}


def test_an_object_that_stands_for_a_folder_is_one() -> None:
    of = shelf("a/b")
    of.add("empty/", b"")
    of.add("", b"")
    found = events(of)
    assert tree(found)[TOP + b"/empty"] == set()
    assert problems(found) == {}


def test_what_is_in_an_object_that_stands_for_a_folder_is_a_problem() -> None:
    assert list(problems(events(shelf("a/")))) == ["a/"]


def test_pages_are_asked_for_one_by_one() -> None:
    of = shelf(*(f"{number}" for number in range(8)))
    assert len(objects(events(of))) == 8
    assert of.requests == [("list", ""), ("list", "3"), ("list", "6")]


def test_pages_with_nothing_in_them_are_not_the_end() -> None:
    of = Gaps()
    for name in "abcd":
        of.add(name, b"x")
    assert objects(events(of)) == ["a", "b", "c", "d"]
    assert of.requests == [("list", ""), ("list", "0"), ("list", "3")]


def test_a_store_that_does_not_list_in_order_is_listed_folder_by_folder() -> None:
    of = shelf("a/b", "c", "a/d")
    of.sort = lambda paths: paths
    walked = source(of)
    with pytest.raises(Disordered):
        list(walked.walk())
    assert objects(list(walked.walk())) == ["a/b", "a/d", "c"]


@both
def test_one_object_can_be_named(flat: bool) -> None:
    of = Shelf(is_flat=flat, root="bucket")
    of.add("data", b"alone")
    of.root = ROOT
    found = events(of)
    assert tree(found) == {b"/": set(), b"/bucket": {b"data"}}


@both
def test_nothing_at_all_is_an_error(flat: bool) -> None:
    with pytest.raises(SourceError, match="there is no such folder or object"):
        events(shelf(flat=flat))


def test_an_empty_bucket_is_no_error() -> None:
    assert tree(events(Shelf(root="bucket"))) == {b"/": set(), b"/bucket": set()}


@both
def test_a_store_that_cannot_be_listed_is_an_error(flat: bool) -> None:
    of = shelf("a", flat=flat)

    def refuse(verb: str, path: str) -> None:
        raise BackendError(path, f"there is no bucket to {verb}")

    of.meddle = refuse
    with pytest.raises(SourceError, match="there is no bucket"):
        events(of)


def test_a_page_that_cannot_be_had_is_an_error() -> None:
    of = shelf(*"abcde")

    def refuse(_: str, path: str) -> None:
        if path == "3":
            raise AccessDenied(path, "the credentials have expired")

    of.meddle = refuse
    with pytest.raises(SourceError, match="the credentials have expired"):
        events(of)


def test_a_folder_that_cannot_be_listed_is_a_problem() -> None:
    of = shelf("a", "b/c", "d/e", flat=False)

    def refuse(_: str, path: str) -> None:
        if path.endswith("/b"):
            raise AccessDenied(path, "refused")

    of.meddle = refuse
    found = events(of)
    assert objects(found) == ["a", "d/e"]
    assert problems(found) == {"b": "refused"}
    assert [
        event.complete for event in found if isinstance(event, Folder) and event.name == b"b"
    ] == [False]


@pytest.mark.parametrize("root", ["bucket//data", "bucket/../data"])
def test_a_folder_whose_own_path_is_none_is_refused(root: str) -> None:
    with pytest.raises(UsageError, match="for which a tree has no place"):
        source(Shelf(root=root))


def test_a_folder_that_vanishes_before_it_is_listed_is_a_problem() -> None:
    of = shelf("a", "b/c", "d/e", flat=False)

    def vanish(_: str, path: str) -> None:
        if path.endswith("/b"):
            of.objects.pop(f"{ROOT}/b/c", None)

    of.meddle = vanish
    found = events(of)
    assert objects(found) == ["a", "d/e"]
    assert problems(found) == {"b": "no such folder"}
    assert [
        event.complete for event in found if isinstance(event, Folder) and event.name == b"b"
    ] == [False]


def test_when_all_of_it_vanishes_that_is_an_error() -> None:
    of = shelf("a", "b/c", "d/e", flat=False)

    def vanish(_: str, path: str) -> None:
        if path.endswith("/b"):
            of.objects.clear()

    of.meddle = vanish
    with pytest.raises(SourceError, match="there is no such folder"):
        events(of)


class Vague(Shelf):
    """Does not tell of sizes."""

    @override
    def _listed(self, path: str) -> Listed:
        return super()._listed(path)._replace(kind=UNSIZED, size=0)


def test_an_object_of_unknown_size_is_a_problem() -> None:
    of = Vague(is_flat=False)
    of.add("a", b"content")
    found = events(of)
    assert objects(found) == []
    assert problems(found) == {
        "a": "the store does not tell how many bytes it has, so it cannot be read"
    }


def test_a_single_object_of_unknown_size_is_an_error() -> None:
    of = Vague(is_flat=False, root="bucket")
    of.add("data", b"alone")
    of.root = ROOT
    with pytest.raises(SourceError, match="how many bytes"):
        events(of)

"""The patterns against a second implementation, written from their description and slow."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.filesystem import Patterns

LETTERS = "aAb.-]"
NAMES = st.text(LETTERS, min_size=1, max_size=4)
PATHS = st.lists(NAMES, max_size=5).map(tuple)
GLOBS = st.lists(
    st.one_of(
        st.sampled_from(["*", "?", "**", "[ab]", "[!a]", "[^.]", "[+-b]", "[]a-]", "\\*", "\\a"]),
        NAMES.filter(lambda name: "]" not in name),
    ),
    min_size=1,
    max_size=4,
).map("".join)
PATTERNS = st.builds(
    lambda sense, lead, components, tail: f"{sense}{lead}{'/'.join(components)}{tail}",
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/"]),
    st.lists(
        st.one_of(GLOBS, NAMES, st.just("**")).filter(lambda text: text not in (".", "..")),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["", "/"]),
)
LISTS = st.lists(PATTERNS, max_size=5)
SETS = {"[ab]": "ab", "[]a-]": "]a-", "[+-b]": "".join(map(chr, range(ord("+"), ord("b") + 1)))}
OUTSIDE = {"[!a]": "a", "[^.]": "."}


def first_of(glob: str, character: str) -> tuple[int, bool]:
    """The length of a glob's first part, which is no star, and whether it takes the character."""
    for text in SETS | OUTSIDE:
        if glob.startswith(text):
            inside = character in SETS[text] if text in SETS else character not in OUTSIDE[text]
            return len(text), inside
    if glob[0] == "\\":
        return 2, character == glob[1]
    return 1, glob[0] in ("?", character)


def name_matches(glob: str, name: str) -> bool:
    if not glob:
        return not name
    if glob[0] == "*":
        return any(name_matches(glob[1:], name[cut:]) for cut in range(len(name) + 1))
    if not name:
        return False
    length, takes = first_of(glob, name[0])
    return takes and name_matches(glob[length:], name[1:])


def path_matches(globs: list[str], names: tuple[str, ...]) -> bool:
    if not globs:
        return not names
    if globs == ["**"]:
        return bool(names)
    if globs[0] == "**":
        return any(path_matches(globs[1:], names[cut:]) for cut in range(len(names) + 1))
    return bool(names) and name_matches(globs[0], names[0]) and path_matches(globs[1:], names[1:])


def pattern_matches(pattern: str, names: tuple[str, ...], *, is_dir: bool) -> bool:
    if pattern.endswith("/") and not is_dir:
        return False
    globs = pattern.strip("/").split("/")
    return path_matches(globs if pattern.startswith("/") else ["**", *globs], names)


def decision(patterns: list[str], names: tuple[str, ...], *, is_dir: bool) -> bool:
    decided = False
    for pattern in patterns:
        if pattern_matches(pattern.removeprefix("!"), names, is_dir=is_dir):
            decided = not pattern.startswith("!")
    return decided


def as_path(names: tuple[str, ...]) -> bytes:
    return ("/" + "/".join(names)).encode()


@given(LISTS, PATHS, st.booleans(), st.booleans())
@example(["**"], (), True, False)
@example(["a/**"], ("a",), True, False)
@example(["**/a/**/a/a"], ("ab", "a", "a", "a"), False, False)
@example(["*a*a"], ("aaa",), False, False)
@example(["/**/a/**/a/b/**"], ("a", "a", "a", "b", "b"), False, False)
def test_patterns_decide_as_described(
    patterns: list[str], names: tuple[str, ...], is_dir: bool, ignore_case: bool
) -> None:
    compiled = Patterns(patterns, ignore_case=ignore_case)
    if ignore_case:
        patterns = [pattern.lower() for pattern in patterns]
    folded = tuple(name.lower() for name in names) if ignore_case else names
    expected = decision(patterns, folded, is_dir=is_dir)
    assert compiled.match(as_path(names), is_dir=is_dir) is expected


@given(LISTS, PATHS.filter(bool), st.booleans(), st.lists(NAMES, max_size=2))
def test_nothing_matches_below_what_is_ruled_out(
    patterns: list[str], names: tuple[str, ...], is_dir: bool, deeper: list[str]
) -> None:
    compiled = Patterns(patterns)
    if compiled.match(as_path(names), is_dir=is_dir):
        wanted = names + tuple(deeper)  # below a match everything is wanted
        for end in range(len(wanted)):
            assert compiled.could_match_below(as_path(wanted[:end]))

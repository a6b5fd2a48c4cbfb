r"""Patterns on names and paths: what a backup leaves out, what a restore picks.

A pattern is one of these, on the absolute path of an entry:

==================  ===========================================================================
``*.tmp``, ``core`` no slash: the entry's own name, at any depth
``cache/``          a trailing slash: directories only; otherwise the same pattern without it
``/var/tmp``        a leading slash: the whole path, from the root
``lib/*.pyc``       an inner slash only: these components at the end of a path, at any depth
``/srv/**/*.log``   ``**`` as a component: any number of components, none among them
``/srv/**``         ``**`` at the end: everything below, the directory itself excepted
``!keep.tmp``       a leading ``!``: takes back what patterns before it matched
``/``               the root directory itself
==================  ===========================================================================

``*`` is any run of characters, ``?`` one character, ``[a-z]`` one of a set, ``[!a-z]`` or
``[^a-z]`` one not in it; none of them crosses a slash, each matches a leading dot. ``\`` makes
the next character an ordinary one (``\!``, ``\#``, ``\*``). Names are compared as text in the
system's encoding; a byte that is not valid in it counts as one character.

The last pattern that matches decides. A directory that is left out is not entered, so nothing
below it can be taken back; write ``/srv/**`` and ``!/srv/keep`` rather than ``/srv``. These are
the rules of gitignore, except that a pattern with an inner slash floats, as it does in restic.

Each directory costs a look at the patterns with a slash, each name a look into a set and at most
three calls in C per run of patterns between one ``!`` and the next.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, TypeAlias

from holdfast.errors import UsageError
from holdfast.filesystem.glob import SUBTREE, Glob, below_regex, parse_glob, path_regex

Decider: TypeAlias = Callable[[str], bool]


class Deciders(NamedTuple):
    """Whether the patterns match an entry of one directory, by its name.

    Attributes:
        file: for anything but a directory.
        directory: for a directory.
    """

    file: Decider
    directory: Decider


@dataclass(frozen=True, slots=True)
class _Rule:
    """A parsed pattern, cut at its last slash.

    Attributes:
        takes: False for one with ``!``.
        only_directories: it ended in a slash.
        parents: components before the last, from the root unless the first is ``**``.
        name: the last component; None for the root directory itself.
    """

    takes: bool
    only_directories: bool
    parents: tuple[Glob, ...]
    name: Glob | None

    @property
    def is_floating(self) -> bool:
        return bool(self.parents) and self.parents[0].kind == "subtree"

    @property
    def is_bare(self) -> bool:
        return self.is_floating and len(self.parents) == 1


class _Run:
    """Neighbouring rules of one sense, among which order does not matter."""

    def __init__(self, rules: Sequence[_Rule]) -> None:
        self.takes = rules[0].takes
        self.anywhere = _matchers(rule for rule in rules if rule.is_bare)
        self._at: dict[str, list[_Rule]] = {}
        self._within: list[tuple[re.Pattern[str], _Rule]] = []
        for rule in rules:
            if rule.is_bare:
                continue
            if all(parent.kind == "literal" for parent in rule.parents):
                directory = "".join(f"/{parent.text}" for parent in rule.parents)
                self._at.setdefault(directory, []).append(rule)
            else:
                self._within.append((re.compile(path_regex(rule.parents)), rule))
        parents = "|".join(regex.pattern for regex, _ in self._within)
        self._any_within = re.compile(parents).fullmatch if self._within else None

    def rules_in(self, directory: str) -> list[_Rule]:
        """The rules that apply in this directory and not in every other."""
        rules = self._at.get(directory, [])
        if self._any_within and self._any_within(directory):
            return rules + [rule for regex, rule in self._within if regex.fullmatch(directory)]
        return rules


class Patterns:
    """Compiled patterns; the module's text says what each form means.

    Args:
        patterns: in order; later ones win.
        ignore_case: compare in lower case.

    Raises:
        UsageError: a pattern makes no sense; the message names it.
    """

    def __init__(self, patterns: Iterable[str | bytes], *, ignore_case: bool = False) -> None:
        texts = [os.fsdecode(pattern) for pattern in patterns]
        rules = [_parse(text, ignore_case=ignore_case) for text in texts]
        self._ignore_case = ignore_case
        self._root = next((rule.takes for rule in reversed(rules) if not rule.name), False)
        named = [rule for rule in rules if rule.name]
        runs = [_Run(list(run)) for _, run in groupby(named, key=lambda rule: rule.takes)]
        self._runs = runs[::-1]
        self._anywhere = self._deciders([[] for _ in runs])
        self._everywhere = self._root or any(rule.takes and rule.is_floating for rule in named)
        ways = [
            below_regex((*rule.parents, rule.name)) for rule in rules if rule.takes and rule.name
        ]
        self._below = re.compile("|".join(ways)).fullmatch if ways else None

    def __bool__(self) -> bool:
        return bool(self._runs) or self._root

    def within(self, directory: str) -> Deciders:
        """What the patterns say of the entries of one directory.

        Args:
            directory: absolute path as text (`os.fsdecode`), without a slash at the end: "" for
                the root.
        """
        folded = directory.lower() if self._ignore_case else directory
        local = [run.rules_in(folded) for run in self._runs]
        return self._deciders(local) if any(local) else self._anywhere

    def _deciders(self, local: list[list[_Rule]]) -> Deciders:
        """Put together what holds everywhere and what holds in one directory, run by run."""
        files: list[tuple[bool, Decider]] = []
        directories: list[tuple[bool, Decider]] = []
        for run, rules in zip(self._runs, local, strict=True):
            for deciders in (run.anywhere, _matchers(rules)):
                files.append((run.takes, deciders.file))
                directories.append((run.takes, deciders.directory))
        return Deciders(
            _last_word(files, ignore_case=self._ignore_case),
            _last_word(directories, ignore_case=self._ignore_case),
        )

    def match(self, path: bytes, *, is_dir: bool) -> bool:
        """Whether the patterns match this very entry; its ancestors are not looked at.

        Args:
            path: absolute and normal (``b"/"``, ``b"/a/b"``).
            is_dir: it is a directory.
        """
        directory, _, name = os.fsdecode(path).rpartition("/")
        if not name:
            return self._root
        deciders = self.within(directory)
        return deciders.directory(name) if is_dir else deciders.file(name)

    def could_match_below(self, path: bytes) -> bool:
        """Whether an entry below this directory may match, or lie below one that does.

        False is certain; True is not: it says only that the patterns do not rule it out.

        Args:
            path: of a directory, absolute and normal.
        """
        if self._everywhere:
            return True
        text = os.fsdecode(path).rstrip("/")
        folded = text.lower() if self._ignore_case else text
        return self._below is not None and self._below(folded) is not None


def _parse(text: str, *, ignore_case: bool) -> _Rule:
    body = text.removeprefix("!")
    glob = body.lower() if ignore_case else body
    if not glob or "\0" in glob:
        raise UsageError(f"pattern {text!r}: {'it has a NUL byte' if glob else 'it is empty'}")
    components = [component for component in glob.split("/") if component]
    if "." in components or ".." in components:
        raise UsageError(f"pattern {text!r}: a component '.' or '..' matches nothing")
    if not components:
        return _Rule(text == body, only_directories=True, parents=(), name=None)
    if not glob.startswith("/") and components[0] != SUBTREE:  # as fast as without it
        components.insert(0, SUBTREE)
    if components[-1] == SUBTREE:
        components.append("*")
    try:
        globs = [parse_glob(component) for component in components]
    except ValueError as error:
        raise UsageError(f"pattern {text!r}: {error}") from error
    return _Rule(text == body, glob.endswith("/"), tuple(globs[:-1]), globs[-1])


def _nothing(name: str) -> bool:  # noqa: ARG001 - a decider
    return False


def _matchers(rules: Iterable[_Rule]) -> Deciders:
    """Match names against the last components of some rules."""
    every = [(rule.only_directories, rule.name) for rule in rules if rule.name]
    return Deciders(
        _matcher([name for only_directories, name in every if not only_directories]),
        _matcher([name for _, name in every]),
    )


def _matcher(globs: Sequence[Glob]) -> Decider:
    """Match names against all of the globs at once."""
    if not globs:
        return _nothing
    literals = frozenset(glob.text for glob in globs if glob.kind == "literal")
    prefixes = tuple(glob.text for glob in globs if glob.kind == "prefix")
    suffixes = tuple(glob.text for glob in globs if glob.kind == "suffix")
    others = [glob.regex for glob in globs if glob.kind == "regex"]

    def matches(name: str) -> bool:
        return name in literals or name.endswith(suffixes) or name.startswith(prefixes)

    if not others:
        return matches
    regex = re.compile("|".join(others)).fullmatch
    return lambda name: matches(name) or regex(name) is not None


def _last_word(runs: Iterable[tuple[bool, Decider]], *, ignore_case: bool) -> Decider:
    """The sense of the first run that matches; they come last one first."""
    senses = [run for run in runs if run[1] is not _nothing]

    def decide(name: str) -> bool:
        for takes, matches in senses:
            if matches(name):
                return takes
        return False

    if not senses:
        return _nothing
    decider = senses[0][1] if len(senses) == 1 and senses[0][0] else decide
    return (lambda name: decider(name.lower())) if ignore_case else decider

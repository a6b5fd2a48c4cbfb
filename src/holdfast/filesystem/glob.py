"""Globs of single components, and of whole paths made of them, as regular expressions.

The expressions never backtrack from one wildcard into an earlier one: what lies between two
wildcards is matched at its first place and kept (an atomic group), which is always right for
globs and makes no pattern slow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["literal", "prefix", "suffix", "regex", "subtree"]

SUBTREE: Final = "**"
"""The component that stands for any number of components."""

_COMPONENTS: Final = "(?:/[^/]+)*"
_BELOW_DEPTH: Final = 32
_TOKEN: Final = re.compile(
    r"""(?P<star>\*+)
    | (?P<any>\?)
    | \[ (?P<negation>[!^]?+) (?P<members> (?:\]|\\.|[^]\\]) (?:\\.|[^]\\])* ) \]
    | \\(?P<escaped>.)
    | (?P<plain>[^*?[\\]+)
    """,
    re.DOTALL | re.VERBOSE,
)
_MEMBER: Final = re.compile(r"\\?+(?P<low>.)(?:-\\?+(?P<high>.))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Glob:
    """One component of a pattern.

    Attributes:
        kind: ``literal``, ``prefix`` (``text*``) and ``suffix`` (``*text``) can be compared
            without a regular expression; ``subtree`` is ``**``, which has none.
        text: the literal text of those kinds, without escapes.
        regex: an expression for exactly one component.
    """

    kind: Kind
    text: str
    regex: str


def parse_glob(component: str) -> Glob:
    """Parse one component of a pattern.

    Raises:
        ValueError: it is malformed; the message says how.
    """
    if component == SUBTREE:
        return Glob("subtree", "", "")
    shape, text, parts, position = "", "", [""], 0
    while position < len(component):
        token = _TOKEN.match(component, position)
        if not token:
            raise ValueError(_complaint(component[position]))
        position = token.end()
        shape += _sign(token)
        if token["star"]:
            parts.append("")
        else:
            text += token["plain"] or token["escaped"] or ""
            parts[-1] += _one(token)
    kind = _KINDS.get(re.sub("t+", "t", shape), "regex")
    return Glob(kind, text if kind != "regex" else "", _join(parts))


def path_regex(globs: Sequence[Glob]) -> str:
    """An expression for a whole path such as ``/a/b``, or "" for the root."""
    first, *others = _paths_between(globs)
    if not others:
        return first
    middle = (f"(?>(?:/[^/]+)*?{part}(?=/|\\Z))" for part in others[:-1])
    return f"{first}{''.join(middle)}{_COMPONENTS}{others[-1]}"


def below_regex(globs: Sequence[Glob]) -> str:
    """An expression for every path that is above, at or below one that matches.

    Only the first components count, up to a ``**``, so it may cover more paths than those.
    """
    regex = "(?:/.*)?"
    kinds = [glob.kind for glob in globs[:_BELOW_DEPTH]]
    end = kinds.index("subtree") if "subtree" in kinds else len(kinds)
    for glob in reversed(globs[:end]):
        regex = f"(?:/{glob.regex}{regex})?"
    return f"(?s:{regex})"


_KINDS: Final[dict[str, Kind]] = {"t": "literal", "*t": "suffix", "*": "suffix", "t*": "prefix"}


def _sign(token: re.Match[str]) -> str:
    if token["star"]:
        return "*"
    return "?" if token["any"] or token["members"] else "t"


def _one(token: re.Match[str]) -> str:
    """The expression for a token that is no star."""
    if token["any"]:
        return "[^/]"
    if token["members"]:
        return _set(token["members"], "^" if token["negation"] else "")
    return re.escape(token["plain"] or token["escaped"])


def _set(members: str, negation: str) -> str:
    if "[:" in members:
        raise ValueError("a class such as [:alpha:] is not supported")
    ranges: list[str] = []
    for member in _MEMBER.finditer(members):
        low, high = member["low"], member["high"] or member["low"]
        if high < low:
            raise ValueError(f"the range {low}-{high} is upside down")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    return f"(?!/)[{negation}{''.join(ranges)}]"


def _complaint(character: str) -> str:
    return "a [ is not closed" if character == "[" else "it ends in a single backslash"


def _join(parts: Sequence[str]) -> str:
    """The expression of a component from those of what lies before, between and after stars."""
    first, *others = parts
    if not others:
        return first
    middle = (f"(?>[^/]*?{part})" for part in others[:-1])
    return f"{first}{''.join(middle)}[^/]*{others[-1]}"


def _paths_between(globs: Sequence[Glob]) -> list[str]:
    """The expressions of what lies before, between and after the ``**``."""
    parts = [""]
    for glob in globs:
        if glob.kind == "subtree":
            parts.append("")
        else:
            parts[-1] += f"/{glob.regex}"
    return parts

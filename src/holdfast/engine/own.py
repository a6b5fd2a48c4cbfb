"""What a restore must not remove: the repository that it reads, and what else is its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.filesystem import Patterns


def refuse_to_delete(
    own: str,
    what: str,
    target: str | bytes | os.PathLike[str],
    inner: bytes,
    patterns: tuple[Patterns | None, Patterns | None],
) -> None:
    """Refuse a restore that removes what the snapshot does not have, if its own is among that.

    Args:
        own: path of a directory that must stay.
        what: what it is.
        target: the directory that is restored to.
        inner: what of the snapshot is restored, absolute.
        patterns: what is included, and what is excluded; None for everything, and nothing.

    Raises:
        UsageError: it could be removed.
    """
    from holdfast.model.path import split_path

    place, root = (os.path.realpath(os.fsencode(path)) for path in (own, target))
    if os.path.commonpath((place, root)) == place:
        raise UsageError(f"nothing can be deleted in {os.fsdecode(root)}: it is in {what}")
    if os.path.commonpath((place, root)) != root:
        return
    names = split_path(inner) + split_path(place[len(root.rstrip(b"/")) :])
    ways = [b"/" + b"/".join(names[:end]) for end in range(len(names) + 1)]
    include, exclude = patterns
    if exclude and any(exclude.match(way, is_dir=True) for way in ways):
        return
    is_included = not include or any(include.match(way, is_dir=True) for way in ways)
    if is_included or (include and include.could_match_below(ways[-1])):
        raise UsageError(
            f"{what} is in {os.fsdecode(root)}, and would be deleted with all else that the "
            f"snapshot does not have: exclude {os.fsdecode(ways[-1])}"
        )

"""What a backup is of: local paths, or a folder of a store."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias, Union

from holdfast.clock import Clock
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.engine.connection import PathLike
    from holdfast.filesystem import ExcludeRules, LocalSource
    from holdfast.filesystem.remote import RemoteSource

Source: TypeAlias = Union["LocalSource", "RemoteSource"]


@contextmanager
def opened(
    paths: Sequence[PathLike],
    rules: ExcludeRules,
    options: Mapping[str, object] | None,
    clock: Clock,
) -> Iterator[Source]:
    """What is named by paths or a URI, open for one backup.

    Args:
        paths: local ones, or one URI as text.
        rules: what to leave out.
        options: for the driver of the store that the URI names.
        clock: for time-outs.

    Raises:
        UsageError: a URI is one of several, or there are options and no URI; what is named makes
            no sense.
    """
    from holdfast.backend import Access, is_uri, open_objects
    from holdfast.filesystem import LocalSource
    from holdfast.filesystem.remote import RemoteSource

    uris = [path for path in paths if isinstance(path, str) and is_uri(path)]
    if not uris:
        if options:
            raise UsageError("options for the driver of a store make no sense with local paths")
        yield LocalSource(paths, rules)
        return
    if len(paths) > 1:
        raise UsageError(
            f"{len(paths)} sources, and one of them is a URI: a snapshot is a backup of local "
            "paths or of one folder of a store; make a snapshot of each"
        )
    objects = open_objects(uris[0], Access(options or {}), clock)
    try:
        yield RemoteSource(objects, rules)
    finally:
        objects.close()


def paths_of(source: Source) -> tuple[str, ...]:
    """What a snapshot says that it is a backup of."""
    from holdfast.filesystem import LocalSource

    if isinstance(source, LocalSource):
        return tuple(map(os.fsdecode, source.roots))
    return (source.uri,)

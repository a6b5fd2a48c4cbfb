"""What a config file can say, whether there is one or not.

`config` reads one: apart from this, because start-up must not pay for YAML and pydantic where there
is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.settings.blocks import Blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What backups hold, and what not.

    Attributes:
        path: a file or directory, or the URI of a folder in a store.
        tags: of the snapshots that hold it.
        exclude: patterns of what is left out of it.
    """

    path: str
    tags: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceGroup:
    """Sources with the same tags and patterns: they share a snapshot.

    Attributes:
        paths: where they are.
        tags: of their snapshot.
        exclude: patterns of what is left out.
    """

    paths: tuple[str, ...]
    tags: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Defaults from a config file; None or empty where it says nothing.

    Attributes:
        repository: location of the repository; the file may call it ``backend``.
        password_file: file that holds the password.
        password_command: program, and its arguments, that prints the password.
        storage_options: what the driver of its store is told; may hold secrets.
        limit_upload: how fast data may be sent: KiB a second, also by the time of day.
        limit_download: how fast it may be fetched.
        cache_dir: where indexes and metadata are cached.
        cache_size: most MiB of metadata that are cached of a repository.
        compression: how hard a new repository compresses.
        pack_size: MiB of the objects that hold the data of a new repository.
        exclude: patterns of what backups leave out.
        sources: what a backup holds that names nothing itself.
        blocks: what it says of the recovery platform; None when nothing.
        profiles: defaults by name, each complete, of which a command may take one.
        unusable: profiles that need an environment variable that is not set, each with the problem.
        written: what it was read from, as it stands in the file: variables are not filled in.
    """

    repository: str | None = None
    password_file: str | None = None
    password_command: str | tuple[str, ...] | None = None
    storage_options: Mapping[str, object] = field(default_factory=dict, repr=False)
    limit_upload: str | int | None = None
    limit_download: str | int | None = None
    cache_dir: str | None = None
    cache_size: int | None = None
    compression: str | None = None
    pack_size: int | None = None
    exclude: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    blocks: Blocks | None = None
    profiles: Mapping[str, Config] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)

    def source_groups(self) -> tuple[SourceGroup, ...]:
        """The sources, those with the same tags and patterns together, in the order of the file."""
        return grouped(self.sources)


def grouped(sources: Sequence[Source]) -> tuple[SourceGroup, ...]:
    """Sources with the same tags and patterns together, in their order."""
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for each in sources:
        groups.setdefault((each.tags, each.exclude), []).append(each.path)
    return tuple(
        SourceGroup(tuple(paths), tags, exclude) for (tags, exclude), paths in groups.items()
    )

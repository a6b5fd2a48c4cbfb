"""What may stand in a config file: its keys, and the kinds of their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, TypeAdapter, with_config

from holdfast.settings.blocks import STRICT, Blocks
from holdfast.settings.kinds import (
    Command,
    Compression,
    Count,
    FilePath,
    Limit,
    Location,
    Options,
    Positive,
    Secret,
    Text,
    Words,
)


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class BackendBlock:
    """The store that the repository is in."""

    type: Literal["local", "s3", "azure", "gcs", "sftp"] | None = None
    """What kind of store it is; its location says so too."""
    uri: Location
    """A folder, or a URI such as s3://bucket/prefix."""
    region: Text | None = None
    """Of a bucket of S3."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What it takes to open the repository and its store."""

    password_file: FilePath | None = None
    """File that holds the repository's password."""
    aws_access_key: Secret | None = field(default=None, repr=False)
    """Of S3."""
    aws_secret_key: Secret | None = field(default=None, repr=False)
    """Of S3."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBlock:
    """What is backed up, and what of it is not."""

    path: Location
    """A file or directory, or the URI of a folder in a store."""
    tags: Words = ()
    """Of the snapshots that hold it."""
    exclude: Words = ()
    """Patterns of what is left out."""


def _mapping_with(key: str) -> BeforeValidator:
    """A text stands for a mapping with that one key."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


BackendOrText: TypeAlias = Annotated[BackendBlock, _mapping_with("uri")]
SourceOrText: TypeAlias = Annotated[SourceBlock, _mapping_with("path")]


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Section(Blocks):
    """What a config file, or a profile in it, can say."""

    repository: Location | None = None
    """Where the repository is; `backend` says the same."""
    backend: BackendOrText | None = None
    """Where the repository is: its location, or a mapping."""
    credentials: Credentials | None = None
    """What it takes to open it."""
    password_file: FilePath | None = None
    """File that holds the password."""
    password_command: Command | None = None
    """Program, and its arguments, that prints the password."""
    storage_options: Options = field(default_factory=dict, repr=False)
    """For the store's driver."""
    limit_upload: Limit | None = None
    """KiB a second that may be sent, also by the time of day: 08:00-18:00=512,4096."""
    limit_download: Limit | None = None
    """KiB a second that may be fetched, likewise."""
    cache_dir: FilePath | None = None
    """Where indexes and metadata are cached."""
    cache_size: Count | None = None
    """Most MiB of metadata that are cached of a repository."""
    compression: Compression | None = None
    """How hard a new repository compresses: auto, max, off or a zstd level."""
    pack_size: Positive | None = None
    """MiB of the objects that hold the data of a new repository."""
    exclude: Words = ()
    """Patterns of what every backup leaves out."""
    sources: tuple[SourceOrText, ...] = ()
    """What a backup holds that names nothing itself."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile(Section):
    """A config file of holdfast."""

    version: Literal["1.0", "1"] = "1.0"
    """Of the form of this file."""
    profiles: Mapping[Text, Section] = field(default_factory=dict)
    """Sets of the same keys by name; what one does not say is taken from the rest of the file."""


@cache
def adapter() -> TypeAdapter[ConfigFile]:
    """What checks a file's values."""
    return TypeAdapter(ConfigFile)


@cache
def schema() -> Mapping[str, object]:
    """The JSON schema of a config file."""
    whole = adapter().json_schema()
    inherited = _described(TypeAdapter(Section).json_schema())
    inherited |= _described(TypeAdapter(Blocks).json_schema())
    for part in (whole, whole["$defs"]["Section"]):
        for name, about in part["properties"].items():
            if name in inherited:  # which pydantic describes in the class that has them only
                about.setdefault("description", inherited[name])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def _described(found: Mapping[str, dict[str, dict[str, str]]]) -> dict[str, str]:
    """What the keys of a schema mean."""
    properties = found["properties"]
    return {
        name: about["description"] for name, about in properties.items() if "description" in about
    }

"""The config file: a YAML mapping of defaults and of what the platform does, read strictly.

A key that means nothing is an error and not a comment, so that a misspelt `exclude` cannot go
unnoticed until somebody needs a restore. Relative paths are relative to the file's directory, so
that a job does not depend on where it was started.

Under ``profiles`` stand mappings of the same keys by name, of which a command takes one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from pydantic import ValidationError

from holdfast.errors import UsageError
from holdfast.settings.blocks import Blocks
from holdfast.settings.defaults import Config, Source
from holdfast.settings.problems import Problem, of_validation, told
from holdfast.settings.reading import Document, Place, read_document
from holdfast.settings.section import BackendBlock, Credentials, Section, adapter, schema
from holdfast.settings.variables import Filled, fill

_PASSWORDS = ("password_file", "password_command")
_SCHEMES: Mapping[str, tuple[str, ...]] = {
    "local": ("", "file", "local"),
    "s3": ("s3", "s3a"),
    "azure": ("abfs", "abfss", "az"),
    "gcs": ("gs", "gcs"),
    "sftp": ("sftp", "ssh"),
}
_EXAMPLES = {"s3": "s3://bucket/prefix", "azure": "az://container/prefix"}
_EXAMPLES |= {"gcs": "gs://bucket/prefix", "sftp": "sftp://user@host/path"}


def load_config(path: Path) -> Config:
    """Read a config file.

    Raises:
        UsageError: it cannot be read, is no YAML mapping, has a key or value that makes no sense,
            or needs an environment variable that is not set (which, of a profile, makes only that
            unusable); the message names the file and the key, and repeats no value.
    """
    checked = check_document(read_document(path))
    errors = [each for each in checked.problems if not each.is_warning]
    serious = [each for each in errors if not _is_of_one_profile(each, checked.filled)]
    if serious:
        more = len(errors) - 1
        also = f" (and {more} more: `holdfast config validate` tells all)" if more else ""
        raise UsageError(f"{path}: {serious[0].text}{also}")
    return checked.config(errors)


@dataclass(frozen=True, slots=True)
class Checked:
    """A config file that was looked at.

    Attributes:
        document: the file.
        filled: its values with variables filled in.
        problems: what is wrong, in the order of the file.
    """

    document: Document
    filled: Filled = field(repr=False)
    problems: tuple[Problem, ...]

    def config(self, unusable: list[Problem]) -> Config:
        """What the file says, given that only these problems of profiles are left."""
        broken = {str(each.place[1]): f"{self.document.path}: {each.text}" for each in unusable}
        written = _normal(self.document.values)
        general, general_written = _without_profiles(self.filled.values), _without_profiles(written)
        own, own_written = _profiles(self.filled.values), _profiles(written)
        profiles = {
            name: _config(
                _section(_merged(general, values), self.document),
                _merged(general_written, own_written[name]),
            )
            for name, values in own.items()
            if name not in broken
        }
        whole = _config(_section(general, self.document), general_written)
        return replace(whole, profiles=profiles, unusable=broken)


def check_document(document: Document) -> Checked:
    """Find everything that is wrong with a file."""
    filled = fill(_normal(document.values))
    problems = [Problem(place, told(place, text)) for place, text in filled.problems.items()]
    unclear = filled.places | filled.problems.keys()
    try:
        adapter().validate_python(filled.values, context=document.path.parent)
    except ValidationError as error:
        found = of_validation(error, schema(), unclear)
        problems += [each for each in found if each.place not in filled.problems]
    if all(_is_of_one_profile(each, filled) for each in problems):
        unusable = {str(each.place[1]) for each in problems}
        problems += _contradictions(filled.values, document, unusable)
    with_lines = (
        Problem(each.place, each.text, document.line(each.place), each.is_warning)
        for each in problems
    )
    ordered = sorted(with_lines, key=lambda each: (each.line or 0, each.text))
    return Checked(document, filled, tuple(ordered))


def _normal(values: Mapping[object, object]) -> dict[str, object]:
    """The same with texts as keys, and profiles that say nothing as empty mappings."""
    normal = {str(key): value for key, value in values.items()}
    profiles = normal.get("profiles")
    if isinstance(profiles, Mapping):
        normal["profiles"] = {
            str(key): {} if value is None else value for key, value in profiles.items()
        }
    if isinstance(normal.get("version"), int | float):
        normal["version"] = str(normal["version"])  # 1.0 without quotes is a number in YAML
    return normal


def _without_profiles(values: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if key != "profiles"}


def _profiles(values: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    profiles = values.get("profiles")
    return dict(profiles) if isinstance(profiles, Mapping) else {}


def _is_of_one_profile(problem: Problem, filled: Filled) -> bool:
    return problem.place[:1] == ("profiles",) and problem.place in filled.problems


def _merged(general: Mapping[str, object], said: Mapping[str, object]) -> dict[str, object]:
    """A profile: what it says, and what the file says besides."""
    own = {key: value for key, value in said.items() if value is not None}
    rest = {key: value for key, value in general.items() if key != "version"}
    if "repository" in own or "backend" in own:
        rest = {key: each for key, each in rest.items() if key not in {"repository", "backend"}}
    credentials = own.get("credentials")
    says_file = isinstance(credentials, Mapping) and "password_file" in credentials
    if own.keys() & set(_PASSWORDS) or says_file:
        rest = {key: value for key, value in rest.items() if key not in _PASSWORDS}
        others = rest.get("credentials")
        if isinstance(others, Mapping):
            rest["credentials"] = {
                key: each for key, each in others.items() if key != "password_file"
            }
    return {**rest, **own}


def _section(values: Mapping[str, object], document: Document) -> Section:
    return adapter().validate_python(values, context=document.path.parent)


def _contradictions(
    values: Mapping[str, object], document: Document, unusable: set[str]
) -> Iterator[Problem]:
    """What cannot be meant, although each value alone can."""
    general = _without_profiles(values)
    places: list[tuple[Place, Mapping[str, object]]] = [((), general)]
    places += [
        (("profiles", name), _merged(general, own))
        for name, own in _profiles(values).items()
        if name not in unusable
    ]
    for place, each in places:
        for inner, text in _section_problems(_section(each, document)):
            prefix = told((*place, *inner), "") if inner or place else ""
            colon = ": " if place and not inner else ""
            yield Problem((*place, *inner), f"{prefix}{colon}{text}")


def _section_problems(section: Section) -> Iterator[tuple[Place, str]]:
    if section.repository is not None and section.backend is not None:
        yield (), "repository and backend mean the same: give one"
    files = [section.password_file, section.credentials and section.credentials.password_file]
    if sum(each is not None for each in (*files, section.password_command)) > 1:
        yield (), "give either password_file or password_command, and either once"
    if section.backend is not None and (problem := _store_problem(section.backend)):
        yield ("backend",), problem
    yield from _policy_problems(section)


def _store_problem(backend: BackendBlock) -> str | None:
    scheme = backend.uri.partition("://")[0].lower() if "://" in backend.uri else ""
    if backend.type is not None and scheme not in _SCHEMES[backend.type]:
        example = _EXAMPLES.get(backend.type, "/srv/backups")
        return f": the uri is none of type {backend.type}, such as {example}"
    if backend.region is not None and scheme not in _SCHEMES["s3"]:
        return ".region makes sense with S3 only"
    return None


def _policy_problems(section: Section) -> Iterator[tuple[Place, str]]:
    """Names of retention policies that no policy has."""
    strategy, cdp = section.backup_strategy, section.cdp_strategy
    named: list[tuple[Place, object]] = [(("retention",), section.retention)]
    named.append((("backup_strategy", "retention"), strategy and strategy.retention))
    named.append((("cdp_strategy", "retention"), cdp and cdp.retention))
    for name, policy in section.retention_policies.items():
        named.append((("retention_policies", name), policy))
    for name, tier in section.tiered_strategy.items():
        named.append((("tiered_strategy", name, "retention"), tier.retention))
    for place, given in named:
        if isinstance(given, str):
            try:
                section.policy(given)
            except UsageError as error:
                yield place, f": {error}"


def _config(section: Section, written: Mapping[str, object]) -> Config:
    backend, credentials = section.backend, section.credentials or Credentials()
    return Config(
        repository=section.repository if backend is None else backend.uri,
        password_file=section.password_file or credentials.password_file,
        password_command=section.password_command,
        storage_options=_storage_options(section, credentials),
        limit_upload=section.limit_upload,
        limit_download=section.limit_download,
        cache_dir=section.cache_dir,
        cache_size=section.cache_size,
        compression=section.compression,
        pack_size=section.pack_size,
        exclude=section.exclude,
        sources=tuple(Source(path=s.path, tags=s.tags, exclude=s.exclude) for s in section.sources),
        blocks=_blocks(section),
        written=written,
    )


def _storage_options(section: Section, credentials: Credentials) -> dict[str, object]:
    own = {
        "region": None if section.backend is None else section.backend.region,
        "key": credentials.aws_access_key,
        "secret": credentials.aws_secret_key,
    }
    return {name: value for name, value in own.items() if value is not None} | dict(
        section.storage_options
    )


def _blocks(section: Section) -> Blocks | None:
    blocks = Blocks(**{each.name: getattr(section, each.name) for each in fields(Blocks)})
    return None if blocks == Blocks() else blocks

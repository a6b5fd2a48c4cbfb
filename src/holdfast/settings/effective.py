"""What holds in the end, and which place says so: a flag, the environment, the file, a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast import environment
from holdfast.settings.defaults import Config
from holdfast.settings.export import HARMLESS, MASK, without_password

FILE, DEFAULT = "config file", "default"

_SETTINGS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("repository", ("HOLDFAST_REPOSITORY", "RESTIC_REPOSITORY"), "(none)"),
    ("limit_upload", ("HOLDFAST_LIMIT_UPLOAD", "RESTIC_LIMIT_UPLOAD"), "no limit"),
    ("limit_download", ("HOLDFAST_LIMIT_DOWNLOAD", "RESTIC_LIMIT_DOWNLOAD"), "no limit"),
    ("cache_dir", (), "the user's cache folder"),
    ("cache_size", ("HOLDFAST_CACHE_SIZE", "RESTIC_CACHE_SIZE"), "1024"),
    ("compression", ("HOLDFAST_COMPRESSION", "RESTIC_COMPRESSION"), "auto"),
    ("pack_size", ("HOLDFAST_PACK_SIZE", "RESTIC_PACK_SIZE"), "16"),
)
"""Names of settings, their variables in the order in which they count, and what holds without."""

_PASSWORDS = tuple(
    f"{prefix}_{name}"
    for prefix, names in (
        ("HOLDFAST", ("PASSWORD", "PASSWORD_FILE", "PASSWORD_COMMAND")),
        ("RESTIC", ("PASSWORD", "PASSWORD_FILE")),
    )
    for name in names
)


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting.

    Attributes:
        name: as in a config file.
        text: its value, without secrets.
        origin: what says so: a flag, the name of a variable, `FILE` or `DEFAULT`.
    """

    name: str
    text: str
    origin: str

    def dict(self) -> dict[str, object]:
        """Ready for JSON: ``name``, ``value`` and ``from``."""
        return {"name": self.name, "value": self.text, "from": self.origin}


def effective(config: Config, flags: Mapping[str, object]) -> list[Setting]:
    """What holds.

    Args:
        config: the config file, or the profile of it that is used.
        flags: what the options before the command say, by the names of settings.
    """
    rows = [_setting(*each, config, flags) for each in _SETTINGS]
    return [rows[0], _password(config), *rows[1:], *_options(config)]


def written(config: Config) -> dict[str, object]:
    """What a config file says, and in its place what the environment says of the repository."""
    values = dict(config.written)
    location = environment.first("HOLDFAST_REPOSITORY", "RESTIC_REPOSITORY")
    if location is not None and "backend" not in values:
        values["repository"] = location
    file = environment.first("HOLDFAST_PASSWORD_FILE", "RESTIC_PASSWORD_FILE")
    if file is not None and config.password_file is None and config.password_command is None:
        values["password_file"] = file
    return values


def _setting(
    name: str,
    variables: tuple[str, ...],
    usual: str,
    config: Config,
    flags: Mapping[str, object],
) -> Setting:
    if flags.get(name) is not None:
        return Setting(name, str(flags[name]), f"--{name.replace('_', '-')}")
    for variable in variables:
        value = environment.variable(variable)
        if value is not None:
            return Setting(name, without_password(value), variable)
    own: object = getattr(config, name)
    if own is not None:
        return Setting(name, without_password(_as_written(config, name, own)), FILE)
    return Setting(name, usual, DEFAULT)


def _as_written(config: Config, name: str, value: object) -> str:
    """What the file says; where a variable says it, the variable."""
    said = config.written.get(name, config.written.get("backend") if name == "repository" else None)
    if isinstance(said, Mapping):
        said = said.get("uri")
    return said if isinstance(said, str) and "${" in said else str(value)


def _password(config: Config) -> Setting:
    """Where the password comes from."""
    for variable in _PASSWORDS:
        value = environment.variable(variable)
        if value is not None:
            is_file = variable.endswith("_FILE")
            return Setting("password", f"file {value}" if is_file else MASK, variable)
    if config.password_file is not None:
        return Setting("password", f"file {config.password_file}", FILE)
    if config.password_command is not None:
        return Setting("password", "a command", FILE)
    return Setting("password", "is asked for", DEFAULT)


def _options(config: Config) -> list[Setting]:
    return [
        Setting(
            f"storage_options.{name}",
            without_password(str(value)) if name in HARMLESS else MASK,
            FILE,
        )
        for name, value in config.storage_options.items()
    ]

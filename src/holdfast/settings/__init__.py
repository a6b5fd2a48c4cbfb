"""What a user set where: flags before environment variables before the config file."""

from holdfast.settings.access import (
    PasswordSource,
    find_location,
    find_other_password_source,
    find_password_source,
)
from holdfast.settings.config import Config, load_config

__all__ = [
    "Config",
    "PasswordSource",
    "find_location",
    "find_other_password_source",
    "find_password_source",
    "load_config",
]

"""What a user set where: flags before environment variables before the config file.

`holdfast.settings.config` reads the file, and is imported where there is one.
"""

from holdfast.settings.access import (
    PasswordSource,
    find_location,
    find_other_password_source,
    find_password_source,
)
from holdfast.settings.defaults import Config

__all__ = [
    "Config",
    "PasswordSource",
    "find_location",
    "find_other_password_source",
    "find_password_source",
]

"""What a user set where: flags before environment variables before the config file.

`holdfast.settings.config` reads the file, and is imported where there is one.
"""

from holdfast.settings.access import (
    PasswordSource,
    find_cache_size,
    find_compression,
    find_config_file,
    find_debug,
    find_location,
    find_other_password_source,
    find_pack_size,
    find_password_source,
    find_profile,
    find_profile_name,
)
from holdfast.settings.defaults import Config, Source, SourceGroup
from holdfast.settings.storage import (
    find_limits,
    find_other_storage_options,
    find_storage_options,
)

__all__ = [
    "Config",
    "PasswordSource",
    "Source",
    "SourceGroup",
    "find_cache_size",
    "find_compression",
    "find_config_file",
    "find_debug",
    "find_limits",
    "find_location",
    "find_other_password_source",
    "find_other_storage_options",
    "find_pack_size",
    "find_password_source",
    "find_profile",
    "find_profile_name",
    "find_storage_options",
]

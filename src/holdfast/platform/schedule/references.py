"""References to environment variables in a job, and secrets that are to be such references.

``$${`` stands for ``${``, as in a config file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from holdfast import environment
from holdfast.errors import UsageError
from holdfast.platform.audit.redact import redacted

_ANY = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?")
_USER = re.compile(r"://[^\s/?#@:]*@")


def resolved(value: object) -> object:
    """The value with each ``${VAR}`` in its texts replaced.

    Raises:
        UsageError: a variable is not set, or a reference is none.
    """
    if isinstance(value, str):
        return replaced(value, _variable)
    if isinstance(value, Mapping):
        return {name: resolved(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(each) for each in value]
    return value


def replaced(text: str, of_variable: Callable[[str], str]) -> str:
    """The text with something else for each ``${VAR}``, and ``${`` for ``$${``.

    Args:
        text: where they are.
        of_variable: what stands for a variable of that name.

    Raises:
        UsageError: a reference is none.
    """

    def found(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if match[1] is None:
            raise UsageError("job: `${` is to be `${NAME}`; `$${` stands for a plain `${`")
        return of_variable(match[1])

    return _ANY.sub(found, text)


def literal(text: str) -> str:
    """The text that is replaced by this one."""
    return text.replace("${", "$${")


def check_references(value: object) -> None:
    """Refuse texts in which a reference is none (UsageError)."""
    if isinstance(value, str):
        replaced(value, str)
    elif isinstance(value, Mapping):
        for each in value.values():
            check_references(each)
    elif isinstance(value, list | tuple):
        for each in value:
            check_references(each)


def refuse_secrets(values: Mapping[str, object], where: str = "job") -> None:
    """Refuse a configuration that would put a secret on disk.

    Raises:
        UsageError: it has one, which the message does not repeat.
    """
    for name, value in values.items():
        _refuse_secret(str(name), value, where)


def _refuse_secret(name: str, value: object, where: str) -> None:
    if isinstance(value, Mapping):
        refuse_secrets(value, f"{where}: {name}")
    elif isinstance(value, list | tuple):
        for each in value:
            _refuse_secret(name, each, where)
    elif isinstance(value, str) and _is_secret(name, _ANY.sub(_only_literal, value)):
        raise UsageError(
            f"{where}: {name} has a secret in it, and jobs are kept on disk: put the secret "
            "into an environment variable of the scheduler, and ${VARIABLE} here"
        )


def _only_literal(match: re.Match[str]) -> str:
    return "" if match[1] else match[0]


def _is_secret(name: str, value: str) -> bool:
    """Whether a text of that name is a secret, or a URI that has one."""
    if not value:
        return False
    unnamed = _USER.sub("://", value)  # a user's name alone is none
    says_where = name.endswith(("_file", "_command"))
    return (not says_where and redacted("x", name) != "x") or redacted(unnamed) != unnamed


def _variable(name: str) -> str:
    value = environment.variable(name)
    if value is None:
        raise UsageError(f"the environment variable {name} is not set")
    return value

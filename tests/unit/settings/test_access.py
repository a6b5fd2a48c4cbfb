"""The first place that says where the repository and the password are is the one that counts."""

from __future__ import annotations

import pytest

from holdfast.errors import UsageError
from holdfast.settings import (
    Config,
    PasswordSource,
    find_cache_size,
    find_config_file,
    find_debug,
    find_location,
    find_password_source,
    find_profile,
)

PLACES = (
    ("HOLDFAST_PASSWORD", "a", PasswordSource(password="a")),
    ("HOLDFAST_PASSWORD_FILE", "b", PasswordSource(file="b")),
    ("HOLDFAST_PASSWORD_COMMAND", "c d", PasswordSource(command="c d")),
    ("RESTIC_PASSWORD", "e", PasswordSource(password="e")),
    ("RESTIC_PASSWORD_FILE", "f", PasswordSource(file="f")),
)


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = ("HOLDFAST_CACHE_SIZE", "RESTIC_CACHE_SIZE")
    locations = ("HOLDFAST_REPOSITORY", "RESTIC_REPOSITORY")
    for name in (*sizes, *locations, *(place[0] for place in PLACES)):
        monkeypatch.delenv(name, raising=False)


def test_locations(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(repository="config")
    assert find_location(None, Config()) is None
    assert find_location(None, config) == "config"
    monkeypatch.setenv("RESTIC_REPOSITORY", "restic")
    assert find_location(None, config) == "restic"
    monkeypatch.setenv("HOLDFAST_REPOSITORY", "holdfast")
    assert find_location(None, config) == "holdfast"
    monkeypatch.setenv("HOLDFAST_REPOSITORY", "")
    assert find_location(None, config) == "restic", "an empty variable is as good as none"
    assert find_location("flag", config) == "flag"
    assert find_location("", config) == "", "an empty flag is a mistake, not a silence"


def test_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(password_file="g")
    assert find_password_source(None, Config()) is None
    assert find_password_source(None, Config(password_command=("h",))) == PasswordSource(
        command=("h",)
    )
    assert find_password_source(None, config) == PasswordSource(file="g")
    for name, value, source in reversed(PLACES):
        monkeypatch.setenv(name, value)
        assert find_password_source(None, config) == source
    assert find_password_source("flag", config) == PasswordSource(file="flag")


def test_a_password_is_not_in_the_repr() -> None:
    assert "secret" not in repr(PasswordSource(password="secret"))


def test_cache_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(cache_size=1)
    assert find_cache_size(None, Config()) is None
    assert find_cache_size(None, config) == 1 << 20
    monkeypatch.setenv("RESTIC_CACHE_SIZE", "512")
    assert find_cache_size(None, config) == 512 << 20
    monkeypatch.setenv("HOLDFAST_CACHE_SIZE", "0")
    assert find_cache_size(None, config) == 0
    assert find_cache_size(7, config) == 7 << 20


@pytest.mark.parametrize("text", ["-1", "1.5", "1 GiB", "²"])
def test_a_cache_size_that_is_no_number_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("RESTIC_CACHE_SIZE", text)
    with pytest.raises(UsageError, match="RESTIC_CACHE_SIZE is to be a number of MiB"):
        find_cache_size(None, Config())


def test_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Config(repository="one"), Config(repository="two")
    config = Config(profiles={"one": one, "two": two})
    monkeypatch.delenv("HOLDFAST_PROFILE", raising=False)
    assert find_profile(None, config) is config
    monkeypatch.setenv("HOLDFAST_PROFILE", "one")
    assert find_profile(None, config) is one
    assert find_profile("two", config) is two
    with pytest.raises(UsageError, match="no profile 'three' in the config file: there are one, t"):
        find_profile("three", config)
    with pytest.raises(UsageError, match="name that by --config"):
        find_profile(None, Config())


def test_the_config_file_and_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOLDFAST_CONFIG", "HOLDFAST_DEBUG", "RESTIC_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    assert find_config_file(None) is None
    assert (find_debug(flag=False), find_debug(flag=True)) == (False, True)
    monkeypatch.setenv("HOLDFAST_CONFIG", "variable")
    monkeypatch.setenv("RESTIC_DEBUG", "1")
    assert find_config_file(None) == "variable"
    assert find_config_file("flag") == "flag"
    assert find_debug(flag=False)
    monkeypatch.setenv("HOLDFAST_DEBUG", "0")
    assert not find_debug(flag=False)
    assert find_debug(flag=True)

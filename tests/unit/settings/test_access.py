"""The first place that says where the repository and the password are is the one that counts."""

from __future__ import annotations

import pytest

from holdfast.settings import Config, PasswordSource, find_location, find_password_source

PLACES = (
    ("HOLDFAST_PASSWORD", "a", PasswordSource(password="a")),
    ("HOLDFAST_PASSWORD_FILE", "b", PasswordSource(file="b")),
    ("HOLDFAST_PASSWORD_COMMAND", "c d", PasswordSource(command="c d")),
    ("RESTIC_PASSWORD", "e", PasswordSource(password="e")),
    ("RESTIC_PASSWORD_FILE", "f", PasswordSource(file="f")),
)


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOLDFAST_REPOSITORY", "RESTIC_REPOSITORY", *(place[0] for place in PLACES)):
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

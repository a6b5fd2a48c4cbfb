"""What the driver of a store is told, and how fast it may be used: the first place counts."""

from __future__ import annotations

import pytest

from holdfast.errors import UsageError
from holdfast.settings import (
    Config,
    find_limits,
    find_other_storage_options,
    find_storage_options,
)

VARIABLE = "HOLDFAST_STORAGE_OPTIONS"


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [
        f"{who}_LIMIT_{what}LOAD" for who in ("HOLDFAST", "RESTIC") for what in ("UP", "DOWN")
    ]
    for name in (VARIABLE, "HOLDFAST_TO_STORAGE_OPTIONS", *limits):
        monkeypatch.delenv(name, raising=False)


def told(*flags: str) -> dict[str, object]:
    return find_storage_options(flags, Config())


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("eu-west-1", "eu-west-1"),
        ("", ""),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("30", 30),
        ("-1", -1),
        ("0", 0),
        ("1.5", 1.5),
        ("007", "007"),
        ("1e3", "1e3"),
        ("\u0661", "\u0661"),
        ("9" * 40, "9" * 40),
        ('"30"', "30"),
        ('"', '"'),
        ("a=b==", "a=b=="),
    ],
)
def test_values_are_what_is_written(written: str, meant: object) -> None:
    value = told(f"name={written}")["name"]
    assert (value, type(value)) == (meant, type(meant))


def test_a_dot_is_for_what_is_inside() -> None:
    flags = ("a.b.c=1", "a.b.d=x", "a.e=true", "f=2", "f=3")
    assert told(*flags) == {"a": {"b": {"c": 1, "d": "x"}, "e": True}, "f": 3}


@pytest.mark.parametrize("flag", ["hush", "=hush", ".a=hush", "a.=hush", "a..b=hush"])
def test_what_is_no_option_is_refused_and_not_repeated(flag: str) -> None:
    with pytest.raises(UsageError, match="--storage-option is to be KEY=VALUE") as refused:
        told(flag)
    assert "hush" not in str(refused.value)


def test_the_nearest_place_counts_for_each_option(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(storage_options={"a": 1, "b": 1, "c": 1, "in": {"a": 1, "b": 1}})
    assert find_storage_options((), config) == config.storage_options
    monkeypatch.setenv(VARIABLE, '{"b": 2, "c": 2, "in": {"b": 2}}')
    assert find_storage_options(("c=3", "in.c=3"), config) == {
        "a": 1,
        "b": 2,
        "c": 3,
        "in": {"a": 1, "b": 2, "c": 3},
    }
    assert config.storage_options["c"] == 1, "what was read stays as it is"


@pytest.mark.parametrize(
    "text", ["hush", '{"a": hush}', '["hush"]', '"hush"', "[" * 100_000 + "hush"]
)
def test_a_variable_that_is_no_mapping_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(UsageError, match=VARIABLE) as refused:
        told()
    assert "hush" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_another_repository_has_options_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, '{"secret": "of the first"}')
    assert find_other_storage_options((), "TO") == {}
    monkeypatch.setenv("HOLDFAST_TO_STORAGE_OPTIONS", '{"a": 1, "b": 1}')
    assert find_other_storage_options(("b=2",), "TO") == {"a": 1, "b": 2}
    with pytest.raises(UsageError, match="--to-storage-option is to be"):
        find_other_storage_options(("b",), "TO")


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(limit_upload=1, limit_download="1")
    assert find_limits(None, None, Config()) == (None, None)
    assert find_limits(None, None, config) == (1, "1")
    monkeypatch.setenv("RESTIC_LIMIT_UPLOAD", "2")
    monkeypatch.setenv("RESTIC_LIMIT_DOWNLOAD", "3")
    assert find_limits(None, None, config) == ("2", "3")
    monkeypatch.setenv("HOLDFAST_LIMIT_UPLOAD", "4")
    assert find_limits(None, None, config) == ("4", "3")
    assert find_limits("5", "6", config) == ("5", "6")

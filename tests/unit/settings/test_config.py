"""The config file is read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import UsageError
from holdfast.settings import Config
from holdfast.settings.config import load_config


def loaded(folder: Path, text: str | bytes) -> Config:
    path = folder / "config.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_config(path)


def test_every_key(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "repository: file:///srv/repo\n"
        "password_file: /etc/pw\n"
        "cache_dir: cache\n"
        "exclude: ['*.tmp', node_modules/]\n",
    )
    assert config == Config(
        repository="file:///srv/repo",
        password_file="/etc/pw",
        cache_dir=str(tmp_path / "cache"),
        exclude=("*.tmp", "node_modules/"),
    )


def test_nothing_is_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == loaded(tmp_path, "# only words\n") == Config()
    assert loaded(tmp_path, "exclude:\nrepository:\n") == Config()


def test_relative_places_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    config = loaded(tmp_path, "backend: sub/repo\npassword_file: ~/pw\n")
    assert config.repository == str(tmp_path / "sub/repo")
    assert config.password_file == "/home/ada/pw"
    assert loaded(tmp_path, "repository: 's3:bucket/x'\n").repository == "s3:bucket/x"


def test_a_command_is_a_text_or_a_list(tmp_path: Path) -> None:
    assert loaded(tmp_path, "password_command: pass show x\n").password_command == "pass show x"
    both = loaded(tmp_path, "password_command: [pass, 'show it']\nexclude: one\n")
    assert both.password_command == ("pass", "show it")
    assert both.exclude == ("one",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exclud: []", "unknown key 'exclud': did you mean 'exclude'"),
        ("1: x", "unknown key '1': there are backend, cache_dir"),
        ("repository: a\nbackend: b", "repository and backend mean the same"),
        ("repository: a\nrepository: b", "'repository' stands there twice"),
        ("repository: 7", "repository is to be a text"),
        ("repository: ''", "repository is to be a text"),
        ("password_file: [a]", "password_file is to be a text"),
        ("password_file: a\npassword_command: b", "either password_file or password_command"),
        ("exclude: {a: b}", "exclude is to be a list of texts"),
        ("exclude: [1]", "exclude is to be a list of texts"),
        ("- a\n- b", "not a mapping"),
        ("just words", "not a mapping"),
        ("a: [", "not YAML"),
        ("? [a, b]\n: c", "not YAML"),
        ("a: !!python/object/apply:os.system [true]", "not YAML"),
        ("a: 2026-99-99", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        ("[" * 100_000, "not YAML"),
        ("a" * ((1 << 20) + 1), "larger than 1 MiB"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_files_name(
    tmp_path: Path, text: str | bytes, problem: str
) -> None:
    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, text)
    assert str(tmp_path / "config.yaml") in str(refused.value)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_config(tmp_path / "nothing.yaml")

"""The config file is read strictly."""

from __future__ import annotations

from dataclasses import replace
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
        "storage_options: {endpoint: 'https://x', client_kwargs: {region_name: r}, n: 3, b: true}\n"
        "limit_upload: 512\n"
        "limit_download: 08:00-18:00=512,4096\n"
        "cache_dir: cache\n"
        "cache_size: 64\n"
        "exclude: ['*.tmp', node_modules/]\n",
    )
    assert config == Config(
        repository="file:///srv/repo",
        password_file="/etc/pw",
        storage_options={
            "endpoint": "https://x",
            "client_kwargs": {"region_name": "r"},
            "n": 3,
            "b": True,
        },
        limit_upload=512,
        limit_download="08:00-18:00=512,4096",
        cache_dir=str(tmp_path / "cache"),
        cache_size=64,
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
        ("1: x", "unknown key '1': there are audit, backend, backup_strategy"),
        ("repository: a\nbackend: b", "repository and backend mean the same"),
        ("repository: a\nrepository: b", "'repository' stands there twice"),
        ("repository: 7", "repository is to be a text"),
        ("repository: ''", "repository is to be a text"),
        ("password_file: [a]", "password_file is to be a text"),
        ("password_file: a\npassword_command: b", "either password_file or password_command"),
        ("exclude: {a: b}", "exclude is to be a list of texts"),
        ("cache_size: -1", "cache_size is to be a whole number"),
        ("cache_size: 1.5", "cache_size is to be a whole number"),
        ("cache_size: true", "cache_size is to be a whole number"),
        ("exclude: [1]", "exclude is to be a list of texts"),
        ("limit_upload: -1", "limit_upload is to be a whole number"),
        ("limit_upload: true", "limit_upload is to be a whole number"),
        ("limit_download: [1]", "limit_download is to be a text"),
        ("storage_options: 7", "storage_options is to be a mapping"),
        ("storage_options: {1: x}", "a name in it is no text"),
        ("storage_options: {a: {b: 2026-01-01}}", "storage_options.a.b is to be a text"),
        ("storage_option: {}", "unknown key 'storage_option': did you mean 'storage_options'"),
        ("profile: {}", "unknown key 'profile': did you mean 'profiles'"),
        ("profiles: [a]", "profiles is to be a mapping"),
        ("profiles: {a: b}", "profile a is to be a mapping"),
        ("profiles: {a: {profiles: {}}}", "profile a: unknown key 'profiles'"),
        ("profiles: {a: {exclud: x}}", "profile a: unknown key 'exclud': did you mean 'exclude'"),
        ("profiles: {a: {repository: 7}}", "profile a: repository is to be a text"),
        ("profiles: {a: {password_file: a, password_command: b}}", "profile a: give either"),
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


PROFILES = """\
repository: general
password_file: pw
cache_size: 7
storage_options: {key: one, secret: two}
profiles:
  cloud:
    repository: s3://bucket/x
    password_command: [pass, show, x]
    storage_options: {endpoint: 'https://x'}
  disk: {backend: /disk, password_file: other}
  same:
"""


def test_a_profile_says_what_differs(tmp_path: Path) -> None:
    config = loaded(tmp_path, PROFILES)
    assert config.repository == str(tmp_path / "general")
    cloud, disk, same = (config.profiles[name] for name in ("cloud", "disk", "same"))
    assert cloud.repository == "s3://bucket/x"
    assert (cloud.password_file, cloud.password_command) == (None, ("pass", "show", "x"))
    assert cloud.storage_options == {"endpoint": "https://x"}, "another store's secrets stay there"
    assert cloud.cache_size == 7
    assert (disk.repository, disk.password_file) == ("/disk", str(tmp_path / "other"))
    assert disk.storage_options == {"key": "one", "secret": "two"}
    assert same == replace(config, profiles={})


def test_no_secret_is_in_the_repr(tmp_path: Path) -> None:
    text = "storage_options: {secret: hush}\nprofiles: {a: {storage_options: {key: hush}}}"
    assert "hush" not in repr(loaded(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "storage_options:\n  secret: *hush\n",
        "storage_options:\n  secret: !hush x\n",
        "storage_options:\n  secret: 'hush\n",
        "storage_options:\n  secret: a: hush\n",
        "storage_options:\n  secret: [hush\n",
        'storage_options:\n  secret: "hush\\q"\n',
        "storage_options: hush",
        "storage_options: [hush]",
        "storage_options: {secret: !!set {hush}}",
    ],
)
def test_no_message_repeats_a_secret(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, text)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
        "a0: &a0 {k: v}\n"
        + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)),
        "a: &a [*a]\n",
        "a: &a {b: *a}\n",
        "exclude: " + "[" * 300 + "]" * 300,
        "".join(f"k{n}:\n" for n in range(60_000)),
    ],
)
def test_what_is_small_and_means_much_is_refused_at_once(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="config file"):
        loaded(tmp_path, text)


def test_aliases_are_taken(tmp_path: Path) -> None:
    text = "profiles:\n  a: &a {exclude: ['*.o']}\n  b: *a\n  c: *a\n"
    profiles = loaded(tmp_path, text).profiles
    assert [each.exclude for each in profiles.values()] == [("*.o",)] * 3

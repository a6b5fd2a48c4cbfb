"""Laws of config files: an exported one is read back the same, and no secret is ever told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from holdfast import UsageError
from holdfast.settings.config import load_config
from holdfast.settings.defaults import Config
from holdfast.settings.export import Form, as_json, as_yaml, exported, masked
from holdfast.settings.kinds import WRITE_ONLY
from holdfast.settings.review import review
from holdfast.settings.section import schema

MARK = "hush-5f3b"

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).map(
    lambda text: text.replace("${", "$${")
)
names = texts.map(lambda text: "/" + text)
words = st.lists(texts, max_size=3)
counts = st.integers(1, 10**6)
flags = st.booleans()
policies = st.fixed_dictionaries({"keep_daily": counts}, optional={"keep_last": counts})


def some(**keys: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries({}, optional=keys)


SECTION: dict[str, st.SearchStrategy[object]] = {
    "repository": names,
    "password_file": names,
    "limit_upload": counts | texts,
    "cache_size": counts,
    "compression": st.sampled_from(["auto", "max", "off"]),
    "pack_size": counts,
    "exclude": words,
    "sources": st.lists(
        st.fixed_dictionaries({"path": names}, optional={"tags": words, "exclude": words}),
        max_size=3,
    ),
    "retention": policies,
    "retention_policies": st.dictionaries(texts, policies, max_size=2),
    "schedule": some(backup_cron=texts, zone=texts),
    "dr_drill": some(max_rto_minutes=counts, validation_checks=st.just(["integrity"])),
    "notifications": some(
        email=some(enabled=flags, recipients=words, smtp_port=st.integers(1, 65535)),
        slack=some(enabled=flags, channel=texts),
        console=flags,
        file=names,
    ),
    "cdp_strategy": some(interval_minutes=counts, retention=policies),
    "tiered_strategy": st.dictionaries(
        texts, st.fixed_dictionaries({"sources": st.lists(names, min_size=1)}), max_size=2
    ),
    "three_two_one": some(
        copies=st.lists(
            st.fixed_dictionaries({"repository": names, "media": texts, "location": texts}),
            max_size=2,
        )
    ),
    "monitoring": some(alert_on_failure=flags, max_rpo_minutes=counts),
}
sections = st.fixed_dictionaries({}, optional=SECTION)
files = st.builds(
    lambda section, profiles: {**section, "profiles": profiles},
    sections,
    st.dictionaries(texts, sections, max_size=2),
)
anything = st.recursive(
    st.none() | flags | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.integers(), inner),
    max_leaves=8,
)


def read(folder: str, name: str, text: str) -> Config:
    path = Path(folder) / name
    path.write_text(text, "utf-8")
    return load_config(path)


@example({"repository": "/\x85"}, "yaml")  # PyYAML reads this as the end of a line
@example({"exclude": ["a\u2028b"]}, "yaml")
@given(files, st.sampled_from(["yaml", "json"]))
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_r154_what_is_exported_is_read_back_the_same(values: dict[str, object], form: Form) -> None:
    with TemporaryDirectory() as folder:
        before = read(folder, "before.yaml", as_yaml(values))
        out = exported(values, Path(folder))
        assert not out.variables
        assert read(folder, f"after.{form}", out.text(form)) == before


keys = st.sampled_from([*SECTION, "backend", "credentials", "version", "profiles", "audit"])


@given(st.dictionaries(keys | texts, anything | sections, max_size=5))
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_nonsense_is_a_usage_error_and_nothing_else(values: dict[str, object]) -> None:
    with TemporaryDirectory() as folder:
        for name, text in (("c.yaml", as_yaml(values)), ("c.json", as_json(values))):
            with suppress(UsageError):
                read(folder, name, text)
            with suppress(UsageError):
                assert all(each.text for each in review(Path(folder) / name))


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_any_bytes_are_a_config_or_a_usage_error(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "c.yaml"
        path.write_bytes(content)
        with suppress(UsageError):
            load_config(path)


def secret_places(node: Mapping[str, object], place: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where secrets stand, by the schema."""
    found = []
    reference = node.get("$ref")
    if isinstance(reference, str):
        definitions = schema()["$defs"]
        assert isinstance(definitions, dict)
        node = definitions[reference.rpartition("/")[2]]
    if node.get(WRITE_ONLY):
        found.append(place)
    choices = node.get("anyOf")
    for each in choices if isinstance(choices, list) else []:
        found += secret_places(each, place)
    properties = node.get("properties")
    for name, each in (properties if isinstance(properties, dict) else {}).items():
        found += [] if name == "profiles" else secret_places(each, (*place, name))
    rest = node.get("additionalProperties")
    if isinstance(rest, dict):
        found += secret_places(rest, (*place, "some"))
    return found


SECRETS = [*secret_places(schema()), ("storage_options", "secret"), ("storage_options", "a", "b")]


def test_the_schema_knows_the_secrets() -> None:
    assert {".".join(each) for each in SECRETS} >= {
        "credentials.aws_access_key",
        "credentials.aws_secret_key",
        "notifications.apprise.some",
        "notifications.email.password",
        "notifications.slack.webhook_url",
        "notifications.webhook",
    }


def with_secret(place: tuple[str, ...], value: object) -> dict[str, object]:
    record: object = value
    for name in reversed(place):
        record = {name: record}
    assert isinstance(record, dict)
    return record


SPOILED: list[object] = [
    [MARK],
    MARK.encode(),
    {"x": [MARK]},
    MARK,
    "${TEST_MARK}",
    f"{MARK} ${{",
    f"${{TEST_UNSET}}{MARK}",
]


@pytest.mark.parametrize("place", SECRETS, ids=".".join)
@pytest.mark.parametrize("spoiled", SPOILED, ids=repr)
def test_no_secret_is_ever_told(
    place: tuple[str, ...],
    spoiled: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_MARK", MARK)
    monkeypatch.delenv("TEST_UNSET", raising=False)
    values = with_secret(place, spoiled) | {"cache_siz": 1}
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(UsageError) as refused:
        load_config(path)
    told = [str(refused.value), *(each.text for each in review(path))]
    assert told[1:]
    assert all(MARK not in each for each in told)
    if not isinstance(spoiled, bytes):
        assert MARK not in json.dumps(masked(values))
        assert MARK not in exported(values, tmp_path).text("yaml")

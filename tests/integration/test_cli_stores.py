"""The command line on stores: a URI, and what the store's driver is told, are all that differs."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import botocore.session
import pytest
from fsspec.registry import _registry
from tests.integration.cli_runner import PASSWORD, Cli, Ended
from tests.servers.base import Place
from tests.servers.s3 import Moto

import holdfast

if TYPE_CHECKING:
    from tests.servers.fixtures import Servers

pytestmark = pytest.mark.usefixtures("cheap_passwords")

AMAZON = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_S3_ENDPOINT",
)


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    for name in (*AMAZON, "HOLDFAST_TO_STORAGE_OPTIONS", "HOLDFAST_LIKE_STORAGE_OPTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOLDFAST_PASSWORD", PASSWORD)
    cli = Cli(tmp_path, capfd, monkeypatch)
    cli.environment(HOLDFAST_PASSWORD=PASSWORD)
    return cli


@pytest.fixture
def bucket(servers: Servers) -> Place:
    return servers.get("moto").place()


def flags(options: dict[str, object], prefix: str = "") -> list[str]:
    """Storage options as a user types them."""
    typed = []
    for name, value in options.items():
        if isinstance(value, dict):
            typed += flags(value, f"{prefix}{name}.")
        else:
            typed.append(f"{prefix}{name}={value}")
    return typed


def secret_of(place: Place) -> str:
    found = place.options["secret"]
    assert isinstance(found, str)
    return found


def in_environment(cli: Cli, place: Place, name: str = "HOLDFAST_STORAGE_OPTIONS") -> None:
    cli.environment(**{name: json.dumps(place.options)})


# One URI is all that differs


def test_a_repository_in_a_bucket_from_init_to_prune(cli: Cli, bucket: Place) -> None:
    in_environment(cli, bucket)
    cli.environment(HOLDFAST_REPOSITORY=bucket.location)
    data = cli.tree()
    ended = [
        cli.json("init"),
        cli.json("create", "data", "-t", "daily"),
        cli("--debug", "list"),
        cli.json("restore", "-s", "latest", "-t", "out"),
        cli.json("validate", "--read-data"),
        cli.json("sessions"),
        cli.json("forget", "--keep-last", "1"),
        cli.json("prune"),
        cli.json("stats"),
    ]
    assert [each.code for each in ended] == [0] * len(ended), [each.err for each in ended]
    assert "daily" in ended[2].out
    restored = cli.folder / "out" / data.relative_to("/")
    assert (restored / "a.txt").read_text() == "alpha\n"
    assert ended[4].document["valid"] is True
    told = "".join(each.out + each.err for each in ended)
    assert secret_of(bucket) not in told


def test_the_environment_of_amazons_tools_does(cli: Cli, bucket: Place) -> None:
    cli.environment(
        AWS_ACCESS_KEY_ID="any-key",
        AWS_SECRET_ACCESS_KEY="any-secret",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_S3_ENDPOINT=str(bucket.options["endpoint_url"]),
    )
    assert cli("init", "-b", bucket.location).code == 0
    assert cli("list", "-b", bucket.location).code == 0


def test_the_flags_come_first_then_variables_then_the_profile_then_the_file(
    cli: Cli, bucket: Place
) -> None:
    wrong = {**bucket.options, "endpoint_url": "http://127.0.0.1:1"}
    config = {
        "repository": "elsewhere",
        "profiles": {"cloud": {"repository": bucket.location, "storage_options": wrong}},
    }
    (cli.folder / "holdfast.yaml").write_text(json.dumps(config))  # which is YAML, too
    cli.repository("elsewhere", named=False)
    by_file = ("--config", "holdfast.yaml")
    cloud = (*by_file, "--profile", "cloud")
    right = f"endpoint_url={bucket.options['endpoint_url']}"
    assert cli(*cloud, "--storage-option", right, "init").code == 0
    in_environment(cli, bucket)
    assert cli(*cloud, "list").code == 0, "the variable counts more than the profile"
    assert cli(*by_file, "list").code == 0, "the file's own repository is on the disk"
    cli.environment(HOLDFAST_CONFIG="holdfast.yaml", HOLDFAST_PROFILE="cloud")
    assert cli("list").code == 0
    cli.environment(HOLDFAST_PROFILE="clout")
    done = cli("list")
    assert (done.code, "there are cloud" in done.err) == (2, True)


def test_a_copy_goes_to_another_store_with_options_of_its_own(cli: Cli, bucket: Place) -> None:
    cli.repository()
    cli.tree()
    assert cli("create", "data").code == 0
    cli.environment(HOLDFAST_LIKE_PASSWORD=PASSWORD, HOLDFAST_TO_PASSWORD=PASSWORD)
    in_environment(cli, bucket)
    assert cli("init", "-b", bucket.location, "--like", "repo").code == 0
    cli.patch.delenv("HOLDFAST_STORAGE_OPTIONS")
    told = [f"--to-storage-option={each}" for each in flags(bucket.options)]
    assert cli("copy", "--to", bucket.location, *told).code == 0
    in_environment(cli, bucket, "HOLDFAST_TO_STORAGE_OPTIONS")
    again = cli.json("copy", "--to", bucket.location)
    assert (again.code, again.document["skipped"]) == (0, 1)
    with holdfast.open(
        bucket.location, password=PASSWORD, cache=False, storage_options=bucket.options
    ) as repo:
        assert len(repo.snapshots()) == 1


def test_limits_are_taken_and_checked(cli: Cli) -> None:
    cli.repository()
    fast = ("--limit-upload", "1000000", "--limit-download", "08:00-18:00=900000,1000000")
    assert cli(*fast, "list").code == 0
    cli.environment(RESTIC_LIMIT_UPLOAD="10 MB")
    done = cli("list")
    assert (done.code, "'10 MB' is no limit" in done.err) == (2, True)


# holdfast storage test


def answers(ended: Ended) -> dict[object, object]:
    return {each["name"]: each["outcome"] for each in ended.objects("checks")}


def fit(ended: Ended) -> set[object]:
    return {each["use"] for each in ended.objects("verdicts") if each["fit"]}


EVERY_USE = {"backup", "restore", "prune", "prune beside writers"}


def test_a_store_is_tested(cli: Cli, bucket: Place) -> None:
    in_environment(cli, bucket)
    cli.patch.delenv("HOLDFAST_PASSWORD")
    found = cli.json("storage", "test", "-b", bucket.location)
    assert (found.code, found.err) == (0, "")
    assert found.document["fit"] is True
    assert set(answers(found).values()) == {"yes"}
    assert fit(found) == EVERY_USE
    assert found.document["clock_difference"] == 0
    left = holdfast.init(bucket.location, password="x", storage_options=bucket.options, cache=False)
    left.close()  # the place is as empty as before
    told = cli("storage", "test", "-b", bucket.location)
    assert told.code == 0
    assert "fit for prune beside running backups" in told.out
    assert "MiB/s" in told.out
    assert "NOT" not in told.out


def test_every_kind_of_store_is_fit(cli: Cli, place: Place) -> None:
    in_environment(cli, place)
    found = cli.json("storage", "test", "-b", place.location)
    assert found.code == 0, found.err
    assert set(answers(found).values()) == {"yes"}, found.out
    assert found.document["clock_difference"] == 0
    assert found.document["left"] == []


@pytest.mark.parametrize("kind", ["path", "uri", "memory"])
def test_any_place_can_be_tested(cli: Cli, kind: str) -> None:
    places = {"path": "sub/repo", "uri": f"file://{cli.folder}/repo", "memory": "memory://test/x"}
    found = cli.json("--limit-upload", "1000000", "storage", "test", "-b", places[kind])
    assert found.code == 0, found.err
    assert fit(found) == EVERY_USE
    assert found.document["clock_difference"] == 0
    assert not (cli.folder / "sub").exists()
    assert not (cli.folder / "repo").exists()


def test_a_repository_is_as_it_was_after_a_test(cli: Cli) -> None:
    repo = cli.repository()
    before = sorted(str(path) for path in repo.rglob("*"))
    assert cli("storage", "test").code == 0
    assert sorted(str(path) for path in repo.rglob("*")) == before


class User(NamedTuple):
    """Somebody who may do some things, by storage options."""

    reader: dict[str, object]
    appender: dict[str, object]
    nobody: dict[str, object]


RIGHTS = {
    "reader": ["s3:GetObject", "s3:ListBucket"],
    "appender": ["s3:GetObject", "s3:ListBucket", "s3:PutObject"],
    "nobody": ["s3:ListAllMyBuckets"],
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, User]]:
    """A repository on a server that looks who asks, and what three users have to say there."""
    server = Moto(tmp_path_factory.mktemp("guarded"))
    place = server.place()
    with holdfast.init(
        place.location, password=PASSWORD, storage_options=place.options, cache=False
    ):
        users = User(**{name: {**place.options, **_user(server, name)} for name in RIGHTS})
    request = urllib.request.Request(  # noqa: S310 - our own http address
        f"{server.address}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
        answer.read()
    yield place.location, users
    server.stop()


def _user(server: Moto, name: str) -> dict[str, object]:
    client = botocore.session.get_session().create_client(
        "iam",
        region_name="us-east-1",
        endpoint_url=server.address,
        aws_access_key_id="any-key",
        aws_secret_access_key="any-secret",
    )
    client.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": RIGHTS[name], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=policy)
    key = client.create_access_key(UserName=name)["AccessKey"]
    client.close()
    return {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


def test_credentials_that_may_only_read(cli: Cli, guarded: tuple[str, User]) -> None:
    location, users = guarded
    in_environment(cli, Place(location, users.reader))
    found = cli.json("storage", "test", "-b", location)
    assert (found.code, fit(found)) == (1, {"restore"})
    assert answers(found) == {"write": "refused", "list": "yes", "read": "yes", "range": "yes"}
    told = cli("storage", "test", "-b", location)
    assert told.code == 1
    assert "the permission s3:PutObject is needed" in told.out
    assert "NOT fit for backups" in told.out
    assert cli("list", "-b", location).code == 0
    refused = cli("create", "-b", location, "--stdin", "x")
    assert (refused.code, "s3:PutObject is needed" in refused.err) == (1, True)


def test_credentials_that_may_not_delete(cli: Cli, guarded: tuple[str, User]) -> None:
    location, users = guarded
    in_environment(cli, Place(location, users.appender))
    found = cli.json("storage", "test", "-b", location)
    assert (found.code, fit(found)) == (0, {"backup", "restore"})
    assert answers(found)["delete"] == "refused"
    assert found.document["left"]
    assert "could not be deleted: remove the folder holdfast-test-" in found.err
    cli.tree()
    assert cli("create", "-b", location, "data").code == 0


def test_credentials_that_may_do_nothing(cli: Cli, guarded: tuple[str, User]) -> None:
    location, users = guarded
    in_environment(cli, Place(location, users.nobody))
    for verb, needed in ((("storage", "test"), "s3:PutObject"), (("list",), "s3:ListBucket")):
        done = cli(*verb, "-b", location)
        assert (done.code, f"the permission {needed} is needed" in done.err) == (1, True)
        assert str(users.nobody["secret"]) not in done.err


# What goes wrong


def test_a_bucket_that_is_not_there(cli: Cli, bucket: Place) -> None:
    in_environment(cli, bucket)
    for verb in (("list",), ("init",), ("storage", "test")):
        done = cli(*verb, "-b", "s3://no-such-bucket/x")
        assert done.code == 1
        assert "there is no bucket no-such-bucket: create it first" in done.err


def test_a_bucket_without_a_repository(cli: Cli, bucket: Place) -> None:
    in_environment(cli, bucket)
    assert cli("list", "-b", bucket.location).code == 10


def test_a_server_that_is_not_there(cli: Cli, bucket: Place) -> None:
    cli.patch.setattr("holdfast.backend.retry.FIRST_DEADLINE", 2.0)
    in_environment(cli, bucket)
    wrong = ("--storage-option", "endpoint_url=http://127.0.0.1:1")
    for verb in (("list",), ("storage", "test")):
        done = cli(*wrong, *verb, "-b", bucket.location)
        assert (done.code, "does not answer" in done.err) == (1, True)
        assert secret_of(bucket) not in done.err


def test_a_driver_that_is_not_installed(cli: Cli) -> None:
    cli.patch.setitem(sys.modules, "s3fs", None)
    cli.patch.delitem(_registry, "s3", raising=False)  # other tests have loaded it
    done = cli("list", "-b", "s3://bucket/x")
    assert (done.code, "pip install 'holdfast[s3]'" in done.err) == (2, True)


@pytest.mark.parametrize("location", ["s3://key:hush@bucket/x", "s3://bucket/x?secret=hush"])
def test_a_secret_in_a_location_is_refused_and_not_repeated(cli: Cli, location: str) -> None:
    for verb in (("list",), ("storage", "test")):
        done = cli("--debug", *verb, "-b", location)
        assert done.code == 2
        assert "must not hold a password" in done.err
        assert "hush" not in done.err


def test_an_option_that_is_none_is_not_repeated(cli: Cli) -> None:
    done = cli("--debug", "--json", "--storage-option", "hush", "list", "-b", "s3://bucket/x")
    assert done.code == 2
    assert "hush" not in done.err + done.out


def test_options_before_the_command_say_so_behind_it(cli: Cli) -> None:
    done = cli("list", "-b", "memory://x", "--storage-option", "a=b")
    assert (done.code, "--storage-option goes before the command" in done.err) == (2, True)


@pytest.mark.parametrize(("said", "told"), [("1", True), ("0", False)])
def test_debugging_by_a_variable(cli: Cli, said: str, told: bool) -> None:
    cli.repository()
    cli.environment(RESTIC_DEBUG=said)
    done = cli("list", "nosuchsnapshot", "-b", "nowhere")
    assert ("Traceback" in done.err) == told

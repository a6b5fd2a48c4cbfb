"""The commands `repair`, `sessions` and `cat`, on real repositories."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.integration.cli_runner import PASSWORD, Cli

import holdfast
from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.store import open_store

pytestmark = pytest.mark.usefixtures("cheap_passwords")


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    made = Cli(tmp_path, capfd, monkeypatch)
    made.repository()
    made.tree()
    assert made("create", "data").code == 0
    return made


def packs(cli: Cli) -> list[Path]:
    return sorted((cli.folder / "repo/data").rglob("*-*"))


def data_pack(cli: Cli) -> Path:
    """The pack that holds the files' data, and no directories."""
    (found,) = [
        path for path in packs(cli) if cli.json("cat", "pack", path.name).document["kind"] == "data"
    ]
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# repair index


def test_a_lost_index_is_made_again(cli: Cli) -> None:
    shutil.rmtree(cli.folder / "repo/index")
    assert cli("validate").code == 4
    before = files(cli.folder / "repo")
    tried = cli("repair", "index")
    assert tried.code == 0
    assert "2 packs would be put into the index" in tried.out
    assert "--apply does it" in tried.out
    assert files(cli.folder / "repo") == before
    done = cli.json("repair", "index", "--apply")
    assert (done.code, done.document["dry_run"], done.document["changed"]) == (0, False, True)
    indexed = done.document["indexed"]
    assert isinstance(indexed, list)
    assert sorted(indexed) == [str(path.relative_to(cli.folder / "repo")) for path in packs(cli)]
    assert cli("validate", "--read-data", "--full-check").code == 0
    again = cli("repair", "index", "--apply")
    assert (again.code, again.out) == (0, "the index tells of all packs\n")


def test_a_missing_pack_is_told_with_what_needs_it(cli: Cli) -> None:
    pack = data_pack(cli)
    pack.unlink()
    done = cli("repair", "index", "--apply")
    assert done.code == 4
    assert f"{pack.name}: missing, and needed" in done.out
    assert "1 missing pack dropped from the index" in done.out
    assert "a.txt" in done.out


# repair packs


def test_a_damaged_pack_gives_what_can_be_read(cli: Cli) -> None:
    pack = data_pack(cli)
    data = pack.read_bytes()
    pack.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert cli("repair", "packs").out.endswith("nothing was done: --apply does it\n")
    done = cli.json("repair", "packs", "--apply")
    assert done.code == 0
    (told,) = done.objects("packs")
    assert told["lost"] == 0
    assert told["salvaged"] == told["blobs"]
    assert cli("validate", "--read-data").code == 0
    assert cli("prune").code == 0
    assert not pack.exists()
    assert cli("validate", "--read-data").code == 0
    assert "no pack is damaged" in cli("repair", "packs", "--apply").out


def test_what_is_lost_is_told_and_given_by_another_repository(cli: Cli) -> None:
    cli.environment(HOLDFAST_LIKE_PASSWORD=PASSWORD, HOLDFAST_FROM_PASSWORD=PASSWORD)
    assert cli("init", "-b", "other", "--like", "repo").code == 0
    assert cli("create", "-b", "other", "data").code == 0
    pack = data_pack(cli)
    data = bytearray(pack.read_bytes())
    data[101] ^= 1
    pack.write_bytes(bytes(data))
    lost = cli("repair", "packs", pack.name)
    assert lost.code == 4
    assert "are lost" in lost.out
    assert "a.txt" in lost.out
    done = cli("repair", "packs", pack.name, "--from", "other", "--apply")
    assert done.code == 0, done.err
    assert "come from the other repository" in done.out
    assert cli("validate", "--read-data").code == 0


def test_names_of_no_pack_are_refused(cli: Cli) -> None:
    done = cli("repair", "packs", "nonsense")
    assert done.code == 2
    assert "no pack of that name" in done.err


# repair snapshots


def test_a_snapshot_without_what_is_lost(cli: Cli) -> None:
    with cli.library() as repo:
        before = repo.snapshot("latest")
    data_pack(cli).unlink()
    tried = cli("repair", "snapshots")
    assert tried.code == 4
    assert "would be made without this" in tried.out
    assert f"{cli.folder}/data/a.txt" in tried.out
    done = cli.json("repair", "snapshots", "--apply")
    assert done.code == 4
    (told,) = done.objects("snapshots")
    assert (told["snapshot"], told["made"], told["lost"]) == (before.id, True, 3)
    with cli.library() as repo:
        new = repo.snapshot(str(told["new"]))
        assert new.replaces == before.id
        assert [entry.name for entry in repo.walk(new.id) if entry.type == "symlink"] == ["link"]
        assert not [entry for entry in repo.walk(new.id) if entry.type == "file"]
    assert "made before" in cli("repair", "snapshots", "--apply").out
    assert cli("forget", before.id, "--force").code == 0
    assert cli("validate").code == 0


def test_snapshots_that_nothing_can_be_made_of(cli: Cli) -> None:
    for pack in packs(cli):
        pack.unlink()
    done = cli("repair", "snapshots", "--apply")
    assert done.code == 4
    assert "its root directory is lost" in done.out
    (snapshot,) = (cli.folder / "repo/snapshots").iterdir()
    snapshot.write_bytes(b"damaged")
    done = cli("repair", "snapshots", "--apply")
    assert done.code == 4
    assert f"snapshots/{snapshot.name}: it cannot be read" in done.out


# sessions


def test_a_damaged_announcement_says_where_the_way_out_is_told(cli: Cli) -> None:
    store = open_store(LocalBackend(cli.folder / "repo"), PASSWORD, SYSTEM_CLOCK, None)
    name = store.reclaim({}, 1800.0).condemn([])
    (cli.folder / "repo" / name).write_bytes(b"damaged" * 20)
    for command in (("create", "data"), ("prune",)):
        done = cli(*command)
        assert done.code != 0
        assert "A damaged announcement" in done.err
    (cli.folder / "repo" / name).unlink()
    (cli.folder / "repo" / f"{name}.waits").unlink()
    assert cli("prune").code == 0


def test_a_damaged_config_says_how_to_open_the_repository_all_the_same(cli: Cli) -> None:
    (cli.folder / "repo/config/0").write_bytes(b"damaged" * 20)
    done = cli("snapshots")
    assert "recovery key" in done.err
    assert "validate" not in done.err


def test_nobody_is_at_work(cli: Cli) -> None:
    assert cli("sessions").out == "0 sessions, 0 reclaims\n"
    assert cli.json("sessions").document == {"sessions": [], "reclaims": []}


def test_a_session_is_listed_and_declared_dead(cli: Cli) -> None:
    store = open_store(LocalBackend(cli.folder / "repo"), PASSWORD, SYSTEM_CLOCK, None)
    about: dict[str, object] = {"kind": "backup", "host": "ho\x1bst", "user": "anna", "process": 7}
    with store.writer(about) as writer:
        store.reclaim({}, 1800.0).condemn([])
        (session,) = cli.json("sessions").objects("sessions")
        assert (session["id"], session["kind"], session["process"]) == (writer.id, "backup", 7)
        (reclaim,) = cli.json("sessions").objects("reclaims")
        assert reclaim["waits"] == [writer.id]
        told = cli("sessions").out
        assert writer.id[:8] in told
        assert "anna@ho\\x1bst" in told
        assert f"waits for {writer.id[:8]}" in told
        asked = cli("sessions", "--expire", writer.id[:8])
        assert asked.code == 2
        assert "--yes" in asked.err
        done = cli.json("sessions", "--expire", writer.id[:8], "--yes")
        assert done.document == {"session": writer.id[:8], "expired": True}
        writer.flush()
        with pytest.raises(holdfast.SessionLost):
            writer.confirm()
    assert cli("sessions", "--expire", writer.id, "--yes").code == 2


# cat


def test_cat_shows_every_kind_of_object(cli: Cli) -> None:
    with cli.library() as repo:
        snapshot = repo.snapshot("latest")
    config = cli("cat", "config")
    assert (
        json.loads(config.out)["repository"]
        == cli.json("cat", "config", "0").document["repository"]
    )
    (key,) = (cli.folder / "repo/keys").iterdir()
    slot = cli.json("cat", "key", key.name[:6]).document
    assert (slot["dedup"], slot["master"], slot["passes"]) == ("(secret)", "(secret)", 1)
    told = [
        pack
        for index in (cli.folder / "repo/index").iterdir()  # two if the backup took long
        for pack in cli.json("cat", "index", index.name).objects("packs")
    ]
    assert {pack["name"] for pack in told} == {path.name for path in packs(cli)}
    record = cli.json("cat", "snapshot", "latest").document
    assert (record["tree"], record["paths"]) == (snapshot.tree.hex(), [f"{cli.folder}/data"])
    assert cli.json("cat", "snapshot", snapshot.id).document == record
    pack = cli.json("cat", "pack", data_pack(cli).name).document
    assert pack["session"] == snapshot.id


def test_cat_shows_labels_and_what_rotations_put_out_of_force(cli: Cli) -> None:
    assert cli("tag", "latest", "--add", "kept").code == 0
    with cli.library() as repo:
        for _ in range(2):
            assert repo.rotate_keys(PASSWORD).finished
    assert cli.json("cat", "label", "").document["add"] == ["kept"]
    assert cli.json("cat", "config", "0").document["sealed_in_epoch"] == 0
    assert cli.json("cat", "epoch", "0-").document["sealed_in_epoch"] == 1


def test_cat_finds_sessions_and_reclaims_by_the_beginning_of_their_ids(cli: Cli) -> None:
    store = open_store(LocalBackend(cli.folder / "repo"), PASSWORD, SYSTEM_CLOCK, None)
    with store.writer({"kind": "backup"}) as writer:
        session = cli.folder / "repo/sessions" / writer.id
        session.with_name(f"{writer.id}.1").write_bytes(b"a sign of life")
        store.reclaim({}, 1800.0).condemn([])
        assert cli.json("cat", "session", writer.id[:6]).document["kind"] == "backup"
        assert cli.json("cat", "reclaim", "").document["packs"] == []
        (waits,) = (cli.folder / "repo/gc").glob("*.waits")
        assert cli.json("cat", "reclaim", waits.name).document["waits"] == [writer.id]


def test_cat_shows_trees_and_blobs(cli: Cli) -> None:
    place = f"latest:{cli.folder}/data"
    tree = cli.json("cat", "tree", place)
    assert cli.json("cat", "tree", str(tree.document["id"])).objects("entries") == [
        {**entry, "path": f"/{entry['name']}"} for entry in tree.objects("entries")
    ]
    found = {entry["name"]: entry for entry in tree.objects("entries")}
    assert found.keys() == {"a.txt", "b.tmp", "sub", "link"}
    blob = cli("cat", "blob", str(found["a.txt"]["payload"]))
    assert (blob.code, blob.out) == (0, "alpha\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense", "x"), "nonsense"),
        (("index", "zz"), "no object begins so"),
        (("pack", ""), "several objects begin so"),
        (("blob", "12"), "64 hexadecimal digits"),
        (("tree", "latest:/nowhere"), "no such path"),
    ],
)
def test_cat_refuses_what_there_is_not(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    done = cli("cat", *arguments)
    assert done.code in {1, 2}
    assert message in done.err


def test_secrets_are_never_shown(cli: Cli) -> None:
    store = open_store(LocalBackend(cli.folder / "repo"), PASSWORD, SYSTEM_CLOCK, None)
    secrets = {store.keys.dedup.hex(), store.keys.from_master("pack").hex()}
    shown = ""
    for kind, folder in (("config", "config"), ("key", "keys"), ("snapshot", "snapshots")):
        for path in (cli.folder / "repo" / folder).iterdir():
            shown += cli("cat", kind, path.name).out
    assert shown
    assert not any(secret in shown for secret in secrets)

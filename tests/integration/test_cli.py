"""Every command, on real repositories: what it does, its flags, its text and its JSON."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.integration.cli_runner import PASSWORD, Cli

pytestmark = pytest.mark.usefixtures("cheap_passwords")


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, capfd, monkeypatch)


def names(cli: Cli, *arguments: str) -> set[str]:
    """Paths of the files that a backup with these arguments has, below the working directory."""
    assert cli("create", *arguments).code == 0
    with cli.library() as repo:
        top = f"{cli.folder}/"
        return {each.path.removeprefix(top) for each in repo.walk("latest") if each.type == "file"}


# init


def test_init_makes_a_repository_and_says_what_next(cli: Cli) -> None:
    (cli.folder / "pw").write_text(PASSWORD + "\n")
    (cli.folder / "pw").chmod(0o600)
    done = cli("init", "-b", "repo", "-p", "pw")
    assert (done.code, done.err) == (0, "")
    assert "holdfast create -b repo" in done.out
    with cli.library() as repo:
        assert repo.id[:8] in done.out


def test_init_takes_the_settings_of_the_repository(cli: Cli) -> None:
    cli.environment(HOLDFAST_PASSWORD=PASSWORD)
    flags = ("-e", "AES256", "--compression", "off", "--pack-size", "1", "--chunker", "database")
    done = cli.json("init", "-b", "repo", *flags)
    assert done.code == 0
    with cli.library() as repo:
        assert done.document == {"repository": "repo", "id": repo.id}
    noise = b"the same text again and again " * 100_000
    (cli.folder / "text").write_bytes(noise)
    created = cli.json("create", "-b", "repo", "text").document
    assert created["data_stored"] is not None
    packs = [path.stat().st_size for path in (cli.folder / "repo/data").rglob("*-*")]
    assert max(packs) < 2 << 20, "the pack size was not taken"
    assert sum(packs) > len(noise) // 2, "compressed although that was turned off"


@pytest.mark.parametrize(
    "flags",
    [
        ("-e", "rot13"),
        ("--compression", "best"),
        ("--compression", "23"),
        ("--pack-size", "0"),
        ("--pack-size", "97"),
        ("--chunker", "axe"),
    ],
)
def test_init_refuses_settings_that_make_no_sense(cli: Cli, flags: tuple[str, str]) -> None:
    cli.environment(HOLDFAST_PASSWORD=PASSWORD)
    done = cli("init", "-b", "repo", *flags)
    assert done.code == 2
    assert "holdfast: error: " in done.err
    assert not (cli.folder / "repo").exists()


def test_init_where_a_repository_is_changes_nothing(cli: Cli) -> None:
    cli.repository()
    before = sorted(path.name for path in (cli.folder / "repo").rglob("*"))
    done = cli("init")
    assert done.code == 1
    assert "already" in done.err
    assert sorted(path.name for path in (cli.folder / "repo").rglob("*")) == before


# create


def test_create_tells_what_it_did(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    first = cli("create", "data")
    assert first.code == 0
    assert "3 new, 0 changed and 0 unmodified files" in first.out
    (cli.folder / "data/a.txt").write_text("another alpha\n")
    second = cli.json("create", "data").document
    with cli.library() as repo:
        latest = repo.snapshot("latest")
        assert second["snapshot_id"] == latest.id
        assert second["parent_id"] == repo.snapshot("latest~1").id
        assert repo.snapshot("latest~1").short_id in first.out
    assert (second["files_new"], second["files_changed"]) == (0, 1)
    assert second["errors"] == []
    assert set(second) >= {"files_unmodified", "data_added", "data_stored", "bytes_processed"}


def test_create_takes_sources_as_flags_and_as_arguments(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    for name in ("one", "two", "three"):
        (cli.folder / name).write_text(name)
    (cli.folder / "list").write_bytes(b"three\n\n" + os.fsencode(cli.folder / "data/sub") + b"\n")
    assert names(cli, "one", "-s", "two", "--files-from", "list") == {
        "one",
        "two",
        "three",
        "data/sub/c.csv",
    }


def test_create_reads_a_list_of_odd_names_from_standard_input(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.repository()
    odd = os.fsdecode(b"odd \xff\x1b name")
    (cli.folder / odd).write_text("odd")
    stdin = io.TextIOWrapper(io.BytesIO(os.fsencode(odd) + b"\n"))
    monkeypatch.setattr("sys.stdin", stdin)
    assert names(cli, "--files-from", "-") == {odd}
    listed = cli("browse", "--path", str(cli.folder))
    assert "odd \\xff\\x1b name" in listed.out
    assert "\x1b" not in listed.out
    entry = cli.json("browse", "--path", str(cli.folder)).objects("entries")[0]
    assert os.fsencode(str(entry["name"])) == b"odd \xff\x1b name"


def test_create_leaves_out_what_it_is_told_to(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    everything = {"data/a.txt", "data/b.tmp", "data/sub/c.csv"}
    assert names(cli, "data") == everything
    assert names(cli, "data", "-x", "*.tmp") == everything - {"data/b.tmp"}
    assert names(cli, "data", "--iexclude", "*.TMP") == everything - {"data/b.tmp"}
    (cli.folder / "patterns").write_text("# a comment\n*.*\n")
    assert names(cli, "data", "--exclude-file", "patterns", "-x", "!*.txt") == {"data/a.txt"}
    (cli.folder / "data/sub/.nobackup").touch()
    assert "data/sub/c.csv" not in names(cli, "data", "--exclude-if-present", ".nobackup")
    (cli.folder / "data/sub/.nobackup").unlink()
    tag = "Signature: 8a477f597d28d172789f06886806bc55"
    (cli.folder / "data/sub/CACHEDIR.TAG").write_text(tag)
    kept = names(cli, "data", "--exclude-caches", "--one-file-system")
    assert "data/sub/c.csv" not in kept
    (cli.folder / "data/large").write_bytes(bytes(2048))
    assert "data/large" not in names(cli, "data", "--exclude-larger-than", "1K")
    assert "data/large" in names(cli, "data", "--exclude-larger-than", "2KiB")


def test_create_says_of_the_snapshot_what_it_is_told(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    time = "2020-02-29T12:30:00+00:00"
    about = ("-t", "daily", "-t", "two words", "--label", "L", "--host", "elsewhere")
    assert cli("create", "data", *about, "--time", time).code == 0
    found = cli.json("snapshots").objects("snapshots")[0]
    assert found["tags"] == ["daily", "two words"]
    assert (found["label"], found["host"], found["time"]) == ("L", "elsewhere", time)


def test_create_compares_with_the_parent_that_it_is_given_or_chooses(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    (cli.folder / "other").mkdir()
    first = cli.json("create", "data", "-t", "x").document["snapshot_id"]
    assert cli.json("create", "other").document["parent_id"] is None
    assert cli.json("create", "other", "--parent", str(first)).document["parent_id"] == first
    by_tag = cli.json("create", "other", "-t", "x", "--group-by", "host,tags").document
    assert by_tag["parent_id"] == first
    forced = cli.json("create", "data", "--force").document
    assert forced["parent_id"] is not None


def test_create_dry_run_stores_nothing(cli: Cli) -> None:
    repo = cli.repository()
    cli.tree()
    before = sorted(repo.rglob("*"))
    done = cli("create", "data", "--dry-run")
    assert done.code == 0
    assert "dry run" in done.out
    assert "3 new" in done.out
    assert cli.json("create", "data", "--dry-run").document["snapshot_id"] is None
    assert sorted(repo.rglob("*")) == before


def test_create_skips_the_snapshot_when_nothing_changed(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    assert cli("create", "data").code == 0
    done = cli("create", "data", "--skip-if-unchanged")
    assert done.code == 0
    assert "nothing has changed" in done.out
    assert cli.json("snapshots").document["total"] == 1
    (cli.folder / "data/a.txt").write_text("changed")
    assert cli.json("create", "data", "--skip-if-unchanged").document["snapshot_id"] is not None


def test_create_backs_up_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.repository()
    content = bytes(range(256)) * 10
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert cli("create", "--stdin", "dump.bin", "-t", "s").code == 0
    with cli.library() as repo, repo.open_file("latest", "/dump.bin") as file:
        assert file.read() == content


def test_create_backs_up_the_output_of_a_command_with_its_own_flags(cli: Cli) -> None:
    cli.repository()
    assert cli("create", "--command", "out.txt", "--", "printf", "%s-%s", "-x", "-s").code == 0
    assert cli("dump", "latest", "/out.txt").out == "-x--s"


def test_create_makes_no_snapshot_of_a_command_that_fails(cli: Cli) -> None:
    cli.repository()
    done = cli("create", "--command", "out.txt", "--", "sh", "-c", "echo half; exit 3")
    assert done.code == 1
    assert "exit status 3" in done.err
    assert cli.json("snapshots").document["total"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--stdin", "x", "data"),
        ("--stdin", "x", "--command", "y", "--", "true"),
        ("--command", "x"),
        ("--stdin", "x", "--dry-run"),
        ("--stdin", "x", "-s", "data"),
        ("--command", "x", "--exclude", "y", "--", "true"),
        ("data", "--exclude-larger-than", "big"),
        ("data", "--exclude-file", "nothing"),
        ("data", "--time", "yesterday"),
        ("data", "--group-by", "colour"),
        ("--files-from", "nothing"),
        ("--files-from", "empty"),
        ("data", "-x", ""),
    ],
)
def test_create_refuses_what_makes_no_sense(cli: Cli, arguments: tuple[str, ...]) -> None:
    repo = cli.repository()
    cli.tree()
    (cli.folder / "empty").touch()
    done = cli("create", *arguments)
    assert done.code == 2
    assert done.err.startswith("holdfast: error: ")
    assert not list((repo / "snapshots").glob("*"))


# list


def test_list_shows_the_last_days_and_says_how_many_it_hides(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    for time in ("2020-01-01", "2020-01-02"):
        assert cli("create", "data", "-t", "old", "--time", time).code == 0
    assert cli("create", "data", "-t", "new").code == 0
    listed = cli("list")
    assert "new" in listed.out
    assert "2 more are not shown" in listed.out
    assert "old" not in listed.out
    everything = cli("list", "-d", "0")
    assert everything.out == cli("snapshots").out
    assert everything.out.count("old") == 2
    assert cli.json("list").document["hidden"] == 2
    assert len(cli.json("list", "-d", "100000").objects("snapshots")) == 3
    newest = cli.json("list", "-d", "0", "-l", "1")
    assert newest.document["hidden"] == 2
    assert newest.objects("snapshots")[0]["tags"] == ["new"]


def test_list_filters_by_tag_or_path(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    (cli.folder / "data2").mkdir()
    assert cli("create", "data", "-t", "one").code == 0
    assert cli("create", "data2", "-t", "two").code == 0

    def tags(wanted: str) -> list[object]:
        return [each["tags"] for each in cli.json("list", "-f", wanted).objects("snapshots")]

    assert tags("two") == [["two"]]
    assert tags("data") == [["one"]]
    assert tags(str(cli.folder / "data/sub")) == [["one"]]
    assert tags(str(cli.folder)) == [["one"], ["two"]]
    assert tags("nothing") == []


def test_list_says_so_when_there_is_none(cli: Cli) -> None:
    cli.repository()
    assert cli("list").out == "0 snapshots\n"
    assert cli.json("list").document == {"snapshots": [], "total": 0, "hidden": 0}


# browse, find, diff, stats


def test_browse_lists_a_directory(cli: Cli) -> None:
    cli.repository()
    top = cli.tree()
    assert cli("create", "data").code == 0
    shown = cli("browse", "-s", "latest", "--path", str(top)).out
    assert "link -> a.txt" in shown
    assert "sub/" in shown
    document = cli.json("ls", "--path", str(top))
    assert [each["name"] for each in document.objects("entries")] == [
        "a.txt",
        "b.tmp",
        "link",
        "sub",
    ]
    assert cli("browse", "--path", "/nothing").code == 1
    assert cli("browse", "--path", str(top / "a.txt")).code == 2


def test_find_gives_every_version_and_where_it_is(cli: Cli) -> None:
    cli.repository()
    top = cli.tree()
    first = cli.json("create", "data").document["snapshot_id"]
    (top / "a.txt").write_text("another\n")
    second = cli.json("create", "data").document["snapshot_id"]
    found = cli.json("find", "*.txt", "*.csv").objects("found")
    assert [(each["name"], each["snapshots"]) for each in found] == [
        ("a.txt", [first]),
        ("a.txt", [second]),
        ("c.csv", [first, second]),
    ]
    assert len(cli.json("find", "a.*", "-s", str(first)).objects("found")) == 1
    assert cli.json("find", "A.TXT").objects("found") == []
    assert len(cli.json("find", "-i", "A.TXT").objects("found")) == 2
    shown = cli("find", "c.csv").out
    assert f"{top}/sub/c.csv  ({str(first)[:8]} {str(second)[:8]})" in shown
    assert "1 version found" in shown


def test_diff_tells_kinds_of_changes_apart(cli: Cli) -> None:
    cli.repository()
    top = cli.tree()
    assert cli("create", "data").code == 0
    (top / "a.txt").write_text("another\n")
    (top / "b.tmp").unlink()
    (top / "new").touch()
    (top / "sub/c.csv").chmod(0o600)
    assert cli("create", "data").code == 0
    shown = cli("diff", "latest~1", "latest").out.splitlines()
    assert {f"M  {top}/a.txt", f"-  {top}/b.tmp", f"+  {top}/new", f"U  {top}/sub/c.csv"} <= set(
        shown
    )
    plain = cli("diff", "--no-metadata", "latest~1", "latest").out
    assert "U  " not in plain
    document = cli.json("diff", f"latest~1:{top}", f"latest:{top}")
    kinds = {str(each["path"]): each["kind"] for each in document.objects("differences")}
    assert kinds[f"{top}/a.txt"] == "modified"
    counts = document.document["counts"]
    assert isinstance(counts, dict)
    assert (counts["added"], counts["removed"], counts["modified"]) == (1, 1, 1)


def test_stats_tells_both_ratios(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    for _ in range(2):
        assert cli("create", "data").code == 0
    document = cli.json("stats").document
    assert document["snapshots"] == 2
    assert document["dedup_ratio"] == pytest.approx(2.0)
    assert isinstance(document["compression_ratio"], float)
    assert "deduplication         2.00 : 1" in cli("stats").out


# restore


def test_restore_restores_and_verifies(cli: Cli) -> None:
    cli.repository()
    top = cli.tree()
    assert cli("create", "data").code == 0
    done = cli("restore", "-t", "out", "--verify")
    assert (done.code, done.err) == (0, "")
    assert "verified" in done.out
    restored = cli.folder / "out" / top.relative_to("/")
    assert (restored / "sub/c.csv").read_bytes() == (top / "sub/c.csv").read_bytes()
    assert (restored / "link").readlink() == Path("a.txt")


def test_restore_of_a_place_with_patterns(cli: Cli) -> None:
    cli.repository()
    top = cli.tree()
    assert cli("create", "data").code == 0
    where = ("-s", f"latest:{top}")
    done = cli.json("restore", *where, "-t", "out", "-i", "*.t*", "-i", "*.csv", "-x", "*.tmp")
    assert done.code == 0
    document = done.document
    assert (document["files_restored"], document["errors"]) == (2, [])
    assert document["bytes_restored"] == len("alpha\nid,name\n1,Ada\n")
    files = {str(path.relative_to(cli.folder / "out")) for path in (cli.folder / "out").rglob("*")}
    assert files == {"a.txt", "sub", "sub/c.csv"}


def test_restore_treats_what_exists_as_told(cli: Cli) -> None:
    cli.repository()
    top = cli.tree()
    assert cli("create", "data").code == 0
    out = cli.folder / "out"
    out.mkdir()
    (out / "a.txt").write_text("mine")
    (out / "extra").write_text("extra")
    where = ("-s", f"latest:{top}", "-t", "out")
    assert cli("restore", *where, "--overwrite", "never", "--sparse").code == 0
    assert (out / "a.txt").read_text() == "mine"
    plan = cli("restore", *where, "--dry-run", "--delete")
    assert "delete   " in plan.out
    assert (out / "extra").exists()
    actions = cli.json("restore", *where, "--dry-run", "--delete").objects("actions")
    assert {"delete", "update"} & {str(each["action"]) for each in actions}
    assert cli("restore", *where, "--delete").code == 0
    assert (out / "a.txt").read_text() == "alpha\n"
    assert not (out / "extra").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="device nodes take root")
def test_restore_makes_devices_only_when_told_and_fails_otherwise(cli: Cli) -> None:
    cli.repository()
    top = cli.tree()
    os.mknod(top / "null", 0o20666, os.makedev(1, 3))
    assert cli("create", "data").code == 0
    where = ("restore", "-s", f"latest:{top}")
    without = cli(*where, "-t", "out")
    assert without.code == 1
    assert "1 problem while restoring" in without.err
    assert (cli.folder / "out/a.txt").exists()
    with_devices = cli(*where, "-t", "out2", "--devices")
    assert with_devices.code == 0
    assert (cli.folder / "out2/null").is_char_device()


def test_restore_needs_a_target(cli: Cli) -> None:
    cli.repository()
    done = cli("restore")
    assert done.code == 2
    assert "--target" in done.err


# validate


def test_validate_finds_no_damage_where_there_is_none(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    first = cli.json("create", "data").document["snapshot_id"]
    for flags in ((), ("--full-check",), ("--read-data",), ("--read-data-subset", "1/1")):
        document = cli.json("validate", *flags)
        assert document.code == 0
        assert (document.document["valid"], document.document["errors"]) == (True, [])
    assert cli.json("check", "--read-data").document["packs_read"] == 2
    assert cli.json("validate").document["packs_read"] == 0
    assert cli.json("validate", "-s", str(first)).document["snapshots"] == 1
    assert "no damage found" in cli("validate").out


def test_validate_names_what_damage_hurts(cli: Cli) -> None:
    repo = cli.repository()
    top = cli.tree()
    assert cli("create", "data").code == 0
    before = set(repo.glob("data/*/*"))
    (top / "large").write_bytes(os.urandom(300_000))
    second = cli.json("create", "data").document["snapshot_id"]
    _flip(max(set(repo.glob("data/*/*")) - before, key=lambda pack: pack.stat().st_size))
    done = cli.json("validate", "--read-data")
    assert done.code == 4
    assert done.document["valid"] is False
    [error] = done.objects("errors")
    assert error["hurts"] == [{"snapshot": second, "paths": [f"{top}/large"], "count": 1}]
    shown = cli("validate", "--read-data")
    assert shown.code == 4
    assert f"    {top}/large\n" in shown.out
    assert "1 finding of damage, 1 snapshot hurt" in shown.out
    assert cli("validate").code == 0, "without reading the data the damage cannot be seen"


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


def test_validate_refuses_what_makes_no_sense(cli: Cli) -> None:
    cli.repository()
    assert cli("validate", "--read-data", "--read-data-subset", "1/2").code == 2
    assert cli("validate", "--read-data-subset", "most").code == 2


# dump


def test_dump_writes_a_file_as_it_is(cli: Cli) -> None:
    cli.repository()
    top = cli.tree()
    assert cli("create", "data").code == 0
    assert cli("dump", "latest", str(top / "a.txt")).out == "alpha\n"
    done = cli.json("dump", f"latest:{top}", "/sub/c.csv", "-o", "out")
    assert done.document == {"files": 1, "bytes": 14, "skipped": []}
    assert (cli.folder / "out").read_bytes() == (top / "sub/c.csv").read_bytes()


@pytest.mark.parametrize("flags", [(), ("-a", "tar"), ("-a", "zip")])
def test_dump_writes_a_directory_as_an_archive(cli: Cli, flags: tuple[str, ...]) -> None:
    cli.repository()
    top = cli.tree()
    assert cli("create", "data").code == 0
    assert cli("dump", "latest", str(top), *flags, "-o", "archive").code == 0
    if "zip" in flags:
        with zipfile.ZipFile("archive") as archive:
            assert archive.read("data/sub/c.csv") == b"id,name\n1,Ada\n"
    else:
        with tarfile.open("archive") as tar:
            member = tar.extractfile("data/sub/c.csv")
            assert member is not None
            assert (
                hashlib.sha256(member.read()).digest()
                == hashlib.sha256((top / "sub/c.csv").read_bytes()).digest()
            )


def test_dump_never_overwrites_and_leaves_nothing_incomplete(cli: Cli) -> None:
    cli.repository()
    cli.tree()
    assert cli("create", "data").code == 0
    (cli.folder / "mine").write_text("mine")
    refused = cli("dump", "latest", "/", "-o", "mine")
    assert (refused.code, (cli.folder / "mine").read_text()) == (2, "mine")
    assert cli("dump", "latest", "/nothing", "-o", "half").code == 1
    assert not (cli.folder / "half").exists()
    assert cli.json("dump", "latest", "/").code == 2

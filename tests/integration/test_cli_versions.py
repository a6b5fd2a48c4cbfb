"""`history`, `grep`, `find` with filters and `diff -u`, as typed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.integration.cli_runner import Cli

import holdfast

pytestmark = pytest.mark.usefixtures("cheap_passwords")

HOSTILE = "\x1b[31mred"


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Three snapshots: a file changes, one goes and comes back, one is binary."""
    runner = Cli(tmp_path, capfd, monkeypatch)
    runner.repository()
    top = runner.tree()
    (top / "binary").write_bytes(b"\0alpha\n" * 100)
    os.utime(top / "a.txt", ns=(0, 1_600_000_000 * 10**9))
    assert runner("create", "data").code == 0
    (top / "a.txt").write_text(f"alpha\nbeta\t{HOSTILE}\n")
    (top / "sub/c.csv").unlink()
    assert runner("create", "data").code == 0
    (top / "sub/c.csv").write_text("id,name\n1,Grace\n")
    assert runner("create", "--host", "other", "data").code == 0
    return runner


def test_history_of_a_file(cli: Cli) -> None:
    ended = cli("history", "data/a.txt", "--host", _host(cli))
    assert ended.code == 0
    heads, first, second, last = ended.out.splitlines()
    assert heads.split() == ["From", "To", "Snapshots", "First", "Change", "Size", "Modified"]
    assert " added " in first
    assert "2020-09-1" in first
    assert " modified " in second
    assert last == "2 versions"
    ended = cli.json("history", "data/sub/c.csv")
    assert ended.code == 0
    assert ended.document["path"] == str(cli.folder / "data/sub/c.csv")
    assert [(each["kind"], each["host"] == "other") for each in ended.objects("versions")] == [
        ("added", False),
        ("removed", False),
        ("added", True),
    ]
    assert cli("history", "data/sub/c.csv").out.splitlines()[0].endswith("Host")


def _host(cli: Cli) -> str:
    with cli.library() as repo:
        return repo.snapshots()[0].host


def test_history_of_some_snapshots(cli: Cli) -> None:
    ended = cli.json("history", "data", "-s", "latest~2", "-s", "latest~1")
    assert [each["kind"] for each in ended.objects("versions")] == ["added", "modified"]
    assert cli.json("history", "data", "--tag", "none").code == 1
    ended = cli("history", "data/nothing")
    assert (ended.code, ended.out) == (1, "")
    assert "no snapshot has such a path" in ended.err


def test_grep(cli: Cli) -> None:
    ended = cli("grep", "^be|Grace")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0].endswith("/data/a.txt:2:beta\t\\x1b[31mred")
    assert lines[1].endswith("/data/b.tmp:1:beta")
    assert lines[2].endswith("/data/sub/c.csv:2:1,Grace")
    assert lines[3].startswith("3 lines; 4 contents read (")
    ended = cli("grep", "nothing like it")
    assert (ended.code, ended.err) == (1, "")
    assert cli("grep", "(").code == 2
    assert cli("grep", "a", "-s", "ffffffff").code == 1
    assert cli("grep", "a", "--all", "-s", "latest").code == 2


def test_grep_flags(cli: Cli) -> None:
    ended = cli("-q", "grep", "ALPHA", "-i", "--path", "*.txt", "--all", "-l")
    assert len(ended.out.splitlines()) == 2
    assert "(and 1 more)" in ended.out
    assert cli("-q", "grep", "-F", "1,G.", "--all").code == 1
    assert "binary: binary file matches" in cli("grep", "alpha", "--path", "binary").out
    assert len(cli("-q", "grep", "-a", "alpha", "--path", "binary").out.splitlines()) == 100


def test_grep_as_json(cli: Cli) -> None:
    ended = cli.json("grep", "Ada|Grace", "--all")
    assert ended.code == 0
    assert [(each["line"], each["line_number"]) for each in ended.objects("matches")] == [
        ("1,Ada", 2),
        ("1,Grace", 2),
    ]
    counts = ended.document["counts"]
    assert isinstance(counts, dict)
    assert counts["lines"] == 2
    ended = cli.json("grep", "nothing like it")
    assert (ended.code, ended.objects("matches")) == (1, [])


def test_damage_is_told_by_all_of_them(cli: Cli) -> None:
    with cli.library() as repo:
        before = {each.id for each in repo.snapshots()}
    (cli.folder / "data/sub/new.txt").write_text("fresh needle\n")
    packs = {path for path in (cli.folder / "repo/data").rglob("*") if path.is_file()}
    assert cli("create", "data").code == 0
    with cli.library() as repo:
        [new] = {each.id for each in repo.snapshots()} - before
    for path in (cli.folder / "repo/data").rglob("*"):
        if path.is_file() and path not in packs:
            path.unlink()
    ended = cli("--no-cache", "grep", "needle", "-s", new)
    assert ended.code == 4
    assert "warning" in ended.err
    ended = cli.json("--no-cache", "history", "data/a.txt")
    assert ended.code == 4
    assert [each["kind"] for each in ended.objects("versions")].count("damaged") == 1


def test_find_filters(cli: Cli) -> None:
    def found(*flags: str) -> list[str]:
        ended = cli.json("find", "*", "-s", "latest", *flags)
        assert ended.code == 0
        return [str(each["name"]) for each in ended.objects("found")]

    assert found("--type", "symlink") == ["link"]
    assert found("--type", "dir")[-2:] == ["data", "sub"]
    assert found("--min-size", "0.5K") == ["binary"]
    assert found("--max-size", "5") == ["b.tmp"]
    with cli.library() as repo:
        assert [each.entry.name for each in repo.find("*.txt", max_size=6)] == ["a.txt"]
    ended = cli.json("find", "*.txt", "--older", "2020-12-31")
    assert [each["name"] for each in ended.objects("found")] == ["a.txt"]
    ended = cli.json("find", "*.txt", "--newer", "2021-01-01")
    assert [len(str(each["snapshots"]).split(",")) for each in ended.objects("found")] == [2]
    for wrong in (("--type", "f"), ("--min-size", "many"), ("--newer", "then")):
        assert cli("find", "*", *wrong).code == 2
    assert cli("find", "*", "--type", "dir", "--min-size", "1").code == 2


@pytest.mark.skipif(shutil.which("patch") is None, reason="there is no patch program")
def test_a_difference_can_be_applied(cli: Cli) -> None:
    assert cli("restore", "-s", "latest~2", "-t", "there").code == 0
    ended = cli("diff", "-u", "latest~2", "latest")
    assert ended.code == 0
    (cli.folder / "changes.patch").write_bytes(ended.out.encode())
    arguments = ["patch", "-d", "there", "-p1", "--batch", "-i", "../changes.patch"]
    subprocess.run(arguments, check=True, capture_output=True)
    there = cli.folder / "there" / str(cli.folder).lstrip("/") / "data"
    for name in ("a.txt", "sub/c.csv"):
        assert (there / name).read_bytes() == (cli.folder / "data" / name).read_bytes()
    place = f":{cli.folder}/data"
    ended = cli("diff", "-u", f"latest~2{place}", f"latest{place}")
    assert "--- a/a.txt\n+++ b/a.txt\n" in ended.out
    ended = cli("diff", "-u", f"latest~2{place}/a.txt", f"latest{place}/a.txt", "--context", "0")
    assert "--- a/a.txt\n+++ b/a.txt\n@@ -1,0 +2,1 @@\n" in ended.out


def test_what_a_terminal_sees_is_escaped(cli: Cli) -> None:
    cli.patch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    ended = cli("diff", "--text", "latest~2", "latest")
    assert "+beta\t\\x1b[31mred\n" in ended.out
    assert "\x1b" not in ended.out


def test_patches_as_json(cli: Cli) -> None:
    ended = cli.json("diff", "--text", "latest~2", "latest")
    assert ended.code == 0
    patches = {str(each["path"]).rpartition("/")[2]: each for each in ended.objects("patches")}
    assert set(patches) == {"a.txt", "c.csv"}
    assert "+1,Grace\n" in str(patches["c.csv"]["text"])
    assert len(ended.objects("differences")) >= 2
    assert "patches" not in cli.json("diff", "latest~2", "latest").document


def test_the_library_gives_the_text_of_one_path(cli: Cli) -> None:
    path = str(cli.folder / "data/a.txt")
    with cli.library() as repo:
        difference = repo.diff("latest~2", "latest")
        assert difference.text(path).endswith(f" alpha\n+beta\t{HOSTILE}\n")
        assert difference.text(path) in difference.text()
        assert difference.text(str(cli.folder / "data/b.tmp")) == ""
        with pytest.raises(holdfast.PathNotFound):
            difference.text("/nowhere")
        with pytest.raises(holdfast.UsageError):
            difference.text(str(cli.folder))
        assert repo.history(path).to_pandas()["snapshots"].sum() == 3
        assert list(repo.grep("Grace").to_pandas()["line_number"]) == [2]


def test_copies_for_safety_are_no_part_of_a_history(cli: Cli) -> None:
    with cli.library() as repo:
        repo.backup(["data"], tags=["safety"])
        path = cli.folder / "data/a.txt"
        assert sum(each.snapshots for each in repo.history(path)) == 3
        assert sum(each.snapshots for each in repo.history(path, tags="safety")) == 1


def test_a_snapshot_that_is_named_twice_counts_once(cli: Cli) -> None:
    with cli.library() as repo:
        latest = repo.snapshot("latest").id
        names = ["latest", latest, latest[:8]]
        path = cli.folder / "data/a.txt"
        assert [each.snapshots for each in repo.history(path, snapshots=names)] == [1]
        assert {len(each.snapshots) for each in repo.grep("a", snapshots=names)} == {1}
        assert {len(each.snapshots) for each in repo.find("a.txt", snapshots=names)} == {1}


def test_paths_are_those_of_this_machine(cli: Cli) -> None:
    here = cli.json("usage", "data/sub").document
    assert here["path"] == cli.json("history", "data/../data/sub/").document["path"]
    (cli.folder / "gone").mkdir()
    cli.patch.chdir(cli.folder / "gone")
    (cli.folder / "gone").rmdir()
    for verb in ("history", "usage"):
        ended = cli(verb, "x", "-b", str(cli.folder / "repo"))
        assert ended.code == 2
        assert "no current directory" in ended.err
    cli.patch.chdir(cli.folder)

"""``timeline``, ``usage`` and ``compare``, as they are typed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.integration.cli_runner import Cli

pytestmark = pytest.mark.usefixtures("cheap_passwords")


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    cli = Cli(tmp_path, capsys, monkeypatch)
    cli.repository()
    cli.tree()
    assert cli("create", "data").code == 0
    return cli


def flip(path: Path) -> None:
    """Change a byte and leave the time alone, as a disk does."""
    status = path.stat()
    path.write_bytes(b"#" + path.read_bytes()[1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_the_timeline_tells_what_each_snapshot_brought(cli: Cli) -> None:
    (cli.folder / "data/a.txt").write_text("other, and longer\n")
    (cli.folder / "data/b.tmp").unlink()
    assert cli("create", "data", "-t", "second").code == 0
    first, second = cli.json("timeline").objects("timeline")
    assert (first["previous"], first["added"]) == (None, 3)
    assert second["previous"] == first["snapshot"]
    numbers = ("added", "changed", "removed", "bytes_added", "bytes_removed")
    assert [second[name] for name in numbers] == [0, 1, 1, 18, 6 + 5]
    assert int(str(second["new_stored"])) > 0
    table = cli("timeline")
    assert table.code == 0
    assert [line.split()[0] for line in table.out.splitlines()[1:3]] == [
        str(each["snapshot"])[:8] for each in (first, second)
    ]
    assert "2 snapshots" in table.out
    only = cli.json("timeline", "--tag", "second").objects("timeline")
    assert [(each["previous"], each["added"]) for each in only] == [(None, 2)]
    assert cli.json("timeline", "--host", "nobody").document == {"timeline": []}
    assert cli("timeline", "--path", "/none").out.startswith("0 snapshots")


def test_usage_adds_up_to_what_is_on_the_disk(cli: Cli) -> None:
    directories = cli.json("usage", "data", "--depth", "3").objects("directories")
    stored = sum(each.stat().st_size for each in (cli.folder / "repo").rglob("*") if each.is_file())
    found = cli.json("usage").document
    overhead = found["overhead"]
    assert isinstance(overhead, dict)
    parts = [found["attributed"], found["elsewhere"], overhead["total"]]
    assert found["total_stored"] == sum(map(int, map(str, parts))) == stored
    place = str(cli.folder / "data")
    assert [(each["path"], each["files"], each["size"]) for each in directories] == [
        (place, 3, 25), (place + "/sub", 1, 14),
    ]  # fmt: skip


def test_usage_lists_directories_or_snapshots(cli: Cli) -> None:
    place = cli.folder / "data"
    (place / "sub/new").write_bytes(os.urandom(50_000))
    assert cli("create", "data").code == 0
    table = cli("usage", str(place))
    assert table.code == 0
    assert [line.split()[-1] for line in table.out.splitlines()[1:3]] == [
        str(place), str(place / "sub"),
    ]  # fmt: skip
    assert "headers and fillers of packs" in table.out
    assert "stored in all" in table.out
    one, two = cli.json("usage").objects("snapshots")
    assert int(str(two["freed"])) > 50_000 > int(str(one["freed"]))
    lines = cli("usage", "--snapshots").out.splitlines()
    assert " ".join(lines[0].split()) == "ID Time Host Files Size Stored Frees Paths"
    assert lines[2].startswith(str(two["snapshot"])[:8])
    chosen = cli.json("usage", "-s", "latest").objects("snapshots")
    assert [each["snapshot"] for each in chosen] == [two["snapshot"]]
    assert int(str(chosen[0]["attributed"])) > int(str(two["attributed"]))
    missing = cli("usage", "/nowhere")
    assert (missing.code, "no snapshot has such a path" in missing.err) == (1, True)
    assert cli("usage", "--depth", "-1").code == 2


def test_a_comparison_that_finds_nothing_ends_with_0(cli: Cli) -> None:
    ended = cli("compare")
    assert (ended.code, ended.out.count("\n")) == (0, 1)
    assert ended.out.startswith("3 files compared, 25 B read: 0 with bit rot")
    found = cli.json("compare", "-s", "latest").document
    assert found["mismatches"] == []


def test_bit_rot_is_damage_and_other_changes_are_not(cli: Cli) -> None:
    data = cli.folder / "data"
    (data / "b.tmp").write_text("something else\n")
    (data / "new").write_text("new")
    assert cli("compare").code == 0
    flip(data / "a.txt")
    ended = cli("compare", "--no-metadata", "-x", "new")
    assert ended.code == 4
    lines = ended.out.splitlines()
    assert lines[0] == f"!  {data}/a.txt"
    assert lines[1] == "     first at byte 0"
    assert f"M  {data}/b.tmp" in lines
    assert not any("new" in line.split() for line in lines[:-1])
    found = cli.json("compare")
    assert found.code == 4
    kinds = {str(each["path"]): each["kind"] for each in found.objects("mismatches")}
    assert kinds[f"{data}/a.txt"] == "bit-rot"
    counts = found.document["counts"]
    assert isinstance(counts, dict)
    assert (counts["bit_rot"], counts["content"], counts["new"]) == (1, 1, 1)
    assert cli("compare", "--quick").code == 0


def test_a_restored_directory_is_compared(cli: Cli) -> None:
    place = f"latest:{cli.folder / 'data'}"
    assert cli("restore", "-s", place, "-t", "copy").code == 0
    assert cli("compare", "-s", place, "copy").code == 0
    flip(cli.folder / "copy/sub/c.csv")
    ended = cli("compare", "-s", place, "copy")
    assert (ended.code, ended.out.splitlines()[0]) == (4, f"!  {cli.folder}/data/sub/c.csv")
    assert cli("compare", "-s", place, "nowhere").code == 2

"""`copy`, `rewrite` and `init --like` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.cli_runner import PASSWORD, Cli, Ended

import holdfast

pytestmark = pytest.mark.usefixtures("cheap_passwords")

OTHER = "another password"


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    cli = Cli(tmp_path, capfd, monkeypatch)
    for name in ("TO", "LIKE"):
        for kind in ("PASSWORD", "PASSWORD_FILE", "PASSWORD_COMMAND"):
            monkeypatch.delenv(f"HOLDFAST_{name}_{kind}", raising=False)
    cli.repository()
    cli.tree()
    assert cli("create", "data").code == 0
    return cli


def secret(cli: Cli, name: str, password: str) -> str:
    path = cli.folder / name
    path.write_text(password + "\n")
    path.chmod(0o600)
    return name


def target(cli: Cli, name: str = "copy", password: str = OTHER) -> None:
    """A repository that is like the first one."""
    pw = secret(cli, f"{name}.pw", password)
    old = secret(cli, "old.pw", PASSWORD)
    done = cli("init", "-b", name, "-p", pw, "--like", "repo", "--like-password-file", old)
    assert (done.code, done.err) == (0, "")


def there(cli: Cli, name: str = "copy", password: str = OTHER) -> list[holdfast.Snapshot]:
    with holdfast.open(cli.folder / name, password=password, cache=False) as repo:
        return repo.snapshots()


def ids(done: Ended, name: str, key: str) -> list[object]:
    return [each[key] for each in done.objects(name)]


def test_init_like_shares_names_and_settings(cli: Cli) -> None:
    target(cli)
    assert cli("copy", "--to", "copy", "--to-password-file", "copy.pw").code == 0
    with cli.library() as repo:
        assert there(cli)[0].tree == repo.snapshot("latest").tree
        settings = repo._store.settings
    with holdfast.open(cli.folder / "copy", password=OTHER, cache=False) as repo:
        assert repo._store.settings == settings


def test_init_like_takes_its_own_settings_and_refuses_a_chunker(cli: Cli) -> None:
    cli.environment(HOLDFAST_LIKE_PASSWORD=PASSWORD)
    flags = ("--like", "repo", "--compression", "off", "--pack-size", "1")
    assert cli("init", "-b", "own", *flags).code == 0
    with holdfast.open(cli.folder / "own", password=PASSWORD, cache=False) as repo:
        assert (repo._store.settings.compression, repo._store.settings.pack_size) == (0, 1 << 20)
    done = cli("init", "-b", "bad", "--like", "repo", "--chunker", "large")
    assert done.code == 2
    assert "cuts files as that one does" in done.err
    assert not (cli.folder / "bad").exists()


def test_init_like_says_which_password_is_wanted(cli: Cli) -> None:
    done = cli("init", "-b", "new", "--like", "repo")
    assert done.code == 2
    assert "--like-password-file FILE" in done.err
    assert "HOLDFAST_LIKE_PASSWORD_FILE" in done.err
    cli.environment(HOLDFAST_LIKE_PASSWORD="wrong")
    assert cli("init", "-b", "new", "--like", "repo").code == 12
    assert not (cli.folder / "new").exists()


def test_copy_tells_what_it_did(cli: Cli) -> None:
    target(cli)
    cli.environment(HOLDFAST_TO_PASSWORD=OTHER)
    first = cli("copy", "--to", "copy")
    (made,) = there(cli)
    with cli.library() as repo:
        original = repo.snapshot("latest")
    assert first.code == 0
    assert f"{original.short_id} copied to copy as {made.short_id}\n1 snapshot copied" in first.out
    again = cli.json("copy", "--to", "copy")
    assert again.code == 0
    assert (again.document["copied"], again.document["skipped"]) == ([], 1)
    assert cli("restore", "-b", "copy", "-p", "copy.pw", "-t", "out").code == 0
    restored = cli.folder / f"out{cli.folder}/data"
    assert (restored / "sub/c.csv").read_bytes() == (cli.folder / "data/sub/c.csv").read_bytes()


def test_copy_chooses_by_name_and_filter(cli: Cli) -> None:
    cli("create", "data", "--tag", "x", "--force")
    target(cli)
    cli.environment(HOLDFAST_TO_PASSWORD_FILE="copy.pw")
    with cli.library() as repo:
        one, two = (each.id for each in repo.snapshots())
    key = "original_id"
    assert ids(cli.json("copy", "--to", "copy", "--dry-run"), "copied", key) == [one, two]
    tagged = cli.json("copy", "--to", "copy", "--dry-run", "--tag", "x")
    assert ids(tagged, "copied", key) == [two]
    named = cli.json("copy", one[:8], "--to", "copy", "--dry-run")
    assert ids(named, "copied", key) == [one]
    assert ids(named, "copied", "snapshot_id") == [None]
    assert cli("copy", one, "--to", "copy", "--host", "h").code == 2
    assert there(cli) == []


def test_copy_to_several_with_passwords_in_their_order(cli: Cli) -> None:
    target(cli, "a", "password a")
    target(cli, "b", "password b")
    to = ("--to", "a", "--to", "b")
    files = ("--to-password-file", "a.pw", "--to-password-file", "b.pw")
    assert cli("copy", *to, *files).code == 0
    assert len(there(cli, "a", "password a")) == len(there(cli, "b", "password b")) == 1
    assert cli("copy", *to, *files[:2]).code == 12
    assert cli("copy", *to, "--to", "c", *files).code == 2


def test_copy_does_not_try_the_first_password_elsewhere(cli: Cli) -> None:
    target(cli, "same", PASSWORD)
    done = cli("copy", "--to", "same")
    assert done.code == 2
    assert "HOLDFAST_TO_PASSWORD_FILE" in done.err


def test_copy_of_something_damaged_ends_with_one_and_says_so(cli: Cli) -> None:
    target(cli)
    with cli.library() as repo:
        damaged = repo.snapshot("latest").id
    packs = set((cli.folder / "repo/data").rglob("*-*"))
    (cli.folder / "fine").write_text("something else")
    assert cli("create", "fine").code == 0
    for pack in packs:
        pack.chmod(0o600)
        pack.write_bytes(bytes(pack.stat().st_size))
    done = cli.json("--no-cache", "copy", "--to", "copy", "--to-password-file", "copy.pw")
    assert done.code == 1
    assert ids(done, "failures", "snapshot_id") == [damaged]
    assert len(done.objects("copied")) == 1
    assert f"copy: snapshot {damaged[:8]}: " in done.err
    assert len(there(cli)) == 1


def test_rewrite_leaves_out_and_forgets(cli: Cli) -> None:
    with cli.library() as repo:
        old = repo.snapshot("latest")
    dry = cli("rewrite", "latest", "-x", "*.tmp", "--dry-run")
    assert f"{old.short_id} would be rewritten, without 1 file, 5 B" in dry.out
    done = cli("rewrite", "latest", "-x", "*.tmp", "--forget")
    with cli.library() as repo:
        (new,) = repo.snapshots()
        names = {each.name for each in repo.walk("latest") if each.type == "file"}
    assert names == {"a.txt", "c.csv"}
    assert f"{old.short_id} rewritten as {new.short_id}, without 1 file, 5 B, and forgotten" in (
        done.out
    )
    again = cli("rewrite", "--all", "-x", "*.tmp")
    assert "nothing would be different" in again.out
    assert again.code == 0


def test_rewrite_of_all_ends_with_one_when_something_stays(cli: Cli) -> None:
    with cli.library() as repo:
        old = repo.snapshot("latest")
    (cli.folder / "lone.tmp").write_text("nothing else")
    assert cli("create", "lone.tmp").code == 0
    assert cli("create", "data").code == 0
    with cli.library() as repo:
        _, lone, damaged = repo.snapshots()
    place = cli.folder / f"repo/snapshots/{damaged.id}"
    place.chmod(0o600)
    place.write_bytes(bytes(place.stat().st_size))
    done = cli("--no-cache", "rewrite", "--all", "-x", "*.tmp", "--forget")
    assert done.code == 1
    assert f"{old.short_id} rewritten as " in done.out
    assert "and forgotten" in done.out
    for each in (lone, damaged):
        assert f"snapshot {each.short_id} was not rewritten: " in done.err
    again = cli.json("--no-cache", "rewrite", "--all", "-x", "*.tmp", "--forget")
    assert again.code == 1
    assert set(ids(again, "failures", "snapshot_id")) == {lone.id, damaged.id}
    assert cli("--no-cache", "rewrite", lone.id, "-x", "*.tmp").code == 2


def test_rewrite_changes_metadata(cli: Cli) -> None:
    flags = ("--new-host", "h", "--new-time", "2020-01-02T03:04:05+00:00", "--set-tags", "a,b")
    more = ("--new-label", "name", "--new-description", "note")
    done = cli.json("rewrite", "--all", *flags, *more)
    assert done.code == 0
    (told,) = done.objects("snapshots")
    with cli.library() as repo:
        new = repo.snapshot(str(told["new_snapshot_id"]))
        assert new.replaces == told["snapshot_id"]
        assert len(repo.snapshots()) == 2
    assert (new.host, new.tags, new.label, new.description) == ("h", ("a", "b"), "name", "note")
    assert new.time.isoformat() == "2020-01-02T03:04:05+00:00"
    assert cli("rewrite", new.id, "--set-tags", "").code == 0
    with cli.library() as repo:
        assert [each.tags for each in repo.snapshots() if each.replaces == new.id] == [()]


def test_rewrite_warns_of_what_it_could_not_forget(cli: Cli) -> None:
    with cli.library() as repo:
        repo.tag("latest", hold="evidence")
    done = cli("rewrite", "latest", "-x", "*.tmp", "--forget")
    assert done.code == 0
    assert "was not forgotten" in done.err
    assert "evidence" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("rewrite", "-x", "a"),
        ("rewrite", "latest", "--all", "-x", "a"),
        ("rewrite", "latest"),
        ("rewrite", "latest", "-x", "*"),
        ("rewrite", "latest", "--new-time", "yesterday"),
        ("copy",),
    ],
)
def test_what_makes_no_sense_is_refused(cli: Cli, arguments: tuple[str, ...]) -> None:
    done = cli(*arguments)
    assert done.code == 2
    assert "holdfast: error: " in done.err

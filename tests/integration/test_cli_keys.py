"""``holdfast key`` and ``--recovery-key``, on real repositories."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.integration.cli_runner import PASSWORD, Cli

import holdfast

pytestmark = pytest.mark.usefixtures("cheap_passwords")


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    cli = Cli(tmp_path, capfd, monkeypatch)
    for name in ("PASSWORD", "PASSWORD_FILE", "PASSWORD_COMMAND"):
        monkeypatch.delenv(f"HOLDFAST_NEW_{name}", raising=False)
    cli.repository()
    cli.tree()
    assert cli("create", "data").code == 0
    return cli


def opens(cli: Cli, password: str) -> bool:
    try:
        holdfast.open(cli.folder / "repo", password=password, cache=False).close()
    except holdfast.WrongPassword:
        return False
    return True


def test_a_key_is_added_listed_and_removed(cli: Cli) -> None:
    (cli.folder / "pw").write_text("second\n")
    (cli.folder / "pw").chmod(0o600)
    done = cli.json("key", "add", "--new-password-file", "pw", "--label", "laptop")
    assert (done.code, done.err) == (0, "")
    added = done.document["key"]
    assert isinstance(added, dict)
    assert opens(cli, "second")
    keys = cli.json("key", "list").objects("keys")
    assert {key["label"] for key in keys} == {"", "laptop"}
    assert [key["in_use"] for key in keys].count(True) == 1
    listed = cli("key", "list")
    assert listed.code == 0
    assert "laptop" in listed.out
    assert "2 keys" in listed.out
    assert "*" in listed.out
    removed = cli("key", "remove", str(added["id"])[:8])
    assert (removed.code, removed.out) == (0, f"removed key {str(added['id'])[:8]}\n")
    assert not opens(cli, "second")


def test_the_last_key_stays(cli: Cli) -> None:
    (key,) = cli.json("key", "list").objects("keys")
    done = cli("key", "remove", str(key["id"]))
    assert done.code == 2
    assert "the last" in done.err
    assert opens(cli, PASSWORD)


def test_the_password_is_changed(cli: Cli) -> None:
    cli.environment(HOLDFAST_NEW_PASSWORD="second")
    done = cli("key", "passwd")
    assert done.code == 0
    assert "the password was changed" in done.out
    assert (opens(cli, PASSWORD), opens(cli, "second")) == (False, True)
    assert cli("list").code == 12


def test_a_new_password_comes_from_a_command(cli: Cli) -> None:
    assert cli("key", "add", "--new-password-command", "echo second", "--kdf", "default").code == 0
    assert opens(cli, "second")
    wrong = cli("key", "add", "--new-password-command", "echo x", "--new-password-file", "pw")
    assert wrong.code == 2


def test_a_new_password_is_never_taken_from_where_the_old_one_is(cli: Cli) -> None:
    done = cli("key", "add")
    assert done.code == 2
    assert "--new-password-file" in done.err


def test_the_recovery_key_is_printed_or_written_for_the_owner_only(cli: Cli) -> None:
    printed = cli("key", "recovery")
    assert printed.code == 0
    assert printed.out.startswith("# holdfast recovery key\n")
    assert cli("key", "recovery", "-o", "key.txt").code == 0
    file = cli.folder / "key.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = cli.json("key", "recovery").document["recovery_key"]
    for text in (printed.out, file.read_text(), told):
        assert isinstance(text, str)
        with holdfast.open(cli.folder / "repo", recovery_key=text, cache=False) as repo:
            assert len(repo.snapshots()) == 1
    again = cli("key", "recovery", "--output", "key.txt")
    assert again.code == 2
    assert "File exists" in again.err


def test_any_command_takes_the_recovery_key_in_place_of_a_password(cli: Cli) -> None:
    assert cli("key", "recovery", "-o", "key.txt").code == 0
    cli.environment(HOLDFAST_PASSWORD="wrong")
    assert cli("list", "--recovery-key", "key.txt").code == 0
    restored = cli("restore", "-t", "target", "--recovery-key", "key.txt")
    assert restored.code == 0, restored.err
    assert cli("list", "--recovery-key", "key.txt", "-p", "pw").code == 2
    assert cli("list", "--recovery-key", "none.txt").code == 2
    (cli.folder / "odd.txt").write_bytes(b"\xff")
    assert cli("list", "--recovery-key", "odd.txt").code == 2
    assert cli("init", "-b", "other", "--recovery-key", "key.txt").code == 2
    text = (cli.folder / "key.txt").read_text()
    (cli.folder / "key.txt").write_text(text.replace(" 3  ", " 3  2", 1))
    wrong = cli("list", "--recovery-key", "key.txt")
    assert wrong.code == 2
    assert "line 3" in wrong.err


def test_a_recovery_key_that_others_can_read_is_warned_about(cli: Cli) -> None:
    assert cli("key", "recovery", "-o", "key.txt").code == 0
    assert "warning" not in cli("list", "--recovery-key", "key.txt").err
    (cli.folder / "key.txt").chmod(0o640)
    assert "chmod 600 key.txt" in cli("list", "--recovery-key", "key.txt").err


def test_what_is_lost_is_put_back_with_the_recovery_key(cli: Cli) -> None:
    assert cli("key", "recovery", "-o", "key.txt").code == 0
    for file in [*(cli.folder / "repo/keys").iterdir(), cli.folder / "repo/config/0"]:
        file.unlink()
    lost = cli("list")
    assert lost.code == 1
    assert "recovery key" in lost.err
    assert cli("list", "--recovery-key", "key.txt").code == 0
    refused = cli("create", "data", "--recovery-key", "key.txt")
    assert refused.code == 1
    assert "--restore" in refused.err
    cli.environment(HOLDFAST_NEW_PASSWORD=PASSWORD)
    done = cli("key", "recovery", "--restore", "key.txt")
    assert done.code == 0, done.err
    assert cli("create", "data").code == 0
    assert cli("validate", "--read-data").code == 0
    assert cli("key", "recovery", "--restore", "key.txt", "-o", "x").code == 2


def test_keys_are_rotated(cli: Cli) -> None:
    cli.environment(HOLDFAST_NEW_PASSWORD="second")
    assert cli("key", "add").code == 0
    cli.environment(HOLDFAST_NEW_PASSWORD="third")
    refused = cli("key", "rotate")
    assert refused.code == 2
    assert "drop" in refused.err
    done = cli("key", "rotate", "--drop-others")
    assert done.code == 0, done.err
    assert "epoch 1" in done.out
    assert "removed 2 keys" in done.out
    assert [opens(cli, each) for each in (PASSWORD, "second", "third")] == [False, False, True]
    cli.environment(HOLDFAST_PASSWORD="third")
    document = cli.json("key", "rotate", "--finish").document
    assert (document["epoch"], document["finished"]) == (1, True)
    assert cli("validate", "--read-data").code == 0


def test_a_rotation_says_whom_it_waits_for(cli: Cli) -> None:
    cli.environment(HOLDFAST_NEW_PASSWORD="second")
    with cli.library() as repo:
        writer = repo._store.writer({"kind": "backup", "host": "elsewhere"})
        try:
            done = cli("key", "rotate")
            assert done.code == 0
            assert f"waiting for backup {writer.id[:8]} of elsewhere" in done.out
            assert "--finish" in done.out
        finally:
            writer.__exit__(None, None, None)
    cli.environment(HOLDFAST_PASSWORD="second")
    cli.environment(HOLDFAST_NEW_PASSWORD="third")
    finished = cli("key", "rotate", "--wait")
    assert finished.code == 1
    assert "an earlier rotation was finished" in finished.err
    assert "new password was not put into force" in finished.err
    assert cli("key", "rotate", "--expire-after", "nan").code == 2
    assert [opens(cli, each) for each in ("second", "third")] == [True, False]


def test_the_group_tells_its_commands(cli: Cli) -> None:
    help_ = cli("key", "--help")
    assert help_.code == 0
    for command in ("add", "list", "passwd", "recovery", "remove", "rotate"):
        assert command in help_.out
        assert cli("key", command, "--help").code == 0
    assert cli("key", "spin").code == 2

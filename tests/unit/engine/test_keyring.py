"""The verbs that manage who can open the repository, by the public names."""

from __future__ import annotations

from pathlib import Path

import pytest

import holdfast
from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.origin import host_name, user_name
from holdfast.engine.repository import Repository
from holdfast.testing.repositories import PASSWORD, new_store

CONTENT = bytes(range(256)) + b"".join(b"%d\n" % number for number in range(20_000))


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    """A repository with one file, in the folder ``repo``."""
    store = new_store(LocalBackend(tmp_path / "repo"))
    repo = Repository(store, SYSTEM_CLOCK)
    (tmp_path / "file").write_bytes(CONTENT)
    repo.backup(tmp_path / "file")
    return repo


def opened(repo: Repository, password: str) -> Repository:
    return holdfast.open(repo.location, password=password, cache=False)


def content(repo: Repository) -> bytes:
    (snapshot,) = repo.snapshots()
    with repo.open_file(snapshot.id, snapshot.paths[0]) as file:
        return file.read()


def test_keys_are_listed_with_who_made_them(repo: Repository) -> None:
    added = repo.add_key("second", label="laptop")
    first, second = opened(repo, "second").keys()
    assert (second.id, second.label, second.in_use) == (added.id, "laptop", True)
    assert (second.host, second.user) == (host_name(), user_name())
    assert (first.in_use, added.in_use) == (False, False)
    assert first.created <= second.created
    assert second.dict() == {
        "id": second.id,
        "created": second.created.isoformat(),
        "host": second.host,
        "user": second.user,
        "label": "laptop",
        "kdf": {"memory": 19456, "passes": 1, "lanes": 1},
        "in_use": True,
        "problem": "",
    }


def test_slots_that_open_nothing_come_last_with_their_problem(
    repo: Repository, tmp_path: Path
) -> None:
    (tmp_path / "repo/keys" / ("0" * 32)).write_bytes(b"damaged")
    good, bad = repo.keys()
    assert (good.problem, bad.id) == ("", "0" * 32)
    assert bad.problem
    assert bad.dict()["created"] is None
    assert repo.remove_key("0" * 12).id == bad.id
    assert len(repo.keys()) == 1


def test_new_passwords_come_from_files_and_commands(repo: Repository, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("second\n")
    (tmp_path / "password").chmod(0o600)
    repo.add_key(password_file=tmp_path / "password")
    opened(repo, "second").change_password(password_command="echo third")
    assert content(opened(repo, "third")) == CONTENT
    with pytest.raises(holdfast.WrongPassword):
        opened(repo, "second")


def test_bad_arguments_change_nothing(repo: Repository) -> None:
    for work in (
        repo.add_key,
        lambda: repo.add_key(""),
        lambda: repo.add_key("x", password_file="y"),
        lambda: repo.add_key("x", kdf="cheap"),
        lambda: repo.change_password(""),
        lambda: repo.rotate_keys(""),
        lambda: repo.rotate_keys("x", kdf="cheap"),
        lambda: repo.remove_key("none"),
        lambda: repo.remove_key(repo.keys()[0].id),
    ):
        with pytest.raises(holdfast.UsageError):
            work()
    assert len(repo.keys()) == 1
    assert content(opened(repo, PASSWORD)) == CONTENT


@pytest.mark.fault(14)
def test_the_recovery_key_opens_without_slots_and_config(
    repo: Repository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = repo.recovery_key()
    with holdfast.open(repo.location, recovery_key=text, cache=False) as whole:
        assert content(whole) == CONTENT
        listed = whole.keys()
        assert not any(key.in_use for key in listed)
    for file in [*(tmp_path / "repo/keys").iterdir(), *(tmp_path / "repo/config").iterdir()]:
        file.unlink()
    with pytest.raises(holdfast.DamagedRepository, match="recovery key"):
        opened(repo, PASSWORD)
    lost = holdfast.open(repo.location, recovery_key=text, cache=False)
    assert "settings are taken from the recovery key" in caplog.text
    assert lost.id == repo.id
    assert content(lost) == CONTENT
    with pytest.raises(holdfast.UnsupportedRepository, match="lost its config"):
        lost.backup(tmp_path / "file")
    lost.restore_access("new", label="again")
    assert lost.backup(tmp_path / "file").data_added < 5_000
    again = opened(repo, "new")
    assert len(again.snapshots()) == 2
    assert again.check(read_data=True).valid


def test_a_recovery_key_is_given_alone_and_right(repo: Repository) -> None:
    text = repo.recovery_key()
    with pytest.raises(holdfast.UsageError, match="either"):
        holdfast.open(repo.location, password=PASSWORD, recovery_key=text)
    mistyped = text[:-4] + ("0" if text[-4] != "0" else "2") + text[-3:]
    with pytest.raises(holdfast.UsageError, match="line 7 of the recovery key is mistyped"):
        holdfast.open(repo.location, recovery_key=mistyped)


def test_after_a_rotation_the_same_object_works_on(repo: Repository, tmp_path: Path) -> None:
    text = repo.recovery_key()
    result = repo.rotate_keys("new", others=["second"])
    assert result.dict() == {
        "epoch": 1,
        "begun": True,
        "finished": True,
        "waits_for": [],
        "reclaims": [],
        "damaged": [],
        "resealed": result.resealed,
        "removed": list(result.removed),
    }
    assert result.resealed >= 2
    assert content(repo) == CONTENT
    listed = repo.keys()
    assert [key.in_use for key in listed].count(True) == 1
    assert repo.backup(tmp_path / "file").data_added < 5_000
    assert opened(repo, "new").check(read_data=True).valid
    assert len(opened(repo, "second").snapshots()) == 2
    with pytest.raises(holdfast.WrongPassword):
        opened(repo, PASSWORD)
    with pytest.raises(holdfast.WrongPassword, match="epoch 0"):
        holdfast.open(repo.location, recovery_key=text, cache=False)
    with holdfast.open(repo.location, recovery_key=repo.recovery_key(), cache=False) as recovered:
        assert len(recovered.snapshots()) == 2


def test_a_rotation_that_had_to_wait_is_finished_by_the_next(repo: Repository) -> None:
    writer = opened(repo, PASSWORD)._store.writer({"kind": "backup", "host": "h", "user": "u"})
    waiting = repo.rotate_keys("new")
    assert (waiting.begun, waiting.finished) == (True, False)
    assert waiting.dict()["waits_for"] == [
        {"id": writer.id, "kind": "backup", "host": "h", "user": "u"}
    ]
    writer.__exit__(None, None, None)
    done = opened(repo, "new").rotate_keys("another")
    assert (done.begun, done.finished, done.epoch) == (False, True, 1)
    with pytest.raises(holdfast.WrongPassword):
        opened(repo, "another")
    assert opened(repo, "new").finish_rotation().finished


def test_a_cache_of_before_is_made_anew(repo: Repository, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with holdfast.open(repo.location, password=PASSWORD, cache_dir=cache) as before:
        assert content(before) == CONTENT
    repo.rotate_keys("new")
    for _ in range(2):
        with holdfast.open(repo.location, password="new", cache_dir=cache) as after:
            assert content(after) == CONTENT


def test_other_passwords_are_whole_and_never_empty(repo: Repository) -> None:
    with pytest.raises(holdfast.UsageError, match="empty"):
        repo.rotate_keys("new", others=[""])
    assert len(repo.keys()) == 1
    repo.rotate_keys("new", others="second")
    assert len(repo.keys()) == 2
    assert opened(repo, "second").snapshots()


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_silence_has_an_end(repo: Repository, seconds: float) -> None:
    with pytest.raises(holdfast.UsageError, match="seconds"):
        repo.rotate_keys("new", expire_after=seconds)
    with pytest.raises(holdfast.UsageError, match="seconds"):
        repo.finish_rotation(expire_after=seconds)
    assert repo.keys()[0].in_use


def test_a_recovery_key_that_a_rotation_has_made_useless_is_not_given(repo: Repository) -> None:
    opened(repo, PASSWORD).rotate_keys("new")
    with pytest.raises(holdfast.UnsupportedRepository, match="open it again"):
        repo.recovery_key()

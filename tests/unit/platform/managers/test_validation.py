"""Row by row: what a `BackupValidator` does."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.platform.managers.scene import Scene

import holdfast
from holdfast import BackupValidator, IntegrityLevel, UsageError
from holdfast.backend import LocalBackend
from holdfast.platform.managers.score import PASS, WEIGHTS, score
from holdfast.testing.repositories import PASSWORD

KEYS = {
    "backup_id",
    "validation_level",
    "validation_score",
    "results",
    "passed",
    "timestamp",
    "valid",
    "errors",
    "warnings",
    "duration",
    "bytes_read",
    "repository",
    "test_restore",
}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    scene.tree()
    (scene.source / "noise").write_bytes(os.urandom(100_000))
    scene.backup.create_backup(scene.source)
    yield scene
    scene.close()


def damage_data(scene: Scene) -> str:
    """Change a byte of the largest pack; returns its name."""
    backend = LocalBackend(scene.location)
    name = max(backend.list("data/"), key=lambda info: info.size).name
    content = bytearray(backend.get(name))
    content[len(content) // 2] ^= 1
    backend.delete(name)
    backend.put(name, bytes(content))
    backend.close()
    return name


def test_r69_backend_and_password_file_are_the_first_arguments(scene: Scene) -> None:
    file = scene.folder / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    with BackupValidator(scene.location, file, workspace=scene.workspace, cache=False) as validator:
        assert validator.validate_snapshot()["valid"] is True


def test_r70_r84_what_a_validation_tells(scene: Scene) -> None:
    report = scene.validator.validate_snapshot()
    assert report.keys() == KEYS
    assert (report["valid"], report["errors"]) == (True, [])
    assert (report["validation_level"], report["validation_score"]) == ("basic", 1.0)
    assert (report["backup_id"], report["passed"]) == (None, True)
    named = scene.validator.validate_snapshot("latest")
    assert named["backup_id"] == scene.repository.snapshot("latest").id
    with pytest.raises(holdfast.SnapshotNotFound):
        scene.validator.validate_snapshot("nothing")


def test_r71_r74_the_repository_is_checked_without_its_data(scene: Scene) -> None:
    report = scene.validator.check_repository()
    made = {check for check, passed in results(report).items() if passed}
    assert made == {"existence", "structure", "checksums", "encryption"}
    assert results(report)["content"] is None, "what was not made did not pass"


def test_r72_checksums_of_all_data(scene: Scene) -> None:
    report = scene.validator.verify_checksums()
    assert results(report)["content"] is True
    assert isinstance(report["bytes_read"], int)
    assert report["bytes_read"] > 100_000
    damage_data(scene)
    assert scene.validator.check_repository()["valid"] is True, "it reads no data"
    assert results(scene.validator.verify_checksums())["content"] is False


def test_r73_a_trial_restore_leaves_nothing(scene: Scene, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    report = scene.validator.test_restore("latest", scratch=scratch)
    assert (report["valid"], report["files_restored"]) == (True, 4)
    damage_data(scene)
    report = scene.validator.test_restore("latest", scratch=scratch)
    assert report["valid"] is False
    assert list(scratch.iterdir()) == []
    with pytest.raises(UsageError):
        scene.validator.test_restore("latest", scratch=tmp_path / "nowhere")
    assert scene.events("check") == ["ok", "failed", "failed"]


def test_r75_damage_is_named_with_what_it_hurts(scene: Scene) -> None:
    pack = damage_data(scene)
    report = scene.validator.validate_snapshot(read_data=True)
    assert (report["valid"], report["passed"]) == (False, False)
    error = next(each for each in _dicts(report["errors"]) if each["object"] == pack)
    (hurt,) = _dicts(error["hurts"])
    assert hurt["snapshot"] == scene.repository.snapshot("latest").id
    assert str(scene.source / "noise") in str(hurt["paths"])


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("quick", IntegrityLevel.BASIC),
        ("basic", IntegrityLevel.BASIC),
        ("standard", IntegrityLevel.STANDARD),
        ("full_check", IntegrityLevel.THOROUGH),
        ("full-check", IntegrityLevel.THOROUGH),
        ("Thorough", IntegrityLevel.THOROUGH),
        ("read_data", IntegrityLevel.FORENSIC),
        ("comprehensive", IntegrityLevel.FORENSIC),
        ("forensic", IntegrityLevel.FORENSIC),
    ],
)
def test_r79_r83_words_for_levels(word: str, level: IntegrityLevel) -> None:
    assert IntegrityLevel.parse(word) is level


@pytest.mark.parametrize("word", ["", "deep", "basic quick"])
def test_r83_other_words_are_refused(scene: Scene, word: str) -> None:
    with pytest.raises(UsageError, match="unknown level"):
        scene.validator.validate_snapshot(level=word)


def test_r77_r83_flags_are_levels(scene: Scene) -> None:
    validate = scene.validator.validate_snapshot
    assert validate()["validation_level"] == "basic"
    full = validate(full_check=True)
    assert (full["validation_level"], results(full)["index"]) == ("thorough", True)
    read = validate(read_data=True)
    assert (read["validation_level"], results(read)["restore"]) == ("forensic", True)
    assert all(results(read).values())
    assert isinstance(read["test_restore"], dict)
    assert validate("latest", level="standard")["valid"] is True
    assert scene.validator.validate_backup("latest")["validation_level"] == "standard"


def test_r79_each_level_does_all_of_those_before(scene: Scene) -> None:
    made = [
        {check for check, passed in results(report).items() if passed is not None}
        for report in (scene.validator.validate_snapshot(level=level) for level in IntegrityLevel)
    ]
    assert all(less < more for less, more in itertools.pairwise(made))


def test_r85_any_failure_keeps_the_score_below_what_passes() -> None:
    assert score(dict.fromkeys(WEIGHTS, True)) == 1.0
    assert score(dict.fromkeys(WEIGHTS, None)) == 0.0
    for failed in WEIGHTS:
        found = score({check: check != failed for check in WEIGHTS})
        assert 0.5 < found < PASS
    light = score({"index": False, **{f: True for f in WEIGHTS if f != "index"}})
    heavy = score({"content": False, **{f: True for f in WEIGHTS if f != "content"}})
    assert heavy < light


def test_r85_a_missing_pack_fails_at_every_level(scene: Scene) -> None:
    backend = LocalBackend(scene.location)
    backend.delete(max(backend.list("data/"), key=lambda info: info.size).name)
    for level in IntegrityLevel:
        report = scene.validator.validate_snapshot(level=level)
        assert (report["valid"], report["passed"]) == (False, False), level
        assert results(report)["existence"] is False
    backend.close()


def test_r87_a_share_of_the_data_is_read(scene: Scene) -> None:
    for number in range(3):
        (scene.source / "noise").write_bytes(os.urandom(50_000 + number))
        scene.backup.create_backup(scene.source)
    whole = scene.validator.verify_checksums()["bytes_read"]
    parts = [scene.validator.verify_checksums(f"{part}/3")["bytes_read"] for part in (1, 2, 3)]
    assert sum(part for part in parts if isinstance(part, int)) == whole
    report = scene.validator.validate_snapshot(read_data="50%")
    assert report["validation_level"] == "thorough"
    with pytest.raises(UsageError):
        scene.validator.validate_snapshot(read_data="half")


def test_r88_validations_are_kept(scene: Scene) -> None:
    first = scene.validator.validate_snapshot()
    second = scene.validator.verify_checksums()
    assert scene.validator.list_validations() == [second, first]
    assert isinstance(second["duration"], float)
    (row,) = scene.workspace.database.connection.execute(
        "SELECT * FROM checks WHERE level = 'thorough'"
    )
    assert (row["repository"], row["valid"]) == (scene.repository.id, 1)


def test_r118_progress_ends_at_100(scene: Scene) -> None:
    told: list[float] = []
    scene.validator.validate_snapshot(level="forensic", progress_callback=told.append)
    assert told == sorted(told)
    assert (told[-1], told.count(100.0)) == (100.0, 1)


def results(report: dict[str, object]) -> dict[str, bool | None]:
    found = report["results"]
    assert isinstance(found, dict)
    return found


def _dicts(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value


@pytest.mark.parametrize("share", ["0%", "1/999999"])
def test_r87_data_that_was_not_read_did_not_pass(scene: Scene, share: str) -> None:
    report = scene.validator.validate_snapshot(read_data=share)
    assert (report["bytes_read"], results(report)["content"]) == (0, None)


def test_r83_forensic_reads_all_data(scene: Scene) -> None:
    with pytest.raises(UsageError, match="reads all data"):
        scene.validator.validate_snapshot(level="forensic", read_data="10%")


def test_r70_a_damaged_snapshot_is_data(scene: Scene) -> None:
    name = scene.repository.snapshot("latest").id
    file = scene.location / "snapshots" / name
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1])
    for level in IntegrityLevel:
        report = scene.validator.validate_snapshot(name, level=level)
        assert (report["valid"], report["passed"]) == (False, False)
        assert report["backup_id"] == name
        assert "damaged snapshot" in str(report["errors"])


def test_r73_a_device_is_no_damage(scene: Scene) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes devices")
    os.mknod(scene.source / "null", 0o20666, os.makedev(1, 3))
    scene.backup.create_backup(scene.source)
    assert scene.validator.test_restore()["errors_total"] == 0
    assert scene.validator.validate_snapshot(level="forensic")["valid"] is True


def test_r73_room_is_looked_for_before_the_long_work(scene: Scene) -> None:
    told: list[float] = []
    with pytest.raises(UsageError, match="nowhere"):
        scene.validator.validate_snapshot(
            level="forensic", scratch=scene.folder / "nowhere", progress_callback=told.append
        )
    assert told == []


def test_r88_what_was_found_is_told_even_if_it_cannot_be_kept(scene: Scene) -> None:
    scene.workspace.database.connection.execute("PRAGMA query_only = 1")
    assert scene.validator.validate_snapshot()["valid"] is True
    scene.workspace.database.connection.execute("PRAGMA query_only = 0")
    assert scene.validator.list_validations() == []

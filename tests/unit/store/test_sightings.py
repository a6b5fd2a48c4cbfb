"""How long a session has been silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.overrides import override
from holdfast.store.keys import Keys
from holdfast.store.sightings import Sightings
from holdfast.testing.repositories import ManualClock

KEYS = Keys.generate()


def test_silence_is_counted_from_the_first_look(tmp_path: Path) -> None:
    clock = ManualClock()
    seen = Sightings(None, KEYS, clock)
    assert seen.see("a", 0) == 0
    clock.advance(100)
    assert seen.see("a", 0) == pytest.approx(100)
    assert seen.see("b", 0) == 0
    clock.advance(50)
    assert seen.see("a", 1) == 0  # a sign of life
    clock.advance(5)
    assert seen.see("a", 1) == pytest.approx(5)
    assert not list(tmp_path.iterdir())


def test_silence_goes_on_in_the_next_run(tmp_path: Path) -> None:
    clock = ManualClock()
    first = Sightings(tmp_path, KEYS, clock)
    first.see("a", 3)
    first.see("gone", 1)
    first.save({"a": None})
    clock.advance(2000)
    second = Sightings(tmp_path, KEYS, clock)
    assert second.see("a", 3) == pytest.approx(2000)
    assert second.see("gone", 1) == 0


def test_what_was_seen_is_nobody_elses_business(tmp_path: Path) -> None:
    seen = Sightings(tmp_path, KEYS, ManualClock())
    seen.save({})
    folder = tmp_path / KEYS.repository.hex()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in folder.iterdir()] == [0o600]


def test_a_sign_of_life_between_two_runs_counts(tmp_path: Path) -> None:
    clock = ManualClock()
    first = Sightings(tmp_path, KEYS, clock)
    first.see("a", 3)
    first.save({"a": None})
    clock.advance(2000)
    assert Sightings(tmp_path, KEYS, clock).see("a", 4) == 0


@pytest.mark.fault(29)
def test_a_clock_that_was_set_back_begins_anew(tmp_path: Path) -> None:
    clock = ManualClock()
    first = Sightings(tmp_path, KEYS, clock)
    first.see("a", 3)
    first.save({"a": None})
    clock.advance(-5000)
    assert Sightings(tmp_path, KEYS, clock).see("a", 3) == 0


@pytest.mark.parametrize(
    "content", [b"", b"\xc1", b"\x01", b"\x81\xa1a\x01", b"\x81\xa1a\x92\xa1b\x01"]
)
def test_a_file_that_makes_no_sense_is_no_sighting(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / KEYS.repository.hex() / "sessions"
    path.parent.mkdir()
    path.write_bytes(content)
    assert Sightings(tmp_path, KEYS, ManualClock()).see("a", 0) == 0


def test_a_folder_that_cannot_be_written_is_no_matter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    seen = Sightings(tmp_path / "file", KEYS, ManualClock())
    seen.see("a", 0)
    seen.save({"a": None})
    assert "cannot be written" in caplog.text


@pytest.mark.fault(29)
def test_time_that_the_machine_slept_is_not_silence(tmp_path: Path) -> None:
    class Asleep(ManualClock):
        """A clock of which the one part stands still while the machine sleeps."""

        slept = 0

        @override
        def now_ns(self) -> int:
            return super().now_ns() + self.slept

    clock = Asleep()
    seen = Sightings(tmp_path, KEYS, clock)
    seen.see("a", 0)
    clock.advance(5)
    clock.slept = 3600 * 10**9
    assert seen.see("a", 0) == pytest.approx(5)

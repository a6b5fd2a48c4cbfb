"""Secrets that can be recognised in whatever form they turn up, and who looks for them.

A password or a key of a store has a *mark*, letters and digits that no quoting changes, so that
repr, JSON, URLs and escapes all show it. It and the keys, which are bytes, are also looked for in
hexadecimal, in base64 at each of its three alignments, and as what Python shows of bytes.
"""

from __future__ import annotations

import base64
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import holdfast
from holdfast.store import decode_recovery

if TYPE_CHECKING:
    import pytest

PASSWORD = 'it\'s Vk9wq7ZtLm2 & "ärger"/%41\\'
NEW_PASSWORD = "Nx4Rt8PbQw6 neu; $HOME"
OTHER_PASSWORD = "Hs3Jd5FgYu1=other"
STORE_SECRET = "Zc7Vb2Mn9Kj4/+store="
MAIL_SECRET = "Wp6Lk3Xa8Td5@mail"
HOOK_SECRET = "Gq1Ye4Ri7Uo2"
MARKS = {
    "the password": "Vk9wq7ZtLm2",
    "the new password": "Nx4Rt8PbQw6",
    "the other password": "Hs3Jd5FgYu1",
    "the key of a store": "Zc7Vb2Mn9Kj4",
    "the password of a mail server": "Wp6Lk3Xa8Td5",
    "the secret of a webhook": "Gq1Ye4Ri7Uo2",
}

SOURCES = Path(holdfast.__file__).parent


def forms(secret: bytes) -> Iterator[bytes]:
    """What a secret looks like, in whatever it was put."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield secret.hex(" ").encode()
    yield repr(secret)[2:-1].encode()
    yield repr(bytearray(secret))[12:-2].encode()
    yield quote_from_bytes(secret).encode()
    yield str(list(secret))[1:-1].encode()
    for shift in range(3):
        # Of the first and the last group the neighbours have a say, too.
        plain = base64.b64encode(bytes(shift) + secret)[4 if shift else 0 : -4]
        yield plain
        yield plain.translate(bytes.maketrans(b"+/", b"-_"))


@dataclass
class Secrets:
    """All that must not turn up, by what it is."""

    known: dict[bytes, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, mark in MARKS.items():
            self.add(mark.encode(), what)

    def add(self, secret: bytes, what: str) -> None:
        """Look for one more."""
        if secret not in self.known:
            self.known |= dict.fromkeys(forms(secret), what)

    def add_recovery(self, text: str) -> None:
        """Look for a recovery key: every line of it, and the keys that it holds."""
        for line in text.splitlines():
            if line[:2].strip().isdecimal():
                groups = line.split()[1:-1]
                self.known[" ".join(groups[:3]).encode()] = "a recovery key"
                self.known["".join(groups[:3]).encode()] = "a recovery key"
        keys = decode_recovery(text).keys
        self.add(keys.dedup, "the dedup secret")
        for master in (keys.master, *keys.older.values()):
            self.add(master, "a master")

    def found_in(self, text: str | bytes) -> set[str]:
        """What of them turns up there."""
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        return {what for form, what in self.known.items() if form in data}

    def found_below(self, folder: Path, but: Iterable[Path] = ()) -> set[tuple[str, str]]:
        """The files below a folder in which, or in whose names, they turn up."""
        passed_over = set(but)
        return {
            (str(path.relative_to(folder)), what)
            for path in folder.rglob("*")
            if path not in passed_over
            for what in self.found_in(
                os.fsencode(path.name) + (path.read_bytes() if path.is_file() else b"")
            )
        }

    def found_in_variables(self, error: BaseException) -> set[str]:
        """What a report of an error shows that has the variables of every function of ours.

        As pytest, rich or a service that collects errors make it. What called us is not ours.
        """
        return self.found_in("".join(_shown(error, set())))


def _shown(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield "".join(traceback.format_exception_only(error))
    yield from map(repr, error.args)
    yield from _variables(error.__traceback__)
    yield from _shown(error.__cause__, seen)
    yield from _shown(error.__context__, seen)


def _variables(where: TracebackType | None) -> Iterator[str]:
    while where is not None:
        if Path(where.tb_frame.f_code.co_filename).is_relative_to(SOURCES):
            yield from map(repr, where.tb_frame.f_locals.values())
        where = where.tb_next


class RememberedKeys:
    """Remembers every key that anything is sealed or opened with."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.keys: set[bytes] = set()
        patch.setattr("holdfast.primitives.crypto.AESGCM", self._made)

    def _made(self, key: bytes) -> AESGCM:
        self.keys.add(bytes(key))
        return AESGCM(key)


@dataclass
class Started:
    """A program that was started: its arguments, and its environment; None for all of ours."""

    arguments: list[bytes]
    environment: dict[bytes, bytes] | None

    @property
    def is_ours(self) -> bool:
        """Whether it is a helper of ours, and not what somebody named."""
        return self.arguments[0] == os.fsencode(sys.executable)


_listening: list[list[Started]] = []
_hooked: list[bool] = []


@contextmanager
def programs_started() -> Iterator[list[Started]]:
    """All programs that this process starts meanwhile."""
    if not _hooked:  # it cannot be taken away again
        sys.addaudithook(_heard)
        _hooked.append(True)
    started: list[Started] = []
    _listening.append(started)
    try:
        yield started
    finally:
        _listening.remove(started)


def _heard(event: str, arguments: Sequence[object]) -> None:
    if event != "subprocess.Popen" or not _listening:
        return
    _, command, _, environment = arguments
    assert isinstance(command, list | tuple)
    known = None
    if environment is not None:
        assert isinstance(environment, dict)
        known = {os.fsencode(name): os.fsencode(each) for name, each in environment.items()}
    for started in _listening:
        started.append(Started([os.fsencode(each) for each in command], known))

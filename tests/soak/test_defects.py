"""Defects that must not get past the tests: each is put into a copy of the code, one at a time.

The tests that are named for it are run against the copy, and one of them has to fail. Where the
text that is to be replaced is no longer in the code, the defect has to be written down anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import holdfast

ROOT = Path(__file__).parents[2]
TESTS_FAILED = 1
"""The exit code of pytest for that, and for nothing else."""


class Defect(NamedTuple):
    """A mistake that somebody might make.

    Attributes:
        name: what it is.
        module: where it is made, below the package.
        changes: texts, each of which is there once, and what is put in their place.
        tests: arguments of pytest for those that catch it.
    """

    name: str
    module: str
    changes: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


DEFECTS = [
    Defect(
        "skip the fsync",
        "backend/durable.py",
        (("        os.fsync(file)\n", "        pass\n"),),
        ("tests/faults/test_rows_power.py", "tests/backends/test_local.py"),
    ),
    Defect(
        "commit the snapshot before the index",
        "store/writer.py",
        (
            (
                "        self._packer.flush()\n        self._write_index()\n",
                "        self._packer.flush()\n",
            ),
            (
                "        return self._session.commit(snapshot)\n",
                (
                    "        done = self._session.commit(snapshot)\n"
                    "        self._write_index()\n"
                    "        return done\n"
                ),
            ),
        ),
        ("tests/faults/test_every_operation.py",),
    ),
    Defect(
        "read the index before what is condemned",
        "store/writer.py",
        (
            (
                (
                    "            condemned = condemned_packs(self._backend, self._keys)\n"
                    "            self._check_config(self._backend)\n"
                    "            self._table = self._catalog.refresh()\n"
                ),
                (
                    "            self._table = self._catalog.refresh()\n"
                    "            condemned = condemned_packs(self._backend, self._keys)\n"
                    "            self._check_config(self._backend)\n"
                ),
            ),
        ),
        ("tests/integration/test_requests.py",),
    ),
    Defect(
        "delete packs before the drain",
        "store/reclaim.py",
        (
            (
                "is_waiting = {name: bool(waits[name] & alive.keys()) for name in condemned}",
                "is_waiting = {name: False for name in condemned}",
            ),
        ),
        ("tests/faults/test_reclaim.py", "tests/simulation"),
    ),
    Defect(
        "ignore an error while listing",
        "backend/local.py",
        (
            (
                "(FileNotFoundError, NotADirectoryError):\n        return files, below\n",
                "OSError:\n        return files, below\n",
            ),
        ),
        ("tests/backends/test_local.py", "tests/faults/test_rows_system.py"),
    ),
    Defect(
        "drop the check of a pack's commitment",
        "store/unpack.py",
        (("if not hmac.compare_digest(commitment, parsed.commitment):", "if commitment is None:"),),
        ("tests/unit/store/test_pack.py", "tests/compat/test_format_packs.py"),
    ),
    Defect(
        "drop what is authenticated beside the content",
        "primitives/crypto.py",
        (
            (
                "encrypt_into(_nonce(domain, ordinal), data, context, out)",
                "encrypt_into(_nonce(domain, ordinal), data, None, out)",
            ),
            (
                "decrypt(_nonce(domain, ordinal), sealed, context)",
                "decrypt(_nonce(domain, ordinal), sealed, None)",
            ),
            (
                "decrypt_into(_nonce(domain, ordinal), sealed, context, out)",
                "decrypt_into(_nonce(domain, ordinal), sealed, None, out)",
            ),
        ),
        ("tests/unit/primitives/test_crypto.py", "tests/faults/test_damage.py"),
    ),
    Defect(
        "trust the size that a frame states",
        "primitives/compression.py",
        (
            (
                "        if stated != size:\n            raise",
                "        size = stated\n        if stated < 0:\n            raise",
            ),
        ),
        ("tests/unit/primitives/test_compression.py",),
    ),
    Defect(
        "follow a symlink to a directory on restore",
        "filesystem/handles.py",
        (("os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW", "os.O_RDONLY | os.O_DIRECTORY"),),
        ("tests/unit/filesystem/test_handles.py",),
    ),
    Defect(
        "follow a symlink to a file on restore",
        "filesystem/target.py",
        (
            ("os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW |", "os.O_CREAT |"),
            ("_OLD_FILE: Final = os.O_NOFOLLOW | ", "_OLD_FILE: Final = "),
        ),
        ("tests/unit/filesystem/test_target.py",),
    ),
    Defect(
        "swallow that the repository is full",
        "store/packer.py",
        (
            (
                "        self._backend.put(object_name(info.name), pack)\n",
                (
                    "        try:\n"
                    "            self._backend.put(object_name(info.name), pack)\n"
                    "        except Exception:\n"
                    "            return\n"
                ),
            ),
        ),
        ("tests/faults/test_disk_full.py",),
    ),
]


@pytest.mark.soak
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_caught(tmp_path: Path, defect: Defect) -> None:
    package = Path(holdfast.__file__).parent
    copy = tmp_path / "src" / "holdfast"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    module = copy / defect.module
    text = module.read_text()
    for before, after in defect.changes:
        assert text.count(before) == 1, f"{defect.module} has changed: {before}"
        text = text.replace(before, after)
    module.write_text(text)
    options = ["-q", "-x", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'base'}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *defect.tests],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == TESTS_FAILED, done.stdout[-4000:]
    assert " failed" in done.stdout

"""A folder, seen through a file system that gives errors, hangs or refuses when it is told to.

    python -m tests.faults.fuse_fs FOLDER PLACE CONTROL

mounts FOLDER at PLACE. The file ``rules`` of the folder CONTROL has a line for each rule, of an
answer, an operation and a pattern of paths: ``ESTALE getattr /a/*``. The answer ``hang`` lasts
until the rule goes; ``hanging`` is made in CONTROL when somebody waits. A name is refused by rules
for the operation ``name``, whatever is to be made. Processes that are to see a file system go away
kill this one.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import mfusepy

FIELDS = (
    *("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size", "st_rdev"),
    *("st_blocks", "st_blksize"),
)
TIMES = ("st_atime", "st_mtime", "st_ctime")


class Folder:
    """The operations of libfuse, which are done below a folder unless a rule says otherwise."""

    use_ns = True

    def __init__(self, folder: Path, control: Path) -> None:
        self._folder = os.fspath(folder)
        self._rules = control / "rules"
        self._hanging = control / "hanging"

    def _at(self, operation: str, path: str) -> Path:
        """Where a path is below, if no rule is against it."""
        while (answer := self._answer(operation, path)) == "hang":
            self._hanging.touch()
            time.sleep(0.02)
        if answer:
            number = int(vars(errno)[answer])
            raise OSError(number, os.strerror(number))
        return Path(self._folder + path)

    def _answer(self, operation: str, path: str) -> str:
        for line in self._rules.read_text().splitlines():
            answer, concerned, pattern = line.split(maxsplit=2)
            if operation == concerned and fnmatchcase(path, pattern):
                return answer
        return ""

    def _new(self, operation: str, path: str) -> Path:
        self._at("name", path)
        return self._at(operation, path)

    # What is read

    def init(self, _path: str) -> None:
        pass

    def getattr(self, path: str, _handle: int | None = None) -> dict[str, int]:
        found = os.lstat(self._at("getattr", path))
        return {name: getattr(found, name) for name in FIELDS} | {
            name: getattr(found, f"{name}_ns") for name in TIMES
        }

    def readdir(self, path: str, _handle: int) -> list[tuple[str, dict[str, int], int]]:
        with os.scandir(self._at("readdir", path)) as entries:
            return [(each.name, {"st_ino": each.inode()}, 0) for each in entries]

    def readlink(self, path: str) -> str:
        return os.fspath(self._at("readlink", path).readlink())

    def open(self, path: str, flags: int) -> int:
        return os.open(self._at("open", path), flags & ~os.O_NOFOLLOW)

    def read(self, path: str, size: int, offset: int, handle: int) -> bytes:
        self._at("read", path)
        return os.pread(handle, size, offset)

    def release(self, _path: str, handle: int) -> int:
        os.close(handle)
        return 0

    def listxattr(self, path: str) -> list[str]:
        return os.listxattr(self._at("listxattr", path), follow_symlinks=False)

    def getxattr(self, path: str, name: str, _position: int = 0) -> bytes:
        return os.getxattr(self._at("getxattr", path), name, follow_symlinks=False)

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._at("statfs", path))
        names = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree")
        return {name: getattr(found, name) for name in (*names, "f_favail", "f_namemax")}

    # What is made

    def create(self, path: str, mode: int, flags: int) -> int:
        return os.open(self._new("create", path), flags | os.O_CREAT, mode)

    def mkdir(self, path: str, mode: int) -> None:
        self._new("mkdir", path).mkdir(mode)

    def mknod(self, path: str, mode: int, device: int) -> None:
        os.mknod(self._new("mknod", path), mode, device)

    def symlink(self, path: str, goal: str) -> None:
        self._new("symlink", path).symlink_to(goal)

    def link(self, path: str, old: str) -> None:
        os.link(self._at("link", old), self._new("link", path), follow_symlinks=False)

    def rename(self, old: str, new: str) -> None:
        self._at("rename", old).replace(self._new("rename", new))

    # What is changed

    def write(self, path: str, data: bytes, offset: int, handle: int) -> int:
        self._at("write", path)
        return os.pwrite(handle, data, offset)

    def truncate(self, path: str, length: int, _handle: int | None = None) -> None:
        os.truncate(self._at("truncate", path), length)

    def fsync(self, path: str, _only_data: int, handle: int) -> None:
        self._at("fsync", path)
        os.fsync(handle)

    def chmod(self, path: str, mode: int) -> None:
        self._at("chmod", path).chmod(mode)

    def chown(self, path: str, owner: int, group: int) -> None:
        nobody = (1 << 32) - 1
        ids = [-1 if each == nobody else each for each in (owner, group)]
        os.chown(self._at("chown", path), *ids, follow_symlinks=False)

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        os.utime(self._at("utimens", path), ns=times or (0, 0), follow_symlinks=False)

    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        os.setxattr(self._at("setxattr", path), name, value, flags, follow_symlinks=False)

    def removexattr(self, path: str, name: str) -> None:
        os.removexattr(self._at("removexattr", path), name, follow_symlinks=False)

    def unlink(self, path: str) -> None:
        self._at("unlink", path).unlink()

    def rmdir(self, path: str) -> None:
        self._at("rmdir", path).rmdir()


def main(arguments: Sequence[str]) -> None:
    """Mount it, and answer until this process ends."""
    folder, place, control = map(Path, arguments)
    mfusepy.FUSE(
        Folder(folder, control),
        os.fspath(place),
        foreground=True,
        fsname="holdfast-test",
        use_ino=True,
        attr_timeout=0,
        entry_timeout=0,
    )


if __name__ == "__main__":
    main(sys.argv[1:])

"""The data that is backed up: files of this machine, and made ones; and how they change.

What is made is the same in every run. What is found is copied, so that it can be changed and
nothing else changes it.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random  # noqa: TID251 - seeded, to be the same each time

MIB = 1 << 20
LARGEST = 16 * MIB
"""Bytes of the largest file that is copied from this machine."""
PAGE = 8 << 10
"""Bytes of a page of the database."""
RUN = 64
"""Pages of the database that change together, where changes are clustered."""
FOLDER = 1000
"""Files of 1 KiB that are in one directory."""

Make = Callable[[Path], None]
Change = Callable[[Path, Random], None]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is of each set.

    Attributes:
        small_files: files of (a).
        tar: bytes of (b).
        random: bytes of (c).
        changing_files: files of (d).
        slow_files: files of (e).
        database: bytes of (f).
        tiny_files: files of (g).
    """

    small_files: int
    tar: int
    random: int
    changing_files: int
    slow_files: int
    database: int
    tiny_files: int


FULL = Sizes(
    small_files=110_000,
    tar=4_000_000_000,
    random=2_000_000_000,
    changing_files=50_000,
    slow_files=20_000,
    database=2_000_000_000,
    tiny_files=1_000_000,
)
QUICK = Sizes(
    small_files=15_000,
    tar=400_000_000,
    random=300_000_000,
    changing_files=8_000,
    slow_files=4_000,
    database=300_000_000,
    tiny_files=50_000,
)


def system_files() -> Iterator[Path]:
    """Regular files and symbolic links of this machine, its Python installations first."""
    tops = [Path(sys.base_prefix), Path(sys.prefix), *map(Path, _SYSTEM)]
    done: list[Path] = []
    for top in (each.resolve() for each in tops if each.is_dir()):
        if top != Path("/usr") and not any(top.is_relative_to(each) for each in done):
            yield from (path for path in _files(top) if not any(map(path.is_relative_to, done)))
            done.append(top)


_SYSTEM = ("/usr/share", "/usr/lib", "/usr/local", "/usr/include", "/opt", "/usr/src", "/var/lib")


def _files(top: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(top):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            with suppress(FileNotFoundError):  # the machine is not ours alone
                kind = stat.S_IFMT(path.lstat().st_mode)
                if kind == stat.S_IFLNK or (kind == stat.S_IFREG and os.access(path, os.R_OK)):
                    yield path


def copy_files(target: Path, count: int) -> None:
    """Copy files of this machine below a folder, with their modes and times.

    Args:
        target: the folder.
        count: how many; fewer if the machine has no more.
    """
    folders: set[Path] = set()
    done = 0
    for path in system_files():
        if path.lstat().st_size > LARGEST:
            continue
        copy = target / path.relative_to("/")
        if copy.parent not in folders:
            copy.parent.mkdir(parents=True, exist_ok=True)
            folders.add(copy.parent)
        shutil.copy2(path, copy, follow_symlinks=False)
        done += 1
        if done >= count:
            break


def make_tar(target: Path, size: int) -> None:
    """An archive of this machine's files, of about so many bytes."""
    with (
        target.open("wb") as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in system_files():
            if path.lstat().st_size < size - file.tell():
                archive.add(path, recursive=False)
            if file.tell() >= size * 0.99:
                break


def make_random(target: Path, size: int) -> None:
    """Bytes that cannot be compressed."""
    random = Random(2)  # noqa: S311 - to be the same each time
    with target.open("wb") as file:
        for at in range(0, size, MIB):
            file.write(random.randbytes(min(MIB, size - at)))


def make_database(target: Path, size: int) -> None:
    """Pages with a number, rows of words and some bytes that cannot be compressed."""
    random = Random(3)  # noqa: S311 - to be the same each time
    words = [random.randbytes(random.randrange(2, 7)).hex() for _ in range(2000)]
    rows = " ".join(random.choices(words, k=200_000)).encode()
    keys = random.randbytes(MIB)
    with target.open("wb") as file:
        for number in range(size // PAGE):
            file.write(_page(number, rows, keys, random))


def _page(number: int, rows: bytes, keys: bytes, random: Random) -> bytes:
    part = PAGE // 4
    text, key = random.randrange(len(rows) - 3 * part), random.randrange(len(keys) - part)
    page = number.to_bytes(8, "little") + rows[text : text + 3 * part] + keys[key : key + part]
    return page[:PAGE]


def change_pages(path: Path, random: Random, *, clustered: bool) -> None:
    """Write new rows into 1 % of the pages, anywhere or in runs of neighbours."""
    pages = path.stat().st_size // PAGE
    count = max(pages // 100, 1)
    chosen: set[int] = set()
    while len(chosen) < count:
        first = random.randrange(pages)
        room = min(RUN if clustered else 1, count - len(chosen), pages - first)
        chosen.update(range(first, first + room))
    with path.open("r+b") as file:
        for number in sorted(chosen):
            file.seek(number * PAGE + random.randrange(8, PAGE - 400))
            file.write(random.randbytes(200).hex().encode())


def make_tiny(target: Path, count: int) -> None:
    """Files of 1 KiB of text, all different."""
    random = Random(4)  # noqa: S311 - to be the same each time
    for number in range(count):
        folder = target / f"{number // FOLDER:04}"
        if number % FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"{number % FOLDER:03}").write_bytes(random.randbytes(512).hex().encode())


def change_files(top: Path, random: Random, share: float) -> None:
    """Change so many of the files: append, write over a part, or write anew, in turn."""
    files = sorted(path for path in top.rglob("*") if path.is_file() and not path.is_symlink())
    for number, path in enumerate(random.sample(files, max(int(len(files) * share), 1))):
        size = path.stat().st_size
        some = random.randbytes(100).hex().encode()
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
        match number % 3:
            case 0:
                with path.open("ab") as file:
                    file.write(some)
            case 1:
                with path.open("r+b") as file:
                    file.seek(random.randrange(size + 1))
                    file.write(some)
            case _:
                path.write_bytes(random.randbytes(max(size, 1)))


def change_slowly(top: Path, random: Random) -> None:
    """A day's work: 2 % of the files change, some are new, some are gone."""
    change_files(top, random, 0.02)
    files = sorted(path for path in top.rglob("*") if path.is_file() and not path.is_symlink())
    few = max(len(files) // 200, 1)
    for path in random.sample(files, few):
        shutil.copyfile(path, path.with_name(f"{path.name[:200]}.{random.randrange(10**9)}"))
    for path in random.sample(files, few):
        path.unlink()


def size_of(top: Path) -> tuple[int, int]:
    """How many files there are at or below a path, and their bytes."""
    if not top.is_dir():
        return 1, top.stat().st_size
    files = size = 0
    for parent, _, names in os.walk(top):
        files += len(names)
        size += sum(os.lstat(os.path.join(parent, name)).st_size for name in names)  # noqa: PTH118 - many of them
    return files, size

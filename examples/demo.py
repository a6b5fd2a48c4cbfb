"""Back up a real tree, change it, back it up again, restore it, and prove the copy equal.

    make demo

It works on a copy of this machine's Python installation in a temporary directory, by the commands
that a person would type. The proof shares no code with holdfast: it is `diff`, `sha256sum` and
`find`. It ends with 0 only when everything was as it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from holdfast import environment

LEAST_FILES = 10_000
MOST_FILES = 25_000
MOST_BYTES = 500_000_000
MIB = 1 << 20

HASHES = "find . -type f -print0 | sort -z | xargs -0 sha256sum --binary --zero"
METADATA = (
    "find . -mindepth 1 "
    r"\( -type d -printf '%y %m %U %G %T@ %P\0' "
    r"-o -printf '%y %m %U %G %T@ %s %n %P -> %l\0' \) | sort -z"
)
"""For everything: type, mode, owner, group, mtime, name; for all but directories also size, number
of names, and target."""


class DemoError(Exception):
    """Something was not as it must be."""


@dataclass
class Demo:
    """The demo in its directory.

    Attributes:
        folder: everything happens in it.
        times: seconds of each step.
        sizes: number and bytes of files.
    """

    folder: Path
    times: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        """The tree that is backed up."""
        return self.folder / "source"

    def run(self, step: str, *command: str, where: Path | None = None) -> str:
        """Run a command as a person would type it, and show it; returns its standard output.

        Raises:
            DemoError: it failed.
        """
        print(f"\n$ {_typed(command)}" + f"   # in {where}" * bool(where), flush=True)
        program = [sys.executable, "-m", "holdfast"] if command[0] == "holdfast" else command[:1]
        begin = perf_counter()
        done = subprocess.run(
            [*program, *command[1:]],
            cwd=where or self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            check=False,
        )
        self.times[step] = perf_counter() - begin
        _show(done.stdout)
        if done.returncode:
            raise DemoError(f"{_typed(command)} exited with {done.returncode}")
        return done.stdout

    def report(self) -> None:
        """Print sizes and times."""
        print("\n== What was done")
        for what, (files, size) in self.sizes.items():
            print(f"{what:<28}{size / MIB:10,.1f} MiB in {files:,} files")
        for step, seconds in self.times.items():
            print(f"{step:<28}{seconds:10.1f} s")

    def _environment(self) -> dict[str, str]:
        """Only what is needed, so that no setting of this machine matters."""
        kept = {
            name: value
            for name in ("PATH", "PYTHONPATH")
            if (value := environment.variable(name)) is not None
        }
        return kept | {
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "HOLDFAST_REPOSITORY": "repository",
            "HOLDFAST_PASSWORD_FILE": "password",
        }


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, help="back up this tree instead")
    parser.add_argument(
        "--sabotage", action="store_true", help="damage one restored file; the demo has to notice"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as name:
        demo = Demo(Path(name).resolve())
        try:
            play(demo, options.source, sabotage=options.sabotage)
        except DemoError as error:
            print(f"\ndemo FAILED: {error}", file=sys.stderr)
            return 1
    print("\ndemo passed: the restored tree is equal to its source")
    return 0


def play(demo: Demo, given: Path | None, *, sabotage: bool) -> None:
    """All steps in order."""
    print("== 1. A real tree, copied so that it can be changed")
    copy_source(demo, [given.resolve()] if given else python_installation())
    demo.sizes["source"] = measure(demo.source)
    files, size = demo.sizes["source"]
    print(f"{files:,} files, {size / MIB:,.0f} MiB")
    if given is None and files < LEAST_FILES:
        raise DemoError(f"there are only {files} files; at least {LEAST_FILES} are needed")

    print("\n== 2. A repository and a first backup")
    password = demo.folder / "password"
    password.touch(mode=0o600)
    password.write_text("correct horse battery staple\n", "utf-8")
    print("\n$ export HOLDFAST_REPOSITORY=repository HOLDFAST_PASSWORD_FILE=password")
    demo.run("init", "holdfast", "init")
    demo.run("first backup", "holdfast", "create", "-t", "first", "source")
    demo.sizes["stored by the first backup"] = measure(demo.folder / "repository")

    print("\n== 3. Some changes, and a second backup")
    changes = change(demo.source)
    told = demo.run("second backup", "holdfast", "--json", "create", "-t", "second", "source")
    result = json.loads(told)
    expect("files that changed", result["files_changed"], len(changes.modified + changes.touched))
    expect("new files", result["files_new"], len(changes.added))
    demo.sizes["stored by both backups"] = measure(demo.folder / "repository")

    print("\n== 4. Looking at both")
    demo.run("list", "holdfast", "list")
    demo.run("diff", "holdfast", "diff", "latest~1", "latest")
    demo.run("stats", "holdfast", "stats")
    restore(demo, changes, sabotage=sabotage)

    print("\n== 6. Validating everything, with all data read")
    demo.run("validate", "holdfast", "validate", "--full-check", "--read-data")
    demo.report()


def restore(demo: Demo, changes: Changes, *, sabotage: bool) -> None:
    """Restore the second snapshot, and what it does not have from the first."""
    print("\n== 5. Restoring, and proving the copy equal without holdfast's help")
    where = f"latest:{demo.source}"
    demo.run("restore", "holdfast", "restore", "-s", where, "-t", "restored", "--verify")
    if sabotage:
        damage(demo.folder / "restored" / changes.modified[0])
    compare(demo)
    lost = changes.removed[0]
    path = str(demo.source / lost.path)
    demo.run("dump", "holdfast", "dump", "latest~1", path, "-o", "found")
    found = demo.run("sha256sum", "sha256sum", "--binary", "found").split()[0]
    expect("a removed file, taken from the first snapshot,", found, lost.sha256)
    print("equal to the file that was removed before the second backup")


def python_installation() -> list[Path]:
    """The machine's Python installation; more of the system while that has too few files."""
    base = Path(sys.base_prefix)
    library = base / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    shared = base in {Path("/usr"), Path("/usr/local")}
    candidates = [library if shared else base, Path(sys.prefix)]
    for top in ("/usr/lib", "/usr/share"):
        candidates += sorted(Path(top).iterdir()) if Path(top).is_dir() else []
    room = Room(MOST_FILES, MOST_BYTES)
    taken: list[Path] = []
    chosen: list[Path] = []
    for folder in (each.resolve() for each in candidates if each.is_dir()):
        if MOST_FILES - room.files >= LEAST_FILES:
            break
        if not any(folder.is_relative_to(each) or each.is_relative_to(folder) for each in taken):
            taken.append(folder)
            chosen += pieces(folder, room)
    return chosen


@dataclass
class Room:
    """How much more is to be copied at most."""

    files: int
    bytes: int


def pieces(path: Path, room: Room) -> list[Path]:
    """A folder or file if there is room; of what can never fit, what is in it."""
    files, size = measure(path)
    if files <= room.files and size <= room.bytes:
        room.files -= files
        room.bytes -= size
        return [path]
    if (files <= MOST_FILES and size <= MOST_BYTES) or not path.is_dir():
        return []
    return [piece for child in sorted(path.iterdir()) for piece in pieces(child, room)]


def measure(path: Path) -> tuple[int, int]:
    """How many files there are at or below a path, and their bytes."""
    if path.is_symlink() or not path.is_dir():
        return 1, path.lstat().st_size
    files = size = 0
    for parent, _, names in os.walk(path):
        for name in names:
            files += 1
            size += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - many of them
    return files, size


def copy_source(demo: Demo, paths: list[Path]) -> None:
    """Copy files and folders into the source, below it at the places that they have here."""
    demo.source.mkdir()
    names = [str(path.relative_to("/")) for path in paths]
    demo.run("copy", "cp", "-a", "--parents", *names, str(demo.source), where=Path("/"))


@dataclass(frozen=True)
class Removed:
    """A file that is not in the second snapshot.

    Attributes:
        path: below the source.
        sha256: of its content.
    """

    path: str
    sha256: str


@dataclass(frozen=True)
class Changes:
    """What was changed: paths below the source."""

    modified: list[str]
    touched: list[str]
    added: list[str]
    removed: list[Removed]


def change(source: Path) -> Changes:
    """Change, add and remove files; change the modes of some."""
    files = sorted(path for path in source.rglob("*.py") if _is_plain(path))
    modified, touched, doomed = files[1::97][:50], files[2::97][:50], files[3::97][:50]
    if not doomed:
        raise DemoError("the tree has too few files of Python to change some")
    removed = [Removed(str(path.relative_to(source)), _sha256(path)) for path in doomed]
    for path in modified:
        with path.open("a", encoding="utf-8") as file:
            file.write("# changed by the demo\n")
    for path in touched:
        path.chmod(path.stat().st_mode ^ 0o111)
    for path in doomed:
        path.unlink()
    added = add(source / "added by the demo", files[0])
    counts = f"{len(modified)} files changed, {len(added)} added, {len(removed)} removed"
    print(f"{counts}, {len(touched)} with another mode")
    return Changes(
        [str(path.relative_to(source)) for path in modified],
        [str(path.relative_to(source)) for path in touched],
        [str(path.relative_to(source)) for path in added],
        removed,
    )


def add(folder: Path, known: Path) -> list[Path]:
    """Make files of several kinds; returns the regular ones."""
    folder.mkdir()
    (folder / "random").write_bytes(os.urandom(8 * MIB))
    (folder / "a copy").write_bytes(known.read_bytes())
    (folder / "empty").touch()
    (folder / "sparse").touch()
    os.truncate(folder / "sparse", 256 * MIB)
    (folder / os.fsdecode(b"odd name \xff\n")).write_text("odd\n", "utf-8")
    (folder / "the same file").hardlink_to(folder / "random")
    (folder / "a link").symlink_to("random")
    return [path for path in folder.iterdir() if not path.is_symlink()]


def compare(demo: Demo) -> None:
    """Compare the restored tree with its source: names, types, contents, metadata.

    Raises:
        DemoError: they differ.
    """
    demo.run("compare", "diff", "--recursive", "--no-dereference", "source", "restored")
    for what, script in (("contents", HASHES), ("metadata", METADATA)):
        print(f"\n$ {script}   # in both", flush=True)
        wanted, found = (
            _output(["bash", "-o", "pipefail", "-c", script], demo.folder / name)
            for name in ("source", "restored")
        )
        expect(what, found, wanted)
        entries = wanted.count(b"\0")
        print(f"{what}: equal, {entries:,} entries")
        if not entries:
            raise DemoError("nothing was compared")


def damage(path: Path) -> None:
    """Change one byte in the middle of a file, and hide that from its times."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    print(f"\n(sabotage: one bit of {path.name} was flipped)")


def expect(what: str, found: object, wanted: object) -> None:
    """Fail unless something is as it must be."""
    if found != wanted:
        shown = f": {found!r}, expected {wanted!r}" if not isinstance(found, bytes) else ""
        raise DemoError(f"{what} differ{shown}")


def _sha256(path: Path) -> str:
    return _output(["sha256sum", "--binary", path.name], path.parent).decode().split()[0]


def _output(command: list[str], folder: Path) -> bytes:
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE).stdout


def _is_plain(path: Path) -> bool:
    """Whether it is a file of one name that may be changed and removed."""
    return (
        not path.is_symlink()
        and path.is_file()
        and path.stat().st_nlink == 1
        and os.access(path, os.W_OK)
        and os.access(path.parent, os.W_OK)
    )


def _typed(command: tuple[str, ...], most: int = 10) -> str:
    if len(command) <= most:
        return shlex.join(command)
    rest = f"... {len(command) - most:,} more ..."
    return f"{shlex.join(command[: most // 2])} {rest} {shlex.join(command[-most // 2 :])}"


def _show(text: str, most: int = 14) -> None:
    lines = [line.encode(errors="backslashreplace").decode() for line in text.splitlines()]
    if len(lines) > most:
        lines[most // 2 : -most // 2] = [f"... {len(lines) - most:,} more lines ..."]
    for line in lines:
        print(line)


if __name__ == "__main__":
    sys.exit(main())

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from typing_extensions import override

from holdfast.errors import BackendError, PathNotFound, StorageUnavailable, UsageError
from holdfast.filesystem import Patterns
from holdfast.model.node import NodeType
from holdfast.operations.restore import (
    Action,
    Deed,
    Overwrite,
    RestoreOptions,
    RestoreResult,
    restore,
    verify_restore,
)
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress, ProgressEvent
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.repositories import ManualClock
from holdfast.testing.trees import (
    BLOB,
    TIME,
    Entry,
    directory,
    expected,
    fifo,
    file,
    observed,
    save_tree,
    symlink,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")
needs_user = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def listed(path: str | Path) -> list[str]:
    return sorted(below.name for below in Path(path).iterdir())


def held() -> set[object]:
    """Threads and numbers of descriptors; those of earlier tests may go meanwhile."""
    return {*threading.enumerate(), *listed("/proc/self/fd")}


TREE = directory(
    {
        b"empty": file(),
        b"small": file(b"hello", mode=0o600),
        b"large": file(bytes(range(256)) * 40),
        b"holes": file(b"begin", 1 << 20, b"end", 1 << 20),
        b"link": symlink(b"../somewhere/\xff"),
        b"pipe": fifo(),
        b"sub": directory(
            {
                b"\xff\xfe \n": file(b"odd name"),
                b"n" * 255: file(b"long name"),
                b"old": file(b"before 1970", mtime=-1_000_000_001),
                b"new": file(b"after 2038", mtime=4_000_000_000_000_000_001),
                b"deeper": directory({b"leaf": file(b"x" * 5000)}, mode=0o555),
            },
            mode=0o750,
        ),
        b"vacant": directory(mode=0o700),
    }
)


def run(
    root: Entry,
    target: Path,
    blobs: MemoryBlobs | None = None,
    path: bytes = b"/",
    **options: object,
) -> RestoreResult:
    blobs = blobs or MemoryBlobs()
    return restore(
        save_tree(root, blobs),
        path,
        target,
        blobs,
        RestoreOptions(**options),  # type: ignore[arg-type]
    )


def errors_of(result: RestoreResult) -> list[tuple[str, str]]:
    return [(problem.path, problem.operation) for problem in result.errors]


# ------------------------------------------------------------------------------ a fresh target


def test_a_whole_tree_comes_back(tmp_path: Path) -> None:
    result = run(TREE, tmp_path / "new" / "target", verify=True)
    assert observed(tmp_path / "new" / "target") == expected(TREE)
    assert result.errors == ()
    assert (result.files_restored, result.files_skipped) == (9, 0)
    assert (result.directories, result.others) == (3, 2)
    assert result.bytes_restored == sum(
        len(seen[3]) for seen in expected(TREE).values() if seen[0] == "FILE"
    )


def test_the_target_keeps_its_own_metadata(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o711)
    run(TREE, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o711


def test_the_target_may_be_a_symlink_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    run(TREE, tmp_path / "alias")
    assert observed(tmp_path / "real") == expected(TREE)


def test_a_target_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(UsageError, match="file"):
        run(TREE, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_no_threads_or_descriptors_are_left(tmp_path: Path) -> None:
    before = held()
    run(TREE, tmp_path / "target", verify=True)
    assert held() <= before


def test_a_subtree_is_restored_without_its_path(tmp_path: Path) -> None:
    run(TREE, tmp_path / "target", path=b"/sub/deeper/")
    assert observed(tmp_path / "target") == expected(TREE.entries[b"sub"].entries[b"deeper"])


def test_a_single_file_is_restored_into_the_target(tmp_path: Path) -> None:
    result = run(TREE, tmp_path / "target", path=b"/sub/old", verify=True)
    assert list(observed(tmp_path / "target")) == [b"old"]
    assert result.files_restored == 1
    assert not result.errors


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(PathNotFound):
        run(TREE, tmp_path / "target", path=b"/sub/nothing")
    assert not (tmp_path / "target").exists()


@pytest.mark.fault(39)
def test_three_thousand_levels(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    tree = save_tree(directory({b"bottom": file(b"!", mode=0o400)}), blobs)
    for _ in range(3000):
        below = directory().but(tree=tree)
        tree = save_tree(directory({b"d": below, b"f": file(b"beside")}), blobs)
    result = restore(tree, b"/", tmp_path / "target", blobs, RestoreOptions(verify=True))
    assert result.errors == ()
    assert (result.files_restored, result.directories) == (3001, 3000)
    again = run(directory(), tmp_path / "target", delete=True)
    assert again.errors == ()
    assert again.deleted == 6001
    assert list(tmp_path.joinpath("target").iterdir()) == []


def test_a_directory_of_many_batches(tmp_path: Path) -> None:
    root = directory({b"%05d" % number: file(b"%d" % number) for number in range(6000)})
    result = run(root, tmp_path / "target")
    assert result.files_restored == 6000
    assert observed(tmp_path / "target") == expected(root)


@pytest.mark.fault(41)
def test_holes_are_holes_and_keep_the_size(tmp_path: Path) -> None:
    size = 1 << 40
    root = directory({b"hole": file(size), b"middle": file(b"a", size, b"b")})
    result = run(root, tmp_path / "target", verify=True)
    assert result.errors == ()
    assert (tmp_path / "target/hole").stat().st_size == size
    assert (tmp_path / "target/hole").stat().st_blocks == 0
    assert (tmp_path / "target/middle").stat().st_size == size + 2
    assert (result.bytes_restored, result.bytes_written) == (2 * size + 2, 2)


def test_sparse_leaves_holes_for_blobs_of_zeros(tmp_path: Path) -> None:
    content = bytes(64 * BLOB)
    root = directory({b"file": file(content)})
    run(root, tmp_path / "dense")
    assert (tmp_path / "dense/file").stat().st_blocks > 0
    result = run(root, tmp_path / "sparse", sparse=True)
    assert (tmp_path / "sparse/file").stat().st_blocks == 0
    assert (tmp_path / "sparse/file").read_bytes() == content
    assert result.bytes_written == 0


def test_sockets_are_made_anew(tmp_path: Path) -> None:
    root = directory({b"socket": Entry(NodeType.SOCKET, 0o755)})
    assert run(root, tmp_path / "target", verify=True).errors == ()
    assert observed(tmp_path / "target") == expected(root)


@pytest.mark.fault(35)
@needs_root
def test_devices_only_when_asked_for(tmp_path: Path) -> None:
    root = directory(
        {b"null": Entry(NodeType.CHARACTER_DEVICE, 0o666, device=os.makedev(1, 3)), b"f": file()}
    )
    refused = run(root, tmp_path / "refused", verify=True)
    assert errors_of(refused) == [("/null", "create")]
    assert errors_of(run(root, tmp_path / "dry", dry_run=True)) == [("/null", "create")]
    assert listed(tmp_path / "refused") == ["f"]
    assert run(root, tmp_path / "made", devices=True, verify=True).errors == ()
    made = (tmp_path / "made/null").stat()
    assert (made.st_rdev, stat.S_IMODE(made.st_mode)) == (os.makedev(1, 3), 0o666)


# ------------------------------------------------------------------------------ metadata


@pytest.mark.fault(35)
@needs_root
def test_owner_and_set_id_bits(tmp_path: Path) -> None:
    root = directory(
        {
            b"setuid": file(b"#!", mode=0o6755).but(owner=(1234, 5678)),
            b"link": symlink(b"x").but(owner=(1234, 5678)),
            b"dir": directory(mode=0o3775).but(owner=(1, 2)),
        }
    )
    assert run(root, tmp_path, verify=True).errors == ()
    for name, owner, mode in (("setuid", (1234, 5678), 0o6755), ("dir", (1, 2), 0o3775)):
        status = (tmp_path / name).stat()
        assert (status.st_uid, status.st_gid) == owner
        assert stat.S_IMODE(status.st_mode) == mode
    assert os.lstat(tmp_path / "link").st_uid == 1234


@needs_root
def test_an_owner_that_cannot_be_is_reported_and_the_set_id_bit_left_out(tmp_path: Path) -> None:
    root = directory({b"f": file(b"x", mode=0o4755).but(owner=((1 << 32) - 1, 0))})
    result = run(root, tmp_path)
    assert errors_of(result) == [("/f", "owner"), ("/f", "mode")]
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o755
    assert (tmp_path / "f").read_bytes() == b"x"


@pytest.mark.fault(35)
@needs_user
def test_without_root_owners_stay_and_set_id_bits_of_others_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o777)
    target = tmp_path / "target"
    target.mkdir()
    os.chown(target, 65534, 65534)
    root = directory(
        {
            b"mine": file(b"x", mode=0o4755).but(owner=(65534, 65534)),
            b"fixed": file(b"read-only", mode=0o444),
            b"root's": file(b"x", mode=0o4755).but(owner=(0, 0)),
            b"closed": directory(
                {b"a": directory(mode=0), **{b"%d" % n: file(b"x") for n in range(1000)}},
                mode=0o555,
            ).but(owner=(0, 0)),
        }
    )
    blobs = MemoryBlobs()
    tree = save_tree(root, blobs)
    options = RestoreOptions()
    monkeypatch.chdir(target)
    os.setegid(65534)
    os.seteuid(65534)
    try:
        first = restore(tree, b"/", b".", blobs, options)
        again = restore(tree, b"/", b".", blobs, options)
    finally:
        os.seteuid(0)
        os.setegid(0)
    assert errors_of(first) == [("/root's", "mode")]
    assert errors_of(again) == [("/root's", "mode")]
    assert again.bytes_written == 0
    assert stat.S_IMODE((target / "mine").stat().st_mode) == 0o4755
    assert stat.S_IMODE((target / "root's").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "closed").stat().st_mode) == 0o555
    assert stat.S_IMODE((target / "closed/a").stat().st_mode) == 0
    assert (target / "root's").stat().st_uid == 65534


def takes_xattrs(path: Path) -> bool:
    try:
        os.setxattr(path, b"user.probe", b"1")
    except OSError:
        return False
    return True


@pytest.mark.fault(46)
def test_extended_attributes_one_by_one(tmp_path: Path) -> None:
    if not takes_xattrs(tmp_path):
        pytest.skip("the file system has no extended attributes")
    xattrs = ((b"user.a", b"\0\xff"), (b"user.bad", b"v" * 200_000), (b"user.z", b""))
    root = directory({b"f": file(b"x", mode=0o444).but(xattrs=xattrs), b"d": directory()})
    result = run(root, tmp_path)
    assert errors_of(result) == [("/f", "xattr")]
    assert "user.bad" in result.errors[0].message
    assert os.getxattr(tmp_path / "f", b"user.a") == b"\0\xff"
    assert os.getxattr(tmp_path / "f", b"user.z") == b""
    differences = run(root, tmp_path, verify=True, overwrite=Overwrite.IF_CHANGED)
    assert ("/f", "verify") in errors_of(differences)


def test_attributes_that_the_snapshot_has_not_go_away(tmp_path: Path) -> None:
    if not takes_xattrs(tmp_path):
        pytest.skip("the file system has no extended attributes")
    root = directory({b"f": file(b"x"), b"d": directory()})
    for overwrite in (Overwrite.ALWAYS, Overwrite.IF_CHANGED):
        run(root, tmp_path)
        os.setxattr(tmp_path / "f", b"user.other", b"1")
        os.setxattr(tmp_path / "d", b"user.other", b"1")
        assert run(root, tmp_path, overwrite=overwrite).errors == ()
        assert os.listxattr(tmp_path / "f") == []
        assert os.listxattr(tmp_path / "d") == []


def test_an_inherited_acl_is_not_kept(tmp_path: Path) -> None:
    acl = bytes.fromhex(
        "02000000 01000700ffffffff 02000700e8030000 04000500ffffffff 10000700ffffffff"
        "20000500ffffffff"
    )
    try:
        os.setxattr(tmp_path, b"system.posix_acl_default", acl)
    except OSError:
        pytest.skip("the file system has no access control lists")
    root = directory({b"f": file(b"x", mode=0o640), b"d": directory({b"g": file(b"y")})})
    assert run(root, tmp_path, verify=True).errors == ()
    for name in ("f", "d", "d/g"):
        assert os.listxattr(tmp_path / name) == []
    assert observed(tmp_path) == expected(root)


@pytest.mark.fault(46)
def test_an_acl_comes_back(tmp_path: Path) -> None:
    acl = bytes.fromhex(
        "02000000 01000600ffffffff 02000400e8030000 04000400ffffffff 10000400ffffffff"
        "20000000ffffffff"
    )
    root = directory(
        {b"f": file(b"x", mode=0o640).but(xattrs=((b"system.posix_acl_access", acl),))}
    )
    result = run(root, tmp_path, verify=True)
    if errors_of(result)[:1] == [("/f", "xattr")]:
        pytest.skip("the file system has no access control lists")
    assert result.errors == ()
    assert os.getxattr(tmp_path / "f", b"system.posix_acl_access") == acl


@pytest.mark.fault(47)
@pytest.mark.parametrize("mtime", [1 << 100, -(1 << 100), 20_000_000_000_000_000_000])
def test_a_time_beyond_the_file_system_is_clamped_and_reported(tmp_path: Path, mtime: int) -> None:
    root = directory({b"f": file(b"x", mtime=mtime), b"l": symlink(b"t", mtime=mtime)})
    result = run(root, tmp_path)
    stored = (tmp_path / "f").stat().st_mtime_ns
    told = [("/f", "time")] * (stored != mtime) + [("/l", "time")] * (stored != mtime)
    assert errors_of(result) == told
    assert (stored > 0) == (mtime > 0)
    assert (tmp_path / "f").read_bytes() == b"x"


# ------------------------------------------------------------------------------ hard links


FARM = directory(
    {
        b"a": file(b"shared").but(group=7),
        b"b": file(b"shared").but(group=7),
        b"other": file(b"alone").but(group=8),
        b"sub": directory(
            {
                b"c": file(b"shared").but(group=7),
                b"deep": directory({b"d": file(b"shared").but(group=7)}),
            }
        ),
    }
)


@pytest.mark.fault(43)
def test_hard_links_are_links_across_directories(tmp_path: Path) -> None:
    result = run(FARM, tmp_path, verify=True)
    assert result.errors == ()
    names = ("a", "b", "sub/c", "sub/deep/d")
    assert len({(tmp_path / name).stat().st_ino for name in names}) == 1
    assert (tmp_path / "a").stat().st_nlink == 4
    assert (tmp_path / "other").stat().st_nlink == 1
    assert (result.files_restored, result.hardlinks) == (5, 3)
    assert result.bytes_restored == len(b"shared") + len(b"alone")
    assert observed(tmp_path) == expected(FARM)


@pytest.mark.parametrize("overwrite", list(Overwrite))
def test_hard_links_restored_again(tmp_path: Path, overwrite: Overwrite) -> None:
    run(FARM, tmp_path)
    result = run(FARM, tmp_path, overwrite=overwrite, verify=True)
    assert result.errors == ()
    assert (tmp_path / "a").stat().st_nlink == 4
    assert observed(tmp_path) == expected(FARM)
    if overwrite is not Overwrite.ALWAYS:
        assert (result.files_restored, result.files_skipped) == (0, 5)


@pytest.mark.fault(43)
def test_only_some_names_selected(tmp_path: Path) -> None:
    run(FARM, tmp_path, include=Patterns(["c", "d"]))
    assert sorted(observed(tmp_path)) == [b"sub", b"sub/c", b"sub/deep", b"sub/deep/d"]
    assert (tmp_path / "sub/c").stat().st_nlink == 2
    assert (tmp_path / "sub/c").samefile(tmp_path / "sub/deep/d")


def test_names_are_not_linked_to_a_file_that_the_policy_protects(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"of another")
    run(FARM, tmp_path, overwrite=Overwrite.NEVER, verify=True)
    assert (tmp_path / "a").read_bytes() == b"of another"
    assert (tmp_path / "a").stat().st_nlink == 1
    assert (tmp_path / "b").read_bytes() == b"shared"
    assert (tmp_path / "b").stat().st_nlink == 3


def test_a_holder_that_is_damaged_passes_the_content_on(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    tree = save_tree(FARM, blobs)
    shared = blobs.add(b"shared")
    del blobs.blobs[shared]
    result = restore(tree, b"/", tmp_path, blobs, RestoreOptions())
    assert sorted(errors_of(result)) == [
        ("/a", "read"), ("/b", "read"), ("/sub/c", "read"), ("/sub/deep/d", "read")
    ]  # fmt: skip
    assert (tmp_path / "other").read_bytes() == b"alone"
    assert listed(tmp_path) == ["other", "sub"]


@pytest.mark.fault(43)
def test_many_names_of_few_files(tmp_path: Path) -> None:
    farm = directory(
        {
            b"%d" % outer: directory(
                {
                    b"%d" % inner: file(b"%d" % (inner % 5)).but(group=inner % 5)
                    for inner in range(300)
                }
            )
            for outer in range(10)
        }
    )
    result = run(farm, tmp_path, verify=True)
    assert result.errors == ()
    assert (result.files_restored, result.hardlinks) == (3000, 2995)
    assert (tmp_path / "3/7").stat().st_nlink == 600


# ------------------------------------------------------------------------------ what exists


def set_file(path: Path, content: bytes, mtime: int = TIME) -> None:
    path.write_bytes(content)
    os.utime(path, ns=(mtime, mtime))


def test_always_rewrites_only_the_parts_that_differ(tmp_path: Path) -> None:
    content = b"".join(bytes([number]) * BLOB for number in range(1, 11))
    changed = bytearray(content)
    changed[3 * BLOB + 5] = 0xFF
    set_file(tmp_path / "f", bytes(changed) + b"too long")
    inode = (tmp_path / "f").stat().st_ino
    result = run(directory({b"f": file(content)}), tmp_path, verify=True)
    assert result.errors == ()
    assert result.bytes_written == BLOB
    assert (tmp_path / "f").read_bytes() == content
    assert (tmp_path / "f").stat().st_ino == inode
    assert (tmp_path / "f").stat().st_mtime_ns == TIME


def test_always_leaves_what_is_equal(tmp_path: Path) -> None:
    run(TREE, tmp_path)
    inode = (tmp_path / "large").stat().st_ino
    result = run(TREE, tmp_path, verify=True)
    assert (result.files_restored, result.files_skipped, result.bytes_written) == (0, 9, 0)
    assert (tmp_path / "large").stat().st_ino == inode
    assert observed(tmp_path) == expected(TREE)


def test_runs_of_zeros_replace_data(tmp_path: Path) -> None:
    set_file(tmp_path / "f", b"x" * 3_000_000)
    set_file(tmp_path / "short", b"x")
    root = directory({b"f": file(b"a", 2_500_000, b"b"), b"short": file(2_000_000)})
    result = run(root, tmp_path, verify=True)
    assert result.errors == ()
    assert observed(tmp_path) == expected(root)


def test_sparse_does_not_write_zeros_behind_the_end(tmp_path: Path) -> None:
    set_file(tmp_path / "f", b"xy" + bytes(10))
    root = directory({b"f": file(b"a" * BLOB + bytes(100 * BLOB))})
    result = run(root, tmp_path, sparse=True, verify=True)
    assert result.errors == ()
    assert result.bytes_written == BLOB
    assert observed(tmp_path) == expected(root)


def test_if_changed_looks_at_size_and_mtime(tmp_path: Path) -> None:
    root = directory({name: file(b"new!") for name in (b"same", b"size", b"mtime", b"none")})
    set_file(tmp_path / "same", b"old!")
    set_file(tmp_path / "size", b"old")
    set_file(tmp_path / "mtime", b"old!", TIME + 1)
    (tmp_path / "same").chmod(0o600)
    result = run(root, tmp_path, overwrite=Overwrite.IF_CHANGED)
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert contents == {"same": b"old!", "size": b"new!", "mtime": b"new!", "none": b"new!"}
    assert stat.S_IMODE((tmp_path / "same").stat().st_mode) == 0o644
    assert (result.files_restored, result.files_skipped) == (3, 1)


def test_if_newer_looks_at_mtime(tmp_path: Path) -> None:
    root = directory({name: file(b"new") for name in (b"older", b"same", b"newer")})
    set_file(tmp_path / "older", b"old", TIME - 1)
    set_file(tmp_path / "same", b"old", TIME)
    set_file(tmp_path / "newer", b"old", TIME + 1)
    result = run(root, tmp_path, overwrite=Overwrite.IF_NEWER, verify=True)
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert contents == {"older": b"new", "same": b"old", "newer": b"old"}
    assert (tmp_path / "newer").stat().st_mtime_ns == TIME + 1
    assert result.errors == ()


def test_never_touches_nothing_that_exists(tmp_path: Path) -> None:
    set_file(tmp_path / "small", b"mine", 5)
    (tmp_path / "sub").mkdir(mode=0o711)
    (tmp_path / "vacant").write_bytes(b"in the way")
    result = run(TREE, tmp_path, overwrite=Overwrite.NEVER, verify=True)
    assert (tmp_path / "small").read_bytes() == b"mine"
    assert (tmp_path / "small").stat().st_mtime_ns == 5
    assert stat.S_IMODE((tmp_path / "sub").stat().st_mode) == 0o711
    assert (tmp_path / "vacant").read_bytes() == b"in the way"
    assert (tmp_path / "sub/deeper/leaf").stat().st_size == 5000
    assert set(errors_of(result)) == {("/vacant", "create"), ("/vacant", "verify")}


def test_a_file_with_other_names_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    set_file(outside, b"precious", 5)
    outside.chmod(0o600)
    (tmp_path / "target").mkdir()
    for overwrite in (Overwrite.ALWAYS, Overwrite.IF_CHANGED):
        (tmp_path / "target/f").unlink(missing_ok=True)
        os.link(outside, tmp_path / "target/f")
        before = outside.stat()
        run(directory({b"f": file(b"restored")}), tmp_path / "target", overwrite=overwrite)
        assert (tmp_path / "target/f").read_bytes() == b"restored"
        assert outside.read_bytes() == b"precious"
        assert outside.stat().st_mtime_ns == before.st_mtime_ns
        assert outside.stat().st_mode == before.st_mode


def test_a_linked_file_that_seems_unchanged_is_replaced_when_its_mode_differs(
    tmp_path: Path,
) -> None:
    outside = tmp_path / "outside"
    set_file(outside, b"restored")
    outside.chmod(0o600)
    (tmp_path / "target").mkdir()
    os.link(outside, tmp_path / "target/f")
    run(directory({b"f": file(b"restored")}), tmp_path / "target", overwrite=Overwrite.IF_CHANGED)
    assert stat.S_IMODE(outside.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "target/f").stat().st_mode) == 0o644


@pytest.mark.fault(48)
def test_types_change_places(tmp_path: Path) -> None:
    before = directory(
        {
            b"file to directory": file(b"x"),
            b"directory to file": directory(),
            b"link to file": symlink(b"nowhere"),
            b"file to link": file(b"x"),
            b"fifo to file": fifo(),
            b"link to directory": symlink(b"/"),
            b"file to fifo": file(b"x"),
            b"link to link": symlink(b"a"),
        }
    )
    after = directory(
        {
            b"file to directory": directory({b"in it": file(b"y")}),
            b"directory to file": file(b"y"),
            b"link to file": file(b"y"),
            b"file to link": symlink(b"nowhere"),
            b"fifo to file": file(b"y"),
            b"link to directory": directory({b"in it": file(b"y")}),
            b"file to fifo": fifo(),
            b"link to link": symlink(b"b"),
        }
    )
    for overwrite in (Overwrite.ALWAYS, Overwrite.IF_CHANGED):
        target = tmp_path / overwrite
        run(before, target)
        result = run(after, target, overwrite=overwrite, verify=True)
        assert observed(target).keys() == expected(after).keys()
        if overwrite is Overwrite.ALWAYS:
            assert result.errors == ()
            assert observed(target) == expected(after)


@pytest.mark.fault(48)
def test_a_directory_that_is_not_empty_stays_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f/mine").write_bytes(b"precious")
    root = directory({b"f": file(b"x"), b"g": file(b"y")})
    assert errors_of(run(root, tmp_path)) == [("/f", "create")]
    assert (tmp_path / "f/mine").read_bytes() == b"precious"
    assert (tmp_path / "g").read_bytes() == b"y"
    hidden = run(root, tmp_path, delete=True, exclude=Patterns(["mine"]))
    assert errors_of(hidden) == [("/f", "create")]
    assert (tmp_path / "f/mine").read_bytes() == b"precious"
    assert run(root, tmp_path, delete=True).errors == ()
    assert observed(tmp_path) == expected(root)


@pytest.mark.fault(4)
def test_leftovers_of_a_crashed_restore_go_away(tmp_path: Path) -> None:
    leftover = tmp_path / f".holdfast-{'0123456789abcdef'}-17"
    leftover.write_bytes(b"half")
    (tmp_path / ".holdfast-mine").write_bytes(b"not one of them")
    run(directory({b"f": file(b"x")}), tmp_path)
    assert listed(tmp_path) == [".holdfast-mine", "f"]


@pytest.mark.fault(48)
def test_an_immutable_file_is_reported_and_the_rest_restored(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"mine")
    if os.system(f"chattr +i {tmp_path / 'f'} 2>/dev/null"):  # noqa: S605 - the flag has no call
        pytest.skip("files cannot be made immutable here")
    try:
        result = run(directory({b"f": file(b"x"), b"g": file(b"y")}), tmp_path)
    finally:
        os.system(f"chattr -i {tmp_path / 'f'}")  # noqa: S605
    assert errors_of(result) == [("/f", "create")]
    assert (tmp_path / "f").read_bytes() == b"mine"
    assert listed(tmp_path) == ["f", "g"]


@pytest.mark.fault(38)
def test_names_that_the_file_system_refuses(tmp_path: Path) -> None:
    root = directory(
        {b"n" * 256: file(b"x"), b"d" * 300: directory({b"f": file()}), b"ok": file(b"y")}
    )
    result = run(root, tmp_path)
    assert sorted(errors_of(result)) == [
        ("/" + "d" * 300, "create"), ("/" + "n" * 256, "examine")
    ]  # fmt: skip
    assert listed(tmp_path) == ["ok"]


# ------------------------------------------------------------------------------ selection


def test_include_and_exclude(tmp_path: Path) -> None:
    root = directory(
        {
            b"a.txt": file(b"1"),
            b"a.bin": file(b"2"),
            b"docs": directory(
                {
                    b"b.txt": file(b"3"),
                    b"secret.txt": file(b"4"),
                    b"old": directory({b"c.txt": file()}),
                }
            ),
            b"none": directory({b"d.bin": file(b"5")}),
        }
    )
    run(root, tmp_path, include=Patterns(["*.txt"]), exclude=Patterns(["secret*", "/docs/old"]))
    assert sorted(observed(tmp_path)) == [b"a.txt", b"docs", b"docs/b.txt"]
    run(root, tmp_path / "all of docs", include=Patterns(["/docs"]))
    assert len(observed(tmp_path / "all of docs")) == 5


def test_directories_without_anything_included_are_not_created(tmp_path: Path) -> None:
    for delete in (False, True):
        run(TREE, tmp_path, include=Patterns(["small"]), delete=delete)
        assert listed(tmp_path) == ["small"]


def test_patterns_are_on_paths_of_the_snapshot(tmp_path: Path) -> None:
    root = directory({b"top": directory({b"sub": directory({b"f": file(), b"g": file()})})})
    run(root, tmp_path / "1", path=b"/top/sub", include=Patterns(["/top/sub/f"]))
    assert listed(tmp_path / "1") == ["f"]
    run(root, tmp_path / "2", path=b"/top/sub", include=Patterns(["/top"]))
    assert listed(tmp_path / "2") == ["f", "g"]
    run(root, tmp_path / "3", path=b"/top/sub", include=Patterns(["/elsewhere"]))
    assert listed(tmp_path / "3") == []


def test_a_directory_on_the_way_gets_its_metadata_only_when_it_is_created(tmp_path: Path) -> None:
    root = directory({b"d": directory({b"f.txt": file(), b"g": file()}, mode=0o750)})
    run(root, tmp_path / "new", include=Patterns(["*.txt"]))
    assert observed(tmp_path / "new")[b"d"] == ("DIRECTORY", 0o750, TIME, b"")
    (tmp_path / "old/d").mkdir(parents=True, mode=0o711)
    (tmp_path / "old/d").chmod(0o500)
    run(root, tmp_path / "old", include=Patterns(["*.txt"]))
    assert observed(tmp_path / "old")[b"d"][1] == 0o500
    assert listed(tmp_path / "old/d") == ["f.txt"]


# ------------------------------------------------------------------------------ deletion


def fill(target: Path) -> None:
    for name in ("d/keep/x.txt", "d/x.txt", "extra/deep/y.txt", "extra/z.bin", "other.bin"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(b"mine")
    (target / "extra/loop").symlink_to("..")


SMALL = directory({b"d": directory({b"f": file(b"x")}), b"g": file(b"y")})


def test_delete_makes_the_target_equal(tmp_path: Path) -> None:
    fill(tmp_path)
    actions: list[Action] = []
    result = run(SMALL, tmp_path, delete=True, on_action=actions.append)
    assert result.errors == ()
    assert observed(tmp_path) == expected(SMALL)
    assert result.deleted == 9
    assert {a.path for a in actions if a.deed is Deed.DELETE} == {
        "/d/keep/x.txt", "/d/keep", "/d/x.txt", "/extra/deep/y.txt", "/extra/deep",
        "/extra/z.bin", "/extra/loop", "/extra", "/other.bin",
    }  # fmt: skip


def test_without_delete_nothing_goes(tmp_path: Path) -> None:
    fill(tmp_path)
    assert run(SMALL, tmp_path).deleted == 0
    assert (tmp_path / "extra/deep/y.txt").exists()


def test_delete_spares_what_the_patterns_hide(tmp_path: Path) -> None:
    fill(tmp_path)
    result = run(SMALL, tmp_path, delete=True, exclude=Patterns(["z.bin", "/d/keep"]))
    assert sorted(observed(tmp_path)) == [
        b"d", b"d/f", b"d/keep", b"d/keep/x.txt", b"extra", b"extra/z.bin", b"g"
    ]  # fmt: skip
    assert result.errors == ()


def test_delete_takes_only_what_is_included(tmp_path: Path) -> None:
    fill(tmp_path)
    result = run(SMALL, tmp_path, delete=True, include=Patterns(["*.txt"]))
    assert result.errors == ()
    assert sorted(observed(tmp_path)) == [
        b"d", b"d/keep", b"extra", b"extra/deep", b"extra/loop", b"extra/z.bin", b"other.bin"
    ]  # fmt: skip


def test_delete_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/precious").write_bytes(b"!")
    (tmp_path / "target/extra").mkdir(parents=True)
    (tmp_path / "target/extra/link").symlink_to(tmp_path / "outside")
    (tmp_path / "target/link").symlink_to(tmp_path / "outside")
    run(SMALL, tmp_path / "target", delete=True)
    assert observed(tmp_path / "target") == expected(SMALL)
    assert (tmp_path / "outside/precious").read_bytes() == b"!"


def test_nothing_is_deleted_from_a_directory_that_cannot_be_read(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    tree = save_tree(SMALL, blobs)
    del blobs.blobs[save_tree(SMALL.entries[b"d"], blobs)]
    fill(tmp_path)
    result = restore(tree, b"/", tmp_path, blobs, RestoreOptions(delete=True))
    assert errors_of(result) == [("/d", "read")]
    assert (tmp_path / "d/keep/x.txt").exists()
    assert not (tmp_path / "extra").exists()


# ------------------------------------------------------------------------------ dry run


@pytest.mark.parametrize("overwrite", list(Overwrite))
def test_a_dry_run_says_what_a_restore_does_and_does_nothing(
    tmp_path: Path, overwrite: Overwrite
) -> None:
    fill(tmp_path)
    set_file(tmp_path / "g", b"y")
    (tmp_path / "d").chmod(0o711)
    before = observed(tmp_path)
    planned: list[Action] = []
    done: list[Action] = []
    plan = run(
        SMALL, tmp_path, dry_run=True, overwrite=overwrite, delete=True, on_action=planned.append
    )
    assert observed(tmp_path) == before
    result = run(SMALL, tmp_path, overwrite=overwrite, delete=True, on_action=done.append)
    if overwrite is Overwrite.ALWAYS:  # reading shows that what might be updated is right
        done = [Action("/g", Deed.UPDATE) if action.path == "/g" else action for action in done]
    if overwrite in (Overwrite.NEVER, Overwrite.IF_NEWER):  # its entries are restored all the same
        done = [Action("/d", Deed.UPDATE) if action.path == "/d" else action for action in done]
    assert sorted(planned) == sorted(done)
    assert plan.deleted == result.deleted


def test_a_dry_run_without_a_target(tmp_path: Path) -> None:
    planned: list[Action] = []
    result = run(TREE, tmp_path / "new", dry_run=True, on_action=planned.append)
    assert not (tmp_path / "new").exists()
    assert {action.deed for action in planned} == {Deed.CREATE}
    assert len(planned) == len(expected(TREE))
    assert (result.files_restored, result.directories, result.others) == (9, 3, 2)


def test_a_dry_run_names_only_directories_that_are_needed(tmp_path: Path) -> None:
    planned: list[Action] = []
    include = Patterns(["leaf"])
    run(TREE, tmp_path / "new", dry_run=True, include=include, on_action=planned.append)
    assert [action.path for action in planned] == ["/sub", "/sub/deeper", "/sub/deeper/leaf"]


# ------------------------------------------------------------------------------ damage


@pytest.mark.fault(9)
def test_damaged_blobs_cost_only_their_files(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    tree = save_tree(TREE, blobs)
    del blobs.blobs[blobs.add(b"hello")]
    blobs.blobs[blobs.add(b"x" * BLOB)] = b"short"
    set_file(tmp_path / "small", b"what was there")
    result = restore(tree, b"/", tmp_path, blobs, RestoreOptions())
    assert sorted(errors_of(result)) == [("/small", "read"), ("/sub/deeper/leaf", "read")]
    assert sorted(observed(tmp_path)) == sorted(set(expected(TREE)) - {b"sub/deeper/leaf"})
    assert result.files_restored == 7


def test_a_directory_that_contains_itself(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    inner = save_tree(directory({b"f": file(b"x")}), blobs)
    tree = save_tree(directory({b"d": directory({b"f": file(b"x")})}), blobs)
    blobs.blobs[inner] = blobs.blobs[tree]
    result = restore(tree, b"/", tmp_path, blobs, RestoreOptions())
    assert errors_of(result) == [("/d/d", "read")]


class Broken:
    """A store that is lost after some blobs."""

    def __init__(self, blobs: MemoryBlobs, after: int, error: BaseException) -> None:
        self._blobs = blobs
        self._after = after
        self._error = error

    def load(self, blob: BlobId) -> bytes:
        self._after -= 1
        if self._after < 0:
            raise self._error
        return self._blobs.load(blob)

    def prefetch(self, blobs: Iterable[BlobId]) -> None:
        self._blobs.prefetch(blobs)


class Slow:
    """A store that is lost while a large file is being read, slowly."""

    def __init__(self, blobs: MemoryBlobs, large: BlobId, lost: BlobId) -> None:
        self._blobs = blobs
        self._large = large
        self._lost = lost
        self._begun = threading.Event()
        self._never = threading.Event()
        self.loads = 0

    def load(self, blob: BlobId) -> bytes:
        if blob == self._lost:
            self._begun.wait()
            raise BackendError("data/x", "gone")
        if blob == self._large:
            self._begun.set()
            self._never.wait(0.001)
            self.loads += 1
        return self._blobs.load(blob)

    def prefetch(self, blobs: Iterable[BlobId]) -> None:
        self._blobs.prefetch(blobs)


def test_a_large_file_is_given_up_when_the_store_is_lost(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    root = directory({b"large": file(*[b"x" * BLOB] * 10_000), b"other": file(b"y")})
    slow = Slow(blobs, blobs.add(b"x" * BLOB), blobs.add(b"y"))
    with pytest.raises(BackendError):
        restore(save_tree(root, blobs), b"/", tmp_path, slow, RestoreOptions())
    assert slow.loads < 5000
    assert listed(tmp_path) == []


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    "error", [BackendError("data/x", "gone"), MemoryError(), OSError(5, "cache")]
)
@pytest.mark.parametrize("after", [1, 3, 50, 700])
def test_a_failing_store_ends_the_restore(tmp_path: Path, error: BaseException, after: int) -> None:
    root = directory(
        {b"%d" % n: directory({b"%d" % i: file(b"%d" % i) for i in range(50)}) for n in range(30)}
    )
    blobs = MemoryBlobs()
    tree = save_tree(root, blobs)
    broken = Broken(blobs, after, error)
    before = held()
    with pytest.raises(type(error)):
        restore(tree, b"/", tmp_path / "target", broken, RestoreOptions())
    assert held() <= before
    complete = expected(root)
    for path, seen in observed(tmp_path / "target").items():
        assert not path.rpartition(b"/")[2].startswith(b".")
        assert seen[0] == "DIRECTORY" or seen == complete[path]


def test_a_callback_that_raises_ends_the_restore(tmp_path: Path) -> None:
    def refuse(action: Action) -> None:
        raise KeyboardInterrupt(action.path)

    with pytest.raises(KeyboardInterrupt):
        run(TREE, tmp_path, on_action=refuse)


# ------------------------------------------------------------------------------ verification


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("small", lambda p: p.write_bytes(b"HELLO"), "content"),
        ("small", lambda p: p.write_bytes(b"hell"), "bytes"),
        ("holes", lambda p: set_byte(p, 70_000), "content"),
        ("large", lambda p: p.chmod(0o777), "mode"),
        ("empty", lambda p: os.utime(p, ns=(1, 1)), "mtime"),
        ("empty", lambda p: p.unlink(), "missing"),
        ("vacant", lambda p: p.rmdir(), "missing"),
        ("link", lambda p: (p.unlink(), p.symlink_to("x")), "leads"),
        ("pipe", lambda p: (p.unlink(), p.write_bytes(b"")), "something else"),
    ],
)
def test_verification_finds_every_difference(
    tmp_path: Path, name: str, change: object, told: str
) -> None:
    blobs = MemoryBlobs()
    tree = save_tree(TREE, blobs)
    restore(tree, b"/", tmp_path, blobs, RestoreOptions())
    clean = verify_restore(tree, b"/", tmp_path, blobs, RestoreOptions())
    assert (clean.errors, clean.entries) == ((), 11)
    assert callable(change)
    change(tmp_path / name)
    found = verify_restore(tree, b"/", tmp_path, blobs, RestoreOptions())
    assert {problem.path for problem in found.errors} == {f"/{name}"}
    assert any(told in problem.message for problem in found.errors)
    assert {problem.operation for problem in found.errors} == {"verify"}


def set_byte(path: Path, offset: int) -> None:
    with path.open("r+b") as opened:
        opened.seek(offset)
        opened.write(b"!")


def test_verification_sees_that_links_are_not_links(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    tree = save_tree(FARM, blobs)
    restore(tree, b"/", tmp_path, blobs, RestoreOptions())
    (tmp_path / "sub/c").unlink()
    set_file(tmp_path / "sub/c", b"shared")
    (tmp_path / "sub/c").chmod(0o644)
    os.utime(tmp_path / "sub", ns=(TIME, TIME))
    found = verify_restore(tree, b"/", tmp_path, blobs, RestoreOptions())
    assert [problem.path for problem in found.errors] == ["/sub/c"]
    assert "linked" in found.errors[0].message


def test_verification_needs_a_target(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    tree = save_tree(TREE, blobs)
    with pytest.raises(UsageError):
        verify_restore(tree, b"/", tmp_path / "none", blobs, RestoreOptions())


# ------------------------------------------------------------------------------ progress, hints


def test_progress_counts_everything_once(tmp_path: Path) -> None:
    root = directory(
        {b"big": file(*[os.urandom(BLOB)] * 9000), b"d": directory({b"f": file(b"x" * 10)})}
    )
    blobs = MemoryBlobs()
    tree = save_tree(root, blobs)
    for _ in range(2):  # the second time all is right already
        events: list[ProgressEvent] = []
        progress = Progress(events.append)
        restore(tree, b"/", tmp_path, blobs, RestoreOptions(verify=True), progress)
        last = events[-1]
        assert (last.percent, last.files, last.files_total) == (100.0, 4, 4)
        assert last.bytes == last.bytes_total == 2 * (9000 * BLOB + 10)


class Counting(MemoryBlobs):
    """Its data comes when the count has told what there is to do, or has come upon `failure`."""

    def __init__(self, failure: BackendError | None = None) -> None:
        super().__init__()
        self.failure = failure
        self.counted: list[BlobId] = []
        self.clock = ManualClock()
        self.events: list[ProgressEvent] = []
        self.progress = Progress(self.events.append, self.clock)
        self.data = self.add(b"hello")

    @override
    def load(self, blob: BlobId) -> bytes:
        if threading.current_thread().name == "holdfast-count":
            self.counted.append(blob)
            if self.failure is not None:
                raise self.failure
        elif blob == self.data:
            while not (self.counted if self.failure else self.events and self.events[-1].percent):
                self.clock.advance(1.0)
                self.progress.advance(0, 0)
        return super().load(blob)


def test_a_long_restore_counts_beside_the_work(tmp_path: Path) -> None:
    blobs = Counting()
    part = directory({b"a": file(b"hello"), b"b": file(b"x"), b"l": symlink(b"a")})
    tree = save_tree(directory({b"part": part, b"more": file(b"x")}), blobs)
    blobs.progress.advance(0, 1)  # so that what is known shows before the first file is done
    restore(tree, b"/part", tmp_path, blobs, RestoreOptions(verify=True), blobs.progress)
    first = next(event for event in blobs.events if event.percent)
    assert (first.files, first.files_total, first.bytes_total) == (0, 6, 12)


def test_a_count_that_fails_is_no_failure_of_the_restore(tmp_path: Path) -> None:
    blobs = Counting(StorageUnavailable("trees", "no answer"))
    tree = save_tree(directory({b"a": file(b"hello"), b"b": file(b"x")}), blobs)
    restore(tree, b"/", tmp_path, blobs, RestoreOptions(), blobs.progress)
    assert (tmp_path / "a").read_bytes() == b"hello"
    assert len(blobs.counted) == 1
    assert {event.percent for event in blobs.events} == {0, 100}


class Late(ManualClock):
    """Waits are over when they need not be any more."""

    @override
    def wait(self, event: threading.Event, seconds: float) -> bool:
        event.wait()
        return False


def test_a_count_ends_when_the_restore_does(tmp_path: Path) -> None:
    blobs = Counting()
    tree = save_tree(directory({b"a": file(b"x"), b"d": directory({b"f": file()})}), blobs)
    restore(tree, b"/", tmp_path, blobs, RestoreOptions(), Progress(print, Late()))
    assert blobs.counted == [tree]


def test_what_is_expected_is_taken_for_granted_unless_there_are_patterns(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    tree = save_tree(TREE, blobs)
    patterns = Patterns(["small"])
    for options, files_total in (
        (RestoreOptions(expected=(100, 1000)), 100),
        (RestoreOptions(expected=(100, 1000), verify=True), 200),
        (RestoreOptions(expected=(100, 1000), include=patterns), 1),
    ):
        events: list[ProgressEvent] = []
        restore(tree, b"/", tmp_path, blobs, options, Progress(events.append))
        assert events[0].files_total == events[-1].files_total == files_total


def test_blobs_are_announced_before_they_are_loaded(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    tree = save_tree(TREE, blobs)
    restore(tree, b"/", tmp_path, blobs, RestoreOptions())
    assert set(blobs.loaded) - {tree} <= set(blobs.hinted)
    blobs.hinted.clear()
    restore(tree, b"/", tmp_path, blobs, RestoreOptions(overwrite=Overwrite.IF_CHANGED))
    assert blobs.add(b"hello") not in blobs.hinted


def test_a_socket_in_the_target_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("f")
    assert run(directory({b"f": file(b"x")}), tmp_path, verify=True).errors == ()
    assert (tmp_path / "f").read_bytes() == b"x"

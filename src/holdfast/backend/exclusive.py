"""Rename unless the new name is taken, where the operating system can do that.

Python's library has no such call. File systems without hard links (FAT, exFAT, most of FUSE)
need it for `put_if_absent`; Linux has it since 3.15 as renameat2 with RENAME_NOREPLACE.
"""

from __future__ import annotations

import errno
import os

_RENAME_NOREPLACE = 1


def rename_if_absent(source: str, target: str, folder: int) -> None:
    """Rename an entry of a folder.

    Args:
        source: its name.
        target: its new name.
        folder: descriptor of the folder.

    Raises:
        FileExistsError: the new name is taken.
        NotImplementedError: this system, or this file system, has no such rename.
        OSError: it failed for another reason.
    """
    import ctypes  # noqa: PLC0415 - 6 ms that only unusual file systems should cost

    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError as error:
        raise NotImplementedError from error
    renameat2.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )
    renamed = renameat2(folder, source.encode(), folder, target.encode(), _RENAME_NOREPLACE)
    if renamed == 0:
        return
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise NotImplementedError
    raise OSError(code, os.strerror(code))

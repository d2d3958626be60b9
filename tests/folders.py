"""Temporary folders that every user can access, in memory where the machine has room for them."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - only temporary folders with random names are made in it
_ROOM: Final = 6 * 2**30
"""More than three servers need: each keeps at most 1 GB of WAL, and a few databases, most of them of 11 MB."""


@contextmanager
def public_folder(prefix: str) -> Iterator[Path]:
    """Creates an empty folder and deletes it at the end.

    Unlike tmp_path, every user can access it: the server of root runs as another user. A database is made in memory in
    a sixth of the time that it takes on a disk: it is hundreds of small files.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_MEMORY if _has_room(_MEMORY) else None)).resolve()
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _has_room(folder: Path) -> bool:
    """Whether there are some GB free in a folder in which this user can create and execute files."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize >= _ROOM and not status.f_flag & os.ST_NOEXEC

"""Raises the number of files that the process may open."""

from __future__ import annotations

import contextlib
import resource


def raise_open_files_limit() -> None:
    """Raises the soft limit of open files, connections included, to the hard limit.

    The soft limit is 1,024 on most systems only for programs that use select(2), which cannot wait for more; this one
    uses epoll(7) or its like.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS refuses an infinite limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

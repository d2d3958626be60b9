"""The OS user that PostgreSQL's programs run as, and the data folders that this user can access."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from pathlib import Path
from typing import NamedTuple

import platformdirs

from syncer.errors import EmbeddedServerError


class OsUser(NamedTuple):
    """The OS user that PostgreSQL's programs run as; None for both means the current user."""

    uid: int | None = None
    gid: int | None = None


def os_user_for(folder: Path, cluster: Path) -> OsUser:
    """Returns the user that runs the server in `folder`; PostgreSQL refuses to run as root.

    Raises:
        EmbeddedServerError: The current user is root, and no other user can run the server.
    """
    if os.geteuid() != 0:
        return OsUser()
    if not _can_others_traverse(folder):
        raise EmbeddedServerError(
            f"PostgreSQL does not run as root, and other users cannot access {folder}: "
            "choose another SYNCER_DATA_DIR, or allow access to it and the folders above it (chmod o+x)"
        )
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return OsUser(owner.st_uid, owner.st_gid)  # even if a user `postgres` was created later
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return OsUser(entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it: create one"
    )


def default_data_dir() -> Path:
    """Returns the default of SYNCER_DATA_DIR: the platform's folder for user data.

    For root, whose server runs as another user, it is /var/lib/syncer if other users cannot access root's folder.
    """
    folder = platformdirs.user_data_path("syncer")
    return folder if os.geteuid() != 0 or _can_others_traverse(folder) else Path("/var/lib/syncer")


def _can_others_traverse(folder: Path) -> bool:
    """Returns whether every user may traverse `folder` and its parents, as far as they exist."""
    folder = folder.resolve()
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents) if path.exists())

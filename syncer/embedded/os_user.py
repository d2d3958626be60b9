"""Whom PostgreSQL's programs run as, and where the data can be for that user to reach it."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from pathlib import Path
from typing import NamedTuple

import platformdirs

from syncer.errors import EmbeddedServerError


class Account(NamedTuple):
    """Whom PostgreSQL's programs run as; two times None for whoever we are."""

    uid: int | None = None
    gid: int | None = None


def os_user_for(folder: Path, cluster: Path) -> Account:
    """Whom the server in `folder` runs as, since PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return Account()
    if not _everyone_may_pass(folder):
        raise EmbeddedServerError(
            f"PostgreSQL does not run as root, and other users cannot reach {folder}: "
            "choose another SYNCER_DATA_DIR, or let them pass through it and the folders above it (chmod o+x)"
        )
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)  # a user `postgres` that came later must not lock us out
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as: create one"
    )


def default_data_dir() -> Path:
    """Where the data folder is unless SYNCER_DATA_DIR says otherwise: the platform's folder for a user's data.

    Root's server runs as another user; where that user cannot reach root's folder it is /var/lib/syncer.
    """
    folder = platformdirs.user_data_path("syncer")
    return folder if os.geteuid() != 0 or _everyone_may_pass(folder) else Path("/var/lib/syncer")


def _everyone_may_pass(folder: Path) -> bool:
    """Whether any user may pass through `folder` and all above it, as far as they exist."""
    folder = folder.resolve()
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents) if path.exists())

"""Finds files with secrets that every user of this machine can read."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.config.env_file import find_env_file
from syncer.config.settings import SECRETS, read_origins

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncer.config.settings import Settings


def describe_exposed_files(settings: Settings, secret_sources: Iterable[str]) -> list[str]:
    """Returns a sentence for each file with secrets that belongs to this user and that every user can read.

    Files of other users are left out: a container's or a service manager's secrets may be readable in there by design.

    Args:
        settings: They can name files with secrets.
        secret_sources: The absolute paths of files, and the variables, that accounts and channels read secrets from.
    """
    named = [getattr(settings, f"{secret}_file") for secret in SECRETS]
    sources = [Path(source) for source in secret_sources if os.sep in source]
    env_file = find_env_file()
    if env_file is not None and any(origin != "environment" for origin in _origins_of_secrets()):
        sources.append(env_file)
    files = sorted({path for path in (*named, *sources) if path is not None and _is_exposed(path)})
    return [f"every user of this machine can read {path}, which has a secret: {_remedy(path)}" for path in files]


def _origins_of_secrets() -> list[str]:
    return [origin for field, origin in read_origins().items() if field in SECRETS]


def _is_exposed(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return bool(status.st_mode & stat.S_IROTH) and status.st_uid == os.geteuid()


def _remedy(path: Path) -> str:
    return f"chmod o-r {shlex.quote(str(path))}"

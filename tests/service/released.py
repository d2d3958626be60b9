"""The program as it was last released, in an environment of its own, made once from the history of this repository."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
RELEASED: Final = "09b2df2e62d9f621ae12159f64593ec5bc818d4a"
"""The commit of 0.1.0, which has no tag. With a release, this becomes its commit."""
RELEASED_SCHEMA: Final = "0005"


@cache
def is_in_history() -> bool:
    """Returns whether the released commit can be read here; it cannot in a shallow clone or without git."""
    if (git := shutil.which("git")) is None:
        return False
    return subprocess.run([git, "cat-file", "-e", RELEASED], cwd=ROOT, check=False, capture_output=True).returncode == 0


def released_python() -> Path:
    """Returns the interpreter of an environment that has the released program, after making it if there is none."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = ROOT / "build" / "released" / f"{RELEASED[:12]}-{version}"
    python = folder / "venv" / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _unpack(folder / "source")
        _run(sys.executable, "-m", "venv", folder / "venv")
        pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        for name in ("run", "build"):
            _run(*pip, "--require-hashes", "--requirement", folder / "source" / "requirements" / f"{name}.txt")
        _run(*pip, "--no-deps", "--no-build-isolation", folder / "source")
        (folder / "complete").touch()
    return python


def _unpack(folder: Path) -> None:
    git = shutil.which("git")
    assert git
    archive = subprocess.run([git, "archive", RELEASED], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        opened.extraction_filter = getattr(tarfile, "data_filter", None)  # Python has it from 3.11.4 on
        opened.extractall(folder)  # noqa: S202 - a commit of this repository


def _run(*command: str | Path) -> None:
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr

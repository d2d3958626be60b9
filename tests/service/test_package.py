"""The wheel: what a user installs has everything inside."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent.parent


def run(arguments: Sequence[str | Path], **options: Any) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        arguments, check=True, capture_output=True, text=True, **options
    )
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder], cwd=ROOT)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_holds_the_migrations_and_the_page_and_nothing_of_the_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert "syncer/migrations/env.py" in names
    assert "syncer/migrations/versions/0001_tables.py" in names
    assert "syncer/web/templates/page.html" in names
    assert "syncer/web/templates/page.css" in names
    assert "syncer/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"syncer", "syncer-0.1.0.dist-info"}
    assert [name for name in names if "__pycache__" in name or "test" in name] == []


def test_an_installed_copy_finds_its_own_migrations(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = "import syncer.store.schema as s; print(s.migrations_folder()); print(s.known_revisions()[-1])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), sysconfig.get_path("purelib")])}

    # -S leaves out the checkout, which the development environment would find first.
    found = run([sys.executable, "-S", "-c", program], cwd=tmp_path, env=environment).split()

    assert found == [str(tmp_path / "syncer" / "migrations"), "0001"]

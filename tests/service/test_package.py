"""The wheel and the source distribution: what a user installs, and what a packager builds it from, is all there."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from syncer import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
INSTALLED = """
import syncer.store.schema as schema
from syncer.web.page import _environment
print(schema.migrations_folder())
print(*schema.known_revisions())
print(*sorted(script.name for script in (schema.migrations_folder() / "sql").iterdir()))
print(*sorted(_environment().list_templates()))
"""


def run(arguments: Sequence[str | Path], **options: Any) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        arguments, check=True, capture_output=True, text=True, **options
    )
    return done.stdout


def build(target: str, source: Path, into: Path) -> Path:
    """What `pip` would have built from a folder, with the tools that stand in .venv and without asking the network."""
    run([sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", into], cwd=source)
    (made,) = into.iterdir()
    return made


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tracked(*folders: str) -> set[str]:
    """The files of the project, as far as git does not ignore them."""
    if not (ROOT / ".git").exists():
        pytest.skip("what belongs to the project is asked of git, and this is no checkout")
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders], cwd=ROOT)
    return {name for name in listed.splitlines() if (ROOT / name).exists()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked where git knows nothing of it."""
    folder = tmp_path_factory.mktemp("source")
    run(["tar", "-xzf", build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))], cwd=folder)
    return folder / f"syncer-{__version__}"


def test_the_wheel_holds_the_program_and_its_migrations_to_the_last_file_and_nothing_else(wheel: Path) -> None:
    migrations = {name.replace("migrations/", "syncer/migrations/", 1) for name in tracked("migrations")}
    described = {name for name in contents(wheel) if name.startswith(f"syncer-{__version__}.dist-info/")}

    assert contents(wheel).keys() - described == tracked("syncer") | migrations
    assert {
        "syncer/py.typed",
        "syncer/migrations/env.py",
        "syncer/migrations/versions/0001_tables.py",
        "syncer/migrations/sql/0002_views.sql",
        "syncer/web/templates/page.html",
        "syncer/web/templates/page.css",
    } <= contents(wheel).keys()
    assert {name.split("/", 1)[1] for name in described} == {
        *("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"),
    }


def test_the_wheel_wants_what_the_project_says_it_needs(wheel: Path) -> None:
    described = contents(wheel)
    names = f"syncer-{__version__}.dist-info"
    metadata = described[f"{names}/METADATA"].decode()

    assert described[f"{names}/entry_points.txt"].decode() == "[console_scripts]\nsyncer = syncer.cli:main\n"
    wanted = re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra ==)", metadata, re.MULTILINE)
    assert sorted(wanted) == sorted(re.split(r"[\[<>=~]", one)[0] for one in PROJECT["project"]["dependencies"])
    assert f"Requires-Python: {PROJECT['project']['requires-python']}\n" in metadata


def test_an_installed_copy_finds_its_own_migrations_and_templates(wheel: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(wheel, tmp_path, "zip")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), sysconfig.get_path("purelib")])}

    # -S leaves out the checkout, which the development environment would find first.
    found = run([sys.executable, "-S", "-c", INSTALLED], cwd=tmp_path, env=environment).splitlines()

    scripts = sorted((ROOT / "migrations" / "sql").iterdir())
    revisions = sorted((path.name[:4] for path in (ROOT / "migrations" / "versions").glob("*.py")), reverse=True)
    assert found == [
        str(tmp_path / "syncer" / "migrations"),
        " ".join(revisions),
        " ".join(script.name for script in scripts),
        "page.css page.html",
    ]


def test_the_source_distribution_is_the_whole_project(unpacked: Path) -> None:
    held = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}

    assert held - {"PKG-INFO"} == tracked()


def test_a_wheel_built_from_the_source_distribution_is_the_same(wheel: Path, unpacked: Path, tmp_path: Path) -> None:
    assert contents(build("wheel", unpacked, tmp_path)) == contents(wheel)


def test_the_tests_build_with_what_the_image_builds_with() -> None:
    locked = re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements" / "build.txt").read_text(), re.MULTILINE)

    assert [f"{name}=={version}" for name, version in locked if name == "hatchling"] == PROJECT["build-system"][
        "requires"
    ]
    assert locked == [(name, importlib.metadata.version(name)) for name, _ in locked]

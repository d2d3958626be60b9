"""The wheel and the source distribution contain everything that a user or a packager needs."""

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
NAME_AND_VERSION = f"megafon_syncer-{__version__}"
DIST_INFO = f"{NAME_AND_VERSION}.dist-info"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PRINT_INSTALLED_FILES = """
import syncer.store.schema as schema
from syncer.web.rendering import environment
print(schema.migrations_folder())
print(*schema.known_revisions())
print(*sorted(script.name for script in (schema.migrations_folder() / "sql").iterdir()))
print(*sorted(environment().list_templates()))
"""


def run(arguments: Sequence[str | Path], **options: Any) -> str:
    finished: subprocess.CompletedProcess[str] = subprocess.run(
        arguments, check=True, capture_output=True, text=True, **options
    )
    return finished.stdout


def build(target: str, source: Path, output: Path) -> Path:
    """Builds a folder as `pip` would, with the tools in .venv and without the network."""
    run([sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", output], cwd=source)
    (built,) = output.iterdir()
    return built


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tracked(*folders: str) -> set[str]:
    """The files of the project that git does not ignore."""
    if not (ROOT / ".git").exists():
        pytest.skip("git lists the files of the project, and this is not a checkout")
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders], cwd=ROOT)
    return {name for name in listed.splitlines() if (ROOT / name).exists()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked outside the checkout."""
    folder = tmp_path_factory.mktemp("source")
    run(["tar", "-xzf", build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))], cwd=folder)
    return folder / NAME_AND_VERSION


def test_the_wheel_contains_every_file_of_the_program_and_its_migrations_and_nothing_else(wheel: Path) -> None:
    migrations = {name.replace("migrations/", "syncer/migrations/", 1) for name in tracked("migrations")}
    dist_info = {name for name in contents(wheel) if name.startswith(f"{DIST_INFO}/")}

    assert contents(wheel).keys() - dist_info == tracked("syncer") | migrations
    assert {
        "syncer/py.typed",
        "syncer/migrations/env.py",
        "syncer/migrations/versions/0001_tables.py",
        "syncer/migrations/sql/0002_views.sql",
        "syncer/web/templates/page.html",
        "syncer/web/templates/page.css",
    } <= contents(wheel).keys()
    assert {name.split("/", 1)[1] for name in dist_info} == {
        *("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"),
    }


def test_the_wheel_requires_the_dependencies_that_the_project_declares(wheel: Path) -> None:
    files = contents(wheel)
    metadata = files[f"{DIST_INFO}/METADATA"].decode()

    assert files[f"{DIST_INFO}/entry_points.txt"].decode() == "[console_scripts]\nsyncer = syncer.__main__:main\n"
    required = re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra ==)", metadata, re.MULTILINE)
    declared = [re.split(r"[\[<>=~]", requirement)[0] for requirement in PROJECT["project"]["dependencies"]]
    assert sorted(required) == sorted(declared)
    assert f"Requires-Python: {PROJECT['project']['requires-python']}\n" in metadata


def test_the_distribution_is_called_megafon_syncer(wheel: Path) -> None:
    metadata = contents(wheel)[f"{DIST_INFO}/METADATA"].decode()

    assert wheel.name == f"{NAME_AND_VERSION}-py3-none-any.whl"
    assert "\nName: megafon-syncer\n" in metadata


def test_an_installed_copy_finds_its_own_migrations_and_templates(wheel: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(wheel, tmp_path, "zip")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), sysconfig.get_path("purelib")])}

    # Without -S, the development environment would find the checkout first.
    printed = run([sys.executable, "-S", "-c", PRINT_INSTALLED_FILES], cwd=tmp_path, env=environment).splitlines()

    sql_files = sorted((ROOT / "migrations" / "sql").iterdir())
    revisions = sorted((path.name[:4] for path in (ROOT / "migrations" / "versions").glob("*.py")), reverse=True)
    assert printed == [
        str(tmp_path / "syncer" / "migrations"),
        " ".join(revisions),
        " ".join(file.name for file in sql_files),
        "base.html macros.html notices.html number.html numbers.html page.css page.html search.html",
    ]


def test_the_source_distribution_contains_every_file_of_the_project(unpacked: Path) -> None:
    files = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}

    assert files - {"PKG-INFO"} == tracked()


def test_a_wheel_built_from_the_source_distribution_is_the_same(wheel: Path, unpacked: Path, tmp_path: Path) -> None:
    assert contents(build("wheel", unpacked, tmp_path)) == contents(wheel)


def test_the_tests_and_the_image_build_with_the_same_versions() -> None:
    locked = re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements" / "build.txt").read_text(), re.MULTILINE)

    assert [f"{name}=={version}" for name, version in locked if name == "hatchling"] == PROJECT["build-system"][
        "requires"
    ]
    assert locked == [(name, importlib.metadata.version(name)) for name, _ in locked]

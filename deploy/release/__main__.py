"""Builds what is published of a version, checks it, and leaves it in `dist`.

    make release

The wheel and the source distribution are built twice, from two exports of the commit, and must have the same bytes. The
bill of materials (CycloneDX) lists the packages of requirements/run.txt. On each Python that is installed here, the
wheel is installed in an empty environment and makes a database with its own migrations. Nothing is published.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from syncer import __version__
from tests.matrix.results import find_gaps, python_programs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
DIST: Final = ROOT / "dist"
BILL: Final = f"megafon_syncer-{__version__}.cdx.json"
SUMS: Final = "SHA256SUMS"


def run(arguments: Sequence[str | Path], *, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> str:
    """Runs a command and returns what it printed.

    Raises:
        SystemExit: It failed; its output is printed.
    """
    finished = subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, and this file has every command
    if finished.returncode:
        sys.exit(f"{' '.join(map(str, arguments))} failed:\n{finished.stdout}{finished.stderr}")
    return finished.stdout


def find_obstacles() -> list[str]:
    """Returns why this checkout is not a version to release, one sentence each."""
    obstacles = []
    if run(["git", "status", "--porcelain"]):
        obstacles.append("the checkout has changes that are not committed")
    if f"## [{__version__}]" not in (ROOT / "CHANGELOG.md").read_text():
        obstacles.append(f"CHANGELOG.md has no heading for {__version__}")
    if f'newTag: "{__version__}"' not in (ROOT / "deploy/kubernetes/kustomization.yaml").read_text():
        obstacles.append(f"deploy/kubernetes/kustomization.yaml does not name {__version__}")
    return obstacles + find_gaps(run(["git", "rev-parse", "HEAD"]).strip())


def build(folder: Path) -> dict[str, bytes]:
    """Returns the files that an export of the commit is built into, by name."""
    seconds = run(["git", "log", "-1", "--format=%ct"]).strip()
    archive, source, output = folder / "source.tar", folder / "source", folder / "output"
    run(["git", "archive", "--format=tar", f"--output={archive}", "HEAD"])
    shutil.unpack_archive(archive, source)
    environment = os.environ | {"SOURCE_DATE_EPOCH": seconds}
    run([sys.executable, "-m", "hatchling", "build", "--directory", output], cwd=source, environment=environment)
    return {file.name: file.read_bytes() for file in sorted(output.iterdir())}


def build_twice() -> dict[str, bytes]:
    """Returns what is built, after checking that it has the same bytes each time.

    Raises:
        SystemExit: It has not.
    """
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory(prefix="another-") as second:
        built, again = build(Path(first)), build(Path(second))
    different = [name for name in built if again.get(name) != built[name]]
    if different or built.keys() != again.keys():
        sys.exit(f"not the same bytes when built twice: {', '.join(different) or 'other files'}")
    return built


def check_wheel(wheel: Path, python: Path) -> str:
    """Installs the wheel with its dependencies in an empty environment, makes a database, and returns its revision."""
    with tempfile.TemporaryDirectory(prefix="syncer-release-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # if this is root, the database's server runs as another user
        run([python, "-m", "venv", folder / "venv"])
        installed = folder / "venv" / "bin"
        pip: list[str | Path] = [installed / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        run([*pip, "install", "--require-hashes", "--requirement", ROOT / "requirements" / "run.txt"])
        run([*pip, "install", "--no-deps", wheel])
        run([*pip, "check"])
        environment = {"PATH": os.environ["PATH"], "SYNCER_DATA_DIR": str(folder / "data"), "SYNCER_API_TOKEN": "none"}
        version = run([installed / "syncer", "--version"], cwd=folder, environment=environment).strip()
        if __version__ not in version:
            sys.exit(f"the wheel says that it is {version}, not {__version__}")
        return run([installed / "syncer", "migrate"], cwd=folder, environment=environment).splitlines()[-1]


def main() -> None:
    """Builds and checks a release, and prints what is in `dist`."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release", description=__doc__.splitlines()[0])
    parser.add_argument("--cyclonedx", type=Path, required=True, help="the program that writes the bill of materials")
    parser.add_argument("--rehearse", action="store_true", help="build and check although there are obstacles")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    obstacles = find_obstacles()
    for obstacle in obstacles:
        console.print(f"obstacle: {obstacle}", markup=False)
    if obstacles and not arguments.rehearse:
        sys.exit("nothing was built")
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    for name, content in build_twice().items():
        (DIST / name).write_bytes(content)
    bill: list[str | Path] = [
        "--output-reproducible",
        "--pyproject",
        "pyproject.toml",
        "--output-file",
        DIST / BILL,
        "requirements/run.txt",
    ]
    run([arguments.cyclonedx, "requirements", *bill])
    (wheel,) = DIST.glob("*.whl")
    for version, python in python_programs().items():
        console.print(f"Python {version}: {check_wheel(wheel, python)}", markup=False)
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(DIST.iterdir())}
    (DIST / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in digests.items()))
    console.print((DIST / SUMS).read_text(), markup=False)
    console.print("not published: there were obstacles" if obstacles else "ready to be published, from dist")


if __name__ == "__main__":
    main()

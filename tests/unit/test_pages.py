"""The documentation is true: what it names exists, and both languages have the same content."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Final

import pytest
from typer.main import get_command

from syncer import __version__
from syncer.cli import app

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md")]
}
LINK: Final = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
CODE: Final = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def anchors(page: str) -> set[str]:
    """Returns the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_has_a_target(name: str) -> None:
    for target, anchor in LINK.findall(CODE.sub("", PAGES[name])):
        file = (ROOT / name).parent / target if target else ROOT / name

        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), f"{target}#{anchor}"


def test_every_test_that_a_page_names_exists() -> None:
    named = {match for page in PAGES.values() for match in re.findall(r"`(tests/\S+?\.py)::(\w+)`", page)}
    missing = []
    for file, test in sorted(named):
        tree = ast.parse((ROOT / file).read_text()) if (ROOT / file).exists() else ast.Module([], [])
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        missing += [f"{file}::{test}"] * (test not in functions)

    assert missing == []
    assert {file for file, _ in named} > {"tests/service/test_secrets.py", "tests/bi/test_roles.py"}


def test_every_section_of_the_security_page_names_a_test() -> None:
    sections = re.split(r"^## ", PAGES["SECURITY.md"], flags=re.MULTILINE)[2:]

    assert len(sections) >= 6
    assert [section.splitlines()[0] for section in sections if "- `tests/" not in section] == []


def test_every_command_that_a_page_shows_exists() -> None:
    """Checks `syncer X` with its options, and `make X`, in the code of every page."""
    commands = get_command(app).commands  # type: ignore[attr-defined] # a group has commands
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = "\n".join(
        match
        for page in PAGES.values()
        for match in re.findall(r"^```sh\n.*?^```$|`[^`\n]+`", page, re.DOTALL | re.MULTILINE)
    )
    shown = re.findall(r"(?:^|[`/ ]|exec syncer )syncer ([a-z]+)\b([^`\n#]*)", code, re.MULTILINE)

    assert {name for name, _ in shown} == set(commands)
    for name, rest in shown:
        command = getattr(commands[name], "commands", {}).get(rest.split()[0] if rest.split() else "", commands[name])
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, (name, rest)
    assert set(re.findall(r"(?:^|[`&] ?)make ([a-z]+)", code, re.MULTILINE)) <= targets


@pytest.mark.parametrize(
    "page", ["README", "docs/operations", "docs/watching", "docs/notifications", "docs/personal-data"]
)
def test_both_languages_have_the_same_structure_code_and_links(page: str) -> None:
    english, russian = PAGES[f"{page}.md"], PAGES[f"{page}.ru.md"]

    def levels(page: str) -> list[str]:
        return re.findall(r"^(#+) ", CODE.sub("", page), re.MULTILINE)

    def links(page: str) -> set[str]:
        return {target.replace(".ru.md", ".md").replace("-ru.png", ".png") for target, _ in LINK.findall(page)}

    def spans(page: str) -> list[str]:
        return sorted({" ".join(span.split()) for span in re.findall(r"`[^`]+`", CODE.sub("", page))})

    def code(page: str) -> list[str]:
        # The comments are in the language of the page.
        return [re.sub(r"# .*", "#", block) for block in CODE.findall(page)]

    assert levels(english) == levels(russian)
    assert code(english) == code(russian)
    assert links(english) == links(russian)
    assert spans(english) == spans(russian)
    assert len(re.findall(r"^\|", english, re.MULTILINE)) == len(re.findall(r"^\|", russian, re.MULTILINE))


def test_contributing_names_every_module_and_no_other() -> None:
    package = ROOT / "syncer"
    modules = {
        f"{path.relative_to(package)}{'/' if path.is_dir() else ''}"
        for folder in (package, package / "store")
        for path in folder.iterdir()
        if (path / "__init__.py").exists() or (path.suffix == ".py" and not path.name.startswith("__"))
    } - {"store/"}
    named = {one.removeprefix("syncer/") for one in re.findall(r"`([\w/]+(?:\.py|/))`", PAGES["CONTRIBUTING.md"])}

    assert sorted(modules - named) == []
    assert sorted(one for one in named if not any((base / one).exists() for base in (ROOT, package))) == []


def test_the_changelog_has_the_version() -> None:
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", PAGES["CHANGELOG.md"], re.MULTILINE)
    kinds = set(re.findall(r"^### (.+)$", PAGES["CHANGELOG.md"], re.MULTILINE))

    assert versions[0] == ("Unreleased", "")
    assert __version__ in {version for version, date in versions if date}
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_every_dependency_has_its_reason_and_every_lock_its_hashes() -> None:
    source = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(source)["project"]
    extras = project["optional-dependencies"].values()
    dependencies = [*project["dependencies"], *(dependency for extra in extras for dependency in extra)]
    lines = source.splitlines()
    for dependency in dependencies:
        (at, *_) = [index for index, line in enumerate(lines) if line.strip().startswith(f'"{dependency}"')]
        reason = lines[at].partition('",')[2].strip() or lines[at - 1].strip()

        assert re.fullmatch(r"# \S.{5,}", reason), f"{dependency}: say in a comment what it is for"
        assert re.search(r"<\d|==", dependency), f"{dependency}: pin a range"
    for lock in [*(ROOT / "requirements").glob("*.txt"), *ROOT.glob("*/*/requirements.txt")]:
        pins = re.split(r"^(?=[\w.-]+(?:\[[^]]+\])?==)", lock.read_text(), flags=re.MULTILINE)[1:]

        assert pins
        assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_no_file_says_to_install_another_projects_package() -> None:
    """On PyPI, `syncer` is another project: its name must not be in an install command."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("git lists the files of the project, and this is not a checkout")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    wrong = re.compile(rf"(?:pip|pipx) install (?:-\S+ )*[\"']?syncer\b|\bsyncer\[(?:{'|'.join(extras)})\b")
    found = []
    for name in listed.split("\0"):
        path = ROOT / name
        if name and path.is_file():
            text = path.read_bytes().decode(errors="replace")
            found += [f"{name}: {match}" for match in wrong.findall(text)]

    assert found == []

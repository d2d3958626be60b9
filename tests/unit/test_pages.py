"""The pages for people stay true: what they name is there, and both languages say the same."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from typer.main import get_command

from syncer import __version__
from syncer.cli import app

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = {
    str(path.relative_to(ROOT)): path.read_text() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
}
LINK: Final = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
CODE: Final = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def anchors(page: str) -> set[str]:
    """The names by which a page's headings are linked to."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    for target, anchor in LINK.findall(CODE.sub("", PAGES[name])):
        file = (ROOT / name).parent / target if target else ROOT / name

        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), f"{target}#{anchor}"


def test_every_test_that_a_page_names_exists() -> None:
    named = {found for page in PAGES.values() for found in re.findall(r"`(tests/\S+?\.py)::(\w+)`", page)}
    missing = []
    for file, test in sorted(named):
        tree = ast.parse((ROOT / file).read_text()) if (ROOT / file).exists() else ast.Module([], [])
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        missing += [f"{file}::{test}"] * (test not in functions)

    assert missing == []
    assert {file for file, _ in named} > {"tests/service/test_secrets.py", "tests/bi/test_roles.py"}


def test_every_threat_has_a_test() -> None:
    sections = re.split(r"^## ", PAGES["SECURITY.md"], flags=re.MULTILINE)[2:]

    assert len(sections) >= 6
    assert [section.splitlines()[0] for section in sections if "- `tests/" not in section] == []


def test_every_command_that_a_page_shows_is_one() -> None:
    """`syncer X` of code, with the options of each; `make X` of code."""
    commands = get_command(app).commands  # type: ignore[attr-defined] # a group has commands
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = "\n".join(
        found
        for page in PAGES.values()
        for found in re.findall(r"^```sh\n.*?^```$|`[^`\n]+`", page, re.DOTALL | re.MULTILINE)
    )
    shown = re.findall(r"(?:^|[`/ ]|exec syncer )syncer ([a-z]+)\b([^`\n#]*)", code, re.MULTILINE)

    assert {name for name, _ in shown} == set(commands)
    for name, rest in shown:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, (name, rest)
    assert set(re.findall(r"(?:^|[`&] ?)make ([a-z]+)", code, re.MULTILINE)) <= targets


def test_both_readmes_say_the_same() -> None:
    english, russian = PAGES["README.md"], PAGES["README.ru.md"]

    def levels(page: str) -> list[str]:
        return re.findall(r"^(#+) ", CODE.sub("", page), re.MULTILINE)

    def links(page: str) -> set[str]:
        return {target.replace(".ru.md", ".md").replace("-ru.png", ".png") for target, _ in LINK.findall(page)}

    def spans(page: str) -> list[str]:
        in_text = set(re.findall(r"`[^`\n]+`", CODE.sub("", page)))
        return sorted(in_text)

    assert levels(english) == levels(russian)
    assert CODE.findall(english) == CODE.findall(russian)
    assert links(english) == links(russian)
    assert spans(english) == spans(russian)
    assert len(re.findall(r"^\|", english, re.MULTILINE)) == len(re.findall(r"^\|", russian, re.MULTILINE))


def test_every_room_is_on_the_map() -> None:
    package = ROOT / "syncer"
    rooms = {
        f"{path.relative_to(package)}{'/' if path.is_dir() else ''}"
        for folder in (package, package / "store")
        for path in folder.iterdir()
        if (path / "__init__.py").exists() or (path.suffix == ".py" and not path.name.startswith("__"))
    } - {"store/"}
    named = {one.removeprefix("syncer/") for one in re.findall(r"`([\w/]+(?:\.py|/))`", PAGES["CONTRIBUTING.md"])}

    assert sorted(rooms - named) == []
    assert sorted(one for one in named if not any((base / one).exists() for base in (ROOT, package))) == []


def test_the_changelog_has_the_version() -> None:
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", PAGES["CHANGELOG.md"], re.MULTILINE)
    kinds = set(re.findall(r"^### (.+)$", PAGES["CHANGELOG.md"], re.MULTILINE))

    assert versions[0] == ("Unreleased", "")
    assert __version__ in {version for version, day in versions if day}
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_every_dependency_has_its_reason_and_every_lock_its_hashes() -> None:
    source = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(source)["project"]
    needed = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    lines = source.splitlines()
    for dependency in needed:
        (at, *_) = [number for number, line in enumerate(lines) if line.strip().startswith(f'"{dependency}"')]
        said = lines[at].partition('",')[2].strip() or lines[at - 1].strip()

        assert re.fullmatch(r"# \S.{5,}", said), f"{dependency}: say in a comment what it is for"
        assert re.search(r"<\d|==", dependency), f"{dependency}: pin a range"
    for lock in [*(ROOT / "requirements").glob("*.txt"), *ROOT.glob("*/*/requirements.txt")]:
        pins = re.split(r"^(?=[\w.-]+(?:\[[^]]+\])?==)", lock.read_text(), flags=re.MULTILINE)[1:]

        assert pins
        assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == []

"""What a migration may do since tables can be distributed over servers; CONTRIBUTING.md has the same rules in prose."""

from __future__ import annotations

import re

import pytest

from syncer.store.schema import migrations_folder

# The first schema that can be distributed: later migrations run where it is.
FIRST_DISTRIBUTED = "0023"

RULES = {
    "drops a column": re.compile(r"\bdrop column\b"),
    "has a function body that is parsed when it is made": re.compile(r"\bbegin atomic\b"),
    "sets a parameter where the workers do not see it": re.compile(r"\bset_config\("),
    "makes an index beside the transaction": re.compile(r"\bindex concurrently\b"),
}
WRITES = re.compile(r"\binsert into\b|\bupdate (?:only )?(?:syncer|analytics)\.|\bdelete from\b|\bmerge into\b")


def way_to_run() -> str:
    """Returns the function with which a migration runs its files, as the template has it."""
    template = (migrations_folder() / "script.py.mako").read_text()
    return template[template.index("def _run") :]


def broken_rules(version: str, upgrade: str) -> list[str]:
    """Returns the rules that a migration breaks, by the texts of its module and of the file that upgrades."""
    statements = re.sub(r"--.*", "", upgrade).lower()
    broken = [rule for rule, pattern in RULES.items() if pattern.search(statements)]
    outside_bodies = re.sub(r"(\$\w*\$).*?\1|'[^']*'", "''", statements, flags=re.DOTALL)
    if any(len(WRITES.findall(statement)) > 1 for statement in outside_bodies.split(";")):
        broken.append("writes several tables by one statement")
    if way_to_run() not in version:
        broken.append("does not run its files as script.py.mako does")
    return broken


def test_migrations_do_nothing_that_fails_or_is_wrong_where_tables_are_distributed() -> None:
    folder = migrations_folder()
    later = [file for file in (folder / "versions").glob("*.py") if file.name[:4] > FIRST_DISTRIBUTED]

    found = {
        file.name: broken_rules(file.read_text(), (folder / "sql" / f"{file.name[:4]}_up.sql").read_text())
        for file in later
    }

    assert {name: rules for name, rules in found.items() if rules} == {}


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("alter table syncer.virtual_number add column x text; create index on syncer.virtual_number (x);", []),
        ("comment on column syncer.account.name is 'drop it';\n-- drop column\n", []),
        (
            "create function f() returns int language plpgsql as $$begin delete from a; insert into b select 1; end$$;",
            [],
        ),
        ("insert into syncer.a select 1; delete from syncer.b;", []),
        ("alter table syncer.virtual_number drop column comment;", ["drops a column"]),
        (
            "create function f() returns int begin atomic select 1; end;",
            ["has a function body that is parsed when it is made"],
        ),
        ("create index concurrently i on t (c);", ["makes an index beside the transaction"]),
        (
            "do $$begin perform set_config('a.b', '1', true); end$$;",
            ["sets a parameter where the workers do not see it"],
        ),
        (
            "with old as (delete from syncer.a returning *) insert into syncer.b select * from old;",
            ["writes several tables by one statement"],
        ),
    ],
)
def test_each_rule_is_noticed(statement: str, broken: list[str]) -> None:
    assert broken_rules(way_to_run(), statement) == broken


def test_a_migration_that_sends_its_file_as_one_string_is_noticed() -> None:
    version = (migrations_folder() / "versions" / "0022_one_server_statements.py").read_text()

    assert broken_rules(version, "") == ["does not run its files as script.py.mako does"]

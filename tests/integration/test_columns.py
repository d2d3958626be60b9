"""Every place that knows the vendor's fields knows all of them: what forgets a new one says so, and what to do there.

CONTRIBUTING.md tells how a field that the vendor adds becomes a column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from deploy.superset import vocabulary
from syncer.diff.record import COLUMNS, DECODER_VERSION, Record
from syncer.emulator.record import Number
from syncer.store.tables import RECORD_COLUMNS
from syncer.web.translations import TEXTS
from tests.builders import record, without
from tests.model import reading, world

if TYPE_CHECKING:
    from collections.abc import Iterable

    import asyncpg

    from tests.builders import PolledAccount

FIELDS: Final = frozenset(Record.__struct_fields__) - {"id", "from_redirect_numbers"}
"""The fields with one value each, spelled as the vendor does; a new one is added to `Record` in diff/record.py."""

# Never changed but by a new line: bytes that an older decoder has read are read again by a newer one only.
READ_BY_DECODER: Final = {
    1: "number comment type purpose state reason scenario_id group_scenario_id group_id is_scenario_active "
    "is_group_scenario_active employee_id dgn_number redirect_number region_name app_id nc_type sip_uri",
}


def in_analytics(names: Iterable[str]) -> set[str]:
    """The names that analysts know the fields by."""
    return {"region" if name == "region_name" else name for name in names}


def told(known: Iterable[str], wanted: Iterable[str], *, todo: str) -> None:
    """Fails with the fields that a place forgets, or still has, and with what to do there."""
    forgotten, left = sorted(set(wanted) - set(known)), sorted(set(known) - set(wanted))
    assert (forgotten, left) == ([], []), f"{todo} (missing: {forgotten}, too many: {left})"


@pytest.mark.parametrize(
    ("known", "todo"),
    [
        (COLUMNS, "syncer/diff/record.py: put it into COLUMNS"),
        (Number.__struct_fields__, "syncer/emulator/record.py: give Number the field, and let Maker make it up"),
        (record(), "tests/builders.py: give it a value in record()"),
        (reading.COLUMNS, "tests/model/reading.py: put it among those of its type"),
        (world.VALUES, "tests/model/world.py: give it two values or more in VALUES"),
    ],
    ids=["wire", "emulator", "builders", "model's reading", "model's world"],
)
def test_who_knows_the_fields_as_the_vendor_spells_them_knows_them_all(known: Iterable[str], todo: str) -> None:
    told(set(known) - {"id", "from_redirect_numbers"}, FIELDS, todo=todo)


@pytest.mark.parametrize(
    ("known", "todo"),
    [
        (
            {name.removeprefix("field_") for name in TEXTS if name.startswith("field_")},
            "syncer/web/translations.py: name it in both languages, as field_NAME in TEXTS",
        ),
        (
            vocabulary.FIELDS.keys() - {"from_redirect_numbers"},
            "deploy/superset/vocabulary.py: name it in both languages in FIELDS, then run: make bundle",
        ),
    ],
    ids=["page", "dashboards"],
)
def test_who_names_the_fields_for_people_names_them_all(known: Iterable[str], todo: str) -> None:
    told(known, in_analytics(FIELDS), todo=todo)


def test_the_tables_have_them_in_the_order_in_which_values_are_told() -> None:
    wanted = tuple("region_id" if name == "region_name" else name for name in COLUMNS)

    assert wanted == RECORD_COLUMNS, (
        "syncer/store/tables/numbers.py: give _RECORD its type and comment, in the order of COLUMNS in record.py; "
        "then write a migration that adds it to virtual_number and virtual_number_history"
    )


def test_a_decoder_that_reads_other_fields_has_another_version() -> None:
    assert DECODER_VERSION in READ_BY_DECODER, "add a line to READ_BY_DECODER for the new version"
    told(
        READ_BY_DECODER[DECODER_VERSION].split(),
        FIELDS,
        todo="syncer/diff/record.py: raise DECODER_VERSION, so that stored records are read once more, and add a line "
        "to READ_BY_DECODER here",
    )


@pytest.mark.parametrize("view", ["numbers", "numbers_all", "number_history", "numbers_as_of(now())"])
async def test_the_views_have_them_all(sql: asyncpg.Connection, view: str) -> None:
    prepared = await sql.prepare(f"select * from analytics.{view}")  # noqa: S608 - names from this file
    known = {attribute.name for attribute in prepared.get_attributes()} & in_analytics(FIELDS)

    told(known, in_analytics(FIELDS), todo=f"let the migration add it at the end of analytics.{view}")


async def test_a_change_of_each_of_them_is_kept_and_told(account: PolledAccount) -> None:
    first, second = ({name: values[place] for name, values in world.VALUES.items()} for place in (0, 1))
    assert {name for name in FIELDS if first[name] == second[name]} == set()
    await account.poll(record(1, **first), record(2))
    poll = await account.poll(record(1, **second), record(2))

    fields = {field for (field,) in await account.rows("select field from analytics.changes where run_id = $1", 2)}
    versions: list[Any] = [
        await account.sql.fetchrow(f"select * from syncer.{table} where virtual_number_id = 1")  # noqa: S608 - names from here
        for table in ("virtual_number_history", "virtual_number")
    ]
    kept = {name for name in RECORD_COLUMNS if versions[0][name] != versions[1][name]}

    assert (poll.changed, poll.state_changes) == (1, 1)
    told(fields, in_analytics(FIELDS), todo="let the migration add it to the fields of the view analytics.changes")
    told(kept, RECORD_COLUMNS, todo="syncer/store: both tables must be written with it")


def of_its_own(name: str, mark: int) -> Any:
    """A value that no other field has; the account stays the same."""
    if name.startswith("is_"):
        return (name == "is_scenario_active") is (mark == 0)
    if name.endswith("_id"):
        return sorted(FIELDS).index(name) + (0 if name == "app_id" else 100 * mark)
    return f"{name} {mark}"


async def test_each_value_is_written_to_its_own_column_and_read_from_it(account: PolledAccount) -> None:
    first, second = ({name: of_its_own(name, mark) for name in FIELDS} for mark in (0, 1))
    columns = ", ".join("r.name as region_name" if name == "region_name" else f"t.{name}" for name in FIELDS)
    await account.poll(record(1, **first))
    await account.poll(record(1, **second))

    for table, expected in (("virtual_number_history", first), ("virtual_number", second)):
        row = await account.sql.fetchrow(
            f"select {columns} from syncer.{table} t join syncer.region r using (region_id)"  # noqa: S608 - names from here
        )
        assert row is not None
        assert dict(row) == expected
    again = await account.poll(without(record(1, **second), "comment"))
    assert (again.outcome, again.unchanged) == ("unchanged", 1)

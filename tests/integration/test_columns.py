"""Each place that lists the vendor's fields lists all of them. A failure says which one to add, and where.

CONTRIBUTING.md describes how to add a column for a new field of the vendor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from syncer.diff.record import COLUMNS, DECODER_VERSION, VendorRecord
from syncer.emulator.record import Number
from syncer.store.record_columns import RECORD_COLUMNS
from syncer.titles import FIELD_TITLES
from tests.builders import record, without
from tests.model import response_parser, vendor_account

if TYPE_CHECKING:
    from collections.abc import Iterable

    import asyncpg

    from tests.builders import PolledAccount

FIELDS: Final = frozenset(VendorRecord.__struct_fields__) - {"id", "from_redirect_numbers"}
"""The fields with one value each, by the vendor's names. Add a new one to `VendorRecord` in diff/record.py."""

# Only ever add a line: stored records are decoded again only by a decoder with a new version.
READ_BY_DECODER: Final = {
    1: "number comment type purpose state reason scenario_id group_scenario_id group_id is_scenario_active "
    "is_group_scenario_active employee_id dgn_number redirect_number region_name app_id nc_type sip_uri",
    # 125.0 is 125, numbers in `extra` are exact, and unknown fields of redirects are in it; an empty state is rejected.
    2: "number comment type purpose state reason scenario_id group_scenario_id group_id is_scenario_active "
    "is_group_scenario_active employee_id dgn_number redirect_number region_name app_id nc_type sip_uri",
}


def analytics_names(names: Iterable[str]) -> set[str]:
    """The names of the fields in the schema `analytics`."""
    return {"region" if name == "region_name" else name for name in names}


def assert_complete(listed: Iterable[str], wanted: Iterable[str], *, todo: str) -> None:
    """Fails with the fields that a place lacks, those it should not have, and what to do there."""
    missing, unexpected = sorted(set(wanted) - set(listed)), sorted(set(listed) - set(wanted))
    assert (missing, unexpected) == ([], []), f"{todo} (missing: {missing}, too many: {unexpected})"


@pytest.mark.parametrize(
    ("listed", "todo"),
    [
        (Number.__struct_fields__, "syncer/emulator/record.py: add the field to Number, and let Maker generate it"),
        (response_parser.COLUMNS, "tests/model/response_parser.py: add it to the fields of its type"),
        (vendor_account.VALUES, "tests/model/vendor_account.py: give it two values or more in VALUES"),
    ],
    ids=["emulator", "model's parser", "model's vendor account"],
)
def test_each_list_of_the_vendors_fields_is_complete(listed: Iterable[str], todo: str) -> None:
    assert_complete(set(listed) - {"id", "from_redirect_numbers"}, FIELDS, todo=todo)


def test_each_field_has_a_title_in_both_languages() -> None:
    assert_complete(
        FIELD_TITLES,
        analytics_names(FIELDS),
        todo="syncer/titles.py: name it in both languages, in FIELD_TITLES, then run: make bundle",
    )


def test_the_table_columns_have_the_order_of_the_record_values() -> None:
    wanted = tuple("region_id" if name == "region_name" else name for name in COLUMNS)

    assert wanted == RECORD_COLUMNS, (
        "syncer/store: give it a type in record_columns.py, in the order of VendorRecord, and a comment in "
        "tables/numbers.py; "
        "then write a migration that adds it to virtual_number, virtual_number_history and the view number_version"
    )


def test_a_decoder_that_reads_other_fields_has_a_new_version() -> None:
    assert DECODER_VERSION in READ_BY_DECODER, "add a line to READ_BY_DECODER for the new version"
    assert_complete(
        READ_BY_DECODER[DECODER_VERSION].split(),
        FIELDS,
        todo="syncer/diff/record.py: increment DECODER_VERSION, so that stored records are decoded once more, and add "
        "a line to READ_BY_DECODER here",
    )


@pytest.mark.parametrize("view", ["numbers", "numbers_all", "number_history", "numbers_as_of(now())"])
async def test_the_views_have_all_fields(sql: asyncpg.Connection, view: str) -> None:
    prepared = await sql.prepare(f"select * from analytics.{view}")  # noqa: S608 - names from this file
    listed = {attribute.name for attribute in prepared.get_attributes()} & analytics_names(FIELDS)

    assert_complete(listed, analytics_names(FIELDS), todo=f"let the migration add it at the end of analytics.{view}")


async def test_a_change_of_each_field_is_stored_and_listed_in_the_change_feed(account: PolledAccount) -> None:
    first, second = ({name: values[place] for name, values in vendor_account.VALUES.items()} for place in (0, 1))
    assert {name for name in FIELDS if first[name] == second[name]} == set()
    await account.poll(record(1, **first), record(2))
    poll = await account.poll(record(1, **second), record(2))

    fields = {field for (field,) in await account.rows("select field from analytics.changes where run_id = $1", 2)}
    versions: list[Any] = [
        await account.sql.fetchrow(f"select * from syncer.{table} where virtual_number_id = 1")  # noqa: S608 - names from here
        for table in ("virtual_number_history", "virtual_number")
    ]
    changed = {name for name in RECORD_COLUMNS if versions[0][name] != versions[1][name]}

    assert (poll.changed, poll.state_changes) == (1, 1)
    assert_complete(
        fields, analytics_names(FIELDS), todo="let the migration add it to the fields of the view analytics.changes"
    )
    assert_complete(changed, RECORD_COLUMNS, todo="syncer/store: both tables must be written with it")


def distinct_value(name: str, variant: int) -> Any:
    """A value that no other field has. The `app_id` is the same in both variants: the account does not change."""
    if name.startswith("is_"):
        return (name == "is_scenario_active") is (variant == 0)
    if name.endswith("_id"):
        return sorted(FIELDS).index(name) + (0 if name == "app_id" else 100 * variant)
    return f"{name} {variant}"


async def test_each_value_is_written_to_its_own_column_and_read_from_it(account: PolledAccount) -> None:
    first, second = ({name: distinct_value(name, variant) for name in FIELDS} for variant in (0, 1))
    columns = ", ".join("r.name as region_name" if name == "region_name" else f"t.{name}" for name in FIELDS)
    await account.poll(record(1, **first))
    await account.poll(record(1, **second))

    for table, expected in (("virtual_number_history", first), ("virtual_number", second)):
        row = await account.sql.fetchrow(
            f"select {columns} from syncer.{table} t join syncer.region r using (region_id)"  # noqa: S608 - names from here
        )
        assert row is not None
        assert dict(row) == expected
    versions = await account.sql.fetch(
        f"select {columns} from syncer.number_version t join syncer.region r using (region_id) order by valid_from"  # noqa: S608 - names from here
    )
    assert [dict(version) for version in versions] == [first, second]
    again = await account.poll(without(record(1, **second), "comment"))
    assert (again.outcome, again.unchanged) == ("unchanged", 1)

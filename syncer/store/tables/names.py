"""The names behind the ids of employees, groups and scenarios, their history, and when each list of them was read."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, Table, Text

from syncer.store.tables.schema import Time, metadata

_LISTS = "employees, groups, employee_groups, scenarios or group_scenarios"


def _key_columns() -> list[Column[object]]:
    return [
        Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
        Column("list", Text, primary_key=True, comment=f"The vendor's list that has it: {_LISTS}"),
    ]


def _name_columns() -> list[Column[object]]:
    return [
        Column("object_id", BigInteger, primary_key=True, autoincrement=False, comment="The vendor's id in that list"),
        Column("name", Text, comment="Name; null of scenarios, which have none, and if it was erased"),
        Column(
            "position", Text, comment="An employee's position; null if none is given, of others, and if it was erased"
        ),
        Column(
            "scenario_type",
            Text,
            comment="What a scenario does with a call, as the vendor names it; varies if its working shifts differ; "
            "null of others",
        ),
        Column(
            "target_list",
            Text,
            comment="Whom a scenario leads a call to: employees or employee_groups; null if to neither, or if its "
            "working shifts differ",
        ),
        Column("target_id", BigInteger, comment="The vendor's id of that employee or group of employees"),
    ]


name = Table(
    "name",
    metadata,
    *_key_columns(),
    *_name_columns(),
    Column("first_seen_at", Time, nullable=False, comment="When the id was first seen in the list"),
    Column("changed_at", Time, nullable=False, comment="When it was first seen as it is now"),
    Column("changed_after", Time, comment="It became so after this time; null if the first list that was read had it"),
    Column(
        "unlisted_since",
        Time,
        comment="Since when the list has not had it, which changes nothing else; null while it has",
    ),
    comment="What the vendor's lists call an employee, a group or a scenario now, or called it when they last had it",
)

name_history = Table(
    "name_history",
    metadata,
    *_key_columns(),
    *_name_columns(),
    Column("valid_from", Time, primary_key=True, comment="When it was first seen so"),
    Column("valid_to", Time, nullable=False, comment="When it was first seen otherwise"),
    Column("changed_after", Time, comment="It became so after this time; null if the first list that was read had it"),
    Column("closed_after", Time, nullable=False, comment="It ceased to be so after this time"),
    comment="What the vendor's lists called an employee, a group or a scenario before",
)

name_list = Table(
    "name_list",
    metadata,
    *_key_columns(),
    Column("due_at", Time, comment="When the list is to be read next; null if no daemon reads it"),
    Column("lease_holder", Text, comment="The process that is reading it, or was the last"),
    Column("lease_until", Time, comment="Until when no other process reads it"),
    Column("attempted_at", Time, comment="When it was last asked for; null if it never was"),
    Column("success_at", Time, comment="When it was last read: the time before the request; null if it never was"),
    Column("body_digest", LargeBinary, comment="Keyed hash of the response that was last read"),
    Column("received", Integer, comment="Records of the response that was last read"),
    Column("skipped", Integer, comment="Those of them that were not stored: without an id, or with a broken name"),
    Column("outcome", Text, comment="How the last attempt ended: read, unchanged or failed"),
    Column("error_kind", Text, comment="Kind of the error of the last attempt; null if it did not fail"),
    Column("error", Text, comment="That error in one line"),
    Column("http_status", Integer, comment="Status of the last answer; null if there was none"),
    postgresql_with={"fillfactor": 50},
    comment="When each list of names was read, and is to be read",
)

"""The views show the name that an id had at the time of their row: compared with results by hand, and with a model."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pytest

from tests.builders import record, redirect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    from tests.builders import PolledAccount

MOSCOW: Final = ZoneInfo("Europe/Moscow")
TICK: Final = timedelta(microseconds=1)


def moscow(day: int, hour: int = 12) -> datetime:
    """A time in March 2026, Moscow time."""
    return datetime(2026, 3, day, hour, tzinfo=MOSCOW)


@pytest.fixture(autouse=True)
async def invariants_hold_after_each_test(account: PolledAccount) -> AsyncIterator[None]:
    yield
    await account.sql.execute("reset role")
    assert await account.broken_invariants() == []


async def store_names(
    sql: asyncpg.Connection[Any],
    list_: str,
    object_id: int,
    names: Sequence[tuple[datetime, str | None]],
    *,
    position: str | None = None,
    scenario: tuple[str, str | None, int | None] = ("redirect_to_employee", "employees", 5),
) -> None:
    """Stores what an id was called since when, the oldest first; the last is what it is called now."""
    account_id = await sql.fetchval("select account_id from syncer.account")
    scenario_columns = scenario if list_.endswith("scenarios") else (None, None, None)
    first_seen_at = names[0][0]
    for index, (since, name) in enumerate(names[:-1]):
        until = names[index + 1][0]
        await sql.execute(
            "insert into syncer.name_history (account_id, list, object_id, name, position, scenario_type, target_list,"
            " target_id, valid_from, valid_to, closed_after) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            *(account_id, list_, object_id, name, position, *scenario_columns, since, until, since),
        )
    await sql.execute(
        "insert into syncer.name (account_id, list, object_id, name, position, scenario_type, target_list, target_id,"
        " first_seen_at, changed_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        *(account_id, list_, object_id, names[-1][1], position, *scenario_columns, first_seen_at, names[-1][0]),
    )


async def rows_of_an_analyst(account: PolledAccount, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, by the rights of an analyst."""
    await account.sql.execute("set role syncer_analyst")
    found = await account.rows(query, *arguments)
    await account.sql.execute("reset role")
    return [tuple(row) for row in found]


async def test_an_old_version_shows_the_name_before_a_rename_and_the_number_the_name_now(
    account: PolledAccount,
) -> None:
    await account.poll_at(moscow(1), record(1, employee_id=5, group_id=9))
    await account.poll_at(moscow(5), record(1, employee_id=5, group_id=9, comment="moved"))
    await store_names(
        account.sql, "employees", 5, [(moscow(3), "Белова Анна"), (moscow(7), "Орлова Анна")], position="Менеджер"
    )
    await store_names(account.sql, "groups", 9, [(moscow(3), "Продажи")])

    assert await rows_of_an_analyst(
        account,
        "select employee, employee_position, group_name, is_current from analytics.number_history order by valid_from",
    ) == [("Белова Анна", "Менеджер", "Продажи", False), ("Орлова Анна", "Менеджер", "Продажи", True)]
    for view in ("numbers", "numbers_all", "register"):
        assert await rows_of_an_analyst(
            account,
            f"select employee_id, employee, employee_position, group_name from analytics.{view}",  # noqa: S608 - from here
        ) == [(5, "Орлова Анна", "Менеджер", "Продажи")]


async def test_the_first_name_that_is_known_reaches_back(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1, employee_id=5))
    await store_names(account.sql, "employees", 5, [(moscow(20), "Белова Анна"), (moscow(21), "Орлова Анна")])

    assert await rows_of_an_analyst(account, "select employee from analytics.numbers_as_of($1)", moscow(1) + TICK) == [
        ("Белова Анна",)
    ]
    assert await rows_of_an_analyst(account, "select distinct employee from analytics.changes") == [("Белова Анна",)]


async def test_a_change_of_employee_or_group_has_the_names_that_they_had_then(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1, employee_id=5, group_id=9))
    await account.poll_at(moscow(5), record(1, employee_id=6, group_id=8))
    await account.poll_at(moscow(9), record(1, employee_id=None, group_id=8, comment="free"))
    await store_names(account.sql, "employees", 5, [(moscow(1), "Белова Анна"), (moscow(7), "Орлова Анна")])
    await store_names(account.sql, "employees", 6, [(moscow(1), "Ким Игорь"), (moscow(5, 13), "Ким Пётр")])
    await store_names(account.sql, "groups", 9, [(moscow(1), "Продажи")])

    assert await rows_of_an_analyst(
        account,
        """
        select kind, field, old_value, old_name, new_value, new_name, employee_id, employee from analytics.changes
         where field in ('employee_id', 'group_id', 'comment') order by changed_at, field
        """,
    ) == [
        ("created", "employee_id", None, None, "5", "Белова Анна", 5, "Белова Анна"),
        ("created", "group_id", None, None, "9", "Продажи", 5, "Белова Анна"),
        ("changed", "employee_id", "5", "Белова Анна", "6", "Ким Игорь", 6, "Ким Игорь"),
        ("changed", "group_id", "9", "Продажи", "8", None, 6, "Ким Игорь"),
        ("changed", "comment", None, None, "free", None, None, None),
        ("changed", "employee_id", "6", "Ким Пётр", None, None, None, None),
    ]


async def test_an_assignment_has_the_name_at_its_end_and_periods_the_name_at_their_beginning(
    account: PolledAccount,
) -> None:
    landline = redirect(7, "74950000007")
    await account.poll_at(moscow(1), record(1, employee_id=5, from_redirect_numbers=[landline]), record(2))
    await account.poll_at(moscow(5), record(1, employee_id=5, state="debt_lock", from_redirect_numbers=[]), record(2))
    await account.poll_at(moscow(9), record(2))
    await account.poll_at(moscow(10), record(1), record(2))
    await store_names(
        account.sql,
        "employees",
        5,
        [(moscow(1), "first"), (moscow(4), "second"), (moscow(9), "third"), (moscow(9, 13), "now")],
    )

    assert await rows_of_an_analyst(account, "select employee from analytics.assignments") == [("now",)]
    assert await rows_of_an_analyst(
        account, "select state, employee from analytics.state_history where virtual_number_id = 1 order by valid_from"
    ) == [("active", "first"), ("debt_lock", "second"), ("active", None)]
    assert await rows_of_an_analyst(
        account, "select state, employee from analytics.state_spells where virtual_number_id = 1 order by valid_from"
    ) == [("active", "first"), ("debt_lock", "second"), ("active", None)]
    assert await rows_of_an_analyst(
        account, "select to_state, employee from analytics.state_changes order by changed_at"
    ) == [("debt_lock", "second"), ("active", None)]
    assert await rows_of_an_analyst(account, "select employee from analytics.redirect_history") == [("first",)]
    assert await rows_of_an_analyst(account, "select employee from analytics.absences") == [("third",)]


async def test_a_scenario_is_its_type_and_the_name_of_its_target_at_the_time(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1, scenario_id=540, group_id=9, group_scenario_id=509))
    await account.poll_at(moscow(5), record(1, scenario_id=541, group_id=9, group_scenario_id=509))
    await store_names(account.sql, "employees", 5, [(moscow(1), "Белова Анна"), (moscow(7), "Орлова Анна")])
    await store_names(account.sql, "employee_groups", 79, [(moscow(1), "Дежурная смена")])
    await store_names(account.sql, "scenarios", 540, [(moscow(1), None)])
    await store_names(account.sql, "scenarios", 541, [(moscow(1), None)], scenario=("varies", None, None))
    await store_names(
        account.sql,
        "group_scenarios",
        509,
        [(moscow(1), None)],
        scenario=("redirect_to_employee_group", "employee_groups", 79),
    )

    columns = (
        "scenario_type, scenario_type_title_ru, scenario_target_id, scenario_target, "
        "group_scenario_type, group_scenario_type_title_en, group_scenario_target_id, group_scenario_target"
    )
    group = ("redirect_to_employee_group", "To a group of employees", 79, "Дежурная смена")
    before = ("redirect_to_employee", "На сотрудника", 5, "Белова Анна", *group)
    now = ("varies", "Зависит от смены", None, None, *group)
    assert await rows_of_an_analyst(
        account,
        f"select {columns} from analytics.number_history order by valid_from",  # noqa: S608 - from here
    ) == [before, now]
    then = await rows_of_an_analyst(account, f"select {columns} from analytics.numbers_as_of($1)", moscow(2))  # noqa: S608 - from here
    assert then == [before]
    assert await rows_of_an_analyst(account, f"select {columns} from analytics.numbers") == [now]  # noqa: S608 - from here


async def test_employees_and_groups_say_who_is_listed_and_how_many_numbers_each_has(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1, employee_id=5, group_id=9), record(2, employee_id=5), record(3))
    await store_names(account.sql, "employees", 5, [(moscow(1), "Белова Анна")], position="Менеджер")
    await store_names(account.sql, "employees", 6, [(moscow(1), "Ким Игорь"), (moscow(2), "Ким Пётр")])
    await store_names(account.sql, "groups", 9, [(moscow(1), "Продажи")])
    await account.sql.execute("update syncer.name set unlisted_since = $1 where object_id = 6", moscow(4))

    assert await rows_of_an_analyst(
        account,
        "select employee_key, name, position, is_listed, numbers from analytics.employees order by employee_id",
    ) == [("1:5", "Белова Анна", "Менеджер", True, 2), ("1:6", "Ким Пётр", None, False, 0)]
    assert await rows_of_an_analyst(account, "select group_key, name, is_listed, numbers from analytics.groups") == [
        ("1:9", "Продажи", True, 1)
    ]
    assert await rows_of_an_analyst(
        account,
        """
        select list_title_ru, object_id, name, valid_from, valid_to, is_current from analytics.name_history
         where object_id = 6 order by valid_from
        """,
    ) == [
        ("Сотрудники", 6, "Ким Игорь", moscow(1), moscow(2), False),
        ("Сотрудники", 6, "Ким Пётр", moscow(2), None, True),
    ]


@pytest.mark.parametrize("seed", range(4))
async def test_at_any_moment_the_views_name_an_employee_as_a_model_does(account: PolledAccount, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - it has to be repeatable
    versions: list[tuple[datetime, int | None]] = []
    hour = 0
    for poll in range(8):
        hour += random.choice((1, 2, 5))
        employee_id = random.choice((5, 6, None))
        await account.poll_at(moscow(1) + timedelta(hours=hour), record(1, employee_id=employee_id, comment=str(poll)))
        versions.append((moscow(1) + timedelta(hours=hour) + TICK, employee_id))  # after the time before the request
    names: dict[int, list[tuple[datetime, str]]] = {}
    for employee_id in (5, 6):
        hours = sorted(random.sample(range(hour + 4), random.choice((1, 2, 4))))
        names[employee_id] = [(moscow(1) + timedelta(hours=at) + TICK, f"{employee_id} since {at}") for at in hours]
        await store_names(account.sql, "employees", employee_id, names[employee_id])

    def name_of(employee_id: int | None, moment: datetime | None, *, before: bool = False) -> str | None:
        """What an employee was called at a moment, or just before it; now if it is None."""
        if employee_id is None:
            return None
        known = names[employee_id]
        earlier = [name for since, name in known if moment is None or (since < moment if before else since <= moment)]
        return earlier[-1] if earlier else known[0][1]

    assert await rows_of_an_analyst(account, "select employee from analytics.number_history order by valid_from") == [
        (name_of(employee_id, versions[index + 1][0] if index + 1 < len(versions) else None, before=True),)
        for index, (_, employee_id) in enumerate(versions)
    ]
    assert await rows_of_an_analyst(
        account,
        "select changed_at, employee, new_name from analytics.changes where field = 'employee_id' order by run_id",
    ) == [
        (since, name_of(employee_id, since), name_of(employee_id, since))
        for index, (since, employee_id) in enumerate(versions)
        if employee_id != (versions[index - 1][1] if index else None)
    ]
    for half_hour in range(2 * hour):
        moment = moscow(1) + timedelta(hours=half_hour / 2) + TICK
        then = [employee_id for since, employee_id in versions if since <= moment]
        assert await rows_of_an_analyst(account, "select employee from analytics.numbers_as_of($1)", moment) == (
            [(name_of(then[-1], moment),)] if then else []
        ), moment

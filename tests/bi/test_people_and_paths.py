"""Who had which number, where calls end up, what was missing, and the printed list: compared with results by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from tests.builders import record, redirect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.builders import PolledAccount

MOSCOW = ZoneInfo("Europe/Moscow")
TICK = timedelta(microseconds=1)


def moscow(day: int, hour: int = 12) -> datetime:
    """A time in March 2026, Moscow time."""
    return datetime(2026, 3, day, hour, tzinfo=MOSCOW)


@pytest.fixture(autouse=True)
async def invariants_hold_after_each_test(account: PolledAccount) -> AsyncIterator[None]:
    yield
    await account.sql.execute("reset role")
    assert await account.broken_invariants() == []


async def rows_of_an_analyst(account: PolledAccount, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, by the rights of an analyst; days for times."""
    await account.sql.execute("set role syncer_analyst")
    found = await account.rows(query, *arguments)
    await account.sql.execute("reset role")
    return [
        tuple(value.astimezone(MOSCOW).day if isinstance(value, datetime) else value for value in row) for row in found
    ]


async def test_an_assignment_lasts_until_the_employee_changes_or_the_number_is_removed(account: PolledAccount) -> None:
    other = record(2)
    await account.poll_at(moscow(1), record(1), other)
    await account.poll_at(moscow(2), record(1, employee_id=5), other)
    await account.poll_at(moscow(3), record(1, employee_id=5, number="79000000077", state="freeze"), other)
    await account.poll_at(moscow(4), record(1, employee_id=6), other)
    await account.poll_at(moscow(5), record(1, employee_id=5), other)
    await account.poll_at(moscow(6), record(1), other)
    await account.poll_at(moscow(7), record(1, employee_id=5), other)
    await account.poll_at(moscow(8), other, trigger="accept_removals")
    await account.poll_at(moscow(9), record(1, employee_id=5), other)

    rows = await rows_of_an_analyst(
        account,
        """
        select employee_id, number, valid_from, valid_to, is_current, began_by, ended_by, changed_after, closed_after
          from analytics.assignments order by analytics.assignments.valid_from
        """,
    )
    assert rows == [
        (5, "79000000001", 2, 4, False, "changed", "changed", 1, 3),
        (6, "79000000001", 4, 5, False, "changed", "changed", 3, 4),
        (5, "79000000001", 5, 6, False, "changed", "changed", 4, 5),
        (5, "79000000001", 7, 8, False, "changed", "removed", 6, 7),
        (5, "79000000001", 9, None, True, "restored", None, 8, None),
    ]
    assert await rows_of_an_analyst(
        account, "select duration_seconds from analytics.assignments where employee_id = 6"
    ) == [(Decimal(86400),)]


async def test_who_has_a_number_now_is_who_had_it_last(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1, employee_id=5), record(2, employee_id=5))
    await account.poll_at(moscow(2), record(1, employee_id=5, comment="x"), record(2))

    assert await rows_of_an_analyst(
        account, "select number, valid_from from analytics.assignments where employee_id = 5 and is_current"
    ) == [("79000000001", 1)]


async def test_redirects_are_followed_to_the_end_and_loops_are_named(account: PolledAccount) -> None:
    def forwarded(*ids: int) -> list[Any]:
        return [redirect(one, f"79{one:09}") for one in ids]

    await account.poll_at(
        moscow(1),
        record(2, from_redirect_numbers=forwarded(1)),  # 1 → 2 → 3, which is locked
        record(1),
        record(3, state="debt_lock", from_redirect_numbers=forwarded(2)),
        record(4, from_redirect_numbers=forwarded(5)),  # 4 → 5 → 4
        record(5, from_redirect_numbers=forwarded(4)),
        record(6, from_redirect_numbers=forwarded(6)),  # to itself
        # The id of number 7, but another phone number: not ours, so that it does not come back to 7.
        record(8, from_redirect_numbers=[redirect(7, "74950000007")]),
        record(7, from_redirect_numbers=forwarded(8)),
        record(9),
    )

    assert await rows_of_an_analyst(
        account,
        """
        select replace(path, '79000000', ''), number_key, target_key, target_state, hops, is_loop, works
          from analytics.redirect_paths order by 1
        """,
    ) == [
        ("001 → 002 → 003", "1:1", "1:3", "debt_lock", 2, False, False),
        ("002 → 003", "1:2", "1:3", "debt_lock", 1, False, False),
        ("004 → 005 → 004", "1:4", "1:4", "active", 2, True, False),
        ("005 → 004 → 005", "1:5", "1:5", "active", 2, True, False),
        ("006 → 006", "1:6", "1:6", "active", 1, True, False),
        ("008 → 007", "1:8", "1:7", "active", 1, False, True),
        ("74950000007 → 008 → 007", None, "1:7", "active", 2, False, True),
    ]
    assert await rows_of_an_analyst(
        account,
        """
        select n.virtual_number_id from analytics.numbers n
         where n.redirect_number is null
           and not exists (select from analytics.redirect_paths p where p.number_key = n.number_key)
         order by 1
        """,
    ) == [(3,), (7,), (9,)]


async def test_a_chain_of_redirects_is_followed_sixteen_times(account: PolledAccount) -> None:
    chain = [record(key, from_redirect_numbers=[redirect(key - 1, f"79{key - 1:09}")]) for key in range(2, 20)]
    await account.poll_at(moscow(1), record(1), *chain)

    assert await account.row("select max(hops), min(target_number_id) from analytics.redirect_paths") == (16, 17)


async def test_absences_tell_how_they_ended_and_numbers_as_of_what_was_missing(account: PolledAccount) -> None:
    numbers = [record(key, employee_id=key) for key in range(1, 5)]
    await account.poll_at(moscow(1), *numbers)
    await account.poll_at(moscow(2), *numbers[:2])  # 3 and 4 are missing, and held
    await account.poll_at(moscow(2, 18), *numbers[:3], record(5))  # 3 returns
    await account.poll_at(moscow(4), *numbers[:3], record(5))  # 4 is removed, as of 2 March
    await account.poll_at(moscow(5), record(5))

    assert await rows_of_an_analyst(
        account,
        """
        select number, employee_id, missing_since, ended_at, is_current, ended_by, began_day::text
          from analytics.absences order by analytics.absences.missing_since, virtual_number_id
        """,
    ) == [
        ("79000000003", 3, 2, 2, False, "returned", "2026-03-02"),
        ("79000000004", 4, 2, 4, False, "removed", "2026-03-02"),
        ("79000000001", 1, 5, None, True, None, "2026-03-05"),
        ("79000000002", 2, 5, None, True, None, "2026-03-05"),
        ("79000000003", 3, 5, None, True, None, "2026-03-05"),
    ]
    assert await rows_of_an_analyst(
        account, "select duration_seconds from analytics.absences where ended_by = 'returned'"
    ) == [(Decimal(6 * 3600),)]

    as_of = "select virtual_number_id, missing_since from analytics.numbers_as_of($1) order by 1"
    assert await rows_of_an_analyst(account, as_of, moscow(2)) == [(1, None), (2, None), (3, None), (4, None)]
    assert await rows_of_an_analyst(account, as_of, moscow(2, 15)) == [(1, None), (2, None), (3, 2)]
    assert await rows_of_an_analyst(account, as_of, moscow(2, 18) + TICK) == [
        (1, None),
        (2, None),
        (3, None),
        (5, None),
    ]
    assert await rows_of_an_analyst(account, as_of, moscow(5) + TICK) == [(1, 5), (2, 5), (3, 5), (5, None)]


async def test_the_register_has_words_for_what_it_lists(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1, state="active"), record(2))
    await account.poll_at(
        moscow(2),
        record(1, state="porting", redirect_number="74990000000", region_name="Тула", comment="Продажи"),
        record(2, from_redirect_numbers=[redirect(8, "74950000008"), redirect(7, "74950000007")]),
    )
    await account.poll_at(moscow(9), record(1, state="porting", redirect_number="74990000000", region_name="Тула"))

    assert await rows_of_an_analyst(
        account,
        """
        select number, e164, comment, state_title_en, state_title_ru, state_since, type_title_ru, purpose_title_en,
               region, redirected_to, redirected_from, missing_since
          from analytics.register order by number
        """,
    ) == [
        (
            *("79000000001", "+79000000001", None, "porting", "porting", 2, "мобильный", "Company", "Тула"),
            *("74990000000", None, None),
        ),
        (
            *("79000000002", "+79000000002", None, "Active", "активен", 1, "мобильный", "Company", "регион Москва"),
            *(None, "74950000007, 74950000008", 9),
        ),
    ]
    assert await account.row("select days_in_state from analytics.register where virtual_number_id = 1") == (7,)


async def test_numbers_as_of_tells_each_column_as_it_was(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1, employee_id=5, reason="a"), record(2))
    await account.poll_at(moscow(2), record(1, employee_id=5, reason="b", region_name="Тула"), record(2))
    await account.poll_at(moscow(3), record(1, number="79000000077", state="freeze"), record(2))
    await account.poll_at(moscow(4), record(2), trigger="accept_removals")
    await account.poll_at(moscow(5), record(1), record(2))
    columns = "number, employee_id, region, state, reason, state_since, reason_since, changed_at"
    expected = [
        ("79000000001", 5, "регион Москва", "active", "a", 1, 1, 1),
        ("79000000001", 5, "Тула", "active", "b", 1, 2, 2),
        ("79000000077", None, "регион Москва", "freeze", None, 3, 3, 3),
        None,
        ("79000000001", None, "регион Москва", "active", None, 5, 5, 5),
    ]

    for day, row in enumerate(expected, start=1):
        assert await rows_of_an_analyst(
            account,
            f"select {columns} from analytics.numbers_as_of($1) where virtual_number_id = 1",  # noqa: S608 - the test's own
            moscow(day) + TICK,
        ) == ([] if row is None else [row])

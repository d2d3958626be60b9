"""The views of schema `analytics`, compared with results worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from syncer.diff.record import COLUMNS
from syncer.emulator import REALISTIC, Emulator
from tests.builders import PolledAccount, record, redirect, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from syncer.store.engine import Engine

MOSCOW = ZoneInfo("Europe/Moscow")
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


def moscow(day: int, hour: int = 12, minute: int = 0) -> datetime:
    """A time in March 2026, Moscow time."""
    return datetime(2026, 3, day, hour, minute, tzinfo=MOSCOW)


@pytest.fixture(autouse=True)
async def invariants_hold_after_each_test(account: PolledAccount) -> AsyncIterator[None]:
    yield
    assert await account.broken_invariants() == []


async def test_numbers_have_titles_and_region_names(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1), record(2, state="freeze"))
    await account.poll_at(
        moscow(2),
        record(1, state="debt_lock", reason="долг", from_redirect_numbers=[redirect(9, "74950000009")]),
        record(2, state="freeze"),
    )

    assert await account.rows(
        """
        select account, number, number_key, e164, state, state_title_en, state_title_ru, type_title_en,
               purpose_title_ru, region, reason, state_since, state_since_earliest, redirect_count, missing_since
          from analytics.numbers order by virtual_number_id
        """
    ) == [
        (
            *("default", "79000000001", "1:1", "+79000000001", "debt_lock", "Locked for debt", "блокировка за долг"),
            *("Mobile", "компания", "регион Москва", "долг", moscow(2) + TICK, moscow(1), 1, None),
        ),
        (
            *("default", "79000000002", "1:2", "+79000000002", "freeze", "Frozen", "заморожен"),
            *("Mobile", "компания", "регион Москва", None, moscow(1) + TICK, None, 0, None),
        ),
    ]


@pytest.mark.parametrize(
    ("number", "e164"),
    [
        ("79208547433", "+79208547433"),
        ("9208547433", "+79208547433"),
        ("88009966666", "+78009966666"),
        ("442071234567", "+442071234567"),
        ("123456789", None),
        ("1234567890123456", None),
        ("+79208547433", None),
        ("sip:100", None),
    ],
)
async def test_e164_is_set_for_numbers_of_ten_to_fifteen_digits(
    account: PolledAccount, number: str, e164: str | None
) -> None:
    await account.poll(record(1, number=number))

    assert await account.row("select e164 from analytics.numbers") == (e164,)


async def test_a_removed_number_leaves_numbers_and_stays_in_numbers_all(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1), record(2, from_redirect_numbers=[redirect(9, "74950000009")]))
    await account.poll_at(moscow(2), record(1), trigger="accept_removals")

    assert await account.rows("select virtual_number_id from analytics.numbers") == [(1,)]
    assert await account.rows(
        "select virtual_number_id, state, state_since, redirect_count, removed_at from analytics.numbers_all order by 1"
    ) == [(1, "active", moscow(1) + TICK, 0, None), (2, "active", moscow(1) + TICK, 0, moscow(2) + TICK)]
    assert await account.rows("select virtual_number_id, is_current from analytics.number_history order by 1") == [
        (1, True),
        (2, False),
    ]


async def test_a_number_whose_removal_is_held_is_listed_with_missing_since(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1), record(2))
    await account.poll_at(moscow(2), record(1))

    assert await account.rows("select virtual_number_id, missing_since from analytics.numbers order by 1") == [
        (1, None),
        (2, moscow(2) + TICK),
    ]
    assert await account.row("select held, rejected, last_outcome from analytics.freshness") == (1, 0, "applied")


async def test_state_periods_have_a_duration_and_state_changes_both_states(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1))
    await account.poll_at(moscow(3), record(1, state="debt_lock", reason="долг"))
    last = await account.poll_at(moscow(4), record(1))

    assert await account.rows(
        """
        select state, reason, state_title_ru, is_current, duration_seconds
          from analytics.state_history where not is_current order by valid_from
        """
    ) == [
        ("active", None, "активен", False, Decimal(2 * 86400)),
        ("debt_lock", "долг", "блокировка за долг", False, Decimal(86400)),
    ]
    assert await account.rows(
        """
        select changed_at, changed_after, from_state, to_state, from_reason, to_reason
          from analytics.state_changes order by 1
        """
    ) == [
        (moscow(3) + TICK, moscow(1), "active", "debt_lock", None, "долг"),
        (moscow(4) + TICK, moscow(3), "debt_lock", "active", "долг", None),
    ]
    assert await account.rows("select run_id from analytics.state_changes order by changed_at desc limit 1") == [
        (last.run_id,)
    ]


async def test_redirect_from_key_is_found_by_id_and_number(account: PolledAccount) -> None:
    await account.poll(
        record(
            1,
            from_redirect_numbers=[redirect(2, "79000000002"), redirect(3, "79999999999"), redirect(77, "74950000077")],
        ),
        record(2),
        record(3),
    )

    assert await account.rows(
        "select redirect_number_id, redirect_from, redirect_from_key from analytics.redirects order by 1"
    ) == [(2, "79000000002", "1:2"), (3, "79999999999", None), (77, "74950000077", None)]


async def test_the_feed_has_each_change_once(account: PolledAccount) -> None:
    first = await account.poll_at(moscow(1), record(1, from_redirect_numbers=[redirect(9, "74950000009")]), record(2))
    second = await account.poll_at(
        moscow(2), record(1, state="debt_lock", reason="долг", comment="звонить утром"), record(2)
    )
    third = await account.poll_at(moscow(3), record(2), trigger="accept_removals")
    fourth = await account.poll_at(moscow(4), record(1, region_name="Брянская область"), record(2))
    query = """
        select kind, field, old_value, new_value, changed_at, changed_after
          from analytics.changes where virtual_number_id = 1 and run_id = $1 order by kind, field
    """

    created = await account.rows(query, first.run_id)
    assert [row[:4] for row in created] == [
        ("created", "app_id", None, "1200054"),
        ("created", "nc_type", None, "custom"),
        ("created", "number", None, "79000000001"),
        ("created", "purpose", None, "company"),
        ("created", "region", None, "регион Москва"),
        ("created", "state", None, "active"),
        ("created", "type", None, "def"),
        ("redirect_opened", "from_redirect_numbers", None, "74950000009"),
    ]
    assert {row[4:] for row in created} == {(moscow(1) + TICK, None)}
    assert await account.rows(query, second.run_id) == [
        ("changed", "comment", None, "звонить утром", moscow(2) + TICK, moscow(1)),
        ("redirect_closed", "from_redirect_numbers", "74950000009", None, moscow(2) + TICK, moscow(1)),
        ("state", "reason", None, "долг", moscow(2) + TICK, moscow(1)),
        ("state", "state", "active", "debt_lock", moscow(2) + TICK, moscow(1)),
    ]
    assert await account.rows(query, third.run_id) == [("removed", None, None, None, moscow(3) + TICK, moscow(2))]
    restored = {row[1]: row[:4] for row in await account.rows(query, fourth.run_id)}
    assert restored["state"] == ("restored", "state", "debt_lock", "active")
    assert restored["reason"] == ("restored", "reason", "долг", None)
    assert restored["region"] == ("restored", "region", "регион Москва", "Брянская область")
    assert restored["number"] == ("restored", "number", "79000000001", "79000000001")


async def test_a_copy_maintained_from_the_feed_equals_the_source(engine: Engine, sql: asyncpg.Connection) -> None:
    """Forty polls in which numbers change, appear, disappear and return; the feed is read after each poll."""
    fields = [column.replace("region_name", "region") for column in COLUMNS]
    copy: dict[int, dict[str, Any]] = {}
    removed: set[int] = set()
    redirects: set[tuple[int, int, str]] = set()
    last_run_id = 0
    async with (
        Emulator(numbers=120, seed=5, rates=REALISTIC) as emulator,
        PolledAccount(engine, emulator, sql, settings_for(emulator)) as account,
    ):
        for position in range(40):
            await account.poll_again(trigger="accept_removals" if position % 7 == 0 else "schedule")
            emulator.step(3)
            feed = await sql.fetch(
                "select * from analytics.changes where account_id = 1 and run_id > $1 order by run_id", last_run_id
            )
            for change in feed:
                last_run_id = change["run_id"]
                apply_change(change, copy, removed, redirects)
    source = await sql.fetch(f"select virtual_number_id, removed_at, {', '.join(fields)} from analytics.numbers_all")  # noqa: S608 - the test's own names

    assert len({change["kind"] for change in await sql.fetch("select kind from analytics.changes")}) == 7
    assert {row["virtual_number_id"]: {name: row[name] for name in fields} for row in source} == {
        number: {name: convert(known.get(name), row_of(source, number)[name]) for name in fields}
        for number, known in copy.items()
    }
    assert removed == {row["virtual_number_id"] for row in source if row["removed_at"] is not None}
    assert redirects == {
        tuple(row)
        for row in await sql.fetch(
            "select virtual_number_id, redirect_number_id, redirect_from from analytics.redirects"
        )
    }


def row_of(source: list[Any], number: int) -> Any:
    return next(row for row in source if row["virtual_number_id"] == number)


def convert(text: str | None, like: Any) -> Any:
    """Converts a value of the feed, which is text, to the type of `like`."""
    if text is None or isinstance(like, str):
        return text
    return text == "true" if isinstance(like, bool) else int(text)


def apply_change(
    change: Any, copy: dict[int, dict[str, Any]], removed: set[int], redirects: set[tuple[int, int, str]]
) -> None:
    number = change["virtual_number_id"]
    match change["kind"]:
        case "removed":
            removed.add(number)
        case "redirect_opened":
            redirects.add((number, change["redirect_number_id"], change["new_value"]))
        case "redirect_closed":
            redirects.discard((number, change["redirect_number_id"], change["old_value"]))
        case kind:
            if kind == "restored":
                removed.discard(number)
            copy.setdefault(number, {})[change["field"]] = change["new_value"]


async def test_a_day_counts_the_states_at_its_end_in_the_accounts_time_zone(account: PolledAccount) -> None:
    await account.poll_at(moscow(1, 23, 59), record(1), record(2))
    # One minute after midnight in Moscow, still the day before in UTC: 2 March ends with this state.
    await account.poll_at(moscow(2, 0, 1), record(1, state="debt_lock"), record(2))
    await account.poll_at(moscow(4, 12), record(1), record(2), trigger="command")
    await account.poll_at(moscow(5, 12), record(1), trigger="accept_removals")
    await account.stay_due()

    assert await account.rows(
        """
        select day, state, numbers, region, type from analytics.daily_states
         where day between '2026-03-01' and '2026-03-06' order by day, state
        """
    ) == [
        (date(2026, 3, 1), "active", 2, "регион Москва", "def"),
        (date(2026, 3, 1), "debt_lock", 0, "регион Москва", "def"),
        (date(2026, 3, 2), "active", 1, "регион Москва", "def"),
        (date(2026, 3, 2), "debt_lock", 1, "регион Москва", "def"),
        (date(2026, 3, 3), "active", 1, "регион Москва", "def"),
        (date(2026, 3, 3), "debt_lock", 1, "регион Москва", "def"),
        (date(2026, 3, 4), "active", 2, "регион Москва", "def"),
        (date(2026, 3, 4), "debt_lock", 0, "регион Москва", "def"),
        (date(2026, 3, 5), "active", 1, "регион Москва", "def"),
        (date(2026, 3, 5), "debt_lock", 0, "регион Москва", "def"),
        (date(2026, 3, 6), "active", 1, "регион Москва", "def"),
        (date(2026, 3, 6), "debt_lock", 0, "регион Москва", "def"),
    ]


async def test_today_counts_the_current_states(account: PolledAccount) -> None:
    await account.set_clock(None)
    await account.poll(record(1), record(2, state="freeze"))
    await account.poll(record(1, state="debt_lock"), record(2, state="freeze"))

    assert await account.rows("select state, numbers from analytics.daily_states order by 1") == [
        ("active", 0),
        ("debt_lock", 1),
        ("freeze", 1),
    ]


async def test_shares_are_relative_to_the_time_that_the_number_was_listed(
    account: PolledAccount,
) -> None:
    await account.poll_at(moscow(1, 12) - TICK, record(1), record(2))
    await account.poll_at(moscow(1, 15) - TICK, record(1, state="debt_lock"), record(2))
    await account.poll_at(moscow(2, 6) - TICK, record(1), record(2))
    await account.poll_at(moscow(2, 18) - TICK, record(2), trigger="accept_removals")

    assert [
        (day, state, round(float(share), 6))
        for day, state, share in await account.rows(
            "select day, state, share from analytics.state_share where virtual_number_id = 1 order by 1, 2"
        )
    ] == [
        (date(2026, 3, 1), "active", 0.25),
        (date(2026, 3, 1), "debt_lock", 0.75),
        (date(2026, 3, 2), "active", round(12 / 18, 6)),
        (date(2026, 3, 2), "debt_lock", round(6 / 18, 6)),
    ]


async def test_shares_of_days_with_23_and_25_hours_add_up_to_one(
    engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    settings = settings_for(emulator, timezone=berlin)
    async with PolledAccount(engine, emulator, sql, settings) as account:
        await account.poll_at(datetime(2025, 3, 29, 12, tzinfo=berlin) - TICK, record(1))
        await account.poll_at(datetime(2025, 3, 30, 12, tzinfo=berlin) - TICK, record(1, state="freeze"))
        await account.poll_at(datetime(2025, 10, 26, 12, tzinfo=berlin) - TICK, record(1))
        await account.stay_due()

        assert [
            (day, state, round(float(share), 6))
            for day, state, share in await account.rows(
                """
                select day, state, share
                  from analytics.state_share where day in ('2025-03-30', '2025-10-26') order by 1, 2
                """
            )
        ] == [
            (date(2025, 3, 30), "active", round(11 / 23, 6)),
            (date(2025, 3, 30), "freeze", round(12 / 23, 6)),
            (date(2025, 10, 26), "active", round(12 / 25, 6)),
            (date(2025, 10, 26), "freeze", round(13 / 25, 6)),
        ]


async def test_a_day_begins_at_the_earlier_midnight_where_clocks_go_back_over_it(
    engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    # In Havana it was twice midnight on 2 November 2025: at 4:00 UTC and an hour later.
    settings = settings_for(emulator, timezone=ZoneInfo("America/Havana"))
    first_midnight = datetime(2025, 11, 2, 4, tzinfo=UTC)
    async with PolledAccount(engine, emulator, sql, settings) as account:
        await account.poll_at(first_midnight - 10 * HOUR - TICK, record(1))
        await account.poll_at(first_midnight + HOUR / 2 - TICK, record(1, state="freeze"))
        await account.poll_at(first_midnight + 12 * HOUR - TICK, record(1, state="freeze"))
        await account.stay_due()

        assert await account.rows(
            "select day, state, duration_seconds / 3600"
            "  from analytics.state_share where day <= '2025-11-02' order by 1, 2"
        ) == [
            (date(2025, 11, 1), "active", 10),
            (date(2025, 11, 2), "active", Decimal("0.5")),
            (date(2025, 11, 2), "freeze", Decimal("24.5")),
        ]
        assert await account.rows(
            "select day, state, numbers from analytics.daily_states where day <= '2025-11-02' order by 1, 2"
        ) == [
            (date(2025, 11, 1), "active", 1),
            (date(2025, 11, 1), "freeze", 0),
            (date(2025, 11, 2), "active", 0),
            (date(2025, 11, 2), "freeze", 1),
        ]
        assert await account.rows(
            "select day, round(longest_gap_seconds / 3600, 3)"
            "  from analytics.coverage where day <= '2025-11-02' order by 1"
        ) == [(date(2025, 11, 1), 10), (date(2025, 11, 2), 13)]


@pytest.mark.parametrize("zone", ["America/Havana", "Atlantic/Azores", "Asia/Beirut", "America/Santiago", "UTC"])
async def test_days_begin_when_they_begin_in_python(zone: str, sql: asyncpg.Connection) -> None:
    rows = await sql.fetch(
        "select day::date, syncer.day_start(day, $1)"
        "  from generate_series(timestamp '2024-01-01', '2025-12-31', interval '1 day') day",
        zone,
    )
    assert len(rows) == 731
    assert dict(map(tuple, rows)) == {
        day: datetime.combine(day, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC) for day, _ in rows
    }


async def test_an_account_whose_time_zone_the_server_does_not_know_breaks_no_view(
    account: PolledAccount, engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    async with PolledAccount(engine, emulator, sql, settings_for(emulator, account_name="elsewhere")) as elsewhere:
        for polled in (account, elsewhere):
            await polled.poll_at(moscow(1, 1), record(1))  # still 28 February in UTC
    await account.stay_due()
    await sql.execute("update syncer.account set time_zone = 'posixrules' where name = 'elsewhere'")

    for query in (
        "select account, min(day) from analytics.daily_states group by 1 order by 1",
        "select account, min(day) from analytics.state_share group by 1 order by 1",
        "select account, min(day) from analytics.coverage group by 1 order by 1",
    ):
        assert await account.rows(query) == [("default", date(2026, 3, 1)), ("elsewhere", date(2026, 2, 28))]


async def test_numbers_as_of_returns_the_state_at_that_time(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1, comment="a"), record(2))
    await account.poll_at(moscow(2), record(1, comment="b", state="freeze"), record(2))
    await account.poll_at(moscow(3), record(1, comment="c"), trigger="accept_removals")
    await account.stay_due()

    as_of = "select virtual_number_id, state, comment, state_since from analytics.numbers_as_of($1) order by 1"
    assert await account.rows(as_of, moscow(1)) == []
    assert await account.rows(as_of, moscow(1, 13)) == [
        (1, "active", "a", moscow(1) + TICK),
        (2, "active", None, moscow(1) + TICK),
    ]
    assert await account.rows(as_of, moscow(2, 13)) == [
        (1, "freeze", "b", moscow(2) + TICK),
        (2, "active", None, moscow(1) + TICK),
    ]
    assert await account.rows(as_of, moscow(3, 13)) == [(1, "active", "c", moscow(3) + TICK)]


async def test_numbers_as_of_now_equals_numbers(account: PolledAccount) -> None:
    await account.poll_at(
        moscow(1), record(1, tariff="x", from_redirect_numbers=[redirect(9, "74950000009")]), record(2)
    )
    await account.poll_at(moscow(2), record(1, tariff="x", state="freeze"))
    await account.stay_due()

    now = await account.rows("select * from analytics.numbers order by virtual_number_id")
    assert len(now) == 2
    assert await account.rows("select * from analytics.numbers_as_of(now()) order by virtual_number_id") == now


async def test_polls_and_gaps_are_counted_by_day_in_the_accounts_time_zone(account: PolledAccount) -> None:
    for moment in (moscow(1, 6), moscow(1, 10), moscow(1, 23)):
        await account.poll_at(moment, record(1))
    await account.set_clock(moscow(2, 3))
    await account.poll_body(b"nonsense")
    await account.stay_due()

    assert await account.rows(
        "select day, polls, failed, longest_gap_seconds, blind_seconds from analytics.coverage"
        " where day <= '2026-03-03' order by 1"
    ) == [
        (date(2026, 3, 1), 3, 0, Decimal(13 * 3600), Decimal(17 * 3600)),
        (date(2026, 3, 2), 1, 1, Decimal(24 * 3600), Decimal(24 * 3600)),
        (date(2026, 3, 3), 0, 0, Decimal(24 * 3600), Decimal(24 * 3600)),
    ]
    assert await account.row(
        "select days, polls, failed, longest_gap_seconds, blind_seconds from analytics.monthly_coverage"
        " where month = '2026-03-01'"
    ) == (31, 4, 1, Decimal(24 * 3600), Decimal((17 + 30 * 24) * 3600))
    assert await account.row("select last_success_at, last_outcome, last_error is null from analytics.freshness") == (
        moscow(1, 23) + TICK,
        "failed",
        False,
    )
    assert await account.rows("select outcome, unchanged from analytics.runs order by run_id") == [
        ("applied", 0),
        ("unchanged", 1),
        ("unchanged", 1),
        ("failed", 0),
    ]


async def test_a_rejected_record_is_shown_as_text_until_a_valid_one_arrives(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1))
    await account.poll_body(b'[{"id": 1, "number": null, "state": "active"}, {"id": 2, "number": "\xff\xfe"}]')

    assert await account.rows(
        """
        select virtual_number_id, number, number_key, payload, occurrences
          from analytics.rejected_records order by payload
        """
    ) == [
        (1, "79000000001", "1:1", '{"id": 1, "number": null, "state": "active"}', 1),
        (2, None, "1:2", '{"id": 2, "number": "\\377\\376"}', 1),
    ]
    await account.poll_at(moscow(2), record(1))
    assert await account.rows("select * from analytics.rejected_records") == []


async def test_two_accounts_with_the_same_ids_are_kept_apart(
    account: PolledAccount, engine: Engine, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    settings = settings_for(emulator, account_name="ural", timezone=ZoneInfo("Asia/Yekaterinburg"))
    async with PolledAccount(engine, emulator, sql, settings) as other:
        await account.poll_at(moscow(1, 23), record(1))
        await other.poll(record(1, state="freeze", app_id=7))

    assert await account.rows("select account, number_key, state from analytics.numbers order by 1") == [
        ("default", "1:1", "active"),
        ("ural", "2:1", "freeze"),
    ]
    # 23:00 in Moscow is 01:00 of the next day in Yekaterinburg.
    assert await account.rows("select account, min(day) from analytics.daily_states group by 1 order by 1") == [
        ("default", date(2026, 3, 1)),
        ("ural", date(2026, 3, 2)),
    ]


async def test_a_stay_in_a_state_goes_on_while_its_reasons_change(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1))
    await account.poll_at(moscow(2), record(1, state="debt_lock", reason="долг"))
    await account.poll_at(moscow(3), record(1, state="debt_lock", reason="суд"))
    await account.poll_at(moscow(5), record(1, state="freeze", reason=None))

    spells = "from analytics.state_spells order by valid_from"
    assert await account.rows(f"select state, first_reason, last_reason, duration_seconds / 3600 {spells}") == [
        ("active", None, None, 24),
        ("debt_lock", "долг", "суд", 72),
        ("freeze", None, None, 0),
    ]
    assert await account.rows(f"select began_by, from_state, ended_by, to_state, is_current {spells}") == [
        ("created", None, "changed", "debt_lock", False),
        ("changed", "active", "changed", "freeze", False),
        ("changed", "debt_lock", None, None, True),
    ]
    assert await account.rows(f"select valid_from, valid_to, changed_after, closed_after {spells}") == [
        (moscow(1) + TICK, moscow(2) + TICK, None, moscow(1)),
        (moscow(2) + TICK, moscow(5) + TICK, moscow(1), moscow(3)),
        (moscow(5) + TICK, None, moscow(3), None),
    ]


async def test_a_number_is_in_its_state_since_before_its_reason_changed(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1, state="debt_lock", reason="долг"))
    await account.poll_at(moscow(3), record(1, state="debt_lock", reason="суд"))

    since = "select state_since, state_since_earliest, reason_since, reason_since_earliest from analytics.numbers"
    assert await account.row(since) == (moscow(1) + TICK, None, moscow(3) + TICK, moscow(1))


async def test_a_retired_account_counts_until_its_last_success(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1, from_redirect_numbers=[redirect(2, "7")]))
    await account.poll_at(moscow(3), record(1, from_redirect_numbers=[redirect(2, "7")]))
    await account.stay_due()
    numbers = "select virtual_number_id from analytics.numbers"
    assert await account.rows(numbers) == [(1,)]

    await account.sql.execute("update syncer.account set retired_at = now()")

    last_success = moscow(3) + TICK
    assert await account.rows(numbers) == []
    assert await account.row("select retired_at is not null, removed_at from analytics.numbers_all") == (True, None)
    assert await account.row("select observed_until from analytics.accounts") == (last_success,)
    for view in ("state_history", "state_spells", "redirect_history"):
        lasted = f"select duration_seconds / 3600, is_current from analytics.{view}"  # noqa: S608 - names from this file
        assert await account.row(lasted) == (48, True), view
    for view in ("daily_states", "state_share", "coverage"):
        days = f"select min(day), max(day) from analytics.{view}"  # noqa: S608 - names from this file
        assert await account.row(days) == (date(2026, 3, 1), date(2026, 3, 3)), view
    as_of = "select count(*) from analytics.numbers_as_of($1)"
    assert await account.row(as_of, last_success) == (1,)
    assert await account.row(as_of, last_success + TICK) == (0,)


async def test_nothing_is_known_of_a_moment_that_is_yet_to_come(account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1))
    await account.stay_due()

    assert await account.row("select count(*) from analytics.numbers_as_of(now())") == (1,)
    assert await account.row("select count(*) from analytics.numbers_as_of(now() + interval '1 s')") == (0,)

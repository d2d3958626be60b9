"""What polls write to the tables, shown on the history of a few numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from syncer.diff.content_hash import ContentHash
from syncer.diff.record import DECODER_VERSION
from syncer.errors import DatabaseError
from syncer.store.poll.fingerprints import FingerprintCache, load_fingerprints
from syncer.threads import THREAD_THRESHOLD_BYTES
from tests.builders import APP_ID, XXH3_COLLISION, PolledAccount, record, redirect, settings_for, without

if TYPE_CHECKING:
    from syncer.store.engine import Engine

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)

STATES = """
select virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id
  from syncer.state_period order by virtual_number_id, valid_from
"""
VERSIONS = """
select virtual_number_id, number, comment, valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id
  from syncer.virtual_number_history order by virtual_number_id, valid_from
"""
REDIRECTS = """
select virtual_number_id, redirect_number_id, number, valid_from, valid_to, changed_after, closed_after, run_id,
       closed_run_id
  from syncer.redirect_period order by virtual_number_id, redirect_number_id, number, valid_from
"""
ENDS = """
select 'version' as what, virtual_number_id, valid_to, closed_after, closed_run_id, ended_by
  from syncer.virtual_number_history
 union all
select 'state', virtual_number_id, valid_to, closed_after, closed_run_id, ended_by from syncer.state_history
 union all
select 'redirect', virtual_number_id, valid_to, closed_after, closed_run_id, ended_by
  from syncer.virtual_number_redirect_history
 order by virtual_number_id, valid_to, what
"""
"""What has ended, which is what the histories contain."""
STAYS = """
select state, reason, state_began_by, from_state, to_state, state_since, state_since_earliest
  from syncer.state_period where virtual_number_id = $1 order by valid_from
"""
ABSENCES = """
select virtual_number_id, missing_since, run_id, ended_at, closed_run_id, ended_by
  from syncer.absence_history order by virtual_number_id, missing_since
"""
PRESENCE = """
select virtual_number_id, last_read_at, missing_since, removed_at from syncer.virtual_number order by 1
"""


def recorded_at(moment: datetime) -> datetime:
    """Returns the time that a poll records if it began at `moment` and the clock stands still: a microsecond later."""
    return moment + MICROSECOND


@pytest.fixture(autouse=True)
async def every_invariant_holds_at_the_end(account: PolledAccount) -> object:
    yield
    assert await account.broken_invariants() == []


async def test_the_first_poll_creates_every_number_with_an_open_state(account: PolledAccount) -> None:
    result = await account.poll_at(T0, record(250), record(256, state="debt_lock", reason="долг"))

    assert (result.outcome, result.received, result.created, result.state_changes) == ("applied", 2, 2, 0)
    run = result.run_id
    assert await account.rows(STATES) == [
        (250, "active", None, recorded_at(T0), None, None, None, run, None),
        (256, "debt_lock", "долг", recorded_at(T0), None, None, None, run, None),
    ]
    assert await account.rows(ENDS) == []
    since = "first_seen_at, listed_since, changed_at, state_since, reason_since"
    assert await account.rows(f"select {since} from syncer.virtual_number") == [(recorded_at(T0),) * 5] * 2  # noqa: S608 - names from this test


async def test_a_run_finishes_after_the_time_that_it_records(account: PolledAccount) -> None:
    await account.poll(record(250))
    assert await account.row(
        "select finished_at > observed_at from syncer.sync_run join syncer.account_fence using (account_id)"
    ) == (True,)


async def test_an_account_whose_time_zone_changes_is_the_same_account(account: PolledAccount) -> None:
    await account.poll(record(250))
    settings = settings_for(account.emulator, timezone=ZoneInfo("Asia/Omsk"))
    async with PolledAccount(account.engine, account.emulator, account.sql, settings) as moved:
        assert (await moved.poll(record(250))).outcome == "unchanged"
    assert await account.row("select time_zone from syncer.account") == ("Asia/Omsk",)


async def test_an_account_keeps_the_app_id_of_its_first_records(account: PolledAccount) -> None:
    await account.poll(record(1))
    await account.poll(record(1), record(2, app_id=7), record(3, app_id=7))
    assert await account.row("select app_id from syncer.account") == (APP_ID,)


async def test_the_same_bytes_again_are_unchanged_and_write_only_the_run_and_the_account(
    account: PolledAccount,
) -> None:
    await account.poll(record(250), record(256), record(257, from_redirect_numbers=[redirect(1, "74994088151")]))
    listed = [record(250, state="freeze", from_redirect_numbers=[redirect(249, "74994088157")]), record(256)]
    await account.poll(*listed, trigger="accept_removals")
    written = """
        select relname, n_tup_ins + n_tup_upd + n_tup_del from pg_stat_xact_user_tables where false
         union all select 'numbers', sum(xmin::text::bigint) from syncer.virtual_number
         union all select 'versions', sum(xmin::text::bigint) from syncer.virtual_number_history
         union all select 'states', sum(xmin::text::bigint) from syncer.state_history
         union all select 'ended redirects', sum(xmin::text::bigint) from syncer.virtual_number_redirect_history
         union all select 'absences', sum(xmin::text::bigint) from syncer.absence_history
         union all select 'redirects', sum(xmin::text::bigint) from syncer.virtual_number_redirect
         union all select 'fingerprints', sum(xmin::text::bigint) from syncer.record_fingerprint
    """
    before = await account.rows(written)
    assert [name for name, transactions in before if transactions is None] == []

    result = await account.poll(*listed)

    assert (result.outcome, result.received, result.unchanged, result.created) == ("unchanged", 2, 2, 0)
    assert await account.rows(written) == before


async def test_the_same_bytes_again_count_all_listed_numbers_as_unchanged(account: PolledAccount) -> None:
    await account.poll(record(1), record(2), record(3), record(4), record(5))
    await account.poll(record(2), record(3), record(4), record(5), trigger="accept_removals")
    response = [record(1), record(2, comment="new"), *map(record, (3, 4, 5, 6, 7)), record(8, number="")]
    first = await account.poll(*response)

    again = await account.poll(*response)

    assert (first.restored, first.changed, first.unchanged, first.created, first.rejected) == (1, 1, 3, 2, 1)
    assert (again.outcome, again.received, again.unchanged, again.rejected) == ("unchanged", 8, 7, 1)
    assert (again.restored, again.changed, again.created) == (0, 0, 0)


async def test_reordered_and_reformatted_records_are_no_change(account: PolledAccount) -> None:
    await account.poll(record(250, purpose="company"), record(256))

    reordered = await account.poll(record(256), record(250, purpose="company"))
    reformatted = await account.poll_body(
        json.dumps([record(250, purpose="сompany", from_redirect_numbers=None), record(256)], indent=4).encode()
    )

    assert (reordered.outcome, reordered.unchanged) == ("unchanged", 2)
    assert (reformatted.outcome, reformatted.unchanged) == ("unchanged", 2)


async def test_a_change_of_state_closes_one_period_and_opens_the_next_with_its_window(
    account: PolledAccount,
) -> None:
    first = await account.poll_at(T0, record(250))
    await account.poll_at(T0 + HOUR, record(250))

    changed = await account.poll_at(T0 + 2 * HOUR, record(250, state="debt_lock", reason="долг"))

    assert (changed.changed, changed.state_changes, changed.unchanged) == (1, 1, 0)
    assert await account.rows(STATES) == [
        (
            *(250, "active", None, recorded_at(T0), recorded_at(T0 + 2 * HOUR), None, T0 + HOUR),
            *(first.run_id, changed.run_id),
        ),
        (250, "debt_lock", "долг", recorded_at(T0 + 2 * HOUR), None, T0 + HOUR, None, changed.run_id, None),
    ]
    ended = (250, recorded_at(T0 + 2 * HOUR), T0 + HOUR, changed.run_id, "changed")
    assert await account.rows(ENDS) == [("state", *ended), ("version", *ended)]
    assert await account.rows(STAYS, 250) == [
        ("active", None, "created", None, "debt_lock", recorded_at(T0), None),
        ("debt_lock", "долг", "changed", "active", None, recorded_at(T0 + 2 * HOUR), T0 + HOUR),
    ]


async def test_a_change_of_reason_alone_is_a_change_of_state(account: PolledAccount) -> None:
    await account.poll(record(250, state="freeze", reason="a"))

    result = await account.poll(record(250, state="freeze", reason=None))

    assert (result.changed, result.state_changes) == (1, 1)
    assert await account.rows(
        "select state, reason, valid_to is null from syncer.state_period order by valid_from"
    ) == [
        ("freeze", "a", False),
        ("freeze", None, True),
    ]


async def test_a_number_that_changes_its_reason_has_been_in_its_state_since_it_came_into_it(
    account: PolledAccount,
) -> None:
    for hours, (state, reason) in enumerate([("active", None), ("freeze", "a"), ("freeze", "b"), ("active", None)]):
        await account.poll_at(T0 + hours * HOUR, record(250, state=state, reason=reason))

    frozen_at = recorded_at(T0 + HOUR)
    assert await account.rows(STAYS, 250) == [
        ("active", None, "created", None, "freeze", recorded_at(T0), None),
        ("freeze", "a", "changed", "active", "freeze", frozen_at, T0),
        ("freeze", "b", "changed", "active", "active", frozen_at, T0),
        ("active", None, "changed", "freeze", None, recorded_at(T0 + 3 * HOUR), T0 + 2 * HOUR),
    ]


async def test_a_change_of_another_column_archives_the_old_version_and_keeps_the_state_period(
    account: PolledAccount,
) -> None:
    first = await account.poll_at(T0, record(250, comment="old"))

    changed = await account.poll_at(T0 + HOUR, record(250, comment="new"))

    assert (changed.changed, changed.state_changes) == (1, 0)
    assert await account.rows(VERSIONS) == [
        (250, "79000000250", "old", recorded_at(T0), recorded_at(T0 + HOUR), None, T0, first.run_id, changed.run_id)
    ]
    assert await account.row("select comment, changed_at, changed_after, run_id from syncer.virtual_number") == (
        "new",
        recorded_at(T0 + HOUR),
        T0,
        changed.run_id,
    )
    assert len(await account.rows(STATES)) == 1
    assert await account.rows(ENDS) == [("version", 250, recorded_at(T0 + HOUR), T0, changed.run_id, "changed")]
    assert await account.row(
        "select state_since, state_since_earliest, reason_since, reason_since_earliest, reason_run_id"
        "  from syncer.virtual_number"
    ) == (recorded_at(T0), None, recorded_at(T0), None, first.run_id)


async def test_redirects_open_and_close_by_id_and_number_without_a_new_version(account: PolledAccount) -> None:
    first = await account.poll_at(
        T0, record(250, from_redirect_numbers=[redirect(249, "74994088157"), redirect(678, "78009966666")])
    )

    changed = await account.poll_at(
        T0 + HOUR, record(250, from_redirect_numbers=[redirect(678, "78009966666"), redirect(249, "74990000000")])
    )

    assert (first.redirects_opened, changed.redirects_opened, changed.redirects_closed) == (2, 1, 1)
    assert (changed.changed, changed.state_changes) == (1, 0)
    assert await account.rows(REDIRECTS) == [
        (250, 249, "74990000000", recorded_at(T0 + HOUR), None, T0, None, changed.run_id, None),
        (
            *(250, 249, "74994088157", recorded_at(T0), recorded_at(T0 + HOUR), None, T0),
            *(first.run_id, changed.run_id),
        ),
        (250, 678, "78009966666", recorded_at(T0), None, None, None, first.run_id, None),
    ]
    assert await account.rows(ENDS) == [("redirect", 250, recorded_at(T0 + HOUR), T0, changed.run_id, "changed")]
    assert await account.rows("select redirect_number_id, number from syncer.virtual_number_redirect order by 1") == [
        (249, "74990000000"),
        (678, "78009966666"),
    ]
    assert await account.rows(VERSIONS) == []


async def test_closing_a_redirect_keeps_others_with_the_same_id_or_number_and_those_of_other_numbers(
    account: PolledAccount,
) -> None:
    kept = [redirect(8, "74950000009"), redirect(9, "74950000008")]
    closed, other = redirect(8, "74950000008"), redirect(7, "74950000007")
    await account.poll(
        record(1, from_redirect_numbers=[closed, *kept]), record(2, from_redirect_numbers=[closed, other])
    )

    result = await account.poll(record(1, from_redirect_numbers=kept), record(2, from_redirect_numbers=[closed]))

    assert result.redirects_closed == 2
    assert [row[:3] for row in await account.rows(REDIRECTS) if row[4] is None] == [
        (1, 8, "74950000009"),
        (1, 9, "74950000008"),
        (2, 8, "74950000008"),
    ]


async def test_a_redirect_that_disappears_twice_has_two_closed_periods(account: PolledAccount) -> None:
    for hours, redirects in enumerate(([redirect(249, "74994088157")], []) * 2):
        await account.poll_at(T0 + hours * HOUR, record(250, from_redirect_numbers=redirects))

    assert [row[3:5] for row in await account.rows(REDIRECTS)] == [
        (recorded_at(T0), recorded_at(T0 + HOUR)),
        (recorded_at(T0 + 2 * HOUR), recorded_at(T0 + 3 * HOUR)),
    ]


async def test_the_window_of_a_new_number_begins_at_the_last_successful_poll(account: PolledAccount) -> None:
    await account.poll_at(T0, record(250))

    result = await account.poll_at(T0 + HOUR, record(250), record(256))

    assert (result.created, result.unchanged) == (1, 1)
    assert await account.row(
        "select changed_after, first_seen_at from syncer.virtual_number where virtual_number_id = 256"
    ) == (
        T0,
        recorded_at(T0 + HOUR),
    )


async def test_a_removal_within_the_guards_ratio_is_applied_immediately(account: PolledAccount) -> None:
    numbers = [record(key) for key in range(1, 11)]
    numbers[0]["from_redirect_numbers"] = [redirect(99, "74950000099")]
    await account.poll_at(T0, *numbers)

    result = await account.poll_at(T0 + HOUR, *numbers[1:])

    assert (result.outcome, result.removed, result.held, result.redirects_closed) == ("applied", 1, 0, 1)
    assert (await account.rows(PRESENCE))[0] == (1, T0, recorded_at(T0 + HOUR), recorded_at(T0 + HOUR))
    assert await account.rows(ENDS) == [
        (ended, 1, recorded_at(T0 + HOUR), T0, result.run_id, "removed") for ended in ("redirect", "state", "version")
    ]
    assert await account.rows(ABSENCES) == [
        (1, recorded_at(T0 + HOUR), result.run_id, recorded_at(T0 + HOUR), result.run_id, "removed")
    ]
    assert await account.row(
        "select missing_run_id, removed_run_id from syncer.virtual_number where removed_at is not null"
    ) == (result.run_id, result.run_id)
    assert await account.rows("select * from syncer.virtual_number_redirect") == []


async def test_numbers_that_are_removed_together_each_end_when_they_were_first_missed(account: PolledAccount) -> None:
    ended, kept, other = redirect(90, "74950000090"), redirect(91, "74950000091"), redirect(92, "74950000092")
    second, third = record(2, from_redirect_numbers=[other]), record(3)
    await account.poll_at(T0, record(1, from_redirect_numbers=[ended, kept]), second, third)
    await account.poll_at(T0 + HOUR, record(1, from_redirect_numbers=[kept]), second, third)
    await account.poll_at(T0 + 2 * HOUR, second, third)
    await account.poll_at(T0 + 3 * HOUR, third)

    accepted = await account.poll_at(T0 + 4 * HOUR, third, trigger="accept_removals")

    assert (accepted.removed, accepted.redirects_closed) == (2, 2)
    assert [(*row[:2], row[4], row[6]) for row in await account.rows(REDIRECTS)] == [
        (1, 90, recorded_at(T0 + HOUR), T0),
        (1, 91, recorded_at(T0 + 2 * HOUR), T0 + HOUR),
        (2, 92, recorded_at(T0 + 3 * HOUR), T0 + 2 * HOUR),
    ]
    assert [(row[0], row[4], row[6]) for row in await account.rows(STATES)] == [
        (1, recorded_at(T0 + 2 * HOUR), T0 + HOUR),
        (2, recorded_at(T0 + 3 * HOUR), T0 + 2 * HOUR),
        (3, None, None),
    ]
    assert [(ended, number, how) for ended, number, *_, how in await account.rows(ENDS)] == [
        ("redirect", 1, "changed"),
        *((ended, number, "removed") for number in (1, 2) for ended in ("redirect", "state", "version")),
    ]
    assert await account.rows("select virtual_number_id from syncer.record_fingerprint") == [(3,)]


async def test_too_many_removals_are_held_while_everything_else_is_applied(account: PolledAccount) -> None:
    await account.poll_at(T0, *(record(key) for key in range(1, 11)))

    result = await account.poll_at(T0 + HOUR, record(1, state="freeze"), *(record(key) for key in range(2, 8)))

    assert (result.outcome, result.held, result.removed, result.state_changes) == ("applied", 3, 0, 1)
    assert (await account.rows(PRESENCE))[-1] == (10, T0, recorded_at(T0 + HOUR), None)


async def test_held_removals_are_applied_after_the_hold_time_and_dated_when_they_were_first_missed(
    account: PolledAccount,
) -> None:
    records = [record(key) for key in range(1, 5)]
    await account.poll_at(T0, *records)
    first = await account.poll_at(T0 + HOUR, records[0])
    early = await account.poll_at(T0 + 24 * HOUR, records[0])

    late = await account.poll_at(T0 + 26 * HOUR, records[0])

    assert (early.outcome, early.held, early.removed) == ("unchanged", 3, 0)
    assert (late.outcome, late.held, late.removed) == ("applied", 0, 3)
    assert (await account.rows(PRESENCE))[1:] == [
        (key, T0, recorded_at(T0 + HOUR), recorded_at(T0 + HOUR)) for key in (2, 3, 4)
    ]
    assert await account.rows(ENDS) == [
        (ended, key, recorded_at(T0 + HOUR), T0, late.run_id, "removed")
        for key in (2, 3, 4)
        for ended in ("state", "version")
    ]
    assert await account.rows(ABSENCES) == [
        (key, recorded_at(T0 + HOUR), first.run_id, recorded_at(T0 + 26 * HOUR), late.run_id, "removed")
        for key in (2, 3, 4)
    ]


async def test_missing_numbers_that_return_are_unchanged(account: PolledAccount) -> None:
    await account.poll_at(T0, record(1), record(2))
    missed = await account.poll_at(T0 + HOUR, record(1))
    run_of_absence = "select missing_run_id from syncer.virtual_number order by virtual_number_id"
    assert await account.rows(run_of_absence) == [(None,), (missed.run_id,)]
    assert await account.rows(ABSENCES) == []

    result = await account.poll_at(T0 + 2 * HOUR, record(1), record(2))

    assert (result.outcome, result.changed, result.restored, result.unchanged, result.held) == ("applied", 0, 0, 2, 0)
    assert await account.rows(PRESENCE) == [(1, None, None, None), (2, None, None, None)]
    assert await account.rows(run_of_absence) == [(None,), (None,)]
    assert await account.rows(ABSENCES) == [
        (2, recorded_at(T0 + HOUR), missed.run_id, recorded_at(T0 + 2 * HOUR), result.run_id, "returned")
    ]
    assert await account.rows(ENDS) == []


async def test_an_absence_ends_when_the_number_is_listed_again_even_with_a_rejected_record(
    account: PolledAccount,
) -> None:
    await account.poll_at(T0, record(1), record(2))
    missed = await account.poll_at(T0 + HOUR, record(1))

    rejected = await account.poll_at(T0 + 2 * HOUR, record(1), record(2, state=None))
    await account.poll_at(T0 + 3 * HOUR, record(1), record(2))

    assert (rejected.rejected, rejected.held) == (1, 0)
    assert await account.rows(ABSENCES) == [
        (2, recorded_at(T0 + HOUR), missed.run_id, recorded_at(T0 + 2 * HOUR), rejected.run_id, "returned")
    ]


async def test_the_window_of_a_change_after_an_absence_begins_at_the_last_poll_that_read_the_number(
    account: PolledAccount,
) -> None:
    await account.poll_at(T0, record(1), record(2))
    missed = await account.poll_at(T0 + HOUR, record(1))

    returned = await account.poll_at(T0 + 2 * HOUR, record(1), record(2, state="freeze"))

    assert (await account.rows(STATES))[-1][:6] == (2, "freeze", None, recorded_at(T0 + 2 * HOUR), None, T0)
    assert await account.rows(ABSENCES) == [
        (2, recorded_at(T0 + HOUR), missed.run_id, recorded_at(T0 + 2 * HOUR), returned.run_id, "returned")
    ]


async def test_numbers_that_change_in_one_poll_each_have_their_own_window(account: PolledAccount) -> None:
    await account.poll_at(T0, record(1), record(2), record(3))
    await account.poll_at(T0 + HOUR, record(1), record(3))

    await account.poll_at(T0 + 2 * HOUR, *(record(key, state="freeze") for key in (1, 2, 3)))

    assert await account.rows(
        "select virtual_number_id, valid_to, closed_after from syncer.state_history"
        " where valid_to is not null order by virtual_number_id"
    ) == [
        (1, recorded_at(T0 + 2 * HOUR), T0 + HOUR),
        (2, recorded_at(T0 + 2 * HOUR), T0),
        (3, recorded_at(T0 + 2 * HOUR), T0 + HOUR),
    ]


async def test_removals_that_an_operator_accepts_are_applied(account: PolledAccount) -> None:
    await account.poll(record(1), record(2))
    held = await account.poll(record(1))

    accepted = await account.poll(record(1), trigger="accept_removals")

    assert (held.held, accepted.held, accepted.removed) == (1, 0, 1)
    assert held.exit_code == 3
    assert accepted.exit_code == 0


async def test_an_empty_list_removes_no_numbers_without_the_operator(account: PolledAccount) -> None:
    await account.poll_at(T0, record(1), record(2))

    first = await account.poll_at(T0 + HOUR)
    much_later = await account.poll_at(T0 + 1000 * HOUR)
    accepted = await account.poll_at(T0 + 1001 * HOUR, trigger="accept_removals")

    assert (first.held, much_later.held, much_later.removed, accepted.removed) == (2, 2, 0, 2)
    assert await account.rows(ABSENCES) == [
        (key, recorded_at(T0 + HOUR), first.run_id, recorded_at(T0 + 1001 * HOUR), accepted.run_id, "removed")
        for key in (1, 2)
    ]


async def test_a_removed_number_that_returns_is_restored_with_a_gap_in_its_history(account: PolledAccount) -> None:
    redirects = [redirect(249, "74994088157")]
    first = await account.poll_at(T0, record(1), record(2, from_redirect_numbers=redirects))
    removal = await account.poll_at(T0 + HOUR, record(1), trigger="accept_removals")
    await account.poll_at(T0 + 2 * HOUR, record(1))

    restored = await account.poll_at(
        T0 + 3 * HOUR, record(1), without(record(2, state="freeze"), "from_redirect_numbers", "comment")
    )

    assert (restored.restored, restored.changed, restored.created, restored.state_changes) == (1, 0, 0, 0)
    assert restored.redirects_opened == 1
    returned_at, removed_at = recorded_at(T0 + 3 * HOUR), recorded_at(T0 + HOUR)
    assert (await account.rows(STATES))[1:] == [
        (2, "active", None, recorded_at(T0), removed_at, None, T0, first.run_id, removal.run_id),
        (2, "freeze", None, returned_at, None, T0 + 2 * HOUR, None, restored.run_id, None),
    ]
    assert await account.rows(VERSIONS) == [
        (2, "79000000002", None, recorded_at(T0), removed_at, None, T0, first.run_id, removal.run_id)
    ]
    assert await account.rows(STAYS, 2) == [
        ("active", None, "created", None, None, recorded_at(T0), None),
        ("freeze", None, "restored", None, None, returned_at, T0 + 2 * HOUR),
    ]
    assert await account.rows(
        "select state, began_by, ended_by from syncer.number_version where virtual_number_id = 2 order by valid_from"
    ) == [("active", "created", "removed"), ("freeze", "restored", None)]
    assert await account.row(
        "select first_seen_at, listed_since, removed_run_id, missing_run_id from syncer.virtual_number"
        " where virtual_number_id = 2"
    ) == (recorded_at(T0), returned_at, None, None)
    assert {(ended, how) for ended, *_, how in await account.rows(ENDS)} == {
        ("redirect", "removed"),
        ("state", "removed"),
        ("version", "removed"),
    }
    assert [row[2:5] for row in await account.rows(REDIRECTS)] == [
        ("74994088157", recorded_at(T0), removed_at),
        ("74994088157", returned_at, None),
    ]


async def test_each_version_of_a_number_removed_twice_ends_with_its_own_removal(account: PolledAccount) -> None:
    runs = []
    for hours, listed in enumerate(([1, 2], [1], [1, 2], [1], [1, 2])):
        result = await account.poll_at(T0 + hours * HOUR, *map(record, listed), trigger="accept_removals")
        runs.append(result.run_id)

    assert [(*row[3:5], *row[7:]) for row in await account.rows(VERSIONS)] == [
        (recorded_at(T0), recorded_at(T0 + HOUR), runs[0], runs[1]),
        (recorded_at(T0 + 2 * HOUR), recorded_at(T0 + 3 * HOUR), runs[2], runs[3]),
    ]
    assert await account.rows(
        "select began_by, ended_by from syncer.number_version where virtual_number_id = 2 order by valid_from"
    ) == [
        ("created", "removed"),
        ("restored", "removed"),
        ("restored", None),
    ]
    assert [(*row[1:3], row[4]) for row in await account.rows(ABSENCES)] == [
        (recorded_at(T0 + HOUR), runs[1], runs[1]),
        (recorded_at(T0 + 3 * HOUR), runs[3], runs[3]),
    ]
    assert await account.row("select listed_since from syncer.virtual_number where virtual_number_id = 2") == (
        recorded_at(T0 + 4 * HOUR),
    )


async def test_the_version_of_a_removed_number_is_archived_with_its_removal_and_not_again_when_it_returns(
    account: PolledAccount,
) -> None:
    await account.poll_at(T0, record(1), record(2, comment="a"))
    await account.poll_at(T0 + HOUR, record(1), record(2, comment="b"))
    removal = await account.poll_at(T0 + 2 * HOUR, record(1), trigger="accept_removals")
    archived = "select comment, valid_to, closed_run_id, began_by, ended_by from syncer.virtual_number_history"
    rows = await account.rows(archived)
    assert rows[1:] == [("b", recorded_at(T0 + 2 * HOUR), removal.run_id, "changed", "removed")]

    await account.poll_at(T0 + 3 * HOUR, record(1), record(2, comment="c"))

    assert await account.rows(archived) == rows


async def test_a_restored_number_that_changes_its_reason_was_restored_into_its_state(account: PolledAccount) -> None:
    for hours, listed in enumerate(([record(2)], [], [record(2)], [record(2, reason="a")])):
        await account.poll_at(T0 + hours * HOUR, record(1), *listed, trigger="accept_removals")

    returned_at = recorded_at(T0 + 2 * HOUR)
    assert await account.rows(STAYS, 2) == [
        ("active", None, "created", None, None, recorded_at(T0), None),
        ("active", None, "restored", None, "active", returned_at, T0 + HOUR),
        ("active", "a", "restored", None, None, returned_at, T0 + HOUR),
    ]


async def test_an_absent_key_keeps_the_last_known_value(account: PolledAccount) -> None:
    await account.poll(record(1, comment="note", from_redirect_numbers=[redirect(2, "74950000002")]))

    result = await account.poll(without(record(1), "comment", "from_redirect_numbers", "app_id", "region_name"))

    assert (result.outcome, result.unchanged) == ("unchanged", 1)
    assert await account.row("select comment, app_id from syncer.virtual_number") == ("note", APP_ID)


async def test_a_change_without_the_region_key_keeps_the_region(account: PolledAccount) -> None:
    await account.poll(record(1, region_name="Луна"))

    changed = await account.poll(without(record(1, comment="new"), "region_name"))

    assert (changed.outcome, changed.changed) == ("applied", 1)
    assert await account.row(
        "select comment, name from syncer.virtual_number join syncer.region using (region_id)"
    ) == (
        "new",
        "Луна",
    )


async def test_a_number_without_a_region_changes_as_any_other(account: PolledAccount) -> None:
    await account.poll(record(1, region_name=None))
    changed = await account.poll(record(1, region_name=None, comment="new"))
    assert (changed.outcome, changed.changed, changed.created) == ("applied", 1, 0)


async def test_fields_without_a_column_are_replaced_and_make_no_version(account: PolledAccount) -> None:
    await account.poll(record(1, tariff={"name": "новый", "price": 1.5}))

    result = await account.poll(record(1, tariff=None, vip=True))

    assert (result.outcome, result.changed, result.unchanged) == ("applied", 0, 1)
    extra, versions = await account.row(
        "select extra::text, (select count(*) from syncer.virtual_number_history) from syncer.virtual_number"
    )
    assert (json.loads(extra), versions) == ({"tariff": None, "vip": True}, 0)


async def test_each_number_keeps_its_own_fields_without_a_column(account: PolledAccount) -> None:
    await account.poll(record(1, x=1), record(2, x=2), record(3, x=3))

    result = await account.poll(record(1, x=4), record(2, x=5), record(3, x=3))

    assert (result.outcome, result.unchanged) == ("applied", 3)
    assert await account.rows("select extra->>'x' from syncer.virtual_number order by virtual_number_id") == [
        ("4",),
        ("5",),
        ("3",),
    ]


async def test_fields_without_a_column_are_replaced_with_the_version_too(account: PolledAccount) -> None:
    await account.poll(record(1, x=1))

    await account.poll(record(1, comment="new", x=2))

    assert await account.row("select comment, extra->>'x' from syncer.virtual_number") == ("new", "2")


async def test_new_lookup_values_are_stored_as_undocumented(account: PolledAccount) -> None:
    await account.poll(record(1, state="porting", type="satellite", purpose="robot", region_name="Луна"))

    assert await account.rows("select state, documented from syncer.number_state where not documented") == [
        ("porting", False)
    ]
    assert await account.rows("select type from syncer.number_type where not documented") == [("satellite",)]
    assert await account.rows("select purpose from syncer.number_purpose where not documented") == [("robot",)]
    assert await account.row("select name from syncer.virtual_number join syncer.region using (region_id)") == ("Луна",)


async def test_a_rejected_record_keeps_the_last_good_values_and_is_not_missing(account: PolledAccount) -> None:
    await account.poll_at(T0, record(1), record(2))
    broken = record(2, number=None)

    first = await account.poll_at(T0 + HOUR, record(1), broken)
    again = await account.poll_at(T0 + 2 * HOUR, record(1), broken)
    reordered = await account.poll_at(T0 + 2 * HOUR, broken, record(1))

    assert (first.outcome, first.rejected, first.held, first.removed) == ("applied", 1, 0, 0)
    assert [(result.outcome, result.rejected) for result in (again, reordered)] == [("unchanged", 1)] * 2
    assert first.exit_code == 3
    number, error, payload, occurrences = await account.row(
        "select virtual_number_id, error, payload, occurrences from syncer.rejected_record"
    )
    assert (number, error, occurrences) == (2, "Expected `str`, got `null` - at `$.number`", 1)
    assert json.loads(payload) == broken
    assert await account.rows(PRESENCE) == [(1, None, None, None), (2, T0, None, None)]

    good = await account.poll_at(T0 + 3 * HOUR, record(1), record(2))

    assert (good.outcome, good.changed, good.unchanged, good.rejected) == ("applied", 0, 2, 0)
    assert await account.rows(PRESENCE) == [(1, None, None, None), (2, None, None, None)]


async def test_the_same_rejected_bytes_in_a_later_applied_poll_count_as_another_occurrence(
    account: PolledAccount,
) -> None:
    await account.poll(record(1), record(2, number=None))
    await account.poll(record(1, comment="x"), record(2, number=None))

    assert await account.row("select occurrences, last_run_id - first_run_id from syncer.rejected_record") == (2, 1)


async def test_the_error_that_an_older_version_wrote_for_a_rejected_record_is_replaced(account: PolledAccount) -> None:
    await account.poll(record(1), record(2, number=None))
    await account.sql.execute("update syncer.rejected_record set error = 'not to its taste'")

    await account.poll(record(1, comment="x"), record(2, number=None))

    assert await account.row("select error from syncer.rejected_record") == (
        "Expected `str`, got `null` - at `$.number`",
    )


async def test_a_record_whose_id_cannot_be_read_holds_all_removals_but_accepted_ones(account: PolledAccount) -> None:
    await account.poll_at(T0, *(record(key) for key in range(1, 11)))
    broken = record(1) | {"id": "one"}

    listed = [broken, *(record(key) for key in range(2, 11))]

    held = await account.poll_at(T0 + HOUR, *listed)
    accepted = await account.poll_at(T0 + 2 * HOUR, *listed, trigger="accept_removals")

    assert (held.rejected, held.held, held.removed) == (1, 1, 0)
    assert (accepted.rejected, accepted.held, accepted.removed) == (1, 0, 1)


async def test_two_different_records_with_one_id_are_both_rejected_and_two_identical_ones_are_one(
    account: PolledAccount,
) -> None:
    await account.poll(record(1), record(2))

    result = await account.poll(record(1), record(1), record(2), record(2, comment="another"))

    assert (result.received, result.unchanged, result.rejected) == (4, 1, 2)
    assert (result.outcome, result.changed) == ("applied", 0)
    assert await account.rows("select virtual_number_id from syncer.rejected_record") == [(2,), (2,)]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "not_json"),
        (b"[", "not_json"),
        (b"<!DOCTYPE html><html></html>", "not_json"),
        (b"{}", "not_an_array"),
        (b"null", "not_an_array"),
        (json.dumps([record(1, app_id=7)]).encode(), "wrong_account"),
    ],
)
async def test_a_bad_response_changes_nothing_but_its_run(account: PolledAccount, body: bytes, kind: str) -> None:
    await account.poll(record(1), record(2))
    before = await account.rows(PRESENCE), await account.rows(STATES)

    result = await account.poll_body(body)

    assert (result.outcome, result.error_kind, result.exit_code) == ("failed", kind, 1)
    assert result.error
    assert await account.row(
        "select outcome, error_kind, error, http_status, response_bytes from syncer.sync_run where run_id = $1",
        result.run_id,
    ) == ("failed", kind, result.error, 200, len(body))
    assert (await account.rows(PRESENCE), await account.rows(STATES)) == before


async def test_the_vendors_truncated_example_is_rejected_as_a_whole(account: PolledAccount) -> None:
    samples = Path(__file__).parent.parent / "samples"
    whole = (samples / "documented.json").read_bytes()
    await account.poll_body(whole)

    result = await account.poll_body((samples / "documented-truncated.json").read_bytes())

    assert (result.outcome, result.error_kind) == ("failed", "not_json")
    assert await account.rows(
        """
        select n.number, n.state, n.dgn_number, n.redirect_number, r.name
          from syncer.virtual_number n join syncer.region r using (region_id) order by 1
        """
    ) == [
        ("79208547433", "active", None, "74994088157", "Брянская область"),
        ("79267053890", "active", "74954789551", None, "регион Москва"),
    ]


async def test_text_that_postgresql_cannot_store_is_replaced_and_fails_no_record(account: PolledAccount) -> None:
    body = json.dumps([record(1, comment="a\x00b", note="\ud800"), record(2, comment="\ud83d alone")]).encode()

    result = await account.poll_body(body)

    assert (result.outcome, result.created, result.rejected) == ("applied", 2, 0)
    assert await account.rows(
        "select comment, extra->>'note' from syncer.virtual_number order by virtual_number_id"
    ) == [
        ("a\ufffdb", "\ufffd"),
        ("\ufffd alone", None),
    ]


async def test_a_poll_without_cached_fingerprints_finds_the_same_changes(account: PolledAccount) -> None:
    await account.poll(record(1), record(2))
    account.restart()

    result = await account.poll(record(1), record(2, state="freeze"))

    assert (result.changed, result.unchanged, result.state_changes) == (1, 1, 1)


async def test_a_new_process_finds_the_changes_of_a_large_response(account: PolledAccount) -> None:
    records = [record(number, comment="x" * 300) for number in range(1, 1_001)]
    assert len(json.dumps(records)) > THREAD_THRESHOLD_BYTES
    await account.poll(*records)
    account.restart()

    result = await account.poll(record(1, comment="y"), *records[1:999], record(1_001))

    assert (result.outcome, result.changed, result.unchanged, result.created) == ("applied", 1, 998, 1)
    changed = (
        "select virtual_number_id, comment from syncer.virtual_number where comment is distinct from $1 order by 1"
    )
    assert await account.rows(changed, "x" * 300) == [(1, "y"), (1_001, record(1_001)["comment"])]
    assert await account.rows(
        "select virtual_number_id from syncer.virtual_number where missing_since is not null"
    ) == [(1_000,)]


@pytest.mark.parametrize(
    ("number", "comment"),
    [(1, "y" * 300), (1_000, "y" * 300), (1_000, "longer" * 300)],
    ids=["another start", "another end", "another size"],
)
async def test_a_large_response_is_compared_with_its_own_digest_the_next_time(
    account: PolledAccount, number: int, comment: str
) -> None:
    records = [record(number, comment="x" * 300) for number in range(1, 1_001)]
    before = json.dumps(records).encode()
    records[number - 1] = record(number, comment=comment)
    after = json.dumps(records).encode()
    content_hash = ContentHash(*await account.row("select key from syncer.hash_key"))
    outcomes = []

    for body in (before, after, after, before, before):
        result = await account.poll_body(body)
        outcomes.append((result.outcome, result.changed, result.unchanged))
        assert await account.row("select body_digest from syncer.account_fence") == (content_hash(body),)

    once, again = ("applied", 1, 999), ("unchanged", 0, 1_000)
    assert outcomes == [("applied", 0, 0), once, again, once, again]


async def test_a_new_process_records_nothing_of_a_large_response_that_was_cut_short(account: PolledAccount) -> None:
    records = [record(number, comment="x" * 300) for number in range(1, 1_001)]
    await account.poll(*records)
    account.restart()

    cut = await account.poll_body(json.dumps([record(1, comment="y"), *records[1:]]).encode()[:-1])
    whole = await account.poll_body(json.dumps([record(1, comment="z"), *records[1:]]).encode())

    assert (cut.outcome, cut.error_kind) == ("failed", "not_json")
    assert (whole.outcome, whole.changed, whole.unchanged) == ("applied", 1, 999)


async def test_a_new_process_records_that_a_number_changed_back(
    account: PolledAccount,
) -> None:
    await account.poll(record(1), record(2))
    await account.poll(record(1, state="freeze"), record(2))
    account.restart()

    back = await account.poll(record(1), record(2))

    assert (back.outcome, back.state_changes) == ("applied", 1)


async def test_deleted_fingerprints_cost_time_and_nothing_else(account: PolledAccount) -> None:
    await account.poll(record(1), record(2), record(3))
    await account.sql.execute("delete from syncer.record_fingerprint")
    account.restart()

    result = await account.poll(record(3), record(1), record(2))
    missing = await account.poll(record(3), record(1))

    assert (result.outcome, result.unchanged) == ("unchanged", 3)
    assert (missing.held, missing.unchanged) == (1, 2)


async def test_a_number_without_a_fingerprint_is_still_removed_when_missing(account: PolledAccount) -> None:
    await account.poll(*map(record, range(1, 11)))
    await account.sql.execute("delete from syncer.record_fingerprint where virtual_number_id = 1")
    account.restart()
    assert (await account.poll(*map(record, range(2, 11)))).removed == 1
    assert await account.rows("select virtual_number_id from syncer.virtual_number where removed_at is not null") == [
        (1,)
    ]


async def test_a_fingerprint_of_a_removed_number_does_not_hide_its_return(account: PolledAccount) -> None:
    await account.poll(*map(record, range(1, 11)))
    (fingerprint_row,) = await account.rows(
        "select account_id, virtual_number_id, fingerprint, decoder_version from syncer.record_fingerprint "
        "where virtual_number_id = 1"
    )
    assert (await account.poll(*map(record, range(2, 11)))).removed == 1
    await account.sql.execute("insert into syncer.record_fingerprint values ($1, $2, $3, $4)", *fingerprint_row)
    account.restart()
    assert (await account.poll(*map(record, range(1, 11)))).restored == 1
    assert await account.rows("select count(*) from syncer.virtual_number where removed_at is null") == [(10,)]


async def test_records_that_an_older_decoder_read_are_decoded_again_even_if_no_byte_changed(
    account: PolledAccount,
) -> None:
    await account.poll(record(1, comment="note"), record(2))
    await account.sql.execute("set session_replication_role = replica")  # no trigger asks for a run
    await account.sql.execute("update syncer.virtual_number set comment = null")
    await account.sql.execute("reset session_replication_role")
    await account.sql.execute("update syncer.record_fingerprint set decoder_version = 0")
    await account.sql.execute("update syncer.account_fence set decoder_version = 0")
    account.restart()

    again = await account.poll(record(1, comment="note"), record(2))

    assert (again.outcome, again.changed, again.unchanged) == ("applied", 1, 1)
    assert await account.rows(
        "select decoder_version from syncer.record_fingerprint union select decoder_version from syncer.account_fence"
    ) == [(DECODER_VERSION,)]


@pytest.mark.parametrize("fingerprint", [b"", b"d" * 15, b"d" * 17])
async def test_fingerprints_of_another_length_are_ignored(account: PolledAccount, fingerprint: bytes) -> None:
    await account.poll(record(1), record(2), record(3))
    await account.sql.execute(
        "update syncer.record_fingerprint set fingerprint = $1 where virtual_number_id = 2", fingerprint
    )
    account.restart()

    result = await account.poll(record(3), record(1), record(2))

    assert (result.outcome, result.unchanged) == ("unchanged", 3)


async def test_a_clock_that_jumps_back_makes_no_empty_period(account: PolledAccount) -> None:
    await account.poll_at(T0, record(1))
    await account.poll_at(T0 - 10 * HOUR, record(1, state="freeze"))
    await account.poll_at(T0 - 20 * HOUR, record(1, state="active"))

    assert [row[3:5] for row in await account.rows(STATES)] == [
        (T0 + MICROSECOND, T0 + 2 * MICROSECOND),
        (T0 + 2 * MICROSECOND, T0 + 3 * MICROSECOND),
        (T0 + 3 * MICROSECOND, None),
    ]


async def test_numbers_beyond_a_double_are_stored_exactly_and_compare_equal(account: PolledAccount) -> None:
    fields = (
        '"a": 1e400, "b": 0.1000000000000000055511151231257827, "c": [' + "9" * 5000 + '], "d": 1e131072, "e": -0.0'
    )
    body = json.dumps([record(1)])[:-2] + ", " + fields + "}]"
    assert (await account.poll_body(body.encode())).created == 1

    again = await account.poll_body(body.replace("1e400", "10e399").replace('"a"', ' "a"').encode())
    assert (again.outcome, again.unchanged) == ("unchanged", 1)
    await account.sql.execute("delete from syncer.record_fingerprint")
    account.restart()
    assert (await account.poll_body(body.encode() + b" ")).outcome == "unchanged"
    assert await account.row(
        "select extra->>'a' = '1' || repeat('0', 400), extra->>'b', extra->'c'->>0 = repeat('9', 5000), "
        "jsonb_typeof(extra->'d'), extra->>'d' from syncer.virtual_number"
    ) == (True, "0.1000000000000000055511151231257827", True, "string", "1e131072")


async def test_a_new_field_of_a_redirect_is_kept_and_counts_as_a_new_field_of_a_record(account: PolledAccount) -> None:
    await account.poll(record(1, from_redirect_numbers=[redirect(9, "7499")]))
    changed = redirect(9, "7499") | {"schedule": "night", "enabled": False}

    result = await account.poll(record(1, from_redirect_numbers=[changed]))

    assert (result.outcome, result.unchanged, result.redirects_opened) == ("applied", 1, 0)
    assert json.loads((await account.row("select extra::text from syncer.virtual_number"))[0]) == {
        "from_redirect_numbers": [{"id": 9, "schedule": "night", "enabled": False}]
    }
    assert (await account.poll(record(1, from_redirect_numbers=[changed]))).outcome == "unchanged"


async def test_a_payload_that_is_cut_is_readable_text(account: PolledAccount) -> None:
    await account.poll(record(1, state=None, comment="я" * 100_000))

    payload, readable = await account.row("select payload, analytics.readable(payload) from syncer.rejected_record")
    assert 64 * 1024 - 1 <= len(payload) <= 64 * 1024
    assert readable == payload.decode()


async def test_fingerprints_digests_and_ids_of_rejected_records_depend_on_the_key_of_the_database(
    account: PolledAccount,
) -> None:
    """After another key each record is decoded once more, and nothing is recorded as a change."""
    hashes = """
        select (select fingerprint from syncer.record_fingerprint), (select body_digest from syncer.account_fence),
               (select rejected_record_id from syncer.rejected_record order by first_run_id desc limit 1)
    """
    await account.poll(record(1), {"id": 2})
    first = await account.row(hashes)
    assert await account.row("select octet_length(key) from syncer.hash_key") == (32,)
    await account.sql.execute("update syncer.hash_key set key = sha256(key)")

    again = await account.poll(record(1), {"id": 2})

    second = await account.row(hashes)
    assert [one == other for one, other in zip(first, second, strict=True)] == [False, False, False]
    assert (again.unchanged, again.changed, again.rejected) == (1, 0, 1)
    assert (await account.poll(record(1), {"id": 2})).outcome == "unchanged"
    assert await account.row(hashes) == second


async def test_a_change_between_records_that_have_the_same_xxh3_hash_is_recorded(account: PolledAccount) -> None:
    """Whoever may edit a comment could otherwise hide that calls are redirected to another number."""
    first, second = (b"[" + element + b"]" for element in XXH3_COLLISION)
    await account.poll_body(first)

    result = await account.poll_body(second)

    assert (result.outcome, result.changed, result.unchanged) == ("applied", 1, 0)
    changes = "select old_value, new_value from analytics.changes where run_id = $1 and field = $2"
    assert await account.row(changes, result.run_id, "redirect_number") == ("74994024150", "74994024151")
    before, after = await account.row(changes, result.run_id, "comment")
    assert before.replace("d09W1", "d09W0") == after


async def test_a_database_without_a_key_fails_polls_with_what_to_run(account: PolledAccount) -> None:
    await account.sql.execute("delete from syncer.hash_key")

    result = await account.poll(record(1))

    assert (result.outcome, result.error_kind) == ("failed", "database")
    statement = (result.error or "").partition("insert a random one: ")[2]
    await account.sql.execute(statement)
    assert (await account.poll(record(1))).outcome == "applied"


async def test_a_poll_of_an_account_that_is_deleted_meanwhile_fails_with_a_sentence(engine: Engine) -> None:
    with pytest.raises(DatabaseError) as deleted:
        await load_fingerprints(engine, 99, ContentHash(b"key"), FingerprintCache())

    assert str(deleted.value) == "database: account 99 was deleted while it was polled; nothing was recorded"


@pytest.mark.parametrize(
    "text", ['a "b", {c}', "\\", '\\"', "NULL", "null", "", " ", "\t\n", "\u2028", "{}", "'", "Ё😀", "x" * 5000]
)
async def test_a_changed_text_is_stored_as_it_was_sent(account: PolledAccount, text: str) -> None:
    await account.poll(record(1, comment="before"), record(2))
    await account.poll(record(1, comment=text, note=[text]), record(2, note=text))

    assert await account.rows("select comment, extra ->> 'note' from syncer.virtual_number order by 1 nulls last") == [
        (text, json.dumps([text], ensure_ascii=False)),
        (None, text),
    ]

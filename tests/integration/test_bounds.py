"""What one response can add to the database is bounded, and what is beyond the bound is counted and said."""

from __future__ import annotations

import asyncio
import json
from contextlib import redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

import structlog

from syncer.store.poll.apply import delete_surplus_rejections
from syncer.telemetry.logs import configure_logging
from tests.builders import connect, record, redirect
from tests.service.processes import wait_until

if TYPE_CHECKING:
    from tests.builders import PolledAccount

STORED: Final = 1_000
NEW_WORDS: Final = 200
ADD_REJECTED_RECORDS: Final = """
insert into syncer.rejected_record
       (account_id, rejected_record_id, error, payload, first_run_id, last_run_id, occurrences)
select 1, gen_random_uuid(), 'old', '', $2, $2, 1 from generate_series(1, $1)
"""
RENAME_FUNCTION: Final = "alter function syncer.{}(integer) rename to {}"


def broken(number: int, version: int = 0) -> dict[str, Any]:
    """A record that is rejected; its id can be read."""
    return {"id": number, "number": None, "version": version}


async def count(account: PolledAccount, table: str) -> int:
    """How many rows a table has."""
    (rows,) = await account.row(f"select count(*) from syncer.{table}")  # noqa: S608 - names from this file
    return int(rows)


async def test_a_run_stores_a_thousand_rejected_records_and_counts_all(account: PolledAccount) -> None:
    await account.poll(record(1), record(2_500))
    body = [record(1), *(broken(number) for number in range(2, 2_600))]

    with redirect_stderr(StringIO()) as log:
        configure_logging("info", "json")
        result = await account.poll(*body)
        structlog.reset_defaults()

    assert (result.outcome, result.rejected, result.removed, result.held) == ("applied", 2_598, 0, 0)
    assert await count(account, "rejected_record") == STORED
    assert '"rejected": 2598, "stored": 1000' in log.getvalue()
    missing = "select missing_since, last_read_at is null from syncer.virtual_number where virtual_number_id = 2500"
    assert await account.row(missing) == (None, False)

    account.restart()
    again = await account.poll_body(json.dumps(body, indent=1).encode())
    assert (again.outcome, again.rejected) == ("applied", 2_598)
    assert await account.broken_invariants() == []


async def test_it_is_not_known_since_when_a_number_is_listed_that_may_have_been_rejected(
    account: PolledAccount,
) -> None:
    await account.poll(record(1), *(broken(number) for number in range(2, 1_200)))

    await account.poll(record(1), record(1_199))

    windows = "select virtual_number_id, changed_after from syncer.virtual_number order by 1"
    assert await account.rows(windows) == [(1, None), (1_199, None)]


async def test_a_removed_number_that_may_have_been_rejected_before_it_returned_was_absent_when_it_was_removed(
    account: PolledAccount,
) -> None:
    listed = [record(number) for number in range(2, 21)]
    await account.poll(record(1), *listed)
    removal = await account.poll(*listed)
    assert removal.removed == 1
    await account.poll(*listed, *(broken(number) for number in range(100, 1_200)), broken(1))

    await account.poll(record(1), *listed)

    (start_of_removal,) = await account.row(f"select started_at from syncer.sync_run where run_id = {removal.run_id}")  # noqa: S608 - an integer
    windows = "select changed_after from syncer.state_period where virtual_number_id = 1 order by valid_from"
    assert await account.rows(windows) == [(None,), (start_of_removal,)]


async def test_the_same_body_is_as_unbelievable_again_if_the_element_without_an_id_was_not_stored(
    account: PolledAccount,
) -> None:
    body = json.dumps([record(1), *(broken(number) for number in range(2, 1_200)), "no id"]).encode()
    believable = "select believable_responses, body_digest is null from syncer.account_fence"
    await account.poll_body(body)
    assert await count(account, "rejected_record where virtual_number_id is null") == 0
    assert await account.row(believable) == (0, False)

    again = await account.poll_body(body)

    assert again.outcome == "unchanged"
    assert await account.row(believable) == (0, False)


async def test_an_account_keeps_ten_thousand_rejected_records_those_seen_last(account: PolledAccount) -> None:
    for version in range(12):
        await account.poll(record(1), *(broken(number, version) for number in range(2, 1_002)))

    assert await account.rows("select last_run_id, count(*) from syncer.rejected_record group by 1 order by 1") == [
        (run_id, 1_000) for run_id in range(3, 13)
    ]


async def test_rejected_records_that_a_killed_process_left_over_are_deleted_by_the_next_poll_that_rejects_any(
    account: PolledAccount,
) -> None:
    await account.poll(record(1), {"id": 2})
    await account.sql.execute(ADD_REJECTED_RECORDS, 10_004, 1)
    await account.sql.execute(RENAME_FUNCTION.format("delete_surplus_rejected_records", "not_now"))

    assert (await account.poll(record(1), {"id": 3})).outcome == "applied"
    assert await count(account, "rejected_record") == 10_006
    assert await account.broken_invariants() == []
    await account.sql.execute(RENAME_FUNCTION.format("not_now", "delete_surplus_rejected_records"))
    assert (await account.poll(record(1))).outcome == "applied"
    assert await count(account, "rejected_record") == 10_006
    assert (await account.poll(record(1), {"id": 4})).outcome == "applied"

    assert await count(account, "rejected_record") == 10_000
    newest = "select virtual_number_id from syncer.rejected_record where last_run_id > 1 order by last_run_id"
    assert await account.rows(newest) == [(3,), (4,)]


async def test_a_rejected_record_that_a_poll_sees_again_is_not_deleted_as_too_many(
    account: PolledAccount, database: str
) -> None:
    await account.poll(record(1), {"id": 2})
    await account.poll(record(1), {"id": 3})
    await account.sql.execute(ADD_REJECTED_RECORDS, 10_000, 2)
    oldest = "select rejected_record_id from syncer.rejected_record where virtual_number_id = 2"
    poll = await connect(database)
    async with poll.transaction():
        await poll.execute("update syncer.rejected_record set last_run_id = 3 where virtual_number_id = 2")
        deletion = asyncio.create_task(delete_surplus_rejections(account.engine, 1))
        await wait_until(lambda: account.sql.fetchval("select exists (select from pg_locks where not granted)"))
    await deletion
    await poll.close()

    assert len(await account.rows(oldest)) == 1


async def test_a_run_stores_two_hundred_new_words_of_a_field_and_the_next_one_more(account: PolledAccount) -> None:
    """A record with a word beyond that is rejected: its number keeps its last good values, and is not missing."""
    await account.poll(record(1), record(450))
    states = await count(account, "number_state")
    body = [record(number, state=f"new {number:03}") for number in range(1, 501)]

    first = await account.poll(*body)

    assert (first.outcome, first.created, first.changed, first.rejected) == ("applied", 199, 1, 300)
    assert await count(account, "number_state") == states + NEW_WORDS
    kept = "select state, missing_since from syncer.virtual_number where virtual_number_id = 450"
    assert await account.row(kept) == ("active", None)
    assert await account.row("select distinct error from syncer.rejected_record") == (
        "its state is one of too many that are new in this response: the next polls store more of them",
    )

    second, third, fourth = [await account.poll(*body) for _ in range(3)]

    assert (second.created, second.changed, second.rejected) == (200, 0, 100)
    assert (third.created, third.changed, third.rejected) == (99, 1, 0)
    assert (fourth.outcome, fourth.unchanged) == ("unchanged", 500)
    assert await account.row(kept) == ("new 450", None)
    assert await account.broken_invariants() == []


async def test_regions_beyond_two_hundred_new_ones_are_refused_as_other_words_are(account: PolledAccount) -> None:
    result = await account.poll(*(record(number, region_name=f"регион {number:03}") for number in range(1, 302)))

    assert (result.created, result.rejected, await count(account, "region")) == (200, 101, 200)


async def test_a_run_opens_a_bounded_number_of_redirects_and_the_next_one_more(account: PolledAccount) -> None:
    await account.poll(record(1), record(8))
    redirects = [redirect(number, f"7{number:010}") for number in range(6_000)]
    body = [record(number, from_redirect_numbers=redirects) for number in range(1, 9)]
    bound = 20_000 + len(json.dumps(body).encode()) // 100
    assert 6 * 6_000 < bound < 7 * 6_000

    results = [await account.poll(*body) for _ in range(3)]

    assert [(result.outcome, result.redirects_opened, result.rejected) for result in results] == [
        ("applied", 36_000, 2),
        ("applied", 12_000, 0),
        ("unchanged", 0, 0),
    ]
    assert await account.row("select distinct error from syncer.rejected_record") == (
        "with its 6,000 redirects, the response has too many that are new",
    )
    assert await account.broken_invariants() == []

"""The cost of a poll depends on what changed, not on the size of the account: PostgreSQL counts reads and writes."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from syncer.poll import BATCH_SIZE
from syncer.store.engine import autocommit_connection
from tests.builders import record, redirect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.builders import PolledAccount

Record = dict[str, Any]

READS = """
select relname, seq_tup_read + coalesce(idx_tup_fetch, 0), coalesce(entries, 0)
  from pg_stat_user_tables
  left join (select relid, sum(idx_tup_read)::bigint as entries from pg_stat_user_indexes group by relid) i
       using (relid)
 where schemaname = 'syncer' and relname = any($1::text[])
"""
"""Rows and index entries that were read, by table."""
WRITES = """
select relname, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables
 where schemaname = 'syncer' and n_tup_ins + n_tup_upd + n_tup_del > 0
"""
UPDATES = """
select relname, n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where schemaname = 'syncer' and n_tup_upd > 0
"""
"""Rows that were updated, and how many of these without a new entry in any index."""
NUMBER_TABLES = [
    "virtual_number",
    "virtual_number_history",
    "state_history",
    "virtual_number_redirect",
    "virtual_number_redirect_history",
    "absence_history",
    "record_fingerprint",
]


def make_records(size: int) -> list[Record]:
    """Returns records of `size` numbers, each with a redirect."""
    return [record(number, from_redirect_numbers=[redirect(number, "74994088157")]) for number in range(1, size + 1)]


def change_records(records: Sequence[Record], count: int, *, extra_changed: int = 0, removed: int = 0) -> list[Record]:
    """Returns the records in another order, with some of them changed.

    Args:
        records: The records.
        count: How many to change: a quarter each in state, comment, redirects and employee.
        extra_changed: How many others to change in a field without a column.
        removed: How many others to leave out.
    """
    changes: list[Record] = [
        {"state": "debt_lock", "reason": "долг"},
        {"comment": "занят"},
        {"from_redirect_numbers": [redirect(7, "79000000007")]},
        {"employee_id": 8},
    ]
    indexes = Random(1).sample(range(len(records)), count + extra_changed + removed)  # noqa: S311 - reproducible
    by_index = dict(enumerate(records))
    for position, index in enumerate(indexes[:count]):
        by_index[index] = by_index[index] | changes[position % 4]
    for index in indexes[count : count + extra_changed]:
        by_index[index] = by_index[index] | {"note": "new"}
    for index in indexes[count + extra_changed :]:
        del by_index[index]
    return Random(2).sample([*by_index.values()], len(by_index))  # noqa: S311 - reproducible


async def read_counts(account: PolledAccount, query: str, *arguments: Any) -> dict[str, tuple[int, ...]]:
    """Returns PostgreSQL's counts so far, by table; a session's counts appear when it ends, so the pool is closed."""
    await account.engine.dispose()
    await account.sql.execute("select pg_stat_clear_snapshot()")
    return {name: tuple(counts) for name, *counts in await account.rows(query, *arguments)}


async def cost_of_poll(
    account: PolledAccount, query: str, records: Sequence[Record], *arguments: Any
) -> dict[str, Any]:
    """Returns what a poll with these records adds to the counts."""
    before = await read_counts(account, query, *arguments)
    result = await account.poll(*records)
    assert result.outcome in {"applied", "unchanged"}, result
    after = await read_counts(account, query, *arguments)
    differences = {
        name: tuple(new - old for new, old in zip(counts, before.get(name, (0,) * 9), strict=False))
        for name, counts in after.items()
    }
    return {name: difference for name, difference in differences.items() if any(difference)}


async def test_an_unchanged_poll_writes_only_its_run_and_the_fence(account: PolledAccount) -> None:
    await account.poll(*make_records(300))
    only_run_and_fence = {"sync_run": (1, 1, 0), "account_fence": (0, 1, 0)}
    assert await cost_of_poll(account, WRITES, make_records(300)) == only_run_and_fence
    assert await cost_of_poll(account, WRITES, change_records(make_records(300), 0)) == only_run_and_fence


async def test_a_poll_writes_what_changed_and_nothing_else(account: PolledAccount) -> None:
    await account.poll(*make_records(300))
    assert await cost_of_poll(account, WRITES, change_records(make_records(300), 20)) == {
        "sync_run": (1, 1, 0),
        "account_fence": (0, 1, 0),
        "virtual_number": (0, 15, 0),
        "virtual_number_history": (15, 0, 0),
        "state_history": (5, 0, 0),
        "virtual_number_redirect": (5, 0, 5),
        "virtual_number_redirect_history": (5, 0, 0),
        "record_fingerprint": (0, 20, 0),
    }


async def test_a_removal_writes_what_ends_and_a_return_adds_nothing_to_the_history(account: PolledAccount) -> None:
    await account.poll(*make_records(300))
    assert await cost_of_poll(account, WRITES, change_records(make_records(300), 0, removed=20)) == {
        "sync_run": (1, 1, 0),
        "account_fence": (0, 1, 0),
        "virtual_number": (0, 20, 0),
        "virtual_number_history": (20, 0, 0),
        "state_history": (20, 0, 0),
        "virtual_number_redirect": (0, 0, 20),
        "virtual_number_redirect_history": (20, 0, 0),
        "absence_history": (20, 0, 0),
        "record_fingerprint": (0, 0, 20),
    }
    assert await cost_of_poll(account, WRITES, make_records(300)) == {
        "sync_run": (1, 1, 0),
        "account_fence": (0, 1, 0),
        "virtual_number": (0, 20, 0),
        "virtual_number_redirect": (20, 0, 0),
        "record_fingerprint": (20, 0, 0),
    }


async def test_a_change_writes_the_current_row_without_a_new_entry_in_its_indexes(account: PolledAccount) -> None:
    await account.poll(*make_records(300))
    updates = await cost_of_poll(account, UPDATES, change_records(make_records(300), 20))
    assert updates["virtual_number"] == (15, 15)


async def test_at_least_99_of_100_updates_of_each_table_add_no_entry_to_an_index(account: PolledAccount) -> None:
    """Polls of one number in a hundred and of all numbers: an update of a row stays in its page."""
    if account.sql.get_server_version() < (16,):
        pytest.skip("before 16, an index of any kind on a column that changes keeps an update from staying in its page")
    numbers, rejected = make_records(2000), [{"id": -number} for number in range(1, 101)]
    await account.poll(*numbers, *rejected)
    # The first change of a number makes its row longer: for some the page has no room.
    numbers = [fields | {"comment": "0"} for fields in numbers]
    await account.poll(*numbers, *rejected)
    await read_counts(account, UPDATES)
    await account.sql.execute("select pg_stat_reset()")

    for poll in range(1, 7):
        step = 100 if poll % 2 else 1
        numbers[::step] = [fields | {"comment": str(poll)} for fields in numbers[::step]]
        assert (await account.poll(*numbers, *rejected)).outcome == "applied"

    updates = await read_counts(account, UPDATES)
    assert {name: count for name, (count, _) in updates.items()} == {
        "account_fence": 6,
        "record_fingerprint": 6060,
        "rejected_record": 600,
        "sync_run": 6,
        "virtual_number": 6060,
    }
    assert {name: counts for name, counts in updates.items() if counts[1] < 0.99 * counts[0]} == {}


async def test_a_reformatted_list_writes_only_fingerprints(account: PolledAccount) -> None:
    await account.poll(*make_records(30))
    written = await cost_of_poll(account, WRITES, [dict(reversed(fields.items())) for fields in make_records(30)])
    assert written == {"sync_run": (1, 1, 0), "account_fence": (0, 1, 0), "record_fingerprint": (0, 30, 0)}


async def test_an_unchanged_poll_reads_no_fingerprint_that_is_cached(account: PolledAccount) -> None:
    await account.poll(*make_records(300))
    for seed in (1, 2):
        unchanged = Random(seed).sample(make_records(300), 300)  # noqa: S311 - reproducible
        assert await cost_of_poll(account, READS, unchanged, ["record_fingerprint"]) == {}


async def test_a_new_process_reads_no_number_for_a_byte_identical_response(
    account: PolledAccount,
) -> None:
    await account.poll(*make_records(300))
    for _ in range(2):
        account.restart()
        assert await cost_of_poll(account, READS, make_records(300), NUMBER_TABLES) == {}


def finds_each_id(account: PolledAccount) -> bool:
    """Returns whether the server finds each of many ids in an index, as PostgreSQL 17 and newer do.

    Older ones read the rows of the account between the smallest and the largest id, at most once for each statement.
    """
    return account.sql.get_server_version().major >= 17


async def reads_of_poll(
    account: PolledAccount, size: int, *, changes: int, analyze: bool, **other_changes: int
) -> dict[str, Any]:
    """Returns what a poll reads that changes some numbers of an account of `size` numbers."""
    await account.sql.execute("truncate syncer.account, syncer.record_fingerprint cascade")
    account.restart()
    await account.poll(*make_records(size))
    if analyze:
        await account.sql.execute("analyze")
    return await cost_of_poll(
        account, READS, change_records(make_records(size), changes, **other_changes), NUMBER_TABLES
    )


async def test_a_poll_reads_as_much_of_a_large_account_as_of_a_small_one(account: PolledAccount) -> None:
    small, large = [
        await reads_of_poll(account, size, changes=20, extra_changed=20, removed=20, analyze=True)
        for size in (400, 1600)
    ]
    if finds_each_id(account):
        assert small == large
    else:
        most = {"virtual_number": 5, "virtual_number_redirect": 2, "record_fingerprint": 1}
        more = {name: rows - small[name][0] for name, (rows, _) in large.items() if rows != small[name][0]}
        assert {name for name, rows in more.items() if rows > most[name] * (1600 - 400)} == set()


def fewest_reads(changes: int) -> dict[str, int]:
    """Returns how many rows of each table a poll reads that changes so many numbers, if each is found by its key.

    A number's row is read once to compare it, twice to replace it if it has another version, and once by the foreign
    key of each row that refers to it: of the versions, states and redirects that end, and the redirects that begin.
    """
    versions, states, ended, begun = 3 * changes // 4, changes // 4, changes // 4, changes // 4
    return {
        "virtual_number": changes + 3 * versions + states + ended + begun,
        "virtual_number_redirect": changes + ended,
        "record_fingerprint": changes,
    }


@pytest.mark.parametrize("changes", [20, 1600])
async def test_a_poll_with_misleading_statistics_reads_only_the_rows_of_numbers_that_change(
    account: PolledAccount, changes: int
) -> None:
    """The account was just loaded and not analyzed: rows are not compared with each other, nor all read for each."""
    read = await reads_of_poll(account, 1600, changes=changes, analyze=False)
    expected = fewest_reads(changes)
    if not finds_each_id(account):
        # A number's row is read by four statements, and a redirect's by two.
        most = {"virtual_number": 4 * 1600, "virtual_number_redirect": 2 * 1600, "record_fingerprint": 1600}
        assert {name for name, (rows, _) in read.items() if rows > expected[name] + most[name]} == set()
        return
    assert {name: rows for name, (rows, _) in read.items()} == expected
    # Those of rows that were replaced before are among the entries.
    assert {name: entries for name, (_, entries) in read.items() if entries > 6 * changes} == {}


async def test_a_batch_reads_no_rows_of_other_batches_even_with_misleading_statistics(account: PolledAccount) -> None:
    size = 2 * BATCH_SIZE
    misleading, analyzed = [
        await reads_of_poll(account, size, changes=size, analyze=analyze) for analyze in (False, True)
    ]
    if finds_each_id(account):
        assert misleading == analyzed
    fewest = fewest_reads(size)
    # A statement that read the rows of the other batches, too, would add three times as many.
    assert {name for name, (rows, _) in (*misleading.items(), *analyzed.items()) if rows > fewest[name] + size} == set()


async def test_a_session_that_first_saw_tiny_tables_loads_a_large_account_by_key(account: PolledAccount) -> None:
    """The session keeps the plans of its first foreign-key checks."""
    await account.poll(*make_records(10))
    await account.poll(*change_records(make_records(10), 10))
    account.account = replace(account.account, name="large")
    await account.poll(*make_records(2000))
    read = await read_counts(account, READS, NUMBER_TABLES)
    assert {name: counts for name, counts in read.items() if max(counts) > 4 * 2000} == {}


async def test_a_session_that_prepared_its_statements_on_tiny_tables_changes_a_large_account_by_key(
    account: PolledAccount,
) -> None:
    """From the sixth execution on, PostgreSQL may use a plan again that it made for any parameters."""
    few = make_records(4)
    for turn in range(16):
        await account.poll(*(change_records(few, 4) if turn % 2 else few))
    await account.sql.execute("analyze")
    account.account = replace(account.account, name="large")
    await account.poll(*make_records(2000))
    await account.poll(*change_records(make_records(2000), 2000))

    async with autocommit_connection(account.engine) as session:
        planned = await session.fetch("select statement from pg_prepared_statements where generic_plans > 0")
    used_again = "\n".join(statement for (statement,) in planned)
    for fragment in ("for no key update", "insert into syncer.virtual_number_history", "set outcome = $5"):
        assert fragment in used_again
    read = await read_counts(account, READS, NUMBER_TABLES)
    assert {name: counts for name, counts in read.items() if max(counts) > 10 * 2000} == {}


async def test_removals_read_only_the_numbers_that_were_removed_even_with_misleading_statistics(
    account: PolledAccount,
) -> None:
    """The statistics are those of tiny tables, in which reading everything for each row is cheapest.

    Read are the 50 numbers removed within the hold time; each of the 50 that are removed now, once to end its rows and
    once to change it; and each by the foreign keys of the four rows of history that it gets.
    """
    await account.poll(*make_records(10))
    await account.sql.execute("analyze")
    account.account = replace(account.account, name="large")
    await account.poll(*make_records(1600))
    await account.poll(*make_records(1550))
    read = await cost_of_poll(account, READS, make_records(1500), NUMBER_TABLES)
    rows, _ = read["virtual_number"]
    expected = 50 + 2 * 50 + 4 * 50
    if finds_each_id(account):
        assert rows == expected
    else:
        assert expected < rows <= expected + 1600


@pytest.mark.parametrize("other_numbers", [0, 10], ids=["no statistics", "those of tiny tables"])
async def test_returns_read_only_the_numbers_that_return_even_with_misleading_statistics(
    account: PolledAccount, other_numbers: int
) -> None:
    """A number's row is read with those of its redirects that its removal ended, alone, and twice to replace it.

    It is read once more by the foreign key of the redirect that begins.
    """
    if other_numbers:
        for size in (other_numbers, other_numbers - 1, other_numbers):
            await account.poll(*make_records(size))
        await account.sql.execute("analyze")
        account.account = replace(account.account, name="large")
    await account.poll(*make_records(600))
    await account.poll(*make_records(500))
    read = await cost_of_poll(account, READS, make_records(600), NUMBER_TABLES)
    assert read["virtual_number_redirect_history"] == (100, 100)
    rows, _ = read["virtual_number"]
    if finds_each_id(account):
        assert rows == 5 * 100
    else:
        assert 5 * 100 < rows <= 5 * 100 + 600


async def wal_bytes_of_poll(account: PolledAccount, records: Sequence[Record]) -> int:
    """Returns how many bytes a poll adds to the write-ahead log."""
    before = await account.row("select pg_current_wal_insert_lsn() - '0/0'")
    await account.poll(*records)
    after = await account.row("select pg_current_wal_insert_lsn() - '0/0'")
    return int(after[0] - before[0])


async def test_the_write_ahead_log_of_a_poll_grows_with_what_changed(account: PolledAccount) -> None:
    records = make_records(1600)
    await account.poll(*records)
    await account.poll(*change_records(records, 400))
    await account.poll(*records)
    nothing = await wal_bytes_of_poll(account, change_records(records, 0))
    few = await wal_bytes_of_poll(account, change_records(records, 100))
    await account.poll(*records)
    many = await wal_bytes_of_poll(account, change_records(records, 400))
    assert nothing < 1_300  # of the rows of the run and the account
    assert few / 100 < 1_000
    assert few * 3 < many < few * 5


@pytest.mark.timeout(120)
async def test_an_account_of_several_batches_is_written_correctly(account: PolledAccount) -> None:
    size = 2 * BATCH_SIZE + 1
    first = await account.poll(*make_records(size))
    second = await account.poll(*change_records(make_records(size), size // 4), {"id": 0}, record(size + 7))
    again = await account.poll(*change_records(make_records(size), size // 4), {"id": 0}, record(size + 7))

    assert (first.created, first.redirects_opened) == (size, size)
    counters = {"changed": size // 4, "created": 1, "rejected": 1, "state_changes": 625, "redirects_closed": 625}
    assert {name: getattr(second, name) for name in counters} == counters
    assert (again.outcome, again.unchanged, again.rejected) == ("unchanged", size + 1, 1)
    assert await account.row("select count(*) from syncer.virtual_number where state = 'debt_lock'") == (625,)
    assert await account.broken_invariants() == []

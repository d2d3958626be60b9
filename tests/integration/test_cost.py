"""What a poll reads and writes follows from what changed, not from how much there is: counted by PostgreSQL itself."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from syncer.poll import BATCH_SIZE
from tests.builders import record, redirect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.builders import PolledAccount

Record = dict[str, Any]

READ = """
select relname, seq_tup_read + coalesce(idx_tup_fetch, 0), coalesce(entries, 0)
  from pg_stat_user_tables
  left join (select relid, sum(idx_tup_read)::bigint as entries from pg_stat_user_indexes group by relid) using (relid)
 where schemaname = 'syncer' and relname = any($1::text[])
"""
"""Rows of tables and entries of indexes that were looked at."""
WRITTEN = """
select relname, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables
 where schemaname = 'syncer' and n_tup_ins + n_tup_upd + n_tup_del > 0
"""
NUMBERS = ["virtual_number", "virtual_number_history", "state_history", "virtual_number_redirect", "record_fingerprint"]


def fleet(size: int) -> list[Record]:
    """So many numbers, each with a redirect."""
    return [record(number, from_redirect_numbers=[redirect(number, "74994088157")]) for number in range(1, size + 1)]


def changed(records: Sequence[Record], count: int, *, noted: int = 0, gone: int = 0) -> list[Record]:
    """The same, in another order, `count` of them changed: a quarter each in state, comment, redirects and employee.

    So many others are `noted`, in a field without a column, and so many `gone`.
    """
    changes: list[Record] = [
        {"state": "debt_lock", "reason": "долг"},
        {"comment": "занят"},
        {"from_redirect_numbers": [redirect(7, "79000000007")]},
        {"employee_id": 8},
    ]
    chosen = Random(1).sample(range(len(records)), count + noted + gone)  # noqa: S311 - the same ones each time
    whole = dict(enumerate(records))
    for position, index in enumerate(chosen[:count]):
        whole[index] = whole[index] | changes[position % 4]
    for index in chosen[count : count + noted]:
        whole[index] = whole[index] | {"note": "new"}
    for index in chosen[count + noted :]:
        del whole[index]
    return Random(2).sample([*whole.values()], len(whole))  # noqa: S311 - likewise


async def counted(account: PolledAccount, query: str, *arguments: Any) -> dict[str, tuple[int, ...]]:
    """By table, what PostgreSQL has counted of all polls so far: it tells of a session when that has ended."""
    await account.engine.dispose()
    await account.sql.execute("select pg_stat_clear_snapshot()")
    return {name: tuple(counts) for name, *counts in await account.rows(query, *arguments)}


async def cost(account: PolledAccount, query: str, records: Sequence[Record], *arguments: Any) -> dict[str, Any]:
    """What a poll that is answered with some records adds to those counts."""
    before = await counted(account, query, *arguments)
    result = await account.poll(*records)
    assert result.outcome in {"applied", "unchanged"}, result
    after = await counted(account, query, *arguments)
    differences = {
        name: tuple(new - old for new, old in zip(counts, before.get(name, (0,) * 9), strict=False))
        for name, counts in after.items()
    }
    return {name: difference for name, difference in differences.items() if any(difference)}


async def test_an_unchanged_poll_writes_only_its_run_and_the_account(account: PolledAccount) -> None:
    await account.poll(*fleet(300))
    alone = {"sync_run": (1, 1, 0), "account": (0, 1, 0)}
    assert await cost(account, WRITTEN, fleet(300)) == alone
    assert await cost(account, WRITTEN, changed(fleet(300), 0)) == alone


async def test_a_poll_writes_what_changed_and_nothing_else(account: PolledAccount) -> None:
    await account.poll(*fleet(300))
    assert await cost(account, WRITTEN, changed(fleet(300), 20)) == {
        "sync_run": (1, 1, 0),
        "account": (0, 1, 0),
        "virtual_number": (0, 15, 0),
        "virtual_number_history": (15, 0, 0),
        "state_history": (5, 5, 0),
        "virtual_number_redirect": (5, 5, 0),
        "record_fingerprint": (0, 20, 0),
    }


async def test_a_reformatted_list_writes_only_fingerprints(account: PolledAccount) -> None:
    await account.poll(*fleet(30))
    written = await cost(account, WRITTEN, [dict(reversed(told.items())) for told in fleet(30)])
    assert written == {"sync_run": (1, 1, 0), "account": (0, 1, 0), "record_fingerprint": (0, 30, 0)}


async def test_an_unchanged_poll_reads_no_fingerprint_that_is_cached(account: PolledAccount) -> None:
    await account.poll(*fleet(300))
    for seed in (1, 2):
        unchanged = Random(seed).sample(fleet(300), 300)  # noqa: S311 - the same order each time
        assert await cost(account, READ, unchanged, ["record_fingerprint"]) == {}


async def test_a_new_process_reads_no_number_for_a_byte_identical_response(
    account: PolledAccount,
) -> None:
    await account.poll(*fleet(300))
    for _ in range(2):
        account.restart()
        assert await cost(account, READ, fleet(300), NUMBERS) == {}


async def read_by_polls(
    account: PolledAccount, size: int, *, changes: int, analyze: bool, **others: int
) -> dict[str, Any]:
    """What a poll reads that changes some numbers of an account of a size."""
    await account.sql.execute("truncate syncer.account, syncer.record_fingerprint cascade")
    account.restart()
    await account.poll(*fleet(size))
    if analyze:
        await account.sql.execute("analyze")
    return await cost(account, READ, changed(fleet(size), changes, **others), NUMBERS)


async def test_a_poll_reads_as_much_of_a_large_account_as_of_a_small_one(account: PolledAccount) -> None:
    small, large = [
        await read_by_polls(account, size, changes=20, noted=20, gone=20, analyze=True) for size in (400, 1600)
    ]
    assert small == large


@pytest.mark.parametrize("changes", [20, 1600])
async def test_a_poll_with_misleading_statistics_reads_the_account_only_a_few_times(
    account: PolledAccount, changes: int
) -> None:
    """It was just loaded, and nobody has analyzed it: neither is each row compared with each, nor all read for each."""
    read = await read_by_polls(account, 1600, changes=changes, analyze=False)
    assert {name: counts for name, counts in read.items() if max(counts) > 8 * 1600} == {}


async def test_a_batch_reads_no_rows_of_other_batches_even_with_misleading_statistics(account: PolledAccount) -> None:
    size = 2 * BATCH_SIZE
    misled, analyzed = [await read_by_polls(account, size, changes=size, analyze=analyze) for analyze in (False, True)]
    assert misled == analyzed


async def test_a_session_that_first_saw_tiny_tables_loads_a_large_account_by_key(account: PolledAccount) -> None:
    """It keeps the plans by which it checked its first foreign keys."""
    await account.poll(*fleet(10))
    await account.poll(*changed(fleet(10), 10))
    account.account = replace(account.account, name="large")
    await account.poll(*fleet(2000))
    read = await counted(account, READ, NUMBERS)
    assert {name: counts for name, counts in read.items() if max(counts) > 4 * 2000} == {}


async def logged(account: PolledAccount, records: Sequence[Record]) -> int:
    """How many bytes a poll adds to the write-ahead log."""
    before = await account.row("select pg_current_wal_insert_lsn() - '0/0'")
    await account.poll(*records)
    after = await account.row("select pg_current_wal_insert_lsn() - '0/0'")
    return int(after[0] - before[0])


async def test_the_write_ahead_log_of_a_poll_grows_with_what_changed(account: PolledAccount) -> None:
    whole = fleet(1600)
    await account.poll(*whole)
    await account.poll(*changed(whole, 400))
    await account.poll(*whole)
    nothing = await logged(account, changed(whole, 0))
    few = await logged(account, changed(whole, 100))
    await account.poll(*whole)
    many = await logged(account, changed(whole, 400))
    assert nothing < few / 100
    assert few * 3 < many < few * 5


@pytest.mark.timeout(120)
async def test_an_account_of_several_batches_is_written_correctly(account: PolledAccount) -> None:
    size = 2 * BATCH_SIZE + 1
    first = await account.poll(*fleet(size))
    second = await account.poll(*changed(fleet(size), size // 4), {"id": 0}, record(size + 7))
    again = await account.poll(*changed(fleet(size), size // 4), {"id": 0}, record(size + 7))

    assert (first.created, first.redirects_opened) == (size, size)
    kinds = {"changed": size // 4, "created": 1, "rejected": 1, "state_changes": 625, "redirects_closed": 625}
    assert {kind: getattr(second, kind) for kind in kinds} == kinds
    assert (again.outcome, again.unchanged, again.rejected) == ("unchanged", size + 1, 1)
    assert await account.row("select count(*) from syncer.virtual_number where state = 'debt_lock'") == (625,)
    assert await account.broken_invariants() == []

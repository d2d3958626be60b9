"""A process that is killed leaves the database as before its poll or as after it, never in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.builders import BlockingEndpoint, PolledAccount, record, redirect
from tests.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NUMBERS = 3000
RANDOM_KILLS: Final = int(os.environ.get("SYNCER_RANDOM_KILLS") or 6)
MAX_SECONDS: Final = {"its start": 1.6, "the response": 0.6}
"""How long after this the program may still run; a later kill would have no effect."""
DATA_TABLES = (
    "virtual_number",
    "virtual_number_history",
    "state_history",
    "virtual_number_redirect",
    "virtual_number_redirect_history",
    "absence_history",
    "record_fingerprint",
)

# When the process is killed: which statements it has sent, and whether the server has executed the last of them.
APPLY = (b"for no key update",)  # the response differs from the last one: the changes are written
REPLACE_VERSIONS = b"insert into syncer.virtual_number_history"  # the first statement that has it
END_REDIRECTS = b"delete from syncer.virtual_number_redirect"
COPY_FINGERPRINTS = b'COPY "syncer"."record_fingerprint"'
REMOVE = b"removed_run_id = staged.this_run_id"
KILL_POINTS = {
    "before its run is written": ((b"insert into syncer.sync_run",), "hold the request"),
    "after its run is written": ((b"insert into syncer.sync_run", b"command"), "hold the response"),
    "before the fence": ((b"for no key update",), "hold the request"),
    "under the fence": (APPLY, "hold the response"),
    "before anything is written": ((*APPLY, b"from syncer.virtual_number n"), "hold the request"),
    "in the COPY of new numbers": ((*APPLY, b'COPY "syncer"."virtual_number"'), "hold the response"),
    "before versions are replaced": ((*APPLY, REPLACE_VERSIONS), "hold the request"),
    "after versions and states were replaced": ((*APPLY, REPLACE_VERSIONS, END_REDIRECTS), "hold the request"),
    "after redirects ended": ((*APPLY, END_REDIRECTS, COPY_FINGERPRINTS), "hold the request"),
    "in the COPY of new fingerprints": ((*APPLY, COPY_FINGERPRINTS), "hold the response"),
    "before numbers are removed": ((*APPLY, REMOVE), "hold the request"),
    "after numbers were removed": ((*APPLY, REMOVE, b"delete from syncer.record_fingerprint"), "hold the request"),
    "before the redirects of removed numbers end": ((*APPLY, REMOVE, END_REDIRECTS), "hold the request"),
    "after the redirects of removed numbers ended": (
        (*APPLY, REMOVE, END_REDIRECTS, b"set outcome = $5"),
        "hold the request",
    ),
    "after its outcome was written": ((*APPLY, b"set outcome = $5"), "hold the response"),
    "before the commit": ((*APPLY, b"set outcome = $5", b"COMMIT"), "hold the request"),
    "after the commit": ((*APPLY, b"set outcome = $5", b"COMMIT"), "hold the response"),
}
COMMITTED = {"after the commit"}


def before() -> list[dict[str, Any]]:
    return [
        record(key, from_redirect_numbers=[redirect(key + 10_000, f"7495{key:07}")]) for key in range(1, NUMBERS + 1)
    ]


def after() -> list[dict[str, Any]]:
    """Of the first ones, some are missing; others have another state, comment or redirects; some are new."""
    changed = before()[100:]
    for position, fields in enumerate(changed):
        match position % 4:
            case 0:
                fields["state"], fields["reason"] = "debt_lock", "долг"
            case 1:
                fields["comment"] = "changed"
            case 2:
                fields["from_redirect_numbers"] = []
    return [*changed, *(record(key) for key in range(NUMBERS + 1, NUMBERS + 101))]


async def checksums(account: PolledAccount) -> list[tuple[Any, ...]]:
    return [
        await account.row(f"select count(*), md5(string_agg(t::text, '|' order by t::text)) from syncer.{table} t")  # noqa: S608 - names from a constant
        for table in DATA_TABLES
    ]


@pytest.fixture
async def endpoint() -> AsyncIterator[BlockingEndpoint]:
    async with BlockingEndpoint() as running:
        yield running


CURRENT = """
select virtual_number_id, state, reason, comment,
       (select string_agg(redirect_number_id || ' ' || number, ',' order by redirect_number_id)
          from syncer.virtual_number_redirect r
         where (r.account_id, r.virtual_number_id) = (n.account_id, n.virtual_number_id))
  from syncer.virtual_number n where removed_at is null order by 1
"""


def current_rows(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Returns the expected result of `CURRENT` after these records were polled."""
    return [
        (
            *(fields[key] for key in ("id", "state", "reason", "comment")),
            ",".join(f"{one['id']} {one['number']}" for one in fields["from_redirect_numbers"]) or None,
        )
        for fields in sorted(records, key=lambda fields: int(fields["id"]))
    ]


async def start_sync(database: str, endpoint: BlockingEndpoint, folder: Path) -> asyncio.subprocess.Process:
    inherited = ("PATH", "COVERAGE_PROCESS_CONFIG")  # the last: to be measured by coverage
    environment = {name: os.environ[name] for name in inherited if name in os.environ} | {
        "SYNCER_DATABASE_URL": database,
        "SYNCER_API_URL": endpoint.url,
        "SYNCER_API_TOKEN": "token",
        "SYNCER_MIGRATE_ON_START": "false",
        "SYNCER_REMOVAL_CONFIRMATIONS": "1",  # one poll makes all of the changes
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "syncer", "sync", "--json", cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE
    )


async def respond_once(endpoint: BlockingEndpoint, records: list[dict[str, Any]]) -> None:
    (await endpoint.received.get()).answer(*records)


async def respond_always(endpoint: BlockingEndpoint) -> None:
    while True:
        await respond_once(endpoint, after())


@pytest.mark.parametrize("kill_point", KILL_POINTS)
async def test_a_process_killed_at_any_statement_leaves_the_data_as_before_or_after_the_poll(
    kill_point: str, account: PolledAccount, database: str, endpoint: BlockingEndpoint, tmp_path: Path
) -> None:
    statements, then = KILL_POINTS[kill_point]
    await account.poll(*before())
    as_before = await checksums(account)
    responding = asyncio.create_task(respond_always(endpoint))
    async with Proxy(database) as proxy:
        proxy.intercept(*statements, then=then)  # type: ignore[arg-type] # a literal, from the table above
        process = await start_sync(proxy.url, endpoint, tmp_path)
        async with asyncio.timeout(60):
            await proxy.intercepted.wait()
        process.kill()
        assert await process.wait() == -signal.SIGKILL
    responding.cancel()

    assert await account.broken_invariants() == []
    if kill_point in COMMITTED:
        assert await checksums(account) != as_before
    else:
        assert await checksums(account) == as_before

    account.restart()
    result = await account.poll(*after())

    assert result.outcome == ("unchanged" if kill_point in COMMITTED else "applied")
    assert result.received == NUMBERS
    assert await account.broken_invariants() == []
    expected = sorted((fields["id"], fields["state"], fields["comment"]) for fields in after())
    assert expected == await account.rows(
        "select virtual_number_id, state, comment from syncer.virtual_number where removed_at is null order by 1"
    )
    running = await account.rows("select outcome from syncer.sync_run where outcome = 'running'")
    assert running == []


async def test_a_process_killed_while_it_waits_for_the_endpoint_leaves_a_run_that_the_next_poll_marks_as_abandoned(
    account: PolledAccount, database: str, endpoint: BlockingEndpoint, tmp_path: Path
) -> None:
    await account.poll(*before())
    as_before = await checksums(account)
    process = await start_sync(database, endpoint, tmp_path)
    await endpoint.received.get()
    process.kill()
    await process.wait()

    assert await checksums(account) == as_before
    await account.poll(*before())
    assert [row[0] for row in await account.rows("select outcome from syncer.sync_run order by run_id")] == [
        "applied",
        "abandoned",
        "unchanged",
    ]


async def test_a_process_frozen_until_another_has_committed_is_superseded(
    account: PolledAccount, database: str, endpoint: BlockingEndpoint, tmp_path: Path
) -> None:
    await account.poll(*before())
    process = await start_sync(database, endpoint, tmp_path)
    request = await endpoint.received.get()
    process.send_signal(signal.SIGSTOP)
    request.answer(*before())
    newer = await account.poll(*after())
    as_after = await checksums(account)
    process.send_signal(signal.SIGCONT)
    output, _ = await process.communicate()

    assert newer.outcome == "applied"
    result = json.loads(output)
    assert (result["outcome"], process.returncode) == ("superseded", 0)
    assert await checksums(account) == as_after
    assert await account.broken_invariants() == []


@pytest.mark.timeout(60 + 10 * RANDOM_KILLS)
async def test_a_process_killed_at_a_random_time_leaves_the_data_as_before_or_after_the_poll(
    account: PolledAccount, database: str, endpoint: BlockingEndpoint, tmp_path: Path
) -> None:
    """`SYNCER_RANDOM_KILLS=500 pytest -s -k random_time` kills more often and prints how the polls ended."""
    random = Random(RANDOM_KILLS)  # noqa: S311 - no secret
    current, following = before(), after()
    await account.poll(*current)
    results: Counter[str] = Counter()
    for kill in range(RANDOM_KILLS):
        as_before = await checksums(account)
        since = random.choice(list(MAX_SECONDS))
        process = await start_sync(database, endpoint, tmp_path)
        responding = asyncio.create_task(respond_once(endpoint, following))
        if since == "the response":
            await responding
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0, MAX_SECONDS[since])):
                await process.wait()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        responding.cancel()

        assert await account.broken_invariants() == [], f"kill {kill}"
        outcome = await account.row("select outcome from syncer.sync_run order by run_id desc limit 1")
        if await checksums(account) == as_before:
            results[f"as before, killed since {since}"] += 1
        else:
            assert await account.rows(CURRENT) == current_rows(following), f"kill {kill}"
            assert outcome == ("applied",)
            results[f"as after, killed since {since}"] += 1
            current, following = following, current
    sys.stdout.write(f"{RANDOM_KILLS} kills: {dict(results)}\n")

    result = await account.poll(*following)
    assert (result.outcome, result.received) == ("applied", NUMBERS)
    assert await account.rows(CURRENT) == current_rows(following)
    assert await account.broken_invariants() == []

"""Two years of history that look as if polls had written them, and how long proving the invariants on them takes.

    python -m benchmarks.history

`make_history` writes the same rows every time, in databases of its own that are dropped when their block ends: beside
the one that SYNCER_DATABASE_URL names, or on an embedded server in a temporary folder. Every number lives through six
versions, as one of five kinds of life; a tenth of a million rows take the same shape as a million.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from rich.console import Console
from rich.table import Table

from syncer.embedded import EmbeddedServer
from syncer.store.engine import create_engine, driver_arguments
from syncer.store.invariants import violations
from syncer.store.schema import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

NUMBERS: Final = 100_000
ROWS_A_NUMBER: Final = 10
"""Rows of history: five superseded versions, and five that are states or redirects."""

_SCALE: Final = """
create temp table scale (numbers integer, accounts integer, looks integer);
"""
# One successful poll an hour, but for every 97th, which fails: nobody looked then, so nothing begins or ends there.
_LOOKS: Final = """
create temp table poll as
select a as account_id, k as look, (k - 1) * accounts + a as run_id, k % 97 = 0 as failed,
       timestamptz '2024-07-01 00:00:00Z' + k * interval '1 hour' + a * interval '1 second' as started_at
  from scale cross join generate_series(1, accounts) a cross join generate_series(1, looks) k;
create temp table look as
select account_id, look, run_id, started_at, started_at + interval '2 seconds' as seen_at,
       lag(started_at) over (partition by account_id order by look) as after
  from poll where not failed;
create function pg_temp.ok(look integer) returns integer immutable language sql
return look + (look % 97 = 0)::integer;
"""
# The five kinds of life. Where a number is restored, it was removed before. An event comes some looks after one of six
# moments of a number's life, `after` at least and less than `within` more. A state of its own begins with each event
# but `column`; "trouble" stands for debt_lock, freeze or inactive, "new" for activation or unconfirmed.
_LIVES: Final = """
create temp table step (life integer, step integer, kind text, state text, moment integer, after integer,
                        within integer);
insert into step
values (0, 0, 'created', 'new', 0, 0, 1), (0, 1, 'state', 'active', 0, 30, 400), (0, 2, 'column', null, 2, 0, 1),
       (0, 3, 'state', 'trouble', 4, 0, 1), (0, 4, 'column', null, 4, 24, 24), (0, 5, 'state', 'active', 4, 72, 1400),
       (1, 0, 'created', 'new', 0, 0, 1), (1, 1, 'column', null, 0, 20, 20), (1, 2, 'state', 'active', 0, 60, 400),
       (1, 3, 'column', null, 2, 0, 1), (1, 4, 'column', null, 3, 0, 1), (1, 5, 'column', null, 5, 0, 1),
       (2, 0, 'created', 'active', 0, 0, 1), (2, 1, 'state', 'trouble', 1, 0, 1), (2, 2, 'column', null, 1, 48, 100),
       (2, 3, 'restored', 'active', 3, 0, 1), (2, 4, 'column', null, 4, 0, 1), (2, 5, 'state', 'trouble', 5, 0, 1),
       (3, 0, 'created', 'active', 0, 0, 1), (3, 1, 'column', null, 1, 0, 1), (3, 2, 'restored', 'new', 2, 0, 1),
       (3, 3, 'state', 'active', 2, 60, 300), (3, 4, 'column', null, 4, 0, 1), (3, 5, 'column', null, 5, 0, 1),
       (4, 0, 'created', 'active', 0, 0, 1), (4, 1, 'state', 'trouble', 3, 0, 1), (4, 2, 'state', 'active', 3, 24, 900),
       (4, 3, 'column', null, 3, 1100, 300), (4, 4, 'restored', 'active', 5, 0, 1), (4, 5, 'column', null, 5, 30, 60);
create temp table redirected (life integer, step integer, looks_later integer, ends text);
insert into redirected
values (0, 5, 2, 'stays'), (1, 1, 2, 'soon'), (1, 3, 2, 'soon'), (1, 5, 2, 'stays'), (2, 2, 2, 'removal'),
       (3, 1, 2, 'removal'), (3, 2, 0, 'stays'), (4, 5, 2, 'stays');
"""
# The accounts share the ids of numbers. `luck`, below a million, is what a number's type, region and troubles follow
# from; a few regions have most of the numbers.
_EVENTS: Final = """
create temp table number as
select *, case when luck % 100 < 72 then 'def' when luck % 100 < 90 then 'abc' when luck % 100 < 94 then 'toll_free'
               when luck % 100 < 98 then 'sip_registration' else 'sip_redirection' end as type,
       case luck % 5 when 0 then 'company' when 1 then 'not_specified' else 'employee' end as purpose,
       1 + (80 * (luck / 1e6) ^ 3)::integer % 80 as region_id
  from (select i, 1 + (i - 1) % accounts as account_id, 1 + (i - 1) / accounts as virtual_number_id,
               ((i - 1) / accounts) % 5 as life, i::bigint * 48271 % 2147483647 % 1000000 as luck
          from scale cross join generate_series(1, numbers) i) numbers;
create temp table event as
select n.*, s.step, s.kind, s.state as begins, l.look, l.seen_at, l.after, l.run_id
  from number n
  join step s using (life)
 cross join lateral (select ((i::bigint * 7919 + s.moment * 104729)
                              % case s.moment when 0 then 2300 else 2880 end)::integer as spread) s2
  join look l on l.account_id = n.account_id and l.look = pg_temp.ok(case
           when s.moment > 0 then s.moment * 2880 + 100 + spread
           when virtual_number_id % 4 > 0 then 1
           else 2 + spread end + s.after + (luck * (s.step + 7) % s.within)::integer);
"""
# Every other removal is held for a day. Some numbers are removed for good; those that are held at the end miss the look
# at which they would be believed.
_REMOVALS: Final = """
create temp table removal as
select g.account_id, g.virtual_number_id, g.step, m.look as gone_look, m.seen_at as gone_at, m.after,
       b.look as believed_look, b.run_id as believed_run_id
  from (select i, account_id, virtual_number_id, step, look - 40 as look from event where kind = 'restored'
         union all
        select i, account_id, virtual_number_id, 6, look + 20 from event where step = 5 and virtual_number_id % 50 = 7
         union all
        select i, account_id, virtual_number_id, 6, 17500 from number where virtual_number_id % 1000 = 13) g
  join look m on m.account_id = g.account_id and m.look = pg_temp.ok(g.look)
  left join look b on b.account_id = g.account_id
       and b.look = pg_temp.ok(m.look + case when g.look = 17500 then 24 else 24 * (g.i / 2 % 2) end);
update event e set after = r.after
  from removal r
 where (r.account_id, r.virtual_number_id, r.step) = (e.account_id, e.virtual_number_id, e.step);
"""
_CHAINED: Final = """
create temp table version as
select c.*, case p.state when 'new' then case c.luck % 3 when 0 then 'unconfirmed' else 'activation' end
                          when 'trouble' then (array['debt_lock', 'debt_lock', 'debt_lock', 'freeze', 'inactive'])
                                              [1 + (c.luck / 7 + p.step) % 5]
                          else p.state end as state,
       case when p.state = 'trouble' and c.luck % 2 = 0 then 'reason ' || c.luck % 7 end as reason,
       case when c.columns > 1 and c.luck % 40 = 0 then 1 + c.region_id % 80 else c.region_id end as region_now,
       case when c.purpose = 'employee' then 100 + c.luck % 4000 + c.columns / 2 end as employee_id
  from (select e.*, count(*) filter (where e.kind = 'column') over life_so_far as columns,
               count(*) filter (where e.kind <> 'column') over life_so_far as period,
               max(e.step) filter (where e.kind <> 'column') over life_so_far as period_step,
               coalesce(r.gone_at, n.seen_at) as ended, coalesce(r.after, n.after) as closed_after,
               coalesce(r.believed_run_id, n.run_id) as closed_run_id
          from event e
          left join removal r
                 on (r.account_id, r.virtual_number_id, r.step - 1) = (e.account_id, e.virtual_number_id, e.step)
                and r.believed_look is not null
          left join event n
                 on (n.account_id, n.virtual_number_id, n.step - 1) = (e.account_id, e.virtual_number_id, e.step)
        window life_so_far as (partition by e.account_id, e.virtual_number_id order by e.step)) c
  join step p on p.life = c.life and p.step = c.period_step;
create temp table redirect as
select e.account_id, e.virtual_number_id, e.step, d.ends, d.looks_later, o.look as opened_look,
       o.seen_at as opened_at, case when d.looks_later = 0 then e.after else o.after end as after, o.run_id,
       c.look as closed_look, coalesce(r.gone_at, c.seen_at) as closed_at, coalesce(r.after, c.after) as closed_after,
       coalesce(r.believed_run_id, c.run_id) as closed_run_id
  from event e
  join redirected d using (life, step)
  join look o on o.account_id = e.account_id and o.look = pg_temp.ok(e.look + d.looks_later)
  left join look c on c.account_id = e.account_id and d.ends = 'soon' and c.look = pg_temp.ok(o.look + 6)
  left join removal r on r.account_id = e.account_id and r.virtual_number_id = e.virtual_number_id
       and r.step = case d.ends when 'removal' then e.step + 1 when 'stays' then 6 end and r.believed_look is not null;
"""
_ACCOUNTS: Final = """
insert into syncer.region (name) select 'Region ' || r from generate_series(1, 80) r;
insert into syncer.account (account_id, name, app_id, time_zone, created_at)
overriding system value
select a, 'account ' || a, a, 'Europe/Moscow', timestamptz '2024-07-01 00:00:00Z'
  from scale cross join generate_series(1, accounts) a;
insert into syncer.virtual_number
       (account_id, virtual_number_id, number, comment, type, purpose, state, reason, employee_id, region_id, app_id,
        nc_type, first_seen_at, changed_at, changed_after, last_read_at, missing_since, removed_at, run_id)
select v.account_id, v.virtual_number_id, '79' || lpad(v.i::text, 9, '0'), 'note ' || v.columns, v.type, v.purpose,
       v.state, v.reason, v.employee_id, v.region_now, v.account_id, 'custom',
       f.seen_at, v.seen_at, v.after, coalesce(g.after, rejected.after), g.gone_at, v.ended, v.run_id
  from version v
  join event f using (account_id, virtual_number_id)
  left join removal g on (g.account_id, g.virtual_number_id, g.step) = (v.account_id, v.virtual_number_id, 6)
  left join look rejected on rejected.account_id = v.account_id and rejected.look = 17400
       and v.virtual_number_id % 1000 = 17
 where v.step = 5 and f.step = 0;
analyze syncer.virtual_number;
"""
_HISTORY: Final = """
insert into syncer.virtual_number_history
       (account_id, virtual_number_id, number, comment, type, purpose, state, reason, employee_id, region_id, app_id,
        nc_type, valid_from, valid_to, changed_after, closed_after, run_id, closed_run_id)
select account_id, virtual_number_id, '79' || lpad(i::text, 9, '0'), 'note ' || columns, type, purpose,
       state, reason, employee_id, region_now, account_id, 'custom',
       seen_at, ended, after, closed_after, run_id, closed_run_id
  from version where step < 5 order by seen_at, account_id, virtual_number_id;
insert into syncer.state_history
       (account_id, virtual_number_id, state, reason, valid_from, valid_to, changed_after, closed_after, run_id,
        closed_run_id)
select account_id, virtual_number_id, f.state, f.reason, f.seen_at, l.ended, f.after, l.closed_after, f.run_id,
       l.closed_run_id
  from (select account_id, virtual_number_id, min(step) as first, max(step) as last
          from version group by account_id, virtual_number_id, period) periods
  join version f using (account_id, virtual_number_id)
  join version l using (account_id, virtual_number_id)
 where f.step = first and l.step = last
 order by f.seen_at, account_id, virtual_number_id;
insert into syncer.virtual_number_redirect
       (account_id, virtual_number_id, redirect_number_id, number, valid_from, valid_to, changed_after, closed_after,
        run_id, closed_run_id)
select account_id, virtual_number_id, virtual_number_id + 1, '74950000000', opened_at, closed_at, after, closed_after,
       run_id, closed_run_id
  from redirect order by opened_at, account_id, virtual_number_id;
"""
_RUNS: Final = """
create temp table counted as
select account_id, look,
       count(*) filter (where kind = 'created') as created, count(*) filter (where kind = 'restored') as restored,
       count(*) filter (where kind = 'removed') as removed, count(*) filter (where kind = 'state') as state_changes,
       count(*) filter (where kind in ('state', 'column', 'opened', 'closed')) as changed,
       count(*) filter (where kind = 'gone') as gone, count(*) filter (where kind = 'rejected') as rejected,
       count(*) filter (where kind in ('opened', 'opened, restored')) as redirects_opened,
       count(*) filter (where kind in ('closed', 'closed, removed')) as redirects_closed
  from (select account_id, look, kind from event
         union all
        select account_id, gone_look, 'gone' from removal
         union all
        select account_id, believed_look, 'removed' from removal where believed_look is not null
         union all
        select account_id, opened_look, case looks_later when 0 then 'opened, restored' else 'opened' end from redirect
         union all
        select account_id, closed_look, 'closed' from redirect where closed_look is not null
         union all
        select d.account_id, r.believed_look, 'closed, removed'
          from redirect d
          join removal r on r.account_id = d.account_id and r.virtual_number_id = d.virtual_number_id
               and r.believed_run_id = d.closed_run_id
         union all
        select account_id, 17400, 'rejected' from number where virtual_number_id % 1000 = 17) happened
 group by 1, 2;
insert into syncer.sync_run
       (account_id, run_id, trigger, started_at, finished_at, outcome, http_status, response_bytes, received, created,
        changed, unchanged, removed, restored, held, rejected, state_changes, redirects_opened, redirects_closed)
overriding system value
select account_id, run_id, 'schedule', started_at, seen_at,
       case when happened then 'applied' else 'unchanged' end, 200, 400 * (listed + rejected), listed + rejected,
       created, changed, listed - created - restored - changed, removed, restored, held, rejected, state_changes,
       redirects_opened, redirects_closed
  from (select l.*, c.look is not null as happened, coalesce(created, 0) as created, coalesce(changed, 0) as changed,
               coalesce(removed, 0) as removed, coalesce(restored, 0) as restored,
               coalesce(state_changes, 0) as state_changes, coalesce(redirects_opened, 0) as redirects_opened,
               coalesce(redirects_closed, 0) as redirects_closed,
               coalesce(sum(created + restored - gone - rejected) over so_far, 0) as listed,
               coalesce(sum(gone - removed) over so_far, 0) as held, coalesce(sum(rejected) over so_far, 0) as rejected
          from look l
          left join counted c using (account_id, look)
        window so_far as (partition by account_id order by look)) looks;
insert into syncer.sync_run
       (account_id, run_id, trigger, started_at, finished_at, outcome, error_kind, error)
overriding system value
select account_id, run_id, 'schedule', started_at, started_at + interval '1 minute', 'failed', 'timeout',
       'the endpoint did not answer in time'
  from poll where failed;
update syncer.account a
   set success_run_id = r.run_id, success_started_at = r.started_at, observed_at = r.finished_at,
       applied_run_id = (select max(run_id) from syncer.sync_run where account_id = a.account_id
                                                                   and outcome = 'applied')
  from syncer.sync_run r
 where r.account_id = a.account_id
   and r.run_id = (select max(run_id) from syncer.sync_run where account_id = a.account_id
                                                             and outcome in ('applied', 'unchanged'));
insert into syncer.rejected_record
       (account_id, rejected_record_id, virtual_number_id, error, payload, first_run_id, last_run_id, occurrences)
select n.account_id, md5(n.i::text)::uuid, n.virtual_number_id, 'Expected `str`, got `null` - at `$.number`', '{}',
       l.run_id, a.applied_run_id,
       (select count(*) from counted c where c.account_id = n.account_id and c.look >= 17400)
  from number n
  join look l on l.account_id = n.account_id and l.look = 17400
  join syncer.account a on a.account_id = n.account_id
 where n.virtual_number_id % 1000 = 17;
select setval(pg_get_serial_sequence('syncer.sync_run', 'run_id'), (select max(run_id) from syncer.sync_run)),
       setval(pg_get_serial_sequence('syncer.account', 'account_id'), (select max(account_id) from syncer.account));
"""


async def make_history(url: str, numbers: int = NUMBERS, *, accounts: int = 2) -> None:
    """Fills a database that has the newest schema and no account: ten rows of history for each number.

    Args:
        url: The database's address.
        numbers: How many, in all accounts together; a multiple of five times `accounts` gives exactly ten rows each.
        accounts: How many share them; they have the same ids.
    """
    connection = await _connect(url)
    try:
        async with connection.transaction():
            await connection.execute("set local synchronous_commit = off")
            await connection.execute("set local jit = off")
            await connection.execute(_SCALE)
            await connection.execute("insert into scale values ($1, $2, $3)", numbers, accounts, 2 * 365 * 24)
            for script in (_LOOKS, _LIVES, _EVENTS, _REMOVALS, _CHAINED, _ACCOUNTS, _HISTORY, _RUNS):
                await connection.execute(script)
                await _analyze_staged(connection)
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()


async def _analyze_staged(connection: asyncpg.Connection) -> None:
    """Nobody else does it for temporary tables."""
    for name in await connection.fetch("select relname from pg_class where relpersistence = 't' and relkind = 'r'"):
        await connection.execute(f"analyze pg_temp.{name[0]}")


async def _connect(url: str) -> asyncpg.Connection:
    dsn, arguments = driver_arguments(url)
    return await asyncpg.connect(dsn, **arguments)


@contextmanager
def server() -> Iterator[str]:
    """The address of a database on the server to measure: as configured, or an embedded one for as long as it takes."""
    configured = os.environ.get("SYNCER_DATABASE_URL")
    if configured:
        yield configured
        return
    folder = Path(tempfile.mkdtemp(prefix="syncer-benchmark-"))
    folder.chmod(0o755)
    try:
        with EmbeddedServer(folder) as running:
            yield running.url
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def database_with_history(server_url: str, numbers: int = NUMBERS, *, accounts: int = 2) -> AsyncIterator[str]:
    """The address of a database of its own beside the given one, with the newest schema and a history."""
    name = f"syncer_benchmark_{os.getpid()}_{numbers}"
    url = urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    owner = await _connect(server_url)
    await owner.execute(f"create database {name}")
    try:
        engine = create_engine(lambda: url, command_timeout=None)
        await migrate(engine)
        await engine.dispose()
        await make_history(url, numbers, accounts=accounts)
        yield url
    finally:
        await owner.execute(f"drop database {name} with (force)")
        await owner.close()


async def rows_of_history(url: str) -> int:
    """How many rows the three history tables have."""
    connection = await _connect(url)
    count = await connection.fetchval(
        """
        select (select count(*) from syncer.virtual_number_history) + (select count(*) from syncer.state_history)
               + (select count(*) from syncer.virtual_number_redirect)
        """
    )
    await connection.close()
    return int(count)


async def seconds_to_prove(url: str) -> float:
    """How long `syncer check --data` takes to find nothing.

    Raises:
        AssertionError: It found something.
    """
    engine = create_engine(lambda: url)
    begun = time.perf_counter()
    broken = [str(violation) async for violation in violations(engine)]
    seconds = time.perf_counter() - begun
    await engine.dispose()
    if broken:
        raise AssertionError("\n".join(broken[:10]))
    return seconds


async def _measure(server_url: str) -> Table:
    table = Table("numbers", "rows of history", "seconds", "seconds a million rows", title="Proving the invariants")
    for numbers in (NUMBERS // 10, NUMBERS):
        async with database_with_history(server_url, numbers) as url:
            rows = await rows_of_history(url)
            seconds = min([await seconds_to_prove(url) for _ in range(3)])
        table.add_row(f"{numbers:,}", f"{rows:,}", f"{seconds:.2f}", f"{seconds / rows * 1e6:.2f}")
    return table


def main() -> None:
    """Measures and prints."""
    with server() as url:
        Console().print(asyncio.run(_measure(url)))


if __name__ == "__main__":
    main()
